//! Options of a process that uses the fleet repository.

use std::path::PathBuf;

use clap::Args;

use crate::options::{Author, Limits, Options, Ssh};

/// Where the fleet repository is.
#[derive(Clone, Debug, Args)]
#[expect(clippy::struct_field_names, reason = "they are the names of the options")]
pub struct FleetConfig {
    /// The fleet repository: a local path, or an https or ssh address
    #[arg(long, env = "OPENCLAW_FLEET_REMOTE", value_name = "REMOTE")]
    fleet_remote: String,
    /// The branch that tenants live on
    #[arg(long, env = "OPENCLAW_FLEET_BRANCH", value_name = "BRANCH", default_value = "main")]
    fleet_branch: String,
    /// A folder for our clone; it may be lost at any time
    #[arg(long, env = "OPENCLAW_FLEET_DIRECTORY", value_name = "FOLDER")]
    #[arg(default_value = "fleet")]
    fleet_directory: PathBuf,
    /// File with user:password for an https remote
    #[arg(long, env = "OPENCLAW_FLEET_CREDENTIALS", value_name = "FILE")]
    fleet_credentials: Option<PathBuf>,
    /// The private key for an ssh remote
    #[arg(long, env = "OPENCLAW_FLEET_SSH_KEY", value_name = "FILE")]
    #[arg(requires = "fleet_known_hosts")]
    fleet_ssh_key: Option<PathBuf>,
    /// The host keys of an ssh remote
    #[arg(long, env = "OPENCLAW_FLEET_KNOWN_HOSTS", value_name = "FILE")]
    fleet_known_hosts: Option<PathBuf>,
}

impl FleetConfig {
    /// What a [`Fleet`](crate::Fleet) is opened with by `author`, with the default limits.
    pub fn options(&self, author: Author) -> Options {
        let ssh = self.fleet_ssh_key.clone().zip(self.fleet_known_hosts.clone());
        Options {
            directory: self.fleet_directory.clone(),
            remote: self.fleet_remote.clone(),
            branch: self.fleet_branch.clone(),
            author,
            limits: Limits::default(),
            credentials: self.fleet_credentials.clone(),
            ssh: ssh.map(|(key, known_hosts)| Ssh { key, known_hosts }),
        }
    }
}
