//! An inventory of any bytes is read or refused with a reason, and what is read is written so that
//! it is read the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oc_domain::{Inventory, document};

fuzz_target!(|bytes: &[u8]| {
    // Apart from its rules, which a mutation seldom meets.
    if let Ok(inventory) = document::parse::<Inventory>("x.json", bytes, 1 << 20) {
        let text = serde_json::to_vec(&inventory).expect("what is read can be written");
        assert_eq!(document::parse("x.json", &text, 1 << 20), Ok(inventory));
    }
    if let Err(errors) = Inventory::parse("x.json", bytes) {
        assert!(!errors.is_empty());
        assert!(errors.iter().all(|error| error.message.starts_with("found ")), "{errors:?}");
    }
});
