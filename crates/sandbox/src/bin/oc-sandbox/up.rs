//! `oc-sandbox up`.

use std::{net::Ipv4Addr, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use oc_sandbox::{
    desk::Desk,
    journey::Journey,
    local::{Book, Local, Options, Real},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::Instant,
};

/// The whole product on this machine, until it is interrupted
///
/// Says where everything is. State lies in the folder; a stack that is started there again goes on.
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where all state lies
    #[arg(long, value_name = "FOLDER", default_value = ".dev")]
    folder: PathBuf,
    /// A cluster to use instead of an own control plane, such as one of K3s or k3d
    #[arg(long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// OpenClaw's `node_modules`, as the image of the agent holds them
    #[arg(long, env = "OPENCLAW_PACKAGES", value_name = "FOLDER")]
    packages: PathBuf,
    /// How late an agent notices a changed ConfigMap or Secret, as on a real node
    #[arg(long, default_value = "60s", value_parser = oc_sandbox::duration)]
    refresh: Duration,
    #[command(flatten)]
    real: Real,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<()> {
        let began = Instant::now();
        if let Some(book) = Book::read(&self.folder)? {
            let folder = self.folder.display();
            ensure!(
                false,
                "a stack runs in {folder} already (process {}): scripts/dev down",
                book.pid
            );
        }
        let bot = self.real.telegram.clone();
        let options = Options {
            folder: self.folder,
            real: self.real,
            stripe_behind: Duration::ZERO,
            kubeconfig: self.kubeconfig,
            packages: self.packages,
            usual_ports: true,
            refresh: self.refresh,
            progress: true,
        };
        let mut terminate = signal(SignalKind::terminate())?;
        let folder = options.folder.clone();
        let mut local = Local::start(options).await?;
        let book = local.book()?;
        let web = (Ipv4Addr::LOCALHOST, 3000).into();
        let journey = Journey::new(book.clone())?;
        let desk = Desk::start(web, journey, local.kubernetes(), bot).await?;
        anstream::print!("{}", story(&book, &desk.url, &folder.display().to_string()));
        anstream::println!(
            "up in {:.1} s; Ctrl-C ends it, and the state stays",
            began.elapsed().as_secs_f64()
        );
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.context("waiting for the interrupt")?,
            _ = terminate.recv() => {}
        }
        anstream::eprintln!("ending");
        drop(desk);
        local.stop().await;
        Ok(())
    }
}

/// Where everything is, and a tour of three lines.
fn story(book: &Book, desk: &str, folder: &str) -> String {
    let row = |name: &str, at: &str, more: &str| format!("  {name:<12} {at:<28} {more}\n");
    let real = |at: &Option<String>| at.clone().unwrap_or_else(|| "the real one".to_owned());
    let mut text = "\n".to_owned();
    text += &row("shop", desk, "in the place of the web");
    text += &row("Telegram", &real(&book.telegram), "a stand-in, with a chat page");
    text += &row("Stripe", &real(&book.stripe), "a stand-in, with its pages");
    text += &row("Kimi", &real(&book.kimi), "a stand-in for the provider of models");
    for (name, service) in &book.services {
        text += &row(name, &service.url, &format!("health and metrics {}", service.admin));
    }
    text += &row("Postgres", &book.database, "");
    text += &row("Redis", &book.redis, "");
    text += &row("fleet", &book.remote.display().to_string(), "");
    let kubeconfig = book.kubeconfig.display();
    text += &row("Kubernetes", &format!("KUBECONFIG={kubeconfig}"), "");
    text += &row("logs", &format!("{folder}/logs"), "scripts/dev logs SERVICE");
    let tour = format!(
        "\n1. Buy an agent at {desk}, and pay with the card that works.\n\
         2. Follow the link to the chat, press Start, and write to it.\n\
         3. See what there is: KUBECONFIG={kubeconfig} target/debug/openclaw-cloud tenant list --cluster\n\n"
    );
    text + &tour
}
