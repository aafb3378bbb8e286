//! Events as the columns of the ledger.

use oc_domain::usage::UsageEvent;
use uuid::Uuid;

use crate::Error;

/// One array for each column: Postgres reads them much faster than as many parameters as cells.
#[derive(Default)]
pub(super) struct Columns<'a> {
    pub(super) requests: Vec<Uuid>,
    pub(super) accounts: Vec<&'a str>,
    pub(super) tenants: Vec<&'a str>,
    pub(super) periods: Vec<i64>,
    pub(super) models: Vec<&'static str>,
    pub(super) upstreams: Vec<&'a str>,
    pub(super) input: Vec<i64>,
    pub(super) cached_input: Vec<i64>,
    pub(super) output: Vec<i64>,
    pub(super) reasoning: Vec<i64>,
    pub(super) charged: Vec<i64>,
    pub(super) excess: Vec<i64>,
    pub(super) cost: Vec<i64>,
    pub(super) outcomes: Vec<String>,
    pub(super) measured: Vec<bool>,
    pub(super) attempts: Vec<i64>,
    pub(super) first_byte_ms: Vec<Option<i64>>,
    pub(super) finished_ms: Vec<i64>,
}

impl<'a> Columns<'a> {
    pub(super) fn of(events: &[&'a UsageEvent]) -> Result<Self, Error> {
        let mut columns = Self::default();
        for event in events {
            columns.push(event)?;
        }
        Ok(columns)
    }

    fn push(&mut self, event: &'a UsageEvent) -> Result<(), Error> {
        let number =
            |number: u64| i64::try_from(number).map_err(|_| Error::TooLarge(event.request));
        let tokens = event.settlement.tokens;
        self.requests.push(event.request.uuid());
        self.accounts.push(event.account.as_str());
        self.tenants.push(event.tenant.as_str());
        self.periods.push(event.period);
        self.models.push(event.model.into());
        self.upstreams.push(&event.settlement.upstream);
        self.input.push(number(tokens.input)?);
        self.cached_input.push(number(tokens.cached_input)?);
        self.output.push(number(tokens.output)?);
        self.reasoning.push(number(tokens.reasoning)?);
        self.charged.push(number(event.settlement.charged)?);
        self.excess.push(number(event.settlement.excess)?);
        self.cost.push(number(event.settlement.cost_nano_usd)?);
        self.outcomes.push(event.settlement.outcome.to_string());
        self.measured.push(event.settlement.measured);
        self.attempts.push(event.settlement.attempts.into());
        self.first_byte_ms.push(event.settlement.first_byte_ms.map(number).transpose()?);
        self.finished_ms.push(number(event.settlement.finished_ms)?);
        Ok(())
    }
}
