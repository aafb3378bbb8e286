//! From a bot's token to a conversation.

use oc_domain::TierId;
use serde_json::json;

use crate::support::{By, PATIENCE, Stack, person};

async fn a_person_talks_to_the_agent(by: By) {
    let stack = Stack::start(1, by).await;
    let agent = stack.agent("c-one", TierId::Starter).await;
    let ana = person();
    stack.bind(&agent, ana).await;
    let welcome = stack.telegram.sent(agent.bot.id, ana);
    assert!(format!("{welcome:?}").contains("conectados"), "{welcome:?}");

    // As a gateway starts.
    let (status, me) = stack.call(&agent, "getMe", json!({})).await;
    assert_eq!((status, me["result"]["username"].as_str()), (200, Some("c_one_bot")), "{me}");
    for method in ["deleteWebhook", "setWebhook", "deleteMyCommands", "close", "logOut"] {
        let (status, answer) = stack.call(&agent, method, json!({})).await;
        assert_eq!((status, &answer["result"]), (200, &json!(true)), "{method} {answer}");
    }
    assert!(stack.poll(&agent, 0, 0).await.is_empty());

    stack.telegram.say(ana, agent.bot.id, "Bom dia").unwrap();
    let came = stack.poll(&agent, 0, 10).await;
    assert_eq!(came, [(1, "Bom dia".to_owned())], "{}", stack.log(0));
    let after = stack.telegram.sent(agent.bot.id, ana).len() as u64;
    let answer = json!({"chat_id": ana.to_string(), "text": "<b>Olá</b>", "parse_mode": "HTML"});
    let (status, sent) = stack.call(&agent, "sendMessage", answer).await;
    assert_eq!((status, sent["ok"].as_bool()), (200, Some(true)), "{sent}");
    assert!(stack.telegram.answer(agent.bot.id, ana, after, PATIENCE).await.is_some());

    stack.telegram.say(ana, agent.bot.id, "Tudo bem?").unwrap();
    assert_eq!(stack.poll(&agent, 2, 10).await, [(2, "Tudo bem?".to_owned())]);
    assert!(stack.poll(&agent, 3, 0).await.is_empty());
    stack.until_sql("select count(*) from updates where ciphertext is not null", "0").await;

    // Nothing that opens anything is in the log.
    let log = stack.log(0);
    for secret in [agent.token.as_str(), agent.bot.token.as_str(), "Bom dia"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn a_person_talks_to_the_agent_by_webhook() {
    a_person_talks_to_the_agent(By::Webhook).await;
}

#[tokio::test]
async fn a_person_talks_to_the_agent_by_polling() {
    a_person_talks_to_the_agent(By::Polling).await;
}

#[tokio::test]
async fn two_tenants_never_see_each_other() {
    let stack = Stack::start(1, By::Webhook).await;
    let (ana, bia) = (person(), person());
    let (one, two) = (stack.bound("c-one", ana).await, stack.bound("c-two", bia).await);
    stack.telegram.user(ana, "Ana", "pt-br");
    stack.telegram.say(ana, one.bot.id, "to one").unwrap();
    stack.telegram.say(bia, two.bot.id, "to two").unwrap();
    // Bound to one alone.
    stack.telegram.say(ana, two.bot.id, "to the wrong one").unwrap();
    assert_eq!(stack.poll(&one, 0, 10).await, [(1, "to one".to_owned())]);
    assert_eq!(stack.poll(&two, 0, 10).await, [(1, "to two".to_owned())]);
    assert!(stack.poll(&two, 2, 1).await.is_empty());
    let (status, answer) =
        stack.call(&one, "sendMessage", json!({"chat_id": bia, "text": "hi"})).await;
    assert_eq!(status, 400, "{answer}");
    let (status, answer) = stack
        .call(&one, "forwardMessage", json!({"chat_id": ana, "from_chat_id": bia, "message_id": 1}))
        .await;
    assert_eq!(status, 400, "{answer}");
}
