//! One engine on a virtual clock, fed with SIP text, and what it does as lines of text.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod text;

use sippet_proto::transaction::{
    Census, Class, Collected, Config, Continuation, Delivery, Destination, Effect, Engine, Failure,
    Flow, Handle, IncomingRequest, IncomingResponse, KeyMaker, Listener, OutgoingRequest,
    OutgoingResponse, Report, SendError, Setback, Taken, Target, Verdict,
};
use sippet_proto::{Arena, Bytes, Options, parse};

/// Where messages come from and go to unless a test says otherwise.
pub const PEER: &str = "192.0.2.1:5060";

/// The way to an address over transport 1.
pub fn target(address: &str) -> Target {
    Target {
        flow: Flow {
            transport: 1,
            connection: 0,
        },
        destination: Destination::Address(address.parse().unwrap()),
    }
}

/// A message on its way out.
pub struct Sent {
    pub at: u64,
    pub text: String,
    pub target: Target,
    pub handle: Option<Handle>,
}

/// An engine, its clock, and what it did since the last look.
///
/// The log has a line for each effect and each delivery, the time first: `500 send INVITE`, `500 send ACK to
/// 192.0.2.9:5060`, `700 core 180`, `32000 core timeout`, and where runners do not start by themselves `0 run`.
pub struct Bench {
    pub engine: Engine,
    pub now: u64,
    pub reliable: bool,
    /// The port that the Via of a request gets when it goes on; none leaves it.
    pub port: Option<u16>,
    /// Runners start at once and take all there is.
    pub runs: bool,
    pub sent: Vec<Sent>,
    /// The effects that ask for a runner, where they do not start by themselves.
    pub called: Vec<Handle>,
    /// The bytes of the messages that the core got.
    pub seen: Vec<String>,
    /// The methods of the keys that the core got.
    pub names: Vec<String>,
    /// What those who listen were told.
    pub reports: Vec<Report>,
    /// Transactions whose requests have lost their target, and the plans.
    pub rerouted: Vec<(Handle, String)>,
    keys: KeyMaker,
    log: Vec<String>,
}

impl Bench {
    /// Over UDP, with the defaults.
    pub fn new() -> Bench {
        Bench::with(Config::default())
    }

    pub fn with(config: Config) -> Bench {
        let keys = KeyMaker::new(*b"a seed for tests");
        Bench {
            engine: Engine::new(config, keys, 0),
            now: 0,
            reliable: false,
            port: None,
            runs: true,
            sent: Vec::new(),
            called: Vec::new(),
            seen: Vec::new(),
            names: Vec::new(),
            reports: Vec::new(),
            rerouted: Vec::new(),
            keys,
            log: Vec::new(),
        }
    }

    /// Over a reliable transport.
    pub fn reliable() -> Bench {
        Bench {
            reliable: true,
            ..Bench::new()
        }
    }

    /// Runners wait for the test.
    pub fn by_hand() -> Bench {
        Bench {
            runs: false,
            ..Bench::new()
        }
    }

    /// What was done since the last look.
    pub fn log(&mut self) -> Vec<String> {
        std::mem::take(&mut self.log)
    }

    /// Forgets what was done so far.
    pub fn quiet(&mut self) {
        self.log.clear();
        self.sent.clear();
        self.seen.clear();
        self.names.clear();
    }

    /// Lets time pass, each timer firing at its moment.
    pub fn at(&mut self, now: u64) {
        for _ in 0..100_000 {
            match self.engine.next_deadline() {
                Some(deadline) if deadline <= now => {
                    self.now = self.now.max(deadline);
                    self.timeout();
                }
                _ => {
                    self.now = self.now.max(now);
                    return;
                }
            }
        }
        panic!("time stands still at {}", self.now);
    }

    /// Fires what is due now.
    pub fn timeout(&mut self) {
        loop {
            let mut effects = Vec::new();
            let more = self.engine.handle_timeout(self.now, 64, &mut effects);
            self.perform(effects);
            if !more {
                return;
            }
        }
    }

    /// Whether a request may be refused, and as what.
    pub fn class_of(&self, text: &str) -> Option<Class> {
        let arena = Arena::new();
        let message = parse(text.as_bytes(), &Options::default(), &arena).unwrap();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let (source, to) = (target(PEER), target(PEER));
        let request = IncomingRequest::new(&message, &self.keys, bytes, source, to, self.reliable);
        self.engine.class_of(&request.unwrap())
    }

    /// A message comes in from [`PEER`].
    pub fn receive(&mut self, text: &str) -> Verdict {
        let arena = Arena::new();
        let message = parse(text.as_bytes(), &Options::default(), &arena).unwrap();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let mut effects = Vec::new();
        let verdict = if message.status_code().is_none() {
            let (source, to) = (target(PEER), target(PEER));
            let request =
                IncomingRequest::new(&message, &self.keys, bytes, source, to, self.reliable);
            self.engine
                .handle_request(self.now, request.unwrap(), &mut effects)
        } else {
            let response = IncomingResponse::new(&message, &self.keys, bytes, target(PEER));
            self.engine
                .handle_response(self.now, response.unwrap(), &mut effects)
        };
        self.perform(effects);
        verdict
    }

