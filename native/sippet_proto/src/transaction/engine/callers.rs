//! Processes that wait for the response to their own request. They take what is there for them themselves: there is no
//! runner, and the core hears nothing of it.

use super::{Engine, Entry, Machine};
use crate::transaction::cancel::build_cancel;
use crate::transaction::delivery::Listener;
use crate::transaction::effect::Effect;
use crate::transaction::input::OutgoingRequest;
use crate::transaction::outcome::{Collected, SendError};
use crate::transaction::slab::Handle;

impl Engine {
    /// The process that waits takes what there is, and says by this that it is done with what it had.
    ///
    /// With the final response, or the failure, it is let go: what comes later is no concern of its. Further 2xx to an
    /// INVITE, which are those of other forks, go to the core.
    pub fn collect(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) -> Collected {
        if !self.has_caller(handle) {
            return Collected::Gone;
        }
        let Some(taken) = self.take(now, handle, effects) else {
            return if self.has_caller(handle) {
                Collected::Nothing
            } else {
                Collected::Gone
            };
        };
        if taken.status_code.is_none_or(|code| code >= 200) {
            self.with(handle, effects, |_, cx| {
                cx.common.answered = true;
                cx.dismiss();
            });
            self.sweep(handle, effects);
        }
        Collected::Taken(Box::new(taken))
    }

    /// The process waits no more, or is dead. Its INVITE is cancelled; another request goes on by itself, and nobody is
    /// told of its end.
    pub fn abandon(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) {
        self.advance(now);
        if !self.has_caller(handle) {
            return;
        }
        self.with(handle, effects, |_, cx| cx.dismiss());
        // What is no INVITE, or has its final response, there is nothing to do about. Nobody is left to try again.
        if self.cancel(now, handle, effects) == Err(SendError::TooManyTransactions)
            && let Some(cancel) = self.cancel_of(handle)
        {
            self.release_cancel(handle, Box::new(cancel), effects);
        }
        self.sweep(handle, effects);
    }

    /// Cancels an INVITE that was sent, with a CANCEL made of it (§9.1), which waits for the first provisional response.
    /// Nobody is told of the response to the CANCEL: what it did the INVITE's own final response tells.
    pub fn cancel(
        &mut self,
        now: u64,
        handle: Handle,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SendError> {
        self.advance(now);
        if self.cancel_between(handle, effects) {
            return Ok(());
        }
        let Some(Entry {
            machine: Machine::InviteClient(machine),
            common,
        }) = self.entries.get(handle)
        else {
            return Err(SendError::NoTransaction);
        };
        if machine.pending().is_none() {
            return Err(SendError::AlreadyAnswered);
        }
        if common.cancelled {
            return Ok(());
        }
        let cancel = self.cancel_of(handle).ok_or(SendError::NoTransaction)?;
        self.send_cancel(cancel, effects).map(|_| ())
    }

    fn cancel_of(&self, handle: Handle) -> Option<OutgoingRequest> {
        let Entry { common, machine } = self.entries.get(handle)?;
        let Machine::InviteClient(machine) = machine else {
            return None;
        };
        let target = common.target.clone();
        build_cancel(machine.pending()?, &self.keys, target, common.reliable)
    }

    pub(super) fn has_caller(&self, handle: Handle) -> bool {
        self.entries
            .get(handle)
            .is_some_and(|entry| matches!(entry.common.listener, Listener::Caller(_)))
    }
}
