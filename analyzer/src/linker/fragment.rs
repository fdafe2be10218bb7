//! Pieces of the causal forest that are joined as parents become known.
//!
//! A fragment is a tree of invocations whose root's parent is not known (yet). Each invocation keeps its path within
//! the fragment it was born in. When the parent of a fragment's root appears, the fragment is hung below it once, with
//! the path to the parent as offset; no invocation inside is touched. This is a union-find whose links carry path
//! tables instead of numbers: finding the root of a fragment adds up the offsets on the way and shortens the way.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{chains::ChainId, path::PathTable};
use crate::{span::TraceId, state::state};

/// A fragment's place in the arena.
pub(super) type FragmentId = u32;

/// First occurrences that a fragment remembers to find laps when it is hung below an earlier occurrence.
const OPEN: usize = 32;
/// Loops that a fragment remembers to raise their depth when it is hung below further laps.
const LAPS: usize = 16;

/// All fragments that invocations or other fragments still refer to.
#[derive(Default)]
pub(super) struct Fragments {
    arena: Vec<Fragment>,
    free: Vec<FragmentId>,
}

#[derive(Default)]
struct Fragment {
    above: Option<FragmentId>,
    /// Path from the root of the fragment above to the parent of this fragment's root; most fragments stay on top.
    offset: Option<Box<PathTable>>,
    /// Invocations and fragments that refer to this one.
    references: u32,
    /// Kept up to date only at the top: invocations that are the first of their function on their path.
    open: SmallVec<[FirstOccurrence; 1]>,
    /// Kept up to date only at the top: the deepest lap of each loop, by the function whose occurrences were counted.
    laps: Vec<DeepestLap>,
}

/// An invocation that is the first of its function on the path from the fragment's root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FirstOccurrence {
    pub(super) function: u32,
    /// The functions on its path without what repeats, as a hash: another way in may close another cycle.
    pub(super) route: u64,
    /// Key of the invocation; of one of them when several came the same way.
    pub(super) invocation: u64,
    /// How many came the same way.
    pub(super) times: u32,
}

/// The deepest lap of a loop in a fragment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct DeepestLap {
    /// Place of the loop in the linker's list.
    pub(super) loop_index: u32,
    pub(super) function: u32,
    /// Occurrences of the function from the fragment's root on.
    pub(super) count: u32,
    pub(super) trace_id: TraceId,
    /// Key of the invocation that ended the lap.
    pub(super) invocation: u64,
    /// The chain that went round.
    pub(super) chain: ChainId,
}

/// What a fragment remembers at its top.
pub(super) type Top = (SmallVec<[FirstOccurrence; 1]>, Vec<DeepestLap>);

impl Fragments {
    /// A new fragment, referred to once.
    pub(super) fn add(&mut self) -> FragmentId {
        let fragment = Fragment { references: 1, ..Fragment::default() };
        if let Some(id) = self.free.pop() {
            self.arena[id as usize] = fragment;
            return id;
        }
        self.arena.push(fragment);
        FragmentId::try_from(self.arena.len() - 1).unwrap_or(FragmentId::MAX)
    }

    /// One more invocation refers to the fragment.
    pub(super) fn refer(&mut self, id: FragmentId) {
        self.arena[id as usize].references += 1;
    }

    /// One invocation less refers to the fragment; fragments without references go.
    pub(super) fn release(&mut self, id: FragmentId) {
        let mut next = Some(id);
        while let Some(id) = next.take() {
            let fragment = &mut self.arena[id as usize];
            fragment.references -= 1;
            if fragment.references == 0 {
                next = fragment.above;
                *fragment = Fragment::default();
                self.free.push(id);
            }
        }
    }

    /// The topmost fragment above `id`, and the path from its root to the parent of `id`'s root.
    pub(super) fn find(&mut self, id: FragmentId) -> (FragmentId, PathTable) {
        let mut way = SmallVec::<[FragmentId; 8]>::new();
        let mut top = id;
        while let Some(above) = self.arena[top as usize].above {
            way.push(top);
            top = above;
        }
        // From the top down, so that every offset is one step when the next is added to it.
        for step in (0..way.len().saturating_sub(1)).rev() {
            let (lower, upper) = (way[step], way[step + 1]);
            let offset = self.offset(upper).then(&self.offset(lower));
            self.arena[lower as usize].offset = Some(Box::new(offset));
            self.hang(lower, top);
        }
        (top, if top == id { PathTable::default() } else { self.offset(id).into_owned() })
    }

    /// Hangs the fragment `id` below an invocation of the top `above` whose path is `offset`. Hands back what `id`
    /// remembered when it was a top itself; it keeps that, in case a deeper cause turns up later.
    pub(super) fn attach(&mut self, id: FragmentId, above: FragmentId, offset: PathTable) -> Top {
        let fragment = &mut self.arena[id as usize];
        let top = (fragment.open.clone(), fragment.laps.clone());
        fragment.offset = Some(Box::new(offset));
        self.hang(id, above);
        top
    }

    /// Remembers a first occurrence at the top `id`; false when there are too many.
    pub(super) fn remember_open(&mut self, id: FragmentId, first: FirstOccurrence) -> bool {
        let open = &mut self.arena[id as usize].open;
        let is_same = |known: &FirstOccurrence| (known.function, known.route) == (first.function, first.route);
        if let Some(known) = open.iter_mut().find(|known| is_same(known)) {
            known.times = known.times.saturating_add(first.times);
        } else if open.len() < OPEN {
            open.push(first);
        } else {
            return false;
        }
        true
    }

    /// The chain of the top `id` that went round the loop.
    pub(super) fn chain(&self, id: FragmentId, loop_index: u32) -> Option<ChainId> {
        let laps = &self.arena[id as usize].laps;
        laps.iter().find(|known| known.loop_index == loop_index).map(|known| known.chain)
    }

    /// True when the top `id` remembers as many laps as it can.
    pub(super) fn is_full(&self, id: FragmentId) -> bool {
        self.arena[id as usize].laps.len() >= LAPS
    }

    /// Remembers a lap at the top `id`; false when there are too many.
    pub(super) fn remember_lap(&mut self, id: FragmentId, lap: DeepestLap) -> bool {
        let laps = &mut self.arena[id as usize].laps;
        let is_same = |known: &DeepestLap| (known.loop_index, known.function) == (lap.loop_index, lap.function);
        if let Some(known) = laps.iter_mut().find(|known| is_same(known)) {
            if known.count < lap.count {
                *known = lap;
            }
            return true;
        }
        if laps.len() >= LAPS {
            return false;
        }
        // Kept together by loop, so that a reader meets each loop once.
        let place = laps.iter().rposition(|known| known.loop_index == lap.loop_index);
        laps.insert(place.map_or(laps.len(), |place| place + 1), lap);
        true
    }

    /// Fragments that are in use.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.arena.len() - self.free.len()
    }

    fn offset(&self, id: FragmentId) -> Cow<'_, PathTable> {
        self.arena[id as usize].offset.as_deref().map_or_else(Cow::default, Cow::Borrowed)
    }

    fn hang(&mut self, id: FragmentId, above: FragmentId) {
        let before = self.arena[id as usize].above.replace(above);
        if before != Some(above) {
            self.refer(above);
            if let Some(before) = before {
                self.release(before);
            }
        }
    }
}

state!(Fragments { arena, free });
state!(Fragment { above, offset, references, open, laps });
state!(FirstOccurrence { function, route, invocation, times });
state!(DeepestLap { loop_index, function, count, trace_id, invocation, chain });
