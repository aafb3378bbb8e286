use serde_json::{Value, json};

use super::{
    super::{
        checkout::{Session, SessionState},
        shape::Shape,
    },
    address, extend,
};

const NULLS: [&str; 31] = [
    "adaptive_pricing",
    "after_expiration",
    "allow_promotion_codes",
    "billing_address_collection",
    "client_secret",
    "collected_information",
    "consent",
    "consent_collection",
    "currency_conversion",
    "customer_account",
    "discounts",
    "integration_identifier",
    "invoice_creation",
    "managed_payments",
    "optional_items",
    "origin_context",
    "payment_intent",
    "payment_link",
    "payment_method_configuration_details",
    "permissions",
    "recovered_from",
    "saved_payment_method_options",
    "setup_intent",
    "shipping_address_collection",
    "shipping_cost",
    "submit_type",
    "wallet_options",
    "customer_creation",
    "customer_email",
    "locale",
    "payment_method_options",
];

impl Session {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let order = &self.order;
        let state: &str = self.state.into();
        let open = self.state == SessionState::Open;
        let collection = if order.card_optional { "if_required" } else { "always" };
        let mut object = json!({
            "id": &*self.id, "object": "checkout.session", "created": self.created,
            "livemode": false, "amount_subtotal": self.total(), "amount_total": self.total(),
            "currency": &*order.price.currency, "customer": self.customer,
            "client_reference_id": order.client_reference_id, "expires_at": self.expires_at,
            "invoice": self.invoice, "subscription": self.subscription, "status": state,
            "metadata": *order.metadata, "mode": "subscription",
            "payment_method_collection": collection, "payment_method_types": ["card"],
            "payment_status": self.payment_status(), "ui_mode": ui_mode(shape),
            "success_url": order.success_url, "cancel_url": order.cancel_url,
            "url": open.then_some(&*self.page),
        });
        self.details(&mut object);
        shape.finish(object, &NULLS)
    }

    fn details(&self, object: &mut Value) {
        let order = &self.order;
        let text = json!({
            "after_submit": null, "shipping_address": null, "submit": null,
            "terms_of_service_acceptance": null,
        });
        let email = order.customer_email.as_deref();
        let mut details = address(email, None);
        if let Some(details) = details.as_object_mut() {
            details.remove("tax_id");
            details.insert("tax_exempt".to_owned(), "none".into());
            details.insert("tax_ids".to_owned(), Value::Null);
        }
        let details = if email.is_some() { details } else { Value::Null };
        let total = json!({ "amount_discount": 0, "amount_shipping": 0, "amount_tax": 0 });
        let methods = json!({ "card": { "request_three_d_secure": "automatic" } });
        let no_tax =
            json!({ "enabled": false, "liability": null, "provider": null, "status": null });
        extend(
            object,
            json!({
                "automatic_tax": no_tax, "custom_fields": [], "custom_text": text,
                "customer_details": details, "customer_email": email, "locale": order.locale,
                "payment_method_options": methods, "phone_number_collection": { "enabled": false },
                "shipping_options": [], "total_details": total,
            }),
        );
    }

    /// Cents to pay now.
    pub(in super::super) fn total(&self) -> i64 {
        let order = &self.order;
        let amount = order.price.unit_amount.saturating_mul(order.quantity.into());
        if order.trial_days.is_some() { 0 } else { amount }
    }

    fn payment_status(&self) -> &'static str {
        match (self.state, self.charged) {
            (SessionState::Complete, true) => "paid",
            (SessionState::Complete, false) => "no_payment_required",
            _ => "unpaid",
        }
    }

    /// What is bought: the lines that a caller asks for apart.
    pub(in super::super) fn lines(&self, shape: Shape) -> Value {
        let order = &self.order;
        let total = self.total();
        json!([{
            "id": &*order.line, "object": "item", "amount_discount": 0, "amount_subtotal": total,
            "amount_tax": 0, "amount_total": total, "currency": &*order.price.currency,
            "description": order.price.details.nickname, "price": order.price.json(shape),
            "quantity": order.quantity, "adjustable_quantity": null, "metadata": null,
        }])
    }
}

/// `hosted` was renamed in 2026.
fn ui_mode(shape: Shape) -> &'static str {
    if shape == Shape::Old { "hosted" } else { "hosted_page" }
}
