//! Operations on one engine, in any order, and what must hold of it after each and at the end.

use std::collections::HashSet;

use sippet_proto::transaction::{Config, Handle, Verdict};

use crate::engine::text::*;
use crate::engine::{Bench, PEER};

#[derive(Debug, Clone)]
pub enum Operation {
    /// From the network: a request of the pool, or a message made from one.
    Receive(usize),
    ReceiveAck(usize, usize, bool),
    ReceiveCancel(usize),
    ReceiveResponse(usize, u16, usize),
    ReceiveCancelResponse(usize, u16),
    /// From the core.
    Send(usize),
    SendAck(usize, usize),
    SendCancel(usize),
    /// From a process that waits for its own request; and a CANCEL made here.
    Ask(usize),
    Collect(usize),
    Abandon(usize),
    Cancel(usize),
    /// A request with other targets, for the core or for a process that waits; what becomes of it when one fails.
    Route(usize, bool),
    Proceed(usize, bool),
    GiveUp(usize),
    /// From the network: a response to what was sent last by that name.
    ReceiveLate(usize, u16, usize),
    Respond(usize, u16, usize, bool),
    RespondToCancel(usize),
    /// From the runners: start one, go on, die.
    Begin(usize),
    Take(usize),
    Die(usize),
    TransportError(usize),
    Terminate(usize),
    Wait(u64),
    /// A caller's clock is behind.
    Late(u64),
}

/// Four calls, each with an INVITE, another request, and the request by a second branch, as a spiral makes it.
fn pool() -> Vec<String> {
    let mut requests = Vec::new();
    for call in 0..4 {
        let method = ["OPTIONS", "BYE", "INVITE", "REGISTER"][call];
        for (method, branch) in [("INVITE", "a"), (method, "b"), ("INVITE", "c")] {
            // The last call is of a peer that knows no cookie.
            let cookie = if call == 3 { "old" } else { "z9hG4bK" };
            let text = request(method, &format!("{cookie}{branch}{call}"));
            let text = with_field(&text, "Call-ID", &format!("call{}", call % 3));
            let tagged = "Bob <sip:bob@biloxi.example>;tag=0";
            requests.push(match method {
                "BYE" => with_field(&text, "To", tagged),
                _ => text,
            });
        }
    }
    requests
}

pub struct World {
    pub bench: Bench,
    pool: Vec<String>,
    handles: Vec<Handle>,
    /// Those that have a runner at work.
    running: HashSet<Handle>,
    /// Those that a process waits for.
    awaited: Vec<Handle>,
    branches: usize,
}

impl World {
    pub fn new(config: Config, reliable: bool) -> World {
        let mut bench = Bench::with(config);
        bench.runs = false;
        bench.reliable = reliable;
        World {
            bench,
            pool: pool(),
            handles: Vec::new(),
            running: HashSet::new(),
            awaited: Vec::new(),
            branches: 0,
        }
    }

    fn some_handle(&self, number: usize) -> Option<Handle> {
        let count = self.handles.len().max(1);
        self.handles.get(number % count).copied()
    }

    fn some_running(&self, number: usize) -> Option<Handle> {
        let running = self.handles.iter().filter(|h| self.running.contains(h));
        let running: Vec<Handle> = running.copied().collect();
        running.get(number % running.len().max(1)).copied()
    }

