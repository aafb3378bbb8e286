//! `getUpdates` as Telegram answers it.

use std::time::{Duration, Instant};

use oc_domain::TierId;
use serde_json::json;
use tokio::{task::JoinSet, time::sleep};

use crate::support::{By, Stack, person, read};

#[tokio::test]
async fn a_second_poll_ends_the_first_at_whatever_replica_it_is() {
    let stack = Stack::start(2, By::Webhook).await;
    let agent = stack.bound("c-one", person()).await;
    for second in [0, 1] {
        let wait = json!({"timeout": 20});
        let first = stack.call_at(0, &agent, "getUpdates", wait);
        let then = async {
            sleep(Duration::from_millis(500)).await;
            stack.call_at(second, &agent, "getUpdates", json!({"timeout": 0})).await
        };
        let began = Instant::now();
        let ((status, answer), (after, _)) = tokio::join!(first, then);
        assert_eq!((status, &answer["error_code"]), (409, &json!(409)), "{answer}");
        assert_eq!(after, 200);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_message_wakes_the_pod_at_whatever_replica_it_waits() {
    let stack = Stack::start(2, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    for (number, text) in [(0, "one"), (1, "two")] {
        let offset = i64::try_from(number).unwrap() + 1;
        let wait = json!({"offset": offset, "timeout": 20});
        let poll = stack.call_at(number, &agent, "getUpdates", wait);
        let say = async {
            sleep(Duration::from_millis(300)).await;
            stack.telegram.say(ana, agent.bot.id, text).unwrap();
            Instant::now()
        };
        let ((status, answer), said) = tokio::join!(poll, say);
        assert_eq!((status, read(&answer)), (200, vec![(offset, text.to_owned())]));
        assert!(said.elapsed() < Duration::from_secs(1), "{:?}", said.elapsed());
    }
}

#[tokio::test]
async fn parameters_come_in_every_encoding_and_limits_hold() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    for number in 1..=5 {
        stack.telegram.say(ana, agent.bot.id, &format!("m{number}")).unwrap();
    }
    stack.until_sql("select count(*) from updates", "5").await;
    let url = format!("{}/bot{}:{}/getUpdates", stack.replicas[0].url, agent.number, agent.token);
    let client = &stack.client;
    let numbers = async |request: reqwest::RequestBuilder| -> Vec<i64> {
        let answer = request.send().await.unwrap().json().await.unwrap();
        read(&answer).into_iter().map(|(number, _)| number).collect()
    };
    assert_eq!(numbers(client.get(format!("{url}?offset=2&limit=2"))).await, [2, 3]);
    let form = |text: &'static str| {
        client.post(&url).header("content-type", "application/x-www-form-urlencoded").body(text)
    };
    assert_eq!(numbers(form("limit=1")).await, [2]);
    assert_eq!(numbers(form("offset=-2")).await, [4, 5]);
    assert_eq!(numbers(client.post(&url).json(&json!({"offset": "4", "limit": 0}))).await, [4, 5]);
    let (status, info) = stack.call(&agent, "getWebhookInfo", json!({})).await;
    assert_eq!((status, &info["result"]["pending_update_count"]), (200, &json!(2)));
    assert_eq!(info["result"]["url"], "");
    assert_eq!(numbers(client.get(format!("{url}?offset=9&timeout=0"))).await, [0; 0]);
    let upper = client.get(url.replace("getUpdates", "GETUPDATES"));
    assert_eq!(numbers(upper).await, [0; 0]);
    let bad = client.get(format!("{url}?offset=x")).send().await.unwrap();
    assert_eq!(bad.status(), 400);
}

#[tokio::test]
async fn a_pod_without_a_bot_starts_in_peace_and_waits() {
    let stack = Stack::start(1, By::Polling).await;
    let id = stack.tenant("c-one", TierId::Starter).await;
    let bot = stack.telegram.bot("later_bot", "Later");
    let token = stack.sign(&id, 1);
    let agent = crate::support::Agent { id, bot, number: 0, token };
    let (status, me) = stack.call(&agent, "getMe", json!({})).await;
    assert_eq!((status, &me["result"]["is_bot"]), (200, &json!(true)), "{me}");
    assert_eq!(stack.call(&agent, "setMyCommands", json!({"commands": []})).await.0, 200);
    let began = Instant::now();
    assert!(stack.poll(&agent, 0, 1).await.is_empty());
    assert!(began.elapsed() >= Duration::from_millis(900));
    let (status, answer) =
        stack.call(&agent, "sendMessage", json!({"chat_id": 1, "text": "hi"})).await;
    assert_eq!(status, 403, "{answer}");
}

#[tokio::test]
async fn a_drain_answers_those_who_wait() {
    let mut stack = Stack::start(1, By::Webhook).await;
    let agent = stack.bound("c-one", person()).await;
    let url = format!("{}/bot1:{}/getUpdates?timeout=30", stack.replicas[0].url, agent.token);
    let mut waiting = JoinSet::new();
    waiting.spawn(stack.client.get(url).send());
    sleep(Duration::from_millis(500)).await;
    let began = Instant::now();
    assert!(stack.drain(0), "{}", stack.log(0));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    let answer = waiting.join_next().await.unwrap().unwrap().unwrap();
    let status = answer.status().as_u16();
    assert_eq!(
        (status, answer.text().await.unwrap().as_str()),
        (200, r#"{"ok":true,"result":[]}"#)
    );
}
