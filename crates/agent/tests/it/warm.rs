//! The code that V8 compiled when the image was made.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, symlink},
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, SystemTime},
};

use oc_testkit::wait_for;

use crate::{
    chat::Chat,
    model::Model,
    pod::{Pod, node, packages},
    puppet,
};

const TOKEN: &str = "a-platform-token.with-a-signature";
const ACCEPTED: &str = "was accepted";
const READ: &str = "reading cache from";

/// Each file below it, with its size and its last change.
fn listing(folder: &Path) -> Vec<(PathBuf, u64, SystemTime)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            found.extend(listing(&path));
        } else {
            found.push((path, metadata.len(), metadata.modified().unwrap()));
        }
    }
    found.sort();
    found
}

/// Fills the cache beside a puppet's packages, as `scripts/lib/warm-openclaw.mjs` does the real one.
fn fill(pod: &Pod, cache: &Path) {
    let status = Command::new(node())
        .arg(pod.path("packages/openclaw/openclaw.mjs"))
        .env("OPENCLAW_STATE_DIR", pod.path("state"))
        .env("NODE_COMPILE_CACHE", cache)
        .env("NODE_COMPILE_CACHE_PORTABLE", "1")
        .status();
    assert!(status.unwrap().success());
    let tag = fs::read_dir(cache).unwrap().next().unwrap().unwrap().file_name();
    let user = fs::metadata("/proc/self").unwrap().uid();
    symlink(&tag, cache.join(format!("{}-{user}", tag.to_str().unwrap()))).unwrap();
}

/// What the log of the gateway's next start says.
async fn next_start(pod: &Pod) -> String {
    let (begun, before) = (puppet::starts(pod).len(), pod.log().len());
    let later = async || Ok((puppet::starts(pod).len() > begun + 1).then_some(()));
    wait_for(Duration::from_mins(1), "two more starts", later).await.unwrap();
    pod.log().split_off(before)
}

#[tokio::test]
async fn a_cache_beside_the_packages_is_read_and_one_that_is_missing_or_damaged_harms_nothing() {
    let (_chat, mut pod) = puppet::prepare("setTimeout(() => process.exit(), 100);").await;
    pod.set("NODE_DEBUG_NATIVE", "COMPILE_CACHE");
    pod.start();
    let missing = next_start(&pod).await;
    assert!(!missing.contains(READ), "{missing}");

    let cache = pod.path("compile-cache");
    let filled = pod.path("filled");
    fill(&pod, &filled);
    let before = listing(&filled);
    fs::rename(&filled, &cache).unwrap();
    let read = next_start(&pod).await;
    assert!(read.contains(ACCEPTED), "{read}");
    let names = |files: Vec<(PathBuf, u64, SystemTime)>| -> Vec<_> {
        files
            .into_iter()
            .map(|(path, size, at)| (path.file_name().unwrap().to_owned(), size, at))
            .collect()
    };
    assert_eq!(names(listing(&cache)), names(before));

    for (path, ..) in listing(&cache) {
        if path.is_file() && !path.is_symlink() {
            fs::write(&path, b"no code at all").unwrap();
        }
    }
    let damaged = next_start(&pod).await;
    assert!(damaged.contains(READ) && !damaged.contains(ACCEPTED), "{damaged}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_gateway_reads_nearly_all_of_its_code_from_the_cache_and_leaves_it_as_it_is() {
    let cache = packages().with_file_name("compile-cache");
    assert!(cache.is_dir(), "no {}: run scripts/test, which fills it", cache.display());
    let before = listing(&fs::canonicalize(&cache).unwrap());
    let (chat, model) = (Chat::start(TOKEN).await, Model::start().await);
    let mut pod = Pod::new(&chat, &model, TOKEN);
    pod.set("NODE_DEBUG_NATIVE", "COMPILE_CACHE");
    pod.start();
    pod.ready(&chat).await;
    pod.turn(&chat, &model, "olá [[kimi frames=1]]").await;
    let log = pod.log();
    let (read, accepted) = (log.matches(READ).count(), log.matches(ACCEPTED).count());
    println!("{accepted} accepted, {read} read");
    assert!(accepted > 1000 && accepted * 100 > read * 95, "{accepted} accepted, {read} read");
    assert_eq!(listing(&fs::canonicalize(&cache).unwrap()), before);
}
