//! What somebody listens for, in the whole VM: handlers of telemetry belong to no stack.

use std::sync::atomic::{AtomicU32, Ordering};

use rustler::{Atom, NifResult};
use sippet_proto::transaction::Listening;

use crate::atoms;

/// A message was parsed. The bits are those of `Sippet.Telemetry`.
pub const RECEIVED: u32 = 1;
/// Bytes that are no message, or one unfit for a transaction.
pub const REJECTED: u32 = 1 << 1;
/// A request was answered 503.
pub const REFUSED: u32 = 1 << 2;
const STARTS: u32 = 1 << 3;
const STOPS: u32 = 1 << 4;

static MASK: AtomicU32 = AtomicU32::new(0);

/// Somebody listens for this.
#[inline]
pub fn listens(event: u32) -> bool {
    MASK.load(Ordering::Relaxed) & event != 0
}

/// What the engines are to report.
#[inline]
pub fn listening() -> Listening {
    let mask = MASK.load(Ordering::Relaxed);
    Listening {
        starts: mask & STARTS != 0,
        stops: mask & STOPS != 0,
    }
}

/// `telemetry_listen(mask)`: from now on somebody listens for these, and nobody for others.
#[rustler::nif]
fn telemetry_listen(mask: u32) -> NifResult<Atom> {
    MASK.store(mask, Ordering::Relaxed);
    Ok(atoms::get().ok)
}
