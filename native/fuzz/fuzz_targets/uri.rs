//! What it judges, and of which bytes, is said where it is shared with the tests.
#![no_main]

#[path = "../../sippet_proto/tests/fuzz/uri.rs"]
mod uri;

libfuzzer_sys::fuzz_target!(|data: &[u8]| uri::judge(data));
