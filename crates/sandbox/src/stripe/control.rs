//! The stand-in's own routes: how it misbehaves, and what people and banks do.

use std::time::Duration;

use bytes::Bytes;
use http::{Method, request::Parts};
use serde_json::json;

use super::{
    Shared,
    customer::Card,
    engine::Engine,
    http::{Answer, plain},
    id::Id,
    refund::NewRefund,
    state::{Clock, Failure, State},
};

/// Answers what begins with `/_`; nobody needs a key for it.
pub(super) fn answer(shared: &Shared, head: &Parts, body: &Bytes) -> Answer {
    let mut state = shared.state.lock();
    match (&head.method, head.uri.path()) {
        (&Method::GET, "/_events") => plain(200, "application/x-ndjson", events(&state)),
        (&Method::POST, "/_control") => {
            let words = String::from_utf8_lossy(body);
            match control(&mut state, &words) {
                Ok(told) => plain(200, "text/plain", told),
                Err(message) => plain(400, "text/plain", format!("{message}\n")),
            }
        }
        _ => plain(404, "text/plain", "no such route of the stand-in\n"),
    }
}

/// A line for each event: what it is and what became of it.
fn events(state: &State) -> String {
    let shape = state.switches.shape;
    let rows = state.engine.events().iter().zip(&state.outbox.deliveries);
    let line = rows.map(|(event, delivery)| {
        json!({
            "event": event.json(shape, 1), "attempts": delivery.attempts,
            "taken": delivery.taken, "lost": delivery.lost,
        })
        .to_string()
    });
    line.map(|line| line + "\n").collect()
}

/// Obeys words in order, until one is not understood or refused; gives a line for each id made.
pub(super) fn control(state: &mut State, words: &str) -> Result<String, String> {
    let mut told = String::new();
    for word in words.split_whitespace() {
        let (name, value) = word.split_once('=').unwrap_or((word, ""));
        if switch(state, name, value)? {
            continue;
        }
        if let Some(id) = act(state, name, value)? {
            told.push_str(&id);
            told.push('\n');
        }
    }
    state.with(|_| ());
    Ok(told)
}

/// Whether it was a switch.
fn switch(state: &mut State, name: &str, value: &str) -> Result<bool, String> {
    let switches = &mut state.switches;
    match name {
        "duplicate" => switches.duplicate = value.parse()?,
        "reorder" => switches.reorder = value.parse()?,
        "lose" => switches.lose = value.parse()?,
        "delay" => {
            let (least, most) = value.split_once("..").unwrap_or((value, value));
            switches.delay = (duration(least)?, duration(most)?);
        }
        "retry" => switches.retry = duration(value)?,
        "latency" => switches.latency = duration(value)?,
        "shape" => switches.shape = parse(value, "old, new or unknown")?,
        "pause" => switches.paused = true,
        "resume" => switches.paused = false,
        "hang" => switches.fail(Failure::Hang, value.parse()?),
        "lost" => switches.fail(Failure::Lost, value.parse()?),
        "fail" => {
            let (status, odds) = value.split_once(':').unwrap_or((value, "1"));
            let status = Failure::Status(parse(status, "a status such as 500")?);
            switches.fail(status, odds.parse()?);
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// What owners, people and banks do; gives the id of what they made.
fn act(state: &mut State, name: &str, value: &str) -> Result<Option<Id>, String> {
    match name {
        "secrets" => {
            let endpoint = state.outbox.endpoint.as_mut().ok_or("there is no endpoint")?;
            endpoint.secrets = value.split(',').map(str::to_owned).collect();
        }
        "redeliver" => {
            let id = Some(value).filter(|id| !id.is_empty());
            state.outbox.redeliver(state.engine.events(), id);
        }
        "exhausted" => {
            let exhausted = parse(value, "canceled, unpaid or past_due")?;
            state.engine.settings_mut().exhausted = exhausted;
        }
        "clock" => {
            let more = value.strip_prefix('+').map(duration).transpose()?;
            let at = match more {
                Some(more) => {
                    state.engine.now() + i64::try_from(more.as_secs()).unwrap_or_default()
                }
                None => parse(value, "seconds after 1970 or +31d")?,
            };
            state.move_to(at);
        }
        "freeze" => state.clock = Clock::Frozen(state.engine.now()),
        _ => return state.with(|engine| pay(engine, name, value)),
    }
    Ok(None)
}

/// What has to do with money.
fn pay(engine: &mut Engine, name: &str, value: &str) -> Result<Option<Id>, String> {
    let (id, how) = value.split_once(':').unwrap_or((value, ""));
    let done = match name {
        "card" => {
            let card: Card = parse(how, "works, declines or none")?;
            engine.set_card(id, card).map(|()| None)
        }
        "checkout" => {
            let card = parse(how, "works, works_once, declines or none")?;
            engine.pay_checkout(id, card).map(|()| None)
        }
        "refund" => {
            let amount = if how.is_empty() { None } else { Some(parse(how, "cents")?) };
            let refund = NewRefund { of: id.to_owned(), amount, ..NewRefund::default() };
            engine.create_refund(refund).map(Some)
        }
        "dispute" => engine.open_dispute(id).map(Some),
        "close" => {
            let won = match how {
                "won" => true,
                "lost" => false,
                _ => return Err(format!("{how:?}: expected won or lost")),
            };
            engine.close_dispute(id, won).map(|()| None)
        }
        _ => return Err(format!("{name}: unknown word")),
    };
    done.map_err(|error| error.to_string())
}

fn parse<T: std::str::FromStr>(text: &str, expected: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{text:?}: expected {expected}"))
}

/// `20ms`, and days, which have 24 hours here.
fn duration(text: &str) -> Result<Duration, String> {
    if let Some(days) = text.strip_suffix('d') {
        let days: u64 = parse(days, "days")?;
        return Ok(Duration::from_secs(days.saturating_mul(86_400)));
    }
    crate::duration(text).map_err(|_| format!("{text:?}: expected a time such as 20ms or 31d"))
}
