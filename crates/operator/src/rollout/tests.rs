//! Rollouts in a simulated fleet, and single decisions by table.

mod decisions;
mod fleet;
mod histories;

use jiff::{SignedDuration, Timestamp};
use oc_store::rollouts::{Rollout, Status};

use super::*;

const OLD: &str = "0000000000aa";
const NEW: &str = "0000000000bb";

/// So many milliseconds after the rollout began.
fn time(milliseconds: i64) -> Timestamp {
    let start: Timestamp = "2026-11-21T12:00:00.4Z".parse().unwrap();
    start + SignedDuration::from_millis(milliseconds)
}

fn seconds(seconds: i64) -> Timestamp {
    time(1000 * seconds)
}

fn rollout(status: Status, wave: u32) -> Rollout {
    Rollout {
        id: 1,
        revision: NEW.to_owned(),
        from_revision: Some(OLD.to_owned()),
        status,
        wave,
        wave_since: time(0),
        reason: None,
        started_at: time(0),
        ended_at: status.has_ended().then_some(time(0)),
    }
}

/// A member that has had the old revision for long, and is well.
fn member(number: usize) -> Member {
    Member {
        id: format!("c-{number:0>8}").parse().unwrap(),
        applied: Some(Applied { revision: OLD.to_owned(), at: seconds(-86_400) }),
        health: Health::Ready { since: seconds(-86_300) },
        joined: false,
        refused: None,
    }
}

fn updated(number: usize, at: i64, health: Health) -> Member {
    let applied = Some(Applied { revision: NEW.to_owned(), at: seconds(at) });
    Member { applied, health, ..member(number) }
}

fn unready(since: i64) -> Health {
    Health::Unready { since: seconds(since), reason: "NeverReady".to_owned() }
}

fn ready(since: i64) -> Health {
    Health::Ready { since: seconds(since) }
}
