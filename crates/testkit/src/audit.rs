//! The API server's audit log.

use std::{
    fs::{File, OpenOptions},
    io::{BufRead, BufReader, ErrorKind, Seek, SeekFrom},
    path::PathBuf,
    sync::Arc,
};

use anyhow::{Context, Result};
use parking_lot::Mutex;
use serde::Deserialize;

/// One request to the API, whether the API accepted it or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// Who: the impersonated user where there is one.
    pub user: String,
    /// `create`, `update`, `patch`, `delete`, `deletecollection`, `get`, `list` or `watch`.
    pub verb: String,
    /// Empty for the core group.
    pub api_group: String,
    /// The plural, with its subresource: `pods`, `pods/status`.
    pub resource: String,
    /// Empty for what belongs to no namespace.
    pub namespace: String,
    /// Empty for lists, and where the server draws the name.
    pub name: String,
    /// The HTTP status of the answer.
    pub status: u16,
}

impl Request {
    /// Whether it is neither a read nor about a `Lease`, the heartbeat of nodes and leaders.
    pub fn is_write(&self) -> bool {
        let reads = ["get", "list", "watch"];
        let is_lease = self.resource == "leases" && self.api_group == "coordination.k8s.io";
        !is_lease && !reads.contains(&self.verb.as_str())
    }
}

/// A log of which each line is read once.
#[derive(Debug)]
pub(crate) struct Log {
    path: PathBuf,
    known: Mutex<Known>,
}

/// What has been read, and up to which byte.
#[derive(Debug, Default)]
struct Known {
    end: u64,
    requests: Vec<Arc<Request>>,
}

impl Log {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, known: Mutex::default() }
    }

    /// All requests until now that `wanted` takes, in order; a line that is still being written is
    /// left for the next call.
    pub(crate) fn requests(&self, wanted: impl Fn(&Request) -> bool) -> Result<Vec<Arc<Request>>> {
        let mut known = self.known.lock();
        self.read(&mut known).with_context(|| format!("reading {}", self.path.display()))?;
        Ok(known.requests.iter().filter(|request| wanted(request)).cloned().collect())
    }

    fn read(&self, known: &mut Known) -> Result<()> {
        let mut file = match File::open(&self.path) {
            Ok(file) => file,
            // The API server makes it with its first line.
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        file.seek(SeekFrom::Start(known.end))?;
        let mut reader = BufReader::with_capacity(1 << 16, file);
        let mut line = Vec::new();
        while reader.read_until(b'\n', &mut line)? > 0 && line.ends_with(b"\n") {
            known.requests.push(Arc::new(serde_json::from_slice::<Event>(&line)?.into()));
            known.end += line.len() as u64;
            line.clear();
        }
        Ok(())
    }

    /// Takes back the half line that a killed server may have left, which the next one would
    /// continue.
    pub(crate) fn mend(&self) -> Result<()> {
        let mut known = self.known.lock();
        self.read(&mut known)?;
        match OpenOptions::new().write(true).open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            file => Ok(file?.set_len(known.end)?),
        }
    }
}

/// A line of the log.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Event {
    verb: String,
    user: User,
    impersonated_user: Option<User>,
    #[serde(default)]
    object_ref: Object,
    response_status: Option<Status>,
}

#[derive(Deserialize)]
struct User {
    username: String,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Object {
    api_group: String,
    resource: String,
    subresource: String,
    namespace: String,
    name: String,
}

#[derive(Deserialize)]
struct Status {
    #[serde(default)]
    code: u16,
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        let Object { api_group, mut resource, subresource, namespace, name } = event.object_ref;
        if !subresource.is_empty() {
            resource = format!("{resource}/{subresource}");
        }
        Self {
            user: event.impersonated_user.unwrap_or(event.user).username,
            verb: event.verb,
            api_group,
            resource,
            namespace,
            name,
            status: event.response_status.map_or(0, |status| status.code),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{fs::OpenOptions, io::Write, path::Path, time::Instant};

    use super::Log;

    const LINE: &str = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"9c2f4e0e-5b1f-4c57-8d15-6a3f0c1f8a52","stage":"ResponseComplete","requestURI":"/api/v1/namespaces/customer-c-1/secrets/openclaw-config?fieldManager=operator&force=true","verb":"patch","user":{"username":"admin","groups":["system:masters","system:authenticated"]},"impersonatedUser":{"username":"operator"},"sourceIPs":["127.0.0.1"],"userAgent":"kube-rs","objectRef":{"resource":"secrets","namespace":"customer-c-1","name":"openclaw-config","apiVersion":"v1","subresource":"status"},"responseStatus":{"metadata":{},"code":200},"requestReceivedTimestamp":"2026-11-21T20:00:00.000000Z","stageTimestamp":"2026-11-21T20:00:00.004000Z","annotations":{"authorization.k8s.io/decision":"allow","authorization.k8s.io/reason":""}}"#;

    fn append(log: &Path, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(log).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    #[test]
    fn a_long_log_is_read_once_and_a_half_line_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = Log::new(path.clone());
        assert_eq!(log.requests(|_| true).unwrap(), []);
        append(&path, &format!("{LINE}\n").repeat(100_000));
        let (half, rest) = LINE.split_at(200);
        append(&path, half);
        for time in ["first", "second"] {
            let begun = Instant::now();
            assert_eq!(log.requests(|_| true).unwrap().len(), 100_000);
            eprintln!("100,000 lines, the {time} time: {} ms", begun.elapsed().as_millis());
        }
        append(&path, &format!("{rest}\n"));
        let requests = log.requests(|request| request.status == 200).unwrap();
        assert_eq!(requests.len(), 100_001);
        let last = requests.last().unwrap();
        assert_eq!((&*last.user, &*last.resource), ("operator", "secrets/status"));
    }

    #[test]
    fn the_half_line_of_a_killed_server_is_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let log = Log::new(path.clone());
        log.mend().unwrap();
        append(&path, &format!("{LINE}\n{}", &LINE[..300]));
        log.mend().unwrap();
        append(&path, &format!("{LINE}\n"));
        assert_eq!(log.requests(|_| true).unwrap().len(), 2);
    }
}
