//! What the engine holds, by kind and state, kept up with each step: counting it anew would cost a look at everything.

use super::Machine;
use crate::transaction::context::Common;
use crate::transaction::delivery::{Listener, Runner};
use crate::transaction::outcome::{Census, Place};
use crate::transaction::{client, invite_client, invite_server, server};

/// What one transaction adds to the [`Census`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Share {
    place: Place,
    pending: bool,
    waiting: usize,
    running: bool,
    bytes: usize,
}

impl Share {
    pub(super) fn of(common: &Common, machine: &Machine) -> Share {
        let (place, pending, kept) = match machine {
            Machine::InviteClient(m) => (invite_client(m.state), m.pending().is_some(), m.bytes()),
            Machine::Client(m) => (client(m.state), m.is_pending(), m.bytes()),
            Machine::InviteServer(m) => (invite_server(m.state), m.is_pending(), m.bytes()),
            Machine::Server(m) => (server(m.state), m.is_pending(), m.bytes()),
            Machine::Between(m) if m.invite => (Place::InviteClientCalling, true, m.bytes()),
            Machine::Between(m) => (Place::ClientTrying, true, m.bytes()),
            Machine::Ended { .. } | Machine::Stray { .. } => (Place::Ended, false, 0),
        };
        let busy = common.runner == Runner::Running;
        let running = busy && !matches!(common.listener, Listener::Caller(_));
        let waiting: usize = common.queue.iter().map(|queued| queued.bytes()).sum();
        Share {
            place,
            pending: pending || busy || !common.queue.is_empty(),
            waiting: common.queue.len(),
            running,
            bytes: kept + common.name.bytes() + waiting,
        }
    }
}

fn invite_client(state: invite_client::State) -> Place {
    match state {
        invite_client::State::Calling => Place::InviteClientCalling,
        invite_client::State::Proceeding => Place::InviteClientProceeding,
        invite_client::State::Completed => Place::InviteClientCompleted,
        invite_client::State::Accepted => Place::InviteClientAccepted,
        invite_client::State::Terminated => Place::Ended,
    }
}

fn client(state: client::State) -> Place {
    match state {
        client::State::Trying => Place::ClientTrying,
        client::State::Proceeding => Place::ClientProceeding,
        client::State::Completed => Place::ClientCompleted,
        client::State::Terminated => Place::Ended,
    }
}

fn invite_server(state: invite_server::State) -> Place {
    match state {
        invite_server::State::Proceeding => Place::InviteServerProceeding,
        invite_server::State::Completed => Place::InviteServerCompleted,
        invite_server::State::Confirmed => Place::InviteServerConfirmed,
        invite_server::State::Accepted => Place::InviteServerAccepted,
        invite_server::State::Terminated => Place::Ended,
    }
}

fn server(state: server::State) -> Place {
    match state {
        server::State::Trying => Place::ServerTrying,
        server::State::Proceeding => Place::ServerProceeding,
        server::State::Completed => Place::ServerCompleted,
        server::State::Terminated => Place::Ended,
    }
}

impl Census {
    pub(super) fn add(&mut self, share: Share) {
        if let Some(count) = self.places.get_mut(share.place as usize) {
            *count += 1;
        }
        self.pending += usize::from(share.pending);
        self.waiting += share.waiting;
        self.runners += usize::from(share.running);
        self.bytes += share.bytes;
    }

    pub(super) fn subtract(&mut self, share: Share) {
        if let Some(count) = self.places.get_mut(share.place as usize) {
            *count = count.saturating_sub(1);
        }
        self.pending = self.pending.saturating_sub(usize::from(share.pending));
        self.waiting = self.waiting.saturating_sub(share.waiting);
        self.runners = self.runners.saturating_sub(usize::from(share.running));
        self.bytes = self.bytes.saturating_sub(share.bytes);
    }

    pub(super) fn replace(&mut self, before: Share, after: Share) {
        if before != after {
            self.subtract(before);
            self.add(after);
        }
    }
}
