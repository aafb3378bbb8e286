//! The stand-in for Stripe.

mod api;
mod command;
mod deliveries;
mod engine;
mod histories;
mod http;
mod mirror;
mod pages;
mod receiver;
mod steps;
mod support;
mod types;
