//! Networks of engines on virtual time, every choice of theirs taken from one source of chance, and what must hold of them.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod attack;
pub mod core;
pub mod ladder;
pub mod ledger;
pub mod profile;
pub mod proxy;
pub mod random;
pub mod server;
pub mod tally;
pub mod text;
pub mod world;
