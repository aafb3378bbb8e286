//! Our own calls.

use std::time::Duration;

use oc_sandbox::telegram::{Options, Telegram};
use oc_telegram::{Client, Error, SetWebhook, Update};
use secrecy::SecretString;
use serde_json::json;

async fn telegram() -> Telegram {
    Telegram::start(Options::default()).await.unwrap()
}

#[tokio::test]
async fn a_bot_is_asked_who_it_is_and_speaks_without_previews() {
    let telegram = telegram().await;
    let made = telegram.bot("agente_bot", "Agente");
    telegram.user(7, "Ana", "pt-br");
    let (client, token) = (Client::new(&telegram.url()).unwrap(), SecretString::from(made.token));
    let bot = client.get_me(&token).await.unwrap();
    assert_eq!((bot.id, &*bot.username, &*bot.first_name), (made.id, "agente_bot", "Agente"));
    let chat = "7".parse().unwrap();
    let refused = client.send_message(&token, chat, "oi", false).await.unwrap_err();
    assert_eq!(refused.to_string(), "Telegram refuses: 400 Bad Request: chat not found");
    assert!(!refused.is_transient());
    telegram.say(7, made.id, "/start abc").unwrap();
    let sent =
        client.send_message(&token, chat, "<b>olá</b> https://x.example/", true).await.unwrap();
    let seen = telegram.sent(made.id, 7);
    assert_eq!(seen[0].result["message_id"], sent.message_id);
    assert_eq!(seen[0].text(), "olá https://x.example/");
    assert_eq!(telegram.fetched(), Vec::<String>::new());
}

#[tokio::test]
async fn updates_are_fetched_confirmed_and_waited_for() {
    let telegram = telegram().await;
    let bot = telegram.bot("agente_bot", "Agente");
    telegram.user(7, "Ana", "pt-br");
    let (client, token) = (Client::new(&telegram.url()).unwrap(), SecretString::from(bot.token));
    let first = telegram.say(7, bot.id, "um").unwrap();
    let second = telegram.say(7, bot.id, "dois").unwrap();
    let got = client.get_updates(&token, 0, Duration::ZERO, &["message"]).await.unwrap();
    let got: Vec<Update> =
        got.iter().map(|raw| Update::parse(raw.get().as_bytes()).unwrap()).collect();
    assert_eq!(got.iter().map(|update| update.id).collect::<Vec<_>>(), [first, second]);
    assert_eq!(got[1].text.as_deref(), Some("dois"));
    assert_eq!(telegram.pending(bot.id), 2);
    let wait = client.get_updates(&token, second + 1, Duration::from_secs(20), &[]);
    let (later, third) = tokio::join!(wait, async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        telegram.say(7, bot.id, "três").unwrap()
    });
    let later = Update::parse(later.unwrap()[0].get().as_bytes()).unwrap();
    assert_eq!((later.id, telegram.pending(bot.id)), (third, 1));
}

#[tokio::test]
async fn no_error_holds_a_token() {
    let telegram = telegram().await;
    let bot = telegram.bot("agente_bot", "Agente");
    let client = Client::new(&telegram.url()).unwrap();
    let secret = "AAsecretsecret";
    let bad: SecretString = format!("{}:{secret}", bot.id).into();
    let gone = Client::new("http://127.0.0.1:1").unwrap();
    let odd: SecretString = format!("1 \r\n{secret}").into();
    let errors = [
        client.get_me(&bad).await.unwrap_err(),
        gone.get_me(&bad).await.unwrap_err(),
        client.get_me(&odd).await.unwrap_err(),
        client.file(&bad, "../../etc/passwd", None).await.unwrap_err(),
    ];
    for error in &errors {
        let mut told = format!("{error} {error:?} {client:?}");
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            told += &[error.to_string(), format!("{error:?}")].concat();
            source = error.source();
        }
        assert!(!told.contains(secret), "{told}");
    }
    assert!(matches!(errors[0], Error::Refused { code: 401, .. }));
    assert!(matches!(errors[1], Error::Unreachable(_)) && errors[1].is_transient());
}

#[tokio::test]
async fn what_telegram_says_about_waiting_is_read() {
    let telegram = telegram().await;
    let bot = telegram.bot("agente_bot", "Agente");
    let (client, token) = (Client::new(&telegram.url()).unwrap(), SecretString::from(bot.token));
    telegram.control("retry_after=17 fail=429:1").unwrap();
    let slow = client.call(&token, "sendChatAction", &json!({})).await.unwrap_err();
    assert_eq!(slow.retry_after(), Some(Duration::from_secs(17)));
    assert!(slow.is_transient());
    telegram.control("fail=502:1").unwrap();
    let broken = client.get_me(&token).await.unwrap_err();
    assert!(
        matches!(broken, Error::Unreadable { status: 502 }) && broken.is_transient(),
        "{broken:?}"
    );
    telegram.control("lost=1").unwrap();
    assert!(matches!(client.get_me(&token).await.unwrap_err(), Error::Unreachable(_)));
    client.get_me(&token).await.unwrap();
}

#[tokio::test]
async fn a_webhook_is_set_and_taken_away() {
    let telegram = telegram().await;
    let bot = telegram.bot("agente_bot", "Agente");
    let (client, token) = (Client::new(&telegram.url()).unwrap(), SecretString::from(bot.token));
    let secret = SecretString::from("s3cret");
    let mut webhook = SetWebhook {
        url: "https://relay.example/hook",
        secret_token: &secret,
        max_connections: 50,
        allowed_updates: &["message", "callback_query"],
    };
    client.set_webhook(&token, &webhook).await.unwrap();
    let info = client.call(&token, "getWebhookInfo", &json!({})).await.unwrap();
    assert_eq!((&info["url"], &info["max_connections"]), (&json!(webhook.url), &json!(50)));
    let conflict = client.get_updates(&token, 0, Duration::ZERO, &[]).await.unwrap_err();
    assert!(matches!(conflict, Error::Refused { code: 409, .. }));
    webhook.url = "http://relay.example/hook";
    assert!(client.set_webhook(&token, &webhook).await.is_err());
    client.delete_webhook(&token).await.unwrap();
    assert!(client.get_updates(&token, 0, Duration::ZERO, &[]).await.unwrap().is_empty());
}
