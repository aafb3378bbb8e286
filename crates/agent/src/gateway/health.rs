//! Whether the gateway is well.

use std::{fs, sync::Arc, time::Duration};

use hyper::{Method, StatusCode};
use oc_domain::heartbeat::GatewayPhase;
use rustix::{param::clock_ticks_per_second, process::Pid};
use serde::Deserialize;
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    http::{self, Request},
    status::Status,
};

/// Between two looks at a gateway that starts.
const SOON: Duration = Duration::from_millis(250);
/// Between two looks at one that has started.
const PERIOD: Duration = Duration::from_secs(8);
const ANSWER: Duration = Duration::from_secs(5);
/// So many looks in a row without an answer, 37 s at least, and it may hang.
const MISSES: u32 = 5;
/// One that works needs more of a core than this, however busy the machine is: a first turn kept a
/// gateway from answering for a minute where it got a fifth of one (measured).
const AT_WORK: f64 = 0.05;
/// One that takes so much of a core's time between two answers runs in circles.
const CIRCLES: Duration = Duration::from_secs(40);
/// A start took up to 144 s on a very busy machine (measured).
const START: Duration = Duration::from_mins(5);

/// Why a gateway must be killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sick {
    /// It has never answered.
    NeverStarted,
    /// It answers no more.
    Hangs,
}

impl Sick {
    /// In words, for the log and the heartbeat.
    pub(crate) fn why(self) -> &'static str {
        match self {
            Self::NeverStarted => "the gateway did not start within 5 minutes",
            Self::Hangs => "the gateway hangs: it does not answer",
        }
    }
}

/// Asks the gateway at `port` of loopback how it is and tells `status`, for as long as it is well.
pub(crate) async fn watch(gateway: Pid, port: u16, status: Arc<Status>) -> Sick {
    let begun = Instant::now();
    let mut last = None;
    loop {
        let asked = Instant::now();
        if let Some(phase) = ask(port).await {
            status.answered();
            status.phase(phase);
            last = Some(Silence { answered: processor_time(gateway), misses: 0, missed: None });
        } else if let Some(last) = &mut last {
            last.misses += 1;
            let (now, used) = (Instant::now(), processor_time(gateway));
            let missed = *last.missed.get_or_insert((now, used));
            if last.hangs(missed, (now, used)) {
                return Sick::Hangs;
            }
            if last.misses > 1 {
                status.phase(GatewayPhase::Down);
            }
        } else if begun.elapsed() > START {
            return Sick::NeverStarted;
        }
        match status.view().phase {
            GatewayPhase::Starting => sleep(SOON).await,
            _ => sleep_until(asked + PERIOD).await,
        }
    }
}

/// What is known since the last answer.
struct Silence {
    /// The processor time that the gateway had taken then.
    answered: Duration,
    misses: u32,
    /// When the first answer failed to come, and what it had taken by then: a turn that ended just
    /// before says nothing of now.
    missed: Option<(Instant, Duration)>,
}

impl Silence {
    /// Misses are counted, and not only time: an agent that got no time itself asked no questions.
    fn hangs(&self, missed: (Instant, Duration), now: (Instant, Duration)) -> bool {
        let silent = now.0.saturating_duration_since(missed.0).as_secs_f64();
        let idle = now.1.saturating_sub(missed.1).as_secs_f64() < silent * AT_WORK;
        let circles = now.1.saturating_sub(self.answered) >= CIRCLES;
        self.misses >= MISSES && (idle || circles)
    }
}

/// What a process has taken of the processors; nothing if it has ended.
fn processor_time(pid: Pid) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    let ticks = stat.ok().and_then(|stat| ticks(&stat)).unwrap_or_default();
    Duration::from_secs(ticks) / u32::try_from(clock_ticks_per_second()).unwrap_or(100)
}

/// User's and system's; the name before them may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut times = fields.split(' ').skip(11).map(|field| field.parse::<u64>().ok());
    Some(times.next()?? + times.next()??)
}

#[derive(Deserialize)]
struct Startup {
    status: String,
}

/// How far it is; nothing if it does not answer.
async fn ask(port: u16) -> Option<GatewayPhase> {
    let get = |path| {
        let host = format!("127.0.0.1:{port}");
        http::send(
            Request { method: Method::GET, host, path, headers: &[], body: Vec::new() },
            ANSWER,
        )
    };
    let (status, _) = get("/healthz").await.ok()?;
    if status != StatusCode::OK {
        return None;
    }
    let (status, body) = get("/startupz").await.ok()?;
    if status == StatusCode::OK {
        return Some(GatewayPhase::Ready);
    }
    let startup: Option<Startup> = serde_json::from_slice(&body).ok();
    let draining = startup.is_some_and(|startup| startup.status == "draining");
    Some(if draining { GatewayPhase::Draining } else { GatewayPhase::Starting })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_is_no_hang_while_the_gateway_works_on_a_busy_machine() {
        let second = Duration::from_secs;
        let missed = (Instant::now(), second(110));
        let after = |silent, used| (missed.0 + second(silent), second(used));
        let silence = |misses| Silence { answered: second(100), misses, missed: Some(missed) };
        assert!(silence(MISSES).hangs(missed, after(32, 110)));
        assert!(!silence(MISSES - 1).hangs(missed, after(32, 110)));
        assert!(!silence(MISSES).hangs(missed, after(32, 112)));
        assert!(silence(MISSES).hangs(missed, after(32, 140)));
    }

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 9 0 0 0 120 30 0 0 20 0 11 0 5 6";
        assert_eq!(ticks(stat), Some(150));
        assert!(processor_time(rustix::process::getpid()) < Duration::from_hours(1));
    }
}
