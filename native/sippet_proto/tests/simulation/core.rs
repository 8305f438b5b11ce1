//! What the cores do: callers, callees that may be slow, silent or broken, and the terminations of their owners.

use std::collections::BTreeMap;
use std::rc::Rc;

use sippet_proto::transaction::{
    Delivery, Handle, OutgoingRequest, OutgoingResponse, SendError, Taken,
};
use sippet_proto::{Arena, Bytes, Options, parse};

use super::ledger::Cause;
use super::proxy::Proxy;
use super::text::{Draft, Glance, Id, Method, destinations, tagged, to_tag};
use super::world::{Event, World, target};
use crate::engine::text;

pub enum Action {
    Call(u32),
    Respond(Answer),
    Ack(usize, u32, String),
    Cancel(usize, u32),
    /// From this node, to this one's dialog of this To tag.
    Bye(usize, u32, String),
    Terminate(usize, Id),
}

/// A response that a core has decided on.
pub struct Answer {
    pub node: usize,
    pub request: Rc<str>,
    pub status: u16,
    /// With the To tag of a second fork.
    pub fork: bool,
    pub until_ack: bool,
}

/// A call as its caller knows it.
#[derive(Default)]
struct Call {
    node: usize,
    next: usize,
    invite: String,
    branch: u32,
    tags: Vec<String>,
}

#[derive(Default)]
pub struct Core {
    /// Who made each branch.
    makers: Vec<usize>,
    calls: BTreeMap<u32, Call>,
    /// INVITEs that were offered here: what a CANCEL makes them answer.
    invites: BTreeMap<(usize, u32), Rc<str>>,
    pub proxy: Proxy,
}

impl Core {
    pub fn maker(&self, branch: u32) -> Option<usize> {
        self.makers.get(branch as usize).copied()
    }

    pub fn branch(&mut self, node: usize) -> u32 {
        self.makers.push(node);
        self.makers.len() as u32 - 1
    }
}

impl World {
    /// The callback of what a runner took: the request that it owes an answer, and whether it dies of it.
    pub fn offer(&mut self, node: usize, handle: Handle, taken: &Taken) -> (Option<Id>, bool) {
        let dies = self.random.percent(self.profile.crash_percent);
        let answers = !dies || self.random.percent(30);
        self.ladder.mix(self.now << 8 | node as u64);
        match &taken.delivery {
            Delivery::Request { bytes, keyed, .. } | Delivery::Response { bytes, keyed, .. } => {
                let Some(glance) = Glance::of(bytes) else {
                    return (None, dies);
                };
                let (now, call) = (self.now, Some(glance.call));
                self.ladder.note(now, call, || {
                    let dies = if dies { " and dies of it" } else { "" };
                    format!("{node} core: {}{dies}", glance.title())
                });
                let request: Rc<str> = str::from_utf8(bytes).unwrap_or_default().into();
                let is_request = glance.status.is_none();
                match (is_request, *keyed) {
                    (true, true) => self.ledger.offers(node, handle, &glance),
                    (false, true) => self.ledger.delivers_response(node, &glance, bytes),
                    (_, false) => self.ledger.delivers_stray(node, &glance, bytes),
                }
                if answers {
                    match (self.proxies(node), is_request) {
                        (true, true) => self.proxy_request(node, request, &glance, *keyed),
                        (true, false) => self.proxy_response(node, &request, &glance),
                        (false, true) if *keyed => self.serve(node, request, &glance),
                        (false, true) => {}
                        (false, false) => self.called(node, &glance),
                    }
                }
                ((is_request && *keyed).then_some(glance.id), dies)
            }
            Delivery::Failed(failure) => {
                let digits = taken.name.branch().strip_prefix(b"z9hG4bK");
                let digits = str::from_utf8(digits.unwrap_or_default()).unwrap_or_default();
                let methods = [Method::Invite, Method::Cancel, Method::Bye, Method::Options];
                let mut methods = methods.into_iter();
                let method = methods.find(|method| method.word().as_bytes() == taken.name.method());
                let (Ok(branch), Some(method)) = (u32::from_str_radix(digits, 16), method) else {
                    self.ledger.wrong(None, || "a failure of no name".into());
                    return (None, dies);
                };
                let mut id = Id { branch, method };
                if !taken.client
                    && let Some(offered) = self.nodes[node].offered.get(&handle.to_bits())
                {
                    id = *offered;
                }
                let call = self.ledger.call_of(node, id, taken.client);
                self.ladder.note(self.now, call, || {
                    format!("{node} core: {failure:?} {} {branch:x}", id.method.word())
                });
                if taken.client {
                    self.ledger.fails(id, failure);
                    if self.proxies(node) && answers {
                        self.proxy_failure(node, id);
                    }
                } else {
                    self.ledger.server_fails(node, id, handle, failure);
                }
                (None, dies)
            }
        }
    }

