//! Stripe: webhooks are verified, objects read and written. The only crate that knows its API.
//!
//! An event is a hint: [`webhook::verify`] says who may be concerned, and what is so is read again by
//! [`Stripe::standing`]. Whatever the version of the API that an event was made for, what is read comes
//! in the version that the client asks for, and only the fields that are used are looked at.

mod catalog;
mod client;
mod error;
mod object;
mod standing;
mod wire;
mod write;

pub mod webhook;

pub use catalog::{Change, Synced};
pub use client::Stripe;
pub use error::Error;
pub use object::{Charge, Dispute, Invoice, InvoiceStatus, Standing, Status, Subscription};
pub use write::{Cancel, Checkout, Session};
