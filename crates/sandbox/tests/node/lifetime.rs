//! Ends: of pods, of the node, of the API server.

use std::{
    env, fs,
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use kube::{
    Client, Config, ResourceExt as _,
    config::{KubeConfigOptions, Kubeconfig},
};
use oc_sandbox::node::Node;
use tokio::time::{Instant, sleep};

use crate::support::{
    Stage, cluster, condition, container, is_ready, options, processes, restarts, root, shared,
    until,
};
use crate::tenant::Tenant;

/// Names a folder and a kubeconfig to the test that is a node in a process of its own.
const ROLE: &str = "OPENCLAW_TEST_NODE";

#[tokio::test]
async fn a_deleted_pod_has_its_grace_and_no_more() {
    if !root() {
        return;
    }
    let stage = Stage::new("grace").await;
    let tenant = stage.tenant("c-grace000");
    tenant.apply().await;
    let pod = tenant.ready().await;
    let log = stage.node.as_ref().unwrap().logs(&tenant.id.namespace(), &pod.name_any());
    let began = Instant::now();
    tenant.delete_pod(&pod.name_any(), 30).await;
    tenant.gone(&pod).await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    assert_eq!(fs::read_to_string(log).unwrap(), "started\nasked to end\n");

    let next = |pod: &k8s_openapi::api::core::v1::Pod| {
        is_ready(pod) && pod.metadata.deletion_timestamp.is_none()
    };
    let pod = tenant.pod("the next pod", next).await;
    tenant.set("slow", "60").await;
    let began = Instant::now();
    tenant.delete_pod(&pod.name_any(), 3).await;
    tenant.gone(&pod).await;
    let took = began.elapsed().as_secs_f32();
    assert!((2.0..8.0).contains(&took), "{took} s");

    // Without any grace the object is gone before the node hears of it.
    tenant.pod("the next pod", next).await;
    let pod = tenant.ready().await;
    tenant.scale(0).await;
    tenant.delete_pod(&pod.name_any(), 0).await;
    let left = stage.folder.path().join("pods").join(pod.uid().unwrap());
    until("its processes to be gone", || processes(&left).is_empty().then_some(())).await;
    until("its folder to be gone", || (!left.exists()).then_some(())).await;
}

#[tokio::test]
async fn pods_live_without_the_api_server_and_start_again_with_their_node() {
    if !root() {
        return;
    }
    let mut cluster = cluster().await;
    let mut stage = Stage::on(&cluster, "restarted", Vec::new()).await;
    let tenant = stage.tenant("c-node0000");
    tenant.apply().await;
    let pod = tenant.ready().await;
    tenant.inside("mark.sh", "echo same >/tmp/mark").await;
    cluster.kill_api_server().unwrap();
    sleep(Duration::from_secs(2)).await;
    let state = stage.folder.path().join("volumes");
    let state = fs::read_dir(state).unwrap().next().unwrap().unwrap().path();
    fs::write(state.join("unready"), "").unwrap();
    // Three failed probes, 5 s apart: the node notices, and tells it later.
    sleep(Duration::from_secs(16)).await;
    cluster.restart_api_server().await.unwrap();
    let after = tenant.pod("what happened meanwhile", |pod| !is_ready(pod)).await;
    assert_eq!((after.uid(), restarts(&after)), (pod.uid(), 0));
    fs::remove_file(state.join("unready")).unwrap();
    assert_eq!(tenant.inside("mark.sh", "cat /tmp/mark").await, "same\n");
    tenant.ready().await;

    stage.node.take().unwrap().stop().await;
    assert_eq!(processes(stage.folder.path()), Vec::<String>::new());
    stage.node = Some(Node::start(stage.options.clone()).await.unwrap());
    let after = tenant.pod("the pod to run again", |pod| is_ready(pod) && restarts(pod) == 1).await;
    assert_eq!(after.uid(), pod.uid());
    assert_eq!(container(&after)["lastState"]["terminated"]["reason"], "ContainerStatusUnknown");
    assert_eq!(condition(&after, "Ready"), Some("True"));
    assert_eq!(tenant.inside("mark.sh", "ls /tmp").await, "");
}

#[tokio::test]
async fn a_killed_node_leaves_no_process_and_the_next_one_goes_on() {
    if !root() {
        return;
    }
    let cluster = shared().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("kubeconfig"), fs::read(cluster.kubeconfig()).unwrap()).unwrap();
    let start = || {
        Command::new(env::current_exe().unwrap())
            .args(["--exact", "lifetime::the_node_of_another_test", "--ignored", "--nocapture"])
            .env(ROLE, folder.path())
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let mut node = start();
    let client = cluster.client().unwrap();
    let tenant = Tenant::new(client, "killed", folder.path(), "c-killed00");
    tenant.apply().await;
    let pod = tenant.ready().await;
    let pods = folder.path().join("pods");
    assert!(!processes(&pods).is_empty());
    node.kill().unwrap();
    node.wait().unwrap();
    let began = Instant::now();
    until("every process to be gone", || processes(&pods).is_empty().then_some(())).await;
    eprintln!("gone after {} ms", began.elapsed().as_millis());
    let mut node = start();
    let again = |pod: &k8s_openapi::api::core::v1::Pod| is_ready(pod) && restarts(pod) == 1;
    let after = tenant.pod("the pod to run again", again).await;
    assert_eq!(after.uid(), pod.uid());
    node.kill().unwrap();
    node.wait().unwrap();
    // Cgroups are all that stayed, and the next node removes them.
    let options = options(tenant.client.clone(), "killed", folder.path(), Vec::new());
    Node::start(options).await.unwrap().stop().await;
}

/// Not a test: a process that another test kills.
#[tokio::test]
#[ignore = "the test above starts it"]
async fn the_node_of_another_test() {
    let folder = env::var_os(ROLE).unwrap();
    let folder = Path::new(&folder);
    let file = Kubeconfig::read_from(folder.join("kubeconfig")).unwrap();
    let mut config =
        Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await.unwrap();
    config.proxy_url = None;
    let client = Client::try_from(config).unwrap();
    let _node = Node::start(options(client, "killed", folder, Vec::new())).await.unwrap();
    std::future::pending::<()>().await;
}
