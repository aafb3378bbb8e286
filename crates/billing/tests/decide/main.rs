//! Decisions over whole histories of a customer: the stand-in's account moves, and what is decided is
//! held against it. Nothing here does I/O: `crates/billing/tests/it` does, against real processes.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod book;
mod histories;
mod shop;
mod standing;
mod table;
