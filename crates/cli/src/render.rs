//! `render`: the manifests of a fleet as files.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode, sync::mpsc, thread};

use clap::Args;
use oc_domain::{Fleet, TenantId, fleet::Tenant};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Serializer;
use sha2::{Digest, Sha256};

use crate::{
    failure::{Failure, plural},
    fleet,
};

mod pretty;
mod staging;

use pretty::Pretty;
use staging::{Prepared, Staging};

/// Writes the Kubernetes manifests of the fleet: platform/, crds/, tenants/ and index.json
///
/// The output folder is replaced as a whole or not at all, and files that did not change stay the
/// same files. Invalid input writes nothing.
#[derive(Args)]
pub(crate) struct Render {
    #[command(flatten)]
    root: fleet::Root,
    /// The folder to write; it must be new, empty or an earlier output
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Writes this tenant only
    #[arg(long, value_name = "ID", conflicts_with = "platform")]
    tenant: Option<TenantId>,
    /// Writes the platform and the CRDs only
    #[arg(long)]
    platform: bool,
}

/// What `index.json` says.
#[derive(Serialize, Deserialize)]
struct Index {
    objects: usize,
    files: BTreeMap<String, String>,
    sha256: String,
}

/// One file that was written.
struct Written {
    path: String,
    sha256: String,
    objects: usize,
}

impl Render {
    pub(crate) fn run(self) -> Result<ExitCode, Failure> {
        let root = self.root.find()?;
        staging::refuse_foreign(&self.out)?;
        let fleet = fleet::load(&root)?;
        let tenants = self.tenants(&fleet)?;
        let staging = Staging::begin(&self.out)?;
        let mut files = Vec::new();
        if self.tenant.is_none() {
            files.extend(platform(&fleet, &staging)?);
        }
        if !self.platform {
            files.extend(write_tenants(&fleet, &tenants, &staging)?);
        }
        let index = Index::new(files)?;
        staging.write(&staging.prepare(staging::INDEX.to_owned(), json(&index)?))?;
        staging.commit()?;
        let (objects, files) = (index.objects, index.files.len());
        let summary = [plural(objects, "object"), plural(files, "file")].join(" in ");
        anstream::println!("{}: {summary}, sha256 {}", self.out.display(), index.sha256);
        Ok(ExitCode::SUCCESS)
    }

    fn tenants<'a>(&self, fleet: &'a Fleet) -> Result<Vec<&'a Tenant>, Failure> {
        let Some(wanted) = &self.tenant else { return Ok(fleet.rendered().collect()) };
        let found = fleet.rendered().find(|tenant| tenant.id == *wanted);
        found.map(|tenant| vec![tenant]).ok_or_else(|| {
            Failure::Usage(format!("no tenant {wanted} in this fleet, or it is deleted"))
        })
    }
}

fn platform(fleet: &Fleet, staging: &Staging) -> Result<Vec<Written>, Failure> {
    let mut files = Vec::new();
    let mut write = |path: String, bytes: Vec<u8>| {
        files.push(written(staging, staging.prepare(path, bytes), 1)?);
        Ok(())
    };
    staging.folder("platform")?;
    staging.folder("crds")?;
    for object in oc_manifests::platform(&fleet.inventory) {
        write(format!("platform/{}", object.file_name()), json(&object)?)?;
    }
    for crd in oc_manifests::crds() {
        let name = crd.metadata.name.as_deref().unwrap_or_default();
        write(format!("crds/{name}.json"), json(&crd)?)?;
    }
    Ok(files)
}

/// Renders on all cores and writes on this thread: files of one folder are made one at a time by
/// the kernel anyway, and threads that wait for each other there cost a third of the time.
fn write_tenants(
    fleet: &Fleet,
    tenants: &[&Tenant],
    staging: &Staging,
) -> Result<Vec<Written>, Failure> {
    staging.folder(fleet::TENANTS)?;
    thread::scope(|scope| {
        // Bounded, so that a slow disk does not fill the memory; in batches, since each hand-over
        // wakes a thread.
        let (sender, rendered) = mpsc::sync_channel(8);
        scope.spawn(move || {
            tenants.par_chunks(16).for_each_with(sender, |sender, batch| {
                let files: Vec<_> = batch.iter().map(|one| render(fleet, one, staging)).collect();
                // Refused only when the writer has given up.
                let _ = sender.send(files);
            });
        });
        rendered
            .into_iter()
            .flatten()
            .map(|file| {
                let (file, objects) = file?;
                written(staging, file, objects)
            })
            .collect()
    })
}

fn render(fleet: &Fleet, tenant: &Tenant, staging: &Staging) -> Result<(Prepared, usize), Failure> {
    let objects = oc_manifests::tenant(
        &tenant.id,
        &tenant.spec,
        &fleet.inventory,
        &oc_manifests::Overlay::default(),
    );
    let bytes = json(&oc_manifests::list(&objects))?;
    Ok((staging.prepare(format!("tenants/{}.json", tenant.id), bytes), objects.len()))
}

fn written(staging: &Staging, file: Prepared, objects: usize) -> Result<Written, Failure> {
    staging.write(&file)?;
    Ok(Written { sha256: file.sha256, path: file.path, objects })
}

impl Index {
    fn new(written: Vec<Written>) -> Result<Self, Failure> {
        let objects = written.iter().map(|file| file.objects).sum();
        let mut files = BTreeMap::new();
        for file in written {
            if let Some(taken) = files.insert(file.path.clone(), file.sha256) {
                let message = format!("two objects would be written to {} ({taken})", file.path);
                return Err(Failure::Outside(message));
            }
        }
        let mut lines: Vec<String> =
            files.iter().map(|(path, sha256)| format!("{sha256}  {path}\n")).collect();
        lines.sort();
        let sha256 = hex::encode(Sha256::digest(lines.concat()));
        Ok(Self { objects, files, sha256 })
    }
}

/// Pretty JSON, as people review it, with a line end.
fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    // Room for a tenant's file: growing there copies it several times.
    let mut bytes = Vec::with_capacity(32 * 1024);
    let mut serializer = Serializer::with_formatter(&mut bytes, Pretty::default());
    value.serialize(&mut serializer).map_err(|error| Failure::Outside(format!("JSON: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}
