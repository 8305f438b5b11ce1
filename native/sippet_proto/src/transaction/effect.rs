//! What the engine takes and what it wants done, as data.

use core::net::SocketAddr;

use bytes::Bytes;

use super::input::{IncomingResponse, Name};
use super::slab::Handle;

/// The transport, and the connection within it, that carried a message. The engine only keeps it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The transport's number in its stack.
    pub transport: u32,
    /// The connection's number in its transport; 0 where the transport has none.
    pub connection: u64,
}

/// Where a message goes to, or came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Destination {
    /// A resolved address.
    Address(SocketAddr),
    /// A host that the transport resolves by itself, and a port.
    Host(Bytes, u16),
}

/// A flow and the destination behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// The transport and connection.
    pub flow: Flow,
    /// The peer.
    pub destination: Destination,
}

/// Why a transaction failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Timer B, F or H, or the deadline of an INVITE client in Proceeding (§8.1.3.1: as if a 408 had come).
    Timeout,
    /// No ACK came for a 2xx that was sent until its ACK (§13.3.1.4).
    NoAck,
    /// The transport could not send; its own words, opaque here (§8.1.3.1: as if a 503 had come).
    Transport(Bytes),
}

/// Why a request may go to another target (RFC 3263 §4.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setback {
    /// Timer B or F, and no response at all.
    Timeout,
    /// The transport could not send, in its own words.
    Transport(Bytes),
    /// A 503 (§21.5.4).
    Unavailable(Box<IncomingResponse>),
}

/// A request that has lost a target and may have others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reroute {
    /// The transaction.
    pub handle: Handle,
    /// The words of its key.
    pub name: Name,
    /// What its sender has given it for this: where it was, and where it may go.
    pub plan: Bytes,
    /// What became of the target.
    pub setback: Setback,
}

/// What the core is owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Delivery {
    /// A new request, or the ACK to a 2xx.
    Request {
        /// The message, its topmost Via stamped.
        bytes: Bytes,
        /// Where it came from.
        source: Target,
        /// The core answers it through a server transaction: it gets a key.
        keyed: bool,
    },
    /// A response to a request of the core's.
    Response {
        /// The message.
        bytes: Bytes,
        /// Where it came from.
        source: Target,
        /// It belongs to a client transaction: it gets a key.
        keyed: bool,
    },
    /// The transaction failed.
    Failed(Failure),
}

/// What the caller of the engine does next, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Send these bytes; a failure goes to [`super::Engine::handle_transport_error`] with the handle.
    Transmit {
        /// Where to.
        target: Target,
        /// One message.
        bytes: Bytes,
        /// The transaction it belongs to.
        handle: Option<Handle>,
    },
    /// Start a runner that calls [`super::Engine::take`] until there is nothing left.
    StartRunner(Handle),
    /// Tell the process that waits, which is named as in its request, to call [`super::Engine::collect`] until there is
    /// nothing left.
    Wake(Bytes),
    /// Find the request another target and call [`super::Engine::proceed`], or [`super::Engine::give_up`] where there is
    /// none. If neither comes it fails after 64·T1.
    Reroute(Box<Reroute>),
    /// Tell those who listen.
    Report(Box<Report>),
}

/// What happened, for those who [listen](super::Listening).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Report {
    /// A transaction has begun.
    Started {
        /// The words of its key.
        name: Name,
        /// The core is its client.
        client: bool,
    },
    /// A transaction has ended: its machine has terminated.
    Stopped {
        /// The words of its key.
        name: Name,
        /// The core is its client.
        client: bool,
        /// How long it lived.
        duration_ms: u64,
        /// The status code of its first final response, and when that was sent or came, from the beginning.
        concluded: Option<(u16, u64)>,
        /// Its messages that were sent again.
        retransmissions: u32,
        /// How it ended.
        end: End,
    },
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// As it should: all that could be repeated has been seen out.
    Normal,
    /// As by [`Failure::Timeout`].
    Timeout,
    /// As by [`Failure::NoAck`].
    NoAck,
    /// As by [`Failure::Transport`].
    TransportError,
    /// By [`super::Engine::terminate`].
    Terminated,
}
