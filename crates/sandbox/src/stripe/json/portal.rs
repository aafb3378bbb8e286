use serde_json::{Value, json};

use super::super::{
    portal::{Configuration, PortalSession},
    shape::Shape,
};

const SESSION_NULLS: [&str; 4] = ["customer_account", "flow", "locale", "on_behalf_of"];

impl PortalSession {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let object = json!({
            "id": &*self.id, "object": "billing_portal.session", "created": self.created,
            "livemode": false, "configuration": &*self.configuration,
            "customer": &*self.customer, "locale": self.locale, "return_url": self.return_url,
            "url": &*self.page,
        });
        shape.finish(object, &SESSION_NULLS)
    }
}

impl Configuration {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let offer = &self.offer;
        let mode = if offer.cancel_at_period_end { "at_period_end" } else { "immediately" };
        let reason = json!({ "enabled": false, "options": [], "feedback_options": null });
        let features = json!({
            "customer_update": { "allowed_updates": [], "enabled": false },
            "invoice_history": { "enabled": offer.invoice_history },
            "payment_method_update": {
                "enabled": offer.payment_method_update, "payment_method_configuration": null,
            },
            "subscription_cancel": {
                "cancellation_reason": reason,
                "enabled": offer.subscription_cancel, "mode": mode, "proration_behavior": "none",
            },
            "subscription_update": {
                "billing_cycle_anchor": null, "default_allowed_updates": [], "enabled": false,
                "products": [],
                "proration_behavior": "none", "schedule_at_period_end": { "conditions": [] },
                "trial_update_behavior": "end_trial",
            },
        });
        let object = json!({
            "id": &*self.id, "object": "billing_portal.configuration", "created": self.created,
            "livemode": false, "active": true, "application": null, "features": features,
            "business_profile": {
                "headline": offer.headline, "privacy_policy_url": null,
                "terms_of_service_url": null,
            },
            "default_return_url": offer.return_url, "is_default": self.is_default,
            "login_page": { "enabled": false, "url": null }, "metadata": *offer.metadata,
            "name": null, "updated": self.created,
        });
        shape.finish(object, &[])
    }
}
