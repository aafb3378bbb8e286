//! An update that has come, by webhook or by polling: who is it, and may they?

use std::{sync::Arc, time::Duration};

use oc_domain::{Locale, TenantId};
use oc_platform_token::Purpose;
use oc_service::chain;
use oc_store::{
    bots::Desk,
    chats::{self, Bound, Chat},
    tenants::State,
    updates::{Incoming, Receipt},
};
use oc_telegram::{ChatKind, Kind, Update, User, update::renumbered};

use crate::{
    courier::Letter, digest::sha256, inbox::Unavailable, relay::Relay, replays::Answer, texts::Text,
};

/// How often one person is told the same, as that the agent is not theirs, or that it is suspended.
const TOLD: Duration = Duration::from_hours(1);

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Arrived {
    /// It need not come again.
    Done,
    /// It could not be written down, and has to.
    Again,
}

/// A person in a private chat, whose number is the person's too.
struct Person<'a> {
    chat: i64,
    user: &'a User,
}

impl Relay {
    /// Takes an update of the tenant's bot of that number.
    pub(crate) async fn arrive(
        &self,
        tenant: &TenantId,
        desk: &Arc<Desk>,
        number: i64,
        body: Vec<u8>,
    ) -> Arrived {
        let Some(update) = readable(&body) else {
            self.metrics.arrived("unreadable");
            return Arrived::Done;
        };
        // Groups have people whom nobody has bound, so what is said there is not for the agent.
        let Some(person) = person(&update) else {
            self.metrics.arrived("ignored");
            return Arrived::Done;
        };
        let taken = self.take(tenant, desk, number, &update, person, body);
        let Ok(outcome) = taken.await else {
            self.metrics.arrived("unavailable");
            return Arrived::Again;
        };
        self.metrics.arrived(outcome);
        Arrived::Done
    }

