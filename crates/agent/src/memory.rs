//! What memory the pod takes.

use std::{fs, path::Path};

use crate::gateway::family;

/// The whole pod's in bytes, as the kernel accounts its cgroup; without one, the resident memory of
/// the gateway and its processes; 0 where neither can be read.
pub(crate) fn bytes() -> u64 {
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    groups
        .lines()
        .find_map(|line| of_group(Path::new("/sys/fs/cgroup"), line))
        .unwrap_or_else(resident)
}

/// A line of `/proc/self/cgroup`: `0::/path` of version 2, `4:memory:/path` of version 1, where
/// the container may see its own group as the root and yet be told the host's path.
fn of_group(root: &Path, line: &str) -> Option<u64> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (controllers, path) = (parts.next()?, parts.next()?.trim_start_matches('/'));
    let number = |path: &Path| fs::read_to_string(path).ok()?.trim().parse().ok();
    match controllers {
        "" => number(&root.join(path).join("memory.current")),
        "memory" => {
            let root = root.join("memory");
            let used = "memory.usage_in_bytes";
            number(&root.join(path).join(used)).or_else(|| number(&root.join(used)))
        }
        _ => None,
    }
}

fn resident() -> u64 {
    let kibibytes = family().into_iter().filter_map(|pid| {
        let status = fs::read_to_string(format!("/proc/{}/status", pid.as_raw_nonzero())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse::<u64>().ok()
    });
    kibibytes.sum::<u64>() * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_of_cgroups_are_read() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        write("pod/memory.current", "1000\n");
        write("memory/memory.usage_in_bytes", "2000\n");
        write("memory/pod/memory.usage_in_bytes", "3000\n");
        let of = |line| of_group(root.path(), line);
        assert_eq!(of("0::/pod"), Some(1000));
        assert_eq!(of("0::/"), None);
        assert_eq!(of("4:memory:/pod"), Some(3000));
        assert_eq!(of("4:memory:/kubepods/besteffort/x"), Some(2000));
        assert_eq!(of("5:cpu,cpuacct:/pod"), None);
    }
}
