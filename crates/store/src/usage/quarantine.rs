//! Metering never stops for an event that cannot be written.

use oc_domain::usage::UsageEvent;
use sqlx::query;

use super::record::{Recorded, record_all};
use crate::{Error, Store};

/// An entry of the stream.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// Its id in the stream.
    pub stream_id: String,
    /// What it says.
    pub event: Result<UsageEvent, Unreadable>,
}

/// An entry that is no event.
#[derive(Clone, Debug)]
pub struct Unreadable {
    /// What stands there.
    pub payload: String,
    /// Why it is no event.
    pub error: String,
}

/// What became of entries: all of them are in the ledger or in quarantine now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// Those that are in the ledger.
    pub recorded: Recorded,
    /// How many are in quarantine.
    pub quarantined: usize,
}

struct Poison<'a> {
    stream_id: &'a str,
    payload: String,
    error: String,
}

/// Records the events that can be, and puts the others into quarantine. After an error, which is
/// never about a single event, the whole may be repeated.
pub async fn record_or_quarantine(store: &Store, entries: &[Delivered]) -> Result<Settled, Error> {
    let mut settled = Settled::default();
    let (mut good, mut poison) = (Vec::new(), Vec::new());
    for Delivered { stream_id, event } in entries {
        match event {
            Ok(event) => good.push((stream_id.as_str(), event)),
            Err(Unreadable { payload, error }) => {
                poison.push(Poison { stream_id, payload: payload.clone(), error: error.clone() });
            }
        }
    }
    // Halved until what is left of a refused part is the one event at fault.
    let mut parts = vec![good.as_slice()];
    while let Some(part) = parts.pop() {
        let events: Vec<&UsageEvent> = part.iter().map(|(_, event)| *event).collect();
        match (record_all(store, &events).await, part) {
            (Ok(recorded), _) => settled.recorded.add(recorded),
            (Err(error), [(stream_id, event)]) if error.is_data() => {
                poison.push(Poison::new(stream_id, event, &error));
            }
            (Err(error), _) if error.is_data() => {
                let (first, second) = part.split_at(part.len() / 2);
                parts.extend([second, first]);
            }
            (Err(error), _) => return Err(error),
        }
    }
    quarantine(store, &poison).await?;
    settled.quarantined = poison.len();
    Ok(settled)
}

impl Recorded {
    fn add(&mut self, other: Self) {
        self.inserted += other.inserted;
        self.duplicates += other.duplicates;
        self.warnings.extend(other.warnings);
    }
}

impl<'a> Poison<'a> {
    fn new(stream_id: &'a str, event: &UsageEvent, error: &Error) -> Self {
        // Serialising fails for no event; if it did, its text would do.
        let payload = serde_json::to_string(event).unwrap_or_else(|_| format!("{event:?}"));
        let source = std::error::Error::source(error);
        let error = source.map_or(error.to_string(), |source| format!("{error}: {source}"));
        Self { stream_id, payload, error }
    }
}

async fn quarantine(store: &Store, poison: &[Poison<'_>]) -> Result<(), Error> {
    if poison.is_empty() {
        return Ok(());
    }
    // The one character that Postgres has not.
    let clean = |text: &str| text.replace('\0', "\u{fffd}");
    let ids: Vec<String> = poison.iter().map(|one| clean(one.stream_id)).collect();
    let payloads: Vec<String> = poison.iter().map(|one| clean(&one.payload)).collect();
    let errors: Vec<String> = poison.iter().map(|one| clean(&one.error)).collect();
    store
        .run(async |db| {
            query!(
                "insert into usage_quarantine (stream_id, payload, error)
                select * from unnest($1::text[], $2::text[], $3::text[])
                on conflict do nothing",
                &ids,
                &payloads,
                &errors,
            )
            .execute(db)
            .await?;
            Ok(())
        })
        .await
}
