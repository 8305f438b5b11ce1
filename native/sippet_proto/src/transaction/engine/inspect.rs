//! Looks at what is open.

use super::{Engine, Entry, Machine};
use crate::transaction::effect::Target;
use crate::transaction::outcome::{Census, Info};
use crate::transaction::slab::Handle;

/// How many slots one page of [`Engine::list`] looks at.
const PAGE_SLOTS: u32 = 1024;

impl Engine {
    /// What the engine holds now.
    pub fn census(&self) -> Census {
        self.census
    }

    /// What is open, from slot `from` on: at most `limit`, and where to go on.
    pub fn list(&self, from: u32, limit: usize) -> (Vec<Info>, Option<u32>) {
        let mut found = Vec::new();
        let mut slot = from;
        while slot < self.entries.slots() {
            // A page ends by what it looked at too: emptied slots must not cost a call its time.
            if found.len() >= limit || slot - from >= PAGE_SLOTS {
                return (found, Some(slot));
            }
            found.extend(self.entries.at(slot).and_then(|(_, entry)| entry.info()));
            slot += 1;
        }
        (found, None)
    }

    /// Where the messages of a transaction go.
    pub fn target(&self, handle: Handle) -> Option<&Target> {
        self.entries.get(handle).map(|entry| &entry.common.target)
    }

    /// What can be told of one transaction.
    pub fn info(&self, handle: Handle) -> Option<Info> {
        self.entries.get(handle).and_then(Entry::info)
    }
}

impl Entry {
    fn info(&self) -> Option<Info> {
        let (state, bytes) = match &self.machine {
            Machine::InviteClient(m) => (m.state.name(), m.bytes()),
            Machine::Client(m) => (m.state.name(), m.bytes()),
            Machine::InviteServer(m) => (m.state.name(), m.bytes()),
            Machine::Server(m) => (m.state.name(), m.bytes()),
            Machine::Between(m) => (m.state(), m.bytes()),
            Machine::Ended { .. } => ("terminated", 0),
            Machine::Stray { .. } => return None,
        };
        Some(Info {
            name: self.common.name.clone(),
            client: self.machine.is_client(),
            state,
            created_ms: self.common.created_ms,
            queued: self.common.queue.len(),
            bytes: bytes + self.common.name.bytes(),
        })
    }
}
