//! A request on its way from one target to the next (RFC 3263 §4.3): what its transaction keeps for that.
//!
//! The core has one transaction with one key. Each target gets the request under a branch of its own, with the timers of a
//! transaction that begins; so one after another, several machines stand in the same place.

use bytes::Bytes;

use super::context::{Context, Step};
use super::effect::{Delivery, Failure, Setback};
use super::key::Key;
use super::slab::Handle;

/// What is known beside the machine.
pub(super) struct Route {
    /// What the sender wants to see again when a target fails; none where that is the end.
    pub plan: Option<Bytes>,
    /// The key of the branch that the target has, or had last.
    pub current: Key,
    /// How many targets it has had before.
    pub attempt: u8,
    /// Targets that were left and may repeat their final response: the key of each, and who acknowledges it.
    pub left: Vec<(Key, Handle)>,
    /// The request as it was sent last, on its way from the machine that failed.
    pub setback: Option<(Bytes, Setback)>,
}

/// Whose a response is.
pub(super) enum Owner {
    /// The machine's.
    Machine,
    /// A target's that was left, which still has to be acknowledged; or nobody's.
    Left(Option<Handle>),
}

impl Route {
    pub fn new(current: Key, plan: Option<Bytes>) -> Route {
        Route {
            plan,
            current,
            attempt: 0,
            left: Vec::new(),
            setback: None,
        }
    }

    pub fn owner(&self, key: Key) -> Owner {
        match self.left.iter().find(|(left, _)| *left == key) {
            Some((_, handle)) => Owner::Left(Some(*handle)),
            None if key == self.current => Owner::Machine,
            None => Owner::Left(None),
        }
    }
}

/// In the place of a machine while there is no target.
pub(super) struct Between {
    pub invite: bool,
    /// As it was sent last.
    pub request: Bytes,
    setback: Setback,
}

impl Between {
    pub fn new(invite: bool, request: Bytes, setback: Setback) -> Between {
        Between {
            invite,
            request,
            setback,
        }
    }

    pub fn state(&self) -> &'static str {
        if self.invite { "calling" } else { "trying" }
    }

    pub fn bytes(&self) -> usize {
        let kept = match &self.setback {
            Setback::Timeout => 0,
            Setback::Transport(reason) => reason.len(),
            Setback::Unavailable(response) => response.bytes.len(),
        };
        self.request.len() + kept
    }

    /// There is no other target: the core is told what became of the last one.
    pub fn give_up(&mut self, cx: &mut Context<'_>) -> Step {
        match core::mem::replace(&mut self.setback, Setback::Timeout) {
            Setback::Timeout => cx.fail(Failure::Timeout),
            Setback::Transport(reason) => cx.fail(Failure::Transport(reason)),
            Setback::Unavailable(response) => {
                cx.concluded(response.status_code);
                cx.deliver_response(&response);
            }
        }
        Step::Ended
    }

    /// There is nobody to be sent the CANCEL: it ends here as it would there (§9.2).
    pub fn cancel(&mut self, cx: &mut Context<'_>) -> Step {
        cx.common.cancelled = true;
        let Some(bytes) = cx.reply(&self.request, 487, "Request Terminated") else {
            return self.give_up(cx);
        };
        let delivery = Delivery::Response {
            bytes: cx.restore(&bytes),
            source: cx.common.target.clone(),
            keyed: true,
        };
        cx.concluded(487);
        cx.deliver_own(delivery, 487);
        Step::Ended
    }
}
