use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};
use oc_domain::{
    AccountId, ModelId, RequestId,
    usage::{Outcome, Tokens, UsageEvent},
};
use oc_store::{Store, accounts, migrations, periods, usage};
use oc_testkit::Postgres;
use secrecy::SecretString;

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
