//! How a bot gets its updates.

use std::{sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use super::{Refusal, Shared};
use crate::telegram::{
    params::Params,
    person::merge,
    state::{Bot, Webhook},
};

/// What waits as long for updates as it says; a later call of the same bot ends it.
pub(super) async fn get(shared: &Arc<Shared>, id: i64, params: &Params) -> Result<Value, Refusal> {
    let wait =
        Duration::from_secs(params.integer("timeout").unwrap_or(0).clamp(0, 50).unsigned_abs());
    let until = Instant::now() + wait;
    let notify = shared.poll(id);
    let mine = begin(shared, id, params)?;
    notify.notify_waiters();
    shared.touch();
    loop {
        // Who is told after this line wakes us.
        let told = notify.notified();
        if let Some(updates) = look(shared, id, mine, params)? {
            return Ok(updates);
        }
        if timeout_at(until, told).await.is_err() {
            let updates = look(shared, id, mine, params)?;
            return Ok(updates.unwrap_or_else(|| json!([])));
        }
    }
}

/// Confirms what is before the offset; gives the number of the poll.
fn begin(shared: &Shared, id: i64, params: &Params) -> Result<u64, Refusal> {
    let mut state = shared.state.lock();
    let bot = state.own(id)?;
    check_webhook(bot)?;
    if let Some(allowed) = params.value("allowed_updates").map_err(Refusal::bad)? {
        bot.allowed = kinds(allowed)?;
    }
    match params.integer("offset").unwrap_or(0) {
        0 => {}
        offset @ 1.. => {
            while bot.updates.front().is_some_and(|update| update.id < offset) {
                bot.updates.pop_front();
            }
        }
        offset => {
            let keep = usize::try_from(offset.unsigned_abs()).unwrap_or(usize::MAX);
            let confirmed = bot.updates.len().saturating_sub(keep);
            bot.updates.drain(..confirmed);
        }
    }
    bot.poll += 1;
    Ok(bot.poll)
}

fn look(shared: &Shared, id: i64, mine: u64, params: &Params) -> Result<Option<Value>, Refusal> {
    let mut state = shared.state.lock();
    let bot = state.own(id)?;
    check_webhook(bot)?;
    if bot.poll != mine {
        return Err(Refusal::new(
            409,
            "Conflict: terminated by other getUpdates request; make sure that only one bot instance \
             is running",
        ));
    }
    if bot.updates.is_empty() {
        return Ok(None);
    }
    let limit = params.integer("limit").unwrap_or(100).clamp(1, 100);
    let updates = bot.updates.iter().take(usize::try_from(limit).unwrap_or(100));
    let updates: Result<Vec<Value>, _> =
        updates.map(|update| serde_json::from_str(&update.json)).collect();
    Ok(updates.ok().map(Value::from))
}

fn check_webhook(bot: &Bot) -> Result<(), Refusal> {
    match bot.webhook {
        None => Ok(()),
        Some(_) => Err(Refusal::new(
            409,
            "Conflict: can't use getUpdates method while webhook is active; use deleteWebhook to delete \
             the webhook first",
        )),
    }
}

pub(super) fn set_webhook(bot: &mut Bot, params: &Params) -> Result<Value, Refusal> {
    if params.truth("drop_pending_updates") {
        bot.updates.clear();
    }
    let Some(url) = params.get("url") else {
        bot.webhook = None;
        return Ok(true.into());
    };
    if !is_address(url) {
        return Err(Refusal::bad("bad webhook: An HTTPS URL must be provided for webhook"));
    }
    let secret = params.get("secret_token").unwrap_or_default();
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    if secret.len() > 256 || !secret.bytes().all(plain) {
        return Err(Refusal::bad("secret token contains unallowed characters"));
    }
    if let Some(allowed) = params.value("allowed_updates").map_err(Refusal::bad)? {
        bot.allowed = kinds(allowed)?;
    }
    let connections = params.integer("max_connections").unwrap_or(40).clamp(1, 100);
    for update in &mut bot.updates {
        update.delivery.due = None;
    }
    bot.webhook = Some(Webhook {
        url: url.to_owned(),
        secret: secret.to_owned(),
        max_connections: usize::try_from(connections).unwrap_or(40),
        last_error: None,
    });
    // A poll that waits learns of it.
    bot.poll += 1;
    Ok(true.into())
}

pub(super) fn delete_webhook(bot: &mut Bot, params: &Params) -> Value {
    if params.truth("drop_pending_updates") {
        bot.updates.clear();
    }
    bot.webhook = None;
    true.into()
}

pub(super) fn webhook_info(bot: &Bot) -> Value {
    let pending = bot.updates.len();
    let Some(webhook) = &bot.webhook else {
        return json!({
            "url": "", "has_custom_certificate": false, "pending_update_count": pending,
        });
    };
    let mut info = json!({
        "url": webhook.url, "has_custom_certificate": false, "pending_update_count": pending,
        "max_connections": webhook.max_connections, "ip_address": "127.0.0.1",
    });
    if let Some((at, message)) = &webhook.last_error {
        merge(&mut info, json!({ "last_error_date": at, "last_error_message": message }));
    }
    if !bot.allowed.is_empty() {
        merge(&mut info, json!({ "allowed_updates": bot.allowed }));
    }
    info
}

/// HTTPS at a port that Telegram has, or this machine.
fn is_address(url: &str) -> bool {
    let Ok(uri) = url.parse::<http::Uri>() else { return false };
    match (uri.scheme_str(), uri.host(), uri.port_u16()) {
        (Some("http" | "https"), Some("localhost" | "127.0.0.1" | "[::1]"), _) => true,
        (Some("https"), Some(_), port) => matches!(port, None | Some(443 | 80 | 88 | 8443)),
        _ => false,
    }
}

fn kinds(allowed: Value) -> Result<Vec<String>, Refusal> {
    serde_json::from_value(allowed)
        .map_err(|_| Refusal::bad("can't parse allowed updates JSON object"))
}
