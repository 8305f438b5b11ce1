//! What must hold: each step of each engine is entered here as the outside sees it, and judged.

use std::collections::{BTreeMap, VecDeque};

use sippet_proto::Bytes;
use sippet_proto::transaction::{Config, Failure};

use super::ladder::Wrong;
use super::server::Server;
use super::tally::Tally;
use super::text::{Glance, Id, Method};

/// What made an engine send.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// A call of the core's.
    Core,
    Timer,
    /// This request came, or came again.
    Request(Id),
    Response,
    /// A runner died.
    Failure,
}

/// What the core is owed of a response that came.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Owed {
    Provisional,
    Final,
    /// A 2xx again, which its core may see while it has not acknowledged it.
    Perhaps,
}

/// A client transaction.
#[derive(Default)]
struct Client {
    call: u32,
    node: usize,
    reliable: bool,
    /// The engine took it.
    taken: bool,
    began: Option<u64>,
    last: u64,
    interval: u64,
    /// A provisional response came while it was open.
    provisional: bool,
    answered: Option<(u64, u16)>,
    /// By To tag; true when the core has acknowledged it in time.
    forks: Vec<(String, bool)>,
    arrived: VecDeque<(Bytes, Owed)>,
    ends: u32,
    errors: u32,
    error_after_final: bool,
    terminated: bool,
    /// A CANCEL whose INVITE the engine did not know when it was sent.
    astray: bool,
}

/// A message for the core outside of any transaction.
struct Stray {
    node: usize,
    bytes: Bytes,
    call: u32,
    serial: u64,
    ack: bool,
}

pub struct Ledger {
    pub config: Config,
    /// How late the clock may look.
    pub lag: u64,
    pub now: u64,
    pub tally: Tally,
    pub wrong: Option<Wrong>,
    clients: BTreeMap<Id, Client>,
    pub(super) servers: BTreeMap<(usize, Id), Server>,
    /// Those whose name another one has now.
    pub(super) past: Vec<(usize, Id, Server)>,
    /// Which client transaction had a 2xx of this To tag first.
    forks: BTreeMap<(usize, String), Id>,
    strays: Vec<Stray>,
    serial: u64,
    missed: Vec<u64>,
}

impl Ledger {
    pub fn new(config: Config, lag: u64, nodes: usize) -> Ledger {
        Ledger {
            config,
            lag,
            now: 0,
            tally: Tally::default(),
            wrong: None,
            clients: BTreeMap::new(),
            servers: BTreeMap::new(),
            past: Vec::new(),
            forks: BTreeMap::new(),
            strays: Vec::new(),
            serial: 0,
            missed: vec![0; nodes],
        }
    }

    /// Keeps the first thing that went wrong.
    pub fn wrong(&mut self, call: Option<u32>, what: impl FnOnce() -> String) {
        if self.wrong.is_none() {
            self.wrong = Some(Wrong {
                at: self.now,
                call,
                what: what(),
            });
        }
    }

    pub(super) fn next_serial(&mut self) -> u64 {
        self.serial += 1;
        self.serial
    }

    /// A core is about to send a request of its own.
    pub fn request(&mut self, node: usize, id: Id, call: u32, reliable: bool) {
        let interval = self.config.timers.t1_ms;
        self.clients.entry(id).or_insert(Client {
            call,
            node,
            reliable,
            interval,
            ..Client::default()
        });
    }

