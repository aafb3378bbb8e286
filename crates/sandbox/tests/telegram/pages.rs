//! What a browser is shown, and the routes for tests.

use futures::StreamExt as _;
use serde_json::{Value, json};

use crate::support::{ANA, Place};

async fn get(place: &Place, path: &str) -> reqwest::Response {
    place.http.get(format!("{}{path}", place.telegram.url())).send().await.unwrap()
}

async fn tell(place: &Place, route: &str, body: &Value) -> (u16, String) {
    let url = format!("{}/_control{route}", place.telegram.url());
    let answer = place.http.post(url).body(body.to_string()).send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn an_invitation_opens_the_chat_with_its_code() {
    let place = Place::new().await;
    let page = get(&place, "/t.me/agente_bot?start=abc-1").await;
    assert_eq!(page.url().path(), "/chat/7/agente_bot");
    assert_eq!(page.url().query(), Some("start=abc-1"));
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'self'"));
    assert!(page.text().await.unwrap().contains("<main>"));
    assert_eq!(get(&place, "/t.me/agente_bot?start=%3Cscript%3E").await.url().query(), None);
    assert_eq!(get(&place, "/t.me/nobody_bot").await.status(), 404);
    for path in ["/", "/app.js", "/app.css", "/chat/7/agente_bot"] {
        let text = get(&place, path).await.text().await.unwrap();
        assert!(!text.contains("//cdn") && !text.contains("https://"), "{path}");
    }
}

#[tokio::test]
async fn a_page_hears_of_what_is_said_and_is_given_no_markup_of_others() {
    let place = Place::new().await;
    let mut events = get(&place, "/_events?user=7&bot=agente_bot").await.bytes_stream();
    let mut next = async || {
        let bytes = events.next().await.unwrap().unwrap();
        let text =
            std::str::from_utf8(&bytes).unwrap().trim().strip_prefix("data: ").unwrap().to_owned();
        serde_json::from_str::<Value>(&text).unwrap()
    };
    let first = next().await;
    assert_eq!(first["chat"]["messages"][0]["html"], "/start");
    assert_eq!(first["list"]["bots"][0]["bot"]["username"], "agente_bot");
    place.say("<img src=x onerror=alert(1)>");
    let second = next().await;
    assert_eq!(second["chat"]["messages"].as_array().unwrap().len(), 1);
    assert_eq!(second["chat"]["messages"][0]["html"], "&lt;img src=x onerror=alert(1)&gt;");
    place.good("sendChatAction", &json!({ "chat_id": ANA, "action": "typing" })).await;
    assert_eq!(next().await["chat"]["action"], "typing");
}

#[tokio::test]
async fn tests_make_bots_and_people_and_wait_for_answers() {
    let place = Place::new().await;
    let (status, made) =
        tell(&place, "/bots", &json!({ "name": "Outro", "username": "outro_bot" })).await;
    let made: Value = serde_json::from_str(&made).unwrap();
    assert_eq!(
        (status, &made["username"], &made["first_name"]),
        (200, &json!("outro_bot"), &json!("Outro"))
    );
    let (_, again) = tell(&place, "/bots", &json!({ "name": "x", "username": "Outro_Bot" })).await;
    assert_eq!(serde_json::from_str::<Value>(&again).unwrap()["token"], made["token"]);
    let (_, user) =
        tell(&place, "/users", &json!({ "first_name": "Bob", "language_code": "en" })).await;
    let user = serde_json::from_str::<Value>(&user).unwrap()["id"].as_i64().unwrap();
    let said =
        tell(&place, "/say", &json!({ "user": user, "bot": "agente_bot", "text": "hi" })).await;
    assert_eq!(said.0, 200, "{}", said.1);
    let path = format!("/_control/sent?bot={}&user={user}&after=0&wait=10", place.bot.id);
    let hello = json!({ "chat_id": user, "text": "hello" });
    let (sent, _) = tokio::join!(get(&place, &path), async {
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        place.good("sendMessage", &hello).await
    });
    let sent: Value = sent.json().await.unwrap();
    assert_eq!((&sent[0]["number"], &sent[0]["result"]["text"]), (&json!(1), &json!("hello")));
    let file = format!("/file?user={user}&bot=agente_bot&kind=document&name=a.txt&caption=c");
    assert_eq!(tell(&place, &file, &json!("content")).await.0, 200);
    assert_eq!(
        tell(&place, "/say", &json!({ "user": 1, "bot": "agente_bot", "text": "x" })).await.0,
        400
    );
    assert_eq!(
        tell(&place, "/say", &json!({ "user": user, "bot": "no_bot", "text": "x" })).await.0,
        400
    );
}
