//! What it judges, and of which bytes, is said where it is shared with the tests.
#![no_main]

#[path = "../../sippet_proto/tests/fuzz/sdp.rs"]
mod sdp;

libfuzzer_sys::fuzz_target!(|data: &[u8]| sdp::judge(data));