    /// The engine said that the request has a transaction.
    pub fn taken(&mut self, id: Id) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.taken = true;
        }
    }

    pub fn astray(&mut self, id: Id) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.astray = true;
        }
    }

    pub fn terminated(&mut self, id: Id) {
        if let Some(client) = self.clients.get_mut(&id) {
            client.terminated = true;
        }
    }

    /// A transmission of this client or server was refused by the transport.
    pub fn refused(&mut self, node: usize, glance: &Glance<'_>) {
        let mut id = glance.id;
        if id.method == Method::Ack {
            id = id.with(Method::Invite);
        }
        if glance.status.is_some() {
            if let Some(server) = self.servers.get_mut(&(node, id)) {
                server.errors += 1;
            }
        } else if let Some(client) = self.clients.get_mut(&id) {
            client.errors += 1;
        } else if let Some(id) = self.forks.get(&(node, glance.to_tag.to_owned())) {
            // The ACK to a 2xx, sent again.
            if let Some(client) = self.clients.get_mut(id) {
                client.errors += 1;
            }
        }
    }

    /// An engine sends something.
    pub fn sends(&mut self, node: usize, cause: Cause, glance: &Glance<'_>) {
        self.tally.sent += 1;
        if glance.status.is_some() {
            self.sends_response(node, cause, glance);
        } else if glance.id.method == Method::Ack {
            if !matches!(cause, Cause::Core | Cause::Response) {
                self.wrong(Some(glance.call), || {
                    format!("{} left by {cause:?}", glance.title())
                });
            }
        } else {
            self.sends_request(node, cause, glance);
        }
    }

    fn sends_request(&mut self, node: usize, cause: Cause, glance: &Glance<'_>) {
        let (now, lag) = (self.now, self.lag);
        let timers = self.config.timers;
        let invite = self.clients.get(&glance.id.with(Method::Invite));
        let ready = invite.is_none_or(|invite| invite.provisional && invite.answered.is_none());
        let Some(client) = self.clients.get_mut(&glance.id) else {
            let what = format!("{} was sent, and no core sent it", glance.title());
            return self.wrong(Some(glance.call), || what);
        };
        let id = glance.id;
        let mut what = None;
        match client.began {
            None => {
                client.began = Some(now);
                self.tally.clients += 1;
                if id.method == Method::Cancel {
                    self.tally.cancels += 1;
                    if !ready && !client.astray {
                        what =
                            Some("a CANCEL left with no provisional response, or after the final");
                    }
                }
                if client.terminated {
                    what = Some("a request left whose transaction was terminated");
                }
            }
            Some(began) => {
                self.tally.repeated += 1;
                let gap = now - client.last;
                let over = client.ends > 0 || client.terminated;
                let answered = client.answered.is_some()
                    || (id.method == Method::Invite && client.provisional);
                if node != client.node {
                    what = Some("another node repeats the request");
                } else if client.reliable {
                    what = Some("a request is repeated over a reliable transport");
                } else if cause != Cause::Timer {
                    what = Some("a request is repeated, and not by a timer");
                } else if answered {
                    what = Some("a request is repeated after its response");
                } else if over {
                    what = Some("a request is repeated after its end");
                } else if gap < client.interval {
                    what = Some("a request is repeated before its time");
                } else if now > began + timers.timeout_ms() + lag {
                    what = Some("a request is repeated after 64 T1");
                }
                client.interval = match id.method {
                    Method::Invite => client.interval * 2,
                    _ => timers.backoff_ms(client.interval),
                };
            }
        }
        client.last = now;
        if let Some(what) = what {
            self.wrong(Some(glance.call), || format!("{what}: {}", glance.title()));
        }
    }

    /// A response comes in, and its client transaction is in this state. How many ACKs the engine has to send now.
    pub fn response_comes(
        &mut self,
        node: usize,
        glance: &Glance<'_>,
        bytes: &Bytes,
        state: Option<&'static str>,
    ) -> u32 {
        let (now, status) = (self.now, glance.status.unwrap_or_default());
        let timers = self.config.timers;
        let Some(client) = self.clients.get_mut(&glance.id).filter(|c| c.node == node) else {
            return 0;
        };
        let invite = glance.id.method == Method::Invite;
        let open = matches!(state, Some("calling" | "proceeding" | "trying"));
        let keep = |client: &mut Client, owed| client.arrived.push_back((bytes.clone(), owed));
        let (mut acks, mut what) = (0, None);
        match client.answered {
            None if open && status < 200 => {
                client.provisional = true;
                keep(client, Owed::Provisional);
            }
            None if open => {
                client.answered = Some((now, status));
                keep(client, Owed::Final);
                if invite && status >= 300 {
                    acks = 1;
                } else if invite {
                    client.forks.push((glance.to_tag.to_owned(), false));
                    self.forks
                        .entry((node, glance.to_tag.to_owned()))
                        .or_insert(glance.id);
                }
            }
            Some((at, 300..)) if invite && status >= 300 => {
                let least = timers.timer_d_ms.max(timers.timeout_ms());
                let alive = now < at + least && !client.reliable;
                if state == Some("completed") {
                    acks = 1;
                } else if alive && client.errors == 0 && !client.terminated {
                    what = Some("timer D has not fired, but a final finds no transaction");
                }
            }
            Some((at, 200..300)) if invite && (200..300).contains(&status) => {
                let alive = now < at + timers.timeout_ms();
                match client.forks.iter().find(|fork| fork.0 == glance.to_tag) {
                    _ if state != Some("accepted") => {
                        if alive && !client.terminated {
                            what = Some("timer M has not fired, but a 2xx finds no transaction");
                        }
                    }
                    Some((_, true)) => acks = 1,
                    Some((_, false)) => keep(client, Owed::Perhaps),
                    None => {
                        client.forks.push((glance.to_tag.to_owned(), false));
                        self.forks
                            .entry((node, glance.to_tag.to_owned()))
                            .or_insert(glance.id);
                        keep(client, Owed::Final);
                    }
                }
            }
            _ => {}
        }
        if acks > 0 {
            self.tally.acks += 1;
            self.tally.acks_again += u64::from(client.answered.is_some_and(|(at, _)| at != now));
        }
        if let Some(what) = what {
            self.wrong(Some(glance.call), || format!("{what}: {}", glance.title()));
        }
        acks
    }

    /// The core sends the ACK to a 2xx, while the client transaction is in this state.
    pub fn acknowledges(&mut self, node: usize, to_tag: &str) -> Option<Id> {
        self.forks.get(&(node, to_tag.to_owned())).copied()
    }

    pub fn acknowledged(&mut self, id: Id, to_tag: &str) {
        if let Some(client) = self.clients.get_mut(&id) {
            let mut forks = client.forks.iter_mut();
            if let Some(fork) = forks.find(|fork| fork.0 == to_tag) {
                fork.1 = true;
            }
        }
    }

    /// The core is handed a response.
    pub fn delivers_response(&mut self, node: usize, glance: &Glance<'_>, bytes: &Bytes) {
        let Some(client) = self.clients.get_mut(&glance.id).filter(|c| c.node == node) else {
            return self.wrong(Some(glance.call), || {
                format!("{} was delivered to no client", glance.title())
            });
        };
        let mut what = client
            .terminated
            .then_some("a terminated transaction's response is delivered");
        let mut found = false;
        while let Some((arrived, owed)) = client.arrived.pop_front() {
            if arrived.as_ptr() == bytes.as_ptr() {
                found = true;
                let status = glance.status.unwrap_or_default();
                let first = owed == Owed::Final && (status >= 300 || client.ends == 0);
                if first {
                    client.ends += 1;
                    self.tally.answered += 1;
                }
                break;
            }
            match owed {
                Owed::Provisional => self.missed[node] += 1,
                Owed::Final => what = Some("a final response was passed over before"),
                Owed::Perhaps => {}
            }
        }
        if !found {
            what =
                Some("a response is delivered twice, out of order, or though it answers nothing");
        } else if client.ends > 1 {
            what = Some("a client transaction ends twice");
        }
        if let Some(what) = what {
            self.wrong(Some(glance.call), || format!("{what}: {}", glance.title()));
        }
    }

    /// The core is told that its request failed.
    pub fn fails(&mut self, id: Id, failure: &Failure) {
        let now = self.now;
        let timers = self.config.timers;
        let timeout = timers.timeout_ms().min(timers.proceeding_ms);
        let Some(client) = self.clients.get_mut(&id) else {
            return self.wrong(None, || format!("{id:?} failed, and is no client"));
        };
        let late = matches!(client.answered, Some((_, 300..))) && id.method == Method::Invite;
        let call = client.call;
        let mut what = None;
        match failure {
            Failure::Transport(_) if client.errors == 0 => {
                what = Some("a transport error that no transport had");
            }
            // The ACK to a final could not be sent (§17.1.1.2).
            Failure::Transport(_) if late && !client.error_after_final => {
                client.error_after_final = true;
                self.tally.errors += 1;
            }
            Failure::Transport(_) => {
                client.ends += 1;
                self.tally.errors += 1;
            }
            Failure::Timeout => {
                client.ends += 1;
                self.tally.timeouts += 1;
                if client.began.is_none_or(|began| now < began + timeout) {
                    what = Some("a timeout before 64 T1");
                }
            }
            Failure::NoAck => what = Some("a client hears that no ACK came"),
        }
        if client.answered.is_some() && !client.error_after_final {
            what = Some("a transaction fails that has its final response");
        }
        if client.ends > 1 {
            what = Some("a client transaction ends twice");
        }
        if client.terminated {
            what = Some("a terminated transaction's failure is delivered");
        }
        if let Some(what) = what {
            self.wrong(Some(call), || format!("{what}: {id:x?}"));
        }
    }

    /// The call of a transaction, for the ladder.
    pub fn call_of(&self, node: usize, id: Id, client: bool) -> Option<u32> {
        if client {
            self.clients.get(&id).map(|client| client.call)
        } else {
            let server = self.servers.get(&(node, id));
            server.map(|server| server.call)
        }
    }

    /// The engine passes a message on outside of any transaction.
    pub fn stray_comes(&mut self, node: usize, glance: &Glance<'_>, bytes: &Bytes) {
        let serial = self.next_serial();
        self.tally.strays += 1;
        self.strays.push(Stray {
            node,
            bytes: bytes.clone(),
            call: glance.call,
            serial,
            ack: glance.status.is_none(),
        });
    }

    /// The core is handed such a message.
    pub fn delivers_stray(&mut self, node: usize, glance: &Glance<'_>, bytes: &Bytes) {
        let mut strays = self.strays.iter();
        let found =
            strays.position(|stray| stray.node == node && stray.bytes.as_ptr() == bytes.as_ptr());
        match found {
            Some(found) => {
                self.strays.remove(found);
            }
            None => self.wrong(Some(glance.call), || {
                format!(
                    "{} outside of a transaction is delivered twice",
                    glance.title()
                )
            }),
        }
    }

    /// An ACK of the call that came before this and has not reached the core.
    pub(super) fn ack_before(&self, node: usize, call: u32, serial: u64) -> bool {
        let mut strays = self.strays.iter();
        strays.any(|stray| {
            stray.node == node && stray.call == call && stray.ack && stray.serial < serial
        })
    }

    /// All timers have run out.
    pub fn close(&mut self, dropped: &[u64]) {
        let clients = std::mem::take(&mut self.clients);
        for (id, client) in &clients {
            let left = client.arrived.iter();
            let provisionals = left.clone().filter(|left| left.1 == Owed::Provisional);
            if client.terminated {
                continue;
            }
            self.missed[client.node] += provisionals.count() as u64;
            if client.began.is_none() && !client.taken {
                self.tally.cancels_dropped += u64::from(id.method == Method::Cancel);
                continue;
            }
            if left.clone().any(|left| left.1 == Owed::Final) {
                self.wrong(Some(client.call), || {
                    format!("a final response never reached the core: {id:x?}")
                });
            }
            if client.ends != 1 {
                self.wrong(Some(client.call), || {
                    format!("a client transaction ended {} times: {id:x?}", client.ends)
                });
            }
        }
        self.close_servers();
        if let Some(stray) = self.strays.first() {
            let (call, node) = (stray.call, stray.node);
            self.wrong(Some(call), || {
                format!("a message outside of a transaction never reached the core of {node}")
            });
        }
        for (node, dropped) in dropped.iter().enumerate() {
            let missed = self.missed[node];
            self.tally.provisionals_dropped += missed;
            if missed > *dropped {
                self.wrong(None, || {
                    format!("{missed} provisional responses never reached the core of {node}, {dropped} were dropped")
                });
            }
        }
    }
}
