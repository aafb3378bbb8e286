//! Usage events on their way out of Redis.

use std::{collections::BTreeSet, time::Duration};

use oc_domain::{ModelId, RequestId};
use oc_streams::{Delivered, Events};
use tokio::time::sleep;

use crate::support::{Bench, WIDE, account, measured};

async fn settled(bench: &Bench, id: &oc_domain::TenantId, count: u64) -> Vec<RequestId> {
    let mut requests = Vec::new();
    for charged in 0..count {
        let request = bench.admit(id, 50, 50).await;
        bench.proxy.settle(request, &measured(charged)).await.unwrap().unwrap();
        requests.push(request);
    }
    requests
}

fn consumer(bench: &Bench, name: &str) -> Events {
    Events::new(&bench.redis.url().into(), name).unwrap()
}

fn requests(delivered: &[Delivered]) -> Vec<RequestId> {
    delivered.iter().map(|one| one.event.as_ref().unwrap().request).collect()
}

fn places(delivered: &[Delivered]) -> Vec<String> {
    delivered.iter().map(|one| one.stream_id.clone()).collect()
}

#[tokio::test]
async fn an_event_says_what_was_settled() {
    let bench = Bench::start(WIDE).await;
    let id = bench.customer("says", 3, 1_000).await;
    let request = bench.admit(&id, 50, 50).await;
    let settlement = measured(42);
    bench.proxy.settle(request, &settlement).await.unwrap().unwrap();
    let delivered = consumer(&bench, "p-0").read(10).await.unwrap();
    assert_eq!(delivered.len(), 1);
    let event = delivered[0].event.clone().unwrap();
    assert_eq!((event.request, event.tenant, event.account), (request, id, account("says")));
    assert_eq!((event.period, event.model), (3, ModelId::KimiK2p5));
    assert_eq!((event.settlement.tokens, event.settlement.charged), (settlement.tokens, 42));
    assert_eq!(
        (event.settlement.upstream, event.settlement.cost_nano_usd),
        (settlement.upstream, 7)
    );
    assert_eq!(
        (event.settlement.attempts, event.settlement.finished_ms),
        (1, settlement.finished_ms)
    );
}

#[tokio::test]
async fn an_event_is_delivered_once_until_its_consumer_is_lost() {
    let bench = Bench::start(WIDE).await;
    let id = bench.customer("once", 1, 1_000).await;
    let all = settled(&bench, &id, 5).await;
    let (mut one, mut two) = (consumer(&bench, "p-0"), consumer(&bench, "p-1"));
    let (first, second) = (one.read(3).await.unwrap(), two.read(10).await.unwrap());
    assert_eq!(requests(&first), all[..3]);
    assert_eq!(requests(&second), all[3..]);
    assert!(one.read(10).await.unwrap().is_empty());
    one.acknowledge(&places(&first[..1])).await.unwrap();
    // The same name after a restart.
    let mut again = consumer(&bench, "p-0");
    assert_eq!(requests(&again.unacknowledged(10).await.unwrap()), all[1..3]);
    assert!(two.reclaim(Duration::from_mins(1), 10).await.unwrap().is_empty());
    sleep(Duration::from_millis(30)).await;
    let taken = two.reclaim(Duration::from_millis(20), 10).await.unwrap();
    assert_eq!(requests(&taken).into_iter().collect::<BTreeSet<_>>().len(), 4);
    assert!(again.unacknowledged(10).await.unwrap().is_empty());
    two.acknowledge(&places(&taken)).await.unwrap();
    assert!(two.unacknowledged(10).await.unwrap().is_empty());
    two.acknowledge(&[]).await.unwrap();
}

#[tokio::test]
async fn what_is_no_event_is_delivered_as_an_error_and_holds_up_nothing() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("poison", 1, 1_000).await;
    let good = settled(&bench, &id, 1).await;
    let _: String = bench.redis("XADD oc:usage * request nonsense").await;
    let _: String = bench
        .redis(&format!(
            "XADD oc:usage * request {} tenant c-x account a-x period 1 model kimi-coding/k2p5 \
             settlement {{}}",
            good[0]
        ))
        .await;
    let mut raw = redis::cmd("XADD");
    raw.arg("oc:usage").arg("*").arg("request").arg(&[0xff_u8, 0xfe]);
    let mut connection = crate::support::raw(&bench.redis).await;
    let _: String = raw.query_async(&mut connection).await.unwrap();
    let delivered = consumer(&bench, "p-0").read(10).await.unwrap();
    assert_eq!(requests(&delivered[..1]), good);
    let errors: Vec<&(String, String)> =
        delivered[1..].iter().map(|one| one.event.as_ref().unwrap_err()).collect();
    assert_eq!(errors.len(), 3);
    assert_eq!(errors[0].0, r#"{"request":"nonsense"}"#);
    assert!(errors[1].1.starts_with("settlement: missing field"), "{}", errors[1].1);
    assert!(errors.iter().all(|(payload, error)| !payload.is_empty() && !error.is_empty()));
}

