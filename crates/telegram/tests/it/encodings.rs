//! The four encodings, and what none of them may hold.

use bytes::Bytes;
use http_body_util::Full;
use oc_telegram::{Call, ChatId, Method, Params, Refusal, check, params};
use serde_json::{Value, json};

const FORM: &str = "application/x-www-form-urlencoded";
const JSON: &str = "application/json";
const PARTS: &str = "multipart/form-data; boundary=b";

async fn read(kind: &str, query: &str, body: &str) -> Result<Params, Refusal> {
    let body = Full::new(Bytes::from(body.to_owned()));
    params::read(Some(kind).filter(|kind| !kind.is_empty()), Some(query), body).await
}

async fn call(kind: &str, query: &str, body: &str) -> Result<Value, Refusal> {
    let call = checked("sendMessage", read(kind, query, body).await?)?;
    Ok(serde_json::from_slice(call.json().unwrap()).unwrap())
}

fn checked(method: &str, params: Params) -> Result<Call, Refusal> {
    check(Method::find(method).unwrap(), params, |chat: ChatId| chat.get() == 7)
}

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

#[tokio::test]
async fn all_encodings_give_the_same_call_without_a_preview() {
    let parts = part("chat_id", "7") + &part("text", "olá você") + "--b--\r\n";
    let expected = json!({
        "chat_id": 7, "text": "olá você", "link_preview_options": { "is_disabled": true },
    });
    for (kind, query, body) in [
        ("", "chat_id=7&text=ol%C3%A1+voc%C3%AA", ""),
        (FORM, "", "chat_id=7&text=ol%C3%A1%20voc%C3%AA"),
        (FORM, "chat_id=7", "text=ol%C3%A1%20voc%C3%AA&parse_mode="),
        (JSON, "", r#"{"chat_id":7,"text":"olá você","parse_mode":null}"#),
        ("Application/JSON; charset=UTF-8", "text=ol%C3%A1+voc%C3%AA", r#"{"chat_id":"7"}"#),
        (PARTS, "", &*parts),
    ] {
        assert_eq!(call(kind, query, body).await.as_ref(), Ok(&expected), "{kind} {query} {body}");
    }
    for options in [r#"{"is_disabled":false,"url":"https://x"}"#, "1", "[]"] {
        let body = format!(
            r#"{{"chat_id":7,"text":"olá você","link_preview_options":{options},"disable_web_page_preview":false}}"#
        );
        assert_eq!(call(JSON, "", &body).await.as_ref(), Ok(&expected), "{options}");
    }
}

#[tokio::test]
async fn what_is_said_twice_is_refused() {
    let twice = || Refusal::Twice("chat_id".to_owned());
    let parts = part("chat_id", "7") + &part("chat_id", "8") + "--b--\r\n";
    for (kind, query, body) in [
        ("", "chat_id=7&chat_id=7", ""),
        ("", "chat_id=7&chat%5Fid=8", ""),
        (FORM, "chat_id=7", "chat_id=8"),
        (JSON, "chat_id=7", r#"{"chat_id":8}"#),
        (JSON, "", r#"{"chat_id":7,"chat_id":8}"#),
        (JSON, "", r#"{"chat_id":7,"chat_\u0069d":8}"#),
        (JSON, "", r#"{"chat_id":7,"chat_id":null}"#),
        (PARTS, "", &*parts),
        (PARTS, "chat_id=7", &*parts),
    ] {
        assert_eq!(call(kind, query, body).await, Err(twice()), "{kind} {query} {body}");
    }
}

#[tokio::test]
async fn what_is_not_plainly_understood_is_refused() {
    for (kind, body, refusal) in [
        (JSON, r#"{"chat_id":7,"text":"a""#, Refusal::Body),
        (JSON, "[7]", Refusal::Body),
        (JSON, r#"{"chat_id":7} {"chat_id":8}"#, Refusal::Body),
        ("application/json; charset=utf-16", "{}", Refusal::Charset),
        ("application/x-www-form-urlencoded; charset=latin1", "chat_id=7", Refusal::Charset),
        (FORM, "chat_id=7&text=%ff", Refusal::Charset),
        ("text/plain", "chat_id=7", Refusal::Body),
        ("", "chat_id=7", Refusal::Body),
        ("multipart/form-data", "x", Refusal::Body),
        (JSON, r#"{"chat_id":7,"Chat_ID":8,"text":"a"}"#, Refusal::Unknown("Chat_ID".to_owned())),
        (JSON, r#"{"chat_id ":8,"chat_id":7}"#, Refusal::Unknown("chat_id ".to_owned())),
        (
            JSON,
            r#"{"chat_id":7,"receiver_user_id":8}"#,
            Refusal::Unknown("receiver_user_id".to_owned()),
        ),
        (
            JSON,
            r#"{"chat_id":7,"business_connection_id":"x"}"#,
            Refusal::Unknown("business_connection_id".to_owned()),
        ),
        (JSON, r#"{"text":"a"}"#, Refusal::Missing("chat_id".to_owned())),
        (JSON, r#"{"chat_id":7,"text":{"a":1}}"#, Refusal::Unclear("text".to_owned())),
        (JSON, r#"{"chat_id":7,"reply_markup":"{"}"#, Refusal::Unclear("reply_markup".to_owned())),
        (JSON, r#"{"chat_id":7.0,"text":"a"}"#, Refusal::Chat("chat_id".to_owned())),
        (FORM, "chat_id=07&text=a", Refusal::Chat("chat_id".to_owned())),
        (FORM, "chat_id=%40evil&text=a", Refusal::Chat("chat_id".to_owned())),
    ] {
        assert_eq!(call(kind, "", body).await, Err(refusal), "{kind} {body}");
    }
    let long = format!(r#"{{"chat_id":7,"text":"{}"}}"#, "a".repeat(params::MAX_TEXT));
    assert_eq!(call(JSON, "", &long).await, Err(Refusal::TooLong));
    let deep = format!(r#"{{"chat_id":7,"reply_markup":{}}}"#, "[".repeat(100_000));
    assert_eq!(call(JSON, "", &deep).await, Err(Refusal::Body));
}

#[tokio::test]
async fn commands_are_set_for_a_chat_only() {
    let set = async |scope: &str| {
        let body = format!(r#"{{"commands":[{{"command":"a","description":"b"}}]{scope}}}"#);
        checked("SETMYCOMMANDS", read(JSON, "", &body).await.unwrap()).map(|call| call.chat())
    };
    let chat: ChatId = "7".parse().unwrap();
    assert_eq!(set(r#","scope":{"type":"chat","chat_id":7}"#).await.unwrap(), Some(chat));
    assert_eq!(set(r#","scope":"{\"type\":\"chat\",\"chat_id\":7}""#).await.unwrap(), Some(chat));
    for scope in
        ["", r#","scope":{"type":"default"}"#, r#","scope":{"type":"chat","chat_id":null}"#]
    {
        assert_eq!(set(scope).await.unwrap_err(), Refusal::Missing("scope.chat_id".to_owned()));
    }
    let other = set(r#","scope":{"type":"chat","chat_id":8}"#).await.unwrap_err();
    assert_eq!(other, Refusal::Chat("scope.chat_id".to_owned()));
}

#[tokio::test]
async fn methods_that_are_not_forwarded_have_no_call() {
    for method in
        ["getUpdates", "setWebhook", "sendRichMessage", "answerInlineQuery", "getManagedBotToken"]
    {
        let name = Method::find(method).unwrap().name;
        let refusal = checked(method, Params::default()).unwrap_err();
        assert_eq!(refusal, Refusal::Method(name));
        assert_eq!(refusal.answer()["error_code"], 403);
    }
    assert_eq!(Method::find("sendEverything"), None);
}

#[tokio::test]
async fn a_local_method_has_its_parameters_read() {
    let params = read(JSON, "limit=5", r#"{"offset":-1,"timeout":"30"}"#).await.unwrap();
    let read = ["offset", "timeout", "limit", "absent"].map(|name| params.integer(name).unwrap());
    assert_eq!(read, [Some(-1), Some(30), Some(5), None]);
    let odd = self::read(JSON, "", r#"{"offset":1.5}"#).await.unwrap();
    assert!(odd.integer("offset").is_err());
}
