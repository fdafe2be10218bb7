//! Invocations that wait for their causes: a message whose sender is not here yet, a batch until all its causes are known.
//!
//! An invocation that is hung below a cause takes along what hangs below itself; what enters afterwards is placed on
//! the chain as it is then, and stays there. So a batch is hung once, below the cause whose chain is deepest: when the
//! causes of all its messages are here and stand where they belong themselves, or after [`WAIT`]. How anything is hung,
//! and what laps come of it, is for `linker/cause.rs`.

use std::{cmp::Reverse, collections::VecDeque, time::Duration};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::{Cause, Linker, fragment::FragmentId};
use crate::{span::ArrivalTime, state::state};

/// How long a batch waits for the last of its causes: exporters send every 5 s by default (`OTEL_BSP_SCHEDULE_DELAY`),
/// and have as long again for the way.
const WAIT: Duration = Duration::from_secs(10);

/// Invocations that wait at one time; beyond, the oldest makes do with the causes that it has.
const WAITS: usize = 16_384;

/// Causes that a batch keeps at most; beyond, the deeper half of them.
const CAUSES: usize = 64;

/// The invocations that wait.
#[derive(Default)]
pub(super) struct Awaiting {
    waits: FxHashMap<u64, Wait>,
    /// The same by the fragment that each is the root of.
    roots: FxHashMap<FragmentId, u64>,
    /// Those that may have all they wait for since the last look.
    ready: Vec<u64>,
    /// When each waits no longer; some have stopped before.
    due: VecDeque<(ArrivalTime, u64)>,
}

struct Wait {
    /// Messages whose causes are not here.
    missing: u32,
    /// What part of the invocation each of them accounts for.
    credit: f32,
    fragment: FragmentId,
    causes: SmallVec<[Cause; 2]>,
    /// Others that wait until this one stands where it belongs.
    blocked: SmallVec<[u64; 2]>,
}

impl Awaiting {
    /// True when it is known already that `cause` is one of the causes of an invocation that waits for more.
    pub(super) fn knows(&self, invocation: u64, cause: u64) -> bool {
        self.waits.get(&invocation).is_some_and(|wait| wait.causes.iter().any(|known| known.invocation == cause))
    }

    fn open(&mut self, now: ArrivalTime, invocation: u64, credit: f32, fragment: FragmentId) {
        let missing = credit.max(f32::MIN_POSITIVE).recip().round() as u32;
        let wait = Wait { missing, credit, fragment, causes: SmallVec::new(), blocked: SmallVec::new() };
        self.due.push_back((now.after(WAIT), invocation));
        self.roots.insert(fragment, invocation);
        self.waits.insert(invocation, wait);
    }

    /// Ends a wait; those that waited for it are to be looked at again.
    fn close(&mut self, invocation: u64) -> Option<SmallVec<[Cause; 2]>> {
        let Wait { fragment, causes, blocked, .. } = self.waits.remove(&invocation)?;
        self.roots.remove(&fragment);
        self.ready.extend(blocked);
        Some(causes)
    }

    /// The next that waits no longer, and whether it was long enough.
    fn next_due(&mut self, until: ArrivalTime) -> Option<(u64, bool)> {
        let (due, invocation) = *self.due.front()?;
        let is_late = due <= until;
        let is_full = self.waits.len() > WAITS || self.due.len() > 4 * WAITS;
        (is_late || is_full).then(|| {
            self.due.pop_front();
            (invocation, is_late)
        })
    }
}

impl Linker {
    /// Who sent one of the messages of an invocation is not known yet, and will be.
    pub(super) fn await_cause(&mut self, now: ArrivalTime, child: u64, credit: f32) {
        let child = self.whole(child);
        if let Some(invocation) = self.invocations.get(child)
            && invocation.parent == 0
            && !self.awaiting.waits.contains_key(&child)
        {
            self.awaiting.open(now, child, credit, invocation.fragment);
        }
    }

