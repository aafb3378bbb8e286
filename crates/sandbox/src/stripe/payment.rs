//! Payment intents, charges, and what connects them with invoices.

use super::{customer::Card, engine::Engine, error::Error, id::Id, invoice::Invoice};

/// The wish that a customer pays, however many charges it takes.
#[derive(Clone, Debug, PartialEq)]
pub struct PaymentIntent {
    /// `pi_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// Who pays.
    pub customer: Id,
    /// What is paid.
    pub invoice: Id,
    /// Cents.
    pub amount: i64,
    /// The currency, in lower-case letters.
    pub currency: Id,
    /// How far it is.
    pub state: IntentState,
    /// The last charge.
    pub latest_charge: Option<Id>,
    /// What the last charge was made with.
    pub payment_method: Option<Id>,
}

/// How far a payment intent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntentState {
    /// Nothing has worked yet.
    RequiresPaymentMethod,
    /// Paid.
    Succeeded,
    /// Called off at this moment, in seconds after 1970.
    Canceled(i64),
}

/// One attempt to take money.
#[derive(Clone, Debug, PartialEq)]
pub struct Charge {
    /// `ch_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// Who pays.
    pub customer: Id,
    /// Their e-mail address then.
    pub email: Option<String>,
    /// What for.
    pub invoice: Id,
    /// The intent.
    pub intent: Id,
    /// Cents.
    pub amount: i64,
    /// Cents that went back.
    pub refunded: i64,
    /// The currency, in lower-case letters.
    pub currency: Id,
    /// Whether the bank paid.
    pub paid: bool,
    /// Whether it was ever disputed.
    pub disputed: bool,
    /// What it was made with.
    pub payment_method: Option<Id>,
}

/// What a payment intent has to do with an invoice.
#[derive(Clone, Debug, PartialEq)]
pub struct InvoicePayment {
    /// `inpay_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// The invoice.
    pub invoice: Id,
    /// The intent.
    pub intent: Id,
    /// Cents.
    pub amount: i64,
    /// The currency, in lower-case letters.
    pub currency: Id,
    /// How far it is.
    pub state: PaymentState,
}

/// How far the payment of an invoice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentState {
    /// To be paid.
    Open,
    /// Paid at this moment, in seconds after 1970.
    Paid(i64),
    /// Called off at this moment, in seconds after 1970.
    Canceled(i64),
}

impl PaymentState {
    /// The `status` of the JSON.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paid(_) => "paid",
            Self::Canceled(_) => "canceled",
        }
    }
}

impl Engine {
    /// The intent and the payment of an invoice that becomes open.
    pub(super) fn expect_payment(&mut self, invoice: &Invoice, amount: i64) -> (Id, Id) {
        let (intent, payment) = (self.draw("pi_3", 23), self.draw("inpay_1", 23));
        let created = self.now();
        let row = PaymentIntent {
            id: intent.clone(),
            created,
            customer: invoice.customer.clone(),
            invoice: invoice.id.clone(),
            amount,
            currency: invoice.currency.clone(),
            state: IntentState::RequiresPaymentMethod,
            latest_charge: None,
            payment_method: None,
        };
        self.create("payment_intent.created", row);
        self.add(InvoicePayment {
            id: payment.clone(),
            created,
            invoice: invoice.id.clone(),
            intent: intent.clone(),
            amount,
            currency: invoice.currency.clone(),
            state: PaymentState::Open,
        });
        (intent, payment)
    }

    /// Charges the customer of an intent; says whether the bank paid.
    pub(super) fn charge_intent(&mut self, intent: &str) -> Result<bool, Error> {
        let intent = self.find::<PaymentIntent>(intent)?;
        let customer = self.find::<super::customer::Customer>(&intent.customer)?;
        if customer.card == Card::None {
            return Ok(false);
        }
        let paid = customer.card == Card::Works;
        let id = self.draw("ch_3", 23);
        let charge = Charge {
            id: id.clone(),
            created: self.now(),
            customer: intent.customer.clone(),
            email: customer.profile.email.clone(),
            invoice: intent.invoice.clone(),
            intent: intent.id.clone(),
            amount: intent.amount,
            refunded: 0,
            currency: intent.currency.clone(),
            paid,
            disputed: false,
            payment_method: customer.payment_method.clone(),
        };
        let intent = self.edit(&intent.id, |intent: &mut PaymentIntent| {
            intent.latest_charge = Some(id);
            if paid {
                intent.state = IntentState::Succeeded;
                intent.payment_method.clone_from(&customer.payment_method);
            }
        })?;
        self.create(if paid { "charge.succeeded" } else { "charge.failed" }, charge);
        let kind = if paid { "payment_intent.succeeded" } else { "payment_intent.payment_failed" };
        self.tell(kind, &intent);
        Ok(paid)
    }

    /// The payment of an invoice is over: paid, or called off.
    pub(super) fn end_payment(&mut self, invoice: &Invoice, paid: bool) -> Result<(), Error> {
        let now = self.now();
        if let (false, Some(intent)) = (paid, &invoice.intent) {
            let state = IntentState::Canceled(now);
            self.change("payment_intent.canceled", intent, |row: &mut PaymentIntent| {
                row.state = state;
            })?;
        }
        if let Some(payment) = &invoice.payment {
            let state = if paid { PaymentState::Paid(now) } else { PaymentState::Canceled(now) };
            let row = self.edit(payment, |row: &mut InvoicePayment| row.state = state)?;
            if paid {
                self.tell("invoice_payment.paid", &row);
            }
        }
        Ok(())
    }
}
