//! Records by their keys, side by side in one list, and their places in a table.
//!
//! A table of records has room to spare for whole records, a table of places only for places; and what comes together
//! stands together. The engine looks up and adds each span several times at places that are in no cache, so what counts
//! is how many lines of memory that takes: one of the table and one of the list, and not one of the list where a key
//! is not there. `hashbrown` takes one more for each, which is a sixth of what a span costs. It does not know what it
//! holds.

use std::{hint, mem};

use crate::state::{self, State};

/// Records by their keys.
pub(crate) struct Records<V> {
    places: Places,
    list: Vec<(u64, V)>,
}

/// Places in a list by hashes: open addressing with linear probing, at most three quarters full.
///
/// A slot is 0 where it is free; else it has the upper half of the hash above the place, counted from 1. Hashes stand in
/// their order but for those that had to move on, so that a table grows from one end to the other.
#[derive(Default)]
struct Places {
    slots: Vec<u64>,
}

/// The fewest slots of a table that is not empty.
const LEAST_SLOTS: usize = 8;

impl<V> Default for Records<V> {
    fn default() -> Self {
        Self { places: Places::default(), list: Vec::new() }
    }
}

impl<V> Records<V> {
    /// Room for so many records.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { places: Places::with_room_for(capacity), list: Vec::with_capacity(capacity) }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn get(&self, key: u64) -> Option<&V> {
        self.find(key).map(|(_, place)| &self.list[place].1)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.find(key).map(|(_, place)| &mut self.list[place].1)
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.find(key).is_some()
    }

    /// Adds a record; the one that had the key before.
    pub(crate) fn insert(&mut self, key: u64, value: V) -> Option<V> {
        if let Some(known) = self.get_mut(key) {
            return Some(mem::replace(known, value));
        }
        self.places.insert(hash(key), self.list.len());
        self.list.push((key, value));
        None
    }

    /// Takes a record out; the last of the list takes its place.
    pub(crate) fn remove(&mut self, key: u64) -> Option<V> {
        let (slot, place) = self.find(key)?;
        let last = self.list.len() - 1;
        if place != last
            && let Some((moved, _)) = self.find(self.list[last].0)
        {
            self.places.put(moved, place);
        }
        self.places.remove(slot);
        Some(self.list.swap_remove(place).1)
    }

    /// Reads where these keys stand, or would stand, so that the memory is near when they are asked for one after the
    /// other: those who ask then wait for each other, and these do not.
    pub(crate) fn approach(&self, keys: impl Iterator<Item = u64>) {
        if !self.is_empty() {
            hint::black_box(keys.fold(0, |all, key| all ^ self.places.slots[self.places.home(hash(key))]));
        }
    }

    pub(crate) fn iter(&self) -> impl ExactSizeIterator<Item = (&u64, &V)> {
        self.list.iter().map(|(key, value)| (key, value))
    }

    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.list.iter().map(|(_, value)| value)
    }

    pub(crate) fn into_values(self) -> impl Iterator<Item = V> {
        self.list.into_iter().map(|(_, value)| value)
    }

    /// The slot of a key, and the place of its record.
    fn find(&self, key: u64) -> Option<(usize, usize)> {
        self.places.find(hash(key), |place| self.list.get(place).is_some_and(|(known, _)| *known == key))
    }
}

impl Places {
    fn with_room_for(count: usize) -> Self {
        let slots = if count == 0 { 0 } else { (count + count / 3 + 1).next_power_of_two().max(LEAST_SLOTS) };
        Self { slots: vec![0; slots] }
    }

    /// The slot with this hash of which `is_it` is true for the place, and that place.
    fn find(&self, hash: u64, is_it: impl Fn(usize) -> bool) -> Option<(usize, usize)> {
        if self.slots.is_empty() {
            return None;
        }
        let mut slot = self.home(hash);
        loop {
            let known = self.slots[slot];
            if known == 0 {
                return None;
            }
            if known ^ hash <= u64::from(u32::MAX) && is_it(place_in(known)) {
                return Some((slot, place_in(known)));
            }
            slot = self.next(slot);
        }
    }