    /// Keeps a cause of an invocation until it can be compared with the others; false when there is nothing to wait for.
    pub(super) fn gather(&mut self, now: ArrivalTime, child: u64, cause: Cause) -> bool {
        if !cause.is_guess && cause.credit < 1.0 {
            self.await_cause(now, child, cause.credit);
        }
        let Some(wait) = self.awaiting.waits.get_mut(&child) else { return false };
        if cause.is_guess {
            return true;
        }
        // A parent is one of the messages of a batch, and the link that says so too is to come.
        let is_message = wait.missing == 1 || cause.credit <= wait.credit;
        wait.missing = wait.missing.saturating_sub(u32::from(is_message));
        if wait.causes.iter().all(|known| known.invocation != cause.invocation) {
            wait.causes.push(cause);
        }
        let is_ready = wait.missing == 0;
        if is_ready && wait.causes.len() == 1 {
            // There is nothing to compare it with.
            self.awaiting.close(child);
            return false;
        }
        if wait.causes.len() > CAUSES {
            let causes = std::mem::take(&mut wait.causes);
            let mut deepest = self.deepest_first(child, causes);
            deepest.truncate(CAUSES / 2);
            if let Some(wait) = self.awaiting.waits.get_mut(&child) {
                wait.causes = deepest;
            }
        }
        if is_ready {
            self.awaiting.ready.push(child);
        }
        true
    }

    /// True when an invocation has causes that wait to be compared; one that still has none stops waiting for an id,
    /// so that it can be told by what is merely likely.
    pub(super) fn has_awaited_cause(&mut self, child: u64) -> bool {
        let Some(wait) = self.awaiting.waits.get(&child) else { return false };
        let has_cause = !wait.causes.is_empty();
        if !has_cause {
            self.awaiting.close(child);
        }
        has_cause
    }

    /// Hangs those that have all their causes; call it when all that came at one time is taken in, because a cause comes
    /// before its own causes.
    pub(super) fn hang_ready(&mut self, now: ArrivalTime) {
        while !self.awaiting.ready.is_empty() {
            let mut ready = std::mem::take(&mut self.awaiting.ready);
            ready.sort_unstable_by_key(|child| (self.invocations.get(*child).map(|child| child.start), *child));
            ready.dedup();
            for child in ready {
                let blocker = self.blocker(child).and_then(|blocker| self.awaiting.waits.get_mut(&blocker));
                match blocker {
                    Some(blocker) => blocker.blocked.push(child),
                    None => self.hang_awaiting(now, child),
                }
            }
        }
    }

    /// Hangs those that have waited for long enough.
    pub(super) fn hang_due(&mut self, now: ArrivalTime, until: ArrivalTime) {
        while let Some((child, is_late)) = self.awaiting.next_due(until) {
            let is_cut = !is_late && self.awaiting.waits.get(&child).is_some_and(|wait| !wait.causes.is_empty());
            self.delta.losses.continuations_dropped += u64::from(is_cut);
            self.hang_awaiting(now, child);
        }
        self.hang_ready(now);
    }

    /// Hangs an invocation below the deepest of its causes; by the others it may end laps of other loops.
    fn hang_awaiting(&mut self, now: ArrivalTime, child: u64) {
        let Some(causes) = self.awaiting.close(child) else { return };
        let child = self.whole(child);
        for cause in self.deepest_first(child, causes) {
            self.hang_below(now, child, cause);
        }
    }

    fn deepest_first(&mut self, child: u64, mut causes: SmallVec<[Cause; 2]>) -> SmallVec<[Cause; 2]> {
        let Some(function) = self.invocations.get(child).map(|child| child.function) else { return causes };
        if causes.len() > 1 {
            let mut depth = |cause: &Cause| self.path_to(cause.invocation).map_or(0, |(_, path)| path.count(function));
            // Among equals it must not depend on which came first.
            causes.sort_by_cached_key(|cause| (Reverse(depth(cause)), cause.invocation));
        }
        causes
    }

    /// The invocation that one of several causes hangs below, while it waits itself: the chain may become deeper yet.
    fn blocker(&mut self, child: u64) -> Option<u64> {
        let causes: SmallVec<[u64; 8]> = self.awaiting.waits.get(&child)?.causes.iter().map(|c| c.invocation).collect();
        if causes.len() < 2 {
            return None;
        }
        causes.into_iter().find_map(|cause| {
            let (top, _) = self.path_to(cause)?;
            self.awaiting.roots.get(&top).copied().filter(|blocker| *blocker != child)
        })
    }
}

state!(Awaiting { waits, roots, due } else { ready });
state!(Wait { missing, credit, fragment, causes, blocked });
