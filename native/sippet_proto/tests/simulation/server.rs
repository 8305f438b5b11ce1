//! The server's half of the ledger.

use std::collections::BTreeMap;

use sippet_proto::transaction::{Failure, Handle};

use super::ledger::{Cause, Ledger};
use super::text::{Glance, Id, Method, tagged};

/// A server transaction, or the last of several of one name.
#[derive(Default)]
pub(super) struct Server {
    handle: u64,
    pub call: u32,
    reliable: bool,
    at: u64,
    serial: u64,
    offered: u32,
    provisional: bool,
    answered: Option<(u64, u16)>,
    last: u64,
    interval: u64,
    /// The 2xx that the core sent until their ACK, by To tag.
    waits: BTreeMap<String, Wait>,
    /// The refusal has its ACK.
    acknowledged: bool,
    timeouts: u32,
    no_acks: u32,
    told_errors: u32,
    pub errors: u32,
    terminated: bool,
}

/// A 2xx until its ACK.
#[derive(Default)]
struct Wait {
    at: u64,
    last: u64,
    interval: u64,
    acknowledged: bool,
    /// An ACK came when the time was up: whether the engine had noticed, only it knows.
    late: bool,
}

impl Ledger {
    /// A request began a transaction.
    pub fn request_begins(
        &mut self,
        node: usize,
        handle: Handle,
        glance: &Glance<'_>,
        reliable: bool,
    ) {
        let (now, serial) = (self.now, self.next_serial());
        let timeout = self.config.timers.timeout_ms();
        self.tally.servers += 1;
        let fresh = Server {
            handle: handle.to_bits(),
            call: glance.call,
            reliable,
            at: now,
            serial,
            ..Server::default()
        };
        let Some(old) = self.servers.insert((node, glance.id), fresh) else {
            return;
        };
        self.tally.offered_after_end += 1;
        // What its sender repeats comes until 64·T1 and one way later: after that it is a new request to anybody.
        let over = old.terminated || (now >= old.at + timeout && !old.reliable);
        if !over {
            self.wrong(Some(glance.call), || {
                format!("a repetition began a transaction again: {}", glance.title())
            });
        }
        // Its core may still be owed something.
        self.past.push((node, glance.id, old));
    }

    fn server(&mut self, node: usize, id: Id, handle: Handle) -> Option<&mut Server> {
        let handle = handle.to_bits();
        let now = self.servers.get_mut(&(node, id));
        let past = self.past.iter_mut();
        let past = past.filter(|past| (past.0, past.1) == (node, id));
        let mut all = now.into_iter().chain(past.map(|past| &mut past.2));
        all.find(|server| server.handle == handle)
    }

    pub fn server_terminated(&mut self, node: usize, id: Id) {
        if let Some(server) = self.servers.get_mut(&(node, id)) {
            server.terminated = true;
        }
    }

    /// The core's 2xx is repeated from now on until its ACK.
    pub fn until_ack(&mut self, node: usize, id: Id, to_tag: &str) {
        let (now, interval) = (self.now, self.config.timers.t1_ms);
        if let Some(server) = self.servers.get_mut(&(node, id)) {
            let wait = server.waits.entry(to_tag.to_owned()).or_default();
            (wait.at, wait.last, wait.interval) = (now, now, interval);
        }
    }

    /// The core has not answered this request, so far as anybody saw.
    pub fn unanswered(&self, node: usize, id: Id) -> bool {
        let server = self.servers.get(&(node, id));
        server.is_some_and(|server| server.answered.is_none() && !server.terminated)
    }

