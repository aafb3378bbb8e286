//! Tenants and periods as Redis knows them.

use std::time::Duration;

use oc_streams::{Period, Tenant, Verdict};
use tokio::time::sleep;

use crate::support::{
    Bench, HOUR, POLICY, WIDE, account, admitted, around_now, measured, now_ms, tenant,
};

#[tokio::test]
async fn an_older_version_of_a_tenant_never_wins_and_a_generation_never_falls() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("order", 1, 100).await;
    let payer = account("order");
    let put =
        |version, generation, active| Tenant { version, generation, active, ..tenant(&id, &payer) };
    bench.put_tenant(&put(1_795_262_400_000_002, 3, false)).await;
    bench.put_tenant(&put(1_795_262_400_000_001, 2, true)).await;
    let known: (String, u32, String) =
        bench.redis("HMGET oc:t:c-order version generation state").await;
    assert_eq!(known, ("1795262400000002".to_owned(), 3, "suspended".to_owned()));
    // As a mistake in Postgres would look: newer, with a lower generation.
    bench.put_tenant(&put(1_795_262_400_000_003, 1, true)).await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Revoked);
    let known: (u32, String) = bench.redis("HMGET oc:t:c-order generation state").await;
    assert_eq!(known, (3, "active".to_owned()));
}

/// An older version says at least that somebody looked: it is not looked up again at once.
#[tokio::test]
async fn an_older_version_of_a_tenant_is_news_of_it() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("news", 1, 100).await;
    let payer = account("news");
    let newer = Tenant { version: 2, active: false, ..tenant(&id, &payer) };
    bench.put_tenant(&newer).await;
    let _: u32 = bench.redis("HSET oc:t:c-news epoch gone").await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::UnknownTenant);
    bench.put_tenant(&tenant(&id, &payer)).await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Suspended(POLICY));
}

#[tokio::test]
async fn a_renewal_has_no_gap() {
    let mut bench = Bench::start(WIDE).await;
    let (id, payer) = (bench.customer("renew", 1, 100).await, account("renew"));
    let turn = now_ms() + 600;
    let current = Period { ends_ms: turn, ..around_now(1, 100) };
    let next = Period { id: 2, starts_ms: turn, ends_ms: turn + HOUR, limit: 50, used: 0 };
    bench.put_periods(&payer, &[current, next]).await;
    let old = bench.admit(&id, 60, 40).await;
    let mut periods = Vec::new();
    while periods.last() != Some(&2) {
        match bench.ask(&id, 0, 0).await {
            Verdict::Admitted(admitted) => periods.push(admitted.period),
            other => panic!("{other:?}"),
        }
        sleep(Duration::from_millis(2)).await;
    }
    assert!(periods.is_sorted() && periods[0] == 1, "{periods:?}");
    // A new quota, and the old request ends in its own period.
    assert_eq!(admitted(bench.ask(&id, 40, 100).await).output, 10);
    bench.proxy.settle(old, &measured(70)).await.unwrap();
    assert_eq!(bench.quota(1).await, (70, 0));
    assert_eq!(bench.quota(2).await, (0, 50));
}

#[tokio::test]
async fn an_account_without_a_period_is_unpaid_and_looked_up_once_a_second() {
    let bench = Bench::start(WIDE).await;
    let (id, payer) = (bench.customer("unpaid", 1, 100).await, account("unpaid"));
    let over = Period { ends_ms: now_ms() - 1, ..around_now(1, 100) };
    for periods in [&[][..], &[over]] {
        bench.put_periods(&payer, periods).await;
        assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Unpaid(POLICY));
        assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Unpaid(POLICY));
        let look = bench.proxy.look(&id, 1).await.unwrap();
        assert!(matches!(look, oc_streams::Look::Known { standing: None, .. }), "{look:?}");
        sleep(Duration::from_millis(1050)).await;
        assert_eq!(bench.ask(&id, 1, 1).await, Verdict::UnknownPeriods(payer.clone()));
    }
    bench.put_periods(&payer, &[around_now(1, 100)]).await;
    bench.admit(&id, 1, 1).await;
}

#[tokio::test]
async fn redis_counts_from_the_ledgers_sum_and_then_by_itself() {
    let mut bench = Bench::start(WIDE).await;
    let (id, payer) = (bench.customer("sum", 1, 100).await, account("sum"));
    let request = bench.admit(&id, 10, 10).await;
    bench.proxy.settle(request, &measured(15)).await.unwrap();
    // The ledger is behind, and a limit has changed.
    bench.put_periods(&payer, &[Period { used: 3, ..around_now(1, 40) }]).await;
    assert_eq!(bench.quota(1).await, (15, 0));
    let asked = admitted(bench.ask(&id, 10, 100).await);
    assert_eq!((asked.output, asked.standing.limit), (15, 40));
    let fresh = Period { used: 39, ..around_now(2, 40) };
    bench.put_periods(&payer, &[fresh]).await;
    assert!(matches!(bench.ask(&id, 1, 1).await, Verdict::QuotaSpent(..)));
    // A quota's usage is kept for settlements that come late.
    let expires: i64 = bench.redis("PEXPIRETIME oc:u:2").await;
    assert!((fresh.ends_ms + 30 * 24 * HOUR..fresh.ends_ms + 32 * 24 * HOUR).contains(&expires));
}

#[tokio::test]
async fn a_lower_limit_admits_nothing_until_enough_is_settled() {
    let mut bench = Bench::start(WIDE).await;
    let (id, payer) = (bench.customer("lower", 1, 100).await, account("lower"));
    let open = bench.admit(&id, 50, 40).await;
    bench.put_periods(&payer, &[around_now(1, 30)]).await;
    assert!(matches!(bench.ask(&id, 0, 0).await, Verdict::QuotaSpent(..)));
    bench.proxy.settle(open, &measured(20)).await.unwrap();
    assert_eq!(admitted(bench.ask(&id, 1, 100).await).output, 9);
    assert_eq!(bench.quota(1).await, (20, 10));
}
