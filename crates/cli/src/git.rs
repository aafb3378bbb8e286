//! What we ask of the `git` command.

use std::{
    io::{self, Write},
    path::Path,
    process::{Command, Stdio},
    thread,
};

use crate::failure::Failure;

/// The files below `paths` in the commit `revision`, paths relative to `root`.
pub(crate) fn files(
    root: &Path,
    revision: &str,
    paths: &[&str],
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let commit = format!("{revision}^{{commit}}");
    let unknown = || Failure::Usage(format!("{revision:?} is no commit of this repository"));
    if run(root, &["rev-parse", "--git-dir"])?.is_none() {
        let root = root.display();
        return Err(Failure::Usage(format!(
            "{root} is in no git repository that git agrees to read"
        )));
    }
    // An option in the place of a revision would be git's, not ours.
    if revision.starts_with('-')
        || run(root, &["rev-parse", "--verify", "--quiet", &commit])?.is_none()
    {
        return Err(unknown());
    }
    let mut arguments = vec!["ls-tree", "-r", "-z", &commit, "--"];
    arguments.extend(paths);
    let listing = run(root, &arguments)?.ok_or_else(unknown)?;
    let entries: Vec<(String, String)> = listing
        .split(|byte| *byte == 0)
        .filter_map(|line| {
            let line = String::from_utf8_lossy(line);
            let (head, path) = line.split_once('\t')?;
            // `<mode> <type> <object>`: links and submodules are no files of a fleet.
            let (mode, object) = (head.split(' ').next()?, head.split(' ').nth(2)?);
            mode.starts_with("100").then(|| (object.to_owned(), path.to_owned()))
        })
        .collect();
    contents(root, entries)
}

/// The tenant files and inventories in `root` that git does not track, which Nix cannot see.
/// Nothing where `root` is in no repository.
pub(crate) fn untracked(root: &Path, paths: &[&str]) -> Vec<String> {
    let mut arguments = vec!["ls-files", "--others", "-z", "--"];
    arguments.extend(paths);
    let listing = run(root, &arguments).ok().flatten().unwrap_or_default();
    listing
        .split(|byte| *byte == 0)
        .filter(|path| !path.is_empty())
        .map(|path| String::from_utf8_lossy(path).into_owned())
        .collect()
}

/// Lets git (and so Nix) know of a new file, without staging what is in it.
pub(crate) fn intend_to_add(root: &Path, path: &str) -> Result<bool, Failure> {
    Ok(run(root, &["add", "--intent-to-add", "--", path])?.is_some())
}

/// The output of `git`, or nothing where it refused.
fn run(root: &Path, arguments: &[&str]) -> Result<Option<Vec<u8>>, Failure> {
    let output = git(root).args(arguments).output().map_err(|error| absent(&error))?;
    Ok(output.status.success().then_some(output.stdout))
}

fn git(root: &Path) -> Command {
    let mut command = Command::new("git");
    // No pager, prompt or translated message; optional locks would make a reader a writer.
    command.arg("-C").arg(root).env("LC_ALL", "C").env("GIT_OPTIONAL_LOCKS", "0");
    // A hook sets these for its own repository, which need not be the fleet's.
    command.env_remove("GIT_DIR").env_remove("GIT_WORK_TREE");
    command.stderr(Stdio::null());
    command
}

fn absent(error: &io::Error) -> Failure {
    Failure::Outside(format!("git could not be run: {error}"))
}

/// Reads many objects through one `git cat-file`.
fn contents(
    root: &Path,
    entries: Vec<(String, String)>,
) -> Result<Vec<(String, Vec<u8>)>, Failure> {
    let broken = |what: &str| Failure::Outside(format!("git cat-file: {what}"));
    let mut child = git(root)
        .args(["cat-file", "--batch"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|error| absent(&error))?;
    let mut input = child.stdin.take().ok_or_else(|| broken("no input"))?;
    let mut output = io::BufReader::new(child.stdout.take().ok_or_else(|| broken("no output"))?);
    let names: Vec<&str> = entries.iter().flat_map(|(object, _)| [object, "\n"]).collect();
    let names = names.concat();
    // Both pipes at once: git stops writing when nobody reads, and reading when nobody writes.
    let writer = thread::spawn(move || input.write_all(names.as_bytes()));
    let mut files = Vec::with_capacity(entries.len());
    for (_, path) in entries {
        let bytes = next_object(&mut output).map_err(|error| broken(&error.to_string()))?;
        files.push((path, bytes));
    }
    let written = writer.join().map_err(|_| broken("writer"))?;
    written.map_err(|error| broken(&error.to_string()))?;
    child.wait().map_err(|error| broken(&error.to_string()))?;
    Ok(files)
}

/// `<object> <type> <size>`, a line end, that many bytes, a line end.
fn next_object(output: &mut impl io::BufRead) -> io::Result<Vec<u8>> {
    let mut head = String::new();
    output.read_line(&mut head)?;
    let size = head.trim_end().rsplit(' ').next().and_then(|size| size.parse().ok());
    let size: usize = size.ok_or_else(|| io::Error::other(head.trim_end().to_owned()))?;
    let mut bytes = vec![0; size];
    output.read_exact(&mut bytes)?;
    output.read_exact(&mut [0])?;
    Ok(bytes)
}
