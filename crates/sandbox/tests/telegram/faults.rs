//! How it misbehaves when told to, and what it remembers.

use std::time::Duration;

use oc_sandbox::telegram::{Options, Telegram};
use serde_json::json;
use tokio::time::timeout;

use crate::support::{ANA, Place};

#[tokio::test]
async fn calls_are_refused_cut_lost_and_hung_when_told() {
    let place = Place::new().await;
    let hello = json!({ "chat_id": ANA, "text": "oi" });
    let url = format!("{}/bot{}/sendMessage", place.telegram.url(), place.bot.token);
    let send = || place.http.post(&url).json(&hello).send();
    place.telegram.control("only=sendMessage fail=500:1 retry_after=9").unwrap();
    place.good("getMe", &json!({})).await;
    assert_eq!(send().await.unwrap().status(), 500);
    place.telegram.control("fail=429:1").unwrap();
    let (_, slow) = place.call("sendMessage", &hello).await;
    assert_eq!(slow["parameters"]["retry_after"], 9);
    place.telegram.control("cut=1").unwrap();
    assert!(send().await.is_err());
    assert!(place.telegram.sent(place.bot.id, ANA).is_empty());
    place.telegram.control("lost=1").unwrap();
    assert!(send().await.is_err());
    assert_eq!(place.telegram.sent(place.bot.id, ANA).len(), 1);
    place.telegram.control("hang=1").unwrap();
    assert!(timeout(Duration::from_millis(100), send()).await.is_err());
    assert_eq!(send().await.unwrap().status(), 200);
    assert!(place.telegram.control("frobnicate=1").unwrap_err().contains("frobnicate"));
}

#[tokio::test]
async fn what_was_said_outlives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let options =
        || Options { file: Some(folder.path().join("telegram.json")), ..Options::default() };
    let place = Place::with(options(), true).await;
    place.good("sendMessage", &json!({ "chat_id": ANA, "text": "oi" })).await;
    let (token, bot) = (place.bot.token.clone(), place.bot.id);
    tokio::time::sleep(Duration::from_millis(700)).await;
    drop(place);
    let again = Telegram::start(options()).await.unwrap();
    assert_eq!(again.bot("Agente_Bot", "x").token, token);
    assert_eq!((again.pending(bot), again.sent(bot, ANA)[0].text()), (1, "oi"));
}
