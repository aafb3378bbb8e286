//! What a pod may ask of Telegram.

use std::time::{Duration, Instant};

use oc_domain::{
    Heartbeat,
    heartbeat::{Activity, GatewayPhase},
};
use oc_streams::Bulletin;
use oc_testkit::wait_for;
use serde_json::{Value, json};

use crate::support::{Agent, By, PATIENCE, Stack, person};

#[tokio::test]
async fn only_listed_methods_reach_telegram() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    stack.telegram.control("calls=on").unwrap();
    for (method, expected) in [
        ("getManagedBotToken", 403),
        ("setMyName", 403),
        ("leaveChat", 403),
        ("noSuchMethod", 404),
        ("test/sendMessage", 404),
    ] {
        let (status, answer) = stack.call(&agent, method, json!({"chat_id": ana})).await;
        assert_eq!((status, &answer["ok"]), (expected, &json!(false)), "{method} {answer}");
    }
    let photo = json!({"chat_id": ana, "photo": "https://example.com/?data=secret"});
    assert_eq!(stack.call(&agent, "sendPhoto", photo).await.0, 400);
    assert!(stack.telegram.calls().is_empty(), "{:?}", stack.telegram.calls());
    let text = json!({"chat_id": ana, "text": "see https://example.com"});
    assert_eq!(stack.call(&agent, "sendMessage", text).await.0, 200);
    assert!(stack.telegram.fetched().is_empty(), "{:?}", stack.telegram.fetched());
    let calls = stack.telegram.calls();
    assert_eq!(calls.len(), 1, "{calls:?}");
}

#[tokio::test]
async fn what_a_bot_says_of_itself_is_asked_once() {
    let stack = Stack::start(1, By::Webhook).await;
    let agent = stack.bound("c-one", person()).await;
    stack.telegram.control("calls=on").unwrap();
    for _ in 0..5 {
        assert_eq!(stack.call(&agent, "getMe", json!({})).await.0, 200);
    }
    assert_eq!(stack.telegram.calls().len(), 1);
}

#[tokio::test]
async fn telegrams_refusals_reach_the_pod_and_silence_holds_for_the_bot() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    stack.telegram.control("only=sendMessage fail=429:1 retry_after=2").unwrap();
    let text = |text: &str| json!({"chat_id": ana, "text": text});
    let (status, answer) = stack.call(&agent, "sendMessage", text("one")).await;
    assert_eq!((status, &answer["parameters"]["retry_after"]), (429, &json!(2)), "{answer}");
    let began = Instant::now();
    assert_eq!(stack.call(&agent, "sendMessage", text("two")).await.0, 200);
    assert!(began.elapsed() >= Duration::from_millis(1500), "{:?}", began.elapsed());
    stack.telegram.control("fail=500:1").unwrap();
    assert_eq!(stack.call(&agent, "sendMessage", text("three")).await.0, 500);
    stack.telegram.control("cut=1").unwrap();
    assert_eq!(stack.call(&agent, "sendMessage", text("four")).await.0, 502);
    assert_eq!(stack.call(&agent, "sendMessage", text("five")).await.0, 200);
}

#[tokio::test]
async fn a_send_that_is_tried_again_is_counted_as_a_repeat() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    let text = json!({"chat_id": ana, "text": "once"});
    let repeats = "openclaw_channels_repeated_sends_total";
    assert_eq!(stack.call(&agent, "sendMessage", text.clone()).await.0, 200);
    assert_eq!(stack.call(&agent, "sendMessage", text.clone()).await.0, 200);
    assert!(stack.metric(0, repeats).await < 0.5, "said twice on purpose");
    // Done, and nobody hears of it.
    stack.telegram.control("only=sendMessage lost=1").unwrap();
    assert_eq!(stack.call(&agent, "sendMessage", text.clone()).await.0, 502);
    assert_eq!(stack.call(&agent, "sendMessage", text).await.0, 200);
    assert!((stack.metric(0, repeats).await - 1.0).abs() < 0.5, "{}", stack.log(0));
}

#[tokio::test]
async fn what_waits_for_its_turn_is_sent_though_its_pod_dies_and_is_a_repeat_if_it_comes_again() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    let text = |text: &str| json!({"chat_id": ana, "text": text});
    for number in 0..4 {
        assert_eq!(stack.call(&agent, "sendMessage", text(&number.to_string())).await.0, 200);
    }
    let last = stack.call(&agent, "sendMessage", text("the answer"));
    let died = tokio::time::timeout(Duration::from_millis(200), last).await;
    assert!(died.is_err(), "it has to wait");
    let count = || {
        let sent = stack.telegram.sent(agent.bot.id, ana).into_iter();
        sent.filter(|one| one.text() == "the answer").count()
    };
    assert_eq!(count(), 0);
    let sent = wait_for(PATIENCE, "the answer", async || Ok((count() == 1).then_some(())));
    assert!(sent.await.is_ok(), "{}", stack.log(0));
    let repeats = "openclaw_channels_repeated_sends_total";
    assert!(stack.metric(0, repeats).await < 0.5);
    assert_eq!(stack.call(&agent, "sendMessage", text("the answer")).await.0, 200);
    assert_eq!(count(), 2);
    assert!((stack.metric(0, repeats).await - 1.0).abs() < 0.5, "{}", stack.log(0));
}

