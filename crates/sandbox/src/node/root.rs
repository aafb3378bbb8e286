//! The root that a container sees: an empty skeleton on disk, and the table of what is mounted on it.

use std::{
    collections::BTreeMap,
    fs, io,
    net::Ipv4Addr,
    os::unix::fs::{PermissionsExt as _, symlink},
    path::{Path, PathBuf},
};

use super::{
    Image,
    plan::{Mount, Plan, Source},
};

/// What of the machine stands in for the files of an image; links to `/usr` on every machine of
/// today.
const SYSTEM: [&str; 4] = ["/usr", "/sbin", "/lib", "/lib64"];
/// What scripts name by path. `/bin` is a folder of its own, so that images can add to it.
const SHELLS: [&str; 2] = ["sh", "bash"];
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const HOSTS: &str = "# Kubernetes-managed hosts file.\n\
    127.0.0.1\tlocalhost\n\
    ::1\tlocalhost ip6-localhost ip6-loopback\n";

/// Where everything of one pod lies on this machine.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// The folder of all that is below.
    pub(super) folder: PathBuf,
    /// The container's `/`.
    pub(super) root: PathBuf,
    /// The table of mounts.
    pub(super) fstab: PathBuf,
    /// The container's process id, as the machine counts.
    pub(super) pid: PathBuf,
}

impl Places {
    pub(super) fn new(folder: PathBuf) -> Self {
        let (root, fstab, pid) = (folder.join("root"), folder.join("fstab"), folder.join("pid"));
        Self { folder, root, fstab, pid }
    }

    /// Where the files of an object are, in the memory of the pod's mount namespace.
    pub(super) fn files(&self, volume: &str) -> PathBuf {
        self.folder.join("volumes").join(volume)
    }

    fn inside(&self, target: &str) -> PathBuf {
        self.root.join(target.trim_start_matches('/'))
    }

    /// Makes the skeleton and the table. `claims` are the folders of the claims' volumes.
    pub(super) fn build(
        &self,
        plan: &Plan,
        image: &Image,
        address: Ipv4Addr,
        claims: &BTreeMap<String, PathBuf>,
    ) -> io::Result<()> {
        for folder in ["proc", "etc", "dev/pts", "dev/shm", "bin", "run", "var", "tmp"] {
            fs::create_dir_all(self.root.join(folder))?;
        }
        for shell in SHELLS {
            symlink(format!("/usr/bin/{shell}"), self.root.join("bin").join(shell))?;
        }
        for (link, to) in [("ptmx", "pts/ptmx"), ("fd", "/proc/self/fd")] {
            symlink(to, self.root.join("dev").join(link))?;
        }
        for (number, name) in ["stdin", "stdout", "stderr"].into_iter().enumerate() {
            symlink(format!("/proc/self/fd/{number}"), self.root.join("dev").join(name))?;
        }
        for (name, text) in settings(plan, address) {
            let path = self.root.join("etc").join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o644))?;
        }
        let mut table = Table { places: self, rows: String::new() };
        table.system()?;
        for (source, target) in &image.mounts {
            table.bind(source, target, "ro,nosuid,nodev")?;
        }
        for mount in &plan.mounts {
            table.volume(mount, plan.fs_group, claims)?;
        }
        fs::write(&self.fstab, table.rows)
    }
}

/// The files of `/etc`: who the user is, and where the services are.
fn settings(plan: &Plan, address: Ipv4Addr) -> Vec<(&'static str, String)> {
    let Plan { user, group, hostname, .. } = plan;
    let mut hosts = format!("{HOSTS}{address}\t{hostname}\n\n# Entries added by HostAliases.\n");
    for (address, names) in &plan.hosts {
        hosts += &[address, "\t", &names.join("\t"), "\n"].concat();
    }
    let servers = plan.nameservers.iter().map(|server| format!("nameserver {server}\n"));
    vec![
        ("passwd", format!("root:x:0:0::/:/bin/sh\npod:x:{user}:{group}::/:/bin/sh\n")),
        ("group", format!("root:x:0:\npod:x:{group}:\n")),
        ("hostname", format!("{hostname}\n")),
        ("hosts", hosts),
        ("nsswitch.conf", "hosts: files dns\n".to_owned()),
        ("resolv.conf", servers.collect()),
    ]
}

