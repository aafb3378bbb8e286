//! Keeps a gateway alive, and what it has been given up to date.

use std::{pin::pin, process::ExitCode, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use oc_domain::heartbeat::{Activity, GatewayPhase};
use rustix::process::WaitStatus;
use tokio::{
    select,
    time::{Instant, MissedTickBehavior, interval, sleep_until},
};

use crate::{
    Config,
    activity::Timeline,
    backoff::Backoff,
    files,
    gateway::{self, Gateway, Sick},
    output,
    secrets::Secrets,
    signals::{Event, Signals},
    status::Status,
    volumes::{CONFIG, Given, Volumes},
};

/// Between two looks at volumes and timeline.
const LOOK: Duration = Duration::from_secs(1);

pub(crate) struct Supervisor {
    config: Config,
    /// Known to the gateway and to nobody else; it only has to be there.
    gateway_token: String,
    status: Arc<Status>,
    secrets: Arc<Secrets>,
    signals: Signals,
    volumes: Volumes,
    /// Where the gateway listens.
    port: u16,
    /// Whether the last look at the volumes went well.
    readable: bool,
    backoff: Backoff,
    /// When the gateway's grace ends, once it has been told to end.
    deadline: Option<Instant>,
}

impl Supervisor {
    /// Writes what the volumes say.
    pub(crate) fn new(
        config: Config,
        gateway_token: String,
        status: Arc<Status>,
        secrets: Arc<Secrets>,
        signals: Signals,
    ) -> Result<Self> {
        for folder in [&config.state, &config.workspace, &config.home] {
            files::folder(folder).with_context(|| folder.display().to_string())?;
        }
        secrets.hide(&gateway_token);
        let mut supervisor = Self {
            volumes: Volumes::new(&config.volumes),
            config,
            gateway_token,
            status,
            secrets,
            signals,
            port: 0,
            readable: true,
            backoff: Backoff::new(),
            deadline: None,
        };
        let given = supervisor.volumes.poll()?.context("empty volumes")?;
        supervisor.give(&given)?;
        Ok(supervisor)
    }

    /// One gateway after the other, until the pod ends.
    pub(crate) async fn run(mut self) -> Result<ExitCode> {
        loop {
            let begun = Instant::now();
            let ended = self.live().await?;
            if self.deadline.is_some() {
                return Ok(ExitCode::from(code(ended)));
            }
            self.status.phase(GatewayPhase::Down);
            self.status.activity(Activity::Idle);
            let wait = self.backoff.after(begun.elapsed());
            let words = format!("the gateway ended ({}); next start in {wait:?}", words(ended));
            output::say("error", &words);
            self.status.restarted();
            if self.pause(wait).await {
                return Ok(ExitCode::SUCCESS);
            }
        }
    }

    /// The life of one gateway.
    async fn live(&mut self) -> Result<WaitStatus> {
        let mut timeline = Timeline::begin(gateway::timeline(&self.config));
        let gateway = Gateway::start(&self.config, &self.status, &self.secrets)?;
        self.status.phase(GatewayPhase::Starting);
        let mut health = pin!(gateway::watch(gateway.pid(), self.port, Arc::clone(&self.status)));
        let mut sick = false;
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ended = loop {
            let deadline = self.deadline;
            select! {
                event = self.signals.next() => match event {
                    Event::Child => if let Some(ended) = gateway.ended() { break ended },
                    Event::Terminate => self.terminate(&gateway),
                },
                why = &mut health, if !sick && deadline.is_none() => {
                    sick = true;
                    self.give_up(&gateway, why);
                }
                _ = look.tick() => {
                    self.refresh();
                    self.status.activity(timeline.poll());
                }
                () = until(deadline) => {
                    output::say("error", "the gateway is killed: its grace is over");
                    gateway.kill();
                    self.deadline = Some(Instant::now() + self.config.grace);
                }
            }
        };
        gateway.bury().await;
        Ok(ended)
    }

    /// Each signal is passed on: a second one may hurry the gateway.
    fn terminate(&mut self, gateway: &Gateway) {
        self.status.phase(GatewayPhase::Draining);
        self.deadline.get_or_insert(Instant::now() + self.config.grace);
        gateway.terminate();
    }

    fn give_up(&self, gateway: &Gateway, why: Sick) {
        output::say("error", why.why());
        self.status.error(why.why());
        self.status.phase(GatewayPhase::Down);
        gateway.kill();
    }

    /// Waits before the next start, or until what the gateway is given has changed; true if the pod
    /// ends.
    async fn pause(&mut self, wait: Duration) -> bool {
        let end = Instant::now() + wait;
        let mut look = interval(LOOK);
        loop {
            select! {
                event = self.signals.next() => match event {
                    Event::Child => { gateway::reap(None); }
                    Event::Terminate => return true,
                },
                _ = look.tick() => if self.refresh() { return false },
                () = sleep_until(end) => return false,
            }
        }
    }

    /// Gives the gateway what has changed; true if something has. The gateway watches its files: it
    /// applies nearly everything as it runs, and restarts by itself, when its work is done, for what
    /// it cannot.
    fn refresh(&mut self) -> bool {
        let given = self.volumes.poll();
        let done = given.and_then(|given| given.map(|given| self.give(&given)).transpose());
        match done {
            Ok(None) => false,
            Ok(Some(())) => {
                self.readable = true;
                self.backoff.reset();
                output::say("info", "the gateway has been given what the volumes say now");
                true
            }
            Err(error) => {
                if self.readable {
                    let error = format!("the volumes cannot be used: {error:#}");
                    output::say("error", &error);
                    self.status.error(&error);
                }
                self.readable = false;
                // Not all of it may have been written.
                self.volumes.forget();
                false
            }
        }
    }

    /// Prompts first, so that a gateway which reads its configuration finds them.
    fn give(&mut self, given: &Given) -> Result<()> {
        self.secrets.hide(&given.platform_token);
        let Config { state, workspace, .. } = &self.config;
        for (name, text) in given.files.iter().filter(|(name, _)| *name != CONFIG) {
            files::write(&workspace.join(name), text).with_context(|| name.clone())?;
        }
        let configuration = given.configuration(&self.gateway_token, workspace)?;
        self.port = port(&configuration)?;
        files::write(&state.join(CONFIG), &configuration).context(CONFIG)?;
        self.status.given(&given.hash(), &given.platform_token);
        Ok(())
    }
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Where the gateway will listen.
fn port(configuration: &str) -> Result<u16> {
    let value: serde_json::Value = serde_json::from_str(configuration).context(CONFIG)?;
    let port = value.pointer("/gateway/port").and_then(serde_json::Value::as_u64);
    port.and_then(|port| port.try_into().ok()).with_context(|| format!("{CONFIG}: /gateway/port"))
}

/// As a shell gives it.
fn code(ended: WaitStatus) -> u8 {
    let signal = ended.terminating_signal().map(|signal| 128 + signal);
    let code = ended.exit_status().or(signal).unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

fn words(ended: WaitStatus) -> String {
    match (ended.exit_status(), ended.terminating_signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "no status".to_owned(),
    }
}
