//! `oc-sandbox demo`.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context as _, Result};
use clap::Args;
use kube::{
    Api, Client, Config,
    config::{KubeConfigOptions, Kubeconfig},
};
use oc_domain::{
    Locale, NicheId, TenantId, TierId,
    tenant::{Phase, Tenant},
};
use oc_sandbox::{
    journey::{Journey, Order, until},
    local::Book,
};
use serde_json::json;
use tokio::time::Instant;

/// How long a gateway may take to start and to answer on a machine that is busy.
const PATIENCE: Duration = Duration::from_mins(5);

/// Plays a customer's journey on the running stack, from the shop to the first answers, and prints
/// each step with its time
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where the stack's state lies
    #[arg(long, value_name = "FOLDER", default_value = ".dev")]
    folder: PathBuf,
    /// What the agent knows
    #[arg(long, default_value = "pharmacy")]
    niche: NicheId,
    /// What it speaks
    #[arg(long, default_value = "pt-BR")]
    locale: Locale,
    /// How large it is
    #[arg(long, default_value = "starter")]
    tier: TierId,
    /// Prints one line of JSON: the seconds of each step
    #[arg(long)]
    json: bool,
}

/// The steps so far: name, and seconds since the one before.
struct Steps {
    last: Instant,
    done: Vec<(&'static str, f64)>,
    json: bool,
}

impl Steps {
    fn done(&mut self, name: &'static str, what: &str) {
        let now = Instant::now();
        let seconds = (now - self.last).as_secs_f64();
        self.last = now;
        self.done.push((name, seconds));
        if !self.json {
            anstream::println!("{seconds:>8.2} s  {what}");
        }
    }
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        let book = Book::read(&self.folder)?.context("nothing runs: scripts/dev starts it")?;
        let tenants = tenants(&book).await?;
        let journey = Journey::new(book)?;
        let mut steps = Steps { last: Instant::now(), done: Vec::new(), json: self.json };
        let number = oc_service::Clock::system().now().as_millisecond();
        let email = format!("demo-{number}@example.com");
        let order = Order {
            email: &email,
            tier: self.tier,
            niche: self.niche,
            locale: self.locale,
            thanks: "http://127.0.0.1/thanks",
        };
        let page = journey.order(order).await?;
        steps.done("checkout", &format!("checkout for {}: {}", page.account, page.url));
        journey.pay(&page).await?;
        steps.done("paid", "paid at Stripe");
        let tenant = until("the agent", async || journey.tenant(&page.account).await).await?;
        steps.done("tenant", &format!("event taken: the agent is {tenant}"));
        let bot =
            journey.new_bot("Demo", &format!("{}_bot", tenant.as_str().replace('-', "_"))).await?;
        journey.connect(&tenant, &bot.token).await?;
        steps.done("bot", &format!("bot @{} connected", bot.username));
        let committed = until("the commit", async || journey.committed(&tenant)).await?;
        steps.done("commit", &format!("spec committed as {} (trace {})", committed.0, committed.1));
        applied(&tenants, &tenant).await?;
        steps.done("applied", "objects applied");
        ready(&tenants, &tenant).await?;
        steps.done("ready", "gateway started: the agent is Ready");
        let invitation = journey.invite(&tenant).await?;
        let start = format!("/start {}", invitation.code);
        journey.person(number, "Ana", &self.locale.to_string()).await?;
        let said = journey.say(number, &bot.username, &start).await?;
        journey.answer(number, &bot.username, said, PATIENCE).await?;
        steps.done("bound", "Ana is bound to it");
        for text in requests(self.locale) {
            let said = journey.say(number, &bot.username, text).await?;
            let answer = journey.answer(number, &bot.username, said, PATIENCE).await?;
            let answer = answer.result.get("text").and_then(|text| text.as_str()).unwrap_or("?");
            steps.done("answer", &format!("{text:?} -> {answer:?}"));
        }
        if self.json {
            let steps: Vec<_> = steps
                .done
                .iter()
                .map(|(name, seconds)| json!({"step": name, "seconds": seconds}))
                .collect();
            anstream::println!("{}", json!({"tenant": tenant, "steps": steps}));
            return Ok(());
        }
        anstream::println!(
            "\nGo on in the chat: {}/chat/{number}/{}",
            journey.telegram()?,
            bot.username
        );
        Ok(())
    }
}

fn requests(locale: Locale) -> [&'static str; 2] {
    match locale {
        Locale::PtBr => ["Olá! Meu nome é Ana. O que você faz?", "Qual é o meu nome?"],
        Locale::En => ["Hello! My name is Ana. What can you do?", "What is my name?"],
    }
}

async fn tenants(book: &Book) -> Result<Api<Tenant>> {
    let file = Kubeconfig::read_from(&book.kubeconfig)?;
    let config = Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?;
    Ok(Api::all(Client::try_from(config)?))
}

/// Waits until the operator has applied everything.
async fn applied(tenants: &Api<Tenant>, id: &TenantId) -> Result<()> {
    until("the objects", async || {
        let tenant = tenants.get_opt(id.as_str()).await?;
        Ok(tenant.and_then(|tenant| tenant.status?.revision).map(drop))
    })
    .await
}

async fn ready(tenants: &Api<Tenant>, id: &TenantId) -> Result<()> {
    let began = Instant::now();
    loop {
        let phase = tenants.get(id.as_str()).await?.status.and_then(|status| status.phase);
        if phase == Some(Phase::Ready) {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < PATIENCE, "{id} is {phase:?} after {PATIENCE:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
