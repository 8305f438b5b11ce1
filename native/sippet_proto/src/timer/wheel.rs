//! A hierarchical timer wheel with ticks of one millisecond.
//!
//! Level `k` is a ring of 1024 slots, each 64^k ms wide, seen as 16 words of 64 slots. A timer lies on the lowest level
//! whose ring reaches its deadline, counted in whole words from the word of the cursor. So its place follows from
//! deadline and cursor alone: timers of one deadline always share a slot, and lists kept in order of arming stay so
//! when they move down. Moving happens a slot at a time, long before the deadline: 64 ms worth of timers reach level 0
//! about a second ahead, 4 s worth reach level 1 about a minute ahead, so that no step has to move what 32 s of traffic
//! left behind. Empty time costs nothing: bitmaps find the next occupied slot.

/// Bits of a deadline that one level consumes.
const LEVEL_BITS: u32 = 6;
/// Slots in a word of the bitmap: 2^`LEVEL_BITS`.
const WORD_SLOTS: usize = 64;
/// Words in a ring.
const WORDS: usize = 16;
/// Slots in a ring.
const SLOTS: usize = WORDS * WORD_SLOTS;
/// Enough to hold any u64: the ring of level 9 spans 2^64 ms.
const LEVELS: usize = 10;
/// Nodes are allocated in chunks of this many, so that growth never moves what is there.
const CHUNK: usize = 1024;
/// No node.
const NIL: u32 = u32::MAX;

/// Names an armed timer. An id whose timer has fired or was cancelled names nothing and does no harm.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TimerId {
    pub(super) index: u32,
    pub(super) generation: u32,
}

/// Timers in order of deadline; what they carry is a `T`.
///
/// Time never goes back: a `now_ms` below an earlier one counts as that one. It holds up to 2^32 - 1 timers.
#[derive(Debug)]
pub struct Wheel<T> {
    nodes: Vec<Vec<Node<T>>>,
    free: u32,
    len: usize,
    levels: [Level; LEVELS],
    /// Bit `k`: level `k` is not empty.
    occupied: u16,
    /// Everything before has fired; slots are counted from here.
    cursor: u64,
    /// The latest time that was told.
    now: u64,
}

#[derive(Debug, Clone, Copy)]
struct Node<T> {
    deadline: u64,
    prev: u32,
    /// In a slot's list, or in the list of free nodes.
    next: u32,
    generation: u32,
    value: Option<T>,
}

#[derive(Debug, Default)]
struct Level {
    /// Empty until the level is first used.
    slots: Vec<Slot>,
    words: [u64; WORDS],
    /// Bit `w`: `words[w]` is not 0.
    summary: u16,
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    head: u32,
    tail: u32,
}

const EMPTY: Slot = Slot {
    head: NIL,
    tail: NIL,
};

impl<T: Copy> Wheel<T> {
    /// An empty wheel whose time is `now_ms`.
    pub fn new(now_ms: u64) -> Self {
        Wheel {
            nodes: Vec::new(),
            free: NIL,
            len: 0,
            levels: Default::default(),
            occupied: 0,
            cursor: now_ms,
            now: now_ms,
        }
    }

    /// Adds a timer that fires at the first `poll` at or after `deadline_ms`.
    ///
    /// A deadline before that of the timer fired last, or before the time at which `poll` last found nothing due, counts
    /// as that moment: it fires next, after those armed for the same moment.
    pub fn arm(&mut self, deadline_ms: u64, value: T) -> TimerId {
        let deadline = deadline_ms.max(self.cursor);
        let index = self.take_node();
        let node = self.node_mut(index);
        node.deadline = deadline;
        node.value = Some(value);
        let id = TimerId {
            index,
            generation: node.generation,
        };
        self.len += 1;
        self.link(index, deadline);
        id
    }

    /// Takes a timer out before it fires; `None` where it has fired or was cancelled.
    pub fn cancel(&mut self, id: TimerId) -> Option<T> {
        let node = self
            .nodes
            .get(id.index as usize / CHUNK)?
            .get(id.index as usize % CHUNK)?;
        if node.generation != id.generation || node.value.is_none() {
            return None;
        }
        let (level, slot) = place(node.deadline, self.cursor);
        self.remove(id.index, level, slot)
    }

    /// When to call `poll` next; `None` where nothing is armed.
    ///
    /// Never later than the earliest deadline. It may be earlier by a slot's width while that deadline is more than a
    /// second away; calling `poll` then fires nothing and brings the next answer closer.
    pub fn next_deadline(&self) -> Option<u64> {
        let (level, unit) = self.first()?;
        Some(unit << shift(level))
    }

