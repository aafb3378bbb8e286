//! Remotes that refuse, hang or are away, and what is left behind then.

use std::{
    fs,
    net::TcpListener,
    time::{Duration, Instant},
};

use oc_gitops::{Error, Fleet, Limits, Options, Outcome, Ssh};
use tokio::time::timeout;

use crate::support::{Remote, apply, assert_gone, hold, id, options};

/// A word for the command line of a process that sleeps, which no other test's has.
fn nap(number: u32) -> String {
    format!("{}.{}{number}", 86_399, std::process::id())
}

fn short() -> Limits {
    let limit = Duration::from_millis(1_500);
    Limits { fetch: limit, push: limit, clone: limit }
}

#[tokio::test]
async fn a_hook_says_why_it_refuses_and_the_same_batch_goes_through_later() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let before = remote.tip();
    for hook in ["pre-receive", "update"] {
        remote.hook(hook, "echo 'the branch is frozen' >&2; exit 1");
        let error = apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap_err();
        assert!(matches!(&error, Error::Hook(_)) && !error.is_transient(), "{error:?}");
        assert!(error.to_string().contains("the branch is frozen"), "{error}");
        remote.unhook(hook);
    }
    assert_eq!(remote.tip(), before);
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    remote.assert_once([1].into_iter());
}

#[tokio::test]
async fn other_refusals_are_told_apart_from_a_branch_that_moved() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    remote.git(&["config", "receive.hideRefs", "refs/heads"]);
    let error = apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap_err();
    assert!(matches!(&error, Error::Refused(_)) && !error.is_transient(), "{error:?}");
    remote.git(&["config", "--unset", "receive.hideRefs"]);
    // Somebody's lock that nobody will take away.
    let lock = remote.path().join("refs/heads/main.lock");
    fs::write(&lock, "").unwrap();
    let error = apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap_err();
    assert!(matches!(&error, Error::BranchMoved { .. }) && error.is_transient(), "{error:?}");
    fs::remove_file(lock).unwrap();
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    remote.assert_once([1].into_iter());
}

#[tokio::test]
async fn a_push_that_hangs_in_a_hook_is_killed_with_all_its_children() {
    let remote = Remote::new(1);
    let mut fleet = Fleet::open(Options { limits: short(), ..remote.options() }).await.unwrap();
    let (nap, started) = (nap(1), Instant::now());
    remote.hook("pre-receive", &format!("sleep {nap} & sleep {nap}"));
    let error = apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap_err();
    assert!(matches!(&error, Error::Timeout { command, .. } if command == "push"), "{error:?}");
    assert!(error.is_transient() && started.elapsed() < Duration::from_secs(10));
    assert_gone(&nap);
    remote.unhook("pre-receive");
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    remote.assert_once([1].into_iter());
}

/// The remote took the push, and then its answer never came.
#[tokio::test]
async fn a_push_whose_answer_is_lost_is_found_again() {
    let remote = Remote::new(1);
    let mut fleet = Fleet::open(Options { limits: short(), ..remote.options() }).await.unwrap();
    let nap = nap(2);
    remote.hook("post-receive", &format!("sleep {nap}"));
    let mut change = hold(1, &id(0));
    let mut noted = None;
    let outcome = fleet.apply(std::slice::from_ref(&change), |tip| {
        noted = Some(tip);
        std::future::ready(Ok(()))
    });
    let error = outcome.await.unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error:?}");
    assert_gone(&nap);
    remote.unhook("post-receive");
    remote.human("human").edit(&id(0), "change 1", "my own");
    change.attempted = noted;
    let outcomes = apply(&mut fleet, &[change]).await.unwrap();
    assert_eq!(
        outcomes,
        [Outcome::Committed(remote.git(&["rev-parse", "main^"]).parse().unwrap())]
    );
    assert_eq!(remote.json(&id(0))["spec"]["hold"]["reason"], "my own");
    remote.assert_once([1].into_iter());
}

/// The same, but the connection ends at once: the call itself looks again.
#[tokio::test]
async fn a_push_whose_answer_is_cut_off_is_found_by_the_same_call() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    // Once: what the second round pushes would not be noticed otherwise.
    remote.hook("post-receive", "rm hooks/post-receive; kill -9 $PPID");
    let outcomes = apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    assert_eq!(outcomes, [Outcome::Committed(remote.tip())]);
    assert!(!remote.path().join("hooks/post-receive").exists());
    remote.assert_once([1].into_iter());
}

#[tokio::test]
async fn a_call_that_is_given_up_leaves_no_process() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let nap = nap(3);
    remote.hook("pre-receive", &format!("sleep {nap}"));
    let changes = [hold(1, &id(0))];
    timeout(Duration::from_millis(1_500), apply(&mut fleet, &changes)).await.unwrap_err();
    assert_gone(&nap);
    remote.unhook("pre-receive");
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    remote.assert_once([1].into_iter());
}

/// The real `ssh` and the real http helper, and a server that accepts and says nothing.
#[tokio::test]
async fn a_server_that_says_nothing_ends_in_a_time_out_and_leaves_no_process() {
    let remote = Remote::empty();
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = server.local_addr().unwrap();
    let key = remote.folder().join("key of ours");
    let hosts = remote.folder().join("known hosts");
    fs::write(&key, "").unwrap();
    fs::write(&hosts, "").unwrap();
    for scheme in ["ssh://git@", "http://"] {
        let url = format!("{scheme}{address}/fleet.git");
        let ssh = Ssh { key: key.clone(), known_hosts: hosts.clone() };
        let options =
            Options { limits: short(), ssh: Some(ssh), ..options(&remote.directory(), &url) };
        let error = Fleet::open(options).await.err().unwrap();
        assert!(matches!(&error, Error::Timeout { .. }) && error.is_transient(), "{error:?}");
        assert_gone(&format!(":{}", address.port()));
    }
}

#[tokio::test]
async fn a_remote_that_is_away_is_waited_for() {
    let remote = Remote::new(1);
    let mut fleet = remote.open().await;
    let aside = remote.folder().join("aside.git");
    fs::rename(remote.path(), &aside).unwrap();
    for _ in 0..2 {
        let error = apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap_err();
        assert!(matches!(&error, Error::Remote { .. }) && error.is_transient(), "{error:?}");
    }
    // What is there is not thrown away for that.
    assert!(remote.clone_path().join("refs/openclaw/tip").exists());
    drop(fleet);
    let mut fleet = remote.open().await;
    fs::rename(&aside, remote.path()).unwrap();
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    remote.assert_once([1].into_iter());
}

#[tokio::test]
async fn a_clone_has_one_user_at_a_time() {
    let remote = Remote::new(1);
    let fleet = remote.open().await;
    let error = Fleet::open(remote.options()).await.err().unwrap();
    assert!(matches!(&error, Error::Locked(_)), "{error:?}");
    assert!(error.to_string().starts_with("another process uses the clone in "), "{error}");
    drop(fleet);
    remote.open().await;
}

/// Settings that would sign, rewrite, alias or hang, in the place where git looks for them.
#[tokio::test]
async fn nobodys_settings_leak_in() {
    let remote = Remote::new(1);
    fs::create_dir_all(remote.directory()).unwrap();
    let settings = "[commit]\n\tgpgsign = true\n[url \"/nowhere\"]\n\tinsteadOf = /\n[core]\n\thooksPath = /nowhere\n";
    fs::write(remote.directory().join(".gitconfig"), settings).unwrap();
    fs::write(remote.directory().join(".netrc"), "machine 127.0.0.1 login a password b").unwrap();
    let mut fleet = remote.open().await;
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    remote.assert_once([1].into_iter());
}
