//! Which request does what.

use std::sync::Arc;

use serde_json::Value;

use super::{
    engine::{Engine, Entity},
    error::Error,
    event::Event,
    form::Params,
    list::{self, Row},
    shape::Shape,
};

mod billing;
mod catalog;
mod checkout;
mod payments;
mod subscriptions;

/// A request that knows what it wants.
pub(super) struct Call<'a> {
    pub(super) engine: &'a mut Engine,
    pub(super) params: &'a mut Params,
    pub(super) shape: Shape,
    /// How events are spelled: by what the endpoint of the account asks for.
    pub(super) events: Shape,
}

type Answer = Result<Value, Error>;

impl Call<'_> {
    /// Answers a request for this path, without its `/v1/`.
    pub(super) fn answer(mut self, method: &str, path: &str) -> Answer {
        let segments: Vec<&str> = path.split('/').collect();
        let expand = self.params.texts("expand")?;
        let answer = self.dispatch(method, &segments).unwrap_or_else(|| {
            let message = format!("Unrecognized request URL ({method}: /v1/{path}).");
            Err(Error { status: 404, ..Error::invalid(message) })
        });
        let mut answer = answer?;
        for path in expand {
            super::expand::expand(self.engine, self.shape, &mut answer, &path)?;
        }
        Ok(answer)
    }

    fn dispatch(&mut self, method: &str, segments: &[&str]) -> Option<Answer> {
        match segments.first().copied()? {
            "customers" | "products" | "prices" => self.catalog(method, segments),
            "checkout" | "billing_portal" => self.checkout(method, segments),
            "subscriptions" | "subscription_schedules" => self.subscriptions(method, segments),
            "invoices" | "invoice_payments" => self.billing(method, segments),
            "payment_intents" | "charges" | "refunds" | "disputes" => {
                self.payments(method, segments)
            }
            "events" => self.events(method, segments),
            _ => None,
        }
    }

    fn events(&mut self, method: &str, segments: &[&str]) -> Option<Answer> {
        match (method, segments) {
            ("GET", ["events"]) => Some(self.list_events()),
            ("GET", ["events", id]) => Some(self.done().and_then(|()| {
                let event = self.engine.events().iter().find(|event| *event.id == **id);
                let event = event.ok_or_else(|| Error::no_such("event", id))?;
                Ok(event.json(self.events, 0))
            })),
            _ => None,
        }
    }

    fn list_events(&mut self) -> Answer {
        let kind = self.params.text("type")?;
        let kinds = self.params.texts("types")?;
        let shape = self.events;
        let wanted = |event: &&Arc<Event>| {
            let named = kind.as_deref().is_none_or(|pattern| matches(pattern, event.kind));
            named && (kinds.is_empty() || kinds.iter().any(|pattern| matches(pattern, event.kind)))
        };
        let rows = self.engine.events().iter().filter(wanted).map(|event| Row {
            id: &event.id,
            created: event.created,
            json: Box::new(move || event.json(shape, 0)),
        });
        list::page_of(rows, self.params, "/v1/events")
    }

    /// Refuses what nobody took.
    fn done(&self) -> Result<(), Error> {
        self.params.finish()
    }

    /// The object with this id, and nothing else was asked.
    fn retrieve<T: Entity>(&mut self, id: &str) -> Answer {
        self.done()?;
        self.show::<T>(id)
    }

    fn show<T: Entity>(&self, id: &str) -> Answer {
        Ok(self.engine.find::<T>(id)?.snapshot().json(self.shape))
    }

    fn page<T: Entity>(&mut self, url: &str, wanted: impl Fn(&T) -> bool) -> Answer {
        list::page(self.engine, self.params, self.shape, url, wanted)
    }
}

/// `invoice.*` stands for all of that kind.
fn matches(pattern: &str, kind: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(start) => kind.starts_with(start),
        None => kind == pattern,
    }
}

/// Whether an object has the value that a list was asked for, or there was no such wish.
fn fits(wish: Option<&String>, value: &str) -> bool {
    wish.is_none_or(|wish| wish == value)
}

/// What a caller sets: absent stays, empty is taken away.
fn set(field: &mut Option<String>, value: Option<String>) {
    if let Some(value) = value {
        *field = Some(value).filter(|value| !value.is_empty());
    }
}
