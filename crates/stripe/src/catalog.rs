//! Stripe's products and prices, kept in step with our tiers.
//!
//! A tier is one product and one monthly price, found by metadata and by lookup key. A price cannot be
//! changed at Stripe: a new one takes over the lookup key, and who bought at the old one stays there.

use std::collections::BTreeMap;

use oc_domain::{TierId, catalog::Tier};
use strum::{Display, VariantArray as _};

use crate::{
    Error, Stripe,
    standing::{TIER, TOKENS, word},
    wire,
};

const CURRENCY: &str = "usd";

/// What was done for a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The tier.
    pub tier: TierId,
    /// What became of its product.
    pub product: Change,
    /// What became of its price.
    pub price: Change,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Display)]
#[strum(serialize_all = "lowercase")]
pub enum Change {
    /// It was as it should be.
    Unchanged,
    /// There was none.
    Created,
    /// It was different.
    Updated,
}

impl Stripe {
    /// Makes products and prices as the catalog has them. Without a difference nothing is written;
    /// with `dry`, nothing is in any case.
    pub async fn sync_catalog(&self, dry: bool) -> Result<Vec<Synced>, Error> {
        let active = vec![("active", "true".to_owned())];
        let products: Vec<wire::Product> = self.list("/products", &active).await?;
        let mut by_tier: BTreeMap<TierId, wire::Product> = BTreeMap::new();
        for product in products {
            if let Some(tier) = word(product.metadata.as_ref(), TIER) {
                // The oldest one, where somebody made a second: lists begin with the newest.
                by_tier.insert(tier, product);
            }
        }
        let mut synced = Vec::new();
        for id in TierId::VARIANTS {
            let (product, change) = self.sync_product(*id, by_tier.remove(id), dry).await?;
            let price = self.sync_price(*id, product.as_deref(), dry).await?;
            synced.push(Synced { tier: *id, product: change, price });
        }
        Ok(synced)
    }

    async fn sync_product(
        &self,
        id: TierId,
        found: Option<wire::Product>,
        dry: bool,
    ) -> Result<(Option<String>, Change), Error> {
        let parameters = vec![
            ("name", name(id)),
            ("metadata[tier]", id.to_string()),
            ("metadata[tokens_limit]", tokens(id.get())),
        ];
        let Some(product) = found else {
            if dry {
                return Ok((None, Change::Created));
            }
            let key = format!("product-{id}-{}", tokens(id.get()));
            let product: wire::Product = self.post("/products", &parameters, &key).await?;
            return Ok((Some(product.id), Change::Created));
        };
        let limit = product.metadata.as_ref().and_then(|metadata| metadata.get(TOKENS));
        let same = product.name == Some(name(id))
            && limit == Some(&tokens(id.get()))
            && product.active != Some(false);
        if same || dry {
            let change = if same { Change::Unchanged } else { Change::Updated };
            return Ok((Some(product.id), change));
        }
        let path = format!("/products/{}", product.id);
        let key = format!("product-{}-{id}-{}-{}", product.id, name(id), tokens(id.get()));
        let product: wire::Product = self.post(&path, &parameters, &key).await?;
        Ok((Some(product.id), Change::Updated))
    }

    async fn sync_price(
        &self,
        id: TierId,
        product: Option<&str>,
        dry: bool,
    ) -> Result<Change, Error> {
        let tier = id.get();
        let cents = tier.price_cents.to_string();
        let known = self.find_price(id).await?;
        let change = match &known {
            None => Change::Created,
            Some(price) => {
                let limit = price.metadata.as_ref().and_then(|metadata| metadata.get(TOKENS));
                let same = price.unit_amount.map(|cents| cents.to_string()) == Some(cents.clone())
                    && price.currency.as_deref() == Some(CURRENCY)
                    && limit == Some(&tokens(tier))
                    && word(price.metadata.as_ref(), TIER) == Some(id);
                if same { Change::Unchanged } else { Change::Updated }
            }
        };
        let Some(product) = product.filter(|_| !dry && change != Change::Unchanged) else {
            return Ok(change);
        };
        let parameters = vec![
            ("product", product.to_owned()),
            ("currency", CURRENCY.to_owned()),
            ("unit_amount", cents.clone()),
            ("recurring[interval]", "month".to_owned()),
            ("lookup_key", lookup_key(id)),
            ("transfer_lookup_key", "true".to_owned()),
            ("metadata[tier]", id.to_string()),
            ("metadata[tokens_limit]", tokens(tier)),
        ];
        // The price that it follows is part of the key: a price may be changed there and back.
        let after = known.map_or_else(|| "none".to_owned(), |price| price.id);
        let key = format!("price-{id}-{cents}-{}-after-{after}", tokens(tier));
        self.post::<wire::Price>("/prices", &parameters, &key).await?;
        Ok(change)
    }

    async fn find_price(&self, tier: TierId) -> Result<Option<wire::Price>, Error> {
        let of = vec![("lookup_keys[0]", lookup_key(tier)), ("active", "true".to_owned())];
        let prices: Vec<wire::Price> = self.list("/prices", &of).await?;
        Ok(prices.into_iter().find(|price| price.active != Some(false)))
    }

    /// The id of the price at which a tier is sold.
    pub(crate) async fn price_of(&self, tier: TierId) -> Result<String, Error> {
        let missing = || Error::Missing(format!("price {}: run sync-catalog", lookup_key(tier)));
        Ok(self.find_price(tier).await?.ok_or_else(missing)?.id)
    }
}

fn lookup_key(tier: TierId) -> String {
    format!("openclaw_{tier}_month")
}

fn name(tier: TierId) -> String {
    format!("OpenClaw {tier}")
}

fn tokens(tier: &Tier) -> String {
    tier.tokens_per_month.most().map_or_else(|| "contract".to_owned(), |tokens| tokens.to_string())
}
