//! Calls with files: streamed, and whole or not at all.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http_body::Frame;
use http_body_util::{BodyExt as _, StreamBody};
use oc_sandbox::telegram::{Options, Telegram};
use oc_telegram::{Client, Error, Method, Refusal, check, params};
use secrecy::SecretString;
use serde_json::{Value, json};

struct Place {
    telegram: Telegram,
    client: Client,
    token: SecretString,
    bot: i64,
}

async fn place() -> Place {
    let telegram = Telegram::start(Options { limits: false, ..Options::default() }).await.unwrap();
    let bot = telegram.bot("agente_bot", "Agente");
    for user in [7, 8] {
        telegram.user(user, "Ana", "pt-br");
        telegram.say(user, bot.id, "oi").unwrap();
    }
    let client = Client::new(&telegram.url()).unwrap();
    Place { telegram, client, token: bot.token.into(), bot: bot.id }
}

impl Place {
    /// Sends a body in chunks of some length; gives the answer.
    async fn send(&self, method: &str, body: &[u8], chunk: usize) -> Result<Value, Refusal> {
        let chunks: Vec<Bytes> = body.chunks(chunk).map(Bytes::copy_from_slice).collect();
        let frames =
            stream::iter(chunks).map(|bytes| Ok::<_, std::convert::Infallible>(Frame::data(bytes)));
        let kind = Some("multipart/form-data; boundary=b");
        let params = params::read(kind, None, StreamBody::new(frames)).await?;
        let call = check(Method::find(method).unwrap(), params, |chat| chat.get() == 7)?;
        match self.client.forward(&self.token, call).await {
            Ok(answer) => {
                let bytes = answer.into_body().collect().await.unwrap().to_bytes();
                Ok(serde_json::from_slice(&bytes).unwrap())
            }
            Err(error) => Err(refusal(&error).unwrap_or_else(|| panic!("{error:?}"))),
        }
    }
}

/// The refusal among the sources of an error.
fn refusal(error: &Error) -> Option<Refusal> {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if let Some(refusal) = error.downcast_ref::<Refusal>() {
            return Some(refusal.clone());
        }
        source = error.source();
    }
    None
}

fn part(name: &str, value: &str) -> String {
    format!("--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
}

/// As grammY writes it: small letters, no quotes.
fn file(name: &str, file_name: &str, content: &str) -> String {
    format!(
        "--b\r\ncontent-disposition:form-data;name=\"{name}\";filename={file_name}\r\ncontent-type:application/octet-stream\r\n\r\n{content}\r\n"
    )
}

#[tokio::test]
async fn an_upload_arrives_byte_for_byte_however_it_is_cut() {
    let place = place().await;
    let content: String =
        (0..20_000).map(|n| format!("\r\n--a{n}\r\n-")).collect::<Vec<_>>().concat();
    let body = part("chat_id", "7")
        + &part("document", "attach://f0")
        + &part("caption", "<b>oi</b>")
        + &part("parse_mode", "HTML")
        + &file("f0", "relatório.txt", &content)
        + "--b--\r\n";
    for chunk in [7919, 65_536, body.len()] {
        let answer = place.send("sendDocument", body.as_bytes(), chunk).await.unwrap();
        assert_eq!(answer["result"]["caption"], "oi", "{answer}");
        assert_eq!(answer["result"]["document"]["file_name"], "relatório.txt");
        let id = answer["result"]["document"]["file_id"].as_str().unwrap();
        let path = place.client.get_file(&place.token, id).await.unwrap().file_path.unwrap();
        let got = place.client.file(&place.token, &path, None).await.unwrap();
        assert_eq!(got.into_body().collect().await.unwrap().to_bytes(), content.as_bytes());
    }
}

#[tokio::test]
async fn the_name_of_a_parameter_is_enough_for_its_file() {
    let place = place().await;
    let body = part("chat_id", "7") + &file("photo", "a.png", "png") + "--b--\r\n";
    let answer = place.send("sendPhoto", body.as_bytes(), 50).await.unwrap();
    assert_eq!(answer["ok"], true, "{answer}");
    let media =
        json!([{"type": "photo", "media": "attach://a"}, {"type": "photo", "media": "attach://b"}]);
    let body = part("chat_id", "7")
        + &part("media", &media.to_string())
        + &file("a", "a.png", "1")
        + &file("b", "b.png", "2")
        + "--b--\r\n";
    let answer = place.send("sendMediaGroup", body.as_bytes(), 50).await.unwrap();
    assert_eq!(answer["result"].as_array().unwrap().len(), 2, "{answer}");
}

#[tokio::test]
async fn what_follows_a_file_and_was_not_announced_ends_the_call() {
    let place = place().await;
    let start = part("chat_id", "7") + &file("photo", "a.png", &"x".repeat(300_000));
    for (rest, refusal) in [
        (part("chat_id", "8") + "--b--\r\n", Refusal::Late("chat_id".to_owned())),
        (part("caption", "late") + "--b--\r\n", Refusal::Late("caption".to_owned())),
        (file("extra", "b.png", "x") + "--b--\r\n", Refusal::File("extra".to_owned())),
        (file("photo", "b.png", "x") + "--b--\r\n", Refusal::File("photo".to_owned())),
        ("--b\r\n".to_owned(), Refusal::Cut),
        (String::new(), Refusal::Cut),
    ] {
        let body = format!("{start}{rest}");
        assert_eq!(place.send("sendPhoto", body.as_bytes(), 10_000).await, Err(refusal), "{rest}");
    }
    let first = part("chat_id", "7")
        + &part("photo", "attach://a")
        + &file("b", "b.png", "x")
        + "--b--\r\n";
    assert_eq!(
        place.send("sendPhoto", first.as_bytes(), 99).await,
        Err(Refusal::File("b".to_owned()))
    );
    assert!(
        place.telegram.sent(place.bot, 7).is_empty()
            && place.telegram.sent(place.bot, 8).is_empty()
    );
}

#[tokio::test]
async fn names_of_files_cannot_say_a_parameter() {
    let place = place().await;
    let evil = "a\\\"; name=\\\"chat_id";
    let body = part("chat_id", "7")
        + &format!(
            "--b\r\nContent-Disposition: form-data; name=\"document\"; filename=\"{evil}\"\r\n\r\n8\r\n--b--\r\n"
        );
    // Read in one way or refused: it reaches chat 7 or none.
    let _ = place.send("sendDocument", body.as_bytes(), 9999).await;
    let odd = part("chat_id", "7") + &file("x\"; name=\"chat_id", "a", "8") + "--b--\r\n";
    let _ = place.send("sendDocument", odd.as_bytes(), 9999).await;
    assert!(place.telegram.sent(place.bot, 8).is_empty());
}
