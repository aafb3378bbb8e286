//! Money that goes back: refunds and disputes.

use std::sync::Arc;

use strum::{EnumString, IntoStaticStr};

use super::{
    engine::Engine,
    error::Error,
    id::{Id, Metadata},
    payment::{Charge, PaymentIntent},
};

/// Money that was given back.
#[derive(Clone, Debug, PartialEq)]
pub struct Refund {
    /// `re_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// The charge.
    pub charge: Id,
    /// Its intent.
    pub intent: Id,
    /// Who got it back.
    pub customer: Id,
    /// Cents.
    pub amount: i64,
    /// The currency, in lower-case letters.
    pub currency: Id,
    /// Why.
    pub reason: Option<String>,
    /// What the caller attached.
    pub metadata: Metadata,
}

/// A refund to be made.
#[derive(Clone, Debug, Default)]
pub struct NewRefund {
    /// The charge, or its payment intent.
    pub of: String,
    /// Cents; all that is left if absent.
    pub amount: Option<i64>,
    /// Why.
    pub reason: Option<String>,
    /// What the caller attached.
    pub metadata: Metadata,
}

/// A charge that its customer denies.
#[derive(Clone, Debug, PartialEq)]
pub struct Dispute {
    /// `dp_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// The charge.
    pub charge: Id,
    /// Its intent.
    pub intent: Id,
    /// Cents.
    pub amount: i64,
    /// The currency, in lower-case letters.
    pub currency: Id,
    /// How it stands.
    pub state: DisputeState,
}

/// How a dispute stands: the `status` of its JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, IntoStaticStr, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum DisputeState {
    /// The bank has taken the money and waits for evidence.
    NeedsResponse,
    /// The money came back.
    Won,
    /// It did not.
    Lost,
}

impl Engine {
    /// Gives money back.
    pub fn create_refund(&mut self, new: NewRefund) -> Result<Id, Error> {
        let charge = match self.payment_intent(&new.of) {
            Some(PaymentIntent { latest_charge, .. }) => {
                let charge = latest_charge.clone().unwrap_or_default();
                self.find::<Charge>(&charge).map_err(|error| error.of("payment_intent"))?
            }
            None => self.find::<Charge>(&new.of).map_err(|error| error.of("charge"))?,
        };
        if !charge.paid {
            return Err(Error::invalid(format!("Charge {} has failed.", charge.id)));
        }
        let left = charge.amount - charge.refunded;
        let amount = new.amount.unwrap_or(left);
        if left == 0 {
            let message = format!("Charge {} has already been refunded.", charge.id);
            let code = Some("charge_already_refunded");
            return Err(Error { code, ..Error::invalid(message) });
        }
        if amount <= 0 || amount > left {
            let message = format!("Refund amount ({amount}) is not within what is left ({left}).");
            return Err(Error::parameter("amount", "parameter_invalid_integer", message));
        }
        let id = self.draw("re_3", 23);
        let refund = Refund {
            id: id.clone(),
            created: self.now(),
            charge: charge.id.clone(),
            intent: charge.intent.clone(),
            customer: charge.customer.clone(),
            amount,
            currency: charge.currency.clone(),
            reason: new.reason,
            metadata: new.metadata,
        };
        self.create("refund.created", refund);
        self.change("charge.refunded", &charge.id, |charge: &mut Charge| {
            charge.refunded += amount;
        })?;
        Ok(id)
    }

    /// A customer denies a charge: the bank takes its money until the dispute is closed.
    pub fn open_dispute(&mut self, charge: &str) -> Result<Id, Error> {
        let charge = self.find::<Charge>(charge)?;
        if !charge.paid || charge.disputed {
            return Err(Error::invalid(format!("Charge {} cannot be disputed.", charge.id)));
        }
        self.change("charge.updated", &charge.id, |charge: &mut Charge| charge.disputed = true)?;
        let id = self.draw("dp_1", 23);
        let dispute = Dispute {
            id: id.clone(),
            created: self.now(),
            charge: charge.id.clone(),
            intent: charge.intent.clone(),
            amount: charge.amount,
            currency: charge.currency.clone(),
            state: DisputeState::NeedsResponse,
        };
        let dispute: Arc<Dispute> = self.create("charge.dispute.created", dispute);
        self.tell("charge.dispute.funds_withdrawn", &dispute);
        Ok(id)
    }

    /// The bank decides.
    pub fn close_dispute(&mut self, id: &str, won: bool) -> Result<(), Error> {
        if self.find::<Dispute>(id)?.state != DisputeState::NeedsResponse {
            return Err(Error::invalid("This dispute is already closed."));
        }
        let state = if won { DisputeState::Won } else { DisputeState::Lost };
        let dispute = self.edit(id, |dispute: &mut Dispute| dispute.state = state)?;
        if won {
            self.tell("charge.dispute.funds_reinstated", &dispute);
        }
        self.tell("charge.dispute.closed", &dispute);
        Ok(())
    }
}
