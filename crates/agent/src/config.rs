//! What the agent is told.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use clap::Parser;
use hyper::Uri;

/// Supervises the OpenClaw gateway of one tenant, as PID 1 of its pod.
///
/// Ends with the gateway's exit code once SIGTERM or SIGINT has been passed on to it.
#[derive(Clone, Debug, Parser)]
#[command(name = "oc-agent", version, max_term_width = 100)]
pub(crate) struct Config {
    /// Where the gateway keeps its state, and its configuration is written to
    #[arg(long, env = "OPENCLAW_STATE_DIR", value_name = "DIR")]
    pub(crate) state: PathBuf,
    /// Where the gateway's agent works, and its prompts are written to
    #[arg(long, env = "OPENCLAW_WORKSPACE_DIR", value_name = "DIR")]
    pub(crate) workspace: PathBuf,
    /// Where the gateway keeps caches
    #[arg(long, env = "HOME", value_name = "DIR")]
    pub(crate) home: PathBuf,
    /// Where files are that do not outlive the pod
    #[arg(long, env = "TMPDIR", value_name = "DIR", default_value = "/tmp")]
    pub(crate) tmp: PathBuf,
    /// Where heartbeats go
    #[arg(long, env = "OPENCLAW_CHANNELS_URL", value_name = "http://HOST:PORT", value_parser = origin)]
    pub(crate) channels: Uri,
    /// The folder of the volumes `workspace` (a ConfigMap) and `secret`
    #[arg(long, env = "OPENCLAW_VOLUMES", value_name = "DIR", default_value = "/etc/openclaw")]
    pub(crate) volumes: PathBuf,
    /// The folder with the packages of OpenClaw and its Node
    #[arg(long, env = "OPENCLAW_PACKAGES", value_name = "DIR")]
    #[arg(default_value = "/opt/openclaw/node_modules")]
    pub(crate) packages: PathBuf,
    /// Where /livez and /readyz are served
    #[arg(long, env = "OPENCLAW_PROBES_LISTEN", value_name = "ADDRESS")]
    #[arg(default_value = "0.0.0.0:9090")]
    pub(crate) listen: SocketAddr,
    /// How many seconds the gateway may take to end its work after SIGTERM
    #[arg(long, env = "OPENCLAW_GRACE_SECONDS", value_name = "SECONDS", value_parser = seconds)]
    #[arg(default_value = "325")]
    pub(crate) grace: Duration,
}

/// An address without TLS, which the pod's network makes unnecessary.
fn origin(text: &str) -> Result<Uri, String> {
    let uri: Uri = text.parse().map_err(|error| format!("{error}"))?;
    match (uri.scheme_str(), uri.host(), uri.path()) {
        (Some("http"), Some(_), "/") => Ok(uri),
        _ => Err("expected http://host:port".to_owned()),
    }
}

fn seconds(text: &str) -> Result<Duration, std::num::ParseIntError> {
    text.parse().map(Duration::from_secs)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_options_fit_together() {
        Config::command().debug_assert();
    }

    #[test]
    fn heartbeats_go_to_an_origin_without_tls() {
        assert!(origin("http://channels.platform.svc.cluster.local:8092").is_ok());
        for wrong in ["channels:8092", "https://channels", "http://channels/path", ""] {
            assert!(origin(wrong).is_err(), "{wrong}");
        }
    }
}
