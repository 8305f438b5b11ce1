//! Load for a SIP server, over UDP: OPTIONS transactions, or calls of INVITE, 200, ACK, BYE, 200.
//!
//! `generator HOST:PORT options|call SECONDS WARM [outstanding=N | rate=N] [pids=1,2]`: so many at any time, or so many a second
//! whatever becomes of the others, for WARM seconds and then for SECONDS, in which is measured. Prints one line:
//! `done a_second cpu_us p50 p99 p999 lost repeated`.
//!
//! * `cpu_us` is the CPU time, by the operating system, of all threads of `pids` for each that was done.
//! * Times are those to the final response of the OPTIONS or INVITE, in microseconds; with a rate, from when it was due, so that
//!   a server that holds up the generator is not spared.
//! * Nothing is repeated: what has no answer after a second is lost. `repeated` is how many responses came more than once.

use std::io::Write;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// More than are under way at any time.
const PLACES: usize = 1 << 16;
const LOST_AFTER: Duration = Duration::from_secs(1);
const BODY: &str = "v=0\r\no=load 1 1 IN IP4 127.0.0.1\r\ns=-\r\nc=IN IP4 127.0.0.1\r\nt=0 0\r\n\
                    m=audio 6000 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\n";

struct Load {
    socket: UdpSocket,
    server: String,
    local: SocketAddr,
    calls: bool,
    /// Of all runs against one server another one: branches and Call-IDs are made of it.
    run: u32,
    begun: Instant,
    /// By number: when it began, in ns, and whether it waits for the answer to its BYE; 0 if it is over.
    places: Vec<AtomicU64>,
    next: AtomicU64,
    done: AtomicU64,
    lost: AtomicU64,
    repeated: AtomicU64,
    measuring: AtomicBool,
    over: AtomicBool,
    /// Whether the end of one is the beginning of the next.
    closed: bool,
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [server, scenario, seconds, warm, mode, rest @ ..] = &arguments[..] else {
        eprintln!("generator HOST:PORT options|call SECONDS WARM outstanding=N|rate=N [pids=1,2]");
        std::process::exit(2);
    };
    let (mode, amount) = mode.split_once('=').expect("MODE=N");
    let amount: f64 = amount.parse().expect("MODE=N");
    let seconds = Duration::from_secs_f64(seconds.parse().expect("SECONDS is a number"));
    let warm = Duration::from_secs_f64(warm.parse().expect("WARM is a number"));
    let pids = rest.iter().find_map(|one| one.strip_prefix("pids=")).unwrap_or("");

    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
    let load = Arc::new(Load {
        local: socket.local_addr().expect("an address"),
        socket,
        server: server.clone(),
        calls: scenario == "call",
        run: std::process::id(),
        begun: Instant::now(),
        places: (0..PLACES).map(|_| AtomicU64::new(0)).collect(),
        next: AtomicU64::new(0),
        done: AtomicU64::new(0),
        lost: AtomicU64::new(0),
        repeated: AtomicU64::new(0),
        measuring: AtomicBool::new(false),
        over: AtomicBool::new(false),
        closed: mode == "outstanding",
    });

    let receiver = thread::spawn({
        let load = Arc::clone(&load);
        move || load.receive()
    });
    let pacer = thread::spawn({
        let load = Arc::clone(&load);
        move || load.pace(amount)
    });
    thread::sleep(warm);
    load.measuring.store(true, Relaxed);
    let (before, done, at) = (used(pids), load.done.load(Relaxed), Instant::now());
    thread::sleep(seconds);
    let (after, done, elapsed) = (used(pids), load.done.load(Relaxed) - done, at.elapsed());
    load.measuring.store(false, Relaxed);
    load.over.store(true, Relaxed);
    pacer.join().expect("the pacer ends");
    let mut times = receiver.join().expect("the receiver ends");
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or(0);
    println!(
        "{done} {:.0} {:.1} {} {} {} {} {}",
        done as f64 / elapsed.as_secs_f64(),
        (after - before) as f64 / 1_000.0 / done.max(1) as f64,
        at(0.5),
        at(0.99),
        at(0.999),
        load.lost.load(Relaxed),
        load.repeated.load(Relaxed)
    );
}

/// Nanoseconds of CPU that processes have used in all their threads.
fn used(pids: &str) -> u64 {
    let threads = pids.split(',').filter(|pid| !pid.is_empty()).flat_map(|pid| {
        std::fs::read_dir(format!("/proc/{pid}/task")).expect("a process").flatten()
    });
    threads
        .filter_map(|thread| std::fs::read_to_string(thread.path().join("schedstat")).ok())
        .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
        .sum()
}

