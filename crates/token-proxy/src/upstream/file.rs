//! The file that names the providers, and the providers as they are now.

use std::{collections::BTreeMap, path::Path, sync::Arc};

use anyhow::{Context as _, Result, ensure};
use http::{HeaderValue, Uri};
use jiff::{Timestamp, civil::Date, tz::TimeZone};
use oc_domain::{ModelId, usage::Tokens};
use serde::Deserialize;

use super::{breaker::Breaker, budget::Budget, gate::Gate};
use crate::route::Dialect;

/// The providers, the first preferred.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) upstreams: Vec<Arc<Upstream>>,
    pub(crate) budget: Arc<Budget>,
}

/// One provider.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) name: String,
    openai: Option<Uri>,
    anthropic: Option<Uri>,
    /// Where it says what is left of the money that was paid in.
    pub(crate) balance: Option<Uri>,
    models: BTreeMap<ModelId, Offer>,
    /// Requests at once for each key, all proxies together.
    concurrency: Option<usize>,
    pub(crate) gate: Arc<Gate>,
    pub(crate) lanes: Vec<Arc<Lane>>,
}

/// One key of a provider.
#[derive(Debug)]
pub(crate) struct Lane {
    /// How metrics and the ledger name it.
    pub(crate) name: String,
    pub(crate) key: Key,
    pub(crate) breaker: Breaker,
}

/// A provider's key. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Key(String);

/// A model at a provider.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Offer {
    /// Its name there.
    pub(crate) name: String,
    /// What it costs, the latest that has begun holds.
    prices: Vec<Price>,
}

