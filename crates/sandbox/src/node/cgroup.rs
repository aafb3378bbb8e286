//! Limits of CPU and memory, where this machine lets us set them: cgroup v2, or the controllers of
//! v1.

use std::{
    fs, io,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

use tokio::time::sleep;

/// The folder of all nodes of this machine below a controller's root; each pod has one in it.
const FOLDER: &str = "openclaw-node";
/// In microseconds.
const CPU_PERIOD: u64 = 100_000;
/// How often it is looked whether a process was killed for want of memory.
const GLANCE: Duration = Duration::from_millis(500);

/// Where limits can be set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Cgroups {
    cpu: Option<PathBuf>,
    memory: Option<PathBuf>,
    unified: bool,
}

impl Cgroups {
    /// What this machine offers.
    pub(super) fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let mut found = Self::in_mounts(&mounts);
        let usable = |root: &PathBuf| fs::create_dir_all(root.join(FOLDER)).is_ok();
        if found.unified {
            let root = found.memory.clone().filter(usable).filter(|root| delegate(root).is_ok());
            return Self { cpu: root.clone(), memory: root, unified: true };
        }
        found.cpu = found.cpu.filter(usable);
        found.memory = found.memory.filter(usable);
        found
    }

    /// The hierarchies in a table of mounts; controllers of v1 go first.
    fn in_mounts(mounts: &str) -> Self {
        let rows = mounts.lines().map(|row| row.split(' ').collect::<Vec<_>>());
        let (mut found, mut unified) = (Self::default(), None);
        for row in rows {
            let [_, at, kind, options, ..] = row[..] else { continue };
            let has = |wanted: &str| kind == "cgroup" && options.split(',').any(|it| it == wanted);
            match kind {
                "cgroup2" => unified = unified.or(Some(PathBuf::from(at))),
                _ if has("memory") => found.memory = Some(PathBuf::from(at)),
                _ if has("cpu") => found.cpu = Some(PathBuf::from(at)),
                _ => {}
            }
        }
        if found == Self::default() {
            return Self { cpu: unified.clone(), memory: unified, unified: true };
        }
        found
    }

    /// What cannot be limited.
    pub(super) fn missing(&self) -> Option<String> {
        let parts = [("cpu", &self.cpu), ("memory", &self.memory)];
        let missing = parts.iter().filter(|(_, at)| at.is_none()).map(|(name, _)| *name);
        Some(missing.collect::<Vec<_>>().join(", ")).filter(|missing| !missing.is_empty())
    }

    /// The cgroup of a pod, with its limits.
    pub(super) fn make(
        &self,
        uid: &str,
        cpu_millis: Option<u64>,
        memory_bytes: Option<u64>,
    ) -> io::Result<Cgroup> {
        let at = |root: &PathBuf| root.join(FOLDER).join(uid);
        let group = Cgroup {
            cpu: self.cpu.as_ref().map(at),
            memory: self.memory.as_ref().map(at),
            unified: self.unified,
        };
        for folder in group.folders() {
            fs::create_dir_all(folder)?;
        }
        if let (Some(at), Some(bytes)) = (&group.memory, memory_bytes) {
            group.limit_memory(at, bytes)?;
        }
        if let (Some(at), Some(millis)) = (&group.cpu, cpu_millis) {
            let quota = millis * CPU_PERIOD / 1000;
            if self.unified {
                fs::write(at.join("cpu.max"), format!("{quota} {CPU_PERIOD}"))?;
            } else {
                fs::write(at.join("cpu.cfs_period_us"), CPU_PERIOD.to_string())?;
                fs::write(at.join("cpu.cfs_quota_us"), quota.to_string())?;
            }
        }
        Ok(group)
    }

    /// Removes what an earlier node left of a pod.
    pub(super) fn remove(&self, uid: &str) {
        let at = |root: &PathBuf| root.join(FOLDER).join(uid);
        let (cpu, memory) = (self.cpu.as_ref().map(at), self.memory.as_ref().map(at));
        drop(Cgroup { cpu, memory, unified: self.unified });
    }
}

/// Lets the groups of pods have the controllers.
fn delegate(root: &Path) -> io::Result<()> {
    for folder in [root.to_owned(), root.join(FOLDER)] {
        fs::write(folder.join("cgroup.subtree_control"), "+cpu +memory")?;
    }
    Ok(())
}

/// The limits of one pod; they end with this value.
#[derive(Debug)]
pub(super) struct Cgroup {
    cpu: Option<PathBuf>,
    memory: Option<PathBuf>,
    unified: bool,
}

impl Cgroup {
    /// Where a process has to be entered.
    pub(super) fn folders(&self) -> Vec<&Path> {
        let mut folders: Vec<_> = [&self.cpu, &self.memory].into_iter().flatten().collect();
        folders.dedup();
        folders.into_iter().map(PathBuf::as_path).collect()
    }

    fn limit_memory(&self, at: &Path, bytes: u64) -> io::Result<()> {
        // No swap beyond the limit, where the kernel accounts for swap at all.
        if self.unified {
            fs::write(at.join("memory.max"), bytes.to_string())?;
            let _ = fs::write(at.join("memory.swap.max"), "0");
            fs::write(at.join("memory.oom.group"), "1")
        } else {
            fs::write(at.join("memory.limit_in_bytes"), bytes.to_string())?;
            let _ = fs::write(at.join("memory.memsw.limit_in_bytes"), bytes.to_string());
            Ok(())
        }
    }

    /// How many processes were killed for want of memory so far.
    pub(super) fn kills(&self) -> u64 {
        let name = if self.unified { "memory.events" } else { "memory.oom_control" };
        let text = self.memory.as_ref().and_then(|at| fs::read_to_string(at.join(name)).ok());
        let text = text.unwrap_or_default();
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "));
        count.and_then(|count| count.parse().ok()).unwrap_or_default()
    }

    /// Returns once more than `before` were. A kubelet has the kernel kill the whole container with
    /// the first of its processes; v1 does not know that, so our caller does it.
    pub(super) async fn killed(&self, before: u64) {
        while self.kills() <= before {
            sleep(GLANCE).await;
        }
    }
}

impl Drop for Cgroup {
    /// The last processes may still be ending, if nobody has waited for them.
    fn drop(&mut self) {
        for folder in self.folders() {
            for _ in 0..50 {
                match fs::remove_dir(folder) {
                    Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                        thread::sleep(Duration::from_millis(10));
                    }
                    // Or it was never made.
                    _ => break,
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_are_found_in_the_table_of_mounts() {
        let v2 = "proc /proc proc rw 0 0\ncgroup2 /sys/fs/cgroup cgroup2 rw,nsdelegate 0 0\n";
        let root = Some(PathBuf::from("/sys/fs/cgroup"));
        let unified = Cgroups { cpu: root.clone(), memory: root, unified: true };
        assert_eq!(Cgroups::in_mounts(v2), unified);
        let v1 = "cgroup /c/cpu,cpuacct cgroup rw,cpu,cpuacct 0 0\n\
                  cgroup /c/memory cgroup rw,memory 0 0\ncgroup2 /c/unified cgroup2 rw 0 0\n";
        let found = Cgroups::in_mounts(v1);
        assert_eq!(found.cpu, Some(PathBuf::from("/c/cpu,cpuacct")));
        assert_eq!(found.memory, Some(PathBuf::from("/c/memory")));
        assert!(!found.unified);
        assert_eq!(Cgroups::in_mounts("").missing().as_deref(), Some("cpu, memory"));
    }
}
