//! Reads a fleet from a folder or from a commit.

use std::{
    env, fs,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

use clap::Args;
use oc_domain::{
    Diagnostic, Fleet, Inventory, TenantId, document,
    fleet::{Checked, Parsed, parse_tenant},
    inventory, tenant,
};
use rayon::prelude::*;
use rustix::fs::{Mode, OFlags};

use crate::{
    failure::{Failure, print_diagnostics},
    git,
};

/// The folder of tenant files in a fleet.
pub(crate) const TENANTS: &str = "tenants";

/// Folders in folders that are searched for tenants; two are in use.
const MAX_DEPTH: usize = 8;

#[derive(Args)]
pub(crate) struct Root {
    /// The fleet: a folder with nodes/inventory.json [default: the nearest one upwards]
    #[arg(long, value_name = "DIR", global = true)]
    root: Option<PathBuf>,
}

impl Root {
    /// The fleet's folder.
    pub(crate) fn find(&self) -> Result<PathBuf, Failure> {
        if let Some(root) = &self.root {
            if root.join(inventory::PATH).symlink_metadata().is_ok() {
                return Ok(root.clone());
            }
            let message = format!("{} is no fleet: it has no {}", root.display(), inventory::PATH);
            return Err(Failure::Usage(message));
        }
        let here = env::current_dir().map_err(|e| Failure::io("read", Path::new("."), &e))?;
        let found = here.ancestors().find(|folder| folder.join(inventory::PATH).exists());
        found.map(Path::to_path_buf).ok_or_else(|| {
            let path = inventory::PATH;
            Failure::Usage(format!("no {path} here or in a folder above; name one with --root"))
        })
    }
}

/// Reads every file of the fleet in `root`; findings are in the result, not printed.
pub(crate) fn read(root: &Path) -> Checked {
    let inventory = read_file(root, inventory::PATH, inventory::MAX_FILE_BYTES)
        .and_then(|bytes| Inventory::parse(inventory::PATH, &bytes));
    let mut paths = Vec::new();
    let mut errors = Vec::new();
    walk(root, TENANTS, 0, &mut paths, &mut errors);
    let mut tenants: Vec<Parsed> = paths
        .par_iter()
        .map(|path| {
            let bytes = read_file(root, path, tenant::MAX_FILE_BYTES)?;
            parse_tenant(path, &bytes)
        })
        .collect();
    tenants.extend(errors.into_iter().map(|error| Err(vec![error])));
    Fleet::assemble(inventory, tenants)
}

/// The files that are the tenant `id`'s by their name; there should be one.
pub(crate) fn find_files(root: &Path, id: &TenantId) -> Vec<String> {
    let mut paths = Vec::new();
    walk(root, TENANTS, 0, &mut paths, &mut Vec::new());
    let name = format!("/{id}.json");
    paths.retain(|path| path.ends_with(&name));
    paths
}

/// Reads the fleet of `root` and prints its findings, or fails.
pub(crate) fn load(root: &Path) -> Result<Fleet, Failure> {
    accept(read(root))
}

/// Reads the fleet of `root` as the commit `revision` has it.
pub(crate) fn load_revision(root: &Path, revision: &str) -> Result<Fleet, Failure> {
    let files = git::files(root, revision, &[TENANTS, inventory::PATH])?;
    let mut parsed_inventory = None;
    let mut tenants = Vec::new();
    for (path, bytes) in &files {
        if path == inventory::PATH {
            parsed_inventory = Some(Inventory::parse(path, bytes));
        } else if is_tenant(path) {
            tenants.push(parse_tenant(path, bytes));
        }
    }
    let Some(parsed_inventory) = parsed_inventory else {
        let message = format!("{revision} has no {} in this folder", inventory::PATH);
        return Err(Failure::Usage(message));
    };
    let mut checked = Fleet::assemble(parsed_inventory, tenants);
    // Warnings about the past are nobody's business; errors are, and must not read as today's.
    checked.diagnostics.retain(|finding| finding.severity == oc_domain::Severity::Error);
    for diagnostic in &mut checked.diagnostics {
        diagnostic.file = format!("{revision}:{}", diagnostic.file);
    }
    accept(checked)
}

fn accept(checked: Checked) -> Result<Fleet, Failure> {
    print_diagnostics(&checked.diagnostics);
    checked.fleet.ok_or(Failure::Invalid)
}

fn is_tenant(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.strip_suffix(".json").is_some() && !name.starts_with('.')
}

/// Whether somebody may think that the file is a tenant's.
fn is_misnamed(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension.to_lowercase());
    let misleading = ["json", "json5", "jsonc", "yaml", "yml"];
    extension.is_some_and(|extension| misleading.contains(&extension.as_str()))
}

