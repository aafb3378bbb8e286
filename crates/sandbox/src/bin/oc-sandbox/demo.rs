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

/// A customer on the way.
struct Demo {
    arguments: Arguments,
    journey: Journey,
    tenants: Api<Tenant>,
    steps: Steps,
    /// Makes the customer a new one, and is their number at Telegram.
    number: i64,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        let book = Book::read(&self.folder)?.context("nothing runs: scripts/dev starts it")?;
        let steps = Steps { last: Instant::now(), done: Vec::new(), json: self.json };
        let mut demo = Demo {
            tenants: tenants(&book).await?,
            journey: Journey::new(book)?,
            steps,
            number: oc_service::Clock::system().now().as_millisecond(),
            arguments: self,
        };
        let tenant = demo.buy().await?;
        let bot = demo.start(&tenant).await?;
        demo.talk(&tenant, &bot).await?;
        demo.end(&tenant, &bot)
    }
}

impl Demo {
    async fn buy(&mut self) -> Result<TenantId> {
        let Self { arguments, journey, steps, number, .. } = self;
        let order = Order {
            email: &format!("demo-{number}@example.com"),
            tier: arguments.tier,
            niche: arguments.niche,
            locale: arguments.locale,
            thanks: "http://127.0.0.1/thanks",
        };
        let page = journey.order(order).await?;
        steps.done("checkout", &format!("checkout for {}: {}", page.account, page.url));
        journey.pay(&page).await?;
        steps.done("paid", "paid at Stripe");
        let tenant = until("the agent", async || journey.tenant(&page.account).await).await?;
        steps.done("tenant", &format!("event taken: the agent is {tenant}"));
        Ok(tenant)
    }

    /// Gives the agent a bot, and waits until it is ready; gives the bot's name.
    async fn start(&mut self, tenant: &TenantId) -> Result<String> {
        let Self { journey, steps, tenants, .. } = self;
        let username = format!("{}_bot", tenant.as_str().replace('-', "_"));
        let bot = journey.new_bot("Demo", &username).await?;
        journey.connect(tenant, &bot.token).await?;
        steps.done("bot", &format!("bot @{} connected", bot.username));
        let committed = until("the commit", async || journey.committed(tenant)).await?;
        steps.done("commit", &format!("spec committed as {} (trace {})", committed.0, committed.1));
        applied(tenants, tenant).await?;
        steps.done("applied", "objects applied");
        ready(tenants, tenant).await?;
        steps.done("ready", "gateway started: the agent is Ready");
        Ok(bot.username)
    }

    async fn talk(&mut self, tenant: &TenantId, bot: &str) -> Result<()> {
        let Self { arguments, journey, steps, number, .. } = self;
        let invitation = journey.invite(tenant).await?;
        let start = format!("/start {}", invitation.code);
        journey.person(*number, "Ana", &arguments.locale.to_string()).await?;
        let said = journey.say(*number, bot, &start).await?;
        journey.answer(*number, bot, said, PATIENCE).await?;
        steps.done("bound", "Ana is bound to it");
        for text in requests(arguments.locale) {
            let said = journey.say(*number, bot, text).await?;
            let answer = journey.answer(*number, bot, said, PATIENCE).await?;
            let answer = answer.result.get("text").and_then(|text| text.as_str()).unwrap_or("?");
            steps.done("answer", &format!("{text:?} -> {answer:?}"));
        }
        Ok(())
    }

    fn end(&self, tenant: &TenantId, bot: &str) -> Result<()> {
        if self.arguments.json {
            let step = |(name, seconds): &_| json!({"step": name, "seconds": seconds});
            let steps: Vec<_> = self.steps.done.iter().map(step).collect();
            anstream::println!("{}", json!({"tenant": tenant, "steps": steps}));
        } else {
            let (telegram, number) = (self.journey.telegram()?, self.number);
            anstream::println!("\nGo on in the chat: {telegram}/chat/{number}/{bot}");
        }
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
