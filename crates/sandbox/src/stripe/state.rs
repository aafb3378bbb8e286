//! All that changes while the server runs.

use std::{collections::HashMap, str::FromStr, time::Duration};

use oc_service::Clock as WallClock;

use super::{
    deliver::Outbox, engine::Engine, http::Saved, id::Draw, journal::Journal, shape::Shape,
};

/// The account and what stands around it.
pub(super) struct State {
    pub(super) engine: Engine,
    pub(super) clock: Clock,
    pub(super) draw: Draw,
    pub(super) switches: Switches,
    pub(super) outbox: Outbox,
    /// Answers by idempotency key.
    pub(super) saved: HashMap<String, Saved>,
    pub(super) journal: Option<Journal>,
}

/// What tells the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// The wall, and so many seconds more.
    Wall(i64),
    /// A moment that only a test clock moves, in seconds after 1970.
    Frozen(i64),
}

/// How it misbehaves.
#[derive(Clone, Debug)]
pub(super) struct Switches {
    /// How events are spelled.
    pub(super) shape: Shape,
    /// What a delivery waits for, at least and at most.
    pub(super) delay: (Duration, Duration),
    /// What the first retry of a delivery waits for; each later one waits twice as long.
    pub(super) retry: Duration,
    pub(super) paused: bool,
    pub(super) duplicate: Odds,
    pub(super) reorder: Odds,
    pub(super) lose: Odds,
    /// What an answer waits for.
    pub(super) latency: Duration,
    pub(super) failures: Vec<(Failure, Odds)>,
}

/// How a request goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// It is refused with this status and nothing is done.
    Status(u16),
    /// It is never answered and nothing is done.
    Hang,
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

impl Odds {
    pub(super) const NEVER: Self = Self::Next(0);

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

    /// `3` is the next three times, `0.3` three times of ten.
    fn from_str(text: &str) -> Result<Self, String> {
        let chance = || text.parse().ok().filter(|part| (0.0..=1.0).contains(part));
        let odds = text.parse().ok().map(Self::Next).or_else(|| chance().map(Self::Chance));
        odds.ok_or_else(|| {
            format!("{text}: expected a count such as 3 or a probability such as 0.3")
        })
    }
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            shape: Shape::New,
            delay: (Duration::ZERO, Duration::ZERO),
            retry: Duration::from_secs(1),
            paused: false,
            duplicate: Odds::NEVER,
            reorder: Odds::NEVER,
            lose: Odds::NEVER,
            latency: Duration::ZERO,
            failures: Vec::new(),
        }
    }
}

impl Switches {
    /// Lets requests fail so, this often from now on.
    pub(super) fn fail(&mut self, failure: Failure, odds: Odds) {
        self.failures.retain(|(known, _)| *known != failure);
        self.failures.push((failure, odds));
    }
}

/// The time of day, in seconds after 1970.
pub(super) fn wall() -> i64 {
    WallClock::system().now().as_second()
}

impl State {
    pub(super) fn new(engine: Engine, seed: u64) -> Self {
        Self {
            clock: Clock::Wall(engine.now() - wall()),
            engine,
            // The engine draws its ids from the seed itself.
            draw: Draw::new(!seed),
            switches: Switches::default(),
            outbox: Outbox::default(),
            saved: HashMap::new(),
            journal: None,
        }
    }

    /// Lets happen what is due by now.
    pub(super) fn catch_up(&mut self) {
        let now = match self.clock {
            Clock::Wall(more) => wall() + more,
            Clock::Frozen(at) => at,
        };
        self.engine.advance_to(now);
    }

    /// Works on the account as it is now, and sends what came of it.
    pub(super) fn with<T>(&mut self, work: impl FnOnce(&mut Engine) -> T) -> T {
        self.catch_up();
        let done = work(&mut self.engine);
        self.enqueue();
        done
    }

    /// Hands new events to the outbox.
    pub(super) fn enqueue(&mut self) {
        let Self { engine, outbox, switches, draw, .. } = self;
        outbox.take(engine.events(), switches, draw);
    }

    /// Moves the clock to a moment that is not over; it stays frozen if it is.
    pub(super) fn move_to(&mut self, at: i64) {
        self.clock = match self.clock {
            Clock::Wall(_) => Clock::Wall(at - wall()),
            Clock::Frozen(_) => Clock::Frozen(at),
        };
        self.with(|_| ());
    }

    /// How a request goes wrong, if it does.
    pub(super) fn failure(&mut self) -> Option<Failure> {
        let Self { switches, draw, .. } = self;
        let mut failures = switches.failures.iter_mut();
        failures.find_map(|(failure, odds)| odds.happens(draw).then_some(*failure))
    }
}
