//! How it misbehaves, in words.

use std::{str::FromStr, time::Duration};

use super::state::Draw;
use crate::duration;

/// How it misbehaves.
#[derive(Clone, Debug)]
pub(super) struct Switches {
    pub(super) limits: bool,
    /// Whether calls are noted.
    pub(super) calls: bool,
    pub(super) paused: bool,
    pub(super) duplicate: Odds,
    pub(super) reorder: Odds,
    /// What the first retry of a delivery waits for; each later one waits twice as long.
    pub(super) retry: Duration,
    pub(super) latency: Duration,
    pub(super) retry_after: u64,
    /// The method that calls go wrong of, in lower case; none for all.
    only: String,
    failures: Vec<(Failure, Odds)>,
}

/// How a call goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is refused with this status.
    Status(u16),
    /// It is never answered.
    Hang,
    /// The connection ends, and nothing is done.
    Cut,
    /// It is done, and the connection ends before the answer.
    Lost,
}

/// How often something happens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Odds {
    /// The next so many times.
    Next(u32),
    /// Each time with this probability.
    Chance(f64),
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            limits: true,
            calls: false,
            paused: false,
            duplicate: Odds::Next(0),
            reorder: Odds::Next(0),
            retry: Duration::from_secs(1),
            latency: Duration::ZERO,
            retry_after: 1,
            only: String::new(),
            failures: Vec::new(),
        }
    }
}

impl Switches {
    pub(super) fn obey(&mut self, word: &str) -> Result<(), String> {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        match name {
            "limits" => self.limits = on(value)?,
            "calls" => self.calls = on(value)?,
            "pause" => self.paused = true,
            "resume" => self.paused = false,
            "duplicate" => self.duplicate = value.parse()?,
            "reorder" => self.reorder = value.parse()?,
            "retry" => self.retry = duration(value).map_err(|error| error.to_string())?,
            "latency" => self.latency = duration(value).map_err(|error| error.to_string())?,
            "retry_after" => self.retry_after = value.parse().map_err(|_| "seconds".to_owned())?,
            "only" => self.only = value.to_ascii_lowercase(),
            "hang" => self.fail(Failure::Hang, value.parse()?),
            "cut" => self.fail(Failure::Cut, value.parse()?),
            "lost" => self.fail(Failure::Lost, value.parse()?),
            "fail" => {
                let (status, odds) = value.split_once(':').unwrap_or((value, "1"));
                let status = status.parse().map_err(|_| "a status such as 500".to_owned())?;
                self.fail(Failure::Status(status), odds.parse()?);
            }
            _ => return Err(format!("{word}: no word that the stand-in knows")),
        }
        Ok(())
    }

    fn fail(&mut self, failure: Failure, odds: Odds) {
        self.failures.retain(|(known, _)| *known != failure);
        self.failures.push((failure, odds));
    }

    /// How a call goes wrong, if it does; the method is in lower case.
    pub(super) fn failure(&mut self, method: &str, draw: &mut Draw) -> Option<Failure> {
        if !self.only.is_empty() && self.only != method {
            return None;
        }
        let mut failures = self.failures.iter_mut();
        failures.find_map(|(failure, odds)| odds.happens(draw).then_some(*failure))
    }
}

impl Odds {
    pub(super) fn happens(&mut self, draw: &mut Draw) -> bool {
        match self {
            Self::Next(0) => false,
            Self::Next(left) => {
                *left -= 1;
                true
            }
            Self::Chance(probability) => draw.chance(*probability),
        }
    }
}

impl FromStr for Odds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let chance = || text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
        let odds = text.parse().ok().map(Self::Next).or_else(|| chance().map(Self::Chance));
        odds.ok_or_else(|| {
            format!("{text}: expected a count such as 3 or a probability such as 0.3")
        })
    }
}

fn on(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("{value}: expected on or off")),
    }
}
