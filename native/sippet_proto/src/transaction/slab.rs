//! Transactions in numbered slots, and the keys that find them. Both grow in small steps, so that no call pays for
//! the growth of the whole.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use super::key::Key;

const CHUNK: usize = 256;
const SEGMENTS: usize = 64;

/// A slot and the generation of what is in it: a handle that outlived its transaction finds nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Handle {
    index: u32,
    generation: u32,
    /// Of a message that was sent: which target of the request it went to.
    attempt: u8,
}

impl Handle {
    const INDEX_BITS: u32 = 24;
    const GENERATION_BITS: u32 = 24;
    /// Attempts are counted by so many.
    const ATTEMPTS: u8 = 8;

    /// Which target of its request a message went to, from 0, below 8: what comes late of one is no matter of the next.
    pub fn attempt(self) -> u8 {
        self.attempt
    }

    /// The same transaction, and a message to this target of it.
    #[must_use]
    pub fn with_attempt(self, attempt: u8) -> Handle {
        Handle {
            attempt: attempt % Handle::ATTEMPTS,
            ..self
        }
    }

    /// A number below 2^48, without the attempt.
    pub fn to_bits(self) -> u64 {
        (u64::from(self.generation) << Handle::INDEX_BITS) | u64::from(self.index)
    }

    /// The handle of a number; any number is one, though perhaps nobody's.
    pub fn from_bits(bits: u64) -> Handle {
        let index = bits & ((1 << Handle::INDEX_BITS) - 1);
        let generation = (bits >> Handle::INDEX_BITS) & ((1 << Handle::GENERATION_BITS) - 1);
        Handle {
            index: index as u32,
            generation: generation as u32,
            attempt: 0,
        }
    }
}

struct Slot<T> {
    generation: u32,
    value: Option<T>,
}

/// Values under handles, in chunks that never move.
pub(super) struct Slab<T> {
    chunks: Vec<Vec<Slot<T>>>,
    free: Vec<u32>,
    len: usize,
    /// That of a new slot: two slabs of different ages have different handles.
    generation: u32,
}

