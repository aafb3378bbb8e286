//! `getUpdates`, as Telegram answers it.

use std::{sync::Arc, time::Duration};

use http::{Response, StatusCode};
use oc_service::chain;
use oc_store::{
    bots::Desk,
    tenants::State,
    updates::{self, Fetched, Offset, Waiting},
};
use oc_telegram::{Params, update::renumbered};
use tokio::time::{Instant, sleep};

use super::{Pod, unavailable};
use crate::{
    answer::{Body, Refused, of_bytes},
    polls::Woken,
    relay::Relay,
};

/// Updates in one answer at most.
const MOST: i64 = 100;
/// How long a poll may wait.
const LONGEST: i64 = 50;
/// What is answered at once would be asked again at once.
const BREATH: Duration = Duration::from_secs(1);

/// What a poll asks for.
pub(super) struct Ask {
    from: Offset,
    limit: u32,
    until: Instant,
}

impl Ask {
    pub(super) fn read(params: &Params) -> Result<Self, Refused> {
        let integer = |name| Ok::<i64, Refused>(params.integer(name)?.unwrap_or_default());
        let limit = integer("limit")?;
        let limit = if (1..=MOST).contains(&limit) { limit } else { MOST };
        let wait = integer("timeout")?.clamp(0, LONGEST);
        Ok(Self {
            from: match integer("offset")? {
                0 => Offset::First,
                seq @ 1.. => Offset::Seq(seq),
                last => Offset::Last(last.saturating_neg()),
            },
            limit: u32::try_from(limit).unwrap_or(1),
            until: Instant::now() + Duration::from_secs(wait.unsigned_abs()),
        })
    }
}

impl Relay {
    /// What waits for the pod; nothing if nothing comes in time. Another poll of the tenant ends it.
    pub(super) async fn updates(&self, pod: Pod, ask: Ask) -> Result<Response<Body>, Refused> {
        let Pod { tenant, mut desk } = pod;
        let Ask { mut from, limit, until } = ask;
        let poll = self.polls.begin(&tenant);
        self.herald.polls(&tenant);
        loop {
            if is_served(&desk) {
                let mut handed = poll.handed();
                if !handed.is_empty() {
                    // The rest waits in Postgres as well.
                    handed.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
                    return Ok(self.deliver(&handed));
                }
                // Boxed: there is no room for it while nothing comes.
                let now = self.office.clock.now();
                let office = &self.office;
                let fetched = Box::pin(updates::fetch(
                    &office.store,
                    &office.vault,
                    &tenant,
                    from,
                    limit,
                    now,
                ));
                match fetched.await {
                    Ok(Fetched { waiting, last_seq }) if waiting.is_empty() => {
                        poll.is_empty_at(last_seq);
                        from = Offset::First;
                    }
                    Ok(Fetched { waiting, .. }) => return Ok(self.deliver(&waiting)),
                    Err(error) => {
                        sleep(BREATH).await;
                        return Err(unavailable(&error));
                    }
                }
            }
            match self.draining.run_until_cancelled(poll.woken(until)).await {
                None | Some(Woken::TimedOut) => return Ok(answer(&[])),
                Some(Woken::Superseded) => return Err(superseded()),
                Some(Woken::Updates) => {}
            }
            let generation = desk.generation;
            let known = Box::pin(self.desks.get(&tenant)).await;
            desk = known.ok().flatten().unwrap_or(desk);
            if desk.generation != generation {
                return Err(Refused::unauthorized());
            }
        }
    }

    fn deliver(&self, waiting: &[Waiting]) -> Response<Body> {
        let now = self.office.clock.now();
        let mut texts = Vec::with_capacity(waiting.len());
        for one in waiting {
            self.metrics.delivery_time(now.duration_since(one.received_at));
            match renumbered(&one.body, one.seq) {
                Ok(text) => texts.push(text),
                Err(error) => {
                    tracing::error!(error = %chain(&error), "an update cannot be delivered");
                }
            }
        }
        answer(&texts)
    }
}

/// While a tenant is suspended, or has no bot, its pod waits for ever.
fn is_served(desk: &Arc<Desk>) -> bool {
    desk.state == State::Active && desk.bot.is_some()
}

fn answer(updates: &[Vec<u8>]) -> Response<Body> {
    let text = [&b"{\"ok\":true,\"result\":["[..], &updates.join(&b','), b"]}"].concat();
    of_bytes(StatusCode::OK, text.into())
}

fn superseded() -> Refused {
    let text = "Conflict: terminated by other getUpdates request; make sure that only one bot instance \
                is running";
    Refused::new(StatusCode::CONFLICT, text)
}
