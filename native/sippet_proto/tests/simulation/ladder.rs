//! What happened, as lines with the virtual milliseconds first; kept only when a seed is run to be read.

use std::fmt::Write as _;

/// The first thing that went wrong, and in which call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub at: u64,
    pub call: Option<u32>,
    pub what: String,
}

#[derive(Default)]
pub struct Ladder {
    kept: bool,
    lines: Vec<(u64, Option<u32>, String)>,
    /// Grows from all that happened, kept or not: two runs are one if theirs are equal.
    pub digest: u64,
}

impl Ladder {
    pub fn new(kept: bool) -> Ladder {
        Ladder {
            kept,
            ..Ladder::default()
        }
    }

    pub fn note(&mut self, now: u64, call: Option<u32>, what: impl FnOnce() -> String) {
        if self.kept {
            self.lines.push((now, call, what()));
        }
    }

    pub fn mix(&mut self, number: u64) {
        self.digest = (self.digest ^ number)
            .wrapping_mul(0x9e37_79b9_7f4a_7c15)
            .rotate_left(29);
    }

    /// The lines of one call, or the last of all calls.
    pub fn print(&self, call: Option<u32>) -> String {
        let mut out = String::new();
        let lines = self.lines.iter();
        let lines: Vec<_> = lines
            .filter(|line| call.is_none() || line.1 == call)
            .collect();
        let skipped = lines.len().saturating_sub(300);
        if skipped > 0 {
            let _ = writeln!(out, "      ... {skipped} lines before these");
        }
        for (at, _, what) in &lines[skipped..] {
            let _ = writeln!(out, "{at:>9}  {what}");
        }
        out
    }
}
