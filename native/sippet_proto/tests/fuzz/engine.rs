//! Bytes as operations on one engine, by whoever may call it and in any order. The first byte has the settings; then each
//! operation is a letter, and each of its arguments a byte, the digit 0 for the first choice. A seed can be read and written.

use sippet_proto::transaction::Config;

use crate::operations::{Operation, live};

/// More than any run needs to get into every state.
const MOST: usize = 400;

const CODES: [u16; 10] = [100, 180, 183, 200, 202, 302, 486, 487, 503, 603];

pub fn judge(data: &[u8]) {
    let Some((first, rest)) = data.split_first() else {
        return;
    };
    let settings = first.wrapping_sub(b'0');
    let config = Config {
        max_transactions: if settings & 2 == 0 { 1_000_000 } else { 3 },
        reject_merged: settings & 4 != 0,
        deliver_stray_responses: settings & 8 != 0,
        ..Config::default()
    };
    let mut script = Script(rest.iter());
    let operations: Vec<_> = std::iter::from_fn(|| script.operation())
        .take(MOST)
        .collect();
    live(&operations, config, settings & 1 != 0);
}

struct Script<'a>(std::slice::Iter<'a, u8>);

impl Script<'_> {
    fn operation(&mut self) -> Option<Operation> {
        use Operation::*;
        loop {
            // Either case of a letter, and much else.
            return Some(match self.0.next()? & 0x1f | 0x60 {
                b'a' => ReceiveAck(self.call(), self.tag(), self.flag()),
                b'b' => Begin(self.any()),
                b'c' => ReceiveCancel(self.call()),
                b'd' => Die(self.any()),
                b'e' => TransportError(self.any()),
                b'f' => RespondToCancel(self.call()),
                b'g' => Collect(self.any()),
                b'h' => Abandon(self.any()),
                b'i' => Receive(self.call()),
                b'k' => SendAck(self.call(), self.tag()),
                b'l' => Late(self.any() as u64 * 400),
                b'm' => ReceiveCancelResponse(self.call(), self.code()),
                b'n' => SendCancel(self.call()),
                b'o' => Send(self.call()),
                b'p' => Respond(self.call(), self.code(), self.tag(), self.flag()),
                b'q' => Ask(self.call()),
                b'r' => ReceiveResponse(self.call(), self.code(), self.tag()),
                b's' => Terminate(self.any()),
                b't' => Take(self.any()),
                b'u' => Wait(self.any() as u64),
                b'v' => Wait(self.any() as u64 * 25),
                b'w' => Wait(self.any() as u64 * 500),
                b'x' => Cancel(self.any()),
                b'{' => Route(self.call(), self.flag()),
                b'y' => Proceed(self.any(), self.flag()),
                b'z' => GiveUp(self.any()),
                b'|' => ReceiveLate(self.any(), self.code(), self.tag()),
                _ => continue,
            });
        }
    }

    fn any(&mut self) -> usize {
        usize::from(self.0.next().copied().unwrap_or(b'0').wrapping_sub(b'0'))
    }

    fn call(&mut self) -> usize {
        self.any() % 12
    }

    fn tag(&mut self) -> usize {
        self.any() % 3
    }

    fn code(&mut self) -> u16 {
        CODES[self.any() % CODES.len()]
    }

    fn flag(&mut self) -> bool {
        self.any() % 2 == 1
    }
}
