//! The local node on real control planes: the pods are what `manifests` renders, the image is a few
//! lines of Python.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::similar_names,
    reason = "a test fails by panicking"
)]

mod confined;
mod lifetime;
mod refused;
mod running;
mod sealed;
mod support;
mod tenant;
mod volumes;