    /// The core sends a request to [`PEER`].
    pub fn send(&mut self, text: &str) -> Result<Option<Handle>, SendError> {
        self.send_to(text, PEER)
    }

    pub fn send_to(&mut self, text: &str, to: &str) -> Result<Option<Handle>, SendError> {
        self.send_for(text, to, Listener::Core, None)
    }

    /// A process that calls itself `alice` sends a request and waits.
    pub fn ask(&mut self, text: &str) -> Handle {
        self.try_ask(text).unwrap()
    }

    pub fn try_ask(&mut self, text: &str) -> Option<Handle> {
        self.try_ask_with(text, None)
    }

    pub fn try_ask_with(&mut self, text: &str, plan: Option<&str>) -> Option<Handle> {
        let alice = Listener::Caller(Bytes::from_static(b"alice"));
        self.send_for(text, PEER, alice, plan).ok().flatten()
    }

    /// The core sends a request that has other targets, of which a plan knows.
    pub fn route(&mut self, text: &str, plan: &str) -> Result<Option<Handle>, SendError> {
        self.send_for(text, PEER, Listener::Core, Some(plan))
    }

    /// The request goes on to another target.
    pub fn proceed(
        &mut self,
        handle: Handle,
        branch: &str,
        to: &str,
        plan: Option<&str>,
    ) -> Result<(), SendError> {
        let next = Continuation {
            branch: branch.as_bytes(),
            protocol: if self.reliable { b"TCP" } else { b"UDP" },
            port: self.port,
            target: target(to),
            reliable: self.reliable,
            plan: plan.map(|plan| Bytes::copy_from_slice(plan.as_bytes())),
            any_length: false,
        };
        let mut effects = Vec::new();
        let result = self.engine.proceed(self.now, handle, next, &mut effects);
        self.perform(effects);
        result
    }

    /// The request has no other target.
    pub fn give_up(&mut self, handle: Handle) {
        let mut effects = Vec::new();
        self.engine.give_up(self.now, handle, &mut effects);
        self.perform(effects);
    }

    fn send_for(
        &mut self,
        text: &str,
        to: &str,
        listener: Listener,
        plan: Option<&str>,
    ) -> Result<Option<Handle>, SendError> {
        let arena = Arena::new();
        let message = parse(text.as_bytes(), &Options::default(), &arena).unwrap();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let request =
            OutgoingRequest::new(&message, &self.keys, bytes, target(to), self.reliable).unwrap();
        let request = OutgoingRequest {
            listener,
            plan: plan.map(|plan| Bytes::copy_from_slice(plan.as_bytes())),
            ..request
        };
        let mut effects = Vec::new();
        let result = self.engine.send_request(self.now, request, &mut effects);
        self.perform(effects);
        result
    }

    /// The core sends a response.
    pub fn respond(&mut self, text: &str) -> Result<Handle, SendError> {
        self.respond_with(text, None, false)
    }

    pub fn respond_until_ack(&mut self, text: &str) -> Result<Handle, SendError> {
        self.respond_with(text, None, true)
    }

    pub fn respond_with(
        &mut self,
        text: &str,
        to: Option<Target>,
        until_ack: bool,
    ) -> Result<Handle, SendError> {
        let arena = Arena::new();
        let message = parse(text.as_bytes(), &Options::default(), &arena).unwrap();
        let bytes = Bytes::copy_from_slice(text.as_bytes());
        let response = OutgoingResponse::new(&message, &self.keys, bytes, to, until_ack).unwrap();
        let mut effects = Vec::new();
        let result = self.engine.send_response(self.now, response, &mut effects);
        self.perform(effects);
        result
    }

    /// The transport could not send.
    pub fn fail_transport(&mut self, handle: Handle) {
        let mut effects = Vec::new();
        let reason = Bytes::from_static(b"econnrefused");
        self.engine
            .handle_transport_error(self.now, handle, reason, &mut effects);
        self.perform(effects);
    }

    pub fn terminate(&mut self, handle: Handle) -> bool {
        let mut effects = Vec::new();
        let known = self.engine.terminate(self.now, handle, &mut effects);
        self.perform(effects);
        known
    }

    /// A runner starts; what it gets, as in the log.
    pub fn begin(&mut self, handle: Handle) -> Option<String> {
        let mut effects = Vec::new();
        let taken = self.engine.begin(self.now, handle, &mut effects);
        self.perform(effects);
        taken.map(|taken| self.describe(&taken))
    }

    /// A runner is done with what it had and asks for more.
    pub fn take(&mut self, handle: Handle) -> Option<String> {
        let mut effects = Vec::new();
        let taken = self.engine.take(self.now, handle, &mut effects);
        self.perform(effects);
        taken.map(|taken| self.describe(&taken))
    }

