//! A bot and a person.

use oc_sandbox::telegram::{Account, Options, Telegram};
use serde_json::Value;

pub(crate) const ANA: i64 = 7;

pub(crate) struct Place {
    pub(crate) telegram: Telegram,
    pub(crate) bot: Account,
    pub(crate) http: reqwest::Client,
}

impl Place {
    /// A bot that Ana has written to, if so, in a stand-in of these options.
    pub(crate) async fn with(options: Options, started: bool) -> Self {
        let telegram = Telegram::start(options).await.unwrap();
        let bot = telegram.bot("agente_bot", "Agente");
        telegram.user(ANA, "Ana", "pt-br");
        if started {
            telegram.say(ANA, bot.id, "/start").unwrap();
        }
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { telegram, bot, http }
    }

    pub(crate) async fn new() -> Self {
        Self::with(Options::default(), true).await
    }

    /// Calls a method; gives the status and the answer.
    pub(crate) async fn call(&self, method: &str, params: &Value) -> (u16, Value) {
        let url = format!("{}/bot{}/{method}", self.telegram.url(), self.bot.token);
        let answer = self.http.post(url).json(params).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }

    /// The result of a call that succeeds.
    pub(crate) async fn good(&self, method: &str, params: &Value) -> Value {
        let (status, mut answer) = self.call(method, params).await;
        assert_eq!((status, &answer["ok"]), (200, &Value::Bool(true)), "{method} {answer}");
        answer["result"].take()
    }

    /// The description of a refusal.
    pub(crate) async fn bad(&self, method: &str, params: &Value) -> String {
        let (status, answer) = self.call(method, params).await;
        assert_eq!(answer["error_code"], status, "{method} {answer}");
        answer["description"].as_str().unwrap().to_owned()
    }

    pub(crate) fn say(&self, text: &str) -> i64 {
        self.telegram.say(ANA, self.bot.id, text).unwrap()
    }
}

/// The numbers of updates.
pub(crate) fn numbers(updates: &Value) -> Vec<i64> {
    updates.as_array().unwrap().iter().map(|update| update["update_id"].as_i64().unwrap()).collect()
}
