use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use oc_testkit::{Cluster, Options, wait_for};
use tokio::time::Instant;

use crate::PATIENCE;

#[tokio::test]
async fn a_stopped_cluster_leaves_nothing() {
    let begun = Instant::now();
    let cluster = Cluster::start(Options::api_only()).await.unwrap();
    eprintln!("etcd and kube-apiserver ready after {:.1} s", begun.elapsed().as_secs_f32());
    let (pids, directory) = remains(&cluster);
    assert_eq!(pids.len(), 2);
    assert!(pids.iter().all(|pid| is_alive(*pid)) && directory.exists());
    let begun = Instant::now();
    drop(cluster);
    eprintln!("stopped after {:.3} s", begun.elapsed().as_secs_f32());
    assert!(!pids.iter().any(|pid| entry(*pid).exists()) && !directory.exists());
}

#[tokio::test]
async fn a_panicking_test_leaves_nothing() {
    let cluster = Cluster::start(Options::api_only()).await.unwrap();
    let (pids, directory) = remains(&cluster);
    #[expect(clippy::disallowed_methods, reason = "the panic is what the test waits for")]
    let panicked = tokio::spawn(async move {
        assert!(cluster.directory().ends_with("nowhere"), "on purpose");
    });
    assert!(panicked.await.unwrap_err().is_panic());
    assert!(!pids.iter().any(|pid| entry(*pid).exists()) && !directory.exists());
}

#[tokio::test]
async fn a_killed_process_leaves_nothing() {
    let mut process = Command::new(env!("CARGO_BIN_EXE_oc-testkit"))
        .args(["up", "--nodes", "1"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut kubeconfig = PathBuf::new();
    let mut pids = Vec::new();
    for line in BufReader::new(process.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        match line.split_whitespace().collect::<Vec<_>>()[..] {
            ["export", value] => kubeconfig = value.strip_prefix("KUBECONFIG=").unwrap().into(),
            ["#", _, pid, _, "MiB"] => pids.push(pid.parse().unwrap()),
            _ => break,
        }
    }
    let directory = kubeconfig.parent().unwrap();
    assert!(pids.len() == 5 && pids.iter().all(|pid| is_alive(*pid)), "{pids:?}");
    process.kill().unwrap(); // SIGKILL: no destructor runs.
    process.wait().unwrap();
    let gone =
        async || Ok((!directory.exists() && !pids.iter().any(|pid| is_alive(*pid))).then_some(()));
    wait_for(PATIENCE, "the cluster to be gone", gone).await.unwrap();
}

#[tokio::test]
async fn what_fails_to_start_says_why() {
    let options = Options { service_range: "10.43.0.0/99".to_owned(), ..Options::api_only() };
    let error = format!("{:#}", Cluster::start(options).await.unwrap_err());
    assert!(
        error.contains("kube-apiserver ended") && error.contains("not a valid cidr"),
        "{error}"
    );
}

fn remains(cluster: &Cluster) -> (Vec<u32>, PathBuf) {
    let pids = cluster.usage().unwrap().iter().map(|process| process.pid).collect();
    (pids, cluster.directory().to_owned())
}

/// Exists until a process is dead and its parent has taken note.
fn entry(pid: u32) -> PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// Not so for a dead one of which the machine's first process has not taken note yet.
fn is_alive(pid: u32) -> bool {
    fs::read(entry(pid).join("cmdline")).is_ok_and(|line| !line.is_empty())
}