    /// Fires one timer that is due, with its deadline: the earliest, and of those with one deadline the first armed.
    pub fn poll(&mut self, now_ms: u64) -> Option<(u64, T)> {
        self.now = self.now.max(now_ms);
        loop {
            let Some((level, unit)) = self.first() else {
                self.cursor = self.now;
                return None;
            };
            let start = unit << shift(level);
            if start > self.now {
                self.advance(self.now);
                return None;
            }
            self.advance(start);
            if level == 0 {
                let slot = ring_slot(unit);
                let head = self.levels[0].slots[slot].head;
                return self.remove(head, 0, slot).map(|value| (start, value));
            }
        }
    }

    /// How many timers are armed.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether no timer is armed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The earliest occupied slot: its level, and its number counted in its own width from time 0.
    fn first(&self) -> Option<(usize, u64)> {
        let level = self.occupied.trailing_zeros() as usize;
        (level < LEVELS).then(|| (level, self.levels[level].first(level, self.cursor)))
    }

    /// Moves the cursor; no timer may have a deadline before `to`.
    fn advance(&mut self, to: u64) {
        let from = std::mem::replace(&mut self.cursor, to);
        for level in 1..LEVELS {
            let word = to >> shift(level);
            if from >> shift(level) == word {
                break;
            }
            // What the ring below now reaches. Rings above are still seen from the old cursor.
            while self.occupied & (1 << level) != 0 {
                let unit = self.levels[level].first(level, from);
                if unit - word >= WORDS as u64 {
                    break;
                }
                self.move_down(level, ring_slot(unit));
            }
        }
    }

    fn move_down(&mut self, level: usize, slot: usize) {
        let mut index = self.levels[level].slots[slot].head;
        self.vacate(level, slot);
        while index != NIL {
            let node = self.node_mut(index);
            let (deadline, next) = (node.deadline, node.next);
            self.link(index, deadline);
            index = next;
        }
    }

    /// Appends a node to the list of its slot.
    fn link(&mut self, index: u32, deadline: u64) {
        let (level, slot) = place(deadline, self.cursor);
        let ring = &mut self.levels[level];
        if ring.slots.is_empty() {
            ring.slots.resize(SLOTS, EMPTY);
        }
        let tail = std::mem::replace(&mut ring.slots[slot].tail, index);
        if tail == NIL {
            ring.slots[slot].head = index;
            ring.words[slot / WORD_SLOTS] |= 1 << (slot % WORD_SLOTS);
            ring.summary |= 1 << (slot / WORD_SLOTS);
            self.occupied |= 1 << level;
        } else {
            self.node_mut(tail).next = index;
        }
        let node = self.node_mut(index);
        node.prev = tail;
        node.next = NIL;
    }

    /// Takes a node out of the list of its slot and frees it.
    fn remove(&mut self, index: u32, level: usize, slot: usize) -> Option<T> {
        let free = std::mem::replace(&mut self.free, index);
        let node = self.node_mut(index);
        let (prev, next) = (node.prev, node.next);
        node.next = free;
        node.generation = node.generation.wrapping_add(1);
        let value = node.value.take();
        self.len -= 1;
        match (prev, next) {
            (NIL, NIL) => self.vacate(level, slot),
            (NIL, next) => {
                self.node_mut(next).prev = NIL;
                self.levels[level].slots[slot].head = next;
            }
            (prev, NIL) => {
                self.node_mut(prev).next = NIL;
                self.levels[level].slots[slot].tail = prev;
            }
            (prev, next) => {
                self.node_mut(prev).next = next;
                self.node_mut(next).prev = prev;
            }
        }
        value
    }

    fn vacate(&mut self, level: usize, slot: usize) {
        let ring = &mut self.levels[level];
        ring.slots[slot] = EMPTY;
        ring.words[slot / WORD_SLOTS] &= !(1 << (slot % WORD_SLOTS));
        if ring.words[slot / WORD_SLOTS] == 0 {
            ring.summary &= !(1 << (slot / WORD_SLOTS));
            if ring.summary == 0 {
                self.occupied &= !(1 << level);
            }
        }
    }

    fn take_node(&mut self) -> u32 {
        if self.free != NIL {
            let index = self.free;
            self.free = self.node_mut(index).next;
            return index;
        }
        if self.nodes.last().is_none_or(|chunk| chunk.len() == CHUNK) {
            self.nodes.push(Vec::with_capacity(CHUNK));
        }
        let before = (self.nodes.len() - 1) * CHUNK;
        let chunk = self.nodes.len() - 1;
        let index = before + self.nodes[chunk].len();
        self.nodes[chunk].push(Node {
            deadline: 0,
            prev: NIL,
            next: NIL,
            generation: 0,
            value: None,
        });
        // All nodes are in use here, and so many would fill 128 GB.
        u32::try_from(index).unwrap_or(NIL)
    }

    fn node_mut(&mut self, index: u32) -> &mut Node<T> {
        &mut self.nodes[index as usize / CHUNK][index as usize % CHUNK]
    }
}

