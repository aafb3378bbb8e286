//! Messages where the tier counts them.

use oc_sandbox::telegram::Sent;
use oc_testkit::wait_for;
use serde_json::{Value, json};

use crate::support::{Agent, By, PATIENCE, Stack, person};

/// Makes the messages of the account of `c-one` those of a period that began an hour ago.
pub(crate) async fn limit(stack: &Stack, most: usize) {
    let make = "insert into periods (account_id, starts_at, ends_at, token_limit, message_limit)
        values ('a-c-one', now() - interval '1 hour', now() + interval '1 hour', 1";
    stack.sql(&format!("{make}, {most})")).await;
}

async fn upgrade(stack: &Stack, most: u32) {
    stack.sql(&format!("update periods set message_limit = {most}")).await;
}

/// A tenant of the name that belongs to the account of another one.
async fn beside(stack: &Stack, name: &str, user: i64) -> Agent {
    let agent = stack.bound(name, user).await;
    stack.sql(&format!("update tenants set account_id = 'a-c-one' where id = '{name}'")).await;
    agent
}

/// The messages that say this.
fn saying(stack: &Stack, agent: &Agent, user: i64, words: &str) -> Vec<Sent> {
    let mut sent = stack.telegram.sent(agent.bot.id, user);
    sent.retain(|one| one.is_message() && one.text().contains(words));
    sent
}

async fn until_said(stack: &Stack, agent: &Agent, user: i64, words: &str) -> Sent {
    let said = wait_for(PATIENCE, words, async || {
        Ok(saying(stack, agent, user, words).into_iter().next())
    });
    let said = said.await;
    let all = format!("{:?}", stack.telegram.sent(agent.bot.id, user));
    said.unwrap_or_else(|error| panic!("{error}: {all}\n{}", stack.log(0)))
}

/// The buttons of a question: replay, and drop.
fn buttons(question: &Sent) -> (i64, [String; 2]) {
    let data = |n: usize| {
        let button = &question.result["reply_markup"]["inline_keyboard"][0][n];
        button["callback_data"].as_str().unwrap().to_owned()
    };
    (question.result["message_id"].as_i64().unwrap(), [data(0), data(1)])
}

/// What was done to a message of the bot.
fn done_to(stack: &Stack, agent: &Agent, user: i64, message: i64) -> Vec<String> {
    let edits = stack.telegram.sent(agent.bot.id, user).into_iter();
    let own = |one: &Sent| !one.is_message() && one.result["message_id"] == json!(message);
    edits.filter(own).map(|one| format!("{} {}", one.method, one.text())).collect()
}

async fn until_done_to(stack: &Stack, agent: &Agent, user: i64, message: i64, words: &str) {
    let done = wait_for(PATIENCE, words, async || {
        let done = done_to(stack, agent, user, message);
        Ok(done.iter().any(|one| one.contains(words)).then_some(()))
    });
    assert!(done.await.is_ok(), "{:?}", done_to(stack, agent, user, message));
}

const HELD: &str = "select count(*) from updates where held_for is not null";

async fn say(stack: &Stack, agent: &Agent, user: i64, texts: &[&str]) {
    for text in texts {
        stack.telegram.say(user, agent.bot.id, text).unwrap();
    }
    let taken = wait_for(PATIENCE, "all are taken", async || {
        Ok((stack.telegram.pending(agent.bot.id) == 0).then_some(()))
    });
    assert!(taken.await.is_ok(), "{}", stack.log(0));
}

#[tokio::test]
async fn what_is_beyond_the_plan_waits_and_is_answered_after_an_upgrade_if_its_writer_wants() {
    let stack = Stack::start(2, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    limit(&stack, 2).await;
    say(&stack, &agent, ana, &["one", "two", "three", "four"]).await;
    stack.until_sql(HELD, "2").await;
    let told = until_said(&stack, &agent, ana, "acabaram").await;
    assert!(told.text().contains("https://openclaw.cloud/u/"), "{}", told.text());
    let line = stack.poll(&agent, 0, 10).await;
    assert_eq!(line, [(1, "one".to_owned()), (2, "two".to_owned())]);
    assert!(stack.poll(&agent, 5, 0).await.is_empty());
    // All marks at once; people are told of each.
    until_said(&stack, &agent, ana, "todas as mensagens").await;
    assert_eq!(saying(&stack, &agent, ana, "mensagens do seu plano").len(), 4);

    upgrade(&stack, 4).await;
    let question = until_said(&stack, &agent, ana, "Esperando: 2").await;
    let (message, [replay, _]) = buttons(&question);
    let waits = stack.poll(&agent, 5, 30);
    let press = async { stack.telegram.press(ana, agent.bot.id, message, &replay).unwrap() };
    let (line, _) = tokio::join!(waits, press);
    assert_eq!(line, [(5, "three".to_owned()), (6, "four".to_owned())], "{}", stack.log(0));
    until_done_to(&stack, &agent, ana, message, "A caminho do seu assistente: 2.").await;
    assert_eq!(saying(&stack, &agent, ana, "Esperando").len(), 1, "asked once, by one replica");
    assert_eq!(stack.sql("select used from message_counts").await, "4");
    // The count is of whichever replica took it.
    let count = async |outcome: &str| {
        let name = format!("openclaw_channels_updates_total{{outcome=\"{outcome}\"}}");
        stack.metric(0, &name).await + stack.metric(1, &name).await
    };
    for (outcome, expected) in [("counted", 2.0), ("held", 2.0), ("replayed", 2.0)] {
        assert!((count(outcome).await - expected).abs() < 0.1, "{outcome}");
    }
}

#[tokio::test]
async fn a_new_period_has_room_and_who_wants_no_answer_gets_none() {
    let stack = Stack::start(1, By::Polling).await;
    let (ana, bia) = (person(), person());
    let agent = stack.bound("c-one", ana).await;
    let other = stack.bound("c-two", bia).await;
    limit(&stack, 0).await;
    say(&stack, &agent, ana, &["one", "two"]).await;
    stack.until_sql(HELD, "2").await;
    let next = "update periods set starts_at = now() - interval '2 hours', ends_at = now();
        insert into periods (account_id, starts_at, ends_at, token_limit, message_limit)
        select account_id, ends_at, ends_at + interval '1 hour', 1, 9 from periods";
    stack.sql(next).await;
    let question = until_said(&stack, &agent, ana, "Esperando: 2").await;
    let (message, [replay, drop]) = buttons(&question);

    // A stranger, with a button of another bot that says the same, and one who is bound elsewhere.
    let button = json!({"inline_keyboard": [[{"text": "x", "callback_data": replay}]]});
    let forged = json!({"chat_id": bia, "text": "press", "reply_markup": button});
    let refused = stack.call(&other, "sendMessage", forged).await;
    assert_eq!(refused.0, 400, "{}", refused.1);
    let deliver = async |user: i64, data: &str| deliver(&stack, &other, user, data).await;
    deliver(bia, &replay).await;
    deliver(person(), &replay).await;
    assert_eq!(stack.sql(HELD).await, "2");

    stack.telegram.press(ana, agent.bot.id, message, &drop).unwrap();
    until_done_to(&stack, &agent, ana, message, "Esquecidas: 2.").await;
    assert_eq!(stack.sql(HELD).await, "0");
    assert!(stack.poll(&agent, 0, 1).await.is_empty());
    // A press that comes late: its button has gone.
    assert!(stack.telegram.press(ana, agent.bot.id, message, &replay).is_err());
}

/// A press as a client of somebody's own making brings it: a button that there is not.
async fn deliver(stack: &Stack, agent: &Agent, user: i64, data: &str) {
    let sent = json!({"chat_id": user, "text": "press",
        "reply_markup": {"inline_keyboard": [[{"text": "x", "callback_data": data}]]}});
    stack.telegram.user(user, "Joe", "en");
    stack.telegram.say(user, agent.bot.id, "hello").unwrap();
    let url = format!("{}/bot{}/sendMessage", stack.telegram.url(), agent.bot.token);
    let sent: Value =
        stack.client.post(url).json(&sent).send().await.unwrap().json().await.unwrap();
    let message = sent["result"]["message_id"].as_i64().unwrap_or_else(|| panic!("{sent}"));
    stack.telegram.press(user, agent.bot.id, message, data).unwrap();
    let taken = wait_for(PATIENCE, "the press is taken", async || {
        Ok((stack.telegram.pending(agent.bot.id) == 0).then_some(()))
    });
    assert!(taken.await.is_ok(), "{}", stack.log(0));
}

#[tokio::test]
async fn a_press_counts_once_and_never_reaches_the_pod() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    limit(&stack, 0).await;
    say(&stack, &agent, ana, &["one"]).await;
    stack.until_sql(HELD, "1").await;
    upgrade(&stack, 2).await;
    let question = until_said(&stack, &agent, ana, "Esperando: 1").await;
    let (message, [replay, drop]) = buttons(&question);
    // Before the first is answered the buttons are there.
    let press = |data: &str| stack.telegram.press(ana, agent.bot.id, message, data);
    press(&replay).unwrap();
    let again = [press(&replay), press(&drop)];
    until_done_to(&stack, &agent, ana, message, "A caminho").await;
    stack.until_sql("select used from message_counts", "1").await;
    assert_eq!(stack.poll(&agent, 0, 10).await, [(2, "one".to_owned())], "{again:?}");
    // One that is old, one that is none of ours, and what the pod's own buttons say.
    for data in [replay.as_str(), "openclaw-cloud:replay:999999", "openclaw-cloud:odd"] {
        deliver(&stack, &agent, ana, data).await;
    }
    deliver(&stack, &agent, ana, "own").await;
    stack.until_sql("select max(seq) from updates where held_for is null", "7").await;
    assert_eq!(stack.sql("select used from message_counts").await, "2");
}

#[tokio::test]
async fn twenty_wait_and_whoever_writes_one_more_is_told_that_it_does_not() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    limit(&stack, 0).await;
    let texts: Vec<String> = (0..22).map(|n| format!("m{n}")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    say(&stack, &agent, ana, &texts).await;
    until_said(&stack, &agent, ana, "não foi guardada").await;
    stack.until_sql("select count(*) from updates", "20").await;
    let beyond = "openclaw_channels_updates_total{outcome=\"beyond\"}";
    assert!((stack.metric(0, beyond).await - 2.0).abs() < 0.1);
    assert_eq!(saying(&stack, &agent, ana, "pergunto antes").len(), 1, "once an hour");
    assert_eq!(saying(&stack, &agent, ana, "não foi guardada").len(), 1, "once an hour");
}

#[tokio::test]
async fn two_agents_of_an_account_get_as_many_as_its_plan_has() {
    let stack = Stack::start(2, By::Polling).await;
    let (ana, bia) = (person(), person());
    let one = stack.bound("c-one", ana).await;
    let two = beside(&stack, "c-two", bia).await;
    limit(&stack, 25).await;
    for number in 0..30 {
        stack.telegram.say(ana, one.bot.id, &format!("a{number}")).unwrap();
        stack.telegram.say(bia, two.bot.id, &format!("b{number}")).unwrap();
    }
    say(&stack, &one, ana, &[]).await;
    say(&stack, &two, bia, &[]).await;
    stack.until_sql("select used from message_counts", "25").await;
    assert_eq!(stack.sql("select count(*) from updates where held_for is null").await, "25");
    let waiting = stack.poll(&one, 0, 0).await.len() + stack.poll(&two, 0, 0).await.len();
    assert_eq!(waiting, 25);
}
