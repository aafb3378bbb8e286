//! Notices of the outbox.

use oc_domain::TierId;
use oc_store::outbox::{self, Notice};
use oc_testkit::wait_for;
use serde_json::{Value, json};

use crate::support::{Agent, By, PATIENCE, Stack, now, person};

fn notice(kind: &str, payload: Value) -> Notice {
    Notice { kind: kind.to_owned(), dedup_key: format!("{kind}:1"), payload }
}

async fn tell(stack: &Stack, account: &str, notices: &[Notice]) {
    outbox::tell(&stack.store, &account.parse().unwrap(), notices, now()).await.unwrap();
}

async fn until_said(stack: &Stack, agent: &Agent, user: i64, words: &str) -> String {
    let said = || format!("{:?}", stack.telegram.sent(agent.bot.id, user));
    let done = wait_for(PATIENCE, words, async || Ok(said().contains(words).then_some(()))).await;
    assert!(done.is_ok(), "{}\n{}", said(), stack.log(0));
    said()
}

#[tokio::test]
async fn people_are_told_by_their_own_bot_with_a_link_and_once() {
    let stack = Stack::start(2, By::Webhook).await;
    let (ana, bia) = (person(), person());
    let (one, two) = (stack.bound("c-one", ana).await, stack.bound("c-two", bia).await);
    tell(&stack, "a-c-one", &[notice("quota", json!({"percent": 80, "period": 1}))]).await;
    let said = until_said(&stack, &one, ana, "80%").await;
    assert!(said.contains("https://openclaw.cloud/u/"), "{said}");
    tell(&stack, "a-c-two", &[notice("agent_unhealthy", json!({"tenant": "c-two"}))]).await;
    until_said(&stack, &two, bia, "problema").await;
    stack.until_sql("select count(*) from outbox where delivered_at is null", "0").await;
    // A welcome and a notice.
    assert_eq!(stack.telegram.sent(one.bot.id, ana).len(), 2);
    assert_eq!(stack.telegram.sent(two.bot.id, bia).len(), 2);
}

#[tokio::test]
async fn who_cannot_be_told_holds_up_nobody() {
    let stack = Stack::start(1, By::Webhook).await;
    stack.tenant("c-none", TierId::Starter).await;
    tell(&stack, "a-c-none", &[notice("welcome", json!({"tenant": "c-none"}))]).await;
    stack.until_sql("select count(*) from outbox where retry_at > now()", "1").await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    stack.telegram.block(ana, agent.bot.id, true).unwrap();
    tell(&stack, "a-c-one", &[notice("reactivated", json!({}))]).await;
    stack.until_sql("select count(*) from outbox where retry_at > now()", "2").await;
    tell(&stack, "a-c-one", &[notice("partial_refund", json!({"charge": "ch_1"}))]).await;
    stack.until_sql("select count(*) from outbox where retry_at > now()", "3").await;
    assert!(stack.log(0).contains("somebody should look at this"), "{}", stack.log(0));
}

#[tokio::test]
async fn what_is_for_ops_goes_to_their_chat() {
    let token = tempfile::NamedTempFile::new().unwrap();
    let ops = person();
    let file = token.path().display().to_string();
    let options = ["--ops-chat", &ops.to_string(), "--ops-bot-token-file", &file];
    // Its token is known only when the stand-in runs.
    std::fs::write(token.path(), "1:placeholder").unwrap();
    let mut stack = Stack::start_with(1, By::Webhook, &options).await;
    let bot = stack.telegram.bot("ops_bot", "Ops");
    stack.telegram.user(ops, "Ops", "en");
    stack.telegram.say(ops, bot.id, "/start").unwrap();
    std::fs::write(token.path(), &bot.token).unwrap();
    stack.kill(0);
    stack.restart(0).await;
    stack.tenant("c-one", TierId::Starter).await;
    tell(&stack, "a-c-one", &[notice("dispute_opened", json!({"charge": "ch_1"}))]).await;
    let agent = Agent { id: "c-one".parse().unwrap(), bot, number: 0, token: String::new() };
    until_said(&stack, &agent, ops, "dispute_opened").await;
    stack.until_sql("select count(*) from outbox where delivered_at is not null", "1").await;
}
