//! Who sees what was there meanwhile.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Mutex,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::{PersistentVolume, Secret};
use kube::{Api, ResourceExt as _, api::ListParams};
use oc_domain::TenantId;
use oc_manifests::TENANT;
use oc_platform_token::Verifier;
use oc_sandbox::operator::Stack;
use tokio::time::sleep;

use super::ask;

/// Who sees what was there meanwhile.
pub(super) struct Witness {
    secrets: Api<Secret>,
    volumes: Api<PersistentVolume>,
    verifier: Verifier,
    /// The highest generation of a token in a Secret of each tenant.
    pub(super) tokens: Mutex<BTreeMap<TenantId, u32>>,
    /// The volumes that were bound, and to the claim of which namespace.
    pub(super) bound: Mutex<BTreeSet<(String, String)>>,
}

impl Witness {
    pub(super) fn new(stack: &Stack) -> Self {
        let client = stack.client().unwrap();
        Self {
            secrets: Api::all(client.clone()),
            volumes: Api::all(client),
            verifier: Verifier::new(stack.keys.clone(), 100),
            tokens: Mutex::default(),
            bound: Mutex::default(),
        }
    }

    /// Looks until it is over.
    pub(super) async fn look(&self, over: &AtomicBool) {
        while !over.load(Relaxed) {
            self.look_once().await;
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn look_once(&self) {
        let secrets = ask(self.secrets.list(&ListParams::default().labels(TENANT))).await;
        for secret in secrets.into_iter().flatten() {
            let Some((id, generation)) = self.token(&secret) else { continue };
            let mut tokens = self.tokens.lock().unwrap();
            let highest = tokens.entry(id).or_default();
            *highest = generation.max(*highest);
        }
        let volumes = ask(self.volumes.list(&ListParams::default())).await;
        for volume in volumes.into_iter().flatten() {
            let name = volume.name_any();
            let status = volume.status.and_then(|status| status.phase);
            let claim = volume.spec.and_then(|spec| spec.claim_ref);
            if let Some(namespace) = claim.and_then(|claim| claim.namespace)
                && status.as_deref() == Some("Bound")
            {
                self.bound.lock().unwrap().insert((namespace, name));
            }
        }
    }

    /// Whose token a Secret holds, and its generation.
    pub(super) fn token(&self, secret: &Secret) -> Option<(TenantId, u32)> {
        let token = secret.data.as_ref()?.get("platform-token")?;
        let claims = self.verifier.verify(std::str::from_utf8(&token.0).ok()?).unwrap();
        Some((claims.tenant.clone(), claims.generation))
    }
}
