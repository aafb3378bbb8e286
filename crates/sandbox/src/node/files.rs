//! The keys of a ConfigMap or Secret as files, written as a kubelet writes them: into a new folder,
//! which a symbolic link is then turned to. So a reader sees all of the old or all of the new.

use std::{
    collections::BTreeMap,
    fs, io,
    os::unix::fs::{PermissionsExt as _, chown, symlink},
    path::Path,
};

use jiff::Timestamp;

/// The link that all files are read through.
const DATA: &str = "..data";
/// It takes the link's place in one step.
const NEXT: &str = "..data_tmp";

/// Makes `folder` show `files`, readable by `group` with `mode`; nothing is touched where it does
/// already.
pub(super) fn write(
    folder: &Path,
    files: &BTreeMap<String, Vec<u8>>,
    mode: u32,
    group: u32,
    now: Timestamp,
) -> io::Result<()> {
    let old = fs::read_link(folder.join(DATA)).ok();
    if old.is_some() && shown(folder)? == *files {
        return Ok(());
    }
    let name = now.strftime("..%Y_%m_%d_%H_%M_%S.%9f").to_string();
    let new = folder.join(&name);
    fs::create_dir(&new)?;
    permit(&new, 0o755, group)?;
    for (key, bytes) in files {
        fs::write(new.join(key), bytes)?;
        permit(&new.join(key), mode, group)?;
    }
    symlink(&name, folder.join(NEXT))?;
    fs::rename(folder.join(NEXT), folder.join(DATA))?;
    link(folder, files)?;
    match old {
        Some(old) => fs::remove_dir_all(folder.join(old)),
        None => Ok(()),
    }
}

/// What a reader sees now.
fn shown(folder: &Path) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let entries = fs::read_dir(folder.join(DATA))?;
    entries
        .map(|entry| {
            let entry = entry?;
            Ok((entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path())?))
        })
        .collect()
}

/// Each key is a link through the one that turns; those of keys that are gone go after it has
/// turned.
fn link(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> io::Result<()> {
    for key in files.keys() {
        match symlink(Path::new(DATA).join(key), folder.join(key)) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            made => made?,
        }
    }
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        if !name.starts_with("..") && !files.contains_key(&name) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn permit(path: &Path, mode: u32, group: u32) -> io::Result<()> {
    chown(path, Some(0), Some(group))?;
    fs::set_permissions(path, fs::Permissions::from_mode(mode))
}
