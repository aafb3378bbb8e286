use serde_json::{Value, json};

use super::super::{
    calendar::Cadence,
    catalog::{Price, Product},
    shape::Shape,
};

const PRODUCT_NULLS: [&str; 6] =
    ["package_dimensions", "shippable", "statement_descriptor", "tax_code", "unit_label", "url"];
const PRICE_NULLS: [&str; 3] = ["custom_unit_amount", "tiers_mode", "transform_quantity"];
const PLAN_NULLS: [&str; 4] = ["meter", "tiers_mode", "transform_usage", "trial_period_days"];

impl Product {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let details = &self.details;
        let object = json!({
            "id": &*self.id, "object": "product", "created": self.created, "livemode": false,
            "active": !details.archived, "name": details.name, "updated": self.updated,
            "description": details.description, "default_price": details.default_price,
            "images": [], "marketing_features": [], "metadata": *details.metadata,
            "type": "service",
        });
        shape.finish(object, &PRODUCT_NULLS)
    }
}

impl Price {
    /// The JSON of it.
    pub(in super::super) fn json(&self, shape: Shape) -> Value {
        let details = &self.details;
        let Cadence { interval, count } = self.cadence;
        let interval: &str = interval.into();
        let recurring = json!({
            "interval": interval, "interval_count": count, "meter": null,
            "usage_type": "licensed",
        });
        let object = json!({
            "id": &*self.id, "object": "price", "created": self.created, "livemode": false,
            "active": !details.archived, "billing_scheme": "per_unit", "type": "recurring",
            "currency": &*self.currency, "lookup_key": details.lookup_key,
            "metadata": *details.metadata, "nickname": details.nickname,
            "product": &*self.product, "recurring": recurring, "tax_behavior": "unspecified",
            "unit_amount": self.unit_amount, "unit_amount_decimal": self.unit_amount.to_string(),
        });
        shape.finish(object, &PRICE_NULLS)
    }

    /// What a price was before there were prices; still in items and lines.
    pub(super) fn plan(&self, shape: Shape) -> Value {
        let Cadence { interval, count } = self.cadence;
        let interval: &str = interval.into();
        let object = json!({
            "id": &*self.id, "object": "plan", "created": self.created, "livemode": false,
            "active": !self.details.archived, "amount": self.unit_amount,
            "amount_decimal": self.unit_amount.to_string(), "billing_scheme": "per_unit",
            "currency": &*self.currency, "interval": interval, "interval_count": count,
            "metadata": *self.details.metadata, "nickname": self.details.nickname,
            "product": &*self.product, "usage_type": "licensed",
        });
        shape.finish(object, &PLAN_NULLS)
    }
}