impl Load {
    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }

    fn place(&self, number: u64) -> &AtomicU64 {
        &self.places[number as usize % PLACES]
    }

    /// Begins one more, that was due at a time.
    fn begin(&self, buffer: &mut Vec<u8>, due: u64) {
        let number = self.next.fetch_add(1, Relaxed);
        // The lowest bit is for the BYE.
        self.place(number).store(due.max(1) << 1, Relaxed);
        let method = if self.calls { "INVITE" } else { "OPTIONS" };
        self.send(buffer, method, number, b"", 1);
    }

    fn send(&self, buffer: &mut Vec<u8>, method: &str, number: u64, to_tag: &[u8], cseq: u32) {
        let Load { server, local, run, .. } = self;
        let kind = method.as_bytes()[0] as char;
        buffer.clear();
        let _ = write!(
            buffer,
            "{method} sip:service@{server} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {local};branch=z9hG4bK-{number}-{kind}-{run}\r\n\
             Max-Forwards: 70\r\n\
             From: <sip:load@{local}>;tag=t{number}\r\n\
             To: <sip:service@{server}>"
        );
        if !to_tag.is_empty() {
            buffer.extend_from_slice(b";tag=");
            buffer.extend_from_slice(to_tag);
        }
        let body = if method == "INVITE" { BODY } else { "" };
        let kind = if method == "INVITE" { "Content-Type: application/sdp\r\n" } else { "" };
        let _ = write!(
            buffer,
            "\r\nCall-ID: {number}-{run}@{local}\r\n\
             CSeq: {cseq} {method}\r\n\
             Contact: <sip:load@{local}>\r\n\
             {kind}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        // What does not fit into the server's buffer is lost, as on any network.
        let _ = self.socket.send(buffer);
    }

    /// Begins as many as there are to be, or one after another; and finds what is lost.
    fn pace(&self, amount: f64) {
        let mut buffer = Vec::new();
        let mut looked = 0;
        if self.closed {
            (0..amount as u64).for_each(|_| self.begin(&mut buffer, self.now()));
        }
        while !self.over.load(Relaxed) {
            let now = self.now();
            if self.closed {
                thread::sleep(Duration::from_millis(100));
            } else {
                let due = (self.next.load(Relaxed) as f64 / amount * 1e9) as u64;
                match due.checked_sub(now) {
                    Some(early) if early > 0 => {
                        thread::sleep(Duration::from_nanos(early.min(100_000_000)));
                    }
                    _ => self.begin(&mut buffer, due),
                }
            }
            if now > looked + 250_000_000 {
                looked = now;
                self.look_for_lost(&mut buffer, now);
            }
        }
        thread::sleep(LOST_AFTER + Duration::from_millis(100));
        self.look_for_lost(&mut buffer, self.now());
    }

    fn look_for_lost(&self, buffer: &mut Vec<u8>, now: u64) {
        let latest = now.saturating_sub(LOST_AFTER.as_nanos() as u64) << 1;
        for place in &self.places {
            let value = place.load(Relaxed);
            if value != 0
                && value < latest
                && place.compare_exchange(value, 0, Relaxed, Relaxed).is_ok()
            {
                self.lost.fetch_add(1, Relaxed);
                if self.closed && !self.over.load(Relaxed) {
                    self.begin(buffer, now);
                }
            }
        }
    }

    /// Until all is over, and a little longer; returns the times in microseconds.
    fn receive(&self) -> Vec<u32> {
        let mut times = Vec::with_capacity(1 << 22);
        let (mut buffer, mut out) = ([0u8; 4096], Vec::new());
        let mut until = None;
        while until.is_none_or(|until| Instant::now() < until) {
            if until.is_none() && self.over.load(Relaxed) {
                until = Some(Instant::now() + LOST_AFTER);
            }
            if let Ok(length) = self.socket.recv(&mut buffer) {
                self.response(&buffer[..length], &mut out, &mut times);
            }
        }
        times
    }

    fn response(&self, text: &[u8], out: &mut Vec<u8>, times: &mut Vec<u32>) {
        // A provisional response changes nothing.
        if text.get(8) == Some(&b'1') {
            return;
        }
        let Some((number, method)) = branch(text) else { return };
        let place = self.place(number);
        let value = place.load(Relaxed);
        let (start, leaving) = (value >> 1, value & 1 == 1);
        if method == b'I' {
            let to_tag = after(text, b"\r\nTo:").and_then(|to| after(to, b";tag="));
            let to_tag = to_tag.and_then(|tag| tag.split(|byte| b";\r\n".contains(byte)).next());
            self.send(out, "ACK", number, to_tag.unwrap_or(b""), 1);
            if value == 0 || leaving {
                self.repeated.fetch_add(1, Relaxed);
                return;
            }
            self.took(start, times);
            place.store(value | 1, Relaxed);
            return self.send(out, "BYE", number, to_tag.unwrap_or(b""), 2);
        }
        if value == 0 || leaving != (method == b'B') {
            self.repeated.fetch_add(1, Relaxed);
            return;
        }
        if method == b'O' {
            self.took(start, times);
        }
        place.store(0, Relaxed);
        self.done.fetch_add(1, Relaxed);
        if self.closed && !self.over.load(Relaxed) {
            self.begin(out, self.now());
        }
    }

    fn took(&self, start: u64, times: &mut Vec<u32>) {
        if self.measuring.load(Relaxed) {
            times.push(((self.now() - start) / 1_000) as u32);
        }
    }
}

/// The number in the topmost Via's branch, and the first letter of the method.
fn branch(text: &[u8]) -> Option<(u64, u8)> {
    let mut parts = after(text, b";branch=z9hG4bK-")?.splitn(3, |byte| *byte == b'-');
    let number = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    Some((number, *parts.next()?.first()?))
}

fn after<'a>(text: &'a [u8], what: &[u8]) -> Option<&'a [u8]> {
    let at = text.windows(what.len()).position(|window| window == what)?;
    text.get(at + what.len()..)
}
