//! Somebody who buys an agent and talks to it.

use std::time::Instant;

use oc_domain::{AccountId, Locale, NicheId, TenantId, TierId, tenant::Phase};
use oc_sandbox::journey::{Order, until};
use serde_json::{Value, json};

use crate::support::{PATIENCE, Product};

/// A person with a bot and an agent.
pub(crate) struct Customer {
    pub(crate) account: AccountId,
    pub(crate) tenant: TenantId,
    pub(crate) bot: String,
    pub(crate) token: String,
    pub(crate) user: i64,
}

impl Customer {
    /// Buys, connects a bot, waits until the agent is ready, and says `/start`.
    pub(crate) async fn arrive(
        product: &Product,
        user: i64,
        name: &str,
        (niche, locale): (NicheId, Locale),
    ) -> Self {
        let journey = &product.journey;
        let email = format!("{name}@example.com");
        let thanks = "http://127.0.0.1/thanks";
        let order = Order { email: &email, tier: TierId::Starter, niche, locale, thanks };
        let page = journey.order(order).await.unwrap();
        journey.pay(&page).await.unwrap();
        let paid = Instant::now();
        let found = until("the tenant", async || journey.tenant(&page.account).await);
        let tenant = found.await.unwrap();
        let username = format!("{name}_agent_bot");
        let bot = journey.new_bot(name, &username).await.unwrap();
        journey.connect(&tenant, &bot.token).await.unwrap();
        product.phase(&tenant, Some(Phase::Ready)).await;
        println!(
            "{tenant} of {name}: ready {:.1} s after the payment",
            paid.elapsed().as_secs_f64()
        );
        journey.person(user, name, &locale.to_string()).await.unwrap();
        let account = page.account;
        let customer = Self { account, tenant, bot: username, token: bot.token, user };
        let code = journey.invite(&customer.tenant).await.unwrap().code;
        customer.ask(product, &format!("/start {code}")).await;
        customer
    }

    /// Says something, and gives the first message that comes back.
    pub(crate) async fn ask(&self, product: &Product, text: &str) -> String {
        let began = Instant::now();
        let said = product.journey.say(self.user, &self.bot, text).await.unwrap();
        let answer = product.journey.answer(self.user, &self.bot, said, PATIENCE).await;
        let answer =
            answer.unwrap_or_else(|error| panic!("{error:#}\n{}", product.log(&self.tenant)));
        let answer = answer.result["text"].as_str().unwrap_or_default().to_owned();
        println!("{:>6.2} s  {text:?} -> {answer:?}", began.elapsed().as_secs_f64());
        answer
    }

    /// Says something, and waits for a message with these words, whatever comes before it.
    pub(crate) async fn ask_until(&self, product: &Product, text: &str, words: &str) {
        let mut after = product.journey.say(self.user, &self.bot, text).await.unwrap();
        loop {
            let answer = product.journey.answer(self.user, &self.bot, after, PATIENCE).await;
            let answer =
                answer.unwrap_or_else(|error| panic!("{error:#}\n{}", product.log(&self.tenant)));
            after = answer.number;
            let answer = answer.result["text"].as_str().unwrap_or_default().to_owned();
            println!("          {text:?} -> {answer:?}");
            if answer.contains(words) {
                return;
            }
        }
    }

    /// Ends the subscription at once.
    pub(crate) async fn cancel(&self, product: &Product) {
        let body = json!({"account": self.account, "when": "now"});
        billing(product, "/internal/cancel", &body).await;
    }

    /// Buys again what was ended.
    pub(crate) async fn come_back(&self, product: &Product) {
        let thanks = "http://127.0.0.1/thanks";
        let body = json!({"account": self.account, "tier": "starter", "niche": "pharmacy",
            "locale": "pt-BR", "success_url": thanks, "cancel_url": thanks});
        let page = billing(product, "/internal/checkout", &body).await;
        product.journey.pay(&serde_json::from_value(page).unwrap()).await.unwrap();
    }
}

async fn billing(product: &Product, path: &str, body: &Value) -> Value {
    let book = product.local.book().unwrap();
    let url = format!("{}{path}", book.service("billing").unwrap().url);
    let request = reqwest::Client::new().post(url).bearer_auth(&book.internal_key).json(body);
    let answer = request.send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {text}");
    serde_json::from_str(&text).unwrap()
}
