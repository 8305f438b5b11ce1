//! What the core sends.

use super::{Engine, Entry, Machine, client_step, server_step};
use crate::transaction::client::Client;
use crate::transaction::context::{Common, Step, Timer};
use crate::transaction::effect::Effect;
use crate::transaction::input::{Kind, OutgoingRequest, OutgoingResponse};
use crate::transaction::invite_client::{self, InviteClient};
use crate::transaction::invite_server;
use crate::transaction::outcome::SendError;
use crate::transaction::route::Route;
use crate::transaction::server;
use crate::transaction::slab::Handle;

impl Engine {
    /// The core sends a request. An ACK is sent and, if it answers a 2xx that is known here, kept for its repetitions.
    pub fn send_request(
        &mut self,
        now: u64,
        request: OutgoingRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Handle>, SendError> {
        self.advance(now);
        // A CANCEL goes the way of its INVITE, whatever that is.
        if !request.reliable
            && request.bytes.len() > self.config.max_unreliable_bytes
            && !request.any_length
            && request.kind != Kind::Cancel
        {
            return Err(SendError::TooLong);
        }
        match request.kind {
            Kind::Ack => {
                self.send_ack(request, effects);
                Ok(None)
            }
            Kind::Cancel => self.send_cancel(request, effects),
            Kind::Invite | Kind::NonInvite => self.begin_client(request, effects).map(Some),
        }
    }

    fn send_ack(&mut self, ack: OutgoingRequest, effects: &mut Vec<Effect>) {
        if let Some(handle) = self.table.get(ack.fork).copied() {
            let (fork, bytes, target) = (ack.fork, ack.bytes.clone(), ack.target.clone());
            self.step(handle, effects, |machine, cx| match machine {
                Machine::InviteClient(m) => client_step(m.handle(
                    invite_client::Event::AckSent {
                        fork,
                        bytes,
                        target,
                    },
                    cx,
                )),
                _ => Step::Alive,
            });
        }
        effects.push(Effect::Transmit {
            target: ack.target,
            bytes: ack.bytes,
            handle: None,
        });
    }

    pub(super) fn send_cancel(
        &mut self,
        mut cancel: OutgoingRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<Option<Handle>, SendError> {
        if self.table.get(cancel.key).is_some() {
            return Err(SendError::AlreadyStarted);
        }
        let Some(invite) = self.table.get(cancel.invite).copied() else {
            // No INVITE of ours: it is relayed for somebody else (§16.10).
            return self.begin_client(cancel, effects).map(Some);
        };
        if self.cancel_between(invite, effects) {
            return Ok(None);
        }
        if let Some(entry) = self.entries.get(invite) {
            // The way of the INVITE (§9.1).
            cancel.target = entry.common.target.clone();
            cancel.reliable = entry.common.reliable;
            self.follow_route(invite, &mut cancel);
        }
        let mut released = None;
        self.step(invite, effects, |machine, cx| match machine {
            Machine::InviteClient(m) => {
                match m.handle(invite_client::Event::Cancel(Box::new(cancel)), cx) {
                    invite_client::Outcome::Step(step) => step,
                    invite_client::Outcome::Cancel(cancel) => {
                        released = Some(cancel);
                        Step::Alive
                    }
                }
            }
            _ => Step::Alive,
        });
        let begun = match released {
            Some(cancel) => Some(self.begin_cancel(invite, *cancel, effects)?),
            None => None,
        };
        self.with(invite, effects, |machine, cx| {
            cx.common.cancelled |=
                matches!(machine, Machine::InviteClient(m) if m.pending().is_some());
        });
        Ok(begun)
    }

    /// A CANCEL leaves.
    fn begin_cancel(
        &mut self,
        invite: Handle,
        cancel: OutgoingRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<Handle, SendError> {
        let begun = self.begin_client(cancel, effects)?;
        self.with(invite, effects, |machine, cx| {
            if let Machine::InviteClient(m) = machine {
                m.cancel_sent(cx);
            }
        });
        Ok(begun)
    }

    /// There may be room now.
    pub(super) fn retry_cancel(&mut self, invite: Handle, effects: &mut Vec<Effect>) {
        let mut released = None;
        self.with(invite, effects, |machine, cx| {
            if let Machine::InviteClient(m) = machine
                && let invite_client::Outcome::Cancel(cancel) =
                    m.handle(invite_client::Event::Timer(Timer::Cancel), cx)
            {
                released = Some(cancel);
            }
        });
        if let Some(cancel) = released {
            self.release_cancel(invite, cancel, effects);
        }
    }

    /// A CANCEL leaves whose sender was told that it will, or whose sender is dead: where there is no room it is tried again.
    pub(super) fn release_cancel(
        &mut self,
        invite: Handle,
        cancel: Box<OutgoingRequest>,
        effects: &mut Vec<Effect>,
    ) {
        if self.has_room(true) {
            // That another one is on its way is as good.
            let _ = self.begin_cancel(invite, *cancel, effects);
        } else {
            self.with(invite, effects, |machine, cx| {
                if let Machine::InviteClient(m) = machine {
                    m.try_cancel_later(cancel, cx);
                }
            });
        }
    }

    pub(super) fn begin_client(
        &mut self,
        request: OutgoingRequest,
        effects: &mut Vec<Effect>,
    ) -> Result<Handle, SendError> {
        let known = request.known.unwrap_or(request.key);
        if self.table.get(request.key).is_some() || self.table.get(known).is_some() {
            return Err(SendError::AlreadyStarted);
        }
        if !self.has_room(true) {
            return Err(SendError::TooManyTransactions);
        }
        let mut common = Common::new(
            request.name,
            known,
            request.call,
            request.target,
            request.reliable,
            self.now,
        );
        common.listener = request.listener;
        if request.plan.is_some() || known != request.key {
            common.route = Some(Box::new(Route::new(request.key, request.plan)));
        }
        let Some(handle) = self.insert(Entry {
            common,
            machine: Machine::Ended { client: true },
        }) else {
            return Err(SendError::TooManyTransactions);
        };
        self.table.insert(known, handle);
        self.with(handle, effects, |machine, cx| {
            if known != request.key {
                cx.alias(request.key);
            }
            cx.report_start(true);
            *machine = match request.kind {
                Kind::Invite => Machine::InviteClient(InviteClient::start(request.bytes, cx)),
                _ => Machine::Client(Client::start(request.bytes, cx)),
            };
        });
        Ok(handle)
    }

    /// Whether a transaction still runs, with this attempt, so that what becomes of a transmission of its matters.
    pub fn is_open(&self, handle: Handle) -> bool {
        self.entries.get(handle).is_some_and(|entry| {
            !entry.machine.is_over() && entry.common.attempt() == handle.attempt()
        })
    }

    /// The core answers a request.
    pub fn send_response(
        &mut self,
        now: u64,
        response: OutgoingResponse,
        effects: &mut Vec<Effect>,
    ) -> Result<Handle, SendError> {
        self.advance(now);
        let handle = self
            .table
            .get(response.key)
            .copied()
            .ok_or(SendError::NoTransaction)?;
        let mut result = Ok(handle);
        self.step(handle, effects, |machine, cx| match machine {
            Machine::InviteServer(m) => {
                let outcome = m.handle(invite_server::Event::Response(&response), cx);
                if let invite_server::Outcome::Refused(error) = outcome {
                    result = Err(error);
                }
                server_step(outcome)
            }
            Machine::Server(m) => match m.handle(server::Event::Response(&response), cx) {
                server::Outcome::Step(step) => step,
                server::Outcome::Refused(error) => {
                    result = Err(error);
                    Step::Alive
                }
            },
            _ => {
                result = Err(SendError::NoTransaction);
                Step::Alive
            }
        });
        result
    }
}
