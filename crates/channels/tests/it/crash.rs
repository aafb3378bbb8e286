//! The relay is killed at random while people write: every message reaches the pod once, in order.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, Instant},
};

use rand::RngExt as _;
use serde_json::json;
use tokio::{sync::RwLock, time::sleep};

use crate::{
    metering::limit,
    support::{Agent, By, Stack, person, read},
};

/// Of a person.
const MESSAGES: usize = 60;
const PEOPLE: usize = 3;

/// What a pod has taken, as a gateway that keeps its offset.
#[derive(Default)]
struct Taken {
    next: i64,
    texts: Vec<String>,
    /// How often an update came again since its confirmation was lost.
    again: usize,
    last: i64,
}

async fn say(stack: &RwLock<Stack>, agent: &Agent, user: i64) {
    for number in 0..MESSAGES {
        stack.read().await.telegram.say(user, agent.bot.id, &format!("{user} {number}")).unwrap();
        sleep(Duration::from_millis(rand::rng().random_range(0..60))).await;
    }
}

async fn pod(stack: &RwLock<Stack>, agent: &Agent) -> Taken {
    let mut taken = Taken::default();
    let began = Instant::now();
    while taken.texts.len() < MESSAGES * PEOPLE {
        assert!(began.elapsed() < Duration::from_mins(2), "{} came", taken.texts.len());
        let replica = rand::rng().random_range(0..2);
        let params = json!({"offset": taken.next, "timeout": 2});
        let (status, answer) = {
            let stack = stack.read().await;
            stack.call_at(replica, agent, "getUpdates", params).await
        };
        if status != 200 {
            sleep(Duration::from_millis(50)).await;
            continue;
        }
        for (number, text) in read(&answer) {
            if number <= taken.last {
                taken.again += 1;
                continue;
            }
            taken.last = number;
            taken.next = number + 1;
            taken.texts.push(text);
        }
    }
    taken
}

async fn kill(stack: &RwLock<Stack>, over: &AtomicBool) -> usize {
    let mut kills = 0;
    while !over.load(Ordering::Relaxed) {
        sleep(Duration::from_millis(rand::rng().random_range(50..700))).await;
        let victim = rand::rng().random_range(0..2);
        // Those who are asking it see it die.
        let pid = stack.read().await.pid(victim);
        oc_sandbox::signal(pid, "KILL").unwrap();
        let mut stack = stack.write().await;
        stack.kill(victim);
        stack.restart(victim).await;
        kills += 1;
    }
    kills
}

/// What happened, in words. Where messages are counted, the plan has exactly as many as are written.
async fn survives(by: By, counted: bool) -> String {
    let stack = Stack::start(2, by).await;
    let people: Vec<i64> = (0..PEOPLE).map(|_| person()).collect();
    let agent = stack.agent("c-one", oc_domain::TierId::Team).await;
    for user in &people {
        stack.bind(&agent, *user).await;
    }
    if counted {
        limit(&stack, MESSAGES * PEOPLE).await;
    }
    let (stack, over) = (RwLock::new(stack), AtomicBool::new(false));
    let began = Instant::now();
    let talk = async {
        let say = futures::future::join_all(people.iter().map(|user| say(&stack, &agent, *user)));
        let (_, taken) = tokio::join!(say, pod(&stack, &agent));
        over.store(true, Ordering::Relaxed);
        taken
    };
    let (taken, kills) = tokio::join!(talk, kill(&stack, &over));
    let mut of_person: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for text in &taken.texts {
        let (user, number) = text.split_once(' ').unwrap();
        of_person.entry(user).or_default().push(number.parse().unwrap());
    }
    assert_eq!(of_person.len(), PEOPLE);
    for (user, numbers) in of_person {
        // Once each, and in the order in which the person wrote.
        assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>(), "{user}");
    }
    let seconds = began.elapsed().as_secs_f64();
    assert!(kills >= 3);
    if counted {
        let used = stack.read().await.sql("select used from message_counts").await;
        assert_eq!(used, (MESSAGES * PEOPLE).to_string());
    }
    let Taken { texts, again, .. } = taken;
    let count = texts.len();
    format!("{by:?}: {count} messages, {kills} kills, {again} came again: {seconds:.1} s")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_comes_once_and_in_order_by_webhook_whatever_is_killed() {
    println!("{}", survives(By::Webhook, false).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_comes_once_and_in_order_by_polling_whatever_is_killed() {
    println!("{}", survives(By::Polling, false).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_message_is_counted_once_whatever_is_killed() {
    println!("{}", survives(By::Webhook, true).await);
}
