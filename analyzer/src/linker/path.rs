//! How often each function stands on a causal path: a table of counters with a bound.
//!
//! A path is a list of invocations, each caused by the one before. Its table has one slot for each function: how often
//! it stands on the path, and at which place last. Tables of adjoining paths are joined by [`PathTable::then`], so the
//! count on a long path is the sum over its pieces, whatever order the pieces came in. The table keeps [`SLOTS`]
//! functions; counts are exact while the functions of one lap, with those met once on the way, are no more than that,
//! and lower bounds beyond.

use smallvec::SmallVec;

use crate::state::state;

/// Slots of one table. 16 keeps a cycle of 16 functions exact, and one of 10 with 3 one-off functions a lap.
pub(super) const SLOTS: usize = 16;

/// Counts of the functions on one path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PathTable {
    slots: SmallVec<[Slot; 2]>,
    /// Invocations on the path.
    length: u32,
    /// True when the path had more functions than there are slots.
    is_trimmed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Slot {
    function: u32,
    count: u32,
    /// Place of the last occurrence, from 1.
    last: u32,
}

impl PathTable {
    /// The path of one invocation.
    pub(super) fn of(function: u32) -> Self {
        Self { slots: SmallVec::from_slice(&[Slot { function, count: 1, last: 1 }]), length: 1, is_trimmed: false }
    }

    /// This path, continued by another.
    pub(super) fn then(&self, next: &Self) -> Self {
        let mut slots: SmallVec<[Slot; 2]> = next
            .slots
            .iter()
            .map(|slot| Slot {
                count: slot.count.saturating_add(self.count(slot.function)),
                last: slot.last.saturating_add(self.length),
                ..*slot
            })
            .collect();
        let next_functions = slots.len();
        for slot in &self.slots {
            if !slots[..next_functions].iter().any(|known| known.function == slot.function) {
                slots.push(*slot);
            }
        }
        let is_trimmed = slots.len() > SLOTS || self.is_trimmed || next.is_trimmed;
        if slots.len() > SLOTS {
            // Functions that repeat stay, then those met last: a long way to a loop must not push the loop out.
            slots.sort_unstable_by_key(|slot| (slot.count == 1, std::cmp::Reverse(slot.last)));
            slots.truncate(SLOTS);
        }
        Self { slots, length: self.length.saturating_add(next.length), is_trimmed }
    }

    /// This path without its last invocation, which ran `function`.
    ///
    /// The place of the function's occurrence before is not known; it is not needed where the path is continued by
    /// another occurrence of the same function.
    pub(super) fn without_last(&self, function: u32) -> Self {
        let mut shorter = self.clone();
        shorter.length = shorter.length.saturating_sub(1);
        for slot in &mut shorter.slots {
            if slot.function == function {
                slot.count -= 1;
            }
        }
        shorter.slots.retain(|slot| slot.count > 0);
        shorter
    }

    /// True for the path of one invocation.
    pub(super) fn is_single(&self) -> bool {
        self.length == 1
    }

    /// True when the path has so many functions that some may not be counted.
    pub(super) fn is_trimmed(&self) -> bool {
        self.is_trimmed
    }

    /// How often the function stands on the path.
    pub(super) fn count(&self, function: u32) -> u32 {
        self.slots.iter().find(|slot| slot.function == function).map_or(0, |slot| slot.count)
    }
}

state!(PathTable { slots, length, is_trimmed });
state!(Slot { function, count, last });

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn path(functions: &[u32]) -> PathTable {
        functions.iter().fold(PathTable::default(), |path, function| path.then(&PathTable::of(*function)))
    }

    #[test]
    fn a_long_way_to_a_loop_does_not_push_it_out() {
        let mut way: Vec<u32> = (100..140).collect();
        for _ in 0..5 {
            way.extend(0..16);
        }
        assert_eq!((0..16).map(|function| path(&way).count(function)).collect::<Vec<_>>(), vec![5; 16]);
    }

    proptest! {
        #[test]
        fn joining_is_the_same_wherever_the_path_is_cut(functions in prop::collection::vec(0u32..12, 1..60), cut in 0usize..60) {
            let cut = cut.min(functions.len());
            let joined = path(&functions[..cut]).then(&path(&functions[cut..]));
            for function in 0..12 {
                let expected = functions.iter().filter(|known| **known == function).count();
                prop_assert_eq!(joined.count(function) as usize, expected);
            }
            prop_assert_eq!(joined.length as usize, functions.len());
        }
    }
}
