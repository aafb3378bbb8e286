//! What a pod sees and may do.

use std::{fs, path::Path};

use crate::support::{Stage, root};

#[tokio::test]
async fn a_pod_sees_its_own_files_and_processes_and_may_do_nothing_else() {
    if !root() {
        return;
    }
    let stage = Stage::new("confined").await;
    let tenant = stage.tenant("c-confine0");
    tenant.apply().await;
    tenant.ready().await;
    let run = async |name: &str, script: &str| tenant.inside(name, script).await;

    // Files: the top of the tree is ours, and so is all of /etc.
    let top = run("top.sh", "ls -A /").await;
    let mut expected = vec!["bin", "dev", "etc", "lib", "proc", "run", "sbin", "tmp", "usr", "var"];
    expected.extend(Path::new("/lib64").exists().then_some("lib64"));
    expected.sort_unstable();
    assert_eq!(top.lines().collect::<Vec<_>>(), expected);
    let etc = run("etc.sh", "ls -A /etc").await;
    assert_eq!(
        etc.split_whitespace().collect::<Vec<_>>(),
        [
            "group",
            "hostname",
            "hosts",
            "ld.so.cache",
            "nsswitch.conf",
            "openclaw",
            "passwd",
            "resolv.conf"
        ]
    );
    let names = "root bin sbin home work srv media mnt opt sys boot proc/1/root/root";
    let missing =
        run("no.sh", &format!("cd /; for d in {names}; do ls -A $d; done; ls /tmp")).await;
    assert!(!missing.contains(env!("CARGO_MANIFEST_DIR")), "{missing}");
    let dev = run("dev.sh", "ls /dev").await;
    assert_eq!(
        dev.split_whitespace().collect::<Vec<_>>(),
        [
            "fd", "full", "null", "ptmx", "pts", "random", "shm", "stderr", "stdin", "stdout",
            "tty", "urandom", "zero"
        ]
    );
    let folder = stage.folder.path().to_str().unwrap();
    let leaks = run("fds.sh", "ls -l /proc/1/fd; cat /proc/1/cmdline /proc/1/environ").await;
    assert!(!leaks.contains(folder), "{leaks}");

    // Writing: volumes alone.
    let written = run(
        "write.sh",
        "for f in /x /usr/x /etc/x /etc/hosts /bin/x /proc/sys/kernel/hostname /dev/x \
         /etc/openclaw/workspace/x /etc/openclaw/secret/platform-token; do \
         (echo x >>$f) 2>/dev/null && echo $f; done; \
         for f in /tmp/x /var/lib/openclaw/x /dev/shm/x; do echo x >$f && rm $f && echo $f; done",
    );
    assert_eq!(written.await, "/tmp/x\n/var/lib/openclaw/x\n/dev/shm/x\n");
    let full = run("full.sh", "head -c 600M /dev/zero >/tmp/big; stat -c %s /tmp/big; rm /tmp/big");
    assert!(full.await.contains("536870912"), "the size limit of /tmp");

    // Rights.
    let status = run("status.sh", "cat /proc/1/status").await;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    for kind in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(kind), "0000000000000000", "{kind}");
    }
    assert_eq!(field("Uid:"), "10001 10001 10001 10001");
    assert_eq!(field("Gid:"), "10001 10001 10001 10001");
    assert_eq!(field("Groups:"), "10001");
    assert_eq!(field("NoNewPrivs:"), "1");

    // Processes, names, environment.
    let seen = run("ps.sh", "ls /proc | grep -c '^[0-9]'; cat /proc/[0-9]*/comm").await;
    assert!(seen.lines().next().unwrap().parse::<u32>().unwrap() <= 6, "{seen}");
    assert_eq!(run("host.sh", "cat /proc/sys/kernel/hostname").await, "agent\n");
    let environment = run("env.sh", "tr '\\0' '\\n' </proc/1/environ | cut -d= -f1 | sort").await;
    let names: Vec<&str> = environment.lines().collect();
    for wanted in ["HOME", "HOSTNAME", "OF_THE_IMAGE", "OPENCLAW_TENANT_ID", "PATH"] {
        assert!(names.contains(&wanted), "{names:?}");
    }
    let foreign = names.iter().filter(|name| !name.starts_with("OPENCLAW_"));
    let foreign: Vec<_> = foreign.collect();
    assert_eq!(
        foreign,
        [
            "_",
            "HOME",
            "HOSTNAME",
            "MALLOC_ARENA_MAX",
            "NODE_OPTIONS",
            "OF_THE_IMAGE",
            "PATH",
            "PWD",
            "TMPDIR"
        ]
        .iter()
        .filter(|name| names.contains(name))
        .collect::<Vec<_>>()
    );
    // What is mounted there exists for the pod alone.
    assert_eq!(fs::read_dir(stage.folder.path().join("pods")).unwrap().count(), 1);
    assert!(!fs::read_to_string("/proc/self/mounts").unwrap().contains(folder));
}
