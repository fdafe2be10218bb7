//! Records by their keys, side by side in one list, and their places in a table.
//!
//! A table of records has room to spare for whole records, a table of places only for places; and what comes together
//! stands together. It does not know what it holds.

use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;
use std::hash::BuildHasher as _;

use crate::state::State;

/// Records by their keys.
pub(crate) struct Records<V> {
    places: HashTable<u32>,
    list: Vec<(u64, V)>,
}

impl<V> Default for Records<V> {
    fn default() -> Self {
        Self { places: HashTable::new(), list: Vec::new() }
    }
}

impl<V> Records<V> {
    /// Room for so many records.
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self { places: HashTable::with_capacity(capacity), list: Vec::with_capacity(capacity) }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn get(&self, key: u64) -> Option<&V> {
        self.place(key).map(|place| &self.list[place].1)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.place(key).map(|place| &mut self.list[place].1)
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.place(key).is_some()
    }

    /// Adds a record; the one that had the key before.
    pub(crate) fn insert(&mut self, key: u64, value: V) -> Option<V> {
        use hashbrown::hash_table::Entry;
        let list = &self.list;
        let entry =
            self.places.entry(hash(key), |place| list[*place as usize].0 == key, |place| hash(list[*place as usize].0));
        match entry {
            Entry::Occupied(known) => {
                let place = *known.get() as usize;
                Some(std::mem::replace(&mut self.list[place].1, value))
            }
            Entry::Vacant(free) => {
                // There is no room for more records than four bytes count.
                free.insert(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
                self.list.push((key, value));
                None
            }
        }
    }

    /// Takes a record out; the last of the list takes its place.
    pub(crate) fn remove(&mut self, key: u64) -> Option<V> {
        let list = &self.list;
        let found = self.places.find_entry(hash(key), |place| list[*place as usize].0 == key).ok()?;
        let (place, _) = found.remove();
        let last = self.list.len() - 1;
        if place as usize != last {
            let moved = self.list[last].0;
            if let Some(known) = self.places.find_mut(hash(moved), |known| *known as usize == last) {
                *known = place;
            }
        }
        Some(self.list.swap_remove(place as usize).1)
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

    fn place(&self, key: u64) -> Option<usize> {
        self.places.find(hash(key), |place| self.list[*place as usize].0 == key).map(|place| *place as usize)
    }
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

fn hash(key: u64) -> u64 {
    FxBuildHasher.hash_one(key)
}

impl<V: State> State for Records<V> {
    fn save(&self, to: &mut Vec<u8>) {
        crate::state::save_pairs(self.iter(), to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        crate::state::load_all(from)
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
            let bytes = crate::state::bytes_of(&records);
            let loaded = crate::state::value_of::<Records<u8>>(&bytes).map(|loaded| loaded.into_iter().collect());
            prop_assert_eq!(loaded, Some(map));
        }
    }
}
