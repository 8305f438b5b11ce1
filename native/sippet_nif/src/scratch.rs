//! Memory that a scheduler thread keeps from call to call, so that most calls ask for none.

use std::cell::RefCell;

use sippet_proto::message::Arena;

/// What a thread keeps at most; a message that needed more gives the rest back.
const MAX_KEPT_BYTES: usize = 256 * 1024;

#[derive(Default)]
struct Scratch {
    arena: Arena,
    bytes: Vec<u8>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
}

/// Calls `body` with an empty arena and an empty buffer. Not to be nested.
pub fn with<R>(body: impl FnOnce(&Arena, &mut Vec<u8>) -> R) -> R {
    SCRATCH.with_borrow_mut(|scratch| {
        let Scratch { arena, bytes } = scratch;
        // After a panic there may be something left.
        bytes.clear();
        let result = body(arena, bytes);
        if arena.allocated_bytes() > MAX_KEPT_BYTES {
            *arena = Arena::new();
        } else {
            arena.reset();
        }
        if bytes.capacity() > MAX_KEPT_BYTES {
            *bytes = Vec::new();
        }
        result
    })
}
