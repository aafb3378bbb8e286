//! What is known of the gateway at this moment.

use oc_domain::heartbeat::{Activity, GatewayPhase};
use tokio::{sync::watch, time::Instant};

/// Characters of an error that are kept.
const ERROR_CHARACTERS: usize = 500;

/// Written by the supervisor, read by probes and heartbeats.
#[derive(Debug)]
pub(crate) struct Status(watch::Sender<View>);

/// One state of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct View {
    pub(crate) phase: GatewayPhase,
    /// When the gateway last answered, or the agent began.
    pub(crate) answered: Instant,
    pub(crate) activity: Activity,
    /// Since when it has been so.
    pub(crate) since: Instant,
    pub(crate) restarts: u32,
    /// SHA-256 of what the gateway has been given.
    pub(crate) config: String,
    pub(crate) last_error: Option<String>,
    /// Authenticates the heartbeat.
    pub(crate) platform_token: String,
}

impl Status {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self(watch::Sender::new(View {
            phase: GatewayPhase::Down,
            answered: now,
            activity: Activity::Idle,
            since: now,
            restarts: 0,
            config: String::new(),
            last_error: None,
            platform_token: String::new(),
        }))
    }

    pub(crate) fn view(&self) -> View {
        self.0.borrow().clone()
    }

    /// Wakes at each change that is worth a heartbeat.
    pub(crate) fn watch(&self) -> watch::Receiver<View> {
        self.0.subscribe()
    }

    /// The gateway has answered: not worth a heartbeat.
    pub(crate) fn answered(&self) {
        self.0.send_if_modified(|view| {
            view.answered = Instant::now();
            false
        });
    }

    pub(crate) fn phase(&self, phase: GatewayPhase) {
        self.change(|view| view.phase = phase);
    }

    pub(crate) fn activity(&self, activity: Activity) {
        self.change(|view| {
            if view.activity != activity {
                (view.activity, view.since) = (activity, Instant::now());
            }
        });
    }

    pub(crate) fn restarted(&self) {
        self.change(|view| view.restarts += 1);
    }

    /// The gateway has been given what hashes to `config`, with this token.
    pub(crate) fn given(&self, config: &str, platform_token: &str) {
        self.change(|view| {
            config.clone_into(&mut view.config);
            platform_token.clone_into(&mut view.platform_token);
        });
    }

    /// Something went wrong; `error` holds no token.
    pub(crate) fn error(&self, error: &str) {
        let error = error.chars().take(ERROR_CHARACTERS).collect();
        self.change(|view| view.last_error = Some(error));
    }

    fn change(&self, change: impl FnOnce(&mut View)) {
        self.0.send_if_modified(|view| {
            let before = view.clone();
            change(view);
            *view != before
        });
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn only_what_changes_something_is_worth_a_heartbeat() {
        let status = Status::new();
        let mut changes = status.watch();
        status.answered();
        status.activity(Activity::Idle);
        status.phase(GatewayPhase::Down);
        assert!(!changes.has_changed().unwrap());
        advance(Duration::from_secs(3)).await;
        status.activity(Activity::Busy);
        assert!(changes.has_changed().unwrap());
        assert_eq!(changes.borrow_and_update().since, Instant::now());
        status.activity(Activity::Busy);
        assert!(!changes.has_changed().unwrap());
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        let status = Status::new();
        status.error(&"é".repeat(600));
        assert_eq!(status.view().last_error.unwrap().chars().count(), 500);
    }
}
