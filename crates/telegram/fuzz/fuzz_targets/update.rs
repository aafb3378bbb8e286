//! See `oc_telegram::fuzz`.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| oc_telegram::fuzz::update(bytes));