impl Level {
    /// The number of the earliest occupied slot. The level is not empty.
    fn first(&self, level: usize, cursor: u64) -> u64 {
        let base = cursor >> shift(level) >> LEVEL_BITS;
        let ahead = self
            .summary
            .rotate_right((base % WORDS as u64) as u32)
            .trailing_zeros();
        let word = base + u64::from(ahead);
        let bits = self.words[(word % WORDS as u64) as usize];
        (word << LEVEL_BITS) | u64::from(bits.trailing_zeros())
    }
}

/// Level and slot of a deadline, which is not before the cursor.
fn place(deadline: u64, cursor: u64) -> (usize, usize) {
    let mut level = 0;
    while level < LEVELS - 1
        && (deadline >> shift(level + 1)) - (cursor >> shift(level + 1)) >= WORDS as u64
    {
        level += 1;
    }
    (level, ring_slot(deadline >> shift(level)))
}

/// The width of a slot of `level` is 1 ms << `shift(level)`.
fn shift(level: usize) -> u32 {
    level as u32 * LEVEL_BITS
}

fn ring_slot(unit: u64) -> usize {
    (unit % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(wheel: &mut Wheel<u32>, now_ms: u64) -> Vec<(u64, u32)> {
        std::iter::from_fn(|| wheel.poll(now_ms)).collect()
    }

    #[test]
    fn fires_at_the_deadline_and_not_before() {
        let mut wheel = Wheel::new(1_000);
        wheel.arm(1_500, 1);
        assert_eq!(wheel.poll(1_499), None);
        assert_eq!(wheel.poll(1_500), Some((1_500, 1)));
        assert!(wheel.is_empty());
    }

    #[test]
    fn the_far_and_the_near_fire_in_order_of_deadline_whatever_the_pause() {
        let deadlines = [
            5,
            64,
            1_023,
            1_024,
            65_535,
            65_536,
            32_000,
            1 << 40,
            u64::MAX,
            u64::MAX - 1,
        ];
        let mut wheel = Wheel::new(3);
        for (number, deadline) in deadlines.iter().enumerate() {
            wheel.arm(*deadline, number as u32);
        }
        let fired: Vec<u64> = drain(&mut wheel, u64::MAX)
            .iter()
            .map(|pair| pair.0)
            .collect();
        let mut sorted = deadlines.to_vec();
        sorted.sort_unstable();
        assert_eq!(fired, sorted);
    }

    #[test]
    fn equal_deadlines_fire_in_order_of_arming_also_when_armed_from_different_distances() {
        let mut wheel = Wheel::new(0);
        wheel.arm(100_000, 1);
        assert_eq!(wheel.poll(50_000), None);
        wheel.arm(100_000, 2);
        assert_eq!(wheel.poll(99_990), None);
        wheel.arm(100_000, 3);
        assert_eq!(
            drain(&mut wheel, 100_000),
            [(100_000, 1), (100_000, 2), (100_000, 3)]
        );
    }

    #[test]
    fn a_passed_deadline_fires_at_the_next_poll() {
        let mut wheel = Wheel::new(0);
        assert_eq!(wheel.poll(500), None);
        wheel.arm(20, 1);
        assert_eq!(wheel.poll(0), Some((500, 1)));
    }

    #[test]
    fn time_does_not_go_back() {
        let mut wheel = Wheel::new(0);
        wheel.poll(500);
        wheel.arm(400, 1);
        wheel.arm(501, 2);
        assert_eq!(drain(&mut wheel, 100), [(500, 1)]);
    }

    #[test]
    fn a_stale_id_cancels_nothing() {
        let mut wheel = Wheel::new(0);
        let first = wheel.arm(10, 1);
        assert_eq!(wheel.cancel(first), Some(1));
        let second = wheel.arm(10, 2);
        assert_eq!(wheel.cancel(first), None);
        assert_eq!(wheel.poll(10), Some((10, 2)));
        assert_eq!(wheel.cancel(second), None);
        let unknown = TimerId {
            index: 70_000,
            generation: 0,
        };
        assert_eq!(wheel.cancel(unknown), None);
    }

    #[test]
    fn nodes_are_used_again() {
        let mut wheel = Wheel::new(0);
        for round in 0..100_000u64 {
            let id = wheel.arm(round + 32_000, 0);
            wheel.arm(round + 1, 1);
            wheel.cancel(id);
            while wheel.poll(round + 1).is_some() {}
        }
        assert_eq!(wheel.nodes.len(), 1);
        assert!(wheel.is_empty());
    }

    #[test]
    fn a_timer_armed_while_catching_up_fires_in_its_turn() {
        let mut wheel = Wheel::new(0);
        wheel.arm(500, 1);
        wheel.arm(2_000, 3);
        assert_eq!(wheel.poll(100_000), Some((500, 1)));
        wheel.arm(1_500, 2);
        assert_eq!(drain(&mut wheel, 100_000), [(1_500, 2), (2_000, 3)]);
    }
}
