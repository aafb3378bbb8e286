//! Every verdict of `reserve` and `look`.

use oc_domain::ModelId;
use oc_streams::{Error, Limits, Look, Reserve, Standing, Verdict};

use crate::support::{
    Bench, HOUR, POLICY, WIDE, account, admitted, around_now, measured, now_ms, raw, request,
    tenant, wanted,
};

#[tokio::test]
async fn an_unknown_tenant_and_unknown_periods_are_asked_for() {
    let bench = Bench::start(WIDE).await;
    let (id, payer) = ("c-new".parse().unwrap(), account("new"));
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::UnknownTenant);
    assert_eq!(bench.proxy.look(&id, 1).await.unwrap(), Look::Other(Verdict::UnknownTenant));
    bench.put_tenant(&tenant(&id, &payer)).await;
    let unknown = Verdict::UnknownPeriods(payer.clone());
    assert_eq!(bench.ask(&id, 1, 1).await, unknown);
    assert_eq!(bench.proxy.look(&id, 1).await.unwrap(), Look::Other(unknown));
    bench.put_periods(&payer, &[around_now(1, 10)]).await;
    assert!(matches!(bench.ask(&id, 1, 1).await, Verdict::Admitted(_)));
}

#[tokio::test]
async fn an_admitted_request_is_told_all_that_its_proxy_needs() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("told", 7, 100).await;
    let told = admitted(bench.ask(&id, 30, 20).await);
    assert_eq!((told.policy, told.account, told.period), (POLICY, account("told"), 7));
    assert_eq!((told.output, told.refresh), (20, false));
    let Standing { limit, used, reserved, ends_ms } = told.standing;
    assert_eq!((limit, used, reserved), (100, 0, 50));
    assert!(ends_ms.abs_diff((now_ms() + HOUR).cast_unsigned()) < 10_000);
    let look = bench.proxy.look(&id, 1).await.unwrap();
    let standing = Some(told.standing);
    let models = vec![ModelId::KimiK2p5];
    assert_eq!(look, Look::Known { policy: POLICY, active: true, models, standing });
    assert_eq!(bench.quota(7).await, (0, 50));
    let open: u32 = bench.redis("HGET oc:t:c-told open").await;
    assert_eq!(open, 1);
}

#[tokio::test]
async fn an_older_or_a_newer_generation_is_refused_at_once() {
    let bench = Bench::start(WIDE).await;
    let id = bench.customer("revoked", 1, 100).await;
    bench.admit(&id, 1, 1).await;
    let (payer, changed) = (account("revoked"), tenant(&id, &account("revoked")).version + 1);
    let revoked = oc_streams::Tenant { generation: 2, version: changed, ..tenant(&id, &payer) };
    bench.put_tenant(&revoked).await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Revoked);
    assert_eq!(bench.proxy.look(&id, 1).await.unwrap(), Look::Other(Verdict::Revoked));
    for (generation, good) in [(2, true), (3, false)] {
        let asked = Reserve { generation, ..wanted(&id, request(), 1, 1) };
        let verdict = bench.proxy.reserve(asked).await.unwrap();
        assert_eq!(matches!(verdict, Verdict::Admitted(_)), good, "{verdict:?}");
    }
}

#[tokio::test]
async fn a_suspended_tenant_is_refused_at_once_and_what_is_open_is_settled() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("held", 1, 100).await;
    let open = bench.admit(&id, 10, 10).await;
    let payer = account("held");
    let held = oc_streams::Tenant { active: false, version: 2, ..tenant(&id, &payer) };
    bench.put_tenant(&held).await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Suspended(POLICY));
    assert!(matches!(bench.proxy.look(&id, 1).await.unwrap(), Look::Known { active: false, .. }));
    assert!(bench.proxy.settle(open, &measured(12)).await.unwrap().is_some());
    assert_eq!(bench.quota(1).await, (12, 0));
}

#[tokio::test]
async fn so_many_requests_are_open_at_once_and_no_more() {
    let bench = Bench::start(Limits { concurrency: 3, ..WIDE }).await;
    let (id, other) = (bench.customer("busy", 1, 100).await, bench.customer("calm", 2, 100).await);
    let mut open = Vec::new();
    for _ in 0..3 {
        open.push(bench.admit(&id, 1, 1).await);
    }
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Busy);
    bench.admit(&other, 1, 1).await;
    for request in open {
        // Twice: only the first end makes room.
        bench.proxy.settle(request, &measured(1)).await.unwrap();
        bench.proxy.settle(request, &measured(1)).await.unwrap();
    }
    for _ in 0..3 {
        bench.admit(&id, 1, 1).await;
    }
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Busy);
}

#[tokio::test]
async fn another_model_is_refused() {
    let bench = Bench::start(WIDE).await;
    let (id, payer) = ("c-model".parse().unwrap(), account("model"));
    bench.put_periods(&payer, &[around_now(1, 10)]).await;
    let none = oc_streams::Tenant { models: &[], ..tenant(&id, &payer) };
    bench.put_tenant(&none).await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::OtherModel(POLICY));
}

