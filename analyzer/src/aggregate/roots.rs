//! Where the time of traces went, by the operation that began them: a bounded sample of each root operation.
//!
//! Samples answer for any time that they reach back to. What is made of them is the business of `detect/hotspot.rs`; this
//! file only keeps them, and `roots/sample.rs` decides which.

mod sample;

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use self::sample::Sample;
use crate::{
    detect::hotspot::{
        Calls, LISTED_AT_MOST,
        ranking::{self, Ranked},
        tail::{Seen, Tail},
    },
    record::TraceProfile,
    snapshot::{Hotspots, Losses, NodeId, RootId},
    span::ArrivalTime,
    state::state,
    windows::Range,
};

/// Traces that are kept of one root operation: its share of a tail is known to 2.3 points of 30 then (algorithms 4.2).
pub(crate) const TRACES: usize = 2_000;

/// Root operations that are kept; the one that was quiet longest goes first.
pub(crate) const ROOTS: usize = 1_000;

/// Pieces of all profiles together, about 60 bytes each; the root operation that has most loses first.
pub(crate) const PIECES: usize = 500_000;

/// A trace that ended longer ago than this has a clock that is not believed: it counts as of now.
const BELIEVED: Duration = Duration::from_secs(900);

/// Bounded samples of traces, one for each root operation. Cloning shares them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Roots {
    samples: BTreeMap<RootKey, Arc<Sample>>,
    /// Pieces of all samples.
    pieces: usize,
}

/// Names a root operation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RootKey {
    pub(crate) function: NodeId,
    pub(crate) operation: Arc<str>,
    /// The function at which a pipeline ends; `None` where the traces end with the root.
    pub(crate) until: Option<NodeId>,
}

impl RootKey {
    pub(crate) fn id(&self) -> RootId {
        RootId::of(self.function, &self.operation, self.until)
    }
}

impl Roots {
    /// Adds where the time of one trace went. Newer traces push older ones out, unless `keeps_old` (a capture is looked at
    /// as a whole).
    pub(crate) fn add(&mut self, now: ArrivalTime, keeps_old: bool, profile: TraceProfile, losses: &mut Losses) {
        let (function, until) = (profile.function, profile.until);
        let key = RootKey { function, operation: Arc::clone(&profile.operation), until };
        if !self.samples.contains_key(&key) && self.samples.len() >= ROOTS {
            self.forget_quietest(losses);
        }
        let sample = Arc::make_mut(self.samples.entry(key).or_default());
        let before = sample.pieces();
        sample.add(ended(now, &profile), keeps_old, profile);
        self.pieces = self.pieces + sample.pieces() - before;
        while self.pieces > PIECES {
            self.shorten_longest(losses);
        }
    }

    fn forget_quietest(&mut self, losses: &mut Losses) {
        let quietest = self.samples.iter().min_by_key(|(key, sample)| (sample.newest(), *key));
        let Some(key) = quietest.map(|(key, _)| key.clone()) else { return };
        if let Some(gone) = self.samples.remove(&key) {
            self.pieces -= gone.pieces();
            losses.roots_overflowed += 1;
        }
    }

    fn shorten_longest(&mut self, losses: &mut Losses) {
        let longest = self.samples.values_mut().max_by_key(|sample| sample.pieces());
        let Some(sample) = longest.map(Arc::make_mut) else { return };
        let before = sample.pieces();
        sample.shorten();
        self.pieces -= before - sample.pieces();
        losses.profiles_overflowed += 1;
    }

    /// Functions turned out to be others.
    pub(crate) fn rename(&mut self, own: impl Fn(NodeId) -> NodeId) {
        let is_other = |id: &NodeId| own(*id) != *id;
        let names = |key: &RootKey| is_other(&key.function) || key.until.as_ref().is_some_and(is_other);
        if !self.samples.iter().any(|(key, sample)| names(key) || sample.mentions(is_other)) {
            return;
        }
        self.pieces = 0;
        for (key, sample) in std::mem::take(&mut self.samples) {
            let mut sample = Arc::unwrap_or_clone(sample);
            sample.rename(&own);
            let key = RootKey { function: own(key.function), until: key.until.map(&own), ..key };
            match self.samples.get_mut(&key) {
                Some(known) => Arc::make_mut(known).merge(&sample),
                None => drop(self.samples.insert(key, Arc::new(sample))),
            }
        }
        self.pieces = self.samples.values().map(|sample| sample.pieces()).sum();
    }

    /// Where the time went within a range, of the root operations that are wanted; at most `limit` places. `calls` is what
    /// was measured of all calls, `name` says what a function is called. `None` when no trace of them is kept of that time.
    pub fn hotspots(
        &self,
        range: Range,
        wanted: Wanted,
        limit: usize,
        calls: Calls<'_>,
        name: &dyn Fn(NodeId) -> Arc<str>,
    ) -> Option<Hotspots> {
        let paths = Some(self.covered(range, wanted)?);
        let ranked = self.rank(range, wanted, limit.min(LISTED_AT_MOST), name);
        let found = ranked.hotspots_at(|place, spot| calls.tell(place, spot));
        Some(Hotspots { range: Some(range), paths, ..found })
    }

    pub(crate) fn rank(&self, range: Range, wanted: Wanted, limit: usize, name: &dyn Fn(NodeId) -> Arc<str>) -> Ranked {
        let tails: Vec<(&RootKey, Tail)> = self
            .wanted(wanted)
            .filter_map(|(key, sample)| Some((key, Tail::of(sample.within(range).collect())?)))
            .collect();
        ranking::rank(&tails, limit, name)
    }

    /// From the first to the last trace that is kept of a range.
    pub(crate) fn covered(&self, range: Range, wanted: Wanted) -> Option<Range> {
        let times = || self.wanted(wanted).flat_map(|(_, sample)| sample.times()).filter(|time| range.holds(*time));
        Some(Range { from: times().min()?, to: times().max()?.after(Duration::from_nanos(1)) })
    }

    fn wanted(&self, wanted: Wanted) -> impl Iterator<Item = (&RootKey, &Arc<Sample>)> {
        self.samples.iter().filter(move |(key, _)| match wanted {
            Wanted::All => true,
            Wanted::Id(id) => key.function.0 == id || key.id().0 == id,
        })
    }

    /// True when a root operation is kept that is wanted.
    pub fn knows(&self, wanted: Wanted) -> bool {
        self.wanted(wanted).next().is_some()
    }

    /// All profiles, with how many traces each stands for.
    pub(crate) fn seen(&self) -> impl Iterator<Item = Seen<'_>> {
        self.samples.values().flat_map(|sample| sample.within(Range::ALL))
    }
}

/// Which root operations are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// All.
    All,
    /// The one with this id, or all of the function with this id.
    Id(u64),
}

/// When a trace ended: by its own clock as long as that is believed.
fn ended(now: ArrivalTime, profile: &TraceProfile) -> ArrivalTime {
    let lasted = Duration::try_from_secs_f64(profile.duration_ms / 1e3).unwrap_or_default();
    let end = ArrivalTime(profile.start.0).after(lasted);
    if end <= now && now.since(end) <= BELIEVED { end } else { now }
}

state!(Roots { samples, pieces });
state!(RootKey { function, operation, until });

#[cfg(test)]
mod tests;