#[tokio::test]
async fn nothing_is_trimmed_or_called_in_the_ledger_before_it_is_acknowledged() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("trim", 1, 1_000_000).await;
    let mut places_of = Vec::new();
    // More than a node of the stream, so that trimming by whole nodes has one to trim.
    for _ in 0..350 {
        let request = bench.admit(&id, 1, 1).await;
        places_of.push(bench.proxy.settle(request, &measured(1)).await.unwrap().unwrap());
    }
    let beat = bench.proxy.beat("p-0", &[]).await.unwrap();
    assert!(places_of.iter().all(|place| !beat.in_ledger.covers(place)));
    let mut consumer = consumer(&bench, "p-0");
    let delivered = places(&consumer.read(300).await.unwrap());
    assert_eq!(delivered.len(), 300);
    // The last of them first: those before it are what counts.
    consumer.acknowledge(&delivered[150..]).await.unwrap();
    let beat = bench.proxy.beat("p-0", &[]).await.unwrap();
    assert!(places_of.iter().all(|place| !beat.in_ledger.covers(place)));
    assert_eq!(bench.redis::<usize>("XLEN oc:usage").await, 350);
    consumer.acknowledge(&delivered[..150]).await.unwrap();
    sleep(Duration::from_millis(20)).await;
    let beat = bench.proxy.beat("p-0", &[]).await.unwrap();
    for (index, place) in places_of.iter().enumerate() {
        assert_eq!(beat.in_ledger.covers(place), index < 300, "{index}");
    }
    assert!(beat.lag >= Duration::from_millis(20) && beat.lag < Duration::from_secs(5));
    let left: usize = bench.redis("XLEN oc:usage").await;
    assert!((50..200).contains(&left), "{left}");
    let delivered = places(&consumer.read(300).await.unwrap());
    assert_eq!(delivered.len(), 50);
    consumer.acknowledge(&delivered).await.unwrap();
    let beat = bench.proxy.beat("p-0", &[]).await.unwrap();
    assert_eq!(beat.lag, Duration::ZERO);
    assert!(beat.in_ledger.covers(&places_of[349]));
}

#[tokio::test]
async fn consumers_of_proxies_that_are_gone_are_forgotten_unless_they_hold_events() {
    let mut bench = Bench::start(WIDE).await;
    let id = bench.customer("forget", 1, 1_000).await;
    settled(&bench, &id, 2).await;
    let (mut idle, mut holds) = (consumer(&bench, "p-idle"), consumer(&bench, "p-holds"));
    let delivered = idle.read(1).await.unwrap();
    idle.acknowledge(&places(&delivered)).await.unwrap();
    holds.read(1).await.unwrap();
    let mut own = consumer(&bench, "p-own");
    let last = settled(&bench, &id, 1).await;
    let delivered = own.read(1).await.unwrap();
    assert_eq!(requests(&delivered), last);
    own.acknowledge(&places(&delivered)).await.unwrap();
    sleep(Duration::from_millis(20)).await;
    own.forget_consumers(Duration::from_mins(1)).await.unwrap();
    assert_eq!(names(&mut bench).await, ["p-holds", "p-idle", "p-own"]);
    own.forget_consumers(Duration::from_millis(10)).await.unwrap();
    assert_eq!(names(&mut bench).await, ["p-holds", "p-own"]);
}

async fn names(bench: &mut Bench) -> Vec<String> {
    let consumers: Vec<std::collections::HashMap<String, redis::Value>> =
        bench.redis("XINFO CONSUMERS oc:usage ledger").await;
    let mut names: Vec<String> = consumers
        .into_iter()
        .map(|mut one| redis::from_redis_value(one.remove("name").unwrap()).unwrap())
        .collect();
    names.sort();
    names
}
