//! A container from its start to its end, and the next one after it.

use std::{convert::Infallible, future::pending};

use tokio::time::{Instant, sleep, timeout};

use super::{
    super::{
        Image, back_off::BackOff, container::Container, events::Tone, probe, sandbox::Sandbox,
        status::Now,
    },
    Life, now,
    running::Parts,
};

/// What a container ended with that could not be started, as runtimes have it.
const NOT_STARTED: i32 = 128;

impl Life<'_> {
    /// Runs container after container, until the pod's namespaces are gone.
    pub(super) async fn containers(
        &self,
        image: &Image,
        parts: &Parts,
        slot: &mut Option<Container>,
        back_off: &mut BackOff,
    ) {
        let Parts { sandbox, cgroup, .. } = parts;
        let log = self.shared.log(&self.plan.namespace, &self.plan.name);
        while sandbox.lives() {
            let start = Container::start(&self.plan, image, &self.places, sandbox, cgroup, &log);
            let (code, reason, message) = match start.await {
                Ok(container) => {
                    self.states.send_modify(|state| state.run(now()));
                    let (code, reason) = self.supervise(slot.insert(container), parts).await;
                    (code, reason, None)
                }
                Err(error) => (NOT_STARTED, "StartError", Some(format!("{error:#}"))),
            };
            *slot = None;
            self.states.send_modify(|state| state.end(code, reason, message, now()));
            self.back_off(back_off).await;
            self.states.send_modify(|state| state.restarts += 1);
        }
    }

    /// Waits as long as a kubelet would before it starts a container again.
    async fn back_off(&self, back_off: &mut BackOff) {
        let wait = back_off.ended(Instant::now());
        if wait.is_zero() {
            return;
        }
        let (container, pod) = (&self.plan.container, &self.plan.name);
        let message = format!(
            "back-off {} s restarting failed container={container} pod={pod}",
            wait.as_secs()
        );
        self.events.tell(Tone::Warning, "BackOff", &message).await;
        self.states
            .send_modify(|state| state.now = Now::waiting("CrashLoopBackOff", Some(message)));
        sleep(wait).await;
    }

    /// Waits for the end of a container, or brings it about; exit code and reason.
    async fn supervise(&self, container: &mut Container, parts: &Parts) -> (i32, &'static str) {
        let killed_before = parts.cgroup.kills();
        let code = tokio::select! {
            code = container.ended() => code,
            () = parts.cgroup.killed(killed_before) => container.kill().await,
            complaint = self.probes(&parts.sandbox) => {
                self.events.tell(Tone::Warning, "Unhealthy", &complaint).await;
                self.events.tell(Tone::Normal, "Killing", &complaint).await;
                container.ask_to_end();
                match timeout(self.plan.grace, container.ended()).await {
                    Ok(code) => code,
                    Err(_) => container.kill().await,
                }
            }
        };
        let code = code.unwrap_or(-1);
        let starved = parts.cgroup.kills() > killed_before;
        (code, if starved { "OOMKilled" } else { reason(code) })
    }

    /// Asks the container's probes; why it has to be killed.
    async fn probes(&self, sandbox: &Sandbox) -> String {
        if let Some(startup) = &self.plan.startup
            && let Err(complaint) = probe::until_up(startup, sandbox).await
        {
            return format!("Startup probe failed: {complaint}");
        }
        let always = self.plan.readiness.is_none();
        self.states.send_modify(|state| (state.started, state.ready) = (true, always));
        tokio::select! {
            complaint = self.liveness(sandbox) => format!("Liveness probe failed: {complaint}"),
            never = self.readiness(sandbox) => match never {},
        }
    }

    async fn liveness(&self, sandbox: &Sandbox) -> String {
        match &self.plan.liveness {
            Some(probe) => probe::until_down(probe, sandbox).await,
            None => pending().await,
        }
    }

    async fn readiness(&self, sandbox: &Sandbox) -> Infallible {
        let Some(probe) = &self.plan.readiness else { return pending().await };
        let tell = |answer: Result<(), String>| {
            self.states.send_if_modified(|state| {
                let changed = state.ready != answer.is_ok();
                state.ready = answer.is_ok();
                changed
            });
        };
        probe::follow(probe, sandbox, tell).await
    }
}

/// The kubelet's word for an exit code.
pub(super) fn reason(code: i32) -> &'static str {
    if code == 0 { "Completed" } else { "Error" }
}
