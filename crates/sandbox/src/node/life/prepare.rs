//! What a container needs before it can start, and files that change while it runs.

use std::{collections::BTreeMap, convert::Infallible, net::Ipv4Addr, sync::atomic::Ordering};

use anyhow::{Context as _, Result, anyhow};
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::Api;
use oc_service::Clock;
use tokio::{task::spawn_blocking, time::sleep};

use super::{
    super::{
        Image, Shared,
        container::Container,
        events::Tone,
        files,
        forward::Forwards,
        plan::{Files, Kind, Source},
        sandbox::Sandbox,
    },
    Life, PAUSE,
    running::{Parts, Running},
};

/// The content of a volume.
struct Content {
    volume: String,
    mode: u32,
    files: BTreeMap<String, Vec<u8>>,
}

impl Life<'_> {
    /// Prepares all that a container needs, trying again until it is there.
    pub(super) async fn prepare<'r>(
        &self,
        image: &Image,
        running: &'r mut Running,
    ) -> (&'r Parts, &'r mut Option<Container>) {
        running.end().await;
        let mut said = String::new();
        let parts = loop {
            let (reason, error) = match self.parts(image).await {
                Ok(parts) => break parts,
                Err(failure) => failure,
            };
            let message = format!("{error:#}");
            if message != said {
                self.events.tell(Tone::Warning, reason, &message).await;
                said = message;
            }
            sleep(PAUSE).await;
        };
        self.states.send_modify(|state| state.address = Some(parts.sandbox.address));
        (running.parts.insert(parts), &mut running.container)
    }

    /// Prepares once; an error with the reason of its Event.
    async fn parts(&self, image: &Image) -> Result<Parts, (&'static str, anyhow::Error)> {
        let mount = |error| ("FailedMount", error);
        let claims = self.shared.claims(&self.plan).await.map_err(mount)?;
        let contents = self.contents().await.map_err(mount)?;
        let (places, plan) = (self.places.clone(), self.plan.clone());
        let (image, address) = (image.clone(), self.shared.next_address());
        let built = spawn_blocking(move || {
            if places.folder.exists() {
                std::fs::remove_dir_all(&places.folder)?;
            }
            places.build(&plan, &image, address, &claims)
        });
        let begin = async {
            built.await?.context("the container's root")?;
            self.begin(address).await
        };
        let parts = begin.await.map_err(|error| ("FailedCreatePodSandBox", error))?;
        self.write(&parts, contents).await.map_err(mount)?;
        Ok(parts)
    }

    async fn begin(&self, address: Ipv4Addr) -> Result<Parts> {
        let (options, plan) = (&self.shared.options, &self.plan);
        let cgroup = self.shared.cgroups.make(&plan.uid, plan.cpu_millis, plan.memory_bytes);
        let mut addresses: Vec<Ipv4Addr> = Vec::new();
        for service in &options.services {
            let std::net::IpAddr::V4(address) = service.address.ip() else {
                anyhow::bail!("{}: a service without an IPv4 address", service.address);
            };
            addresses.push(address);
        }
        addresses.sort_unstable();
        addresses.dedup();
        let sandbox = Sandbox::start(&self.places, &plan.hostname, address, &addresses).await?;
        let forwards = Forwards::start(&sandbox, &options.services).context("forwarders")?;
        Ok(Parts { _forwards: forwards, sandbox, cgroup: cgroup.context("limits")? })
    }

    /// Has volumes show what their objects say now, for ever: after the node's delay, and at once
    /// when the pod's annotations change.
    pub(super) async fn refresh(&self, parts: &Parts) -> Infallible {
        let mut pods = self.pods.clone();
        let mut seen = annotations(pods.borrow_and_update().as_deref());
        loop {
            let changed = async {
                while pods.changed().await.is_ok() {
                    let now = annotations(pods.borrow_and_update().as_deref());
                    if now != seen {
                        return now;
                    }
                }
                std::future::pending().await
            };
            tokio::select! {
                () = sleep(self.shared.options.refresh) => {}
                now = changed => seen = now,
            }
            // Where it does not work, what was there stays until the next time.
            if let Ok(contents) = self.contents().await {
                let _ = self.write(parts, contents).await;
            }
        }
    }

    /// What the objects behind the volumes say now.
    async fn contents(&self) -> Result<Vec<Content>> {
        let mut contents = Vec::new();
        for mount in &self.plan.mounts {
            let Source::Files(wanted) = &mount.source else { continue };
            let files = self.shared.keys(&self.plan.namespace, wanted).await;
            let files = files.map_err(|error| {
                anyhow!("MountVolume.SetUp failed for volume {:?} : {error:#}", mount.volume)
            });
            contents.push(Content {
                volume: mount.volume.clone(),
                mode: wanted.mode,
                files: files?,
            });
        }
        Ok(contents)
    }

    /// Writes into the memory of the pod's mount namespace.
    async fn write(&self, parts: &Parts, contents: Vec<Content>) -> Result<()> {
        let group = self.plan.fs_group;
        for Content { volume, mode, files } in contents {
            let folder = parts.sandbox.seen_inside(&self.places.files(&volume));
            let now = Clock::system().now();
            let write = move || files::write(&folder, &files, mode, group, now);
            spawn_blocking(write).await?.with_context(|| format!("volume {volume}"))?;
        }
        Ok(())
    }
}

impl Shared {
    /// The keys of a ConfigMap or Secret.
    async fn keys(&self, namespace: &str, wanted: &Files) -> Result<BTreeMap<String, Vec<u8>>> {
        let (client, name) = (self.options.client.clone(), &wanted.name);
        match wanted.kind {
            Kind::ConfigMap => {
                let maps: Api<ConfigMap> = Api::namespaced(client, namespace);
                let map = maps.get_opt(name).await?;
                let map = map.with_context(|| format!("configmap {name:?} not found"))?;
                let text = map.data.unwrap_or_default().into_iter();
                let binary = map.binary_data.unwrap_or_default().into_iter();
                let text = text.map(|(key, value)| (key, value.into_bytes()));
                Ok(text.chain(binary.map(|(key, value)| (key, value.0))).collect())
            }
            Kind::Secret => {
                let secrets: Api<Secret> = Api::namespaced(client, namespace);
                let secret = secrets.get_opt(name).await?;
                let secret = secret.with_context(|| format!("secret {name:?} not found"))?;
                let data = secret.data.unwrap_or_default().into_iter();
                Ok(data.map(|(key, value)| (key, value.0)).collect())
            }
        }
    }

    /// An address that no other pod of this run has had among the last 65,000.
    fn next_address(&self) -> Ipv4Addr {
        let count = self.addresses.fetch_add(1, Ordering::Relaxed);
        // Below 10.244.0.0/16; neither .0 nor .255 of a /24 is anybody's.
        let [.., high, low] = (((count / 254 % 256) << 8) | (count % 254 + 1)).to_be_bytes();
        Ipv4Addr::new(10, 244, high, low)
    }
}

fn annotations(pod: Option<&Pod>) -> BTreeMap<String, String> {
    pod.and_then(|pod| pod.metadata.annotations.clone()).unwrap_or_default()
}
