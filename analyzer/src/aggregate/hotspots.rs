//! Where the time goes now, and what became slower: what the aggregate has, handed to the detector.

use std::{sync::Arc, time::Duration};

use super::{
    Aggregate, own,
    roots::Wanted,
    series::{EdgeSeries, FunctionSeries},
};
use crate::{
    detect::hotspot::{self, Baseline, LISTED, LISTED_AT_MOST, Spent, slower},
    record::{EdgeKey, Place, TraceProfile},
    snapshot::{Basis, EdgeKind, Hotspot, HotspotCause, Hotspots, NodeId},
    span::ArrivalTime,
    window::{Series, Time, current, merge, quantile, sketch, slot_of},
    windows::Range,
};

/// Critical paths are ranked anew at most this often: it takes some 60 ms when all samples are full.
const RANKED_EVERY: Duration = Duration::from_secs(5);

/// What was made of the critical paths last.
pub(super) struct Rank {
    at: ArrivalTime,
    hotspots: Hotspots,
}

impl Aggregate {
    pub(super) fn merge_profiles(&mut self, now: ArrivalTime, profiles: Vec<TraceProfile>) {
        for profile in profiles {
            let is_renamed = !self.aliases.is_empty();
            let profile = if is_renamed { profile.renamed(|node| own(&self.aliases, node)) } else { profile };
            self.roots.add(now, self.config.is_capture, profile, &mut self.losses);
        }
    }

    /// Where the time goes at `now`; in a capture, where all of it went.
    pub(super) fn hotspots(&mut self, now: ArrivalTime) -> Hotspots {
        if let Some(ranked) = self.ranked.as_ref().filter(|ranked| now.since(ranked.at) < RANKED_EVERY) {
            return ranked.hotspots.clone();
        }
        let on_paths = self.on_critical_paths(now);
        // A capture is asked once, and more may come before that.
        let lasts = on_paths.as_ref().filter(|_| !self.config.is_capture);
        self.ranked = lasts.map(|hotspots| Rank { at: now, hotspots: hotspots.clone() });
        on_paths.unwrap_or_else(|| self.by_sums(now))
    }

    fn on_critical_paths(&self, now: ArrivalTime) -> Option<Hotspots> {
        let range = if self.config.is_capture { Range::ALL } else { current(now) };
        let limit = if self.config.is_capture { LISTED_AT_MOST } else { LISTED };
        let ranked = self.roots.rank(range, Wanted::All, limit, &|node| self.name(node));
        let mut found = ranked.hotspots_at(|place, spot| self.measure(place, self.time(now), spot));
        if !self.config.is_capture {
            found.range = Some(range);
            found.paths = self.roots.covered(range, Wanted::All);
        }
        (!found.list.is_empty()).then_some(found)
    }

    /// All calls tell more of the time of a call than those of the sampled traces.
    fn measure(&self, place: Place, time: Time, spot: &mut Hotspot) {
        let series = self.series_of(place);
        let mut current = sketch();
        series.iter().for_each(|series| merge(&mut current, &series.over(time)));
        if current.count() == 0 {
            return;
        }
        spot.p95_ms = quantile(&current, 0.95);
        if let Time::Current(slot) = time {
            let mut baseline = sketch();
            series.iter().filter_map(|series| series.baseline(slot)).for_each(|known| merge(&mut baseline, &known));
            spot.baseline_p95_ms = (baseline.count() > 0).then(|| quantile(&baseline, 0.95));
        }
    }

    /// What is measured of all calls of a place; nothing for places that only critical paths tell.
    fn series_of(&self, place: Place) -> Vec<&Series> {
        let edge = |source, target, kind| self.edges.get(&EdgeKey { source, target, kind });
        match place {
            Place::Own(function) => self.functions.get(&function).map(FunctionSeries::self_time).into_iter().collect(),
            Place::Gap { source, target } => edge(source, target, EdgeKind::Call)
                .and_then(|it| it.spent(EdgeKind::Call))
                .into_iter()
                .map(|it| it.1)
                .collect(),
            Place::Resource { function, resource } => [EdgeKind::Publish, EdgeKind::Read, EdgeKind::Write]
                .into_iter()
                .filter_map(|kind| edge(function, resource, kind)?.spent(kind))
                .map(|(_, series)| series)
                .collect(),
            Place::ColdStart(_) | Place::Queue { .. } | Place::Peer(_) => Vec::new(),
        }
    }

    fn time(&self, now: ArrivalTime) -> Time {
        if self.config.is_capture { Time::All } else { Time::Current(slot_of(now)) }
    }

    fn by_sums(&self, now: ArrivalTime) -> Hotspots {
        let time = self.time(now);
        let limit = if self.config.is_capture { LISTED_AT_MOST } else { LISTED };
        let list = hotspot::hotspots(self.spent(), time, self.root_ms.over(time), limit);
        let range = match time {
            Time::Current(_) => Some(current(now)).filter(|_| !list.is_empty()),
            Time::All => None,
        };
        Hotspots { basis: Basis::Sums, range, list, ..Hotspots::default() }
    }

    fn spent(&self) -> impl Iterator<Item = Spent<'_>> {
        let own = self.functions.iter().map(|(id, series)| Spent {
            function: *id,
            name: series.name(),
            edge: None,
            cause: HotspotCause::Own,
            time: series.self_time(),
        });
        let between = self.edges.iter().filter_map(|(key, series): (&EdgeKey, &EdgeSeries)| {
            let caller = self.functions.get(&key.source)?;
            let (cause, time) = series.spent(key.kind)?;
            let edge = Some((key.source, key.target));
            Some(Spent { function: key.source, name: caller.name(), edge, cause, time })
        });
        own.chain(between)
    }

    /// All that it measured of a capture, to hold another one against it.
    pub fn baseline(&self) -> Baseline {
        let (_, measured) = self.running();
        let roots: f64 = self.roots.seen().filter(|seen| seen.profile.until.is_none()).map(|seen| seen.weight).sum();
        let mut baseline = Baseline::of(measured, self.root_ms.over(Time::All), roots);
        let functions = self.functions.iter().map(|(id, series)| (*id, Arc::clone(series.name())));
        let resources = self.resources.iter().map(|(id, (node, _))| (*id, Arc::clone(&node.name)));
        functions.chain(resources).for_each(|(id, name)| baseline.name(id, name));
        baseline.add_paths(self.roots.seen());
        baseline
    }

    /// What became slower against a baseline: all places that were met, the clearest and largest change first.
    pub fn slower_than(&self, baseline: &Baseline) -> Hotspots {
        let name = |node: NodeId| self.name(node);
        let ranked = self.roots.rank(Range::ALL, Wanted::All, LISTED_AT_MOST, &name);
        let on_paths = ranked.list.into_iter().collect();
        let list = slower::rank(&self.baseline(), baseline, &on_paths, &name);
        Hotspots { basis: Basis::Baseline, list, roots: ranked.roots, ..Hotspots::default() }
    }
}
