//! Telegram's deliveries, good and bad.

use serde_json::json;

use crate::support::{By, Stack, person};

#[tokio::test]
async fn a_delivery_proves_where_it_comes_from() {
    let stack = Stack::start(1, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    let path = stack.sql("select webhook_path from bots").await;
    let update = json!({"update_id": 99, "message": {"message_id": 1, "date": 1, "text": "forged",
        "chat": {"id": ana, "type": "private"}, "from": {"id": ana, "is_bot": false, "first_name": "A"}}});
    let deliver = async |path: &str, secret: &str, body: String| {
        let url = format!("{}/telegram/{path}", stack.replicas[0].url);
        let request = stack.client.post(url).header("x-telegram-bot-api-secret-token", secret);
        request.body(body).send().await.unwrap().status().as_u16()
    };
    assert_eq!(deliver(&path, "guess", update.to_string()).await, 401);
    assert_eq!(deliver(&path, "", update.to_string()).await, 401);
    assert_eq!(deliver("nobody", "guess", update.to_string()).await, 404);
    assert!(stack.poll(&agent, 0, 0).await.is_empty());
    // Now with a secret that is known.
    let hash = "update bots set webhook_hash = sha256('known'), version = version + 1";
    stack.sql(hash).await;
    assert_eq!(deliver(&path, "guess", String::new()).await, 401);
    assert_eq!(deliver(&path, "known", update.to_string()).await, 200);
    assert_eq!(deliver(&path, "known", "no update".to_owned()).await, 200);
    assert_eq!(deliver(&path, "known", "x".repeat(2 << 20)).await, 413);
    assert_eq!(stack.poll(&agent, 0, 0).await, [(1, "forged".to_owned())]);
}

#[tokio::test]
async fn deliveries_that_come_twice_and_late_are_delivered_once() {
    let stack = Stack::start(2, By::Webhook).await;
    let ana = person();
    let agent = stack.bound("c-one", ana).await;
    stack.telegram.control("duplicate=0.5 reorder=0.3 fail=500:0").unwrap();
    let count = 40;
    for number in 0..count {
        stack.telegram.say(ana, agent.bot.id, &format!("m{number}")).unwrap();
    }
    let mut texts = Vec::new();
    let mut next = 0;
    while texts.len() < count {
        let came = stack.poll(&agent, next, 10).await;
        assert!(!came.is_empty(), "{} of {count}\n{}", texts.len(), stack.log(0));
        for (number, text) in came {
            assert!(number >= next, "{number} after {next}");
            next = number + 1;
            texts.push(text);
        }
    }
    texts.sort_unstable();
    let mut expected: Vec<String> = (0..count).map(|number| format!("m{number}")).collect();
    expected.sort_unstable();
    assert_eq!(texts, expected);
    assert!(stack.poll(&agent, next, 1).await.is_empty());
}
