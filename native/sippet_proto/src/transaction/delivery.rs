//! What the core is owed waits with its transaction until a runner takes it, one after another.

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
