//! Requests that lose a target and go on to the next (RFC 3263 §4.3).

use bytes::Bytes;

use super::{Engine, Entry, Machine};
use crate::message::stamp::{topmost_via, with_branch};
use crate::transaction::client::Client;
use crate::transaction::context::{Common, Step, Timer};
use crate::transaction::delivery::Listener;
use crate::transaction::effect::{Effect, Reroute};
use crate::transaction::input::{Continuation, IncomingResponse, OutgoingRequest};
use crate::transaction::invite_client::{self, InviteClient};
use crate::transaction::outcome::SendError;
use crate::transaction::route::Between;
use crate::transaction::slab::Handle;

impl Engine {
    /// The request of a [`Reroute`] has another target: it is sent there under a new branch, and its timers begin anew.
    /// The core knows nothing of it: responses come to it with the branch that it has chosen.
    ///
    /// [`SendError::TooLong`] leaves the request where it is; by [`SendError::NoTransaction`] it is over.
    pub fn proceed(
        &mut self,
        now: u64,
        handle: Handle,
        next: Continuation<'_>,
        effects: &mut Vec<Effect>,
    ) -> Result<(), SendError> {
        self.advance(now);
        let Some(Entry {
            common,
            machine: Machine::Between(between),
        }) = self.entries.get(handle)
        else {
            return Err(SendError::NoTransaction);
        };
        let invite = between.invite;
        let key = self.keys.client(next.branch, common.name.method());
        let protocol = Some(next.protocol);
        let Some(bytes) = with_branch(&between.request, next.branch, protocol, next.port) else {
            return Err(SendError::NoTransaction);
        };
        let bytes = Bytes::from(bytes);
        if self.table.get(key).is_some() {
            return Err(SendError::AlreadyStarted);
        }
        if !next.reliable && bytes.len() > self.config.max_unreliable_bytes && !next.any_length {
            return Err(SendError::TooLong);
        }
        self.with(handle, effects, |machine, cx| {
            cx.disarm(Timer::Between);
            cx.alias(key);
            if let Some(route) = &mut cx.common.route {
                route.current = key;
                route.attempt = handle.with_attempt(route.attempt + 1).attempt();
                route.plan = next.plan;
            }
            cx.common.target = next.target;
            cx.common.reliable = next.reliable;
            *machine = if invite {
                Machine::InviteClient(InviteClient::start(bytes, cx))
            } else {
                Machine::Client(Client::start(bytes, cx))
            };
        });
        Ok(())
    }

    /// There is no other target for the request of a [`Reroute`]: the core is told what became of the last one.
    pub fn give_up(&mut self, now: u64, handle: Handle, effects: &mut Vec<Effect>) {
        self.advance(now);
        self.step(handle, effects, |machine, cx| match machine {
            Machine::Between(between) => between.give_up(cx),
            _ => Step::Alive,
        });
    }

    /// A target has failed. What it may still repeat is acknowledged by a transaction aside.
    #[cold]
    pub(super) fn set_back(&mut self, handle: Handle, effects: &mut Vec<Effect>) {
        let mut aside = None;
        self.with(handle, effects, |machine, cx| {
            cx.disarm_machine();
            let Some(route) = &mut cx.common.route else {
                return;
            };
            let Some((request, setback)) = route.setback.take() else {
                return;
            };
            let current = route.current;
            let plan = route.plan.take().unwrap_or_default();
            let invite = matches!(machine, Machine::InviteClient(_));
            let between = Between::new(invite, request, setback.clone());
            let failed = core::mem::replace(machine, Machine::Between(between));
            if let Machine::InviteClient(m) = failed
                && m.state == invite_client::State::Completed
                && !cx.common.reliable
            {
                let common = &cx.common;
                aside = Some((m, current, common.call, common.target.clone()));
            }
            cx.arm(Timer::Between, cx.config.timeout_ms());
            cx.effects.push(Effect::Reroute(Box::new(Reroute {
                handle: cx.handle,
                name: cx.common.name.clone(),
                plan,
                setback,
            })));
        });
        let Some((machine, key, call, target)) = aside.filter(|_| self.has_room(true)) else {
            return;
        };
        let Some(Entry { common, .. }) = self.entries.get(handle) else {
            return;
        };
        // Found by way of the request's own transaction as long as that is there: see `hand_over_left`.
        let own = self.keys.response_tag(key);
        let mut common = Common::new(common.name.clone(), own, call, target, false, self.now);
        common.listener = Listener::Nobody;
        common.aside = true;
        let Some(acknowledger) = self.insert(Entry {
            common,
            machine: Machine::InviteClient(machine),
        }) else {
            return;
        };
        self.with(acknowledger, effects, |_, cx| {
            let wait = cx.config.timer_d_ms.max(cx.config.timeout_ms());
            cx.arm(Timer::D, wait);
        });
        if let Some(entry) = self.entries.get_mut(handle)
            && let Some(route) = &mut entry.common.route
        {
            route.left.push((key, acknowledger));
        }
    }

    /// A target that was left repeats its final response.
    #[cold]
    pub(super) fn acknowledge_again(
        &mut self,
        acknowledger: Handle,
        response: &IncomingResponse,
        effects: &mut Vec<Effect>,
    ) {
        self.step(acknowledger, effects, |machine, cx| match machine {
            Machine::InviteClient(m) => {
                super::client_step(m.handle(invite_client::Event::Response(response), cx))
            }
            _ => Step::Alive,
        });
    }

    /// A transaction has ended: the keys of targets that it has left are from now on those of who acknowledges them.
    pub(super) fn hand_over_left(&mut self, handle: Handle) {
        let Some(entry) = self.entries.get_mut(handle) else {
            return;
        };
        let Some(route) = entry.common.route.take() else {
            return;
        };
        for (key, acknowledger) in route.left {
            if let Some(entry) = self.entries.get_mut(acknowledger)
                && !entry.machine.is_over()
                && self.table.get(key).is_none()
            {
                entry.common.aliases.push(key);
                self.table.insert(key, acknowledger);
            }
        }
    }

    /// A CANCEL finds its INVITE without a target: true, and that was its end.
    pub(super) fn cancel_between(&mut self, invite: Handle, effects: &mut Vec<Effect>) -> bool {
        let between = |entry: &Entry| matches!(&entry.machine, Machine::Between(m) if m.invite);
        if !self.entries.get(invite).is_some_and(between) {
            return false;
        }
        self.step(invite, effects, |machine, cx| match machine {
            Machine::Between(between) => between.cancel(cx),
            _ => Step::Alive,
        });
        true
    }

    /// The CANCEL of an INVITE that has got another branch and way than its core knows gets them too (§9.1).
    pub(super) fn follow_route(&self, invite: Handle, cancel: &mut OutgoingRequest) {
        let Some(Entry {
            common,
            machine: Machine::InviteClient(machine),
        }) = self.entries.get(invite)
        else {
            return;
        };
        let (Some(route), Some(sent)) = (&common.route, machine.pending()) else {
            return;
        };
        if route.current == cancel.invite {
            return;
        }
        if let Some(via) = topmost_via(sent)
            && let Some(branch) = via.branch
            && let Some(bytes) = with_branch(&cancel.bytes, branch, Some(via.protocol), via.port)
        {
            cancel.known = Some(cancel.key);
            cancel.key = self.keys.client(branch, cancel.name.method());
            cancel.invite = route.current;
            cancel.bytes = Bytes::from(bytes);
        }
    }
}
