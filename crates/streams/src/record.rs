//! What is written down of a request: the reservation at its start, the settlement at its end.

use oc_domain::{
    AccountId, ModelId, RequestId, TenantId,
    usage::{Outcome, Tokens, UsageEvent},
};
use serde::{Deserialize, Serialize};

use crate::Place;

/// Quota tokens set aside for one request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// The request.
    pub request: RequestId,
    /// Who asks.
    pub tenant: TenantId,
    /// Who pays.
    pub account: AccountId,
    /// The billing period that it was made in, and in which it ends too.
    pub period: i64,
    /// The model.
    pub model: ModelId,
    /// Our estimate of the input, in quota tokens.
    pub input: u64,
    /// What is set aside: the estimate and the output at most.
    pub amount: u64,
}

/// A request that Redis has booked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settled {
    /// Its usage event's place on the stream.
    pub place: Place,
    /// What had been set aside.
    pub reservation: Reservation,
    /// How it ended.
    pub settlement: Settlement,
}

/// How a request ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settlement {
    /// The provider that was asked last; empty if none was.
    pub upstream: String,
    /// What was consumed.
    pub tokens: Tokens,
    /// What that counts against the quota, at most the reservation.
    pub charged: u64,
    /// What it would have counted beyond the reservation.
    pub excess: u64,
    /// What the provider charges, in billionths of a US dollar.
    pub cost_nano_usd: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether the provider counted, or we did.
    pub measured: bool,
    /// How often a provider was asked.
    pub attempts: u32,
    /// When the first byte came, in milliseconds after 1970.
    pub first_byte_ms: Option<u64>,
    /// When it was over, in milliseconds after 1970.
    pub finished_ms: u64,
}

impl Reservation {
    /// What `tokens` counts of this reservation, and what beyond it.
    pub fn charge(&self, tokens: Tokens) -> (u64, u64) {
        let quota = tokens.quota(self.model);
        let charged = quota.min(self.amount);
        (charged, quota - charged)
    }

    /// The row of the ledger that both make.
    pub fn event(self, settlement: Settlement) -> UsageEvent {
        let Self { request, tenant, account, period, model, .. } = self;
        let Settlement {
            upstream,
            tokens,
            charged,
            excess,
            cost_nano_usd,
            outcome,
            measured,
            attempts,
            first_byte_ms,
            finished_ms,
        } = settlement;
        UsageEvent {
            request,
            account,
            tenant,
            period,
            model,
            upstream,
            tokens,
            charged,
            excess,
            cost_nano_usd,
            outcome,
            measured,
            attempts,
            first_byte_ms,
            finished_ms,
        }
    }
}
