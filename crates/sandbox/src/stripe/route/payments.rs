use super::{Answer, Call, fits};
use crate::stripe::{
    error::Error,
    id::{Metadata, merge},
    payment::{Charge, PaymentIntent},
    refund::{Dispute, NewRefund, Refund},
};

impl Call<'_> {
    pub(super) fn payments(&mut self, method: &str, segments: &[&str]) -> Option<Answer> {
        Some(match (method, segments) {
            ("GET", ["payment_intents", id]) => self.retrieve::<PaymentIntent>(id),
            ("GET", ["charges", id]) => self.retrieve::<Charge>(id),
            ("GET", ["charges"]) => self.list_charges(),
            ("POST", ["refunds"]) => self.create_refund(),
            ("GET", ["refunds", id]) => self.retrieve::<Refund>(id),
            ("GET", ["refunds"]) => self.list_refunds(),
            ("GET", ["disputes", id]) => self.retrieve::<Dispute>(id),
            ("GET", ["disputes"]) => self.list_disputes(),
            _ => return None,
        })
    }

    fn list_charges(&mut self) -> Answer {
        let customer = self.params.text("customer")?;
        let intent = self.params.text("payment_intent")?;
        self.page("/v1/charges", |row: &Charge| {
            fits(customer.as_ref(), &row.customer) && fits(intent.as_ref(), &row.intent)
        })
    }

    fn create_refund(&mut self) -> Answer {
        let (charge, intent) = (self.params.text("charge")?, self.params.text("payment_intent")?);
        let of = charge.or(intent);
        let of = of.ok_or_else(|| {
            Error::invalid(
                "One of the following params should be provided: charge, payment_intent.",
            )
        })?;
        let mut metadata = Metadata::default();
        merge(&mut metadata, &self.params.pairs("metadata")?);
        let amount = self.params.one("amount")?;
        let reason = self.params.text("reason")?;
        self.done()?;
        let id = self.engine.create_refund(NewRefund { of, amount, reason, metadata })?;
        self.show::<Refund>(&id)
    }

    fn list_refunds(&mut self) -> Answer {
        let charge = self.params.text("charge")?;
        let intent = self.params.text("payment_intent")?;
        self.page("/v1/refunds", |row: &Refund| {
            fits(charge.as_ref(), &row.charge) && fits(intent.as_ref(), &row.intent)
        })
    }

    fn list_disputes(&mut self) -> Answer {
        let charge = self.params.text("charge")?;
        let intent = self.params.text("payment_intent")?;
        self.page("/v1/disputes", |row: &Dispute| {
            fits(charge.as_ref(), &row.charge) && fits(intent.as_ref(), &row.intent)
        })
    }
}
