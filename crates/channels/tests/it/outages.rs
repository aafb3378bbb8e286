//! Redis and Postgres away.

use std::time::{Duration, Instant};

use oc_testkit::Postgres;
use serde_json::json;
use tokio::time::sleep;

use crate::support::{By, Stack, person, read};

#[tokio::test]
async fn without_redis_messages_come_a_little_later() {
    let mut stack = Stack::start(2, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    stack.redis.kill();
    let poll = stack.call_at(1, &agent, "getUpdates", json!({"timeout": 20}));
    let say = async {
        sleep(Duration::from_millis(300)).await;
        stack.telegram.say(ana, agent.bot.id, "hello").unwrap();
        Instant::now()
    };
    let ((status, answer), said) = tokio::join!(poll, say);
    assert_eq!((status, read(&answer)), (200, vec![(1, "hello".to_owned())]), "{}", stack.log(0));
    assert!(said.elapsed() < Duration::from_secs(8), "{:?}", said.elapsed());
    let text = json!({"chat_id": ana, "text": "hi"});
    assert_eq!(stack.call(&agent, "sendMessage", text).await.0, 200);
    stack.redis.restart().await.unwrap();
    stack.telegram.say(ana, agent.bot.id, "again").unwrap();
    assert_eq!(stack.poll(&agent, 2, 10).await, [(2, "again".to_owned())]);
}

#[tokio::test]
async fn what_comes_while_postgres_is_away_comes_again() {
    let mut postgres = Postgres::start().await.unwrap();
    let database = postgres.create_database().await.unwrap();
    let stack = Stack::start_on(database, 1, By::Webhook, &[]).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    assert!(stack.poll(&agent, 0, 0).await.is_empty());
    postgres.kill().unwrap();
    stack.telegram.say(ana, agent.bot.id, "hello").unwrap();
    let (status, answer) = stack.call(&agent, "getUpdates", json!({"timeout": 1})).await;
    assert_eq!((status, &answer["ok"]), (502, &json!(false)), "{answer}");
    assert_eq!(stack.telegram.pending(agent.bot.id), 1);
    postgres.restart().await.unwrap();
    let began = Instant::now();
    loop {
        let (status, answer) = stack.call(&agent, "getUpdates", json!({"timeout": 5})).await;
        if status == 200 && !read(&answer).is_empty() {
            assert_eq!(read(&answer), [(1, "hello".to_owned())]);
            break;
        }
        assert!(began.elapsed() < Duration::from_mins(1), "{}", stack.log(0));
    }
}
