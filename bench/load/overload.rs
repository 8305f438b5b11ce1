//! An open loop of calls over UDP: INVITE, ACK, and a BYE half a second later, so many new calls a second whatever becomes of
//! the others. Messages are repeated as by §17.1, T1 500 ms; a call that has no final response after 8 s is lost.
//!
//! `overload HOST:PORT SECONDS RATE [RATE ...]`: a rate for each source, which are 127.0.0.1, 127.0.0.2 ... A line for each:
//! `source offered answered refused lost goodput p50 p99 byes_ok byes_lost invites_resent`; times in milliseconds of the
//! set-up, from the first INVITE to its 200, and the last quarter of a second is not counted.

use std::collections::{BTreeMap, HashMap};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

const T1: Duration = Duration::from_millis(500);
const GIVE_UP: Duration = Duration::from_secs(8);
const TALK: Duration = Duration::from_millis(500);

#[derive(PartialEq)]
enum State {
    Calling,
    Talking,
    Leaving,
}

struct Call {
    state: State,
    begun: Instant,
    left: Instant,
    interval: Duration,
    to: String,
}

struct Source {
    socket: UdpSocket,
    rate: f64,
    calls: HashMap<u64, Call>,
    due: BTreeMap<(Instant, u64), ()>,
    offered: u64,
    refused: u64,
    lost: u64,
    resent: u64,
    byes_ok: u64,
    byes_lost: u64,
    setups: Vec<f64>,
}

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, server, seconds, rates @ ..] = &arguments[..] else {
        eprintln!("overload HOST:PORT SECONDS RATE [RATE ...]");
        std::process::exit(2);
    };
    let duration = Duration::from_secs_f64(seconds.parse().expect("SECONDS is a number"));
    let mut sources: Vec<Source> = rates
        .iter()
        .enumerate()
        .map(|(index, rate)| {
            let socket = UdpSocket::bind((format!("127.0.0.{}", index + 1), 0)).expect("a socket");
            socket.connect(server).expect("an address");
            socket.set_nonblocking(true).expect("no blocking");
            Source {
                socket,
                rate: rate.parse().expect("RATE is a number"),
                calls: HashMap::new(),
                due: BTreeMap::new(),
                offered: 0,
                refused: 0,
                lost: 0,
                resent: 0,
                byes_ok: 0,
                byes_lost: 0,
                setups: Vec::new(),
            }
        })
        .collect();

    let start = Instant::now();
    loop {
        let now = Instant::now();
        let offering = now - start < duration;
        let mut idle = true;
        for source in &mut sources {
            while offering && (source.offered as f64) < (now - start).as_secs_f64() * source.rate {
                source.invite(now);
            }
            idle &= !source.receive();
            source.timers(now);
        }
        if !offering && sources.iter().all(|source| source.calls.is_empty()) {
            break;
        }
        if idle {
            std::thread::sleep(Duration::from_micros(200));
        }
    }
    for (index, source) in sources.iter_mut().enumerate() {
        source.setups.sort_by(f64::total_cmp);
        let count = source.setups.len();
        let at = |part: f64| {
            let index = (count as f64 * part) as usize;
            source.setups.get(index.min(count.saturating_sub(1))).copied().unwrap_or(0.0)
        };
        println!(
            "{} {} {} {} {} {:.0} {:.1} {:.1} {} {} {}",
            index + 1,
            source.offered,
            count,
            source.refused,
            source.lost,
            count as f64 / duration.as_secs_f64(),
            at(0.5),
            at(0.99),
            source.byes_ok,
            source.byes_lost,
            source.resent
        );
    }
}

impl Source {
    fn send(&self, number: u64, method: &str, branch: &str, to: &str) {
        let local = self.socket.local_addr().expect("an address");
        let run = std::process::id();
        let cseq = if method == "BYE" { 2 } else { 1 };
        let text = format!(
            "{method} sip:service@127.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch=z9hG4bK-{run}-{number}-{branch}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:load@{local}>;tag=t{number}\r\n\
             To: {to}\r\n\
             Call-ID: {number}-{run}@{local}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:load@{local}>\r\n\
             Content-Length: 0\r\n\r\n"
        );
        // What does not fit into the socket's buffer is lost, as on any network.
        let _ = self.socket.send(text.as_bytes());
    }

    fn invite(&mut self, now: Instant) {
        let number = self.offered;
        self.offered += 1;
        let to = "<sip:service@127.0.0.1>".to_string();
        self.send(number, "INVITE", "i", &to);
        self.due.insert((now + T1, number), ());
        let call = Call { state: State::Calling, begun: now, left: now, interval: T1, to };
        self.calls.insert(number, call);
    }

    fn receive(&mut self) -> bool {
        let mut buffer = [0u8; 4096];
        let mut any = false;
        // A source must not keep the others from sending.
        for _ in 0..64 {
            let Ok(length) = self.socket.recv(&mut buffer) else { break };
            any = true;
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            self.response(&text);
        }
        any
    }

    fn response(&mut self, text: &str) {
        let code: u16 = text.get(8..11).and_then(|code| code.parse().ok()).unwrap_or(0);
        let field = |name: &str| {
            text.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_string())
        };
        let Some(number) = field("Call-ID:").and_then(|id| id.split('-').next()?.parse().ok()) else {
            return;
        };
        let bye = field("CSeq:").is_some_and(|cseq| cseq.contains("BYE"));
        let to = field("To:").unwrap_or_default();
        let now = Instant::now();
        if code < 200 {
            return;
        }
        if !bye {
            self.send(number, "ACK", if code < 300 { "a" } else { "i" }, &to);
        }
        let Some(call) = self.calls.get_mut(&number) else { return };
        match (&call.state, bye, code) {
            (State::Calling, false, 200) => {
                self.setups.push((now - call.begun).as_secs_f64() * 1000.0);
                call.state = State::Talking;
                call.to = to;
                self.due.insert((now + TALK, number), ());
            }
            (State::Calling, false, _) => {
                self.refused += 1;
                self.calls.remove(&number);
            }
            (State::Leaving, true, _) => {
                if code == 200 {
                    self.byes_ok += 1;
                } else {
                    self.byes_lost += 1;
                }
                self.calls.remove(&number);
            }
            _ => {}
        }
    }

    fn timers(&mut self, now: Instant) {
        while let Some((&(at, number), ())) = self.due.first_key_value() {
            if at > now {
                return;
            }
            self.due.pop_first();
            let Some(call) = self.calls.get_mut(&number) else { continue };
            if call.state == State::Talking {
                call.state = State::Leaving;
                call.left = now;
                call.interval = T1;
            } else if now - call.left >= GIVE_UP {
                if call.state == State::Calling {
                    self.lost += 1;
                } else {
                    self.byes_lost += 1;
                }
                self.calls.remove(&number);
                continue;
            } else if at < call.left + T1 {
                // An INVITE's timer, and the call has gone on.
                continue;
            } else {
                call.interval *= 2;
                if call.state == State::Calling {
                    self.resent += 1;
                }
            }
            let (next, leaving, to) =
                (now + call.interval, call.state == State::Leaving, call.to.clone());
            self.due.insert((next, number), ());
            if leaving {
                self.send(number, "BYE", "b", &to);
            } else {
                self.send(number, "INVITE", "i", &to);
            }
        }
    }
}
