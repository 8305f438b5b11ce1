//! A closed loop of OPTIONS over UDP: so many requests outstanding, the next one when an answer comes.
//!
//! `closed_loop HOST:PORT TOTAL OUTSTANDING [RATE]`; with a rate, requests are sent by the clock instead. Prints one line:
//! transactions, seconds, and the median and the 99th percentile of the time to the answer in microseconds.

use std::collections::HashMap;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, server, total, outstanding, rate @ ..] = &arguments[..] else {
        eprintln!("closed_loop HOST:PORT TOTAL OUTSTANDING [RATE]");
        std::process::exit(2);
    };
    let total: u64 = total.parse().expect("TOTAL is a number");
    let window: usize = outstanding.parse().expect("OUTSTANDING is a number");
    let rate: Option<f64> = rate.first().map(|rate| rate.parse().expect("RATE is a number"));

    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    socket.connect(server).expect("an address");
    socket.set_read_timeout(Some(Duration::from_micros(500))).expect("a timeout");
    let local = socket.local_addr().expect("an address");
    let run = std::process::id();

    let start = Instant::now();
    let mut waiting: HashMap<u64, Instant> = HashMap::new();
    let mut times: Vec<u32> = Vec::with_capacity(total as usize);
    let (mut sent, mut lost) = (0u64, 0u64);
    let mut buffer = [0u8; 4096];
    while (times.len() as u64) + lost < total {
        while sent < total && may_send(rate, sent, start, waiting.len(), window) {
            let request = format!(
                "OPTIONS sip:service@{server} SIP/2.0\r\n\
                 Via: SIP/2.0/UDP {local};branch=z9hG4bK-{run}-{sent}\r\n\
                 Max-Forwards: 70\r\n\
                 From: <sip:load@{local}>;tag=t{sent}\r\n\
                 To: <sip:service@{server}>\r\n\
                 Call-ID: {run}-{sent}@{local}\r\n\
                 CSeq: 1 OPTIONS\r\n\
                 Contact: <sip:load@{local}>\r\n\
                 Accept: application/sdp\r\n\
                 Content-Length: 0\r\n\r\n"
            );
            socket.send(request.as_bytes()).expect("a datagram sent");
            waiting.insert(sent, Instant::now());
            sent += 1;
        }
        match socket.recv(&mut buffer) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&buffer[..length]);
                let number = text.split("branch=z9hG4bK-").nth(1).and_then(|rest| {
                    rest.split(['\r', ';', ',']).next()?.split('-').nth(1)?.parse::<u64>().ok()
                });
                if let Some(asked) = number.and_then(|number| waiting.remove(&number)) {
                    times.push(asked.elapsed().as_micros() as u32);
                }
            }
            Err(_) => {
                let late = waiting.len();
                waiting.retain(|_, asked| asked.elapsed() < Duration::from_secs(2));
                lost += (late - waiting.len()) as u64;
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    times.sort_unstable();
    let at = |part: f64| times.get((times.len() as f64 * part) as usize).copied().unwrap_or(0);
    println!("{} {seconds:.3} {} {} {lost}", times.len(), at(0.5), at(0.99));
}

fn may_send(rate: Option<f64>, sent: u64, start: Instant, waiting: usize, window: usize) -> bool {
    match rate {
        Some(rate) => (sent as f64) < start.elapsed().as_secs_f64() * rate,
        None => waiting < window,
    }
}
