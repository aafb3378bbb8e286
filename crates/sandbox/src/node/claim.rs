//! Claims: each PersistentVolume is a folder of the node's, whatever its object says of where it is.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown},
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, bail};
use futures::{StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};
use kube::{
    Api, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        watcher::{self, Event, watcher},
    },
};

use super::{
    Shared,
    plan::{Plan, Source},
};

/// What a folder with `fsGroup` has: all rights for owner and group, and new files of the group's.
const MODE: u32 = 0o2775;

impl Shared {
    /// The folders of the claims of a pod, which belong to its `fsGroup` now.
    pub(super) async fn claims(&self, plan: &Plan) -> Result<BTreeMap<String, PathBuf>> {
        let api: Api<PersistentVolumeClaim> =
            Api::namespaced(self.options.client.clone(), &plan.namespace);
        let mut folders = BTreeMap::new();
        for mount in &plan.mounts {
            let Source::Claim(name) = &mount.source else { continue };
            let claim = api.get_opt(name).await?;
            let claim =
                claim.with_context(|| format!("persistentvolumeclaim {name:?} not found"))?;
            let bound = claim.status.and_then(|it| it.phase).as_deref() == Some("Bound");
            let volume = claim.spec.and_then(|it| it.volume_name).filter(|_| bound);
            let Some(volume) = volume else { bail!("persistentvolumeclaim {name:?} is not bound") };
            let (folder, group) = (self.volume(&volume), plan.fs_group);
            let owned = folder.clone();
            tokio::task::spawn_blocking(move || own(&owned, group)).await??;
            folders.insert(name.clone(), folder);
        }
        Ok(folders)
    }
}

/// Makes the folder, and gives it to `group` with all that is in it, unless the folder itself is
/// that group's already (`OnRootMismatch`).
fn own(folder: &Path, group: u32) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let there = fs::metadata(folder)?;
    if there.gid() != group || there.mode() & 0o7777 & MODE != MODE {
        give(folder, group)?;
    }
    Ok(())
}

/// The folder itself comes last: a walk that was interrupted begins anew.
fn give(path: &Path, group: u32) -> io::Result<()> {
    let there = fs::symlink_metadata(path)?;
    if there.is_dir() {
        for entry in fs::read_dir(path)? {
            give(&entry?.path(), group)?;
        }
    }
    lchown(path, None, Some(group))?;
    if there.is_symlink() {
        return Ok(());
    }
    let mode = there.mode() & 0o7777 | if there.is_dir() { MODE } else { 0o660 };
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}

/// Removes for ever the folders of volumes whose objects are deleted, as the provisioner of a real
/// cluster does. Only what was seen to go is removed: an API server that has forgotten everything
/// costs no data.
pub(super) async fn forget(shared: Arc<Shared>) {
    let volumes: Api<PersistentVolume> = Api::all(shared.options.client.clone());
    let stream = watcher(volumes, watcher::Config::default()).default_backoff();
    pin_mut!(stream);
    while let Some(event) = stream.next().await {
        let Ok(Event::Delete(volume)) = event else { continue };
        let spec = volume.spec.as_ref();
        let policy = spec.and_then(|it| it.persistent_volume_reclaim_policy.as_deref());
        if policy == Some("Delete") {
            // There is none where no pod has used it.
            let _ = tokio::fs::remove_dir_all(shared.volume(&volume.name_any())).await;
        }
    }
}