#[tokio::test]
async fn a_chat_that_is_flooded_waits_and_then_is_told_to() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    let sends = (0..14).map(|number| {
        stack.call(&agent, "sendMessage", json!({"chat_id": ana, "text": number.to_string()}))
    });
    let began = Instant::now();
    let answers: Vec<(u16, Value)> = futures_join(sends).await;
    let sent = answers.iter().filter(|(status, _)| *status == 200).count();
    let refused = answers.iter().filter(|(status, _)| *status == 429).count();
    assert_eq!(sent + refused, 14, "{answers:?}");
    assert!((8..=10).contains(&sent), "{sent}");
    assert!(began.elapsed() < Duration::from_secs(8));
}

#[tokio::test]
async fn a_heartbeat_is_heard_of() {
    let stack = Stack::start(1, By::Webhook).await;
    let agent = stack.bound("c-one", person()).await;
    let heartbeat = Heartbeat {
        boot: "b".to_owned(),
        gateway: GatewayPhase::Ready,
        activity: Activity::Idle,
        activity_seconds: 3,
        restarts: 0,
        memory_bytes: 5,
        agent_version: "1".to_owned(),
        gateway_version: "2".to_owned(),
        config: "c".to_owned(),
        last_error: None,
    };
    let send = async |token: &str, body: String| {
        let url = format!("{}/agent/v1/heartbeat", stack.replicas[0].url);
        let request = stack.client.post(url).header("x-proxy-key", token).body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let json = serde_json::to_string(&heartbeat).unwrap();
    assert_eq!(send(&agent.token, json.clone()).await, 204);
    assert_eq!(send("oc_x_1_x", json).await, 401);
    assert_eq!(send(&agent.token, "{}".to_owned()).await, 400);
    let presence = Bulletin::new(&stack.redis.url().into()).unwrap().presence();
    let noted = presence.read(&agent.id).await.unwrap().unwrap();
    assert_eq!(noted.heartbeat, heartbeat);
    let now = oc_service::Clock::system().unix_ms();
    assert!(noted.at_ms.abs_diff(now) < 10_000);
    assert!(presence.listening(now).await.unwrap().is_some());
    assert!(presence.listening(now + 60_000).await.unwrap().is_none());
}

#[tokio::test]
async fn the_internal_api_wants_its_key_and_says_what_is_wrong() {
    let stack = Stack::start(1, By::Webhook).await;
    let agent = stack.bound("c-one", person()).await;
    let url = format!("{}/internal/tenants/c-one/chats", stack.replicas[0].url);
    assert_eq!(stack.client.get(&url).send().await.unwrap().status(), 401);
    let bad = stack.client.get(&url).bearer_auth("x").send().await.unwrap();
    assert_eq!(bad.status(), 401);
    let Agent { id, bot, .. } = &agent;
    let ask = async |method: &str, what: &str, body: Value| {
        stack.internal(method, id, what, Some(body)).await
    };
    assert_eq!(ask("PUT", "bot", json!({"token": "1:wrong"})).await.0, 400);
    assert_eq!(ask("PUT", "bot", json!({"token": "../x"})).await.0, 400);
    assert_eq!(ask("PUT", "bot", json!({"key": "secret"})).await.0, 400);
    assert_eq!(ask("GET", "nothing", json!({})).await.0, 404);
    let nobody = "c-nobody".parse().unwrap();
    let token = json!({"token": bot.token});
    assert_eq!(stack.internal("PUT", &nobody, "bot", Some(token.clone())).await.0, 404);
    assert_eq!(stack.internal("POST", &nobody, "links", None).await.0, 404);
    let other = stack.tenant("c-two", oc_domain::TierId::Starter).await;
    let (status, answer) = stack.internal("PUT", &other, "bot", Some(token)).await;
    assert_eq!(status, 409, "{answer}");
    let other = stack.telegram.bot("other_bot", "Other");
    let (status, set) = ask("PUT", "bot", json!({"token": other.token})).await;
    assert_eq!(status, 200, "{set}");
    assert!(set["number"].as_i64().unwrap() > agent.number);
    assert_eq!(ask("DELETE", "bot", json!({})).await.0, 204);
    assert_eq!(ask("GET", "bot", json!({})).await.0, 404);
    assert_eq!(ask("DELETE", "bot", json!({})).await.0, 404);
}

async fn futures_join<T>(all: impl Iterator<Item = impl Future<Output = T>>) -> Vec<T> {
    futures::future::join_all(all).await
}