/// Rows of `fstab(5)`, and the points that they are mounted on.
struct Table<'a> {
    places: &'a Places,
    rows: String,
}

impl Table<'_> {
    /// What is the same for every pod.
    fn system(&mut self) -> io::Result<()> {
        // The root is a mount of its own, so that it can be moved to and made read-only.
        self.row(&self.places.root, &self.places.root, "none", "bind");
        for path in SYSTEM {
            let path = Path::new(path);
            match fs::read_link(path) {
                Ok(to) => symlink(to, self.places.inside(&path.to_string_lossy()))?,
                Err(_) if path.exists() => {
                    self.bind(path, &path.to_string_lossy(), "ro,nosuid,nodev")?;
                }
                Err(_) => {}
            }
        }
        let libraries = Path::new("/etc/ld.so.cache");
        if libraries.exists() {
            self.bind(libraries, "/etc/ld.so.cache", "ro,nosuid,nodev")?;
        }
        for device in DEVICES {
            let path = format!("/dev/{device}");
            self.bind(Path::new(&path), &path, "nosuid,noexec")?;
        }
        let dev = self.places.root.join("dev");
        let terminals = "newinstance,ptmxmode=0666,mode=0620,nosuid,noexec";
        self.row(Path::new("devpts"), &dev.join("pts"), "devpts", terminals);
        let shared = "size=64m,mode=1777,nosuid,nodev,noexec";
        self.row(Path::new("tmpfs"), &dev.join("shm"), "tmpfs", shared);
        Ok(())
    }

    fn volume(
        &mut self,
        mount: &Mount,
        group: u32,
        claims: &BTreeMap<String, PathBuf>,
    ) -> io::Result<()> {
        let access = if mount.read_only { "ro,nosuid,nodev" } else { "rw,nosuid,nodev" };
        let memory = |size: u64| format!("size={size},mode=2777,gid={group},{access}");
        match &mount.source {
            Source::Claim(claim) => match claims.get(claim) {
                Some(folder) => self.bind(folder, &mount.target, access),
                None => Err(io::Error::other(format!("claim {claim} has no folder"))),
            },
            Source::Empty { bytes } => {
                let at = self.places.inside(&mount.target);
                fs::create_dir_all(&at)?;
                self.row(Path::new("tmpfs"), &at, "tmpfs", &memory(*bytes));
                Ok(())
            }
            Source::Files(_) => {
                // In memory: what a Secret holds never lies on this machine's disk.
                let files = self.places.files(&mount.volume);
                fs::create_dir_all(&files)?;
                let options = format!("size=4m,mode=2755,gid={group},nosuid,nodev");
                self.row(Path::new("tmpfs"), &files, "tmpfs", &options);
                self.bind(&files, &mount.target, "ro,nosuid,nodev")
            }
        }
    }

    /// Mounts a file or folder of this machine.
    fn bind(&mut self, source: &Path, target: &str, options: &str) -> io::Result<()> {
        let at = self.places.inside(target);
        if source.is_dir() {
            fs::create_dir_all(&at)?;
        } else {
            fs::create_dir_all(at.parent().unwrap_or(&self.places.root))?;
            fs::write(&at, "")?;
        }
        self.row(source, &at, "none", &format!("bind,{options}"));
        Ok(())
    }

    fn row(&mut self, source: &Path, at: &Path, kind: &str, options: &str) {
        let (source, at) = (escape(source), escape(at));
        self.rows += &[&source, " ", &at, " ", kind, " ", options, " 0 0\n"].concat();
    }
}

/// A path as `fstab(5)` wants it.
fn escape(path: &Path) -> String {
    let escape = |c: char| match c {
        ' ' | '\t' | '\n' | '\\' => format!("\\{:03o}", u32::from(c)),
        c => c.to_string(),
    };
    path.to_string_lossy().chars().map(escape).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_with_blanks_are_one_word() {
        assert_eq!(escape(Path::new("/a b\\c")), "/a\\040b\\134c");
    }
}
