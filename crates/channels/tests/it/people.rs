//! Who may speak.

use std::time::Duration;

use oc_domain::TierId;
use oc_store::tenants::{self, Desired, State};
use oc_streams::Bulletin;
use serde_json::json;
use tokio::time::sleep;

use crate::support::{Agent, By, Stack, person};

/// What a bot has said to a person.
fn said(stack: &Stack, agent: &Agent, user: i64) -> String {
    format!("{:?}", stack.telegram.sent(agent.bot.id, user))
}

async fn until_said(stack: &Stack, agent: &Agent, user: i64, words: &str) {
    let said = oc_testkit::wait_for(crate::support::PATIENCE, words, async || {
        Ok(said(stack, agent, user).contains(words).then_some(()))
    });
    assert!(said.await.is_ok(), "{}\n{}", self::said(stack, agent, user), stack.log(0));
}

#[tokio::test]
async fn a_stranger_gets_one_polite_refusal_in_its_language_and_is_not_stored() {
    let stack = Stack::start(1, By::Webhook).await;
    let agent = stack.agent("c-one", TierId::Starter).await;
    let (joe, eva) = (person(), person());
    stack.telegram.user(joe, "Joe", "en");
    stack.telegram.user(eva, "Eva", "pt-br");
    for number in 0..5 {
        stack.telegram.say(joe, agent.bot.id, &format!("hello {number}")).unwrap();
    }
    stack.telegram.say(eva, agent.bot.id, "/start nothing").unwrap();
    until_said(&stack, &agent, joe, "private").await;
    until_said(&stack, &agent, eva, "convite").await;
    sleep(Duration::from_millis(500)).await;
    assert_eq!(stack.telegram.sent(agent.bot.id, joe).len(), 1);
    assert_eq!(stack.telegram.sent(agent.bot.id, eva).len(), 1);
    assert_eq!(stack.sql("select count(*) from updates").await, "0");
    assert!(stack.poll(&agent, 0, 0).await.is_empty());
}

#[tokio::test]
async fn a_tier_for_one_person_has_one() {
    let stack = Stack::start(1, By::Polling).await;
    let agent = stack.agent("c-one", TierId::Starter).await;
    let (ana, bia) = (person(), person());
    stack.bind(&agent, ana).await;
    stack.bind(&agent, bia).await;
    until_said(&stack, &agent, bia, "plano").await;
    let (status, chats) = stack.internal("GET", &agent.id, "chats", None).await;
    assert_eq!((status, chats.as_array().unwrap().len()), (200, 1), "{chats}");
    assert_eq!(chats[0]["user_id"], json!(ana));
}

#[tokio::test]
async fn a_suspended_agent_is_silent_and_comes_back_with_what_waited() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    set(&stack, &agent, State::Suspended).await;
    stack.telegram.say(ana, agent.bot.id, "anybody?").unwrap();
    until_said(&stack, &agent, ana, "suspenso").await;
    assert!(stack.poll(&agent, 0, 1).await.is_empty());
    let text = json!({"chat_id": ana, "text": "hi"});
    let (status, answer) = stack.call(&agent, "sendMessage", text.clone()).await;
    assert_eq!(status, 403, "{answer}");
    set(&stack, &agent, State::Active).await;
    assert_eq!(stack.poll(&agent, 0, 10).await, [(1, "anybody?".to_owned())]);
    assert_eq!(stack.call(&agent, "sendMessage", text).await.0, 200);
}

#[tokio::test]
async fn a_revoked_token_opens_nothing() {
    let stack = Stack::start(1, By::Webhook).await;
    let mut agent = stack.bound("c-one", person()).await;
    assert!(stack.poll(&agent, 0, 0).await.is_empty());
    tenants::raise_generation(&stack.store, &agent.id).await.unwrap();
    tell(&stack, &agent).await;
    sleep(Duration::from_millis(200)).await;
    let (status, answer) = stack.call(&agent, "getUpdates", json!({})).await;
    assert_eq!((status, &answer["error_code"]), (401, &json!(401)), "{answer}");
    agent.token = stack.sign(&agent.id, 2);
    assert!(stack.poll(&agent, 0, 0).await.is_empty());
    agent.token = "oc_c-one_2_x".to_owned();
    assert_eq!(stack.call(&agent, "getMe", json!({})).await.0, 401);
}

async fn set(stack: &Stack, agent: &Agent, state: State) {
    let (tenant, _) = tenants::find(&stack.store, &agent.id).await.unwrap().unwrap();
    let tenants::Tenant { tier, locale, model, thinking, .. } = tenant;
    let desired = Desired { tier, locale, model, thinking, state };
    tenants::observe(&stack.store, &agent.id, &desired).await.unwrap();
    tell(stack, agent).await;
    sleep(Duration::from_millis(200)).await;
}

async fn tell(stack: &Stack, agent: &Agent) {
    let bulletin = Bulletin::new(&stack.redis.url().into()).unwrap();
    bulletin.tenant_changed(&agent.id).await.unwrap();
}
