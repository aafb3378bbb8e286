//! What the operator does with the rows of tenants.

use futures::future::{join, join_all};
use jiff::{Timestamp, ToSpan};
use oc_domain::{Locale, ModelId, TenantId, Thinking, TierId};
use oc_store::{
    Store,
    reviews::{self, Review},
    secrets::{self, KeyFile},
    tenants::{self, Desired, Known, State},
};
use oc_testkit::Postgres;

use crate::support::{account, customer, database, new_tenant, review, sql, tenant};

/// What the row of a new tenant says, but active.
const ACTIVE: Desired = Desired {
    tier: TierId::Pro,
    locale: Locale::PtBr,
    model: ModelId::KimiK2p5,
    thinking: Thinking::Medium,
    state: State::Active,
};
const KEY: &str = "key AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=\n";

/// An account with `c-1` and `c-2`, suspended.
async fn two() -> (Store, String, TenantId) {
    let (store, url) = database().await;
    let one = customer(&store, "one").await;
    let tenants = ["c-1", "c-2"].map(new_tenant).into();
    let first = Review { tenants, agents: None, ..review(&one, 0) };
    reviews::commit(&store, &first).await.unwrap();
    (store, url, tenant("c-1"))
}

async fn at(store: &Store, id: &TenantId) -> Timestamp {
    tenants::find(store, id).await.unwrap().unwrap().1
}

async fn observe(store: &Store, desired: &Desired) -> Known {
    tenants::observe(store, &tenant("c-1"), desired).await.unwrap().unwrap()
}

fn known(changed: bool, deleted: bool) -> Known {
    Known { account: account("one"), generation: 1, changed, deleted, bot: 0 }
}

#[tokio::test]
async fn a_row_says_what_is_desired_and_is_touched_only_where_it_does_not() {
    let (store, url, id) = two().await;
    let first = at(&store, &id).await;
    let rows = "select ctid || ' ' || xmin from tenants order by id";
    let before = sql(&url, rows).await;
    let suspended = Desired { state: State::Suspended, ..ACTIVE };
    assert_eq!(observe(&store, &suspended).await, known(false, false));
    assert_eq!((at(&store, &id).await, sql(&url, rows).await), (first, before));

    let mut last = first;
    for desired in [
        ACTIVE,
        Desired { tier: TierId::Team, ..ACTIVE },
        Desired { locale: Locale::En, ..ACTIVE },
        Desired { thinking: Thinking::High, ..ACTIVE },
        suspended,
    ] {
        for changed in [true, false] {
            let seen = observe(&store, &desired).await;
            assert_eq!(seen, known(changed, false), "{desired:?}");
            assert_eq!(at(&store, &id).await > last, changed);
            last = at(&store, &id).await;
        }
        let row = tenants::find(&store, &id).await.unwrap().unwrap().0;
        let tenants::Tenant { tier, locale, model, thinking, state, .. } = row;
        assert_eq!(Desired { tier, locale, model, thinking, state }, desired);
    }
    assert_eq!(tenants::observe(&store, &tenant("c-9"), &ACTIVE).await.unwrap(), None);
    assert_eq!(sql(&url, "select state from tenants where id = 'c-2'").await, "suspended");
}

#[tokio::test]
async fn what_billing_wants_deleted_is_never_made_active() {
    let (store, url, _) = two().await;
    sql(&url, "update tenants set deleted_at = now() where id = 'c-1'").await;
    assert_eq!(observe(&store, &ACTIVE).await, known(false, true));
    let other = Desired { tier: TierId::Team, ..ACTIVE };
    assert_eq!(observe(&store, &other).await, known(true, true));
    let state = "select distinct state from tenants where deleted_at is not null";
    assert_eq!(sql(&url, state).await, "suspended");
    // The file says `active` for a moment longer than billing does.
    sql(&url, "update tenants set state = 'active' where id = 'c-1'").await;
    assert_eq!(observe(&store, &other).await, known(true, true));
    assert_eq!(sql(&url, state).await, "suspended");
    sql(&url, "update tenants set deleted_at = null where id = 'c-1'").await;

    // Nor if billing is about to say so.
    let server = Postgres::shared().await.unwrap();
    let deleting = "begin;
        update tenants set deleted_at = now() where id = 'c-1';
        select pg_sleep(0.5);
        commit";
    let observing = async {
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
        observe(&store, &ACTIVE).await
    };
    let (deleted, observed) = join(server.execute(&url, deleting), observing).await;
    deleted.unwrap();
    assert_eq!(observed, known(true, true), "another tier, and suspended");
    assert_eq!(sql(&url, state).await, "suspended");
}

