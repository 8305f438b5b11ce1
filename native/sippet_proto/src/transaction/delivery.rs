//! What the core is owed waits with its transaction until a runner takes it, one after another.

use core::num::NonZeroU64;

use bytes::Bytes;

/// A process that calls the core, by a number of the caller's choice.
pub type Process = NonZeroU64;

/// Who is told what becomes of a request that is sent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Listener {
    /// The core, in a runner.
    #[default]
    Core,
    /// A process that waits for the final response; the bytes are its name, opaque here.
    Caller(Bytes),
    /// Nobody. A 2xx to an INVITE goes to the core all the same: whoever gets none of it leaves a call up (§13.2.2.4).
    Nobody,
}

/// How much may wait. Provisional responses make room; what cannot is bounded by the machines.
pub(super) const QUEUE_LIMIT: usize = 16;

/// The process that calls the core for one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Runner {
    /// None, and nothing to run.
    Idle,
    /// The effect that starts one was given out.
    Called,
    /// It has taken a delivery and not come back.
    Running,
}