    pub fn carry_out(&mut self, operation: &Operation) {
        use Operation::*;
        let text = |number: &usize| self.pool[*number].clone();
        let tag = |number: &usize| number.to_string();
        match operation {
            Receive(n) => self.received(&text(n)),
            ReceiveAck(n, t, own) => {
                let invite = text(n);
                let branch = if *own {
                    let via = field(&invite, "Via");
                    via.split("branch=").nth(1).unwrap().to_string()
                } else {
                    format!("z9hG4bKack{n}{t}")
                };
                self.received(&ack(&invite, &tag(t), &branch));
            }
            ReceiveCancel(n) => self.received(&cancel(&text(n))),
            ReceiveResponse(n, code, t) => self.received(&response(&text(n), *code, &tag(t))),
            ReceiveCancelResponse(n, code) => {
                self.received(&response(&cancel(&text(n)), *code, "0"));
            }
            Send(n) => self.sent(&text(n)),
            SendAck(n, t) => self.sent(&ack(&text(n), &tag(t), "z9hG4bKourack")),
            SendCancel(n) => self.sent(&cancel(&text(n))),
            Respond(n, code, t, until_ack) => {
                let answer = response(&text(n), *code, &tag(t));
                let _ = self.bench.respond_with(&answer, None, *until_ack);
            }
            RespondToCancel(n) => {
                let _ = self.bench.respond(&response(&cancel(&text(n)), 200, "0"));
            }
            Ask(n) => {
                if let Some(handle) = self.bench.try_ask(&text(n)) {
                    self.handles.push(handle);
                    self.awaited.push(handle);
                }
            }
            Collect(n) => {
                let count = self.awaited.len().max(1);
                if let Some(handle) = self.awaited.get(n % count).copied() {
                    let got = self.bench.collect(handle);
                    assert!(!self.running.contains(&handle) || got == "gone");
                }
            }
            Abandon(n) => {
                let count = self.awaited.len().max(1);
                if let Some(handle) = self.awaited.get(n % count).copied() {
                    self.bench.abandon(handle);
                    assert_eq!(self.bench.collect(handle), "gone");
                }
            }
            Cancel(n) => {
                if let Some(handle) = self.some_handle(*n) {
                    let _ = self.bench.cancel(handle);
                }
            }
            Route(n, waits) => {
                let handle = if *waits {
                    self.bench.try_ask_with(&text(n), Some("more"))
                } else {
                    self.bench.route(&text(n), "more").ok().flatten()
                };
                self.handles.extend(handle);
                self.awaited.extend(handle.filter(|_| *waits));
            }
            Proceed(n, more) => {
                if let Some(handle) = self.some_handle(*n) {
                    self.branches += 1;
                    let branch = format!("z9hG4bKnext{}", self.branches);
                    let plan = more.then_some("more");
                    let _ = self.bench.proceed(handle, &branch, PEER, plan);
                }
            }
            GiveUp(n) => {
                if let Some(handle) = self.some_handle(*n) {
                    self.bench.give_up(handle);
                }
            }
            ReceiveLate(n, code, t) => {
                let count = self.bench.sent.len().max(1);
                let sent = self.bench.sent.iter().rev().nth(n % count);
                let text = sent.map(|sent| sent.text.clone()).unwrap_or_default();
                if !text.is_empty() && !text.starts_with("SIP/") {
                    self.received(&response(&text, *code, &tag(t)));
                }
            }
            Begin(n) => {
                if let Some(handle) = self.some_handle(*n) {
                    let got = self.bench.begin(handle);
                    if got.is_some() {
                        assert!(self.running.insert(handle), "two runners at once");
                    }
                }
            }
            Take(n) => {
                if let Some(handle) = self.some_running(*n)
                    && self.bench.take(handle).is_none()
                {
                    self.running.remove(&handle);
                }
            }
            Die(n) => {
                if let Some(handle) = self.some_running(*n) {
                    self.running.remove(&handle);
                    self.bench.fail_runner(handle);
                }
            }
            TransportError(n) => {
                if let Some(handle) = self.some_handle(*n) {
                    self.bench.fail_transport(handle);
                }
            }
            Terminate(n) => {
                if let Some(handle) = self.some_handle(*n) {
                    self.bench.terminate(handle);
                }
            }
            Wait(ms) => self.bench.at(self.bench.now + ms),
            Late(ms) => {
                let now = self.bench.now;
                self.bench.now = now.saturating_sub(*ms);
                self.bench.timeout();
                self.bench.now = now;
            }
        }
        self.handles.append(&mut self.bench.called);
    }

    fn received(&mut self, text: &str) {
        if let Verdict::Began(handle) = self.bench.receive(text) {
            self.handles.push(handle);
        }
    }

    fn sent(&mut self, text: &str) {
        if let Ok(Some(handle)) = self.bench.send(text) {
            self.handles.push(handle);
        }
    }

    fn check(&self) {
        let census = self.bench.engine.census();
        assert_eq!(census.places.iter().sum::<usize>(), self.bench.engine.len());
        assert_eq!(census.runners, self.running.len());
        for handle in &self.handles {
            if let Some(info) = self.bench.engine.info(*handle) {
                // 16 of any kind, and beyond them the finals of the forks and the failures.
                assert!(info.queued <= 16 + 16 + 2);
            }
        }
    }

    fn end(mut self) {
        for handle in std::mem::take(&mut self.running) {
            while self.bench.take(handle).is_some() {}
        }
        self.bench.runs = true;
        self.bench.at(self.bench.now + 1_000_000);
        // Each process that waits takes what there is, or is dead.
        for (number, handle) in self.awaited.iter().enumerate() {
            if number % 2 == 0 {
                self.bench.abandon(*handle);
            }
            while self.bench.collect(*handle) != "gone" {}
        }
        self.bench.at(self.bench.now + 2_000_000);
        self.bench.assert_empty();
        let times: Vec<u64> = self.bench.sent.iter().map(|sent| sent.at).collect();
        assert!(times.is_sorted() || times.is_empty());
    }
}

/// All of them, then time until nothing should be left.
pub fn live(operations: &[Operation], config: Config, reliable: bool) {
    let mut world = World::new(config, reliable);
    for operation in operations {
        world.carry_out(operation);
        world.check();
    }
    world.end();
}
