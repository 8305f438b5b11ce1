//! Who is let into a stack: the admission of its machines, and the drain.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Mutex, PoisonError};

use sippet_proto::transaction::Class;
use sippet_proto::transaction::admission::{Admission, Admit, Standing};

/// How many times as long requests inside of dialogs may wait, until they are refused too: those of calls that are up go on
/// while others are refused, but a flood of what only says so is held up here.
const INSIDE: u64 = 4;

/// The door of one stack. While there is no overload nobody waits at it: what begins is noted, what comes is let in.
pub struct Door {
    /// None where waiting does not matter.
    watches: Option<Watches>,
    /// Requests outside of dialogs are refused: the stack is to stop.
    draining: AtomicBool,
    /// How far the VM is from having no process left to run a callback in: 0 far, 1 for requests outside of dialogs too little, 2
    /// for those inside too.
    crowd: AtomicU8,
}

/// The two classes know nothing of each other but by how long they wait: they share the processors.
struct Watches {
    outside: Watch,
    inside: Watch,
}

struct Watch {
    admission: Mutex<Admission>,
    overloaded: AtomicBool,
}

impl Door {
    /// `target_ms` is how long callbacks may wait for a processor, 0 for any time.
    pub fn new(target_ms: u64) -> Door {
        let target_us = target_ms.saturating_mul(1_000);
        Door {
            watches: (target_ms > 0).then(|| Watches {
                outside: Watch::new(target_us),
                inside: Watch::new(target_us.saturating_mul(INSIDE)),
            }),
            draining: AtomicBool::new(false),
            crowd: AtomicU8::new(0),
        }
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// A step that begins after this sees it; one that has begun is in the shard's census.
    pub fn drain(&self, draining: bool) {
        self.draining.store(draining, Ordering::SeqCst);
    }

    pub fn crowd(&self, level: u8) {
        self.crowd.store(level, Ordering::Relaxed);
    }

    /// There is no process for the callback of such a request.
    pub fn is_crowded(&self, class: Class) -> bool {
        self.crowd.load(Ordering::Relaxed) >= if class == Class::Outside { 1 } else { 2 }
    }

    /// Somebody may be refused.
    pub fn is_watched(&self) -> bool {
        self.is_crowded(Class::Outside)
            || self.watches.as_ref().is_some_and(|watches| {
                watches.outside.overloaded.load(Ordering::Relaxed)
                    || watches.inside.overloaded.load(Ordering::Relaxed)
            })
    }

    /// The callback of a request that could have been refused has begun.
    pub fn began(&self, class: Class, now_us: u64, start_delay_us: u64) {
        if let Some(watch) = self.watch(class) {
            watch.tell(|admission| admission.began(now_us, start_delay_us));
        }
    }

    /// That callback has ended.
    pub fn ended(&self, class: Class, now_us: u64, reductions: u64) {
        if let Some(watch) = self.watch(class) {
            watch.tell(|admission| admission.ended(now_us, reductions));
        }
    }

    /// A request has come that may be refused.
    pub fn arrives(&self, class: Class, now_us: u64, source: u64) -> Admit {
        self.watch(class).map_or(Admit::Yes, |watch| {
            watch.tell(|admission| admission.arrives(now_us, source))
        })
    }

    /// How it stands; all zeros where waiting does not matter. The limit is that of requests outside of dialogs.
    pub fn standing(&self, now_us: u64) -> Standing {
        let Some(watches) = &self.watches else {
            return Standing::default();
        };
        let look = |watch: &Watch| watch.tell(|admission| admission.standing(now_us));
        let (outside, inside) = (look(&watches.outside), look(&watches.inside));
        let (leading, other) = if inside.overloaded && !outside.overloaded {
            (inside, outside)
        } else {
            (outside, inside)
        };
        Standing {
            wait_us: leading.wait_us.max(other.wait_us),
            limit: outside.limit,
            // One overload may be of both classes.
            episodes: outside.episodes.max(inside.episodes),
            ..leading
        }
    }

    fn watch(&self, class: Class) -> Option<&Watch> {
        let watches = self.watches.as_ref()?;
        Some(match class {
            Class::Outside => &watches.outside,
            Class::Inside => &watches.inside,
        })
    }
}

impl Watch {
    fn new(target_us: u64) -> Watch {
        Watch {
            admission: Mutex::new(Admission::new(target_us)),
            overloaded: AtomicBool::new(false),
        }
    }

    fn tell<R>(&self, tell: impl FnOnce(&mut Admission) -> R) -> R {
        let mut admission = self
            .admission
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let result = tell(&mut admission);
        let overloaded = admission.is_overloaded();
        if self.overloaded.load(Ordering::Relaxed) != overloaded {
            self.overloaded.store(overloaded, Ordering::Relaxed);
        }
        result
    }
}