    pub(super) fn sends_response(&mut self, node: usize, cause: Cause, glance: &Glance<'_>) {
        let (now, lag, timers) = (self.now, self.lag, self.config.timers);
        let (id, status) = (glance.id, glance.status.unwrap_or_default());
        let invite = id.method == Method::Invite;
        let Some(server) = self.servers.get_mut(&(node, id)) else {
            return self.wrong(Some(glance.call), || {
                format!("{} answers what never came", glance.title())
            });
        };
        let success = (200..300).contains(&status);
        let mut what = server
            .terminated
            .then_some("a terminated transaction answers");
        match (server.answered, cause) {
            (Some(_), _) if status < 200 => what = Some("a provisional response follows the final"),
            (None, Cause::Timer) if status < 200 => {
                let least = if invite {
                    timers.trying_ms
                } else {
                    timers.until_t2_ms()
                };
                if server.provisional || status != 100 {
                    what = Some("a timer sends a provisional response that is not the first 100");
                } else if now < server.at + least {
                    what = Some("100 before its time");
                }
                server.provisional = true;
            }
            (None, Cause::Core) if status < 200 => {
                server.provisional = true;
                if !invite {
                    what = Some("a provisional response to another method than INVITE");
                }
            }
            (None, Cause::Request(again)) if status < 200 => {
                if !server.provisional || again != id || server.reliable {
                    what = Some("a provisional response repeated for nothing");
                }
            }
            (None, Cause::Core | Cause::Failure | Cause::Timer) if status >= 200 => {
                server.answered = Some((now, status));
                server.last = now;
                server.interval = timers.t1_ms;
                let watchdog =
                    invite && status == 408 && now >= server.at + timers.invite_watchdog_ms;
                if cause == Cause::Timer && !watchdog {
                    what = Some("a timer sends a final response");
                }
            }
            // A fork more, or the core's own repetition.
            (Some((_, 200..300)), Cause::Core) if invite && success => {}
            (Some((at, first)), Cause::Timer) => {
                self.tally.repeated += 1;
                let refusal = (invite && first >= 300 && !server.reliable).then_some((
                    at,
                    server.acknowledged,
                    &mut server.last,
                    &mut server.interval,
                ));
                let wait = server.waits.get_mut(glance.to_tag).map(|wait| {
                    let (last, interval) = (&mut wait.last, &mut wait.interval);
                    (wait.at, wait.acknowledged, last, interval)
                });
                match refusal.or(wait) {
                    None => what = Some("a timer repeats a final response"),
                    Some((from, acknowledged, last, interval)) => {
                        if acknowledged {
                            what = Some("a final response is repeated after its ACK");
                        } else if now - *last < *interval {
                            what = Some("a final response is repeated before its time");
                        } else if now > from + timers.timeout_ms() + lag {
                            what = Some("a final response is repeated after 64 T1");
                        }
                        *interval = timers.backoff_ms(*interval);
                        *last = now;
                    }
                }
            }
            (Some((_, first)), Cause::Request(again)) => {
                self.tally.repeated += 1;
                if again != id || server.reliable {
                    what = Some("a final response is repeated for another request");
                } else if invite && (first < 300 || server.acknowledged) {
                    what = Some("an INVITE that came again is answered after its 2xx or ACK");
                }
            }
            _ => what = Some("a response left for no reason"),
        }
        if let Some(what) = what {
            self.wrong(Some(glance.call), || {
                format!("{what}: {} by {cause:?}", glance.title())
            });
        }
    }

    /// The server transaction at this node that an ACK may be for: that of its branch, or of the 2xx with its To tag.
    pub fn acknowledgeable(&self, node: usize, glance: &Glance<'_>) -> Option<Id> {
        let id = glance.id.with(Method::Invite);
        if self.servers.contains_key(&(node, id)) {
            return Some(id);
        }
        let (owner, branch) = tagged(glance.to_tag)?;
        let id = Id { branch, ..id };
        (owner == node && self.servers.contains_key(&(node, id))).then_some(id)
    }

    /// The ACK found its transaction in this state, and the core is to see it or not.
    pub fn ack_came(
        &mut self,
        node: usize,
        id: Id,
        ack: &Glance<'_>,
        state: Option<&'static str>,
        delivered: bool,
    ) {
        let timeout = self.config.timers.timeout_ms();
        let Some(server) = self.servers.get_mut(&(node, id)) else {
            return;
        };
        let call = server.call;
        match (server.answered, state) {
            (Some((_, 300..)), Some("completed")) if ack.id.branch == id.branch => {
                server.acknowledged = true
            }
            (Some((_, 200..300)), Some("accepted")) => {
                let Some(wait) = server.waits.get_mut(ack.to_tag) else {
                    return;
                };
                if !wait.acknowledged && self.now >= wait.at + timeout {
                    wait.late = true;
                    return;
                }
                let again = wait.acknowledged;
                wait.acknowledged |= delivered;
                if again && delivered {
                    self.wrong(Some(call), || {
                        format!("an ACK that the core has seen is delivered again: {id:x?}")
                    });
                }
            }
            _ => {}
        }
    }

