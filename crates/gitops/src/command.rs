//! How git is run: without a prompt, without anybody's settings, and never for too long.

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::process::Command;

use crate::{
    error::Error,
    group::{Finished, Group},
    options::{Options, Ssh},
};

/// What git may know of our environment: where programs and the roots of trust are.
const INHERITED: &[&str] = &["PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "NIX_SSL_CERT_FILE"];

/// Longer complaints are cut, in characters.
const TEXT: usize = 2_000;

/// Git on our clone.
pub(crate) struct Git {
    environment: Vec<(OsString, OsString)>,
    credentials: Option<PathBuf>,
}

/// What git said to the remote's answer.
pub(crate) struct Answer {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A login as git sends it, and the words that nobody may read.
struct Login {
    header: SecretString,
    words: [SecretString; 2],
}

impl Git {
    pub(crate) fn new(options: &Options, clone: &Path) -> Self {
        let inherited = INHERITED.iter().filter_map(|name| Some((*name, env::var_os(name)?)));
        let mut environment: Vec<(OsString, OsString)> =
            inherited.map(|(name, value)| (name.into(), value)).collect();
        let mut set = |name: &str, value: OsString| environment.push((name.into(), value));
        set("GIT_DIR", clone.into());
        // Neither .netrc nor anything else is found there.
        set("HOME", options.directory.clone().into());
        for (name, value) in [
            ("GIT_ALLOW_PROTOCOL", "file:http:https:ssh"),
            ("GIT_ATTR_NOSYSTEM", "1"),
            ("GIT_CONFIG_GLOBAL", "/dev/null"),
            ("GIT_CONFIG_NOSYSTEM", "1"),
            ("GIT_NO_REPLACE_OBJECTS", "1"),
            ("GIT_TERMINAL_PROMPT", "0"),
            ("LC_ALL", "C"),
            ("TZ", "UTC"),
        ] {
            set(name, value.into());
        }
        if let Some(ssh) = &options.ssh {
            set("GIT_SSH_COMMAND", ssh_command(ssh).into());
            set("GIT_SSH_VARIANT", "ssh".into());
        }
        Self { environment, credentials: options.credentials.clone() }
    }

    /// A process that goes on until it is dropped.
    pub(crate) fn start(&self, arguments: &[&str]) -> Result<Group, Error> {
        let mut command = self.command(arguments);
        spawn(command.stderr(Stdio::null()))
    }

    /// The output of a command on our clone alone.
    pub(crate) async fn local(
        &self,
        arguments: &[&str],
        input: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, Error> {
        let Finished { status, stdout, stderr } =
            finish(&mut self.command(arguments), arguments, input, limit).await?;
        if status.success() {
            return Ok(stdout);
        }
        Err(Error::local(name(arguments), status, text(&String::from_utf8_lossy(&stderr), status)))
    }

    /// What came of a command that speaks with the remote, without a word of our login.
    pub(crate) async fn remote(
        &self,
        arguments: &[&str],
        limit: Duration,
    ) -> Result<Answer, Error> {
        let mut command = self.command(arguments);
        let login = match &self.credentials {
            Some(file) => Some(Login::read(file).await?),
            None => None,
        };
        if let Some(login) = &login {
            // By the environment: a command line is everybody's to read.
            command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", "http.extraHeader")
                .env("GIT_CONFIG_VALUE_0", login.header.expose_secret());
        }
        let Finished { status, stdout, stderr } =
            finish(&mut command, arguments, &[], limit).await?;
        // Before anything is cut, and with it a part of what is to be hidden.
        let hide = |bytes: &[u8]| {
            let text = String::from_utf8_lossy(bytes).into_owned();
            login.iter().fold(text, |text, login| login.hide(&text))
        };
        Ok(Answer { status, stdout: hide(&stdout), stderr: text(&hide(&stderr), status) })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("git");
        command
            .args(arguments)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}

impl Login {
    async fn read(file: &Path) -> Result<Self, Error> {
        let unusable = || Error::Credentials(file.to_owned());
        let text = tokio::fs::read_to_string(file).await.map_err(|_| unusable())?;
        let login = text.trim_end_matches(['\n', '\r']);
        let (user, password) = login.split_once(':').ok_or_else(unusable)?;
        if user.is_empty() || password.is_empty() || login.contains(char::is_control) {
            return Err(unusable());
        }
        let encoded = BASE64_STANDARD.encode(login);
        let header = format!("Authorization: Basic {encoded}").into();
        Ok(Self { header, words: [encoded.into(), password.to_owned().into()] })
    }

    fn hide(&self, text: &str) -> String {
        let hide = |text: String, word: &SecretString| text.replace(word.expose_secret(), "***");
        self.words.iter().fold(text.to_owned(), hide)
    }
}

/// Only our key, only known hosts, no question, and an end also when nobody is left to kill it.
fn ssh_command(ssh: &Ssh) -> String {
    let options = [
        "BatchMode=yes".to_owned(),
        "StrictHostKeyChecking=yes".to_owned(),
        format!("UserKnownHostsFile=\"{}\"", ssh.known_hosts.display()),
        "GlobalKnownHostsFile=/dev/null".to_owned(),
        format!("IdentityFile=\"{}\"", ssh.key.display()),
        "IdentitiesOnly=yes".to_owned(),
        "IdentityAgent=none".to_owned(),
        "ConnectTimeout=15".to_owned(),
        "ServerAliveInterval=15".to_owned(),
    ];
    let options: Vec<String> = options.iter().map(|option| format!(" -o '{option}'")).collect();
    format!("ssh -F /dev/null{}", options.concat())
}

async fn finish(
    command: &mut Command,
    arguments: &[&str],
    input: &[u8],
    limit: Duration,
) -> Result<Finished, Error> {
    let finished = spawn(command)?.finish(input, limit).await.map_err(Error::io("git"))?;
    let command = || name(arguments).to_owned();
    finished.ok_or_else(|| Error::Timeout { command: command(), after: limit })
}

fn spawn(command: &mut Command) -> Result<Group, Error> {
    Group::spawn(command).map_err(Error::io("git could not be started"))
}

fn name<'a>(arguments: &[&'a str]) -> &'a str {
    arguments.first().copied().unwrap_or_default()
}

/// What git complained about, or how it ended where it said nothing.
fn text(stderr: &str, status: ExitStatus) -> String {
    match stderr.trim() {
        "" => status.to_string(),
        text => text.chars().take(TEXT).collect(),
    }
}
