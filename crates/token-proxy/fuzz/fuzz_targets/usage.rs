//! See `oc_token_proxy::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oc_token_proxy::fuzz::usage(bytes));