    async fn take(
        &self,
        tenant: &TenantId,
        desk: &Arc<Desk>,
        number: i64,
        update: &Update,
        person: Person<'_>,
        body: Vec<u8>,
    ) -> Result<&'static str, Unavailable> {
        let mut desk = Arc::clone(desk);
        if !is_bound(&desk, &person) {
            // It may have been bound at another replica in this moment.
            let fresh = self.desks.fresh(tenant).await.map_err(|_| Unavailable)?;
            desk = fresh.unwrap_or(desk);
        }
        let code = code(update);
        if !is_bound(&desk, &person) {
            if let Some(code) = code {
                return self.bind(tenant, &desk, &person, code).await;
            }
            self.tell_off(tenant, &desk, &person, Text::Stranger).await;
            return Ok("stranger");
        }
        if code.is_some() {
            // A link that was followed again, or a delivery that came again.
            return Ok("ignored");
        }
        if let Some(answer) = Answer::read(update) {
            let place = (person.chat, language(person.user, desk.locale));
            return self.answered(tenant, &desk, place, &answer).await;
        }
        // An edited message is kept by OpenClaw, and not answered.
        let metered = (update.kind == Kind::Message).then_some(person.chat);
        let update_id = update.id;
        let incoming = Incoming { tenant: tenant.clone(), number, update_id, metered, body };
        let receipt = self.inbox.put(incoming).await?;
        if let Some(text) = complaint(&desk, update, receipt) {
            self.tell_off(tenant, &desk, &person, text).await;
        }
        Ok(match receipt {
            Receipt::New { counted: false, .. } => "stored",
            Receipt::New { counted: true, .. } => "counted",
            Receipt::Held => "held",
            Receipt::Refused => "beyond",
            Receipt::Known => "known",
        })
    }

    /// Binds a person who has followed a link.
    async fn bind(
        &self,
        tenant: &TenantId,
        desk: &Desk,
        person: &Person<'_>,
        code: &str,
    ) -> Result<&'static str, Unavailable> {
        let chat = Chat {
            chat_id: person.chat,
            user_id: person.user.id.get(),
            locale: language(person.user, desk.locale),
            bound_at: self.office.clock.now(),
        };
        let most = desk.tier.get().telegram_users.most();
        let hash = sha256(code.as_bytes());
        let bound = chats::bind(&self.office.store, tenant, &hash, &chat, most).await;
        let bound = bound.map_err(|error| {
            tracing::warn!(%tenant, error = %chain(&error), "a link waits");
            Unavailable
        })?;
        match bound {
            Bound::Bound => {
                self.desks.forget(tenant);
                self.office.changed(tenant).await;
                tracing::info!(%tenant, "a person is bound");
                self.send(tenant, desk, person.chat, Text::Bound, desk.locale);
                Ok("bound")
            }
            Bound::NoSuchCode => {
                self.tell_off(tenant, desk, person, Text::NoSuchCode).await;
                Ok("stranger")
            }
            Bound::Full => {
                self.tell_off(tenant, desk, person, Text::Full).await;
                Ok("stranger")
            }
        }
    }

    /// Tells somebody why the agent does not answer, once in a while: whoever writes a thousand
    /// messages gets one.
    async fn tell_off(&self, tenant: &TenantId, desk: &Desk, person: &Person<'_>, text: Text) {
        let name = format!("told:{tenant}:{}:{text}", person.user.id);
        if person.user.is_bot || !matches!(self.presence.claim(&name, TOLD).await, Ok(true)) {
            return;
        }
        let locale = language(person.user, desk.locale);
        self.send(tenant, desk, person.chat, text, locale);
    }

    fn send(&self, tenant: &TenantId, desk: &Desk, chat: i64, text: Text, locale: Locale) {
        let Some((bot, token)) = &desk.bot else { return };
        let Some(text) = self.texts.own(text, locale, &self.upgrade(tenant)) else { return };
        let (bot, token) = (bot.number, token.clone());
        self.courier.send(Letter { bot, token, chat, text, buttons: Vec::new() });
    }

    /// A link to where more can be had.
    pub(crate) fn upgrade(&self, tenant: &TenantId) -> String {
        self.links.make(tenant, Purpose::Upgrade, self.office.clock.now())
    }
}

/// An update that can be delivered under another number.
fn readable(body: &[u8]) -> Option<Update> {
    renumbered(body, 0).ok()?;
    Update::parse(body).ok()
}

/// Who it is from, where it is from a person in a private chat.
fn person(update: &Update) -> Option<Person<'_>> {
    let (chat, user) = (update.chat.as_ref()?, update.from.as_ref()?);
    let private = chat.kind == ChatKind::Private && chat.id == user.id;
    private.then_some(Person { chat: chat.id.get(), user })
}

fn is_bound(desk: &Desk, person: &Person<'_>) -> bool {
    let user = person.user.id.get();
    desk.chats.iter().any(|chat| chat.chat_id == person.chat && chat.user_id == user)
}

/// Why the agent will not answer, if it will not.
fn complaint(desk: &Desk, update: &Update, receipt: Receipt) -> Option<Text> {
    let suspended = desk.state == State::Suspended && update.kind == Kind::Message;
    match receipt {
        Receipt::Refused => Some(Text::MessagesRefused),
        _ if suspended => Some(Text::SuspendedNow),
        Receipt::Held => Some(Text::MessagesHeld),
        Receipt::New { .. } | Receipt::Known => None,
    }
}

/// What follows `/start`, where anything does.
fn code(update: &Update) -> Option<&str> {
    if update.kind != Kind::Message {
        return None;
    }
    let code = update.text.as_deref()?.strip_prefix("/start ")?.trim();
    (!code.is_empty()).then_some(code)
}

/// The language to speak to a person in.
fn language(user: &User, otherwise: Locale) -> Locale {
    match user.language_code.as_deref() {
        Some(tag) if tag == "pt" || tag.starts_with("pt-") => Locale::PtBr,
        Some(_) => Locale::En,
        None => otherwise,
    }
}
