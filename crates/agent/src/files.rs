//! Regular files where the gateway wants them: it follows no links.

use std::{
    fs::{self, DirBuilder, OpenOptions, Permissions},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::Path,
};

/// A folder for this user alone, with its parents where they are missing.
pub(crate) fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    // A volume's owner may have made it for a group.
    fs::set_permissions(path, Permissions::from_mode(0o700))
}

/// Makes `path` a file of this text for this user alone, so that no reader sees half of it. Nothing
/// is written if it is that already.
pub(crate) fn write(path: &Path, text: &str) -> io::Result<()> {
    let ours = fs::symlink_metadata(path).is_ok_and(|found| found.is_file());
    if ours && fs::read(path).is_ok_and(|found| found == text.as_bytes()) {
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    // One that a killed agent has left may be anything.
    let _ = fs::remove_file(&new);
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(text.as_bytes())?;
    fs::rename(new, path)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{MetadataExt as _, symlink};

    use super::*;

    #[test]
    fn a_file_is_for_its_user_alone_and_is_left_alone_when_it_is_right() {
        let temporary = tempfile::tempdir().unwrap();
        let home = temporary.path().join("a/b");
        folder(&home).unwrap();
        assert_eq!(fs::metadata(&home).unwrap().mode() & 0o777, 0o700);
        let path = home.join("SOUL.md");
        write(&path, "one").unwrap();
        let first = fs::metadata(&path).unwrap();
        assert_eq!(first.mode() & 0o777, 0o600);
        write(&path, "one").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().ino(), first.ino());
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "two");
        assert_eq!(fs::read_dir(home).unwrap().count(), 1);
    }

    #[test]
    fn a_link_that_the_customers_agent_left_is_replaced_and_not_followed() {
        let temporary = tempfile::tempdir().unwrap();
        let (path, other) = (temporary.path().join("SOUL.md"), temporary.path().join("other"));
        fs::write(&other, "one").unwrap();
        symlink(&other, &path).unwrap();
        write(&path, "one").unwrap();
        assert!(fs::symlink_metadata(&path).unwrap().is_file());
        write(&path, "two").unwrap();
        assert_eq!(fs::read_to_string(other).unwrap(), "one");
    }
}
