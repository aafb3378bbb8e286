//! What was consumed: accounts, requests, and the usage event that becomes one row of the ledger.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use strum::{Display, EnumString, VariantArray};
use uuid::Uuid;

use crate::{ModelId, TenantId};

/// Who pays: `a-` and what follows in lower-case letters, digits and dashes, 40 characters at most.
///
/// Ids that we draw have eight characters there, see [`AccountId::draw`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct AccountId(String);

/// The text that is no account id.
#[derive(Debug, PartialEq, Eq)]
pub struct InvalidAccountId(String);

impl AccountId {
    /// The id that 40 random bits stand for, in the letters of [`TenantId::draw`].
    pub fn draw(random: [u8; 5]) -> Self {
        Self(TenantId::draw(random).as_str().replacen('c', "a", 1))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for AccountId {
    type Err = InvalidAccountId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // The same rules as a tenant's name, so that either can stand in a key or a label.
        let valid = text.starts_with("a-") && text.parse::<TenantId>().is_ok();
        if valid { Ok(Self(text.to_owned())) } else { Err(InvalidAccountId(text.to_owned())) }
    }
}

impl fmt::Display for AccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for InvalidAccountId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is not an account id: expected a- and lower-case letters or digits", self.0)
    }
}

impl std::error::Error for InvalidAccountId {}

impl<'de> Deserialize<'de> for AccountId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// One admitted request, minted at admission: a version 7 UUID, so it carries its time.
///
/// The ledger is unique by it for ever, and is partitioned by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RequestId(Uuid);

impl RequestId {
    /// The id of a request admitted `unix_ms` milliseconds after 1970.
    pub fn new(unix_ms: u64, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_ms, &random).into_uuid())
    }

    /// When the request was admitted, in milliseconds after 1970.
    pub fn unix_ms(self) -> u64 {
        u64::try_from(self.0.as_u128() >> 80).unwrap_or_default()
    }

    /// As the database holds it.
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for RequestId {
    fn from(uuid: Uuid) -> Self {
        Self(uuid)
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RequestId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What a model says that it read and wrote, in its own tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Input that was not in the provider's cache.
    pub input: u64,
    /// Input that was.
    pub cached_input: u64,
    /// Output, reasoning included.
    pub output: u64,
    /// The part of the output that was reasoning, where the provider says so.
    pub reasoning: u64,
}

impl Tokens {
    /// What it counts against a quota: cached input at the catalog's price ratio, rounded up.
    pub fn quota(self, model: ModelId) -> u64 {
        let percent = u64::from(model.get().cached_input_percent);
        let cached = self.cached_input.saturating_mul(percent).div_ceil(100);
        self.input.saturating_add(self.output).saturating_add(cached)
    }
}

/// How an admitted request ended.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    VariantArray,
)]
#[serde(rename_all = "snake_case")]
#[strum(serialize_all = "snake_case")]
pub enum Outcome {
    /// The client has the whole answer.
    Complete,
    /// The provider refused the request; the client has its reason.
    Refused,
    /// The client left before the end.
    ClientGone,
    /// The provider failed or left, before or after the first byte.
    UpstreamFailed,
    /// The provider took too long.
    TimedOut,
    /// It was never sent: no provider was free or whole.
    Unsent,
    /// The proxy drained before the end.
    Drained,
    /// Nobody settled it within its lease: the proxy was killed.
    Expired,
}

/// How an admitted request ended, and what it used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The provider that was asked last, as the configuration names it; empty if none was.
    pub upstream: String,
    /// What was consumed.
    pub tokens: Tokens,
    /// What that counts against the quota, at most what was reserved.
    pub charged: u64,
    /// What it would have counted beyond the reservation: the platform's loss.
    pub excess: u64,
    /// What the provider charges us, in billionths of a US dollar.
    pub cost_nano_usd: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether `tokens` is the provider's count, or else our estimate.
    pub measured: bool,
    /// How often a provider was asked.
    pub attempts: u32,
    /// When the first byte came, in milliseconds after 1970.
    pub first_byte_ms: Option<u64>,
    /// When it was over, in milliseconds after 1970.
    pub finished_ms: u64,
}

/// One row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageEvent {
    /// The request; unique for ever.
    pub request: RequestId,
    /// Who pays.
    pub account: AccountId,
    /// Who asked.
    pub tenant: TenantId,
    /// The billing period that the reservation was made in.
    pub period: i64,
    /// The model that was asked for.
    pub model: ModelId,
    /// How it ended.
    #[serde(flatten)]
    pub settlement: Settlement,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawn_account_ids_are_valid() {
        assert_eq!(AccountId::draw([0; 5]).as_str(), "a-00000000");
        let last = AccountId::draw([255; 5]);
        assert_eq!(last.as_str(), "a-zzzzzzzz");
        assert_eq!(last.as_str().parse(), Ok(last));
    }

    #[test]
    fn a_request_id_carries_its_time() {
        let id = RequestId::new(1_795_000_000_123, [255; 10]);
        assert_eq!(id.unix_ms(), 1_795_000_000_123);
        assert_eq!(id.uuid().get_version_num(), 7);
        assert!(id < RequestId::new(1_795_000_000_124, [0; 10]));
    }

    #[test]
    fn cached_input_counts_at_its_price_ratio_rounded_up() {
        let tokens = Tokens { input: 100, cached_input: 9001, output: 50, reasoning: 20 };
        assert_eq!(tokens.quota(ModelId::KimiK2p5), 100 + 50 + 1801);
    }
}
