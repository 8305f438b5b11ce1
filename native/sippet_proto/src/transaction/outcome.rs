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

/// What is around an engine: told before a step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Surroundings {
    /// How many transactions are open in the other engines of a stack, which share the limit with this one.
    pub elsewhere: usize,
    /// The moment by a finer clock than that of the timers. The engine only keeps it with what it queues.
    pub stamp_us: u64,
    /// What is to be reported.
    pub listening: Listening,
}

/// The [reports](super::Report) that somebody listens for. The others cost nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Listening {
    /// Transactions that begin.
    pub starts: bool,
    /// Transactions that end.
    pub stops: bool,
}

/// Requests that may be refused where there is too much to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// It would begin a transaction outside of any dialog: the kind that is refused first.
    Outside,
    /// It says that it belongs to a dialog, and may be what ends a call; or it is an ACK that matches nothing.
    Inside,
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
    /// There is no room for it, and it is not answered: an ACK.
    Refused,
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
    /// It wants a transport that is reliable (§18.1.1).
    #[error("the request is too long for a transport that is not reliable")]
    TooLong,
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
    /// A request that could have been refused.
    pub class: Option<Class>,
    /// When it could have been taken: [`Surroundings::stamp_us`] of that step.
    pub stamp_us: u64,
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

macro_rules! places {
    ($($(#[$doc:meta])+ $name:ident = $kind:literal $state:literal),+ $(,)?) => {
        /// The kinds of transactions, each with its states.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub enum Place {
            $($(#[$doc])+ $name,)+
        }

        impl Place {
            /// Every one.
            pub const ALL: &'static [Place] = &[$(Place::$name),+];

            /// Its kind and its state, by the words of the RFC.
            pub const fn words(self) -> (&'static str, &'static str) {
                match self {
                    $(Place::$name => ($kind, $state),)+
                }
            }
        }
    };
}

places!(
    /// No response has come.
    InviteClientCalling = "invite_client" "calling",
    /// A provisional response has come.
    InviteClientProceeding = "invite_client" "proceeding",
    /// A final response other than 2xx may be repeated.
    InviteClientCompleted = "invite_client" "completed",
    /// Further 2xx may come.
    InviteClientAccepted = "invite_client" "accepted",
    /// No response has come.
    ClientTrying = "client" "trying",
    /// A provisional response has come.
    ClientProceeding = "client" "proceeding",
    /// The final response may be repeated.
    ClientCompleted = "client" "completed",
    /// No final response was sent.
    InviteServerProceeding = "invite_server" "proceeding",
    /// A final response other than 2xx waits for its ACK.
    InviteServerCompleted = "invite_server" "completed",
    /// The ACK may be repeated.
    InviteServerConfirmed = "invite_server" "confirmed",
    /// A 2xx was sent.
    InviteServerAccepted = "invite_server" "accepted",
    /// Nothing was sent.
    ServerTrying = "server" "trying",
    /// A provisional response was sent.
    ServerProceeding = "server" "proceeding",
    /// The request may be repeated.
    ServerCompleted = "server" "completed",
    /// The core is still owed something, or it is a message outside of any transaction.
    Ended = "ended" "terminated",
);

/// What an engine holds at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Census {
    /// How many transactions are where, in the order of [`Place::ALL`].
    pub places: [usize; Place::ALL.len()],
    /// Those that wait for a final response or an ACK, or whose core is owed something or at work. The others only see to
    /// repetitions.
    pub pending: usize,
    /// How much waits for the core.
    pub waiting: usize,
    /// Callbacks of the core under way.
    pub runners: usize,
    /// Bytes of messages and names. What waits for the core and is kept for repetitions counts twice, though it is held once.
    pub bytes: usize,
}

impl Census {
    /// The sum of two engines' censuses.
    #[must_use]
    pub fn plus(mut self, other: &Census) -> Census {
        for (count, others) in self.places.iter_mut().zip(other.places) {
            *count += others;
        }
        self.pending += other.pending;
        self.waiting += other.waiting;
        self.runners += other.runners;
        self.bytes += other.bytes;
        self
    }
}
