use std::{collections::BTreeMap, sync::LazyLock};

use oc_store::{
    Store,
    usage::{self, Delivered, Unreadable},
};
use proptest::{collection::vec, prelude::*};
use tokio::runtime::Runtime;

use crate::support::{account, database, event, period, sql, used};

/// One of the events that a random batch is made of.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Good,
    NoText,
    NoPeriod,
    TooLarge,
    NoMonth,
    Unreadable,
}

fn kind() -> impl Strategy<Value = Kind> {
    use Kind::{Good, NoMonth, NoPeriod, NoText, TooLarge, Unreadable};
    prop_oneof![
        12 => Just(Good),
        1 => Just(NoText),
        1 => Just(NoPeriod),
        1 => Just(TooLarge),
        1 => Just(NoMonth),
        1 => Just(Unreadable),
    ]
}

/// Kinds of events with what they charge, and deliveries: each is a piece of the events in some
/// order, the same one as often as it comes.
fn stream() -> impl Strategy<Value = (Vec<(Kind, u64)>, Vec<Vec<usize>>)> {
    vec((kind(), 0..1000_u64), 1..40).prop_flat_map(|events| {
        let pieces = vec(vec(0..events.len(), 0..30), 1..6);
        (Just(events), pieces)
    })
}

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    #[test]
    fn each_good_event_is_in_the_ledger_once_and_charged_once((events, deliveries) in stream()) {
        RUNTIME.block_on(async {
            static DATABASE: tokio::sync::OnceCell<(Store, String)> =
                tokio::sync::OnceCell::const_new();
            let (store, url) = DATABASE.get_or_init(database).await;
            converges(store, url, &events, &deliveries).await;
        });
    }
}

async fn converges(store: &Store, url: &str, kinds: &[(Kind, u64)], deliveries: &[Vec<usize>]) {
    let clear = "truncate usage_events, usage_quarantine, outbox, periods, accounts cascade";
    sql(url, clear).await;
    let period = period(store, "one", 1 << 40).await;
    let mut expected = BTreeMap::new();
    for delivery in deliveries {
        let entries: Vec<Delivered> =
            delivery.iter().map(|index| entry(period, *index, kinds[*index])).collect();
        for index in delivery {
            if let (Kind::Good, charged) = kinds[*index] {
                expected.insert(event(period, *index as u64).request.to_string(), charged);
            }
        }
        usage::record_or_quarantine(store, &entries).await.unwrap();
    }
    let rows = sql(url, "select request_id || ' ' || charged_tokens from usage_events order by 1");
    let wanted: Vec<String> =
        expected.iter().map(|(id, charged)| format!("{id} {charged}")).collect();
    assert_eq!(rows.await, wanted.join("\n"));
    assert_eq!(used(store, "one").await, expected.values().sum::<u64>());
    let bad = deliveries.iter().flatten().collect::<std::collections::BTreeSet<_>>();
    let bad = bad.iter().filter(|index| !matches!(kinds[***index].0, Kind::Good)).count();
    assert_eq!(sql(url, "select count(*) from usage_quarantine").await, bad.to_string());
}

fn entry(period: i64, index: usize, (kind, charged): (Kind, u64)) -> Delivered {
    let mut event = event(period, index as u64);
    event.settlement.charged = charged;
    match kind {
        Kind::NoText => event.settlement.upstream.push('\0'),
        Kind::NoPeriod => event.account = account("nobody"),
        Kind::TooLarge => event.settlement.charged = u64::MAX,
        Kind::NoMonth => event.request = oc_domain::RequestId::new(7, [0; 10]),
        Kind::Good | Kind::Unreadable => {}
    }
    let unreadable = Unreadable { payload: "?".to_owned(), error: "?".to_owned() };
    let event = if matches!(kind, Kind::Unreadable) { Err(unreadable) } else { Ok(event) };
    Delivered { stream_id: format!("{index}-0"), event }
}
