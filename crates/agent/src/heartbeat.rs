//! What the platform hears of the pod.

use std::{convert::Infallible, sync::Arc, time::Duration};

use anyhow::{Context as _, Result, ensure};
use hyper::{Method, StatusCode, Uri};
use oc_domain::Heartbeat;
use tokio::{select, time::sleep};

use crate::{
    http::{self, Request},
    memory, output,
    secrets::Secrets,
    status::{Status, View},
};

const PERIOD: Duration = Duration::from_secs(Heartbeat::PERIOD_SECONDS);
/// Changes within it are told together.
const TOGETHER: Duration = Duration::from_millis(250);
const ANSWER: Duration = Duration::from_secs(5);

/// Sends heartbeats.
pub(crate) struct Heart {
    /// Host and port.
    channels: String,
    boot: String,
    gateway_version: String,
    secrets: Arc<Secrets>,
}

impl Heart {
    /// `boot` is drawn at each start of the agent.
    pub(crate) fn new(
        channels: &Uri,
        boot: String,
        gateway_version: String,
        secrets: Arc<Secrets>,
    ) -> Result<Self> {
        let host = channels.host().context("the host of channels")?;
        let channels = format!("{host}:{}", channels.port_u16().unwrap_or(80));
        Ok(Self { channels, boot, gateway_version, secrets })
    }

    /// Sends one in every period, and soon after each change.
    pub(crate) async fn beat(self, status: Arc<Status>) -> Infallible {
        let mut changes = status.watch();
        let mut heard = true;
        loop {
            let view = changes.borrow_and_update().clone();
            let sent = self.send(&view).await;
            if sent.is_ok() != heard {
                heard = sent.is_ok();
                self.tell(&sent);
            }
            select! {
                () = sleep(PERIOD) => {}
                // The sender lives as long as `status`.
                _ = changes.changed() => sleep(TOGETHER).await,
            }
        }
    }

    async fn send(&self, view: &View) -> Result<()> {
        let body = serde_json::to_vec(&self.heartbeat(view))?;
        let request = Request {
            method: Method::POST,
            host: self.channels.clone(),
            path: "/agent/v1/heartbeat",
            headers: &[("x-proxy-key", &view.platform_token)],
            body,
        };
        let (status, _) = http::send(request, ANSWER).await?;
        ensure!(status == StatusCode::NO_CONTENT, "channels answered {status}");
        Ok(())
    }

    fn heartbeat(&self, view: &View) -> Heartbeat {
        Heartbeat {
            boot: self.boot.clone(),
            gateway: view.phase,
            activity: view.activity,
            activity_seconds: view.since.elapsed().as_secs(),
            restarts: view.restarts,
            memory_bytes: memory::bytes(),
            agent_version: env!("CARGO_PKG_VERSION").to_owned(),
            gateway_version: self.gateway_version.clone(),
            config: view.config.clone(),
            last_error: view.last_error.clone(),
        }
    }

    fn tell(&self, sent: &Result<()>) {
        match sent {
            Ok(()) => output::say("info", "heartbeats are heard again"),
            Err(error) => {
                let error = format!("heartbeats are not heard: {error:#}");
                output::say("warn", &self.secrets.redact(&error));
            }
        }
    }
}