    /// The core is offered a request.
    pub fn offers(&mut self, node: usize, handle: Handle, glance: &Glance<'_>) {
        let (now, id) = (self.now, glance.id);
        let invite = self.servers.get(&(node, id.with(Method::Invite)));
        let early = id.method == Method::Cancel
            && invite.is_some_and(|invite| invite.offered == 0 && !invite.terminated);
        let gate = self.config.timers.gate_ms;
        let Some(server) = self.server(node, id, handle) else {
            return self.wrong(Some(glance.call), || {
                format!("{} is offered and never came", glance.title())
            });
        };
        server.offered += 1;
        let (offered, serial) = (server.offered, server.serial);
        let waited = now - server.at >= gate;
        let mut what = None;
        if server.terminated {
            what = Some("a terminated transaction's request is offered");
        } else if offered > 1 {
            what = Some("a request is offered twice");
        } else if early {
            what = Some("a CANCEL is offered before its INVITE");
        } else if id.method != Method::Cancel
            && !waited
            && self.ack_before(node, glance.call, serial)
        {
            what = Some("a request overtook the ACK before it");
        }
        if let Some(what) = what {
            self.wrong(Some(glance.call), || format!("{what}: {}", glance.title()));
        }
    }

    /// The core is told that its answer failed.
    pub fn server_fails(&mut self, node: usize, id: Id, handle: Handle, failure: &Failure) {
        let (now, timeout) = (self.now, self.config.timers.timeout_ms());
        let Some(server) = self.server(node, id, handle) else {
            return self.wrong(None, || format!("{id:x?} failed, and is no server"));
        };
        let call = server.call;
        let mut what = None;
        match failure {
            Failure::Timeout => {
                server.timeouts += 1;
                let answered = server.answered.filter(|(_, status)| *status >= 300);
                if server.acknowledged || answered.is_none_or(|(at, _)| now < at + timeout) {
                    what = Some("timer H fires early, or after the ACK");
                }
            }
            Failure::NoAck => {
                server.no_acks += 1;
                let due = server.waits.values();
                let due = due.filter(|wait| !wait.acknowledged && now >= wait.at + timeout);
                if server.no_acks as usize > due.count() {
                    what = Some("no ACK is told early, after the ACK, or twice");
                }
            }
            Failure::Transport(_) => {
                server.told_errors += 1;
                if server.errors == 0 {
                    what = Some("a transport error that no transport had");
                }
            }
        }
        if server.timeouts > 1 || server.told_errors > 1 {
            what = Some("a server transaction fails twice of the same");
        }
        if server.terminated {
            what = Some("a terminated transaction's failure is delivered");
        }
        match failure {
            Failure::Timeout => self.tally.acks_never += 1,
            Failure::NoAck => self.tally.unacknowledged += 1,
            Failure::Transport(_) => self.tally.errors += 1,
        }
        if let Some(what) = what {
            self.wrong(Some(call), || format!("{what}: {id:x?}"));
        }
    }

    pub(super) fn close_servers(&mut self) {
        let now = std::mem::take(&mut self.servers).into_iter();
        let now = now.map(|((node, id), server)| (node, id, server));
        let past = std::mem::take(&mut self.past);
        for (node, id, server) in &past.into_iter().chain(now).collect::<Vec<_>>() {
            if server.terminated {
                continue;
            }
            let failed = id.method == Method::Invite
                && matches!(server.answered, Some((_, 300..)))
                && !server.acknowledged;
            let lost = server.waits.values().filter(|wait| !wait.acknowledged);
            let (least, most) = (lost.clone().filter(|wait| !wait.late).count(), lost.count());
            let what = if server.offered != 1 {
                format!("a request was offered {} times", server.offered)
            } else if server.timeouts != u32::from(failed) {
                format!(
                    "no ACK to a final came, and timer H was told {} times",
                    server.timeouts
                )
            } else if !(least..=most).contains(&(server.no_acks as usize)) {
                format!(
                    "no ACK came to {most} 2xx, and that was told {} times",
                    server.no_acks
                )
            } else {
                continue;
            };
            self.wrong(Some(server.call), || format!("{what}: {id:x?} at {node}"));
        }
    }
}
