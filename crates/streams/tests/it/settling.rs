//! How reservations end: by their proxy, or by their lease.

use std::time::Duration;

use oc_domain::{
    RequestId,
    usage::{Outcome, Settlement, Tokens},
};
use oc_streams::{Events, Limits, Open};
use tokio::time::sleep;

use crate::support::{Bench, WIDE, account, admitted, measured, wanted};

const SHORT: Limits = Limits { lease: Duration::from_millis(400), ..WIDE };

#[tokio::test]
async fn a_settlement_counts_once() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("once", 1, 100).await;
    let request = bench.admit(&id, 20, 30).await;
    let place = bench.proxy.settle(request, &measured(20)).await.unwrap();
    assert!(place.is_some());
    assert_eq!(bench.proxy.settle(request, &measured(50)).await.unwrap(), None);
    assert_eq!(bench.proxy.settle(crate::support::request(), &measured(1)).await.unwrap(), None);
    assert_eq!(bench.quota(1).await, (20, 0));
    assert_eq!(bench.redis::<u32>("XLEN oc:usage").await, 1);
    assert_eq!(bench.redis::<Vec<String>>("KEYS oc:r:*").await, [""; 0]);
    assert_eq!(bench.redis::<u32>("ZCARD oc:leases").await, 0);
}

#[tokio::test]
async fn what_exceeds_a_reservation_is_in_the_event_but_not_in_the_quota() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("excess", 1, 100).await;
    let request = bench.admit(&id, 60, 40).await;
    let settlement = Settlement { excess: 25, ..measured(100) };
    bench.proxy.settle(request, &settlement).await.unwrap();
    assert_eq!(bench.quota(1).await, (100, 0));
    let mut events = Events::new(&bench.redis.url().into(), "p-0").unwrap();
    let event = events.read(10).await.unwrap().remove(0).event.unwrap();
    assert_eq!((event.settlement.charged, event.settlement.excess), (100, 25));
}

#[tokio::test]
async fn a_passed_lease_books_its_input_and_the_output_that_was_heard_of() {
    let mut bench = Bench::start(SHORT).await;
    let id = bench.customer("lease", 9, 1_000).await;
    let (silent, heard) = (bench.admit(&id, 20, 30).await, bench.admit(&id, 7, 3).await);
    bench.proxy.beat("p-0", &[Open { request: heard, output: 11 }]).await.unwrap();
    assert_eq!(bench.reap(10).await, []);
    sleep(Duration::from_millis(420)).await;
    assert_eq!(bench.reap(1).await, [silent]);
    assert_eq!(bench.reap(10).await, [heard]);
    assert_eq!(bench.reap(10).await, []);
    assert_eq!(bench.quota(9).await, (20 + 10, 0));
    assert_eq!(bench.redis::<u32>("ZCARD oc:leases").await, 0);
    assert_eq!(bench.proxy.settle(silent, &measured(1)).await.unwrap(), None);

    let mut events = Events::new(&bench.redis.url().into(), "p-0").unwrap();
    let events = events.read(10).await.unwrap();
    let event = |index: usize| events[index].event.clone().unwrap();
    for (event, request, tokens, charged, excess) in [
        (event(0), silent, Tokens { input: 20, ..Tokens::default() }, 20, 0),
        (event(1), heard, Tokens { input: 7, output: 11, ..Tokens::default() }, 10, 8),
    ] {
        assert_eq!((event.request, event.settlement.tokens), (request, tokens));
        assert_eq!((event.settlement.charged, event.settlement.excess), (charged, excess));
        assert_eq!((event.tenant, event.account, event.period), (id.clone(), account("lease"), 9));
        assert_eq!(
            (event.settlement.outcome, event.settlement.measured),
            (Outcome::Expired, false)
        );
        assert!(event.settlement.upstream.is_empty() && event.settlement.first_byte_ms.is_none());
        assert!(event.settlement.finished_ms >= request.unix_ms());
    }
}

#[tokio::test]
async fn a_sign_of_life_renews_and_tells_what_is_gone() {
    let mut bench = Bench::start(SHORT).await;
    let id = bench.customer("life", 1, 1_000).await;
    let kept = bench.admit(&id, 1, 1).await;
    let gone = bench.admit(&id, 1, 1).await;
    let never = crate::support::request();
    let open = |request: RequestId| Open { request, output: 0 };
    for _ in 0..6 {
        sleep(Duration::from_millis(100)).await;
        assert!(bench.proxy.beat("p-0", &[open(kept)]).await.unwrap().gone.is_empty());
    }
    assert_eq!(bench.reap(10).await, [gone]);
    let beat = bench.proxy.beat("p-1", &[open(gone), open(kept), open(never)]).await.unwrap();
    assert_eq!((beat.gone, beat.alive), (vec![gone, never], 2));
    bench.proxy.leave("p-1").await.unwrap();
    assert_eq!(bench.proxy.beat("p-0", &[]).await.unwrap().alive, 1);
    assert_eq!(bench.redis::<Vec<String>>("KEYS oc:r:*").await, [format!("oc:r:{kept}")]);
}

/// Beyond what the least integers hold, and without an exponent.
#[tokio::test]
async fn large_numbers_are_exact() {
    let mut bench = Bench::start(SHORT).await;
    let limit = 1 << 52;
    let id = bench.customer("large", 1, limit).await;
    let request = crate::support::request();
    let asked = wanted(&id, request, limit / 2 + 1, limit);
    let told = admitted(bench.proxy.reserve(asked).await.unwrap());
    assert_eq!((told.output, told.standing.reserved), (limit / 2 - 1, limit));
    bench.proxy.beat("p-0", &[Open { request, output: limit / 2 - 2 }]).await.unwrap();
    sleep(Duration::from_millis(420)).await;
    assert_eq!(bench.reap(10).await, [request]);
    assert_eq!(bench.quota(1).await, (limit - 1, 0));
    let mut events = Events::new(&bench.redis.url().into(), "p-0").unwrap();
    let event = events.read(10).await.unwrap().remove(0).event.unwrap();
    assert_eq!(event.settlement.charged, limit - 1);
}