#[tokio::test]
async fn every_change_has_a_later_time_whatever_the_clock_says() {
    let (store, url, id) = two().await;
    sql(&url, "update tenants set updated_at = '2999-01-01' where id = 'c-1'").await;
    let start: Timestamp = "2999-01-01T00:00:00Z".parse().unwrap();
    tenants::observe(&store, &id, &ACTIVE).await.unwrap();
    assert_eq!(at(&store, &id).await, start + 1.microsecond());
    assert_eq!(tenants::raise_generation(&store, &id).await.unwrap(), Some(2));
    assert_eq!(at(&store, &id).await, start + 2.microseconds());
    assert_eq!(tenants::retire(&store, &id).await.unwrap(), Some(3));
    assert_eq!(at(&store, &id).await, start + 3.microseconds());

    let raised = join_all((0..40).map(|_| tenants::raise_generation(&store, &id))).await;
    let mut raised: Vec<u32> = raised.into_iter().map(|one| one.unwrap().unwrap()).collect();
    raised.sort_unstable();
    assert_eq!(raised, (4..44).collect::<Vec<u32>>());
    assert_eq!(at(&store, &id).await, start + 43.microseconds());
    assert_eq!(tenants::raise_generation(&store, &tenant("c-9")).await.unwrap(), None);
}

#[tokio::test]
async fn changes_since_a_time_are_found_by_it() {
    let (store, _, id) = two().await;
    let (one, two) = (tenant("c-1"), tenant("c-2"));
    let ids = async |since| {
        let found = tenants::generations(&store, since).await.unwrap();
        found.into_iter().map(|(id, generation, _)| (id, generation)).collect::<Vec<_>>()
    };
    assert_eq!(ids(Timestamp::UNIX_EPOCH).await, [(one.clone(), 1), (two.clone(), 1)]);
    tenants::raise_generation(&store, &id).await.unwrap();
    let last = at(&store, &id).await;
    assert_eq!(ids(Timestamp::UNIX_EPOCH).await, [(two.clone(), 1), (one.clone(), 2)]);
    assert_eq!(ids(last).await, [(one, 2)], "its own time is in it");
    assert_eq!(ids(last + 1.microsecond()).await, []);
    let found = tenants::generations(&store, last).await.unwrap();
    assert_eq!(found[0].2, last);
}

#[tokio::test]
async fn a_retired_tenant_has_nothing_left_and_can_be_retired_again() {
    let (store, url, id) = two().await;
    let keys: KeyFile = KEY.parse().unwrap();
    let other = tenant("c-2");
    for (tenant, name) in [(&id, "bot"), (&id, "mail"), (&other, "bot")] {
        secrets::put(&store, &keys, tenant, name, &"hush".into()).await.unwrap();
    }
    tenants::observe(&store, &id, &ACTIVE).await.unwrap();
    for generation in [2, 3] {
        assert_eq!(tenants::retire(&store, &id).await.unwrap(), Some(generation));
        let row = "select state from tenants where id = 'c-1'";
        assert_eq!(sql(&url, row).await, "suspended");
        for table in ["secrets", "data_keys"] {
            let left = format!("select string_agg(tenant_id, ' ') from {table}");
            assert_eq!(sql(&url, &left).await, "c-2");
        }
    }
    assert!(secrets::get(&store, &keys, &other, "bot").await.unwrap().is_some());
    assert_eq!(tenants::retire(&store, &tenant("c-9")).await.unwrap(), None);
}

#[tokio::test]
async fn one_that_never_began_is_retired_once() {
    let (store, url, id) = two().await;
    let keys: KeyFile = KEY.parse().unwrap();
    tenants::observe(&store, &id, &ACTIVE).await.unwrap();
    assert_eq!(tenants::retire_unborn(&store, &id).await.unwrap(), Some(2));
    assert_eq!(tenants::retire_unborn(&store, &id).await.unwrap(), None, "nothing is left");
    secrets::put(&store, &keys, &id, "bot", &"hush".into()).await.unwrap();
    assert_eq!(tenants::retire_unborn(&store, &id).await.unwrap(), Some(3), "a secret came later");
    let left = "select (select count(*) from secrets) || ' ' || (select count(*) from data_keys)";
    assert_eq!(sql(&url, left).await, "0 0");
}

#[tokio::test]
async fn who_writes_secrets_and_who_retires_wait_for_each_other() {
    let (store, url, id) = two().await;
    let keys: KeyFile = KEY.parse().unwrap();
    for _ in 0..10 {
        let names: Vec<String> = (0..6).map(|number| format!("secret-{number}")).collect();
        let value = "hush".into();
        let puts = names.iter().map(|name| secrets::put(&store, &keys, &id, name, &value));
        let (put, retired) = join(join_all(puts), tenants::retire(&store, &id)).await;
        for put in put {
            put.unwrap();
        }
        retired.unwrap();
    }
    tenants::retire(&store, &id).await.unwrap();
    let left = "select (select count(*) from secrets) || ' ' || (select count(*) from data_keys)";
    assert_eq!(sql(&url, left).await, "0 0");
}