/// Collects the tenant files below `folder`, in a stable order.
fn walk(
    root: &Path,
    folder: &str,
    depth: usize,
    paths: &mut Vec<String>,
    errors: &mut Vec<Diagnostic>,
) {
    let mut refuse =
        |path: &str, message: String| errors.push(Diagnostic::error(path, "", message));
    let entries = match fs::read_dir(root.join(folder)) {
        Ok(entries) => entries,
        // A fleet without tenants need not have the folder.
        Err(error) if error.kind() == io::ErrorKind::NotFound && depth == 0 => return,
        Err(error) => {
            return refuse(folder, format!("found no readable folder: {}", reason(&error)));
        }
    };
    let mut folders = Vec::new();
    for entry in entries {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                refuse(folder, format!("found no readable folder: {}", reason(&error)));
                continue;
            }
        };
        let Ok(name) = entry.file_name().into_string() else {
            let name = entry.file_name().to_string_lossy().into_owned();
            refuse(&format!("{folder}/{name}"), "found a file name that is not UTF-8".to_owned());
            continue;
        };
        let path = format!("{folder}/{name}");
        if name.starts_with('.') {
            continue;
        }
        let kind = entry.file_type();
        if is_tenant(&name) {
            // Whatever it is, it calls itself a tenant file: reading it tells.
            paths.push(path);
        } else if kind.as_ref().is_ok_and(fs::FileType::is_dir) {
            folders.push(path);
        } else if kind.is_ok_and(|kind| kind.is_symlink()) && root.join(&path).is_dir() {
            // Git does not look behind it, and a link upwards would never end.
            refuse(&path, "found a symbolic link to a folder, expected a folder".to_owned());
        } else if is_misnamed(&name) {
            refuse(
                &path,
                "found a file that is not read, expected a name like <id>.json".to_owned(),
            );
        }
    }
    if depth == MAX_DEPTH {
        for path in folders {
            refuse(&path, format!("found folders nested deeper than {MAX_DEPTH}"));
        }
    } else {
        folders.sort();
        for path in folders {
            walk(root, &path, depth + 1, paths, errors);
        }
    }
    if depth == 0 {
        paths.sort();
    }
}

/// The bytes of a regular file, at most `limit` of them.
pub(crate) fn read_file(root: &Path, path: &str, limit: usize) -> Result<Vec<u8>, Vec<Diagnostic>> {
    let full = root.join(path);
    let refused = |message: String| vec![Diagnostic::error(path, "", message)];
    // One look-up of the path where all is well. A link is not followed, a pipe not waited for.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = rustix::fs::open(&full, flags, Mode::empty()).map_err(io::Error::from);
    let mut file = opened.map(fs::File::from).map_err(|error| refused(no_file(&full, &error)))?;
    let failed = |error: io::Error| refused(unreadable(&full, &error));
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(refused(not_a_file(&metadata)));
    }
    if metadata.len() > limit as u64 {
        return Err(document::too_large(path, metadata.len(), limit));
    }
    let mut bytes = vec![0; usize::try_from(metadata.len()).unwrap_or(limit)];
    file.read_exact(&mut bytes).map_err(failed)?;
    Ok(bytes)
}

/// Why there is no file that could be opened.
fn no_file(full: &Path, error: &io::Error) -> String {
    match full.symlink_metadata() {
        Ok(metadata) if metadata.is_symlink() => match full.metadata() {
            Ok(_) => "found a symbolic link, expected a file: a commit has the link, not the file"
                .to_owned(),
            Err(error) => unreadable(full, &error),
        },
        Ok(metadata) if !metadata.is_file() => not_a_file(&metadata),
        _ => unreadable(full, error),
    }
}

fn not_a_file(metadata: &fs::Metadata) -> String {
    let kind = if metadata.is_dir() { "a folder" } else { "a pipe, socket or device" };
    format!("found {kind}, expected a file")
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    match path.read_link() {
        Ok(target) if error.kind() == io::ErrorKind::NotFound => {
            format!("found a symbolic link to {}, which does not exist", target.display())
        }
        _ => format!("found no readable file: {}", reason(error)),
    }
}

/// The operating system's words without its number, which differs between systems.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
