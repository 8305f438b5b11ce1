//! What the worst inputs cost in memory grows with their size and no faster: the 1 ms of a call on a normal scheduler rests
//! on it. `make bench-instructions` sees to the same for instructions.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use sippet_proto::{Arena, Framing, Options, parse};

mod worst;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

/// Counts the bytes that a thread asks for.
struct Counting;

// SAFETY: all is left to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Bytes used in the arena, and bytes that the allocator was asked for.
fn cost(data: &[u8]) -> (usize, usize) {
    let options = Options {
        framing: Framing::Datagram,
        ..Options::default()
    };
    let before = ALLOCATED.get();
    let mut arena = Arena::new();
    let _ = parse(data, &options, &arena);
    let allocated = ALLOCATED.get() - before;
    let used = arena.iter_allocated_chunks().map(<[_]>::len).sum();
    (used, allocated)
}

#[test]
fn memory_grows_with_the_input_and_no_faster() {
    for kind in worst::Kind::ALL {
        let [small, middle, large] = [16, 32, 64].map(|kib| cost(&kind.build(kib * 1024 - 512)).0);
        for (less, more) in [(small, middle), (middle, large)] {
            // Lists double too: the first of them are no growth.
            let limit = less * 22 / 10 + 4096;
            assert!(more <= limit, "{}: {less} and then {more}", kind.name);
        }
    }
}

#[test]
fn the_allocator_is_asked_for_what_the_arena_holds() {
    for kind in worst::Kind::ALL {
        for kib in [16, 32, 64] {
            let data = kind.build(kib * 1024 - 512);
            let (used, allocated) = cost(&data);
            // Each chunk of an arena is twice the one before, and the last one may be empty yet.
            assert!(
                allocated <= 8 * used + 2048,
                "{}: {allocated} for {used}",
                kind.name
            );
            // The largest thing that few bytes can stand for is an address in a list: under 200 bytes for `a:b,`.
            assert!(used <= 64 * data.len(), "{}: {used}", kind.name);
        }
    }
}

#[test]
fn every_kind_of_input_has_the_size_that_was_asked_for() {
    for kind in worst::Kind::ALL {
        let length = kind.build(32 * 1024).len();
        assert!(
            (31 * 1024..=33 * 1024).contains(&length),
            "{}: {length}",
            kind.name
        );
    }
}
