//! An `http` remote with a login: git's own server program behind a socket.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    thread,
};

use oc_gitops::{Error, Fleet, Options};

use crate::support::{Remote, apply, hold, id, options};

const PASSWORD: &str = "hush-hush";
/// `billing:hush-hush`.
const BASIC: &str = "Basic YmlsbGluZzpodXNoLWh1c2g=";

/// Serves the remotes in `root`; remembers every request line with its authorization.
fn serve(root: PathBuf) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&log);
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (root, seen) = (root.clone(), Arc::clone(&seen));
            thread::spawn(move || answer(&stream.unwrap(), root, &seen));
        }
    });
    (format!("http://{address}/remote.git"), log)
}

/// One request by CGI, and the end of the connection.
fn answer(mut stream: &TcpStream, root: PathBuf, seen: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(stream);
    let mut lines = reader.by_ref().lines().map(Result::unwrap).take_while(|line| !line.is_empty());
    let request = lines.next().unwrap();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": ").map(|(a, b)| (a.to_lowercase(), b.to_owned())))
        .collect();
    let header = |name: &str| {
        headers
            .iter()
            .find(|(found, _)| found == name)
            .map(|(_, value)| value.as_str())
            .unwrap_or_default()
    };
    seen.lock().unwrap().push(format!("{request} {}", header("authorization")));
    let mut words = request.split(' ');
    let (method, target) = (words.next().unwrap(), words.next().unwrap());
    if header("authorization") != BASIC {
        let refusal = "HTTP/1.1 401 No\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        stream.write_all(refusal.as_bytes()).unwrap();
        return;
    }
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut child = Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REMOTE_USER", "billing")
        .env("REQUEST_METHOD", method)
        .env("PATH_INFO", path)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", header("content-type"))
        .env("CONTENT_LENGTH", header("content-length"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("GIT_PROTOCOL", header("git-protocol"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let length = header("content-length").parse().unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let _ = child.stdin.take().unwrap().write_all(&body);
    let output = child.wait_with_output().unwrap().stdout;
    stream.write_all(b"HTTP/1.1 200 OK\r\nConnection: close\r\n").unwrap();
    stream.write_all(&output).unwrap();
}

#[tokio::test]
async fn a_login_comes_from_its_file_and_goes_nowhere_but_into_the_header() {
    let remote = Remote::new(1);
    remote.git(&["config", "http.receivepack", "true"]);
    let (url, log) = serve(remote.folder().to_owned());
    let file = remote.folder().join("login");
    fs::write(&file, format!("billing:{PASSWORD}\n")).unwrap();
    let with_login =
        Options { credentials: Some(file.clone()), ..options(&remote.directory(), &url) };
    let mut fleet = Fleet::open(with_login).await.unwrap();
    apply(&mut fleet, &[hold(1, &id(0))]).await.unwrap();
    remote.assert_once([1].into_iter());
    let requests = log.lock().unwrap().clone();
    assert!(requests.iter().any(|it| it.starts_with("POST /remote.git/git-receive-pack")));
    assert!(requests.iter().all(|it| it.ends_with(BASIC)), "{requests:?}");
    // What a hook gives away is hidden.
    remote.hook("pre-receive", &format!("echo 'login {PASSWORD} is {BASIC}' >&2; exit 1"));
    let error = format!("{:?}", apply(&mut fleet, &[hold(2, &id(0))]).await.unwrap_err());
    assert!(error.contains("login *** is Basic ***"), "{error}");
    assert!(!error.contains(PASSWORD) && !error.contains(&BASIC[6..]), "{error}");
    // Not in the clone either.
    let config = fs::read_to_string(remote.clone_path().join("config")).unwrap();
    assert!(!config.contains("127.0.0.1") && !config.contains(&BASIC[6..]), "{config}");
    remote.unhook("pre-receive");
    // A login that is refused, and its successor without a restart.
    fs::write(&file, "billing:stale-word").unwrap();
    let error = apply(&mut fleet, &[hold(2, &id(0))]).await.unwrap_err();
    assert!(matches!(&error, Error::Denied(_)) && !error.is_transient(), "{error:?}");
    assert!(!format!("{error:?}").contains("stale-word"), "{error:?}");
    for unusable in ["", "stale-word", "billing:", ":stale-word", "billing:stale\nword"] {
        fs::write(&file, unusable).unwrap();
        let error = apply(&mut fleet, &[hold(2, &id(0))]).await.unwrap_err();
        assert!(matches!(&error, Error::Credentials(path) if *path == file), "{error:?}");
        assert!(!format!("{error:?}").contains("stale"), "{error:?}");
    }
    fs::write(&file, format!("billing:{PASSWORD}")).unwrap();
    apply(&mut fleet, &[hold(2, &id(0))]).await.unwrap();
    remote.assert_once([1, 2].into_iter());
}
