use serde_json::{Value, json};

use super::{
    super::{
        calendar::Period,
        invoice::{Invoice, InvoiceState, Line},
        shape::Shape,
    },
    extend, list,
};

const NULLS: [&str; 28] = [
    "account_tax_ids",
    "application",
    "confirmation_secret",
    "custom_fields",
    "customer_account",
    "customer_address",
    "customer_phone",
    "customer_shipping",
    "default_payment_method",
    "default_source",
    "description",
    "due_date",
    "footer",
    "from_invoice",
    "last_finalization_error",
    "latest_revision",
    "on_behalf_of",
    "receipt_number",
    "rendering",
    "shipping_cost",
    "shipping_details",
    "statement_descriptor",
    "test_clock",
    "webhooks_delivered_at",
    "automatically_finalizes_at",
    "ending_balance",
    "number",
    "invoice_pdf",
];

impl Invoice {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let (state, reason): (&str, &str) = (self.state.into(), self.reason.into());
        let total = self.total();
        let lines: Vec<Value> = self.lines.iter().map(|line| line.json(self, shape)).collect();
        let finalized = self.state != InvoiceState::Draft;
        let mut object = json!({
            "id": &*self.id, "object": "invoice", "created": self.created, "livemode": false,
            "account_country": "US", "account_name": "Sandbox", "amount_due": self.due,
            "amount_overpaid": 0, "amount_paid": self.paid, "amount_paid_off_stripe": 0,
            "amount_remaining": self.due - self.paid, "amount_shipping": 0,
            "attempt_count": self.attempts, "attempted": self.attempted,
            "auto_advance": self.advances, "automatically_finalizes_at": self.finalizes_at,
            "billing_reason": reason, "collection_method": "charge_automatically",
            "currency": &*self.currency, "customer": &*self.customer,
            "customer_email": self.email, "customer_name": self.name,
            "customer_tax_exempt": "none", "customer_tax_ids": [], "default_tax_rates": [],
            "discounts": [], "effective_at": self.finalized_at,
            "ending_balance": self.ending_balance, "metadata": {}, "number": self.number,
            "hosted_invoice_url": finalized.then_some(&*self.page),
            "invoice_pdf": finalized.then(|| format!("{}/pdf", self.page)),
            "lines": list(&format!("/v1/invoices/{}/lines", self.id), &lines),
            "next_payment_attempt": self.next_attempt,
            "period_end": self.period.end, "period_start": self.period.start,
        });
        let amounts = json!({
            "post_payment_credit_notes_amount": 0, "pre_payment_credit_notes_amount": 0,
            "starting_balance": self.starting_balance, "status": state, "subtotal": total,
            "subtotal_excluding_tax": total, "total": total, "total_excluding_tax": total,
            "total_discount_amounts": [],
        });
        extend(&mut object, amounts);
        self.details(&mut object, shape);
        shape.finish(object, &NULLS)
    }

    fn details(&self, object: &mut Value, shape: Shape) {
        let no_tax = json!({
            "disabled_reason": null, "enabled": false, "liability": null, "provider": null,
            "status": null,
        });
        let transitions = json!({
            "finalized_at": self.finalized_at, "marked_uncollectible_at": null,
            "paid_at": self.paid_at, "voided_at": self.voided_at,
        });
        let settings = json!({
            "default_mandate": null, "payment_method_options": null, "payment_method_types": null,
        });
        extend(
            object,
            json!({
                "automatic_tax": no_tax, "issuer": { "type": "self" }, "payment_settings": settings,
                "status_transitions": transitions,
            }),
        );
        extend(
            object,
            if shape == Shape::Old {
                json!({
                    "charge": null, "paid": self.state == InvoiceState::Paid,
                    "paid_out_of_band": false, "payment_intent": self.intent,
                    "subscription": &*self.subscription,
                    "subscription_details": { "metadata": *self.metadata }, "tax": null,
                    "total_tax_amounts": [],
                })
            } else {
                let own =
                    json!({ "metadata": *self.metadata, "subscription": &*self.subscription });
                json!({
                    "parent": {
                        "quote_details": null, "subscription_details": own,
                        "type": "subscription_details",
                    },
                    "total_pretax_credit_amounts": [], "total_taxes": [],
                })
            },
        );
    }
}

impl Line {
    fn json(&self, invoice: &Invoice, shape: Shape) -> Value {
        let Period { start, end } = self.period;
        let price = &self.price;
        let mut object = json!({
            "id": &*self.id, "object": "line_item", "livemode": false, "amount": self.amount,
            "currency": &*invoice.currency, "description": self.description,
            "discount_amounts": [], "discountable": !self.proration, "discounts": [],
            "invoice": &*invoice.id, "metadata": *invoice.metadata,
            "period": { "start": start, "end": end }, "pretax_credit_amounts": [],
            "quantity": self.quantity, "quantity_decimal": self.quantity.to_string(),
            "subscription": &*invoice.subscription, "subtotal": self.amount,
        });
        extend(
            &mut object,
            if shape == Shape::Old {
                json!({
                    "amount_excluding_tax": self.amount, "plan": self.price.plan(shape),
                    "price": self.price.json(shape), "proration": self.proration,
                    "proration_details": { "credited_items": null },
                    "subscription_item": &*self.item, "tax_amounts": [], "tax_rates": [],
                    "type": "subscription",
                })
            } else {
                let own = json!({
                    "invoice_item": null, "proration": self.proration,
                    "proration_details": { "credited_items": null },
                    "subscription": &*invoice.subscription, "subscription_item": &*self.item,
                });
                json!({
                    "parent": {
                        "invoice_item_details": null, "subscription_item_details": own,
                        "type": "subscription_item_details",
                    },
                    "pricing": {
                        "price_details": { "price": &*price.id, "product": &*price.product },
                        "type": "price_details",
                        "unit_amount_decimal": price.unit_amount.to_string(),
                    },
                    "taxes": [],
                })
            },
        );
        object
    }
}
