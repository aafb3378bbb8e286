//! What a customer does, from the shop to the first answer: in the place of the web and of
//! onboarding, until these are there. The local stack's pages, its demo and the tests use it.

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use jiff::Timestamp;
use oc_domain::{AccountId, Locale, NicheId, TenantId, TierId};
use oc_store::{Store, reviews};
use oc_testkit::wait_for;
use reqwest::RequestBuilder;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{Remote, local::Book, telegram::Sent};

/// How long a machine that is busy may take for what should take seconds.
const PATIENCE: Duration = Duration::from_mins(1);

/// A way to the running stack.
#[derive(Debug)]
pub struct Journey {
    /// Where everything is.
    pub book: Book,
    store: Store,
    http: reqwest::Client,
}

/// What somebody wants to buy.
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// Another one for each customer.
    pub email: &'a str,
    /// How large.
    pub tier: TierId,
    /// What it knows.
    pub niche: NicheId,
    /// What it speaks.
    pub locale: Locale,
    /// Where the page of Stripe leads when it is paid.
    pub thanks: &'a str,
}

/// A page of Stripe on which an order is paid.
#[derive(Clone, Debug, Deserialize)]
pub struct Page {
    /// Who buys.
    pub account: AccountId,
    /// Where it is.
    pub url: String,
}

impl Page {
    /// The checkout session.
    pub fn session(&self) -> &str {
        let path = self.url.split(['#', '?']).next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }
}

/// A bot at Telegram.
#[derive(Clone, Debug, Deserialize)]
pub struct Bot {
    /// What people look for.
    pub username: String,
    /// What only its owner knows.
    pub token: String,
}

/// A person's way to an agent.
#[derive(Clone, Debug, Deserialize)]
pub struct Invitation {
    /// What the person says to the bot, as `/start <code>`.
    pub code: String,
    /// The same as a link.
    pub url: String,
}