/// Billionths of a US dollar for each token, which is thousandths of a US dollar for a million.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Price {
    from: Date,
    input: u64,
    cached_input: u64,
    output: u64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    upstreams: Vec<UpstreamFile>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct UpstreamFile {
    name: String,
    openai: Option<String>,
    anthropic: Option<String>,
    balance: Option<String>,
    keys: Vec<KeyFile>,
    concurrency: Option<usize>,
    models: BTreeMap<ModelId, Offer>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct KeyFile {
    name: String,
    #[serde(flatten)]
    source: KeySource,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
enum KeySource {
    /// A file, relative to the one that names it.
    File(String),
    /// A variable of the environment.
    Env(String),
}

impl Key {
    /// As a header of the dialect.
    pub(crate) fn header(&self, dialect: Dialect) -> Option<HeaderValue> {
        let text = match dialect {
            Dialect::OpenAi => format!("Bearer {}", self.0),
            Dialect::Anthropic => self.0.clone(),
        };
        let mut value = HeaderValue::try_from(text).ok()?;
        value.set_sensitive(true);
        Some(value)
    }

    /// Takes the key out of a text that a provider may have put it into.
    pub(crate) fn scrub(&self, text: &[u8]) -> Option<Vec<u8>> {
        let text = String::from_utf8_lossy(text);
        text.contains(&self.0).then(|| text.replace(&self.0, "[key]").into_bytes())
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Offer {
    /// What the provider charges for `tokens` at `when`, in billionths of a US dollar.
    pub(crate) fn cost(&self, tokens: Tokens, when: Timestamp) -> u64 {
        let today = when.to_zoned(TimeZone::UTC).date();
        let begun = self.prices.iter().filter(|price| price.from <= today);
        let Some(price) = begun.max_by_key(|price| price.from) else { return 0 };
        let Price { input, cached_input, output, .. } = *price;
        tokens.input * input + tokens.cached_input * cached_input + tokens.output * output
    }
}

impl Upstream {
    /// Where requests of this dialect go to: the path that clients use after `/v1`, at the base that
    /// the file gives.
    pub(crate) fn address(&self, dialect: Dialect, path: &str) -> Option<Uri> {
        let (base, path) = match dialect {
            Dialect::OpenAi => (self.openai.as_ref()?, path.strip_prefix("/v1").unwrap_or(path)),
            Dialect::Anthropic => (self.anthropic.as_ref()?, path),
        };
        format!("{}{path}", base.to_string().trim_end_matches('/')).parse().ok()
    }

    /// Whether it has the dialect.
    pub(crate) fn speaks(&self, dialect: Dialect) -> bool {
        match dialect {
            Dialect::OpenAi => self.openai.is_some(),
            Dialect::Anthropic => self.anthropic.is_some(),
        }
    }

    /// The model there.
    pub(crate) fn offer(&self, model: ModelId) -> Option<&Offer> {
        self.models.get(&model)
    }
}

impl Pool {
    /// Reads the file and the keys. What `before` knows of keys that stay is kept.
    pub(crate) fn read(path: &Path, before: Option<&Self>) -> Result<Self> {
        let text = std::fs::read(path).with_context(|| path.display().to_string())?;
        let file: File =
            serde_json::from_slice(&text).with_context(|| path.display().to_string())?;
        ensure!(!file.upstreams.is_empty(), "{}: no upstreams", path.display());
        let folder = path.parent().unwrap_or(Path::new("."));
        let upstreams: Result<Vec<_>> = file
            .upstreams
            .into_iter()
            .map(|upstream| {
                let name = upstream.name.clone();
                let known = before.and_then(|before| before.find(&name));
                upstream.open(folder, known).with_context(|| format!("upstream {name}"))
            })
            .collect();
        let budget = before.map_or_else(Arc::default, |before| Arc::clone(&before.budget));
        Ok(Self { upstreams: upstreams?, budget })
    }

    /// Divides limits between so many proxies.
    pub(crate) fn share(&self, proxies: usize) {
        for upstream in &self.upstreams {
            upstream.gate.share(upstream.concurrency, proxies);
        }
    }

    fn find(&self, name: &str) -> Option<&Arc<Upstream>> {
        self.upstreams.iter().find(|upstream| upstream.name == name)
    }

    /// The price of a model at the provider that would be asked first.
    pub(crate) fn first_offer(&self, model: ModelId) -> Option<&Offer> {
        self.upstreams.iter().find_map(|upstream| upstream.offer(model))
    }
}

impl UpstreamFile {
    fn open(self, folder: &Path, before: Option<&Arc<Upstream>>) -> Result<Arc<Upstream>> {
        let Self { name, openai, anthropic, balance, keys, concurrency, models } = self;
        ensure!(!keys.is_empty(), "no keys");
        ensure!(openai.is_some() || anthropic.is_some(), "neither `openai` nor `anthropic`");
        let lanes: Result<Vec<_>> = keys
            .into_iter()
            .map(|key| {
                let lane = format!("{name}/{}", key.name);
                let key = key.source.read(folder).with_context(|| format!("key {}", key.name))?;
                let known = before.into_iter().flat_map(|before| &before.lanes);
                let same = |known: &&Arc<Lane>| known.name == lane && known.key == key;
                Ok(match known.into_iter().find(same) {
                    Some(known) => Arc::clone(known),
                    None => Arc::new(Lane { name: lane, key, breaker: Breaker::default() }),
                })
            })
            .collect();
        let lanes = lanes?;
        let known = before.filter(|before| same(&before.lanes, &lanes));
        // Requests that are open have their places in it.
        let gate =
            known.map_or_else(|| Arc::new(Gate::new(lanes.len())), |known| Arc::clone(&known.gate));
        let (openai, anthropic) = (address(openai)?, address(anthropic)?);
        let balance = address(balance)?;
        let upstream =
            Upstream { name, openai, anthropic, balance, models, concurrency, gate, lanes };
        Ok(Arc::new(upstream))
    }
}

fn same(before: &[Arc<Lane>], now: &[Arc<Lane>]) -> bool {
    before.len() == now.len() && before.iter().zip(now).all(|(one, other)| Arc::ptr_eq(one, other))
}

impl KeySource {
    fn read(&self, folder: &Path) -> Result<Key> {
        let text = match self {
            Self::File(name) => {
                let path = folder.join(name);
                std::fs::read_to_string(&path).with_context(|| path.display().to_string())?
            }
            #[expect(
                clippy::disallowed_methods,
                reason = "the file says which variables hold keys"
            )]
            Self::Env(name) => std::env::var(name).with_context(|| name.clone())?,
        };
        let key = Key(text.trim().to_owned());
        ensure!(key.0.len() >= 8 && key.header(Dialect::OpenAi).is_some(), "it is no key");
        Ok(key)
    }
}

fn address(text: Option<String>) -> Result<Option<Uri>> {
    let parse = |text: String| {
        let uri: Uri = text.parse().with_context(|| text.clone())?;
        ensure!(uri.scheme().is_some() && uri.authority().is_some(), "{text}: not a full address");
        Ok(uri)
    };
    text.map(parse).transpose()
}

#[cfg(test)]
mod tests;
