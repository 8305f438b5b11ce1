//! Deadlines without a clock: time is an argument, in milliseconds of any monotonic clock.

pub mod naive;
pub mod wheel;

pub use wheel::{TimerId, Wheel};
