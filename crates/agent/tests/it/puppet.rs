//! A gateway of the tests' own, run by the real Node, which does what no real one does on command.

use std::{fs, path::Path, time::Duration};

use oc_testkit::wait_for;

use crate::{
    chat::Chat,
    model::Model,
    pod::{Pod, START, node},
    process,
};

const TOKEN: &str = "a-platform-token.with-a-signature";

/// Answers probes where its configuration says, and then does `WHAT`.
const SCRIPT: &str = r#"
import http from "node:http";
import fs from "node:fs";
import { spawn } from "node:child_process";
const state = process.env.OPENCLAW_STATE_DIR;
const config = JSON.parse(fs.readFileSync(`${state}/openclaw.json`, "utf8"));
fs.appendFileSync(`${state}/starts`, `${Date.now()}\n`);
const serve = () => http.createServer((request, response) => response.end("{}"))
  .listen(config.gateway.port, "127.0.0.1");
WHAT
"#;

/// A pod whose gateway is a script.
pub(crate) async fn start(what: &str) -> (Chat, Pod) {
    let (chat, mut pod) = prepare(what).await;
    pod.start();
    (chat, pod)
}

/// The same before its start.
pub(crate) async fn prepare(what: &str) -> (Chat, Pod) {
    let (chat, model) = (Chat::start(TOKEN).await, Model::start().await);
    let mut pod = Pod::new(&chat, &model, TOKEN);
    let packages = pod.path("packages");
    let node_folder = node().parent().unwrap().parent().unwrap().to_owned();
    fs::create_dir_all(packages.join("openclaw")).unwrap();
    let name = node_folder.file_name().unwrap();
    std::os::unix::fs::symlink(&node_folder, packages.join(name)).unwrap();
    fs::write(packages.join("openclaw/package.json"), r#"{"version": "1.2.3"}"#).unwrap();
    let script = SCRIPT.replace("WHAT", what);
    fs::write(packages.join("openclaw/openclaw.mjs"), script).unwrap();
    pod.set("OPENCLAW_PACKAGES", packages.to_str().unwrap());
    pod.set("OPENCLAW_GRACE_SECONDS", "2");
    (chat, pod)
}

/// When the gateway was started, in milliseconds.
pub(crate) fn starts(pod: &Pod) -> Vec<u64> {
    let text = fs::read_to_string(pod.path("state/starts")).unwrap_or_default();
    text.lines().map(|line| line.parse().unwrap()).collect()
}

#[tokio::test]
async fn orphans_are_collected_and_what_a_dead_gateway_left_is_ended() {
    // The first shell ends before its child, which ends after it; the second's child would stay.
    let what = r#"
        serve();
        spawn("sh", ["-c", "sleep 0.3 &"]);
        const child = spawn("sh", ["-c", "sleep 1000 & echo $!"], { detached: true });
        child.stdout.on("data", (pid) => fs.writeFileSync(`${state}/left`, pid));
    "#;
    let (chat, pod) = start(what).await;
    pod.ready(&chat).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let dead = |pid: &u32| process::state(*pid) == Some('Z');
    assert!(!process::family(pod.agent()).iter().any(dead));
    let left: u32 = fs::read_to_string(pod.path("state/left")).unwrap().trim().parse().unwrap();
    assert!(process::lives(left));
    process::signal("KILL", &[pod.gateway().unwrap()]);
    wait_for(START, "the second start", async || Ok((starts(&pod).len() == 2).then_some(())))
        .await
        .unwrap();
    assert!(!process::lives(left));
}

#[tokio::test]
async fn a_gateway_that_cannot_start_is_tried_again_later_and_later_or_when_something_changes() {
    let (chat, mut pod) = start(r#"console.log("hopeless"); process.exit(78);"#).await;
    let tries = async || Ok((starts(&pod).len() >= 4).then_some(()));
    wait_for(START, "four starts", tries).await.unwrap();
    let times = starts(&pod);
    let waits: Vec<u64> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    for (wait, least) in waits.iter().zip([1_000, 2_000, 4_000]) {
        assert!((least..least + 1_500).contains(wait), "{waits:?}");
    }
    let told = |beat: &oc_domain::Heartbeat| beat.restarts >= 3;
    let told = chat.heartbeat(START, "the restarts", told).await.unwrap();
    assert_eq!(told.gateway_version, "1.2.3");
    assert_eq!(told.gateway, oc_domain::heartbeat::GatewayPhase::Down);
    assert_eq!((pod.probe("/livez").await, pod.probe("/readyz").await), (200, 503));
    let before = starts(&pod).len();
    pod.change("SOUL.md", |text| format!("{text}\n"));
    let again = async || Ok((starts(&pod).len() > before).then_some(()));
    wait_for(Duration::from_secs(4), "a start at once", again).await.unwrap();
    process::signal("TERM", &[pod.agent()]);
    pod.ended(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn the_pod_ends_as_its_gateway_does() {
    let (chat, mut pod) = start(r#"serve(); process.on("SIGTERM", () => process.exit(7));"#).await;
    pod.ready(&chat).await;
    process::signal("TERM", &[pod.agent()]);
    assert_eq!(pod.ended(Duration::from_secs(5)).await.code(), Some(7));
}

#[tokio::test]
async fn a_gateway_that_does_not_end_is_killed_after_its_grace() {
    let (chat, mut pod) = start(r#"serve(); process.on("SIGTERM", () => {});"#).await;
    pod.ready(&chat).await;
    process::signal("INT", &[pod.agent()]);
    assert_eq!(pod.ended(Duration::from_secs(10)).await.code(), Some(128 + 9));
}

#[tokio::test]
async fn every_line_of_the_log_is_json_without_a_token() {
    let what = r#"
        console.log("┌ a box ┐");
        console.error(`https://api/bot1:${config.channels.telegram.botToken.slice(2)}/getMe`);
        console.log(JSON.stringify({ level: "error", message: `no ${config.gateway.auth.token}` }));
        serve();
    "#;
    let (chat, pod) = start(what).await;
    let failed = |beat: &oc_domain::Heartbeat| beat.last_error.as_deref() == Some("no [token]");
    chat.heartbeat(START, "the error", failed).await.unwrap();
    let log = pod.log();
    assert!(log.contains("/bot1:[token]/getMe") && !log.contains(TOKEN), "{log}");
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["level"].is_string() && line["message"].is_string(), "{line}");
    }
}

#[tokio::test]
async fn without_its_volumes_the_agent_says_so_and_ends() {
    let (chat, model) = (Chat::start(TOKEN).await, Model::start().await);
    let mut pod = Pod::new(&chat, &model, TOKEN);
    pod.set("OPENCLAW_VOLUMES", Path::new("/nonexistent").to_str().unwrap());
    pod.start();
    let ended = pod.ended(Duration::from_secs(5)).await;
    assert_eq!(ended.code(), Some(1));
    assert!(pod.log().contains("/nonexistent/workspace/..data"), "{}", pod.log());
}
