use std::cell::RefCell;
use std::hint::black_box;

use sippet_proto::{Arena, Framing, Options, parse as parse_message};

thread_local! {
    // As the NIF has it: a thread keeps its arena.
    static ARENA: RefCell<Arena> = RefCell::new(Arena::new());
}

pub fn parse(data: &[u8]) -> Result<usize, String> {
    const OPTIONS: Options = Options {
        framing: Framing::Datagram,
        mode: sippet_proto::Mode::Lenient,
        limits: sippet_proto::Limits::DEFAULT,
    };
    ARENA.with_borrow_mut(|arena| {
        arena.reset();
        let message = parse_message(data, &OPTIONS, arena).map_err(|error| error.to_string())?;
        let headers = &black_box(&message).headers;
        // To, From, Call-ID, CSeq, Via: a datagram without them is refused.
        Ok(4 + headers.via.as_ref().map_or(0, |via| via.len()))
    })
}