impl Journey {
    /// To the stack that this book is of.
    pub fn new(book: Book) -> Result<Self> {
        let store = Store::connect(&book.database.clone().into(), 2)?;
        let http = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self { book, store, http })
    }

    /// Asks for a page to pay on.
    pub async fn order(&self, order: Order<'_>) -> Result<Page> {
        let url = format!("{}/internal/checkout", self.book.service("billing")?.url);
        let body = json!({"email": order.email, "tier": order.tier, "niche": order.niche,
            "locale": order.locale, "success_url": order.thanks, "cancel_url": order.thanks});
        let request = self.http.post(url).header("idempotency-key", order.email);
        Ok(serde_json::from_value(self.ask(request, Some(&body)).await?)?)
    }

    /// Pays with a card that works, as if somebody had clicked on the stand-in's page.
    pub async fn pay(&self, page: &Page) -> Result<()> {
        let stripe = self.book.stripe.as_ref().context("a real Stripe wants a person to pay")?;
        let words = format!("checkout={}:works", page.session());
        let answer = self.http.post(format!("{stripe}/_control")).body(words).send().await?;
        ensure!(answer.status().is_success(), "{}", answer.text().await?);
        Ok(())
    }

    /// The account's first agent, once it has been paid.
    pub async fn tenant(&self, account: &AccountId) -> Result<Option<TenantId>> {
        let known = reviews::load(&self.store, account, now()).await?;
        let first = known.and_then(|known| known.tenants.into_iter().next());
        Ok(first.map(|tenant| tenant.id))
    }

    /// The commit that the agent's file came with, and the trace of the payment that asked for it.
    pub fn committed(&self, tenant: &TenantId) -> Result<Option<(String, String)>> {
        let format = "--format=%h %(trailers:key=Trace,valueonly,separator=)";
        let remote = Remote::at(&self.book.remote);
        let line = remote.git(&["log", "-1", format, "main", "--", &tenant.path()])?;
        let found = line.split_once(' ');
        Ok(found.map(|(commit, trace)| (commit.to_owned(), trace.to_owned())))
    }

    /// Makes a bot at the stand-in for Telegram.
    pub async fn new_bot(&self, name: &str, username: &str) -> Result<Bot> {
        let url = format!("{}/_control/bots", self.telegram()?);
        let body = json!({"name": name, "username": username});
        let made = self.ask(self.http.post(url), Some(&body)).await?;
        Ok(serde_json::from_value(made)?)
    }

    /// Gives an agent its bot.
    pub async fn connect(&self, tenant: &TenantId, token: &str) -> Result<()> {
        let url = format!("{}/internal/tenants/{tenant}/bot", self.book.service("channels")?.url);
        self.ask(self.http.put(url), Some(&json!({"token": token}))).await.map(drop)
    }

    /// A new invitation to an agent.
    pub async fn invite(&self, tenant: &TenantId) -> Result<Invitation> {
        let url = format!("{}/internal/tenants/{tenant}/links", self.book.service("channels")?.url);
        Ok(serde_json::from_value(self.ask(self.http.post(url), None).await?)?)
    }

    /// A person says something to a bot; gives the number of the last thing that the bot had done
    /// before.
    pub async fn say(&self, user: i64, bot: &str, text: &str) -> Result<u64> {
        let before = self.sent(user, bot, 0, Duration::ZERO).await?;
        let url = format!("{}/_control/say", self.telegram()?);
        self.ask(self.http.post(url), Some(&json!({"user": user, "bot": bot, "text": text})))
            .await?;
        Ok(before.last().map_or(0, |last| last.number))
    }

    /// The first message that a bot sends to a person after that number.
    pub async fn answer(
        &self,
        user: i64,
        bot: &str,
        after: u64,
        patience: Duration,
    ) -> Result<Sent> {
        let until = Instant::now() + patience;
        let mut after = after;
        while Instant::now() < until {
            for sent in self.sent(user, bot, after, Duration::from_secs(5)).await? {
                after = sent.number;
                if sent.is_message() {
                    return Ok(sent);
                }
            }
        }
        bail!("{bot} has not answered {user} in {} s", patience.as_secs())
    }

    /// What a bot has done in a person's chat after that number; waits so long for the first.
    pub async fn sent(
        &self,
        user: i64,
        bot: &str,
        after: u64,
        wait: Duration,
    ) -> Result<Vec<Sent>> {
        let query = format!("bot={bot}&user={user}&after={after}&wait={}", wait.as_secs());
        let url = format!("{}/_control/sent?{query}", self.telegram()?);
        Ok(serde_json::from_value(self.ask(self.http.get(url), None).await?)?)
    }

    /// Makes a person at the stand-in for Telegram.
    pub async fn person(&self, user: i64, name: &str, language: &str) -> Result<()> {
        let url = format!("{}/_control/users", self.telegram()?);
        let body = json!({"id": user, "first_name": name, "language_code": language});
        self.ask(self.http.post(url), Some(&body)).await.map(drop)
    }

    /// Where the stand-in for Telegram is.
    pub fn telegram(&self) -> Result<&str> {
        self.book.telegram.as_deref().context("Telegram is real here: talk to your bot there")
    }

    async fn ask(&self, request: RequestBuilder, body: Option<&Value>) -> Result<Value> {
        let request = request.bearer_auth(&self.book.internal_key);
        let request = match body {
            Some(body) => request.json(body),
            None => request,
        };
        let answer = request.send().await?;
        let (status, url) = (answer.status(), answer.url().path().to_owned());
        let text = answer.text().await?;
        if !status.is_success() {
            bail!("{url}: {status} {text}");
        }
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_str(&text).with_context(|| format!("{url}: {text}"))
    }
}

/// Waits for something of a journey.
pub async fn until<T>(what: &str, found: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    wait_for(PATIENCE, what, found).await
}

fn now() -> Timestamp {
    oc_service::Clock::system().now()
}
