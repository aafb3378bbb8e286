use serde_json::{Value, json};

use super::{
    super::{
        payment::{Charge, IntentState, InvoicePayment, PaymentIntent, PaymentState},
        shape::Shape,
    },
    address, extend,
};

const INTENT_NULLS: [&str; 22] = [
    "allowed_payment_method_types",
    "application",
    "application_fee_amount",
    "automatic_payment_methods",
    "canceled_at",
    "cancellation_reason",
    "customer_account",
    "description",
    "excluded_payment_method_types",
    "last_payment_error",
    "managed_payments",
    "next_action",
    "on_behalf_of",
    "payment_method_configuration_details",
    "processing",
    "receipt_email",
    "review",
    "shipping",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
];
const CHARGE_NULLS: [&str; 20] = [
    "application",
    "application_fee",
    "application_fee_amount",
    "calculated_statement_descriptor",
    "failure_balance_transaction",
    "failure_code",
    "failure_message",
    "on_behalf_of",
    "receipt_email",
    "receipt_number",
    "review",
    "shipping",
    "source_transfer",
    "statement_descriptor",
    "statement_descriptor_suffix",
    "transfer_data",
    "transfer_group",
    "balance_transaction",
    "receipt_url",
    "fraud_details",
];
const CARD_NULLS: [&str; 10] = [
    "amount_authorized",
    "authorization_code",
    "installments",
    "mandate",
    "network_token",
    "network_transaction_id",
    "three_d_secure",
    "transaction_link_id",
    "wallet",
    "regulated_status",
];

impl PaymentIntent {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let paid = self.state == IntentState::Succeeded;
        let (status, canceled) = match self.state {
            IntentState::RequiresPaymentMethod => ("requires_payment_method", None),
            IntentState::Succeeded => ("succeeded", None),
            IntentState::Canceled(at) => ("canceled", Some(at)),
        };
        let failed = self.latest_charge.as_ref().filter(|_| !paid).map(|charge| {
            json!({
                "type": "card_error", "code": "card_declined", "decline_code": "generic_decline",
                "message": "Your card was declined.", "charge": &**charge,
                "doc_url": "https://stripe.com/docs/error-codes/card-declined",
            })
        });
        let mut object = json!({
            "id": &*self.id, "object": "payment_intent", "created": self.created,
            "livemode": false, "amount": self.amount, "amount_capturable": 0,
            "amount_details": { "tip": {} }, "amount_received": if paid { self.amount } else { 0 },
            "canceled_at": canceled, "cancellation_reason": canceled.map(|_| "void_invoice"),
            "capture_method": "automatic", "client_secret": format!("{}_secret", self.id),
            "confirmation_method": "automatic", "currency": &*self.currency,
            "customer": &*self.customer, "last_payment_error": failed,
            "latest_charge": self.latest_charge, "metadata": {},
            "payment_method": self.payment_method, "payment_method_options": {},
            "payment_method_types": ["card"], "setup_future_usage": "off_session",
            "status": status,
        });
        if shape == Shape::Old {
            extend(&mut object, json!({ "invoice": &*self.invoice }));
        }
        shape.finish(object, &INTENT_NULLS)
    }
}

impl Charge {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let captured = if self.paid { self.amount } else { 0 };
        let mut object = json!({
            "id": &*self.id, "object": "charge", "created": self.created, "livemode": false,
            "amount": self.amount, "amount_captured": captured, "amount_refunded": self.refunded,
            "billing_details": address(self.email.as_deref(), None), "captured": self.paid,
            "currency": &*self.currency, "customer": &*self.customer,
            "description": "Subscription", "disputed": self.disputed,
            "metadata": {}, "paid": self.paid, "payment_intent": &*self.intent,
            "payment_method": self.payment_method, "fraud_details": {},
            "refunded": self.paid && self.refunded == self.amount,
            "status": if self.paid { "succeeded" } else { "failed" },
        });
        self.details(&mut object, shape);
        shape.finish(object, &CHARGE_NULLS)
    }

    fn details(&self, object: &mut Value, shape: Shape) {
        let last4 = if self.paid { "4242" } else { "0341" };
        let checks = json!({
            "address_line1_check": null, "address_postal_code_check": null, "cvc_check": "pass",
        });
        let card = json!({
            "brand": "visa", "checks": checks, "country": "US", "exp_month": 8, "exp_year": 2034,
            "extended_authorization": { "status": "disabled" }, "fingerprint": "sandbox",
            "funding": "credit", "incremental_authorization": { "status": "unavailable" },
            "last4": last4, "multicapture": { "status": "unavailable" }, "network": "visa",
            "overcapture": { "maximum_amount_capturable": self.amount, "status": "unavailable" },
        });
        let card = shape.finish(card, &CARD_NULLS);
        extend(object, json!({ "payment_method_details": { "type": "card", "card": card } }));
        let mut outcome = json!({
            "advice_code": null, "network_advice_code": null, "network_decline_code": null,
            "network_status": "approved_by_network", "reason": null, "risk_level": "normal",
            "seller_message": "Payment complete.", "type": "authorized",
        });
        if !self.paid {
            let failure = "Your card was declined.";
            extend(object, json!({ "failure_code": "card_declined", "failure_message": failure }));
            let seller = "The bank did not return any further details with this decline.";
            let declined = json!({
                "advice_code": "try_again_later", "network_decline_code": "01",
                "network_status": "declined_by_network", "reason": "generic_decline",
                "seller_message": seller, "type": "issuer_declined",
            });
            extend(&mut outcome, declined);
        }
        extend(object, json!({ "outcome": outcome }));
        if shape == Shape::Old {
            extend(object, json!({ "invoice": &*self.invoice }));
        }
    }
}

impl InvoicePayment {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let (paid_at, canceled_at) = match self.state {
            PaymentState::Open => (None, None),
            PaymentState::Paid(at) => (Some(at), None),
            PaymentState::Canceled(at) => (None, Some(at)),
        };
        let object = json!({
            "id": &*self.id, "object": "invoice_payment", "created": self.created,
            "livemode": false, "amount_paid": paid_at.map(|_| self.amount),
            "amount_requested": self.amount, "currency": &*self.currency,
            "invoice": &*self.invoice, "is_default": true,
            "payment": { "type": "payment_intent", "payment_intent": &*self.intent },
            "status": self.state.word(),
            "status_transitions": { "canceled_at": canceled_at, "paid_at": paid_at },
        });
        shape.finish(object, &[])
    }
}
