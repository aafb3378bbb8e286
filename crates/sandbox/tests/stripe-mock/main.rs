//! The stand-in for Stripe held against stripe-mock: what the tests ask the one, the other must
//! take, and what the one says must be what the `OpenAPI` document of the other describes.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "../it/stripe/api.rs"]
mod api;
#[path = "../it/stripe/http.rs"]
mod http;
mod installed;
mod mirror;
mod objects;
#[path = "../it/stripe/pages.rs"]
mod pages;
mod schema;
#[path = "../it/stripe/steps.rs"]
mod steps;
#[path = "../it/stripe/support.rs"]
#[expect(dead_code, reason = "the other tests need the rest")]
mod support;
