//! Whatever a pod says, in whatever encoding, only its own chat hears of it, and nothing is fetched.

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use oc_sandbox::telegram::{Account, Options, Telegram};
use oc_telegram::{Client, METHODS, Method, Rule, check, params};
use proptest::{collection::vec, prelude::*, sample::select, test_runner::TestRunner};
use serde_json::{Value, json};

/// Who may be written to, and who may not.
const MINE: i64 = 7;
const OTHER: i64 = 8;

const CHATS: &[&str] = &[
    "7",
    "7",
    "7",
    "7",
    "8",
    "\"7\"",
    "\"8\"",
    "\"@eve\"",
    "\"08\"",
    "\"+8\"",
    "\" 8\"",
    "\"8 \"",
    "\"8\\u0000\"",
    "8.0",
    "8e0",
    "80e-1",
    "-8",
    "[8]",
    "{\"id\":8}",
    "null",
    "\"\"",
    "\"7,8\"",
    "true",
    "\"8abc\"",
    "\"\\u0038\"",
    "18446744073709551624",
    "\"18446744073709551624\"",
    "4503599627370504",
];
const NAMES: &[&str] = &[
    "chat_id",
    "chat_id",
    "chat_id",
    "chat_id",
    "from_chat_id",
    "user_id",
    "receiver_user_id",
    "CHAT_ID",
    "chat_id ",
    "chat_id[]",
    "chat%5Fid",
    "chat_id\u{0}",
    "chat-id",
    "actor_chat_id",
    "reply_markup",
];
const OTHERS: &[(&str, &str)] = &[
    ("text", "\"oi http://evil.example/\""),
    ("text", "\"oi\""),
    ("message_id", "2"),
    ("message_ids", "[1,2]"),
    ("action", "\"typing\""),
    ("photo", "\"http://evil.example/a.png\""),
    ("photo", "\"attach://f\""),
    ("document", "\"evil.example\""),
    (
        "media",
        "[{\"type\":\"photo\",\"media\":\"http://evil.example/b\"},{\"type\":\"photo\",\"media\":\"attach://f\"}]",
    ),
    ("media", "\"[{\\\"type\\\":\\\"photo\\\",\\\"media\\\":\\\"attach://f\\\"}]\""),
    ("link_preview_options", "{\"is_disabled\":false,\"url\":\"http://evil.example\"}"),
    ("disable_web_page_preview", "false"),
    ("parse_mode", "\"HTML\""),
    ("reply_parameters", "{\"message_id\":1,\"chat_id\":8}"),
    ("reply_parameters", "\"{\\\"message_id\\\":1,\\\"chat_id\\\":8}\""),
    ("reply_parameters", "{\"message_id\":1}"),
    ("reply_markup", "{\"inline_keyboard\":[[{\"text\":\"a\",\"url\":\"http://evil.example\"}]]}"),
    (
        "reply_markup",
        "{\"inline_keyboard\":[[{\"text\":\"a\",\"login_url\":{\"url\":\"http://evil.example\"}}]]}",
    ),
    ("business_connection_id", "\"x\""),
    ("inline_message_id", "\"x\""),
    ("url", "\"http://evil.example\""),
    ("callback_query_id", "\"1\""),
    ("scope", "{\"type\":\"chat\",\"chat_id\":8}"),
    ("commands", "[]"),
    ("method", "\"sendMessage\""),
];

/// A parameter: its name, its JSON, and in which encoding it is said.
type Said = (&'static str, &'static str, u8);

fn said() -> impl Strategy<Value = Said> {
    let chat = (select(NAMES), select(CHATS));
    let pair = prop_oneof![1 => chat, 1 => select(OTHERS)];
    (pair, 0..4_u8).prop_map(|((name, value), place)| (name, value, place))
}

/// What makes a whole call of the usual methods.
const FITTING: &[(&str, &[(&str, &str)])] = &[
    ("sendMessage", &[("chat_id", "7"), ("text", "\"http://evil.example\"")]),
    ("sendPhoto", &[("chat_id", "\"7\""), ("photo", "\"attach://f\"")]),
    ("sendDocument", &[("chat_id", "7"), ("document", "\"attach://f\"")]),
    (
        "sendMediaGroup",
        &[("chat_id", "7"), ("media", "[{\"type\":\"photo\",\"media\":\"attach://f\"}]")],
    ),
    ("copyMessage", &[("chat_id", "7"), ("from_chat_id", "7"), ("message_id", "1")]),
    ("forwardMessage", &[("chat_id", "7"), ("from_chat_id", "7"), ("message_id", "1")]),
    ("sendChatAction", &[("chat_id", "7"), ("action", "\"typing\"")]),
];