    /// A runner dies.
    pub fn fail_runner(&mut self, handle: Handle) {
        let mut effects = Vec::new();
        self.engine
            .handle_runner_failure(self.now, handle, &mut effects);
        self.perform(effects);
    }

    /// The process that waits takes what there is: a delivery as in the log, `nothing` or `gone`.
    pub fn collect(&mut self, handle: Handle) -> String {
        let mut effects = Vec::new();
        let collected = self.engine.collect(self.now, handle, &mut effects);
        self.perform(effects);
        match collected {
            Collected::Taken(taken) if taken.cancelled => self.describe(&taken) + " after a CANCEL",
            Collected::Taken(taken) => self.describe(&taken),
            Collected::Nothing => "nothing".into(),
            Collected::Gone => "gone".into(),
        }
    }

    /// The process that waits dies.
    pub fn abandon(&mut self, handle: Handle) {
        let mut effects = Vec::new();
        self.engine.abandon(self.now, handle, &mut effects);
        self.perform(effects);
    }

    pub fn cancel(&mut self, handle: Handle) -> Result<(), SendError> {
        let mut effects = Vec::new();
        let result = self.engine.cancel(self.now, handle, &mut effects);
        self.perform(effects);
        result
    }

    /// The state of a transaction by the RFC's name; nothing if it is gone.
    pub fn state(&self, handle: Handle) -> Option<&'static str> {
        self.engine.info(handle).map(|info| info.state)
    }

    /// No transaction, no timer, and no key that leads to none.
    pub fn assert_empty(&self) {
        assert_eq!(self.engine.len(), 0);
        assert_eq!(self.engine.held(), 0);
        assert_eq!(self.engine.census(), Census::default());
        assert_eq!(self.engine.next_deadline(), None);
    }

    /// The only message sent since the last look.
    pub fn only_sent(&mut self) -> Sent {
        assert_eq!(self.sent.len(), 1);
        self.sent.pop().unwrap()
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Transmit {
                    target,
                    bytes,
                    handle,
                } => {
                    let text = String::from_utf8(bytes.to_vec()).unwrap();
                    let mut line = format!("{} send {}", self.now, title(&text));
                    if target != self::target(PEER) {
                        line.push_str(&format!(" to {}", address(&target)));
                    }
                    self.log.push(line);
                    self.sent.push(Sent {
                        at: self.now,
                        text,
                        target,
                        handle,
                    });
                }
                Effect::StartRunner(handle) if self.runs => {
                    let mut what = self.begin(handle);
                    while let Some(line) = what {
                        self.log.push(format!("{} core {line}", self.now));
                        what = self.take(handle);
                    }
                }
                Effect::Wake(caller) => {
                    let caller = String::from_utf8(caller.to_vec()).unwrap();
                    self.log.push(format!("{} wake {caller}", self.now));
                }
                Effect::Report(report) => self.reports.push(*report),
                Effect::Reroute(reroute) => {
                    let plan = String::from_utf8(reroute.plan.to_vec()).unwrap();
                    let why = match &reroute.setback {
                        Setback::Timeout => "timeout".into(),
                        Setback::Transport(reason) => String::from_utf8_lossy(reason).into_owned(),
                        Setback::Unavailable(response) => response.status_code.to_string(),
                    };
                    self.log.push(format!("{} lost {plan}: {why}", self.now));
                    self.rerouted.push((reroute.handle, plan));
                }
                Effect::StartRunner(handle) => {
                    self.log.push(format!("{} run", self.now));
                    self.called.push(handle);
                }
            }
        }
    }

    fn describe(&mut self, taken: &Taken) -> String {
        self.names
            .push(String::from_utf8_lossy(taken.name.method()).into_owned());
        match &taken.delivery {
            Delivery::Request { bytes, keyed, .. } | Delivery::Response { bytes, keyed, .. } => {
                let text = String::from_utf8(bytes.to_vec()).unwrap();
                let mut line = title(&text);
                if !keyed {
                    line.push_str(" without key");
                }
                self.seen.push(text);
                line
            }
            Delivery::Failed(Failure::Timeout) => "timeout".into(),
            Delivery::Failed(Failure::NoAck) => "no ack".into(),
            Delivery::Failed(Failure::Transport(reason)) => {
                format!("transport {}", String::from_utf8_lossy(reason))
            }
        }
    }
}

/// The method of a request, the status code of a response.
fn title(text: &str) -> String {
    let mut words = text.trim_start().split(' ');
    match words.next() {
        Some("SIP/2.0") => words.next().unwrap_or_default().into(),
        method => method.unwrap_or_default().into(),
    }
}

fn address(target: &Target) -> String {
    match &target.destination {
        Destination::Address(address) => address.to_string(),
        Destination::Host(host, port) => format!("{}:{port}", String::from_utf8_lossy(host)),
    }
}
