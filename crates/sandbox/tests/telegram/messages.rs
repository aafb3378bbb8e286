//! What a bot may do in a chat.

use bytes::Bytes;
use oc_sandbox::telegram::{Options, Upload};
use serde_json::json;

use crate::support::{ANA, Place};

#[tokio::test]
async fn tokens_methods_and_chats_are_known_or_refused() {
    let place = Place::with(Options::default(), false).await;
    let me = place.good("getMe", &json!({})).await;
    assert_eq!((&me["username"], &me["is_bot"]), (&json!("agente_bot"), &json!(true)));
    let wrong = format!("{}/bot{}:AAAA/getMe", place.telegram.url(), place.bot.id);
    assert_eq!(place.http.get(wrong).send().await.unwrap().status(), 401);
    assert_eq!(place.bad("sendEverything", &json!({})).await, "Not Found");
    let hello = json!({ "chat_id": ANA, "text": "oi" });
    assert_eq!(place.bad("sendMessage", &hello).await, "Bad Request: chat not found");
    place.say("oi");
    place.good("sendMessage", &hello).await;
    place.telegram.block(ANA, place.bot.id, true).unwrap();
    assert_eq!(place.bad("sendMessage", &hello).await, "Forbidden: bot was blocked by the user");
    place.say("voltei");
    place.good("sendMessage", &hello).await;
    let updates = place.good("getUpdates", &json!({})).await;
    let member = &updates[1]["my_chat_member"];
    assert_eq!(member["new_chat_member"]["status"], "kicked");
    assert_eq!(updates[0]["message"]["from"]["language_code"], "pt-br");
}

#[tokio::test]
async fn texts_are_read_by_their_parse_mode_and_measured() {
    let place = Place::with(Options { limits: false, ..Options::default() }, true).await;
    let send = |text: &str| json!({ "chat_id": ANA, "text": text, "parse_mode": "HTML" });
    let sent = place.good("sendMessage", &send("<b>olá</b> &amp; tchau")).await;
    assert_eq!(
        (&sent["text"], &sent["entities"][0]["type"]),
        (&json!("olá & tchau"), &json!("bold"))
    );
    let bad = place.bad("sendMessage", &send("<b>olá")).await;
    assert_eq!(
        bad,
        "Bad Request: can't parse entities: Can't find end tag corresponding to start tag \"b\""
    );
    assert_eq!(
        place.bad("sendMessage", &send(&"a".repeat(4097))).await,
        "Bad Request: message is too long"
    );
    assert_eq!(place.bad("sendMessage", &send(" ")).await, "Bad Request: message text is empty");
    place.good("sendMessage", &send(&"a".repeat(4096))).await;
    place.good("sendMessage", &send("veja https://x.example/")).await;
    assert_eq!(place.telegram.fetched(), ["https://x.example/"]);
}

#[tokio::test]
async fn messages_are_edited_deleted_and_have_buttons() {
    let place = Place::with(Options { limits: false, ..Options::default() }, true).await;
    let keys = json!({ "inline_keyboard": [[{ "text": "Sim", "callback_data": "yes" }]] });
    let sent = place
        .good("sendMessage", &json!({ "chat_id": ANA, "text": "certo?", "reply_markup": keys }))
        .await;
    let id = sent["message_id"].as_i64().unwrap();
    assert!(place.telegram.press(ANA, place.bot.id, id, "no").is_err());
    place.telegram.press(ANA, place.bot.id, id, "yes").unwrap();
    let updates = place.good("getUpdates", &json!({})).await;
    let query = &updates[1]["callback_query"];
    assert_eq!((&query["data"], &query["message"]["message_id"]), (&json!("yes"), &json!(id)));
    place.good("answerCallbackQuery", &json!({ "callback_query_id": query["id"] })).await;
    let edit = json!({ "chat_id": ANA, "message_id": id, "text": "certo!" });
    let edited = place.good("editMessageText", &edit).await;
    assert_eq!((&edited["text"], edited.get("reply_markup")), (&json!("certo!"), None));
    assert!(
        place
            .bad("editMessageText", &edit)
            .await
            .starts_with("Bad Request: message is not modified")
    );
    let message = json!({ "chat_id": ANA, "message_id": id });
    place.good("deleteMessage", &message).await;
    assert_eq!(
        place.bad("deleteMessage", &message).await,
        "Bad Request: message to delete not found"
    );
    let said = updates[0]["message"]["message_id"].as_i64().unwrap();
    place.telegram.edit(ANA, place.bot.id, said, "/start 2").unwrap();
    let updates = place.good("getUpdates", &json!({ "offset": -1 })).await;
    assert_eq!(updates[0]["edited_message"]["text"], "/start 2");
}

#[tokio::test]
async fn files_go_both_ways() {
    let place = Place::with(Options { limits: false, ..Options::default() }, true).await;
    let png = Bytes::from_static(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x20\0\0\0\x10");
    let upload =
        Upload { name: "a.png".to_owned(), kind: "image/png".to_owned(), bytes: png.clone() };
    place.telegram.send(ANA, place.bot.id, "photo", upload, "veja").unwrap();
    let updates = place.good("getUpdates", &json!({ "offset": -1 })).await;
    let photo = &updates[0]["message"]["photo"][0];
    assert_eq!(
        (&photo["width"], &photo["height"], &updates[0]["message"]["caption"]),
        (&json!(32), &json!(16), &json!("veja"))
    );
    let file = place.good("getFile", &json!({ "file_id": photo["file_id"] })).await;
    let url = format!(
        "{}/file/bot{}/{}",
        place.telegram.url(),
        place.bot.token,
        file["file_path"].as_str().unwrap()
    );
    assert_eq!(place.http.get(url).send().await.unwrap().bytes().await.unwrap(), png);
    let again =
        place.good("sendPhoto", &json!({ "chat_id": ANA, "photo": photo["file_id"] })).await;
    assert_eq!(again["photo"][0]["file_id"], photo["file_id"]);
    let address = json!({ "chat_id": ANA, "photo": "https://x.example/a.png" });
    place.bad("sendPhoto", &address).await;
    assert_eq!(place.telegram.fetched(), ["https://x.example/a.png"]);
    let large =
        Upload { name: "b".to_owned(), kind: String::new(), bytes: vec![0; (20 << 20) + 1].into() };
    place.telegram.send(ANA, place.bot.id, "document", large, "").unwrap();
    let updates = place.good("getUpdates", &json!({ "offset": -1 })).await;
    let id = &updates[0]["message"]["document"]["file_id"];
    assert_eq!(
        place.bad("getFile", &json!({ "file_id": id })).await,
        "Bad Request: file is too big"
    );
}

#[tokio::test]
async fn who_sends_too_fast_is_told_to_wait() {
    let place = Place::new().await;
    let hello = json!({ "chat_id": ANA, "text": "oi" });
    for _ in 0..3 {
        place.good("sendMessage", &hello).await;
    }
    let (status, answer) = place.call("sendMessage", &hello).await;
    assert_eq!((status, &answer["parameters"]["retry_after"]), (429, &json!(1)));
    place.good("sendChatAction", &json!({ "chat_id": ANA, "action": "typing" })).await;
    tokio::time::sleep(std::time::Duration::from_millis(1100)).await;
    place.good("sendMessage", &hello).await;
}
