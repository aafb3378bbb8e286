use jiff::ToSpan;
use oc_domain::{Locale, ModelId, RequestId, Thinking, TierId, usage::Tokens};
use oc_store::{
    Error, accounts, periods,
    tenants::{self, State, Tenant},
    usage::{self, Totals},
};

use crate::support::{NOW_MS, account, database, event, now, period, sql};

#[tokio::test]
async fn a_tenant_comes_back_as_it_was_put() {
    let (store, url) = database().await;
    let id = "c-one".parse().unwrap();
    let tenant = Tenant {
        account: account("one"),
        tier: TierId::Pro,
        locale: Locale::PtBr,
        model: ModelId::KimiK2p5,
        thinking: Thinking::High,
        state: State::Suspended,
        generation: 3,
    };
    let orphan = tenants::insert(&store, &id, &tenant).await.unwrap_err();
    assert!(matches!(orphan, Error::Postgres(_)) && !orphan.is_transient());
    accounts::insert(&store, &account("one")).await.unwrap();
    assert_eq!(tenants::find(&store, &id).await.unwrap(), None);
    tenants::insert(&store, &id, &tenant).await.unwrap();
    assert_eq!(tenants::find(&store, &id).await.unwrap().map(|(tenant, _)| tenant), Some(tenant));

    sql(&url, "update tenants set tier = 'platinum'").await;
    let unknown = tenants::find(&store, &id).await.unwrap_err().to_string();
    assert_eq!(unknown, "tenants.tier of c-one is \"platinum\", which this release does not know");
}

#[tokio::test]
async fn periods_follow_each_other_and_never_overlap() {
    let (store, _) = database().await;
    let one = account("one");
    accounts::insert(&store, &one).await.unwrap();
    let day = |number: i64| now() + (24 * number).hours();
    let mut ids = Vec::new();
    for (from, to) in [(-2, -1), (-1, 1), (1, 3), (3, 5)] {
        ids.push(periods::insert(&store, &one, day(from), day(to), 100).await.unwrap());
    }
    let overlap = periods::insert(&store, &one, day(4), day(6), 100).await.unwrap_err();
    assert!(!overlap.is_transient());
    let listed = |at| periods::current_and_next(&store, &one, at);
    let found = listed(now()).await.unwrap();
    assert_eq!(found.iter().map(|period| period.id).collect::<Vec<_>>(), ids[1..3]);
    assert_eq!((found[0].starts_at, found[0].ends_at), (day(-1), day(1)));
    // The end belongs to the next one.
    assert_eq!(listed(day(1)).await.unwrap()[0].id, ids[2]);
    assert_eq!(listed(day(5)).await.unwrap(), []);

    periods::set_limit(&store, ids[1], 7).await.unwrap();
    assert_eq!(listed(now()).await.unwrap()[0].limit, 7);
    assert_eq!(periods::used(&store, ids[1]).await.unwrap(), Some(0));
    assert_eq!(periods::used(&store, 999).await.unwrap(), None);
    let missing = periods::set_limit(&store, 999, 7).await.unwrap_err();
    assert!(matches!(missing, Error::UnknownPeriod(999)));
    let many = periods::set_limit(&store, ids[1], u64::MAX).await.unwrap_err();
    assert!(matches!(many, Error::TooManyTokens(u64::MAX)));
}

#[tokio::test]
async fn sums_are_of_the_time_the_tenant_and_the_upstream_asked_for() {
    let (store, _) = database().await;
    let one = period(&store, "one", 1000).await;
    let mut events: Vec<_> = (1..=3).map(|number| event(one, number)).collect();
    events[0].settlement.upstream = "other".to_owned();
    events[1].tenant = "c-two".parse().unwrap();
    usage::record(&store, &events).await.unwrap();

    let at = |number: i64| now() + number.milliseconds();
    assert_eq!(usage::spend(&store, "kimi", at(0), at(10)).await.unwrap(), 14);
    assert_eq!(usage::spend(&store, "kimi", at(2), at(3)).await.unwrap(), 7);
    assert_eq!(usage::spend(&store, "kimi", at(4), at(10)).await.unwrap(), 0);
    let tenant = "c-one".parse().unwrap();
    let totals = usage::by_tenant(&store, &tenant, at(0), at(10)).await.unwrap();
    let tokens = Tokens { input: 8, cached_input: 6, output: 10, reasoning: 4 };
    let expected = Totals { requests: 2, tokens, charged: 20, excess: 2, cost_nano_usd: 14 };
    assert_eq!(totals, expected);

    let asked = [events[0].request, RequestId::new(NOW_MS, [9; 10])];
    let found = usage::existing(&store, &asked).await.unwrap();
    assert_eq!(found.into_iter().collect::<Vec<_>>(), [events[0].request]);
}
