//! The customer portal.

use std::sync::Arc;

use super::{
    customer::Customer,
    engine::Engine,
    error::Error,
    id::{Id, Metadata},
};

/// A page on which a customer manages what they have.
#[derive(Clone, Debug, PartialEq)]
pub struct PortalSession {
    /// `bps_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// Whose page it is.
    pub customer: Id,
    /// What it offers.
    pub configuration: Id,
    /// Where it leads back to.
    pub return_url: Option<String>,
    /// The language of the page.
    pub locale: Option<String>,
    /// The page.
    pub page: Arc<str>,
}

/// What portals offer.
#[derive(Clone, Debug, PartialEq)]
pub struct Configuration {
    /// `bpc_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// Whether it holds where none is named.
    pub is_default: bool,
    /// What the caller chose.
    pub offer: Offer,
}

/// What a portal offers.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::struct_excessive_bools, reason = "Stripe's own switches")]
pub struct Offer {
    /// What stands on top.
    pub headline: Option<String>,
    /// Where it leads back to.
    pub return_url: Option<String>,
    /// A list of invoices.
    pub invoice_history: bool,
    /// Another card.
    pub payment_method_update: bool,
    /// The end of a subscription.
    pub subscription_cancel: bool,
    /// Whether that is the end of its period, or at once.
    pub cancel_at_period_end: bool,
    /// What the caller attached.
    pub metadata: Metadata,
}

impl Default for Offer {
    fn default() -> Self {
        Self {
            headline: None,
            return_url: None,
            invoice_history: true,
            payment_method_update: true,
            subscription_cancel: true,
            cancel_at_period_end: true,
            metadata: Metadata::default(),
        }
    }
}

impl Engine {
    /// What portals offer; the first one made holds where none is named.
    pub fn create_configuration(&mut self, offer: Offer) -> Id {
        let id = self.draw("bpc_1", 23);
        let is_default = self.configurations().next().is_none();
        let created = self.now();
        let row = Configuration { id: id.clone(), created, is_default, offer };
        self.create("billing_portal.configuration.created", row);
        id
    }

    /// A page for a customer.
    pub fn create_portal(
        &mut self,
        customer: &str,
        configuration: Option<&str>,
        return_url: Option<String>,
        locale: Option<String>,
    ) -> Result<Id, Error> {
        let customer = self.find::<Customer>(customer).map_err(|error| error.of("customer"))?;
        let default = self.configurations().find(|row| row.is_default).map(|row| row.id.clone());
        let chosen = match configuration.map(Id::from).or(default) {
            Some(id) => id,
            None => self.create_configuration(Offer::default()),
        };
        let chosen = self.find::<Configuration>(&chosen);
        let chosen = chosen.map_err(|error| error.of("configuration"))?;
        let id = self.draw("bps_1", 23);
        let session = PortalSession {
            id: id.clone(),
            created: self.now(),
            customer: customer.id.clone(),
            configuration: chosen.id.clone(),
            return_url: return_url.or_else(|| chosen.offer.return_url.clone()),
            locale,
            page: format!("{}/p/session/{id}", self.settings.pages).into(),
        };
        self.create("billing_portal.session.created", session);
        Ok(id)
    }
}
