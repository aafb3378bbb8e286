//! `oc-sandbox stack`.

use std::{net::SocketAddr, path::PathBuf};

use anyhow::{Context as _, Result};
use clap::Args;
use oc_sandbox::{
    billing, operator,
    stack::{Setup, Stack},
};
use oc_testkit::Postgres;
use serde_json::json;

/// The platform as far as it is: a token proxy with Postgres, Redis, a provider and tenants, billing
/// with Stripe and a fleet repository, and the operator with Kubernetes
///
/// Says where everything is, and runs until it is interrupted.
#[derive(Args)]
pub(crate) struct Arguments {
    /// The proxy's program
    #[arg(long, value_name = "FILE")]
    program: PathBuf,
    /// Billing's program; without it there is none
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    billing: Option<PathBuf>,
    /// The operator's program; without it there is no Kubernetes
    #[arg(long, value_name = "FILE", requires = "billing")]
    operator: Option<PathBuf>,
    /// Tenants; their tokens go into the file that the output names
    #[arg(long, default_value_t = 1)]
    tenants: u32,
    /// Quota tokens of each
    #[arg(long, default_value_t = 1_000_000)]
    limit: u64,
    /// A provider to ask instead of the stand-in of this process
    #[arg(long, value_name = "ADDRESS")]
    provider: Option<SocketAddr>,
    /// Says it as a line of JSON
    #[arg(long)]
    json: bool,
    /// More options of the proxy
    #[arg(last = true)]
    options: Vec<String>,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        let postgres = Postgres::start().await?;
        let setup =
            Setup { arguments: self.options, provider: self.provider, ..Setup::new(self.program) };
        let stack = Stack::start_on(&postgres, setup).await?;
        let tokens = stack.tenants(&postgres, self.tenants, self.limit).await?;
        let file = stack.folder().join("tokens");
        std::fs::write(&file, tokens.join("\n"))?;
        let first = tokens.first().context("no tenants")?;
        stack.usage(first).await?;
        if self.json {
            let pids = json!({"proxy": stack.proxy.pid(), "redis": stack.redis.pid(),
                "postgres": postgres.pid()});
            let all = json!({"proxy": stack.proxy.url, "tokens": file, "pids": pids,
                "redis": stack.redis.url()});
            anstream::println!("{all}");
        } else {
            anstream::print!("{}", story(&stack, &postgres, first));
        }
        // Held until the end.
        let mut held = (None, None);
        if let Some(program) = self.billing {
            let setup = billing::Setup::new(program);
            let billing = billing::Stack::start_on(&postgres, setup).await?;
            anstream::print!("{}", billing_story(&billing)?);
            if let Some(program) = self.operator {
                let around = operator::Around {
                    database: billing.database.clone(),
                    redis_url: billing.redis.url(),
                    remote: billing.remote.path().to_owned(),
                };
                let setup = operator::Setup::new(program);
                let operator = operator::Stack::around(setup, around, tempfile::tempdir()?).await?;
                anstream::print!("{}", operator_story(&operator)?);
                held.1 = Some(operator);
            }
            held.0 = Some(billing);
        }
        if !self.json {
            anstream::println!("\nCtrl-C ends it all; nothing stays.");
        }
        tokio::signal::ctrl_c().await.context("waiting for the interrupt")
    }
}

/// Where everything is, and a first question.
fn story(stack: &Stack, postgres: &Postgres, token: &str) -> String {
    let (proxy, admin) = (&stack.proxy.url, &stack.proxy.admin);
    let (provider, redis, postgres) = (stack.kimi.addr(), stack.redis.url(), postgres.url());
    let log = stack.folder().join("proxy-0.log");
    format!(
        "token proxy  {proxy}  (health and metrics {admin}, log {})\n\
         provider     http://{provider}  (a stand-in, see `oc_sandbox::kimi`)\n\
         Redis        {redis}\nPostgres     {postgres}\ntenant       t-0, token {token}\n\n\
         Ask it something:\n  \
         curl {proxy}/v1/chat/completions -H 'x-proxy-key: {token}' \\\n    \
         -H 'content-type: application/json' \\\n    \
         -d '{{\"model\":\"k2p5\",\"messages\":[{{\"role\":\"user\",\"content\":\"olá\"}}]}}'\n  \
         curl {proxy}/v1/usage -H 'x-proxy-key: {token}'\n",
        log.display(),
    )
}

/// Where billing is, and a first customer.
fn billing_story(billing: &billing::Stack) -> Result<String> {
    let service = billing.services.first().context("no replica")?;
    let (url, admin, key) = (&service.url, &service.admin, billing::INTERNAL);
    let (stripe, remote) = (billing.stripe.url(), billing.remote.path().display());
    let log = billing.folder().join("billing-0.log");
    Ok(format!(
        "\nbilling      {url}  (health and metrics {admin}, log {})\n\
         Stripe       {stripe}  (a stand-in, see `oc_sandbox::stripe`)\n\
         fleet        {remote}\n\n\
         Buy something: open the page that this names, and pay; then look into the fleet:\n  \
         curl {url}/internal/checkout -H 'authorization: Bearer {key}' \\\n    \
         -H 'content-type: application/json' \\\n    \
         -d '{{\"email\":\"ana@example.com\",\"tier\":\"starter\",\"niche\":\"pharmacy\",\
         \"locale\":\"pt-BR\",\"success_url\":\"{url}/back\",\"cancel_url\":\"{url}/back\"}}'\n  \
         git -C {remote} log --stat main\n",
        log.display(),
    ))
}

/// Where the operator is, and what it has done.
fn operator_story(operator: &operator::Stack) -> Result<String> {
    let service = operator.services.first().context("no replica")?;
    let (admin, kubeconfig) = (&service.admin, operator.cluster.kubeconfig().display());
    let log = operator.folder().join("operator-0.log");
    Ok(format!(
        "\noperator     (health and metrics {admin}, log {})\n\
         Kubernetes   KUBECONFIG={kubeconfig}  (a real control plane; its nodes run nothing)\n\n\
         See what was bought become a namespace, and what is in it:\n  \
         export KUBECONFIG={kubeconfig}\n  \
         target/debug/openclaw-cloud tenant list --cluster\n  \
         target/debug/openclaw-cloud tenant show ID --cluster\n",
        log.display(),
    ))
}
