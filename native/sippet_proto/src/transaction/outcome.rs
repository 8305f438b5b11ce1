//! What the engine answers to its callers.

use super::delivery::Process;
use super::effect::Delivery;
use super::input::Name;
use super::slab::Handle;

/// Counts of one engine. Those that end in a past participle only grow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Messages sent again, by timer or because the peer repeated itself.
    pub retransmissions: u64,
    /// What the core was owed and did not get, since its queue was full.
    pub dropped_deliveries: u64,
    /// Requests refused for want of room.
    pub refused_requests: u64,
    /// Requests and responses that repeated what was known.
    pub absorbed_messages: u64,
}

/// What became of a message from the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It began a transaction.
    Began(Handle),
    /// It belongs to a transaction, or repeats what one knows.
    Matched,
    /// It goes to the core outside of any transaction.
    Delivered,
    /// It is to be answered with this status code, without state.
    Reply(u16),
    /// Nothing is to be done.
    Dropped,
}

/// Why the engine did not take a message of the core's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SendError {
    /// A client transaction with this branch and method exists.
    #[error("a client transaction of this branch and method exists")]
    AlreadyStarted,
    /// No server transaction waits for this response.
    #[error("no server transaction waits for this response")]
    NoTransaction,
    /// A final response has been sent.
    #[error("a final response has been sent")]
    AlreadyAnswered,
    /// A provisional response other than 100 to a request other than INVITE (RFC 4320 §4.1).
    #[error("only 100 may precede the final response to a request other than INVITE")]
    ProvisionalForbidden,
    /// A 408 to a request other than INVITE (RFC 4320 §4.2): another final response is still taken.
    #[error("a request other than INVITE is not answered 408")]
    TimeoutForbidden,
    /// As many forks have answered one INVITE as are repeated until their ACK.
    #[error("as many forks have answered as are repeated until their ACK")]
    TooManyForks,
    /// As many transactions are open as may be.
    #[error("as many transactions are open as may be")]
    TooManyTransactions,
}

/// One thing for the core, as its runner takes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// What it is.
    pub delivery: Delivery,
    /// The transaction's name, for the key; with a CANCEL that of its INVITE (§9.2).
    pub name: Name,
    /// The core is client of this transaction, not server.
    pub client: bool,
    /// The status code of a response of this transaction.
    pub status_code: Option<u16>,
    /// A CANCEL was asked for before the final response came.
    pub cancelled: bool,
    /// This is a CANCEL, and the process was given its INVITE: it may not have called the core yet, and is to do so first
    /// (§9.2).
    pub behind: Option<Process>,
}

/// What a process that waits finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Collected {
    /// A response or a failure. The final one is the last: the transaction knows the process no more.
    Taken(Box<Taken>),
    /// Nothing yet.
    Nothing,
    /// The transaction was ended by others, or waits for nobody.
    Gone,
}

/// What can be told of an open transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Info {
    /// The words of its public key.
    pub name: Name,
    /// The core is its client.
    pub client: bool,
    /// The state by the RFC's name, in lower case.
    pub state: &'static str,
    /// When it began.
    pub created_ms: u64,
    /// How much waits for its core.
    pub queued: usize,
    /// Bytes of the messages it keeps.
    pub bytes: usize,
}
