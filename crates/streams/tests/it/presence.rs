use std::time::Duration;

use oc_domain::{
    Heartbeat,
    heartbeat::{Activity, GatewayPhase},
};
use oc_streams::{Bulletin, Noted, Wake, Wakes};
use oc_testkit::{Redis, RedisOptions};

fn noted(at_ms: u64) -> Noted {
    let heartbeat = Heartbeat {
        boot: "b".to_owned(),
        gateway: GatewayPhase::Ready,
        activity: Activity::Busy,
        activity_seconds: 1,
        restarts: 2,
        memory_bytes: 3,
        agent_version: "a".to_owned(),
        gateway_version: "g".to_owned(),
        config: "c".to_owned(),
        last_error: Some("e".to_owned()),
    };
    Noted { heartbeat, at_ms }
}

#[tokio::test]
async fn what_an_agent_said_last_is_known() {
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let presence = Bulletin::new(&redis.url().into()).unwrap().presence();
    let one = "c-one".parse().unwrap();
    assert_eq!(presence.read(&one).await.unwrap(), None);
    for at_ms in [1, 2] {
        presence.note(&one, &noted(at_ms)).await.unwrap();
        assert_eq!(presence.read(&one).await.unwrap(), Some(noted(at_ms)));
    }
    assert_eq!(presence.read(&"c-two".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn silence_counts_only_while_somebody_listens_without_a_pause() {
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let presence = Bulletin::new(&redis.url().into()).unwrap().presence();
    assert_eq!(presence.listening(1000).await.unwrap(), None);
    for now in [1_000, 6_000, 11_000] {
        presence.listen(now).await.unwrap();
    }
    assert_eq!(presence.listening(30_000).await.unwrap(), Some(1_000));
    assert_eq!(presence.listening(31_000).await.unwrap(), None);
    // Away for a while: whoever was silent in between need not have been.
    presence.listen(40_000).await.unwrap();
    assert_eq!(presence.listening(41_000).await.unwrap(), Some(40_000));
}

#[tokio::test]
async fn a_claim_is_one_until_it_passes_or_is_given_back() {
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let presence = Bulletin::new(&redis.url().into()).unwrap().presence();
    let claim = async |name| presence.claim(name, Duration::from_secs(1)).await.unwrap();
    assert!(claim("a").await && claim("b").await);
    assert!(!claim("a").await);
    presence.release("a").await.unwrap();
    assert!(claim("a").await);
    tokio::time::sleep(Duration::from_millis(1100)).await;
    assert!(claim("b").await);
}

#[tokio::test]
async fn replicas_hear_whose_messages_came_and_whose_pod_polls_where() {
    let redis = Redis::start(RedisOptions::default()).await.unwrap();
    let url = redis.url().into();
    let (bulletin, mut wakes) = (Bulletin::new(&url).unwrap(), Wakes::listen(&url).unwrap());
    assert_eq!(wakes.next().await, Wake::Connected);
    let (one, two) = ("c-one".parse().unwrap(), "c-two".parse().unwrap());
    bulletin.wake([&one].into_iter(), [&two].into_iter(), 7).await.unwrap();
    bulletin.tenant_changed(&one).await.unwrap();
    assert_eq!(wakes.next().await, Wake::Updates(one.clone()));
    assert_eq!(wakes.next().await, Wake::Poll(two, 7));
    assert_eq!(wakes.next().await, Wake::Tenant(one));
}
