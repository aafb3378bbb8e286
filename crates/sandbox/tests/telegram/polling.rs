//! `getUpdates`.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::support::{ANA, Place, numbers};

#[tokio::test]
async fn an_offset_confirms_what_is_before_it() {
    let place = Place::new().await;
    let (second, third) = (place.say("dois"), place.say("três"));
    let first = second - 1;
    let get = async |params: Value| numbers(&place.good("getUpdates", &params).await);
    assert_eq!(get(json!({})).await, [first, second, third]);
    assert_eq!(get(json!({ "limit": 1 })).await, [first]);
    assert_eq!(get(json!({ "offset": second })).await, [second, third]);
    assert_eq!(get(json!({ "offset": 0 })).await, [second, third]);
    assert_eq!(get(json!({ "offset": -1 })).await, [third]);
    assert_eq!(get(json!({ "offset": third + 1 })).await, [0; 0]);
    assert_eq!(place.telegram.pending(place.bot.id), 0);
}

#[tokio::test]
async fn a_poll_waits_and_a_later_one_ends_it() {
    let place = Place::with(oc_sandbox::telegram::Options::default(), false).await;
    let began = Instant::now();
    let wait = json!({ "timeout": 20 });
    let (updates, ()) = tokio::join!(place.good("getUpdates", &wait), async {
        sleep(Duration::from_millis(60)).await;
        place.say("oi");
    });
    assert_eq!(updates[0]["message"]["text"], "oi");
    let next = json!({ "timeout": 20, "offset": updates[0]["update_id"].as_i64().unwrap() + 1 });
    let (conflict, ()) = tokio::join!(place.bad("getUpdates", &next), async {
        sleep(Duration::from_millis(60)).await;
        place.good("getUpdates", &json!({ "timeout": 0 })).await;
    });
    assert!(conflict.starts_with("Conflict: terminated by other getUpdates"), "{conflict}");
    let hook = json!({ "url": "https://relay.example/" });
    let (conflict, ()) = tokio::join!(place.bad("getUpdates", &next), async {
        sleep(Duration::from_millis(60)).await;
        place.good("setWebhook", &hook).await;
    });
    assert!(conflict.starts_with("Conflict: can't use getUpdates"), "{conflict}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn all_four_encodings_are_read() {
    let place = Place::new().await;
    let url = format!("{}/bot{}/SENDMESSAGE", place.telegram.url(), place.bot.token);
    let parts = "--b\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\nquatro\r\n--b--\r\n";
    let multipart = "multipart/form-data; boundary=b";
    let requests = [
        place.http.get(format!("{url}?chat_id={ANA}&text=um")),
        place
            .http
            .post(format!("{url}?chat_id={ANA}"))
            .header("content-type", "application/x-www-form-urlencoded")
            .body("text=dois"),
        place.http.post(&url).json(&json!({ "chat_id": ANA, "text": "três" })),
    ];
    for request in requests {
        assert_eq!(request.send().await.unwrap().status(), 200);
    }
    // Three at once are the most for a chat.
    place.telegram.control("limits=off").unwrap();
    let request = place
        .http
        .post(format!("{url}?chat_id={ANA}"))
        .header("content-type", multipart)
        .body(parts);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let texts: Vec<String> =
        place.telegram.sent(place.bot.id, ANA).iter().map(|sent| sent.text().to_owned()).collect();
    assert_eq!(texts, ["um", "dois", "três", "quatro"]);
}

#[tokio::test]
async fn five_hundred_updates_a_second_are_no_effort() {
    let place = Place::new().await;
    let began = Instant::now();
    let mut last = 0;
    for n in 0..2000 {
        last = place.say(&format!("{n}"));
    }
    let mut offset = 0;
    while offset <= last {
        let updates = numbers(&place.good("getUpdates", &json!({ "offset": offset })).await);
        offset = updates.last().unwrap() + 1;
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}
