//! Batches: invocations that handle several messages, until the causes of all of them are known.
//!
//! An invocation that is hung below a cause takes along what hangs below itself; what enters afterwards is placed on
//! the chain as it is then, and stays there. So a batch is hung once, below the cause whose chain is deepest: when the
//! causes of all its messages are here and stand where they belong, or after [`GATHERING`]. How anything is hung, and
//! what laps come of it, is for `linker/cause.rs`.

use std::{cmp::Reverse, collections::VecDeque, time::Duration};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Cause, Linker, fragment::FragmentId};
use crate::{span::ArrivalTime, state::state};

/// How long a batch waits for the last of its causes: exporters send every 5 s by default (`OTEL_BSP_SCHEDULE_DELAY`),
/// and have as long again for the way.
const GATHERING: Duration = Duration::from_secs(10);

/// Batches that gather at one time; beyond, the oldest makes do with the causes that it has.
const BATCHES: usize = 16_384;

/// Causes that a batch keeps at most; beyond, the deeper half of them.
const CAUSES: usize = 64;

/// The batches that gather.
#[derive(Default)]
pub(super) struct Batches {
    gathering: FxHashMap<u64, Gathering>,
    /// The same by the fragment that each is the root of.
    roots: FxHashMap<FragmentId, u64>,
    /// Those that have all causes since the last look.
    whole: Vec<u64>,
    /// When each waits no longer; some have all causes before.
    due: VecDeque<(ArrivalTime, u64)>,
}

struct Gathering {
    /// Messages whose causes are not here.
    missing: u32,
    fragment: FragmentId,
    causes: SmallVec<[Cause; 2]>,
}

impl Batches {
    pub(super) fn gathers(&self, batch: u64) -> bool {
        self.gathering.contains_key(&batch)
    }

    /// True when it is known already that `cause` is one of the causes of the batch.
    pub(super) fn knows(&self, batch: u64, cause: u64) -> bool {
        self.gathering.get(&batch).is_some_and(|batch| batch.causes.iter().any(|known| known.invocation == cause))
    }

    fn open(&mut self, now: ArrivalTime, batch: u64, credit: f32, fragment: FragmentId) {
        let due = ArrivalTime(now.0.saturating_add(u64::try_from(GATHERING.as_nanos()).unwrap_or(u64::MAX)));
        let missing = credit.max(f32::MIN_POSITIVE).recip().round() as u32;
        self.due.push_back((due, batch));
        self.roots.insert(fragment, batch);
        self.gathering.insert(batch, Gathering { missing, fragment, causes: SmallVec::new() });
    }

    fn close(&mut self, batch: u64) -> Option<SmallVec<[Cause; 2]>> {
        let Gathering { fragment, causes, .. } = self.gathering.remove(&batch)?;
        self.roots.remove(&fragment);
        Some(causes)
    }

    /// The next batch that waits no longer, and whether it was long enough.
    fn next_due(&mut self, until: ArrivalTime) -> Option<(u64, bool)> {
        let (due, batch) = *self.due.front()?;
        let is_late = due <= until;
        let is_full = self.gathering.len() > BATCHES || self.due.len() > 4 * BATCHES;
        (is_late || is_full).then(|| {
            self.due.pop_front();
            (batch, is_late)
        })
    }
}

impl Linker {
    /// One of several messages of an invocation is known, and its cause is to come.
    pub(super) fn expect_cause(&mut self, now: ArrivalTime, batch: u64, credit: f32) {
        let batch = self.whole(batch);
        if let Some(invocation) = self.invocations.get(batch)
            && credit < 1.0
            && invocation.parent == 0
            && !self.batches.gathers(batch)
        {
            self.batches.open(now, batch, credit, invocation.fragment);
        }
    }

    /// Keeps a cause of a batch until the others are here; false when `child` is none that waits for others.
    pub(super) fn gather(&mut self, now: ArrivalTime, child: u64, cause: Cause) -> bool {
        if !cause.is_guess {
            self.expect_cause(now, child, cause.credit);
        }
        let Some(gathering) = self.batches.gathering.get_mut(&child) else { return false };
        if cause.is_guess {
            return true;
        }
        gathering.missing = gathering.missing.saturating_sub(u32::from(cause.credit < 1.0));
        if gathering.missing == 0 {
            self.batches.whole.push(child);
        }
        if gathering.causes.iter().all(|known| known.invocation != cause.invocation) {
            gathering.causes.push(cause);
        }
        if gathering.causes.len() > CAUSES {
            let causes = std::mem::take(&mut gathering.causes);
            let mut deepest = self.deepest_first(child, causes);
            deepest.truncate(CAUSES / 2);
            if let Some(gathering) = self.batches.gathering.get_mut(&child) {
                gathering.causes = deepest;
            }
        }
        true
    }

    /// Hangs the batches that have all their causes, unless one of these may become deeper yet; call it when what came
    /// at one time is taken in, because a cause comes before its own causes.
    pub(super) fn hang_whole_batches(&mut self, now: ArrivalTime) {
        let mut whole = std::mem::take(&mut self.batches.whole);
        whole.sort_unstable_by_key(|batch| self.invocations.get(*batch).map(|batch| batch.start));
        for batch in whole {
            if !self.is_cause_gathering(batch) {
                self.hang_batch(now, batch);
            }
        }
    }

    /// Hangs the batches that wait no longer.
    pub(super) fn hang_batches(&mut self, now: ArrivalTime, until: ArrivalTime) {
        while let Some((batch, is_late)) = self.batches.next_due(until) {
            self.delta.losses.continuations_dropped += u64::from(!is_late && self.batches.gathers(batch));
            self.hang_batch(now, batch);
        }
    }

    /// Hangs a batch below the deepest of its causes; by the others it may end laps of other loops.
    fn hang_batch(&mut self, now: ArrivalTime, batch: u64) {
        let Some(causes) = self.batches.close(batch) else { return };
        for cause in self.deepest_first(batch, causes) {
            self.hang_below(now, batch, cause);
        }
    }

    fn deepest_first(&mut self, batch: u64, mut causes: SmallVec<[Cause; 2]>) -> SmallVec<[Cause; 2]> {
        let Some(function) = self.invocations.get(batch).map(|batch| batch.function) else { return causes };
        causes.sort_by_cached_key(|cause| {
            Reverse(self.path_to(cause.invocation).map_or(0, |(_, path)| path.count(function)))
        });
        causes
    }

    /// True when the chain of a cause of the batch begins with a batch that gathers, so that it may become deeper.
    fn is_cause_gathering(&mut self, batch: u64) -> bool {
        let Some(gathering) = self.batches.gathering.get(&batch) else { return false };
        let causes: SmallVec<[u64; 8]> = gathering.causes.iter().map(|cause| cause.invocation).collect();
        causes
            .into_iter()
            .any(|cause| self.path_to(cause).is_some_and(|(top, _)| self.batches.roots.contains_key(&top)))
    }
}

state!(Batches { gathering, roots, due } else { whole });
state!(Gathering { missing, fragment, causes });
