//! What it judges, and of which bytes, is said where it is shared with the tests.
#![no_main]

#[path = "../../sippet_proto/tests/fuzz/header.rs"]
mod header;

libfuzzer_sys::fuzz_target!(|data: &[u8]| header::judge(data));
