//! What was asked of the account, in a file: a stand-in that is started on it again answers it all
//! once more, at the times of then, and so has the same objects under the same ids.

use std::{
    fs::{self, File},
    io::{self, BufRead as _, BufReader, Write as _},
    path::Path,
};

use bytes::Bytes;
use http::{Request, request::Parts};
use serde::{Deserialize, Serialize};

use super::{
    Shared,
    http::dispatch,
    state::{Clock, State, wall},
};

/// The headers that make a difference.
const HEADERS: [&str; 3] = ["authorization", "idempotency-key", "stripe-version"];

/// A file of requests, which grows.
pub(super) struct Journal(File);

/// A request that may have changed something.
#[derive(Serialize, Deserialize)]
struct Entry {
    /// The time of day, in seconds after 1970.
    wall: i64,
    /// The account's time.
    now: i64,
    method: String,
    uri: String,
    headers: Vec<(String, String)>,
    body: String,
}

impl Journal {
    fn open(path: &Path) -> io::Result<Self> {
        File::options().create(true).append(true).open(path).map(Self)
    }

    fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let line = serde_json::to_string(entry)?;
        self.0.write_all(format!("{line}\n").as_bytes())
    }
}

impl State {
    /// Notes a request that is about to be executed.
    pub(super) fn note(&mut self, head: &Parts, body: &Bytes) {
        if self.journal.is_none() {
            return;
        }
        self.catch_up();
        let text = |name: &str| Some(head.headers.get(name)?.to_str().ok()?.to_owned());
        let headers = HEADERS.iter().filter_map(|name| Some(((*name).to_owned(), text(name)?)));
        let entry = Entry {
            wall: wall(),
            now: self.engine.now(),
            method: head.method.to_string(),
            uri: head.uri.to_string(),
            headers: headers.collect(),
            body: String::from_utf8_lossy(body).into_owned(),
        };
        if let Some(journal) = &mut self.journal {
            // A disk that is full costs a developer the objects of this run, and nothing else.
            let _ = journal.write(&entry);
        }
    }
}

/// The account's time when the file was begun; nothing where there is no file.
pub(super) fn began(path: &Path) -> io::Result<Option<i64>> {
    let Ok(file) = File::open(path) else { return Ok(None) };
    match BufReader::new(file).lines().next() {
        Some(line) => Ok(Some(serde_json::from_str(&line?)?)),
        None => Ok(None),
    }
}

/// Answers again what is in the file, and notes from now on what is asked.
pub(super) fn replay(shared: &Shared, path: &Path) -> io::Result<()> {
    if !path.exists() {
        let now = shared.state.lock().engine.now();
        fs::write(path, format!("{now}\n"))?;
    }
    let mut ahead = None;
    for line in BufReader::new(File::open(path)?).lines().skip(1) {
        let entry: Entry = serde_json::from_str(&line?)?;
        let mut request = Request::builder().method(entry.method.as_str()).uri(&entry.uri);
        for (name, value) in &entry.headers {
            request = request.header(name, value);
        }
        let (head, ()) = request.body(()).map_err(io::Error::other)?.into_parts();
        shared.state.lock().clock = Clock::Frozen(entry.now);
        dispatch(shared, &head, &Bytes::from(entry.body));
        let mut state = shared.state.lock();
        state.catch_up();
        ahead = Some(state.engine.now() - entry.wall);
    }
    let mut state = shared.state.lock();
    if let Some(ahead) = ahead {
        state.clock = Clock::Wall(ahead);
    }
    state.journal = Some(Journal::open(path)?);
    Ok(())
}
