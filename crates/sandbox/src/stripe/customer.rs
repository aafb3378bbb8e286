//! Customers and what their bank says.

use std::sync::Arc;

use strum::EnumString;

use super::{
    engine::Engine,
    error::Error,
    id::{Id, Metadata},
};

/// A customer.
#[derive(Clone, Debug, PartialEq)]
pub struct Customer {
    /// `cus_`.
    pub id: Id,
    /// In seconds after 1970.
    pub created: i64,
    /// What the caller said of them.
    pub profile: Profile,
    /// What happens when their card is charged.
    pub card: Card,
    /// `pm_`: the default way to pay; absent without a card.
    pub payment_method: Option<Id>,
    /// What they owe from invoices before, in cents; negative if they have credit.
    pub balance: i64,
    /// Whether their last payment failed.
    pub delinquent: bool,
    /// What the numbers of their invoices begin with.
    pub(super) prefix: Arc<str>,
    pub(super) next_number: u32,
}

/// What a caller says of a customer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Profile {
    /// The e-mail address.
    pub email: Option<String>,
    /// The name.
    pub name: Option<String>,
    /// The phone number.
    pub phone: Option<String>,
    /// A description.
    pub description: Option<String>,
    /// Languages, the best first.
    pub locales: Vec<String>,
    /// What the caller attached.
    pub metadata: Metadata,
}

/// What happens when a customer is charged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, EnumString)]
#[strum(serialize_all = "snake_case")]
pub enum Card {
    /// There is no way to pay.
    #[default]
    None,
    /// Payments succeed.
    Works,
    /// Payments are declined.
    Declines,
}

impl Engine {
    /// A customer without a card.
    pub fn create_customer(&mut self, profile: Profile) -> Id {
        let id = self.draw("cus_", 14);
        let prefix: String = self.draw("", 8).to_uppercase();
        let customer = Customer {
            id: id.clone(),
            created: self.now(),
            profile,
            card: Card::None,
            payment_method: None,
            balance: 0,
            delinquent: false,
            prefix: prefix.into(),
            next_number: 1,
        };
        self.create("customer.created", customer);
        id
    }

    /// Changes what is said of a customer.
    pub fn update_customer(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Profile),
    ) -> Result<(), Error> {
        self.change("customer.updated", id, |customer: &mut Customer| {
            change(&mut customer.profile);
        })?;
        Ok(())
    }

    /// Gives a customer another card, or takes the one they have.
    pub fn set_card(&mut self, id: &str, card: Card) -> Result<(), Error> {
        let method = (card != Card::None).then(|| self.draw("pm_1", 23));
        self.change("customer.updated", id, |customer: &mut Customer| {
            customer.card = card;
            customer.payment_method = method;
        })?;
        Ok(())
    }
}
