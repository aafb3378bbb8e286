//! Where everything of a running stack is, for other processes and for people.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

use crate::Service;

const FILE: &str = "stack.json";

/// The addresses of a running stack.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Book {
    /// The process that holds it all.
    pub pid: u32,
    /// Our services by name.
    pub services: BTreeMap<String, Addresses>,
    /// The stand-in for Stripe, unless Stripe is real.
    pub stripe: Option<String>,
    /// The stand-in for Telegram, with its chat page, unless Telegram is real.
    pub telegram: Option<String>,
    /// The stand-in for the provider of models, unless that is real.
    pub kimi: Option<String>,
    /// Postgres.
    pub database: String,
    /// Redis.
    pub redis: String,
    /// The fleet repository.
    pub remote: PathBuf,
    /// For `kubectl`.
    pub kubeconfig: PathBuf,
    /// What opens the services' internal APIs.
    pub internal_key: String,
}

/// Where a service of ours is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Addresses {
    /// For those who use it.
    pub url: String,
    /// For health and metrics.
    pub admin: String,
    /// Its process.
    pub pid: u32,
}

impl From<&Service> for Addresses {
    fn from(service: &Service) -> Self {
        Self { url: service.url.clone(), admin: service.admin.clone(), pid: service.pid() }
    }
}

impl Book {
    /// The book of the stack that runs on the state in `folder`; nothing if none does.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let Ok(text) = fs::read(folder.join(FILE)) else { return Ok(None) };
        let book: Self = serde_json::from_slice(&text)
            .with_context(|| folder.join(FILE).display().to_string())?;
        Ok(Some(book).filter(|book| Path::new(&format!("/proc/{}", book.pid)).exists()))
    }

    /// Leaves it in `folder`, for its owner alone: it holds a key.
    pub(super) fn write(&self, folder: &Path) -> Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        serde_json::to_writer_pretty(&mut file, self)?;
        file.persist(folder.join(FILE))?;
        Ok(())
    }

    /// Where a service of ours is.
    pub fn service(&self, name: &str) -> Result<&Addresses> {
        self.services.get(name).with_context(|| format!("no service {name}"))
    }
}
