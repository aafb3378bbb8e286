//! A stack for a test.

use std::{
    env,
    path::{Path, PathBuf},
    time::Duration,
};

use kube::Api;
use oc_domain::{
    TenantId,
    tenant::{Phase, Tenant},
};
use oc_sandbox::{
    journey::Journey,
    local::{Local, Options, Real},
};
use oc_testkit::wait_for;
use tempfile::TempDir;

/// How long a gateway may take to start on a machine that is busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(5);

/// A running product. Fields end in this order.
pub(crate) struct Product {
    pub(crate) local: Local,
    pub(crate) journey: Journey,
    folder: TempDir,
}

impl Product {
    /// Starts everything; Stripe's clock is that much behind the time of day.
    pub(crate) async fn start(stripe_behind: Duration) -> Self {
        Self::start_on(None, stripe_behind).await
    }

    /// As [`Self::start`], on a cluster that is there already.
    pub(crate) async fn start_on(kubeconfig: Option<&Path>, stripe_behind: Duration) -> Self {
        let folder = tempfile::Builder::new().prefix("oc-product-").tempdir().unwrap();
        // Postgres runs as another user.
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), mode).unwrap();
        let Some(packages) = env::var_os("OPENCLAW_PACKAGES") else {
            panic!("OPENCLAW_PACKAGES is not set: run scripts/test, which installs OpenClaw");
        };
        let options = Options {
            folder: folder.path().to_owned(),
            real: Real::default(),
            stripe_behind,
            kubeconfig: kubeconfig.map(Path::to_owned),
            packages: packages.into(),
            usual_ports: false,
            refresh: Duration::from_mins(1),
            progress: true,
        };
        let local = Local::start(options).await.unwrap();
        let journey = Journey::new(local.book().unwrap()).unwrap();
        Self { local, journey, folder }
    }

    /// Where the volume of a tenant lies.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.folder.path().join("node/volumes")
    }

    /// Waits until a tenant is in this phase; none is one that is gone.
    pub(crate) async fn phase(&self, tenant: &TenantId, wanted: Option<Phase>) {
        let tenants: Api<Tenant> = Api::all(self.local.kubernetes());
        let what = format!("{tenant} to be {wanted:?}");
        let mut last = None;
        let reached = wait_for(PATIENCE, &what, async || {
            let found = tenants.get_opt(tenant.as_str()).await?;
            let phase = found.as_ref().and_then(|found| found.status.as_ref()?.phase);
            let reached = if wanted.is_some() { phase == wanted } else { found.is_none() };
            last = found.and_then(|found| found.status);
            Ok(reached.then_some(()))
        });
        if let Err(error) = reached.await {
            panic!("{error:#}; its status: {last:#?}\n{}", self.log(tenant));
        }
    }

    /// The end of what the tenant's pods have logged.
    pub(crate) fn log(&self, tenant: &TenantId) -> String {
        let folder = self.folder.path().join("node/logs").join(tenant.namespace());
        let mut text = String::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            text += &std::fs::read_to_string(entry.path()).unwrap_or_default();
        }
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}
