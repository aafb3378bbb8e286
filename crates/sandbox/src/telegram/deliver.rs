//! Webhooks: the updates of a chat one after another, those of other chats beside them, each until it
//! is taken.

use std::{collections::HashSet, sync::Arc, time::Duration};

use bytes::Bytes;
use reqwest::Client;
use serde_json::Value;
use tokio::{
    sync::mpsc::UnboundedReceiver,
    task::JoinSet,
    time::{Instant, sleep_until},
};

use super::{
    Shared, api,
    params::Params,
    person::now,
    state::{State, Update},
};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);
/// The longest pause between two attempts.
const LONGEST: Duration = Duration::from_mins(1);
/// How long an update that is to come late is held.
const HELD: u64 = 500;

/// What has ended.
enum Done {
    /// An attempt to deliver an update of a bot, and the answer or the complaint.
    Attempt(i64, i64, Result<Bytes, String>),
    /// A pause of a bot's update.
    Pause(i64),
}

/// What is to be sent.
struct Parcel {
    url: String,
    secret: String,
    update: Update,
    times: u32,
}

/// Delivers until it is dropped; `wanted` are bots that may have something.
pub(super) async fn deliver(
    shared: Arc<Shared>,
    client: Client,
    mut wanted: UnboundedReceiver<i64>,
) {
    let mut running = JoinSet::new();
    loop {
        let bot = tokio::select! {
            Some(bot) = wanted.recv() => bot,
            Some(Ok(done)) = running.join_next() => match done {
                Done::Pause(bot) => bot,
                Done::Attempt(bot, update, answer) => {
                    finish(&shared, &mut running, bot, update, answer).await;
                    bot
                }
            },
            else => return,
        };
        for parcel in take(&mut shared.state.lock(), bot, &mut running) {
            running.spawn(send(client.clone(), bot, parcel));
        }
    }
}

/// The updates of a bot whose turn it is.
fn take(state: &mut State, id: i64, running: &mut JoinSet<Done>) -> Vec<Parcel> {
    let mut parcels = Vec::new();
    let State { bots, draw, switches, .. } = state;
    let Some(bot) = bots.get_mut(&id).filter(|_| !switches.paused) else { return parcels };
    let Some(webhook) = &bot.webhook else { return parcels };
    let mut room = webhook.max_connections;
    room =
        room.saturating_sub(bot.updates.iter().filter(|update| update.delivery.under_way).count());
    let (mut busy, now) = (HashSet::new(), Instant::now());
    for update in &mut bot.updates {
        if room == 0 {
            break;
        }
        let waits = update.delivery.due.is_some_and(|due| due > now);
        // Others of its chat may pass one that is to come late.
        if waits && update.delivery.held {
            continue;
        }
        let is_first = busy.insert(update.chat);
        if waits || !is_first || update.delivery.under_way {
            continue;
        }
        let is_new = update.delivery.attempts == 0 && !update.delivery.held;
        if is_new && switches.reorder.happens(draw) {
            let due = now + Duration::from_millis(draw.next() % HELD);
            (update.delivery.due, update.delivery.held) = (Some(due), true);
            busy.remove(&update.chat);
            running.spawn(pause_until(id, due));
            continue;
        }
        update.delivery.under_way = true;
        room -= 1;
        parcels.push(Parcel {
            url: webhook.url.clone(),
            secret: webhook.secret.clone(),
            update: update.clone(),
            times: 1 + u32::from(switches.duplicate.happens(draw)),
        });
    }
    parcels
}

async fn pause_until(bot: i64, due: Instant) -> Done {
    sleep_until(due).await;
    Done::Pause(bot)
}

async fn send(client: Client, bot: i64, parcel: Parcel) -> Done {
    let Parcel { url, secret, update, times } = parcel;
    let mut answer = Err(String::new());
    for _ in 0..times {
        let mut request =
            client.post(&url).timeout(PATIENCE).header("content-type", "application/json");
        if !secret.is_empty() {
            request = request.header("x-telegram-bot-api-secret-token", &secret);
        }
        answer = match request.body(update.json.to_string()).send().await {
            Ok(response) if response.status().is_success() => {
                Ok(response.bytes().await.unwrap_or_default())
            }
            Ok(response) => Err(format!("Wrong response from the webhook: {}", response.status())),
            Err(error) if error.is_timeout() => Err("Read timeout expired".to_owned()),
            Err(error) if error.is_connect() => Err("Connection refused".to_owned()),
            Err(error) => Err(error.without_url().to_string()),
        };
    }
    Done::Attempt(bot, update.id, answer)
}

/// What becomes of an update after an attempt.
async fn finish(
    shared: &Arc<Shared>,
    running: &mut JoinSet<Done>,
    id: i64,
    update: i64,
    answer: Result<Bytes, String>,
) {
    let call = {
        let mut state = shared.state.lock();
        let retry = state.switches.retry;
        let Some(bot) = state.bots.get_mut(&id) else { return };
        let Ok(index) = bot.updates.binary_search_by_key(&update, |update| update.id) else {
            return;
        };
        match answer {
            Ok(answer) => {
                bot.updates.remove(index);
                answer
            }
            Err(complaint) => {
                if let Some(webhook) = &mut bot.webhook {
                    webhook.last_error = Some((now().as_second(), complaint));
                }
                if let Some(update) = bot.updates.get_mut(index) {
                    let delivery = &mut update.delivery;
                    let pause = (retry * 2_u32.saturating_pow(delivery.attempts)).min(LONGEST);
                    let due = Instant::now() + pause;
                    delivery.attempts += 1;
                    (delivery.under_way, delivery.due) = (false, Some(due));
                    running.spawn(pause_until(id, due));
                }
                Bytes::new()
            }
        }
    };
    shared.touch();
    reply(shared, id, call).await;
}

/// Makes the call that a webhook's answer holds.
async fn reply(shared: &Arc<Shared>, bot: i64, answer: Bytes) {
    let Ok(json) = serde_json::from_slice::<Value>(&answer) else { return };
    let Some(method) = json.get("method").and_then(Value::as_str).and_then(api::find) else {
        return;
    };
    if let Ok(params) = Params::read("application/json", "", answer).await {
        // Nobody is told what came of it.
        let _ = api::answer(shared, bot, method, params).await;
    }
}
