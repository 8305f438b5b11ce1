//! Who is let into a stack: the admission of its machines, and the drain.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use sippet_proto::transaction::admission::{Admission, Admit, Standing};

/// The door of one stack. While there is no overload nobody waits at it: what begins is noted, what comes is let in.
pub struct Door {
    /// None where waiting does not matter.
    admission: Option<Mutex<Admission>>,
    overloaded: AtomicBool,
    /// Requests outside of dialogs are refused: the stack is to stop.
    draining: AtomicBool,
}

impl Door {
    /// `target_ms` is how long callbacks may wait for a processor, 0 for any time.
    pub fn new(target_ms: u64) -> Door {
        let admission = Admission::new(target_ms.saturating_mul(1_000));
        Door {
            admission: (target_ms > 0).then(|| Mutex::new(admission)),
            overloaded: AtomicBool::new(false),
            draining: AtomicBool::new(false),
        }
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// A step that begins after this sees it; one that has begun is in the shard's census.
    pub fn drain(&self, draining: bool) {
        self.draining.store(draining, Ordering::SeqCst);
    }

    /// Somebody may be refused.
    pub fn is_watched(&self) -> bool {
        self.overloaded.load(Ordering::Relaxed)
    }

    /// The callback of a request outside of dialogs has begun.
    pub fn began(&self, now_us: u64, start_delay_us: u64) {
        if let Some(mut admission) = self.lock() {
            admission.began(now_us, start_delay_us);
            self.note(&admission);
        }
    }

    /// That callback has ended.
    pub fn ended(&self, now_us: u64, reductions: u64) {
        if let Some(mut admission) = self.lock() {
            admission.ended(now_us, reductions);
            self.note(&admission);
        }
    }

    /// A request outside of dialogs has come.
    pub fn arrives(&self, now_us: u64, source: u64) -> Admit {
        let Some(mut admission) = self.lock() else {
            return Admit::Yes;
        };
        let admit = admission.arrives(now_us, source);
        self.note(&admission);
        admit
    }

    /// How it stands; all zeros where waiting does not matter.
    pub fn standing(&self, now_us: u64) -> Standing {
        let Some(mut admission) = self.lock() else {
            return Standing::default();
        };
        let standing = admission.standing(now_us);
        self.note(&admission);
        standing
    }

    fn note(&self, admission: &Admission) {
        let overloaded = admission.is_overloaded();
        if self.overloaded.load(Ordering::Relaxed) != overloaded {
            self.overloaded.store(overloaded, Ordering::Relaxed);
        }
    }

    fn lock(&self) -> Option<MutexGuard<'_, Admission>> {
        let admission = self.admission.as_ref()?;
        Some(admission.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
