//! A tenant file of any bytes is read or refused with a reason, and what is read is written so that
//! it is read the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use oc_domain::{fleet::parse_tenant, tenant::TenantFile};

fuzz_target!(|bytes: &[u8]| {
    match TenantFile::parse("x.json", bytes) {
        Ok(file) => {
            let text = serde_json::to_vec(&file).expect("what is read can be written");
            assert_eq!(TenantFile::parse("x.json", &text), Ok(file));
        }
        Err(errors) => {
            assert!(!errors.is_empty());
            assert!(errors.iter().all(|error| error.message.starts_with("found ")), "{errors:?}");
        }
    }
    // The rules of the tier and the file's name, which hold for some of what was read.
    if let Err(errors) = parse_tenant("c-7f3k2m9q.json", bytes) {
        assert!(!errors.is_empty());
    }
});