    fn proxies(&self, node: usize) -> bool {
        self.profile.proxy && node + 1 == self.profile.nodes
    }

    pub fn act(&mut self, action: Action) -> usize {
        match action {
            Action::Call(call) => self.begin_call(call),
            Action::Respond(answer) => {
                self.respond(&answer);
                answer.node
            }
            Action::Ack(node, call, tag) => {
                self.acknowledge(node, call, &tag);
                node
            }
            Action::Cancel(node, call) => {
                if let Some((invite, next)) = self
                    .core
                    .calls
                    .get(&call)
                    .map(|call| (call.invite.clone(), call.next))
                {
                    self.cancel(node, next, &invite);
                }
                node
            }
            Action::Bye(node, call, tag) => {
                self.bye(node, call, &tag);
                node
            }
            Action::Terminate(node, id) => {
                self.terminate(node, id);
                node
            }
        }
    }

    fn begin_call(&mut self, call: u32) -> usize {
        let agents = self.profile.nodes - usize::from(self.profile.proxy);
        let node = self.random.below(agents as u64) as usize;
        let mut others: Vec<_> = (0..agents).filter(|other| *other != node).collect();
        let over_proxy = self.profile.proxy && self.random.percent(80);
        if !(over_proxy && self.random.percent(60)) {
            others = vec![self.random.pick(&others)];
        }
        let next = if over_proxy { agents } else { others[0] };
        let invites = self.random.percent(60);
        let id = Id {
            branch: self.core.branch(node),
            method: if invites {
                Method::Invite
            } else {
                Method::Options
            },
        };
        let to: String = others.iter().map(|other| other.to_string()).collect();
        let draft = Draft {
            id,
            node,
            to: &to,
            call,
            cseq: 1,
            from_tag: &format!("f{call}"),
            to_tag: "",
        };
        let invite = draft.text();
        self.request_out(node, next, &invite);
        let known = Call {
            node,
            next,
            invite,
            branch: id.branch,
            tags: Vec::new(),
        };
        self.core.calls.insert(call, known);
        if invites && self.random.percent(25) {
            let at = self.now + self.random.wait(6_000);
            self.plan(at, Event::Act(Action::Cancel(node, call)));
        }
        if self.random.percent(2) {
            let at = self.now + self.random.wait(40_000);
            self.plan(at, Event::Act(Action::Terminate(node, id)));
        }
        node
    }

    /// Sends a request as its core.
    pub fn request_out(&mut self, node: usize, next: usize, request: &str) {
        let Some(glance) = Glance::of(request.as_bytes()) else {
            return;
        };
        let arena = Arena::new();
        let Ok(message) = parse(request.as_bytes(), &Options::default(), &arena) else {
            return self.ledger.wrong(None, || format!("unreadable: {request}"));
        };
        let reliable = self.profile.reliable(node, next);
        let bytes = Bytes::copy_from_slice(request.as_bytes());
        let keys = &self.nodes[node].keys;
        let Ok(out) = OutgoingRequest::new(&message, keys, bytes, target(next), reliable) else {
            return self.ledger.wrong(None, || format!("unfit: {request}"));
        };
        if glance.id.method == Method::Ack {
            if let Some(id) = self.ledger.acknowledges(node, glance.to_tag)
                && let Some(handle) = self.client_handle(node, id)
                && let Some(info) = self.nodes[node].engine.info(handle)
                && info.state == "accepted"
            {
                self.ledger.acknowledged(id, glance.to_tag);
            }
        } else {
            self.ledger.request(node, glance.id, glance.call, reliable);
        }
        let mut effects = Vec::new();
        let engine = &mut self.nodes[node].engine;
        let result = engine.send_request(self.now, out, &mut effects);
        if let Ok(Some(_)) = result {
            self.ledger.taken(glance.id);
        }
        self.carry(node, Cause::Core, effects);
    }

