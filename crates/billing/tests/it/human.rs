//! Somebody who pushes to the fleet repository every second.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use oc_sandbox::{Remote, git};

/// Between two pushes: more often than people do. Who pushes without any pause wins each race against
/// a batch, which takes longer than one push.
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) struct Human {
    stop: Arc<AtomicBool>,
    working: std::sync::Mutex<Option<JoinHandle<usize>>>,
}

impl Human {
    /// Begins to write into a file of its own, a line and a push at a time.
    pub(crate) fn start(folder: &Path) -> Self {
        git(folder, &["clone", "--quiet", "remote.git", "human"]).unwrap();
        let (copy, stop) = (folder.join("human"), Arc::new(AtomicBool::new(false)));
        let stopped = Arc::clone(&stop);
        let working = thread::spawn(move || work(&copy, &stopped));
        Self { stop, working: std::sync::Mutex::new(Some(working)) }
    }

    /// Lets it finish; gives how many commits it has pushed.
    pub(crate) fn stop(&self) -> usize {
        self.stop.store(true, Relaxed);
        self.working.lock().unwrap().take().unwrap().join().unwrap()
    }

    /// Each of its commits is in the history, and each of its lines in the file.
    pub(crate) fn assert_all_there(remote: &Remote, commits: usize) {
        let log = remote.git(&["log", "--format=%s", "--grep=by hand", "main"]).unwrap();
        assert_eq!(log.lines().count(), commits);
        let expected: Vec<String> = (0..commits).map(|line| format!("line {line}")).collect();
        assert_eq!(remote.git(&["show", "main:notes.md"]).unwrap(), expected.join("\n"));
    }
}

fn work(copy: &Path, stopped: &AtomicBool) -> usize {
    let mut text = String::new();
    for line in 0.. {
        if stopped.load(Relaxed) && line > 0 {
            return line;
        }
        writeln!(text, "line {line}").unwrap();
        fs::write(copy.join("notes.md"), &text).unwrap();
        git(copy, &["add", "notes.md"]).unwrap();
        git(copy, &["commit", "--quiet", "-m", &format!("by hand {line}")]).unwrap();
        let mut tries = 0;
        while git(copy, &["push", "--quiet"]).is_err() {
            tries += 1;
            assert!(tries < 500, "others were faster 500 times");
            git(copy, &["pull", "--quiet", "--rebase"]).unwrap();
        }
        thread::sleep(PAUSE);
    }
    unreachable!()
}
