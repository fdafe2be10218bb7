//! An index with a bound, whose oldest records go first.
//!
//! It does not know what it holds. What went before its time is counted by whoever asks for the rotation.

use std::{mem, time::Duration};

use crate::{records::Records, span::ArrivalTime, state::State};

/// An index that forgets its older half when it is full or when that half is too old.
///
/// Records live at least `lateness` and at most twice as long, unless the index is full before; then the older
/// generation goes as a whole, which costs nothing per record.
pub(crate) struct Generations<V> {
    young: Records<V>,
    old: Records<V>,
    young_since: ArrivalTime,
    youngest_old: ArrivalTime,
    half: usize,
    lateness: Duration,
}

/// What a rotation dropped.
pub(crate) struct Dropped<V> {
    pub(crate) records: Records<V>,
    /// Age of the youngest dropped record when the index was full; `None` when the records were simply old.
    pub(crate) youngest_age: Option<Duration>,
}

impl<V> Generations<V> {
    pub(crate) fn new(capacity: usize, lateness: Duration) -> Self {
        Self {
            young: Records::default(),
            old: Records::default(),
            young_since: ArrivalTime(0),
            youngest_old: ArrivalTime(0),
            half: (capacity / 2).max(1),
            lateness,
        }
    }

    pub(crate) fn get(&self, key: u64) -> Option<&V> {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// The same for a record that is none of the old.
    pub(crate) fn young(&self, key: u64) -> Option<&V> {
        self.young.get(key)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        self.young.get_mut(key).or_else(|| self.old.get_mut(key))
    }

    pub(crate) fn contains(&self, key: u64) -> bool {
        self.get(key).is_some()
    }

    /// See [`Records::approach`].
    pub(crate) fn approach(&self, keys: impl Iterator<Item = u64> + Clone) {
        self.young.approach(keys.clone());
        self.old.approach(keys);
    }

    /// Makes a record that is there one of the young, so that it is not let go while it is used.
    pub(crate) fn refresh(&mut self, key: u64) -> bool {
        if self.young.contains(key) {
            return true;
        }
        match self.old.remove(key) {
            Some(record) => {
                self.young.insert(key, record);
                true
            }
            None => false,
        }
    }

    pub(crate) fn remove(&mut self, key: u64) -> Option<V> {
        self.young.remove(key).or_else(|| self.old.remove(key))
    }

    /// Adds a record; call [`Generations::rotate`] first.
    pub(crate) fn insert(&mut self, key: u64, value: V) {
        self.young.insert(key, value);
    }

    /// Drops the older generation when the younger one is full or has lasted long enough.
    pub(crate) fn rotate(&mut self, now: ArrivalTime) -> Option<Dropped<V>> {
        if self.young_since.0 == 0 {
            self.young_since = now;
        }
        let is_full = self.young.len() >= self.half;
        if !is_full && now.since(self.young_since) < self.lateness {
            return None;
        }
        // The next generation is likely as large as the last, and grows without being moved then.
        let next = Records::with_capacity(self.young.len());
        let records = mem::replace(&mut self.old, mem::replace(&mut self.young, next));
        let youngest = mem::replace(&mut self.youngest_old, now);
        self.young_since = now;
        let youngest_age = now.since(youngest);
        let is_early = is_full && !records.is_empty() && youngest_age < self.lateness;
        Some(Dropped { records, youngest_age: is_early.then_some(youngest_age) })
    }

    /// Takes all records out.
    pub(crate) fn take_all(&mut self) -> impl Iterator<Item = (u64, V)> + use<V> {
        mem::take(&mut self.old).into_iter().chain(mem::take(&mut self.young))
    }

    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.young.len() + self.old.len()
    }
}

impl<V: State> State for Generations<V> {
    fn save(&self, to: &mut Vec<u8>) {
        self.young.save(to);
        self.old.save(to);
        self.young_since.save(to);
        self.youngest_old.save(to);
        self.half.save(to);
        self.lateness.save(to);
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        Some(Self {
            young: State::load(from)?,
            old: State::load(from)?,
            young_since: State::load(from)?,
            youngest_old: State::load(from)?,
            half: State::load(from)?,
            lateness: State::load(from)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn records_outlive_the_lateness_and_not_twice_as_long() {
        let mut index = Generations::new(1_000, Duration::from_secs(10));
        index.rotate(ArrivalTime(SECOND));
        index.insert(1, "one");
        assert!(index.rotate(ArrivalTime(12 * SECOND)).unwrap().records.is_empty());
        assert!(index.contains(1));
        let dropped = index.rotate(ArrivalTime(23 * SECOND)).unwrap();
        assert_eq!(dropped.records.len(), 1);
        assert!(dropped.youngest_age.is_none());
        assert!(!index.contains(1));
    }

    #[test]
    fn a_full_index_drops_the_oldest_and_says_how_old_they_were() {
        let mut index = Generations::new(4, Duration::from_secs(600));
        for key in 1..=5 {
            let dropped = index.rotate(ArrivalTime(key * SECOND));
            index.insert(key, ());
            if key == 5 {
                assert_eq!(dropped.unwrap().youngest_age, Some(Duration::from_secs(2)));
            }
        }
        assert_eq!(index.len(), 3);
        assert!(!index.contains(1) && index.contains(3) && index.contains(5));
    }
}
