//! Products and their prices.

use std::sync::Arc;

use super::{
    calendar::Cadence,
    engine::Engine,
    error::Error,
    id::{Id, Metadata},
};

/// What is sold.
#[derive(Clone, Debug, PartialEq)]
pub struct Product {
    /// `prod_`, or what the caller called it.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// In seconds after 1970.
    pub updated: i64,
    /// What the caller said.
    pub details: ProductDetails,
}

/// What a caller says of a product.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ProductDetails {
    /// Its name.
    pub name: String,
    /// Its description.
    pub description: Option<String>,
    /// Whether it is on sale no longer.
    pub archived: bool,
    /// The price that is offered first.
    pub default_price: Option<Id>,
    /// What the caller attached.
    pub metadata: Metadata,
}

/// What a product costs, again and again.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// `price_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// The product.
    pub product: Id,
    /// The currency, in lower-case letters.
    pub currency: Arc<str>,
    /// Cents of one unit for one period.
    pub unit_amount: i64,
    /// How often it is due.
    pub cadence: Cadence,
    /// What a caller may change.
    pub details: PriceDetails,
}

/// What of a price may change.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PriceDetails {
    /// The one price that is found by this key.
    pub lookup_key: Option<String>,
    /// Whether it is on sale no longer.
    pub archived: bool,
    /// A short name.
    pub nickname: Option<String>,
    /// What the caller attached.
    pub metadata: Metadata,
}

/// A price to be made.
#[derive(Clone, Debug)]
pub struct NewPrice {
    /// The product.
    pub product: Id,
    /// The currency, in lower-case letters.
    pub currency: String,
    /// Cents of one unit for one period.
    pub unit_amount: i64,
    /// How often it is due.
    pub cadence: Cadence,
    /// What may change later.
    pub details: PriceDetails,
    /// Whether the lookup key is taken from the price that has it.
    pub transfer_lookup_key: bool,
}

impl Engine {
    /// A product, with this id or a drawn one.
    pub fn create_product(
        &mut self,
        id: Option<&str>,
        details: ProductDetails,
    ) -> Result<Id, Error> {
        let id = id.map_or_else(|| self.draw("prod_", 14), Id::from);
        if self.product(&id).is_some() {
            let message = format!("Product already exists: {id}");
            return Err(Error::parameter("id", "resource_already_exists", message));
        }
        let now = self.now();
        let product = Product { id: id.clone(), created: now, updated: now, details };
        self.create("product.created", product);
        Ok(id)
    }

    /// Changes what is said of a product.
    pub fn update_product(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut ProductDetails),
    ) -> Result<(), Error> {
        let now = self.now();
        self.change("product.updated", id, |product: &mut Product| {
            let before = product.details.clone();
            change(&mut product.details);
            if product.details != before {
                product.updated = now;
            }
        })?;
        Ok(())
    }

    /// A price of a product.
    pub fn create_price(&mut self, new: NewPrice) -> Result<Id, Error> {
        self.find::<Product>(&new.product).map_err(|error| error.of("product"))?;
        if new.unit_amount < 0 {
            return Err(Error::parameter(
                "unit_amount",
                "parameter_invalid_integer",
                "Invalid non-negative integer",
            ));
        }
        self.free_key(new.details.lookup_key.as_deref(), new.transfer_lookup_key, None)?;
        let id = self.draw("price_1", 23);
        let price = Price {
            id: id.clone(),
            created: self.now(),
            product: new.product,
            currency: new.currency.into(),
            unit_amount: new.unit_amount,
            cadence: new.cadence,
            details: new.details,
        };
        self.create("price.created", price);
        Ok(id)
    }

    /// Changes what of a price may change; `transfer` takes its lookup key from another one.
    pub fn update_price(
        &mut self,
        id: &str,
        transfer: bool,
        change: impl FnOnce(&mut PriceDetails),
    ) -> Result<(), Error> {
        let mut details = self.find::<Price>(id)?.details.clone();
        change(&mut details);
        self.free_key(details.lookup_key.as_deref(), transfer, Some(id))?;
        self.change("price.updated", id, |price: &mut Price| price.details = details)?;
        Ok(())
    }

    /// Makes sure that no other price has the key.
    fn free_key(
        &mut self,
        key: Option<&str>,
        transfer: bool,
        own: Option<&str>,
    ) -> Result<(), Error> {
        let Some(key) = key else { return Ok(()) };
        let has = |price: &&Price| price.details.lookup_key.as_deref() == Some(key);
        let mut others = self.prices().filter(|price| Some(&*price.id) != own);
        let Some(holder) = others.find(has).map(|price| price.id.clone()) else { return Ok(()) };
        if !transfer {
            let message = format!("A price (`{holder}`) already uses that lookup key.");
            return Err(Error::parameter("lookup_key", "resource_already_exists", message));
        }
        drop(others);
        self.change("price.updated", &holder, |price: &mut Price| price.details.lookup_key = None)?;
        Ok(())
    }
}
