//! What it judges, and of which bytes, is said where it is shared with the tests.
#![no_main]

#[path = "../../sippet_proto/tests/fuzz/message.rs"]
mod message;

libfuzzer_sys::fuzz_target!(|data: &[u8]| message::judge(data));
