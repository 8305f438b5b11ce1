//! SIP without I/O: messages, transactions and their timers (RFC 3261, RFC 6026, RFC 3581), and the session descriptions
//! that messages carry (RFC 8866).
//!
//! Nothing here opens a socket, starts a thread, reads a clock or draws a random number: bytes, time and seeds are
//! arguments, answers are values. No input, of whatever origin, makes a function of this crate panic.

#![forbid(unsafe_code)]

pub mod error;
pub mod framing;
pub mod grammar;
pub mod header;
pub mod limits;
pub mod message;
pub mod sdp;
pub mod timer;
pub mod transaction;
pub mod uri;

pub use bytes::Bytes;
pub use error::{Defect, ParseError, Reason, WriteError, WriteReason};
pub use framing::{Frame, Framer};
pub use limits::Limits;
pub use message::parse::{Framing, Mode, Options, parse};
pub use message::{Arena, List, Message};
pub use uri::{Uri, parse_uri};
