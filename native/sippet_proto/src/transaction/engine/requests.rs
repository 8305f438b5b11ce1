//! What comes in for servers.

use super::{Engine, Entry, Machine, server_step};
use crate::transaction::context::{Common, Step, Timer};
use crate::transaction::effect::{Delivery, Effect};
use crate::transaction::input::{IncomingRequest, Kind};
use crate::transaction::invite_server::{self, InviteServer};
use crate::transaction::outcome::{Class, Verdict};
use crate::transaction::server::{self, Server};

impl Engine {
    /// A request came in.
    pub fn handle_request(
        &mut self,
        now: u64,
        request: IncomingRequest,
        effects: &mut Vec<Effect>,
    ) -> Verdict {
        self.advance(now);
        match request.kind {
            Kind::Ack => self.handle_ack(request, effects),
            Kind::Invite | Kind::Cancel | Kind::NonInvite => {
                // A CANCEL's transaction is found by its own key, also when the INVITE's is gone.
                match self.table.get(request.key).copied() {
                    Some(handle) => {
                        self.gauges.absorbed_messages += 1;
                        self.step(handle, effects, |machine, cx| match machine {
                            Machine::InviteServer(m) => {
                                server_step(m.handle(invite_server::Event::Request, cx))
                            }
                            Machine::Server(m) => match m.handle(server::Event::Request, cx) {
                                server::Outcome::Step(step) => step,
                                _ => Step::Alive,
                            },
                            _ => Step::Alive,
                        });
                        Verdict::Matched
                    }
                    None => self.begin_server(request, effects),
                }
            }
        }
    }

    /// Whether the request may be refused, and as what: not what belongs to a transaction that there is, and no CANCEL.
    pub fn class_of(&self, request: &IncomingRequest) -> Option<Class> {
        let unknown = |key| self.table.get(key).is_none();
        match request.kind {
            Kind::Invite | Kind::NonInvite if unknown(request.key) => Some(if request.in_dialog {
                Class::Inside
            } else {
                Class::Outside
            }),
            Kind::Ack
                if !request.stateless_ack
                    && unknown(request.key)
                    && unknown(request.acknowledged) =>
            {
                Some(Class::Inside)
            }
            _ => None,
        }
    }

    fn begin_server(&mut self, request: IncomingRequest, effects: &mut Vec<Effect>) -> Verdict {
        let invite = match request.kind {
            Kind::Cancel => match self.table.get(request.invite) {
                Some(invite) => Some(*invite),
                None => return Verdict::Reply(481),
            },
            _ => None,
        };
        if !self.has_room(request.in_dialog || request.kind == Kind::Cancel) {
            self.gauges.refused_requests += 1;
            return Verdict::Reply(503);
        }
        let merged =
            self.config.reject_merged && !request.in_dialog && request.kind != Kind::Cancel;
        if merged && self.table.get(request.merged).is_some() {
            return Verdict::Reply(482);
        }
        let mut common = Common::new(
            request.name,
            request.key,
            request.call,
            request.target,
            request.reliable,
            self.now,
        );
        common.class = match request.kind {
            Kind::Cancel => None,
            _ if request.in_dialog => Some(Class::Inside),
            _ => Some(Class::Outside),
        };
        // The machine is made with its context, and the context needs a place: it starts as one that has ended.
        let Some(handle) = self.insert(Entry {
            common,
            machine: Machine::Ended { client: false },
        }) else {
            return Verdict::Reply(503);
        };
        self.table.insert(request.key, handle);
        let gated = match invite {
            Some(invite) => self.follow(invite, handle),
            None => self.wait_at_gate(request.call, handle),
        };
        let delivery = Delivery::Request {
            bytes: request.bytes.clone(),
            source: request.source,
            keyed: true,
        };
        self.with(handle, effects, |machine, cx| {
            cx.report_start(false);
            *machine = match request.kind {
                Kind::Invite => Machine::InviteServer(InviteServer::start(request.bytes, cx)),
                _ => Machine::Server(Server::start(request.bytes, cx)),
            };
            if merged {
                cx.alias(request.merged);
            }
            if gated {
                cx.common.gated = true;
                if invite.is_none() {
                    cx.arm(Timer::Gate, cx.config.gate_ms);
                }
            }
            cx.deliver(delivery);
        });
        Verdict::Began(handle)
    }

    fn handle_ack(&mut self, ack: IncomingRequest, effects: &mut Vec<Effect>) -> Verdict {
        if ack.stateless_ack {
            // A client that was refused, and whose repetition was not, acknowledges by the refusal's To tag.
            if let Some(handle) = self.table.get(ack.key).copied() {
                self.step(handle, effects, |machine, cx| match machine {
                    Machine::InviteServer(m) => {
                        server_step(m.handle(invite_server::Event::Ack, cx))
                    }
                    _ => Step::Alive,
                });
            }
            self.gauges.absorbed_messages += 1;
            return Verdict::Dropped;
        }
        let by_branch = self.table.get(ack.key).copied();
        let matched = by_branch.or_else(|| self.table.get(ack.acknowledged).copied());
        // Refused before the machine has seen it: the 2xx is repeated, and the ACK comes again.
        let takes = |handle| match self.entries.get(handle).map(|entry| &entry.machine) {
            Some(Machine::InviteServer(m)) => m.state == invite_server::State::Accepted,
            _ => false,
        };
        if matched.is_none_or(takes) && !self.has_room(true) {
            self.gauges.refused_requests += 1;
            return Verdict::Refused;
        }
        if let Some(handle) = matched {
            let mut deliver = false;
            self.step(handle, effects, |machine, cx| {
                let Machine::InviteServer(m) = machine else {
                    return Step::Alive;
                };
                let mut outcome = match by_branch {
                    Some(_) => m.handle(invite_server::Event::Ack, cx),
                    None => m.handle(invite_server::Event::Acknowledged(ack.acknowledged), cx),
                };
                // An ACK to a 2xx under the INVITE's own branch is still that 2xx's.
                if by_branch.is_some() && outcome == invite_server::Outcome::Deliver {
                    outcome = m.handle(invite_server::Event::Acknowledged(ack.acknowledged), cx);
                }
                deliver = outcome == invite_server::Outcome::Deliver;
                server_step(outcome)
            });
            if !deliver {
                self.gauges.absorbed_messages += 1;
                return Verdict::Matched;
            }
        }
        let delivery = Delivery::Request {
            bytes: ack.bytes,
            source: ack.source,
            keyed: false,
        };
        let mut common = Common::new(
            ack.name,
            ack.key,
            ack.call,
            ack.target,
            ack.reliable,
            self.now,
        );
        common.class = Some(Class::Inside);
        if !self.deliver_stray(common, true, delivery, effects) {
            return Verdict::Refused;
        }
        self.shut_gate(ack.call);
        Verdict::Delivered
    }
}
