//! What is written down of a request: the reservation at its start, the settlement at its end.

use crate::Place;
use oc_domain::{
    AccountId, ModelId, RequestId, TenantId,
    usage::{Settlement, Tokens, UsageEvent},
};

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
        UsageEvent { request, account, tenant, period, model, settlement }
    }
}