/// A usual call whose parts are said anywhere, or one of any method, with oddities around it.
fn call() -> impl Strategy<Value = (&'static Method, Vec<Said>, u8)> {
    let fitting =
        (select(FITTING), vec(0..4_u8, 3), 0..3_u8).prop_map(|((name, said), places, body)| {
            let places = places.into_iter().map(move |place| if place == 3 { 3 } else { body });
            let said = said.iter().zip(places).map(|((name, value), place)| (*name, *value, place));
            (Method::find(name).unwrap(), said.collect::<Vec<Said>>(), body)
        });
    let methods: Vec<&'static Method> =
        METHODS.iter().filter(|m| m.rule == Rule::Forward).collect();
    let any = (select(methods), Just(Vec::new()), 0..4_u8);
    let call = prop_oneof![3 => fitting, 1 => any];
    (call, vec(said(), 0..3)).prop_map(|((method, said, body), odd)| {
        (method, said.into_iter().chain(odd).collect(), body)
    })
}

/// The value as a form has it.
fn plain(value: &str) -> String {
    match serde_json::from_str(value) {
        Ok(Value::String(text)) => text,
        _ => value.to_owned(),
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02X}")).collect::<Vec<_>>().concat()
}

/// The query, the type and the body of a call. What is said in the body's encoding goes there, the
/// rest into the query.
fn written(said: &[Said], body: u8) -> (String, &'static str, String) {
    let (inside, outside): (Vec<&Said>, Vec<&Said>) =
        said.iter().partition(|(.., place)| *place == body);
    let pair = |(name, value, _): &&Said| {
        // A name may be escaped already.
        let name = if name.contains('%') { (*name).to_owned() } else { escaped(name) };
        format!("{name}={}", escaped(&plain(value)))
    };
    let query = outside.iter().map(pair).collect::<Vec<_>>().join("&");
    match body {
        0 => {
            let member = |(name, value, _): &&Said| format!("{}:{value}", json!(name));
            let members = inside.iter().map(member).collect::<Vec<_>>().join(",");
            (query, "application/json", format!("{{{members}}}"))
        }
        1 => (
            query,
            "application/x-www-form-urlencoded",
            inside.iter().map(pair).collect::<Vec<_>>().join("&"),
        ),
        2 => {
            let part = |(name, value, _): &&Said| {
                format!(
                    "--b\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{}\r\n",
                    plain(value)
                )
            };
            let parts: String = inside.iter().map(part).collect();
            let file = "--b\r\nContent-Disposition: form-data; name=\"f\"; filename=a.png\r\n\r\nchat_id=8\r\n--b--\r\n";
            (query, "multipart/form-data; boundary=b", parts + file)
        }
        _ => (query, "", String::new()),
    }
}

struct Place {
    telegram: Telegram,
    client: Client,
    bot: Account,
}

impl Place {
    async fn new() -> Self {
        let telegram =
            Telegram::start(Options { limits: false, ..Options::default() }).await.unwrap();
        let bot = telegram.bot("agente_bot", "Agente");
        for user in [MINE, OTHER] {
            telegram.user(user, "Ana", "pt-br");
            telegram.say(user, bot.id, "oi").unwrap();
        }
        let client = Client::new(&telegram.url()).unwrap();
        Self { telegram, client, bot }
    }

    /// Whether the call passed.
    async fn make(&self, method: &'static Method, said: &[Said], body: u8) -> bool {
        let (query, kind, body) = written(said, body);
        let body = Full::new(Bytes::from(body));
        let kind = Some(kind).filter(|kind| !kind.is_empty());
        let Ok(params) = params::read(kind, Some(&query), body).await else { return false };
        let Ok(call) = check(method, params, |chat| chat.get() == MINE) else { return false };
        let token = self.bot.token.clone().into();
        match self.client.forward(&token, call).await {
            Ok(answer) => answer.into_body().collect().await.is_ok(),
            Err(_) => false,
        }
    }
}

#[test]
fn no_call_in_any_encoding_leaves_the_tenant() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    let mut runner = TestRunner::new(ProptestConfig::with_cases(4000));
    let passed = std::cell::Cell::new(0);
    let outcome = runner.run(&call(), |(method, said, body)| {
        if runtime.block_on(place.make(method, &said, body)) {
            passed.set(passed.get() + 1);
        }
        prop_assert!(place.telegram.sent(place.bot.id, OTHER).is_empty());
        prop_assert_eq!(place.telegram.fetched(), Vec::<String>::new());
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    // A test of refusals alone would show nothing.
    let heard = place.telegram.sent(place.bot.id, MINE).len();
    assert!(passed.get() > 300 && heard > 100, "{} passed, {heard} heard", passed.get());
}

#[test]
fn without_the_check_the_same_calls_do_leave() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let place = runtime.block_on(Place::new());
    let http = reqwest::Client::new();
    let mut runner = TestRunner::new(ProptestConfig::with_cases(500));
    let outcome = runner.run(&call(), |(method, said, body)| {
        let (query, kind, body) = written(&said, body);
        let address =
            format!("{}/bot{}/{}?{query}", place.telegram.url(), place.bot.token, method.name);
        let request = http.post(address).header("content-type", kind).body(body);
        runtime.block_on(request.send()).unwrap();
        Ok(())
    });
    outcome.unwrap_or_else(|error| panic!("{error}"));
    assert!(!place.telegram.sent(place.bot.id, OTHER).is_empty());
    assert!(!place.telegram.fetched().is_empty());
}
