//! The transaction engine: all transactions of one shard, without I/O (§17, RFC 6026, RFC 4320).
//!
//! Messages go in already reduced to keys and bytes ([`input`]), what is to be done comes out as [`Effect`]s, and time
//! is an argument in milliseconds that may not be trusted to grow. The same calls with the same times give the same
//! effects. What the core is owed waits in here until a runner [takes](Engine::take) it.

mod ack;
pub mod admission;
mod cancel;
mod client;
mod config;
mod context;
mod delivery;
mod effect;
mod engine;
mod forks;
pub mod input;
mod invite_client;
mod invite_server;
mod key;
mod outcome;
mod route;
mod server;
mod slab;

pub use config::{Config, Timers};
pub use context::Timer;
pub use delivery::{Listener, Process};
pub use effect::{
    Delivery, Destination, Effect, End, Failure, Flow, Report, Reroute, Setback, Target,
};
pub use engine::Engine;
pub use input::{
    Continuation, IncomingRequest, IncomingResponse, Kind, Name, OutgoingRequest, OutgoingResponse,
    Unfit,
};
pub use key::{Key, KeyMaker};
pub use outcome::{
    Census, Class, Collected, Gauges, Info, Listening, Place, SendError, Surroundings, Taken,
    Verdict,
};
pub use slab::Handle;
