//! Webhooks: what is sent when, and until somebody takes it.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Shared,
    event::Event,
    id::Draw,
    sign::sign,
    state::{State, Switches, wall},
};

/// Deliveries at a time.
const AT_ONCE: usize = 16;
/// How long an endpoint may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest time between two attempts.
const LONGEST: Duration = Duration::from_mins(1);
/// By so much an event that is to come too late is held back at most.
const OVERTAKEN: Duration = Duration::from_millis(500);
/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(200);

/// Where events go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// The address.
    pub url: String,
    /// What deliveries are signed with: one secret, or two while it is replaced.
    pub secrets: Vec<String>,
}

/// What became of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delivery {
    /// How often it was sent.
    pub attempts: u32,
    /// Whether the endpoint took it.
    pub taken: bool,
    /// Whether it is kept back until somebody asks for it.
    pub lost: bool,
}

/// Events on their way.
#[derive(Default)]
pub(super) struct Outbox {
    pub(super) endpoint: Option<Endpoint>,
    pub(super) deliveries: Vec<Delivery>,
    queue: BTreeSet<(Instant, u64, usize)>,
    /// Attempts that are being made.
    flying: usize,
    order: u64,
}

/// One attempt.
struct Attempt {
    event: usize,
    url: String,
    secrets: Vec<String>,
    body: String,
}

impl Outbox {
    /// Plans the delivery of events that it does not know yet.
    pub(super) fn take(&mut self, events: &[Arc<Event>], switches: &mut Switches, draw: &mut Draw) {
        for event in self.deliveries.len()..events.len() {
            let lost = switches.lose.happens(draw);
            self.deliveries.push(Delivery { lost, ..Delivery::default() });
            if lost || self.endpoint.is_none() {
                continue;
            }
            let copies = 1 + u32::from(switches.duplicate.happens(draw));
            for _ in 0..copies {
                let mut wait = between(switches.delay, draw);
                if switches.reorder.happens(draw) {
                    wait += between((OVERTAKEN / 5, OVERTAKEN), draw);
                }
                self.plan(event, wait);
            }
        }
    }

    fn plan(&mut self, event: usize, wait: Duration) {
        self.order += 1;
        self.queue.insert((Instant::now() + wait, self.order, event));
    }

    /// Sends events again: one, or all that were lost.
    pub(super) fn redeliver(&mut self, events: &[Arc<Event>], id: Option<&str>) {
        for (place, event) in events.iter().enumerate() {
            let Some(delivery) = self.deliveries.get_mut(place) else { continue };
            let asked = id.map_or(delivery.lost, |id| id == &*event.id);
            if asked {
                delivery.lost = false;
                self.plan(place, Duration::ZERO);
            }
        }
    }

    /// Deliveries that are waiting or being made.
    pub(super) fn under_way(&self) -> usize {
        self.queue.len() + self.flying
    }
}

fn between((least, most): (Duration, Duration), draw: &mut Draw) -> Duration {
    let span = u64::try_from(most.saturating_sub(least).as_micros()).unwrap_or(u64::MAX);
    least + Duration::from_micros(draw.below(span.saturating_add(1)))
}

impl State {
    /// Takes at most `count` attempts that are due, and says when to look again.
    fn due(&mut self, count: usize) -> (Vec<Attempt>, Instant) {
        self.with(|_| ());
        let now = Instant::now();
        let mut attempts = Vec::new();
        while attempts.len() < count && !self.switches.paused {
            let first = self.outbox.queue.first().filter(|(at, ..)| *at <= now);
            let (Some(endpoint), Some((.., event))) = (&self.outbox.endpoint, first) else { break };
            let (event, shape) = (*event, self.switches.shape);
            let body =
                self.engine.events().get(event).map(|event| event.json(shape, 1).to_string());
            self.outbox.flying += usize::from(body.is_some());
            let Endpoint { url, secrets } = endpoint.clone();
            attempts.extend(body.map(|body| Attempt { event, url, secrets, body }));
            self.outbox.queue.pop_first();
        }
        let next = self.outbox.queue.first().map_or(now + TICK, |(at, ..)| *at);
        // Where something is due and cannot go, its turn comes with an answer or a change.
        (attempts, if next <= now { now + TICK } else { next.min(now + TICK) })
    }

    /// What became of an attempt.
    fn attempted(&mut self, event: usize, taken: bool) {
        self.outbox.flying -= 1;
        let Some(delivery) = self.outbox.deliveries.get_mut(event) else { return };
        delivery.attempts += 1;
        delivery.taken |= taken;
        if !taken {
            let doubled =
                self.switches.retry.saturating_mul(1 << delivery.attempts.clamp(1, 16) >> 1);
            self.outbox.plan(event, doubled.min(LONGEST));
        }
    }
}

/// Delivers until it is dropped.
pub(super) async fn deliver(shared: Arc<Shared>, client: reqwest::Client) {
    let mut sending = JoinSet::new();
    loop {
        let (attempts, next) = shared.state.lock().due(AT_ONCE.saturating_sub(sending.len()));
        for attempt in attempts {
            let client = client.clone();
            sending.spawn(async move { (attempt.event, send(&client, attempt).await) });
        }
        tokio::select! {
            Some(Ok((event, taken))) = sending.join_next() => {
                shared.state.lock().attempted(event, taken);
            }
            () = shared.wake.notified() => {}
            () = sleep_until(next) => {}
        }
    }
}

/// Whether the endpoint took it. The signature has the time of the attempt, as receivers check.
async fn send(client: &reqwest::Client, attempt: Attempt) -> bool {
    let secrets: Vec<&str> = attempt.secrets.iter().map(String::as_str).collect();
    let signature = sign(&secrets, wall(), &attempt.body);
    let request = client
        .post(&attempt.url)
        .timeout(PATIENCE)
        .header("content-type", "application/json; charset=utf-8")
        .header("user-agent", "Stripe/1.0 (+https://stripe.com/docs/webhooks)")
        .header("stripe-signature", signature)
        .body(attempt.body);
    request.send().await.is_ok_and(|answer| answer.status().is_success())
}
