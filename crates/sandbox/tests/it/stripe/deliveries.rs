use std::{collections::HashSet, time::Duration};

use oc_sandbox::stripe::{self, Profile, sign};
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::{
    http::Api,
    receiver::{Receiver, until},
};

async fn connected(words: &str) -> (Api, Receiver) {
    let api = Api::start().await;
    let receiver = Receiver::start().await;
    api.server.set_endpoint(Some(receiver.endpoint(&["whsec_a"])));
    api.server.control(words).unwrap();
    (api, receiver)
}

/// Makes so many events.
fn make(api: &Api, count: usize) -> Vec<String> {
    let from = api.server.deliveries().len();
    for _ in 0..count {
        api.server.with(|engine| engine.create_customer(Profile::default()));
    }
    api.server.with(|engine| engine.events()[from..].iter().map(|one| one.id.to_string()).collect())
}

async fn quiet(api: &Api) {
    until(|| api.server.under_way() == 0).await;
}

#[tokio::test]
async fn every_event_is_delivered_once_and_signed_with_each_secret() {
    let (api, receiver) = connected("").await;
    let made = make(&api, 40);
    quiet(&api).await;
    let mut seen = receiver.ids();
    seen.sort();
    let mut wanted = made.clone();
    wanted.sort();
    assert_eq!(seen, wanted);
    api.server.control("secrets=whsec_a,whsec_b").unwrap();
    make(&api, 1);
    quiet(&api).await;
    for (number, (signature, body)) in receiver.seen().iter().enumerate() {
        let at = signature[2..].split(',').next().unwrap().parse().unwrap();
        let secrets: &[&str] = if number < 40 { &["whsec_a"] } else { &["whsec_a", "whsec_b"] };
        assert_eq!(*signature, sign(secrets, at, body));
    }
}

#[tokio::test]
async fn a_refused_delivery_is_tried_until_it_is_taken() {
    let (api, receiver) = connected("retry=10ms").await;
    receiver.answers.lock().extend([500, 302, 400]);
    let made = make(&api, 1);
    quiet(&api).await;
    assert_eq!(receiver.ids(), [&made[0], &made[0], &made[0], &made[0]].map(String::clone));
    let delivery = &api.server.deliveries()[0];
    assert_eq!((delivery.attempts, delivery.taken), (4, true));
}

#[tokio::test]
async fn an_endpoint_that_is_away_gets_its_events_when_it_is_back() {
    let (api, receiver) = connected("retry=10ms").await;
    let address = receiver.url.clone();
    drop(receiver);
    make(&api, 3);
    until(|| api.server.deliveries().iter().all(|delivery| delivery.attempts > 0)).await;
    let back = Receiver::start().await;
    assert_ne!(address, back.url);
    api.server.set_endpoint(Some(back.endpoint(&["whsec_a"])));
    quiet(&api).await;
    assert_eq!(back.ids().len(), 3);
}

#[tokio::test]
async fn duplicates_come_as_often_as_they_are_asked_for() {
    let (api, receiver) = connected("duplicate=3").await;
    make(&api, 10);
    quiet(&api).await;
    assert_eq!(receiver.ids().len(), 13);
    assert_eq!(receiver.ids().into_iter().collect::<HashSet<_>>().len(), 10);
}

#[tokio::test]
async fn a_lost_event_comes_when_it_is_asked_for() {
    let (api, receiver) = connected("lose=2").await;
    let made = make(&api, 5);
    quiet(&api).await;
    sleep(Duration::from_millis(50)).await;
    assert_eq!(receiver.ids().len(), 3);
    assert!(api.server.deliveries()[0].lost);
    api.server.control("redeliver").unwrap();
    quiet(&api).await;
    assert_eq!(receiver.ids().into_iter().collect::<HashSet<_>>().len(), 5);
    api.server.control(&format!("redeliver={}", made[4])).unwrap();
    until(|| receiver.ids().len() == 6).await;
    assert_eq!(receiver.ids()[5], made[4]);
}

#[tokio::test]
async fn a_reordered_event_comes_after_later_ones() {
    let (api, receiver) = connected("reorder=1").await;
    let made = make(&api, 5);
    quiet(&api).await;
    assert_eq!(receiver.ids().len(), 5);
    assert_eq!(receiver.ids()[4], made[0]);
}

#[tokio::test]
async fn delays_are_kept_and_a_pause_holds_everything_back() {
    let (api, receiver) = connected("delay=60ms..80ms").await;
    let start = Instant::now();
    make(&api, 1);
    quiet(&api).await;
    assert!(start.elapsed() >= Duration::from_millis(60));
    api.server.control("pause delay=0ms").unwrap();
    make(&api, 2);
    sleep(Duration::from_millis(50)).await;
    assert_eq!(receiver.ids().len(), 1);
    api.server.control("resume").unwrap();
    quiet(&api).await;
    assert_eq!(receiver.ids().len(), 3);
}

#[tokio::test]
async fn events_are_spelled_as_the_endpoint_expects_or_fears() {
    let (api, receiver) = connected("shape=old").await;
    make(&api, 1);
    quiet(&api).await;
    api.server.control("shape=unknown").unwrap();
    make(&api, 1);
    quiet(&api).await;
    let bodies: Vec<Value> =
        receiver.seen().iter().map(|(_, body)| serde_json::from_str(body).unwrap()).collect();
    assert_eq!(bodies[0]["api_version"], "2025-02-24.acacia");
    assert_eq!(bodies[1]["api_version"], stripe::Shape::Unknown.version());
    assert_eq!(bodies[1]["data"]["object"]["unheard_of"]["kind"], "unheard_of");
}

#[tokio::test]
async fn odds_are_drawn_from_the_seed() {
    let lost = || async {
        let (api, _receiver) = connected("pause lose=0.3").await;
        make(&api, 200);
        api.server.deliveries().iter().map(|delivery| delivery.lost).collect::<Vec<_>>()
    };
    let (first, second) = (lost().await, lost().await);
    assert_eq!(first, second);
    let count = first.iter().filter(|lost| **lost).count();
    assert!((30..90).contains(&count), "{count} of 200");
}

#[tokio::test]
async fn the_list_of_events_tells_what_became_of_them() {
    let (api, _receiver) = connected("lose=1").await;
    let made = make(&api, 2);
    quiet(&api).await;
    let url = format!("{}/_events", api.server.url());
    let text = api.client.get(url).send().await.unwrap().text().await.unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines[0]["event"]["id"], made[0]);
    assert_eq!((&lines[0]["lost"], &lines[1]["lost"]), (&true.into(), &false.into()));
    assert_eq!((&lines[0]["attempts"], &lines[1]["taken"]), (&0.into(), &true.into()));
}
