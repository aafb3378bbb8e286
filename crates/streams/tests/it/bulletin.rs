//! What is told, and who hears it.

use std::time::Duration;

use futures::FutureExt as _;
use oc_streams::{Bulletin, Notices, Told, Verdict};
use oc_testkit::{Redis, RedisOptions};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::yield_now,
    time::{Instant, timeout},
};

use crate::support::{Bench, WIDE};

async fn next(notices: &mut Notices) -> Told {
    timeout(Duration::from_secs(20), notices.next()).await.unwrap()
}

fn fleet(commit: &str) -> Told {
    Told::Fleet(commit.to_owned())
}

#[tokio::test]
async fn a_changed_tenant_is_read_again_and_told() {
    let bench = Bench::start(WIDE).await;
    let (id, other) = (bench.customer("one", 1, 100).await, bench.customer("two", 2, 100).await);
    let mut notices = Notices::listen(&bench.redis.url().into()).unwrap();
    assert_eq!(next(&mut notices).await, Told::Connected);
    let bulletin = Bulletin::new(&bench.redis.url().into()).unwrap();
    bulletin.tenant_changed(&id).await.unwrap();
    assert_eq!(next(&mut notices).await, Told::Tenant(id.clone()));
    assert_eq!(bench.ask(&id, 1, 1).await, Verdict::UnknownTenant);
    assert!(matches!(bench.ask(&other, 1, 1).await, Verdict::Admitted(_)));
    // Of one that is not mirrored there is nothing to forget.
    bulletin.tenant_changed(&"c-new".parse().unwrap()).await.unwrap();
    bulletin.fleet_moved("00ff").await.unwrap();
    assert_eq!(next(&mut notices).await, Told::Tenant("c-new".parse().unwrap()));
    assert_eq!(next(&mut notices).await, fleet("00ff"));
}

#[tokio::test]
async fn what_is_no_message_of_ours_is_passed_over() {
    let mut bench = Bench::start(WIDE).await;
    let mut notices = Notices::listen(&bench.redis.url().into()).unwrap();
    assert_eq!(next(&mut notices).await, Told::Connected);
    for message in ["oc:tenant NO/ID", "oc:tenant \u{fffd}", "other c-1", "oc:fleet 1"] {
        let _: u32 = bench.redis(&format!("PUBLISH {message}")).await;
    }
    assert_eq!(next(&mut notices).await, fleet("1"));
}

#[tokio::test]
async fn a_future_that_is_dropped_loses_nothing() {
    let bench = Bench::start(WIDE).await;
    let mut notices = Notices::listen(&bench.redis.url().into()).unwrap();
    let bulletin = Bulletin::new(&bench.redis.url().into()).unwrap();
    let (mut heard, mut dropped) = (Vec::new(), 0);
    while heard.len() < 101 {
        // Polled once each time.
        if let Some(told) = notices.next().now_or_never() {
            heard.push(told);
            bulletin.fleet_moved(&heard.len().to_string()).await.unwrap();
        } else {
            dropped += 1;
            yield_now().await;
        }
    }
    // How many depends on how soon Redis answers; without one the test would say nothing.
    assert!(dropped > 0);
    let expected: Vec<Told> = (1..=100).map(|number| fleet(&number.to_string())).collect();
    assert_eq!((&heard[0], &heard[1..]), (&Told::Connected, &expected[..]));
}

#[tokio::test]
async fn redis_may_come_late_and_go_away_as_often_as_it_likes() {
    let mut redis = Redis::start(RedisOptions::default()).await.unwrap();
    redis.kill();
    let mut notices = Notices::listen(&redis.url().into()).unwrap();
    let waited = timeout(Duration::from_millis(300), notices.next()).await;
    assert!(waited.is_err(), "{waited:?}");
    for round in 0..3 {
        redis.restart().await.unwrap();
        let started = Instant::now();
        assert_eq!(next(&mut notices).await, Told::Connected);
        println!("connected after {:?}", started.elapsed());
        let bulletin = Bulletin::new(&redis.url().into()).unwrap();
        bulletin.fleet_moved(&round.to_string()).await.unwrap();
        assert_eq!(next(&mut notices).await, fleet(&round.to_string()));
        redis.kill();
    }
}

/// As when the machine of Redis loses its power: nobody says that the connection is over.
#[tokio::test]
async fn a_connection_that_is_dead_without_a_word_is_noticed() {
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let address = redis.url().replace("redis://", "");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let mut notices = Notices::listen(&url.into()).unwrap();
    let hears = async {
        assert_eq!(next(&mut notices).await, Told::Connected);
        let started = Instant::now();
        // Asked anew again and again, as by whoever has other work as well.
        let told = loop {
            if let Ok(told) = timeout(Duration::from_millis(700), notices.next()).await {
                break told;
            }
            assert!(started.elapsed() < Duration::from_secs(30));
        };
        assert_eq!(told, Told::Connected);
        started.elapsed()
    };
    let passes_on = async {
        let (mut client, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(&address).await.unwrap();
        let both = copy_bidirectional(&mut client, &mut server);
        assert!(timeout(Duration::from_secs(7), both).await.is_err(), "a ping was answered");
        let (mut second, _) = listener.accept().await.unwrap();
        let mut server = TcpStream::connect(&address).await.unwrap();
        let _ = copy_bidirectional(&mut second, &mut server).await;
        drop(client);
    };
    tokio::select! {
        took = hears => println!("noticed after {took:?}"),
        () = passes_on => panic!("the connection ended"),
    }
}
