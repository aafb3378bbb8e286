//! Deliveries.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use oc_sandbox::telegram::{Options, Telegram};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::support::{ANA, Place};

/// A relay that notes what comes, and answers what it is told to.
#[derive(Clone, Default)]
struct Relay {
    got: Arc<Mutex<Vec<(i64, String, String)>>>,
    answers: Arc<Mutex<VecDeque<(u16, String)>>>,
}

impl Relay {
    async fn serve(&self, tasks: &mut JoinSet<()>) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new().route("/hook", post(take)).with_state(self.clone());
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        url
    }

    async fn wait(&self, count: usize) -> Vec<(i64, String, String)> {
        let until = Instant::now() + Duration::from_secs(10);
        while self.got.lock().len() < count {
            assert!(Instant::now() < until, "{:?}", self.got.lock());
            sleep(Duration::from_millis(5)).await;
        }
        self.got.lock().clone()
    }
}

async fn take(
    State(relay): State<Relay>,
    headers: HeaderMap,
    body: String,
) -> (StatusCode, String) {
    let update: Value = serde_json::from_str(&body).unwrap();
    let secret =
        headers.get("x-telegram-bot-api-secret-token").map(|it| it.to_str().unwrap().to_owned());
    let text = update["message"]["text"].as_str().unwrap_or_default().to_owned();
    relay.got.lock().push((
        update["update_id"].as_i64().unwrap(),
        text,
        secret.unwrap_or_default(),
    ));
    let (status, body) = relay.answers.lock().pop_front().unwrap_or((200, String::new()));
    (StatusCode::from_u16(status).unwrap(), body)
}

async fn settle(telegram: &Telegram, bot: i64) {
    while telegram.pending(bot) > 0 {
        sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn updates_of_a_chat_come_in_order_each_until_it_is_taken() {
    let (place, relay, mut tasks) = (Place::new().await, Relay::default(), JoinSet::new());
    let url = relay.serve(&mut tasks).await;
    place.telegram.control("retry=20ms").unwrap();
    relay.answers.lock().extend([(500, String::new()), (302, String::new())]);
    place.good("setWebhook", &json!({ "url": url, "secret_token": "s3-cret_" })).await;
    for text in ["um", "dois", "três"] {
        place.say(text);
    }
    let got = relay.wait(6).await;
    let texts: Vec<&str> = got.iter().map(|(_, text, _)| text.as_str()).collect();
    assert_eq!(texts, ["/start", "/start", "/start", "um", "dois", "três"]);
    assert!(got.iter().all(|(_, _, secret)| secret == "s3-cret_"));
    settle(&place.telegram, place.bot.id).await;
    let info = place.good("getWebhookInfo", &json!({})).await;
    assert!(info["last_error_message"].as_str().unwrap().contains("302"), "{info}");
    assert_eq!(info["pending_update_count"], 0);
}

#[tokio::test]
async fn a_call_in_the_answer_is_made() {
    let (place, relay, mut tasks) = (Place::new().await, Relay::default(), JoinSet::new());
    let url = relay.serve(&mut tasks).await;
    let call = json!({ "method": "sendMessage", "chat_id": ANA, "text": "na resposta" });
    relay.answers.lock().push_back((200, call.to_string()));
    place.good("setWebhook", &json!({ "url": url })).await;
    let sent = place.telegram.answer(place.bot.id, ANA, 0, Duration::from_secs(5)).await.unwrap();
    assert_eq!(sent.text(), "na resposta");
}

#[tokio::test]
async fn deliveries_come_twice_and_late_when_told() {
    let (place, relay, mut tasks) =
        (Place::with(Options::default(), false).await, Relay::default(), JoinSet::new());
    let url = relay.serve(&mut tasks).await;
    place.telegram.control("pause duplicate=1").unwrap();
    place.good("setWebhook", &json!({ "url": url })).await;
    place.say("um");
    sleep(Duration::from_millis(50)).await;
    assert!(relay.got.lock().is_empty());
    place.telegram.control("resume").unwrap();
    let got = relay.wait(2).await;
    assert_eq!(got[0], got[1]);
    settle(&place.telegram, place.bot.id).await;
    place.telegram.control("reorder=0.5").unwrap();
    let sent: Vec<i64> = (0..40).map(|n| place.say(&n.to_string())).collect();
    let got: Vec<i64> = relay.wait(42).await.iter().skip(2).map(|(id, ..)| *id).collect();
    let mut sorted = got.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, sent);
    assert_ne!(got, sent);
}

#[tokio::test]
async fn addresses_are_https_unless_they_are_this_machine() {
    let place = Place::new().await;
    for url in ["http://relay.example/", "https://relay.example:1234/", "ftp://x", "x"] {
        let bad = place.bad("setWebhook", &json!({ "url": url })).await;
        assert_eq!(
            bad, "Bad Request: bad webhook: An HTTPS URL must be provided for webhook",
            "{url}"
        );
    }
    let bad =
        place.bad("setWebhook", &json!({ "url": "https://x.example", "secret_token": "ç" })).await;
    assert_eq!(bad, "Bad Request: secret token contains unallowed characters");
    place
        .good(
            "setWebhook",
            &json!({ "url": "https://x.example:8443/a", "drop_pending_updates": true }),
        )
        .await;
    assert_eq!(place.telegram.pending(place.bot.id), 0);
    place.good("deleteWebhook", &json!({})).await;
    assert_eq!(place.good("getWebhookInfo", &json!({})).await["url"], "");
}

#[tokio::test]
async fn five_hundred_deliveries_a_second_are_no_effort() {
    let (place, relay, mut tasks) =
        (Place::with(Options::default(), false).await, Relay::default(), JoinSet::new());
    let url = relay.serve(&mut tasks).await;
    place.good("setWebhook", &json!({ "url": url, "max_connections": 50 })).await;
    for user in 1000..1100 {
        place.telegram.user(user, "Rui", "pt-br");
    }
    let began = Instant::now();
    for n in 0..1000 {
        place.telegram.say(1000 + n % 100, place.bot.id, "oi").unwrap();
    }
    relay.wait(1000).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