    pub fn cancel(&mut self, node: usize, next: usize, invite: &str) {
        let cancel = text::cancel(invite);
        let Some(glance) = Glance::of(invite.as_bytes()) else {
            return;
        };
        if self.client_handle(node, glance.id).is_none() {
            // Its INVITE is over: most cores know.
            if self.random.percent(90) {
                return;
            }
            let reliable = self.profile.reliable(node, next);
            let id = glance.id.with(Method::Cancel);
            self.ledger.request(node, id, glance.call, reliable);
            self.ledger.astray(id);
        }
        self.request_out(node, next, &cancel);
    }

    fn acknowledge(&mut self, node: usize, call: u32, tag: &str) {
        let (Some(known), Some((to, _))) = (self.core.calls.get(&call), tagged(tag)) else {
            return;
        };
        let (next, branch) = (known.next, known.branch);
        // Some know no better than to keep the branch of the INVITE.
        let branch = if self.random.percent(5) {
            branch
        } else {
            self.core.branch(node)
        };
        let draft = Draft {
            id: Id {
                branch,
                method: Method::Ack,
            },
            node,
            to: &to.to_string(),
            call,
            cseq: 1,
            from_tag: &format!("f{call}"),
            to_tag: tag,
        };
        self.request_out(node, next, &draft.text());
    }

    fn bye(&mut self, node: usize, call: u32, tag: &str) {
        let (Some(known), Some((callee, _))) = (self.core.calls.get(&call), tagged(tag)) else {
            return;
        };
        let (caller, next, ours) = (known.node, known.next, format!("f{call}"));
        let calls = node == caller;
        let to = if calls { callee } else { caller };
        let direct = next + 1 != self.profile.nodes || !self.profile.proxy;
        let branch = self.core.branch(node);
        let draft = Draft {
            id: Id {
                branch,
                method: Method::Bye,
            },
            node,
            to: &to.to_string(),
            call,
            cseq: 2,
            from_tag: if calls { &ours } else { tag },
            to_tag: if calls { tag } else { &ours },
        };
        self.request_out(node, if direct { to } else { next }, &draft.text());
    }

    fn terminate(&mut self, node: usize, id: Id) {
        let Some(handle) = self.client_handle(node, id) else {
            return;
        };
        let mut effects = Vec::new();
        self.ledger.terminated(id);
        let engine = &mut self.nodes[node].engine;
        engine.terminate(self.now, handle, &mut effects);
        self.carry(node, Cause::Core, effects);
    }

    /// The caller has a response.
    fn called(&mut self, node: usize, glance: &Glance<'_>) {
        let status = glance.status.unwrap_or_default();
        let (call, tag) = (glance.call, glance.to_tag.to_owned());
        let Some(known) = self.core.calls.get_mut(&call) else {
            return;
        };
        let invite = glance.id.method == Method::Invite && known.node == node;
        if !invite || !(200..300).contains(&status) || known.tags.contains(&tag) {
            return;
        }
        known.tags.push(tag.clone());
        let mut at = self.now;
        if self.random.percent(92) {
            at += self.random.wait(12_000);
            self.plan(at, Event::Act(Action::Ack(node, call, tag.clone())));
        }
        if self.random.percent(60) {
            at += self.random.wait(3_000);
            self.plan(at, Event::Act(Action::Bye(node, call, tag)));
        }
    }

    /// The callee has a request.
    fn serve(&mut self, node: usize, request: Rc<str>, glance: &Glance<'_>) {
        if destinations(&request).is_empty() {
            return;
        }
        match glance.id.method {
            Method::Invite => self.ring(node, request, glance),
            Method::Cancel => {
                let at = self.now + self.random.wait(3_000);
                self.answer(at, node, &request, 200, false);
                let invite = self.core.invites.get(&(node, glance.id.branch)).cloned();
                if let Some(invite) = invite {
                    let at = self.now + self.random.wait(2_000);
                    self.answer(at, node, &invite, 487, false);
                }
            }
            _ => {
                if self.random.percent(4) {
                    return;
                }
                let longest = self.random.pick(&[300, 300, 6_000, 45_000]);
                let at = self.now + self.random.wait(longest);
                let status = self.random.pick(&[200, 200, 200, 404, 503, 603]);
                if self.random.percent(5) {
                    let early = self.random.pick(&[100, 180]);
                    self.answer(self.now, node, &request, early, false);
                }
                self.answer(at, node, &request, status, false);
            }
        }
        if self.random.percent(1) {
            let at = self.now + self.random.wait(40_000);
            self.plan_server_end(at, node, glance.id);
        }
    }

