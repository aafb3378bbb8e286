use std::sync::Arc;

use super::{Answer, Call, set};
use crate::stripe::{
    calendar::Cadence,
    catalog::{NewPrice, Price, PriceDetails, Product, ProductDetails},
    customer::{Customer, Profile},
    error::Error,
    form::Params,
    id::merge,
};

impl Call<'_> {
    pub(super) fn catalog(&mut self, method: &str, segments: &[&str]) -> Option<Answer> {
        Some(match (method, segments) {
            ("POST", ["customers"]) => self.create_customer(),
            ("POST", ["customers", id]) => self.update_customer(id),
            ("GET", ["customers", id]) => self.retrieve::<Customer>(id),
            ("GET", ["customers"]) => self.list_customers(),
            ("POST", ["products"]) => self.create_product(),
            ("POST", ["products", id]) => self.update_product(id),
            ("GET", ["products", id]) => self.retrieve::<Product>(id),
            ("GET", ["products"]) => self.list_products(),
            ("POST", ["prices"]) => self.create_price(),
            ("POST", ["prices", id]) => self.update_price(id),
            ("GET", ["prices", id]) => self.retrieve::<Price>(id),
            ("GET", ["prices"]) => self.list_prices(),
            _ => return None,
        })
    }

    fn create_customer(&mut self) -> Answer {
        let mut profile = Profile::default();
        fill_profile(self.params, &mut profile)?;
        self.done()?;
        let id = self.engine.create_customer(profile);
        self.show::<Customer>(&id)
    }

    fn update_customer(&mut self, id: &str) -> Answer {
        let mut profile = self.engine.find::<Customer>(id)?.profile.clone();
        fill_profile(self.params, &mut profile)?;
        self.done()?;
        self.engine.update_customer(id, |current| *current = profile)?;
        self.show::<Customer>(id)
    }

    fn list_customers(&mut self) -> Answer {
        let email = self.params.text("email")?;
        self.page("/v1/customers", |row: &Customer| email.is_none() || row.profile.email == email)
    }

    fn create_product(&mut self) -> Answer {
        let id = self.params.text("id")?;
        let mut details =
            ProductDetails { name: self.params.required("name")?, ..ProductDetails::default() };
        fill_product(self.params, &mut details)?;
        self.done()?;
        let id = self.engine.create_product(id.as_deref(), details)?;
        self.show::<Product>(&id)
    }

    fn update_product(&mut self, id: &str) -> Answer {
        let mut details = self.engine.find::<Product>(id)?.details.clone();
        if let Some(name) = self.params.text("name")? {
            details.name = name;
        }
        fill_product(self.params, &mut details)?;
        self.done()?;
        self.engine.update_product(id, |current| *current = details)?;
        self.show::<Product>(id)
    }

    fn list_products(&mut self) -> Answer {
        let active = self.params.one::<bool>("active")?;
        let ids = self.params.texts("ids")?;
        self.page("/v1/products", |row: &Product| {
            let named = ids.is_empty() || ids.iter().any(|id| **id == *row.id);
            named && active.is_none_or(|active| active != row.details.archived)
        })
    }

    fn create_price(&mut self) -> Answer {
        let mut details = PriceDetails::default();
        let transfer = fill_price(self.params, &mut details)?;
        let recurring = self.params.within("recurring", |part| {
            part.ignore(&["usage_type"]);
            let interval = part.one("interval")?;
            let interval = interval.ok_or_else(|| Error::missing("recurring[interval]"))?;
            Ok(Cadence { interval, count: part.one("interval_count")?.unwrap_or(1) })
        })?;
        let new = NewPrice {
            product: self.params.required("product")?.into(),
            currency: self.params.required("currency")?,
            unit_amount: self
                .params
                .one("unit_amount")?
                .ok_or_else(|| Error::missing("unit_amount"))?,
            cadence: recurring
                .ok_or_else(|| Error::beyond("recurring", "A price that is not recurring"))?,
            details,
            transfer_lookup_key: transfer,
        };
        self.params.ignore(&["tax_behavior", "billing_scheme"]);
        self.done()?;
        let id = self.engine.create_price(new)?;
        self.show::<Price>(&id)
    }

    fn update_price(&mut self, id: &str) -> Answer {
        let mut details = self.engine.find::<Price>(id)?.details.clone();
        let transfer = fill_price(self.params, &mut details)?;
        self.done()?;
        self.engine.update_price(id, transfer, |current| *current = details)?;
        self.show::<Price>(id)
    }

    fn list_prices(&mut self) -> Answer {
        let keys = self.params.texts("lookup_keys")?;
        let product = self.params.text("product")?;
        let active = self.params.one::<bool>("active")?;
        self.params.ignore(&["type", "currency"]);
        self.page("/v1/prices", |row: &Price| {
            let key = row.details.lookup_key.as_ref();
            let named = keys.is_empty() || key.is_some_and(|key| keys.contains(key));
            let sold = active.is_none_or(|active| active != row.details.archived);
            named && sold && super::fits(product.as_ref(), &row.product)
        })
    }
}

fn fill_profile(params: &mut Params, profile: &mut Profile) -> Result<(), Error> {
    set(&mut profile.email, params.text("email")?);
    set(&mut profile.name, params.text("name")?);
    set(&mut profile.phone, params.text("phone")?);
    set(&mut profile.description, params.text("description")?);
    let locales = params.texts("preferred_locales")?;
    if !locales.is_empty() {
        profile.locales = locales;
    }
    merge(&mut profile.metadata, &params.pairs("metadata")?);
    Ok(())
}

fn fill_product(params: &mut Params, details: &mut ProductDetails) -> Result<(), Error> {
    set(&mut details.description, params.text("description")?);
    if let Some(active) = params.one::<bool>("active")? {
        details.archived = !active;
    }
    if let Some(price) = params.text("default_price")? {
        details.default_price = Some(price.into()).filter(|price: &Arc<str>| !price.is_empty());
    }
    merge(&mut details.metadata, &params.pairs("metadata")?);
    params.ignore(&["type", "tax_code", "unit_label", "statement_descriptor", "url"]);
    Ok(())
}

/// Says whether the lookup key is taken from whoever has it.
fn fill_price(params: &mut Params, details: &mut PriceDetails) -> Result<bool, Error> {
    set(&mut details.lookup_key, params.text("lookup_key")?);
    set(&mut details.nickname, params.text("nickname")?);
    if let Some(active) = params.one::<bool>("active")? {
        details.archived = !active;
    }
    merge(&mut details.metadata, &params.pairs("metadata")?);
    Ok(params.one("transfer_lookup_key")?.unwrap_or(false))
}
