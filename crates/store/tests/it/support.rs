use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use oc_domain::{
    AccountId, Locale, ModelId, NicheId, RequestId, TenantId, Thinking, TierId,
    tenant::State,
    usage::{Outcome, Settlement, Tokens, UsageEvent},
};
use oc_store::{
    Store, accounts,
    accounts::{Member, Role},
    bots::{self, Bot, NewBot},
    chats::Chat,
    events::Received,
    migrations,
    outbox::Notice,
    periods,
    renderings::Rendering,
    reviews::{self, NewTenant, Remembered, Review, Subscription},
    secrets::KeyFile,
    spec_changes::NewChange,
    updates::Incoming,
    usage,
};
use oc_testkit::Postgres;
use secrecy::SecretString;
use serde_json::{Value, json};
use uuid::Uuid;

/// 2026-11-21T12:00:00Z
pub(crate) const NOW_MS: u64 = 1_795_262_400_000;

pub(crate) fn now() -> Timestamp {
    Timestamp::from_millisecond(NOW_MS.cast_signed()).unwrap()
}

/// A migrated database of its own, and its URL.
pub(crate) async fn database() -> (Store, String) {
    let url = Postgres::shared().await.unwrap().create_database().await.unwrap();
    let store = connect(&url);
    migrations::run(&store).await.unwrap();
    usage::ensure_partitions(&store, now()).await.unwrap();
    (store, url)
}

pub(crate) fn connect(url: &str) -> Store {
    Store::connect(&SecretString::from(url.to_owned()), 4).unwrap()
}

pub(crate) fn account(name: &str) -> AccountId {
    format!("a-{name}").parse().unwrap()
}

/// An account with one period around now.
pub(crate) async fn period(store: &Store, name: &str, limit: u64) -> i64 {
    accounts::insert(store, &account(name)).await.unwrap();
    let (from, to) = (now() - 240.hours(), now() + 240.hours());
    periods::insert(store, &account(name), from, to, limit).await.unwrap()
}

/// An account with a member, and of the customer `cus_<name>`.
pub(crate) async fn customer(store: &Store, name: &str) -> AccountId {
    let id = account(name);
    let member = Member {
        id: Uuid::from_u128(name.bytes().fold(0, |sum, byte| sum << 8 | u128::from(byte))),
        email: format!("{name}@Example.com"),
        role: Role::Owner,
        locale: Locale::PtBr,
    };
    accounts::create(store, &id, Locale::PtBr, &member).await.unwrap();
    accounts::set_customer(store, &id, &format!("cus_{name}")).await.unwrap();
    id
}

/// An event of `cus_<name>`, of a trace named like it.
pub(crate) fn stripe_event(id: &str, name: &str) -> Received {
    Received {
        id: id.to_owned(),
        kind: "invoice.paid".to_owned(),
        api_version: Some("2026-09-30.endive".to_owned()),
        object: Some("in_1".to_owned()),
        customer: Some(format!("cus_{name}")),
        created_at: now() - 1.second(),
        trace: format!("trace-{id}"),
        ignored: false,
    }
}

pub(crate) async fn load(store: &Store, id: &AccountId) -> Remembered {
    reviews::load(store, id, now()).await.unwrap().unwrap()
}

/// A review that finds and decides nothing.
pub(crate) fn review(account: &AccountId, version: i64) -> Review {
    Review {
        account: account.clone(),
        version,
        now: now(),
        trace: "review".to_owned(),
        customer: None,
        agents: Some(1),
        subscriptions: vec![],
        periods: vec![],
        tenants: vec![],
        deleted: vec![],
        changes: vec![],
        notices: vec![],
        kinds: vec![],
        audit: vec![],
        events: vec![],
        next: None,
    }
}

/// One that runs and is paid.
pub(crate) fn subscription(id: &str) -> Subscription {
    Subscription {
        id: id.to_owned(),
        status: "active".to_owned(),
        tier: TierId::Pro,
        current_start: now() - 24.hours(),
        current_end: now() + 696.hours(),
        cancel_at_period_end: false,
        decided: State::Active,
        past_due_since: None,
        suspended_at: None,
        delete_after: None,
        ended_at: None,
        updated_at: now(),
    }
}

