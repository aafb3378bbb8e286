//! `oc-sandbox status`.

use std::{path::PathBuf, process::ExitCode};

use anyhow::Result;
use clap::Args;
use oc_sandbox::local::Book;
use serde_json::json;

/// Which services of the local stack are ready
#[derive(Args)]
pub(crate) struct Arguments {
    /// Where its state lies
    #[arg(long, value_name = "FOLDER", default_value = ".dev")]
    folder: PathBuf,
    /// Prints JSON
    #[arg(long)]
    json: bool,
}

impl Arguments {
    pub(crate) async fn run(self) -> Result<ExitCode> {
        let Some(book) = Book::read(&self.folder)? else {
            anstream::eprintln!("nothing runs in {}: scripts/dev starts it", self.folder.display());
            return Ok(ExitCode::FAILURE);
        };
        let http = reqwest::Client::builder().no_proxy().build()?;
        let mut rows = Vec::new();
        for (name, service) in &book.services {
            let answer = http.get(format!("{}/readyz", service.admin)).send().await;
            let ready = answer.is_ok_and(|answer| answer.status().is_success());
            rows.push(json!({"service": name, "ready": ready, "url": service.url,
                "admin": service.admin, "pid": service.pid}));
        }
        let all = rows.iter().all(|row| row["ready"] == true);
        if self.json {
            anstream::println!("{}", json!({"pid": book.pid, "services": rows}));
        } else {
            for (name, service) in &book.services {
                let row = rows.iter().find(|row| row["service"] == name.as_str());
                let ready = row.is_some_and(|row| row["ready"] == true);
                let word = if ready { "ready" } else { "NOT READY" };
                anstream::println!("{name:<12} {word:<10} {:<24} {}", service.url, service.admin);
            }
        }
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}
