use std::sync::Arc;

use super::{Answer, Call, fits};
use crate::stripe::{
    catalog::Price,
    checkout::{Order, Session, SessionState},
    error::Error,
    form::Params,
    id::merge,
    portal::{Configuration, Offer, PortalSession},
    subscription::WithoutCard,
};

/// Parameters that change nothing here.
const COSMETIC: [&str; 13] = [
    "allow_promotion_codes",
    "automatic_tax",
    "billing_address_collection",
    "branding_settings",
    "consent_collection",
    "custom_text",
    "customer_update",
    "origin_context",
    "payment_method_options",
    "payment_method_types",
    "phone_number_collection",
    "saved_payment_method_options",
    "tax_id_collection",
];

impl Call<'_> {
    pub(super) fn checkout(&mut self, method: &str, segments: &[&str]) -> Option<Answer> {
        Some(match (method, segments) {
            ("POST", ["checkout", "sessions"]) => self.create_session(),
            ("POST", ["checkout", "sessions", id, "expire"]) => self.expire_session(id),
            ("GET", ["checkout", "sessions", id]) => self.retrieve::<Session>(id),
            ("GET", ["checkout", "sessions"]) => self.list_sessions(),
            ("POST", ["billing_portal", "sessions"]) => self.create_portal(),
            ("POST", ["billing_portal", "configurations"]) => self.create_configuration(),
            ("GET", ["billing_portal", "configurations", id]) => self.retrieve::<Configuration>(id),
            ("GET", ["billing_portal", "configurations"]) => self.list_configurations(),
            _ => return None,
        })
    }

    fn create_session(&mut self) -> Answer {
        if self.params.required("mode")? != "subscription" {
            return Err(Error::beyond("mode", "A checkout that is no subscription"));
        }
        let ui_mode = self.params.text("ui_mode")?;
        if ui_mode.is_some_and(|mode| !mode.starts_with("hosted")) {
            return Err(Error::beyond("ui_mode", "A checkout that is not hosted"));
        }
        let order = self.order()?;
        self.params.ignore(&COSMETIC);
        self.done()?;
        let id = self.engine.create_checkout(order)?;
        self.show::<Session>(&id)
    }

    fn order(&mut self) -> Result<Order, Error> {
        let lines = self.params.each("line_items", |line| {
            Ok((line.required("price")?, line.one("quantity")?.unwrap_or(1)))
        })?;
        let lines = lines.ok_or_else(|| Error::missing("line_items"))?;
        let [(price, quantity)] = lines.as_slice() else {
            return Err(Error::beyond("line_items", "A checkout of several prices"));
        };
        let price = self.engine.find::<Price>(price);
        let price: Arc<Price> = price.map_err(|error| error.of("line_items[0][price]"))?;
        let customer = self.params.text("customer")?.map(Into::into);
        let mut order = Order::new(customer, price, self.params.required("success_url")?);
        order.quantity = *quantity;
        order.cancel_url = self.params.text("cancel_url")?;
        order.customer_email = self.params.text("customer_email")?;
        order.client_reference_id = self.params.text("client_reference_id")?;
        order.locale = self.params.text("locale")?;
        order.expires_at = self.params.one("expires_at")?;
        let collection = self.params.text("payment_method_collection")?;
        order.card_optional = collection.is_some_and(|when| when == "if_required");
        merge(&mut order.metadata, &self.params.pairs("metadata")?);
        self.params.within("subscription_data", |part| fill_subscription(part, &mut order))?;
        Ok(order)
    }

    fn expire_session(&mut self, id: &str) -> Answer {
        self.done()?;
        self.engine.expire_checkout(id)?;
        self.show::<Session>(id)
    }

    fn list_sessions(&mut self) -> Answer {
        let customer = self.params.text("customer")?;
        let subscription = self.params.text("subscription")?;
        let status = self.params.one::<SessionState>("status")?;
        self.page("/v1/checkout/sessions", |row: &Session| {
            fits(customer.as_ref(), row.customer.as_deref().unwrap_or_default())
                && fits(subscription.as_ref(), row.subscription.as_deref().unwrap_or_default())
                && status.is_none_or(|status| status == row.state)
        })
    }

    fn create_portal(&mut self) -> Answer {
        let customer = self.params.required("customer")?;
        let configuration = self.params.text("configuration")?;
        let return_url = self.params.text("return_url")?;
        let locale = self.params.text("locale")?;
        self.params.ignore(&["flow_data"]);
        self.done()?;
        let configuration = configuration.as_deref();
        let id = self.engine.create_portal(&customer, configuration, return_url, locale)?;
        self.show::<PortalSession>(&id)
    }

    fn create_configuration(&mut self) -> Answer {
        let params = &mut *self.params;
        let mut offer = Offer {
            invoice_history: false,
            payment_method_update: false,
            subscription_cancel: false,
            ..Offer::default()
        };
        offer.return_url = params.text("default_return_url")?;
        merge(&mut offer.metadata, &params.pairs("metadata")?);
        let headline = params.within("business_profile", |part| {
            part.ignore(&["privacy_policy_url", "terms_of_service_url"]);
            part.text("headline")
        })?;
        offer.headline = headline.flatten();
        params.within("features", |part| fill_offer(part, &mut offer))?;
        params.ignore(&["login_page", "name"]);
        self.done()?;
        let id = self.engine.create_configuration(offer);
        self.show::<Configuration>(&id)
    }

    fn list_configurations(&mut self) -> Answer {
        let default = self.params.one::<bool>("is_default")?;
        let active = self.params.one::<bool>("active")?;
        self.page("/v1/billing_portal/configurations", |row: &Configuration| {
            default.is_none_or(|default| default == row.is_default) && active != Some(false)
        })
    }
}

fn fill_subscription(part: &mut Params, order: &mut Order) -> Result<(), Error> {
    merge(&mut order.subscription_metadata, &part.pairs("metadata")?);
    order.trial_days = part.one("trial_period_days")?;
    let without_card = part.within("trial_settings", |part| {
        let inner =
            part.within("end_behavior", |part| part.one::<WithoutCard>("missing_payment_method"))?;
        Ok(inner.flatten())
    })?;
    order.without_card = without_card.flatten().unwrap_or_default();
    part.ignore(&["billing_mode", "description"]);
    Ok(())
}

fn fill_offer(part: &mut Params, offer: &mut Offer) -> Result<(), Error> {
    let enabled = |part: &mut Params| Ok(part.one::<bool>("enabled")?.unwrap_or(false));
    offer.invoice_history = part.within("invoice_history", enabled)?.unwrap_or(false);
    offer.payment_method_update = part.within("payment_method_update", enabled)?.unwrap_or(false);
    let cancel = part.within("subscription_cancel", |part| {
        part.ignore(&["cancellation_reason", "proration_behavior"]);
        let mode = part.text("mode")?;
        offer.cancel_at_period_end = mode.is_none_or(|mode| mode == "at_period_end");
        enabled(part)
    })?;
    offer.subscription_cancel = cancel.unwrap_or(false);
    let update = part.within("subscription_update", |part| {
        part.ignore(&["default_allowed_updates", "products", "proration_behavior"]);
        enabled(part)
    })?;
    if update == Some(true) {
        let name = "features[subscription_update]";
        return Err(Error::beyond(name, "A portal that changes prices"));
    }
    part.ignore(&["customer_update"]);
    Ok(())
}