    fn ring(&mut self, node: usize, request: Rc<str>, glance: &Glance<'_>) {
        let name = (node, glance.id.branch);
        self.core.invites.insert(name, request.clone());
        if self.random.percent(4) {
            return;
        }
        let longest = self.random.pick(&[300, 6_000, 6_000, 45_000]);
        let at = self.now + self.random.wait(longest);
        let rings = match self.random.below(100) {
            0..3 => 20,
            3..70 => 1,
            _ => 0,
        };
        let early = self.now + self.random.below(at - self.now + 1);
        for _ in 0..rings {
            let status = self.random.pick(&[180, 183]);
            self.answer(early, node, &request, status, false);
        }
        let status = self.random.pick(&[200, 200, 200, 200, 302, 486, 500, 603]);
        let success = (200..300).contains(&status);
        let forks = success && self.random.percent(5);
        let until_ack = success && self.random.percent(85);
        self.answer(at, node, &request, status, until_ack);
        if forks {
            let second = Answer {
                node,
                request: request.clone(),
                status,
                fork: true,
                until_ack,
            };
            let at = at + self.random.wait(3_000);
            self.plan(at, Event::Act(Action::Respond(second)));
        }
        if self.random.percent(3) {
            let status = self.random.pick(&[180, 200, 486]);
            let at = at + self.random.wait(10_000);
            self.answer(at, node, &request, status, false);
        }
        if success && self.random.percent(10) {
            let at = at + self.random.wait(5_000);
            let tag = to_tag(node, glance.id.branch, false);
            self.plan(at, Event::Act(Action::Bye(node, glance.call, tag)));
        }
    }

    fn plan_server_end(&mut self, at: u64, node: usize, id: Id) {
        self.plan(at, Event::EndServer(node, id));
    }

    /// The owner of a server transaction drops it.
    pub fn end_server(&mut self, node: usize, id: Id) {
        let Some(handle) = self.server_handle(node, id) else {
            return;
        };
        let mut effects = Vec::new();
        self.ledger.server_terminated(node, id);
        let engine = &mut self.nodes[node].engine;
        engine.terminate(self.now, handle, &mut effects);
        self.carry(node, Cause::Core, effects);
    }

    pub fn answer(
        &mut self,
        at: u64,
        node: usize,
        request: &Rc<str>,
        status: u16,
        until_ack: bool,
    ) {
        let answer = Answer {
            node,
            request: request.clone(),
            status,
            fork: false,
            until_ack,
        };
        if at <= self.now {
            self.respond(&answer);
        } else {
            self.plan(at, Event::Act(Action::Respond(answer)));
        }
    }

    fn respond(&mut self, answer: &Answer) {
        let Some(glance) = Glance::of(answer.request.as_bytes()) else {
            return;
        };
        let tag = to_tag(answer.node, glance.id.branch, answer.fork);
        let tag = if answer.status == 100 { "" } else { &tag };
        let response = text::response(&answer.request, answer.status, tag);
        let result = self.response_out(answer.node, &response, answer.until_ack);
        let invite = glance.id.method == Method::Invite;
        if !invite && answer.status < 200 && result == Ok(()) && answer.status != 100 {
            self.ledger.wrong(Some(glance.call), || {
                format!("{} was taken for {}", answer.status, glance.title())
            });
        }
    }

    /// Sends a response as its core.
    pub fn response_out(
        &mut self,
        node: usize,
        response: &str,
        until_ack: bool,
    ) -> Result<(), SendError> {
        let arena = Arena::new();
        let bytes = Bytes::copy_from_slice(response.as_bytes());
        let keys = &self.nodes[node].keys;
        let message = parse(response.as_bytes(), &Options::default(), &arena);
        let out = message
            .ok()
            .and_then(|message| OutgoingResponse::new(&message, keys, bytes, None, until_ack).ok());
        let Some(out) = out else {
            self.ledger.wrong(None, || format!("unfit: {response}"));
            return Ok(());
        };
        let mut effects = Vec::new();
        let engine = &mut self.nodes[node].engine;
        let result = engine.send_response(self.now, out, &mut effects);
        if until_ack
            && result.is_ok()
            && let Some(glance) = Glance::of(response.as_bytes())
        {
            self.ledger.until_ack(node, glance.id, glance.to_tag);
        }
        self.carry(node, Cause::Core, effects);
        result.map(|_| ())
    }
}