#[tokio::test]
async fn the_last_token_of_a_quota_is_given_and_not_one_more() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("quota", 1, 100).await;
    let ask = |input, output, least_output| Reserve {
        least_output,
        ..wanted(&id, request(), input, output)
    };
    let first = admitted(bench.proxy.reserve(ask(30, 20, 10)).await.unwrap());
    assert_eq!(first.output, 20);
    // 50 are left: 30 of input, and 20 of the 100 of output.
    let clamped = ask(30, 100, 20);
    let second = admitted(bench.proxy.reserve(clamped).await.unwrap());
    assert_eq!((second.output, second.standing.reserved), (20, 100));
    assert_eq!(bench.quota(1).await, (0, 100));
    let spent = |verdict| match verdict {
        Verdict::QuotaSpent(policy, standing) => {
            assert_eq!(policy, POLICY);
            (standing.limit, standing.used, standing.reserved)
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(spent(bench.ask(&id, 0, 1).await), (100, 0, 100));
    bench.proxy.settle(clamped.request, &measured(31)).await.unwrap();
    // 19 are left, of which 1 is wanted for input.
    assert_eq!(spent(bench.proxy.reserve(ask(1, 100, 19)).await.unwrap()), (100, 31, 50));
    let last = admitted(bench.proxy.reserve(ask(1, 100, 18)).await.unwrap());
    assert_eq!(last.output, 18);
    assert_eq!(bench.quota(1).await, (31, 69));
}

#[tokio::test]
async fn nothing_asked_for_is_admitted_while_nothing_is_left() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("zero", 1, 0).await;
    let request = bench.admit(&id, 0, 0).await;
    assert!(matches!(bench.ask(&id, 0, 1).await, Verdict::QuotaSpent(..)));
    assert!(matches!(bench.ask(&id, 1, 0).await, Verdict::QuotaSpent(..)));
    assert!(bench.proxy.settle(request, &measured(0)).await.unwrap().is_some());
    assert_eq!(bench.quota(1).await, (0, 0));
    assert_eq!(bench.redis::<u32>("XLEN oc:usage").await, 1);
}

#[tokio::test]
async fn the_tenants_of_an_account_share_its_quota_but_not_their_limits() {
    let mut bench = Bench::start(Limits { concurrency: 1, ..WIDE }).await;
    let one = bench.customer("one", 1, 100).await;
    let two = bench.tenant("two", &account("one")).await;
    let first = bench.admit(&one, 30, 30).await;
    let second = admitted(bench.ask(&two, 30, 30).await);
    assert_eq!((second.output, second.standing.reserved), (10, 100));
    assert_eq!(bench.ask(&two, 1, 1).await, Verdict::Busy);
    bench.proxy.settle(first, &measured(60)).await.unwrap();
    assert_eq!(bench.quota(1).await, (60, 40));
    assert!(matches!(bench.ask(&one, 1, 1).await, Verdict::QuotaSpent(..)));
}

#[tokio::test]
async fn nothing_is_admitted_or_shown_while_redis_recovers() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("early", 1, 100).await;
    let _: u32 = bench.redis("DEL oc:ready").await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Recovering);
    assert_eq!(bench.proxy.look(&id, 1).await.unwrap(), Look::Other(Verdict::Recovering));
    bench.ledger.publish(None);
    let refused = bench.proxy.reserve(wanted(&id, request(), 1, 1)).await;
    assert!(matches!(refused, Err(Error::Restarted)), "{refused:?}");
}

#[tokio::test]
async fn what_is_known_of_a_tenant_is_looked_up_again_once_a_minute() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("old", 1, 100).await;
    for key in ["oc:t:c-old", "oc:p:a-old"] {
        let _: u32 = bench.redis(&format!("HSET {key} loaded {}", now_ms() - 61_000)).await;
        assert!(admitted(bench.ask(&id, 1, 1).await).refresh, "{key}");
        assert!(!admitted(bench.ask(&id, 1, 1).await).refresh, "{key}");
    }
}

/// A change that was not mirrored, as when Redis was away, must not keep a tenant out for ever.
#[tokio::test]
async fn a_refusal_is_not_given_on_what_is_a_minute_old() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("stale", 1, 10).await;
    let old = format!("loaded {}", now_ms() - 61_000);
    let newer = Reserve { generation: 2, ..wanted(&id, request(), 1, 1) };
    let _: u32 = bench.redis(&format!("HSET oc:t:c-stale {old}")).await;
    assert_eq!(bench.proxy.reserve(newer).await.unwrap(), Verdict::UnknownTenant);
    // Asked for once: who cannot answer is not asked with every request.
    assert_eq!(bench.proxy.reserve(newer).await.unwrap(), Verdict::Revoked);
    let _: u32 = bench.redis(&format!("HSET oc:p:a-stale {old}")).await;
    assert_eq!(bench.ask(&id, 10, 1).await, Verdict::UnknownPeriods(account("stale")));
    assert!(matches!(bench.ask(&id, 10, 1).await, Verdict::QuotaSpent(..)));
    let _: u32 = bench.redis(&format!("HSET oc:t:c-stale state suspended {old}")).await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::UnknownTenant);
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::Suspended(POLICY));
    let _: u32 = bench.redis(&format!("HSET oc:t:c-stale models + state active {old}")).await;
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::UnknownTenant);
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::OtherModel(POLICY));
}

#[tokio::test]
async fn a_script_that_fails_is_told_apart_from_a_redis_that_is_away() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("broken", 1, 10).await;
    let _: u32 = bench.redis("DEL oc:t:c-broken").await;
    let _: u32 = bench.redis("RPUSH oc:t:c-broken x").await;
    let error = bench.proxy.reserve(wanted(&id, request(), 1, 1)).await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)) && !error.is_transient(), "{error:?}");
    bench.redis.kill();
    let error = bench.proxy.reserve(wanted(&id, request(), 1, 1)).await.unwrap_err();
    assert!(matches!(error, Error::Unavailable(_)) && error.is_transient(), "{error:?}");
    bench.redis.restart().await.unwrap();
    let _ = raw(&bench.redis).await;
    // The first call may find the old connection.
    let _ = bench.proxy.reserve(wanted(&id, request(), 1, 1)).await;
    let error = bench.proxy.reserve(wanted(&id, request(), 1, 1)).await.unwrap_err();
    assert!(matches!(error, Error::Restarted) && error.is_transient(), "{error:?}");
}