    /// Adds the place of a record that is not there yet; there are as many others as come before it in the list.
    fn insert(&mut self, hash: u64, place: usize) {
        if self.slots.len() * 3 / 4 <= place {
            self.grow();
        }
        self.set(hash & TAG | (place as u64 + 1));
    }

    /// Writes down that the record of a slot has moved.
    fn put(&mut self, slot: usize, place: usize) {
        self.slots[slot] = self.slots[slot] & TAG | (place as u64 + 1);
    }

    /// Frees a slot, and lets those move back that had to move on because of it.
    fn remove(&mut self, mut free: usize) {
        let mask = self.slots.len() - 1;
        let mut slot = self.next(free);
        while self.slots[slot] != 0 {
            let home = self.home(self.slots[slot]);
            // It may stand in the free slot if that is no further back than its home.
            if slot.wrapping_sub(home) & mask >= slot.wrapping_sub(free) & mask {
                self.slots[free] = self.slots[slot];
                free = slot;
            }
            slot = self.next(slot);
        }
        self.slots[free] = 0;
    }

    fn grow(&mut self) {
        let slots = (self.slots.len() * 2).max(LEAST_SLOTS);
        let before = mem::replace(&mut self.slots, vec![0; slots]);
        before.into_iter().filter(|slot| *slot != 0).for_each(|slot| self.set(slot));
    }

    fn set(&mut self, value: u64) {
        let mut slot = self.home(value);
        while self.slots[slot] != 0 {
            slot = self.next(slot);
        }
        self.slots[slot] = value;
    }

    /// Where a hash stands unless others stand there: as far from the first slot as it is from the least hash.
    fn home(&self, hash: u64) -> usize {
        (((hash >> 32) * self.slots.len() as u64) >> 32) as usize
    }

    fn next(&self, slot: usize) -> usize {
        (slot + 1) & (self.slots.len() - 1)
    }
}

/// The part of a slot that is of the hash. Below it there is room for four thousand million places.
const TAG: u64 = !(u32::MAX as u64);

fn place_in(slot: u64) -> usize {
    (slot as u32 as usize).wrapping_sub(1)
}

impl<V> IntoIterator for Records<V> {
    type Item = (u64, V);
    type IntoIter = std::vec::IntoIter<(u64, V)>;

    fn into_iter(self) -> Self::IntoIter {
        self.list.into_iter()
    }
}

impl<V> FromIterator<(u64, V)> for Records<V> {
    fn from_iter<I: IntoIterator<Item = (u64, V)>>(pairs: I) -> Self {
        let mut records = Self::default();
        for (key, value) in pairs {
            records.insert(key, value);
        }
        records
    }
}

/// Keys are hashes already, but for those of tests; the upper half of this has all of their bits in it.
fn hash(key: u64) -> u64 {
    key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

impl<V: State> State for Records<V> {
    fn save(&self, to: &mut Vec<u8>) {
        state::save_pairs(self.iter(), to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        state::load_all(from)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rustc_hash::FxHashMap;

    use super::*;

    proptest! {
        #[test]
        fn they_are_a_map(steps in prop::collection::vec((0u64..40, any::<bool>(), any::<u8>()), 0..200)) {
            let (mut records, mut map) = (Records::default(), FxHashMap::default());
            for (key, is_added, value) in steps {
                if is_added {
                    prop_assert_eq!(records.insert(key, value), map.insert(key, value));
                } else {
                    prop_assert_eq!(records.remove(key), map.remove(&key));
                }
                prop_assert_eq!(records.len(), map.len());
                for key in 0..40 {
                    prop_assert_eq!(records.get(key), map.get(&key));
                }
            }
            let bytes = state::bytes_of(&records);
            let loaded = state::value_of::<Records<u8>>(&bytes).map(|loaded| loaded.into_iter().collect());
            prop_assert_eq!(loaded, Some(map));
        }
    }
}