pub(crate) fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

pub(crate) fn new_tenant(id: &str) -> NewTenant {
    NewTenant {
        id: tenant(id),
        niche: NicheId::Pharmacy,
        tier: TierId::Pro,
        locale: Locale::PtBr,
        model: ModelId::KimiK2p5,
        thinking: Thinking::Medium,
    }
}

pub(crate) fn change(id: &str, pointer: &str, value: Option<Value>) -> NewChange {
    NewChange {
        tenant: tenant(id),
        edits: [(pointer.to_owned(), value)].into(),
        base: None,
        reason: "paid".to_owned(),
        event: None,
        trace: "review".to_owned(),
    }
}

pub(crate) fn notice(kind: &str, key: &str) -> Notice {
    Notice { kind: kind.to_owned(), dedup_key: key.to_owned(), payload: json!({ "name": "Ana" }) }
}

pub(crate) fn rendering(id: &str) -> Rendering {
    let bytes = (0..200_000_u32).map(|number| (number.wrapping_mul(number) >> 7).to_le_bytes()[0]);
    Rendering {
        tenant: tenant(id),
        revision: "r1".to_owned(),
        spec: "sha256:1".to_owned(),
        digest: "sha256:2".to_owned(),
        objects: bytes.collect(),
    }
}

pub(crate) async fn used(store: &Store, name: &str) -> u64 {
    periods::current_and_next(store, &account(name), now()).await.unwrap()[0].used
}

/// The `number`th request of the account `one`, which charges 10 tokens.
pub(crate) fn event(period: i64, number: u64) -> UsageEvent {
    let mut random = [0; 10];
    random[2..].copy_from_slice(&number.to_be_bytes());
    UsageEvent {
        request: RequestId::new(NOW_MS + number, random),
        account: account("one"),
        tenant: "c-one".parse().unwrap(),
        period,
        model: ModelId::KimiK2p5,
        settlement: Settlement {
            upstream: "kimi".to_owned(),
            tokens: Tokens { input: 4, cached_input: 3, output: 5, reasoning: 2 },
            charged: 10,
            excess: 1,
            cost_nano_usd: 7,
            outcome: Outcome::Complete,
            measured: true,
            attempts: 1,
            first_byte_ms: number.is_multiple_of(2).then_some(NOW_MS + 500),
            finished_ms: NOW_MS + 900,
        },
    }
}

/// What a query of one column gives, as text, one row a line.
pub(crate) async fn sql(url: &str, statement: &str) -> String {
    Postgres::shared().await.unwrap().execute(url, statement).await.unwrap()
}

/// The program, and what it printed.
pub(crate) fn oc_store(arguments: &[&str], environment: &BTreeMap<&str, &str>) -> (i32, String) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_oc-store"))
        .args(arguments)
        .env_clear()
        .envs(environment)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code().unwrap(), String::from_utf8(text).unwrap())
}

/// Gives a tenant a bot of that id at Telegram.
pub(crate) async fn set_bot(store: &Store, keys: &KeyFile, id: &TenantId, telegram_id: i64) -> Bot {
    let new = NewBot {
        telegram_id,
        username: &format!("bot_{telegram_id}"),
        token: &format!("{telegram_id}:hush").into(),
        webhook_path: &format!("{id}-{telegram_id}"),
    };
    bots::set(store, keys, id, &new, now()).await.unwrap()
}

pub(crate) fn chat(user: i64) -> Chat {
    Chat { chat_id: user, user_id: user, locale: Locale::PtBr, bound_at: now() }
}

pub(crate) fn update(id: &str, number: i64, update_id: i64) -> Incoming {
    let body = format!("{{\"update_id\":{update_id},\"message\":{{}}}}").into_bytes();
    Incoming { tenant: tenant(id), number, update_id, metered: None, body }
}
