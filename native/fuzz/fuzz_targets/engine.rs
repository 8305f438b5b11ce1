//! What it judges, and of which bytes, is said where it is shared with the tests.
#![no_main]

#[path = "../../sippet_proto/tests/engine/mod.rs"]
mod engine;
#[path = "../../sippet_proto/tests/operations/mod.rs"]
mod operations;
#[path = "../../sippet_proto/tests/fuzz/engine.rs"]
mod target;

libfuzzer_sys::fuzz_target!(|data: &[u8]| target::judge(data));
