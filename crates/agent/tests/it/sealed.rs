//! The agent as PID 1 of namespaces of its own: another user, a root that is read-only, and what can
//! be found in such a pod.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, chown},
    path::Path,
    process::Command,
};

use crate::{
    chat::Chat,
    model::Model,
    pod::{Pod, packages},
    process,
};

const TOKEN: &str = "a-platform-token.with-a-signature";

/// Mounts what a pod has, gives up every right, and becomes the agent.
const ENTER: &str = r#"
set -eu
mount -t tmpfs -o mode=755 none /opt
mkdir -p /opt/openclaw/node_modules
mount --bind "$1" /opt/openclaw/node_modules
if [ -d "$1/../compile-cache" ]; then
  mkdir /opt/openclaw/compile-cache
  mount --bind "$1/../compile-cache" /opt/openclaw/compile-cache
fi
mount --bind "$2" "$2"
mount -t tmpfs -o mode=1777 none /tmp
mount -o remount,bind,ro /
agent=$3
shift 3
exec setpriv "$@" --no-new-privs --inh-caps=-all --bounding-set=-all "$agent"
"#;

/// As root another user takes over; else it stays ours, which is no root either.
fn enter(pod: &Pod) -> Command {
    let root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let mut command = Command::new("unshare");
    command.args(["--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]);
    if !root {
        command.args(["--user", "--map-current-user", "--keep-caps"]);
    }
    command.args(["sh", "-c", ENTER, "sh"]);
    command.arg(packages()).arg(pod.folder.path()).arg(env!("CARGO_BIN_EXE_oc-agent"));
    if root {
        command.args(["--reuid=10001", "--regid=10001", "--clear-groups"]);
    }
    command
}

/// A pod's volumes belong to its user.
fn give(path: &Path) {
    if fs::metadata(path).unwrap().uid() == 0 {
        chown(path, Some(10_001), Some(10_001)).unwrap();
    }
    for entry in fs::read_dir(path).unwrap().flatten().filter(|entry| entry.path().is_dir()) {
        if !entry.path().is_symlink() {
            give(&entry.path());
        }
    }
}

/// Every file below it, by path.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(path).into_iter().flatten().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            found.extend(files(&entry.path()));
        } else if kind.is_file() {
            let name = entry.path().to_str().unwrap().to_owned();
            found.push((name, fs::read(entry.path()).unwrap_or_default()));
        }
    }
    found
}

fn holds(bytes: &[u8], word: &str) -> bool {
    bytes.windows(word.len()).any(|window| window == word.as_bytes())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_pod_works_and_holds_no_secret_but_its_platform_token() {
    let (chat, model) = (Chat::start(TOKEN).await, Model::start().await);
    let mut pod = Pod::new(&chat, &model, TOKEN);
    pod.set("OPENCLAW_PACKAGES", "/opt/openclaw/node_modules");
    pod.set("TMPDIR", "/tmp");
    give(pod.folder.path());
    pod.start_as(enter(&pod));
    pod.ready(&chat).await;
    let (reply, _) = pod.turn(&chat, &model, "olá [[kimi frames=1]]").await;
    assert!(reply.starts_with("00000000 "), "{reply}");

    let config = fs::read_to_string(pod.path("state/openclaw.json")).unwrap();
    let config: serde_json::Value = serde_json::from_str(&config).unwrap();
    let gateway_token = config["gateway"]["auth"]["token"].as_str().unwrap();
    assert_eq!(gateway_token.len(), 64);
    let family = process::family(pod.agent());
    assert!(family.len() >= 3, "{family:?}");
    for pid in &family {
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
        let shown = String::from_utf8_lossy(&environment).replace('\0', "\n");
        for bytes in [environment, process::arguments(*pid).into_bytes()] {
            assert!(!holds(&bytes, TOKEN) && !holds(&bytes, gateway_token), "{shown}");
        }
    }
    // Through the agent's own eyes: its /tmp is another one.
    let inside = format!("/proc/{}/root/tmp", family[1]);
    let found = [files(Path::new(&inside)), files(pod.folder.path())].concat();
    let named = |word: &str| -> Vec<&str> {
        let with = found.iter().filter(|(_, bytes)| holds(bytes, word));
        let place = pod.folder.path().to_str().unwrap();
        with.map(|(name, _)| name.strip_prefix(place).unwrap_or(name)).collect()
    };
    let mut platform = named(TOKEN);
    platform.retain(|name| !name.starts_with("/volumes/"));
    assert_eq!(platform, ["/state/openclaw.json"]);
    assert_eq!(named(gateway_token), ["/state/openclaw.json"]);
}
