//! `render`: the manifests of a fleet as files.

use std::{collections::BTreeMap, path::PathBuf, process::ExitCode};

use clap::Args;
use oc_domain::{Fleet, TenantId, fleet::Tenant};
use rayon::prelude::*;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    failure::{Failure, plural},
    fleet,
};

mod staging;

use staging::Staging;

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
#[derive(Serialize)]
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
        staging.write(staging::INDEX, &json(&index)?)?;
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
        files.push(written(staging, path, &bytes, 1)?);
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

fn write_tenants(
    fleet: &Fleet,
    tenants: &[&Tenant],
    staging: &Staging,
) -> Result<Vec<Written>, Failure> {
    staging.folder(fleet::TENANTS)?;
    tenants
        .par_iter()
        .map_init(Vec::new, |buffer, tenant| {
            buffer.clear();
            let objects = oc_manifests::tenant(&tenant.id, &tenant.spec, &fleet.inventory);
            json_into(buffer, &oc_manifests::list(&objects))?;
            written(staging, format!("tenants/{}.json", tenant.id), buffer, objects.len())
        })
        .collect()
}

fn written(
    staging: &Staging,
    path: String,
    bytes: &[u8],
    objects: usize,
) -> Result<Written, Failure> {
    staging.write(&path, bytes)?;
    Ok(Written { sha256: hex::encode(Sha256::digest(bytes)), path, objects })
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

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    json_into(&mut bytes, value)?;
    Ok(bytes)
}

fn json_into(bytes: &mut Vec<u8>, value: &impl Serialize) -> Result<(), Failure> {
    serde_json::to_writer_pretty(&mut *bytes, value)
        .map_err(|error| Failure::Outside(format!("JSON: {error}")))?;
    bytes.push(b'\n');
    Ok(())
}