impl<T> Slab<T> {
    pub(super) fn new(age: u64) -> Slab<T> {
        Slab {
            chunks: Vec::new(),
            free: Vec::new(),
            len: 0,
            generation: (age & ((1 << Handle::GENERATION_BITS) - 1)) as u32,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// None when all handles are taken.
    pub(super) fn insert(&mut self, value: T) -> Option<Handle> {
        let index = match self.free.pop() {
            Some(index) => index,
            None => self.grow()?,
        };
        let slot = self.slot_mut(index)?;
        slot.value = Some(value);
        let handle = Handle {
            index,
            generation: slot.generation,
            attempt: 0,
        };
        self.len += 1;
        Some(handle)
    }

    pub(super) fn get(&self, handle: Handle) -> Option<&T> {
        let slot = self
            .chunks
            .get(handle.index as usize / CHUNK)?
            .get(handle.index as usize % CHUNK)?;
        slot.value
            .as_ref()
            .filter(|_| slot.generation == handle.generation)
    }

    pub(super) fn get_mut(&mut self, handle: Handle) -> Option<&mut T> {
        let slot = self.slot_mut(handle.index)?;
        let generation = slot.generation;
        slot.value
            .as_mut()
            .filter(|_| generation == handle.generation)
    }

    pub(super) fn remove(&mut self, handle: Handle) -> Option<T> {
        let slot = self
            .slot_mut(handle.index)
            .filter(|slot| slot.generation == handle.generation)?;
        let value = slot.value.take()?;
        slot.generation = (slot.generation + 1) & ((1 << Handle::GENERATION_BITS) - 1);
        self.free.push(handle.index);
        self.len -= 1;
        Some(value)
    }

    /// Takes out the value of the last slot that has one, and gives that slot and those behind it up.
    pub(super) fn pop(&mut self) -> Option<T> {
        loop {
            let last = self.chunks.last_mut()?;
            match last.pop() {
                Some(Slot {
                    value: Some(value), ..
                }) => {
                    self.len -= 1;
                    return Some(value);
                }
                Some(_) => {}
                None => {
                    self.chunks.pop();
                }
            }
        }
    }

    /// What the slot of this number holds, whatever its generation; for walking all of them.
    pub(super) fn at(&self, index: u32) -> Option<(Handle, &T)> {
        let slot = self
            .chunks
            .get(index as usize / CHUNK)?
            .get(index as usize % CHUNK)?;
        let value = slot.value.as_ref()?;
        Some((
            Handle {
                index,
                generation: slot.generation,
                attempt: 0,
            },
            value,
        ))
    }

    /// One more than the highest number of a slot.
    pub(super) fn slots(&self) -> u32 {
        self.chunks
            .last()
            .map_or(0, |last| (self.chunks.len() - 1) * CHUNK + last.len()) as u32
    }

    fn slot_mut(&mut self, index: u32) -> Option<&mut Slot<T>> {
        self.chunks
            .get_mut(index as usize / CHUNK)?
            .get_mut(index as usize % CHUNK)
    }

    fn grow(&mut self) -> Option<u32> {
        let index = self.slots();
        if index >> Handle::INDEX_BITS != 0 {
            return None;
        }
        if self.chunks.last().is_none_or(|last| last.len() == CHUNK) {
            self.chunks.push(Vec::with_capacity(CHUNK));
        }
        let generation = self.generation;
        self.chunks.last_mut()?.push(Slot {
            generation,
            value: None,
        });
        Some(index)
    }
}

/// Keys are hashes already.
#[derive(Default)]
pub(super) struct Identity(u64);

impl Hasher for Identity {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u128(&mut self, value: u128) {
        self.0 = value as u64;
    }
}

/// A map from keys, cut into segments that each grow alone.
pub(super) struct Table<V> {
    segments: Vec<HashMap<u128, V, BuildHasherDefault<Identity>>>,
}

impl<V> Table<V> {
    pub(super) fn new() -> Table<V> {
        Table {
            segments: (0..SEGMENTS).map(|_| HashMap::default()).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.segments.iter().map(HashMap::len).sum()
    }

    pub(super) fn get(&self, key: Key) -> Option<&V> {
        self.segments.get(segment(key))?.get(&key.0)
    }

    pub(super) fn get_mut(&mut self, key: Key) -> Option<&mut V> {
        self.segments.get_mut(segment(key))?.get_mut(&key.0)
    }

    pub(super) fn insert(&mut self, key: Key, value: V) {
        if let Some(map) = self.segments.get_mut(segment(key)) {
            map.insert(key.0, value);
        }
    }

    /// Removes the key; a segment that has emptied gives its memory back.
    pub(super) fn remove(&mut self, key: Key) -> Option<V> {
        let map = self.segments.get_mut(segment(key))?;
        let value = map.remove(&key.0);
        if map.is_empty() && map.capacity() > CHUNK {
            *map = HashMap::default();
        }
        value
    }
}

fn segment(key: Key) -> usize {
    (key.0 >> 64) as usize % SEGMENTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_finds_nothing_once_its_value_is_gone() {
        let mut slab = Slab::new(0);
        let first = slab.insert("first").unwrap();
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.insert("second").unwrap();
        assert_eq!((slab.get(first), slab.get(second)), (None, Some(&"second")));
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.len(), 1);
    }

    #[test]
    fn a_handle_finds_nothing_in_a_slab_of_another_age() {
        let (mut old, mut new) = (Slab::new(0), Slab::new(7));
        let handle = old.insert("old").unwrap();
        let other = new.insert("new").unwrap();
        assert_eq!((new.get(handle), new.get(other)), (None, Some(&"new")));
        assert_eq!(new.remove(handle), None);
    }

    #[test]
    fn a_handle_survives_the_way_through_a_number() {
        let mut slab = Slab::new(0);
        let handles: Vec<Handle> = (0..1000).map(|n| slab.insert(n).unwrap()).collect();
        for (n, handle) in handles.iter().enumerate() {
            assert!(handle.to_bits() < 1 << 48);
            assert_eq!(slab.get(Handle::from_bits(handle.to_bits())), Some(&n));
        }
        assert_eq!(slab.slots(), 1000);
    }

    #[test]
    fn a_table_keeps_what_was_put_under_a_key() {
        let mut table = Table::new();
        let keys: Vec<Key> = (0..5000u128)
            .map(|n| Key(n.wrapping_mul(0x9e3779b97f4a7c15_f39cc0605cedc835)))
            .collect();
        for (n, key) in keys.iter().enumerate() {
            table.insert(*key, n);
        }
        for (n, key) in keys.iter().enumerate() {
            assert_eq!(table.get(*key), Some(&n));
            assert_eq!(table.remove(*key), Some(n));
        }
        assert_eq!(table.get(keys[0]), None);
    }
}
