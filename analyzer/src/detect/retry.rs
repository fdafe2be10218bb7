//! Retry storms: requests that are tried again and again, which loads most what fails already.
//!
//! It is no recursion: nothing runs again because of itself, so a storm has no laps and no depth. A request takes A
//! attempts: sends of one invocation that follow a failed one of the same operation, or deliveries of one message. It
//! is a storm when A has been at least 1.5 in three windows of a minute, and the retries (A - 1) three times what they
//! were before. Without a past, and in captures, A of all time counts, with three requests at least that were tried
//! again. Layers multiply: four attempts at each of three layers are 64 at the bottom.

use std::collections::{BTreeMap, VecDeque};

use crate::{
    record::{AttemptDelta, AttemptKey, Attempts},
    snapshot::{NodeId, RetryStorm},
    state::state,
};

/// Attempts that one request takes in a storm, at the least.
const LEAST_ATTEMPTS: f64 = 1.5;
/// Retries are so many times what they were before.
const TIMES_BASELINE: f64 = 3.0;
/// Windows of a minute in which that is so.
const WINDOWS: usize = 3;
/// Requests that were tried again, without a past to compare with.
const LEAST_RETRIED: u64 = 3;
/// Requests below which there is no past.
const PAST_REQUESTS: u64 = 20;
/// Layers that are multiplied.
const LAYERS: usize = 8;

/// Attempts at one thing, over time.
pub(crate) struct AttemptSeries {
    pub(crate) all: AttemptDelta,
    /// Before the recent windows.
    past: Attempts,
    /// The newest last.
    recent: VecDeque<(u64, Attempts)>,
}

impl AttemptSeries {
    pub(crate) fn new(slot: u64, delta: AttemptDelta) -> Self {
        let recent = VecDeque::from([(slot, delta.counts)]);
        Self { all: delta, past: Attempts::default(), recent }
    }

    pub(crate) fn merge(&mut self, slot: u64, delta: &AttemptDelta) {
        self.all.merge(delta);
        match self.recent.back_mut() {
            Some((known, counts)) if *known >= slot => counts.add(delta.counts),
            _ => self.recent.push_back((slot, delta.counts)),
        }
        while self.recent.len() > WINDOWS
            && let Some((_, counts)) = self.recent.pop_front()
        {
            self.past.add(counts);
        }
    }

    /// The last window in which something was asked.
    pub(crate) fn last_slot(&self) -> u64 {
        self.recent.back().map_or(0, |(slot, _)| *slot)
    }

    /// What its attempts amount to in the window `slot`, when they are a storm.
    fn storm(&self, slot: u64, is_capture: bool) -> Option<Attempts> {
        if is_capture || self.past.requests < PAST_REQUESTS {
            let counts = self.all.counts;
            let is_over = !is_capture && self.last_slot() + (WINDOWS as u64) < slot;
            let is_storm = counts.per_request() >= LEAST_ATTEMPTS && counts.retried >= LEAST_RETRIED;
            return (is_storm && !is_over).then_some(counts);
        }
        let baseline = (self.past.per_request() - 1.0).max(0.0);
        let is_high = |counts: &Attempts| {
            let attempts = counts.per_request();
            attempts >= LEAST_ATTEMPTS && attempts - 1.0 >= TIMES_BASELINE * baseline
        };
        let goes_on = self.recent.len() == WINDOWS
            && self.recent.iter().all(|(known, counts)| known + (WINDOWS as u64) >= slot && is_high(counts));
        let mut sum = Attempts::default();
        self.recent.iter().for_each(|(_, counts)| sum.add(*counts));
        goes_on.then_some(sum)
    }
}

/// The storms in the window `slot`, by what is asked.
pub(crate) fn storms(
    series: &BTreeMap<AttemptKey, AttemptSeries>,
    slot: u64,
    is_capture: bool,
) -> Vec<(AttemptKey, RetryStorm)> {
    let found: BTreeMap<AttemptKey, Attempts> =
        series.iter().filter_map(|(key, series)| Some((*key, series.storm(slot, is_capture)?))).collect();
    let callee = |key: &AttemptKey| series.get(key).and_then(|series| series.all.callee);
    let mut layers: BTreeMap<NodeId, (f64, Option<NodeId>)> = BTreeMap::new();
    for (key, counts) in &found {
        let layer = layers.entry(key.function).or_insert((1.0, None));
        if counts.per_request() > layer.0 {
            *layer = (counts.per_request(), callee(key));
        }
    }
    let below = |from: Option<NodeId>| {
        let mut product = 1.0;
        let mut at = from;
        for _ in 0..LAYERS {
            let Some((attempts, next)) = at.and_then(|function| layers.get(&function)) else { break };
            product *= attempts;
            at = *next;
        }
        product
    };
    let storm = |(key, counts): (&AttemptKey, &Attempts)| {
        let attempts_per_request = counts.per_request();
        let amplification = attempts_per_request * below(callee(key));
        let &Attempts { requests, attempts, retried } = counts;
        (*key, RetryStorm { requests, attempts, retried, over: key.over, attempts_per_request, amplification })
    };
    found.iter().map(storm).collect()
}

state!(AttemptSeries { all, past, recent });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::span::EventTime;

    fn delta(requests: u64, attempts: u64, callee: Option<u64>) -> AttemptDelta {
        AttemptDelta {
            callee: callee.map(NodeId),
            counts: Attempts { requests, attempts, retried: (attempts - requests).min(requests) },
            ..AttemptDelta::new("ask".into(), EventTime(1))
        }
    }

    fn key(function: u64) -> AttemptKey {
        AttemptKey { function: NodeId(function), operation: 1, over: None }
    }

    /// A storm after windows with so many attempts at ten requests each.
    fn storms_after(windows: &[u64], is_capture: bool) -> bool {
        let mut series = AttemptSeries::new(0, delta(10, windows[0], None));
        for (slot, attempts) in (1..).zip(&windows[1..]) {
            series.merge(slot, &delta(10, *attempts, None));
        }
        let slot = windows.len() as u64 - 1;
        !storms(&BTreeMap::from([(key(1), series)]), slot, is_capture).is_empty()
    }

    #[test]
    fn three_windows_far_above_the_past_are_a_storm() {
        assert!(storms_after(&[10, 11, 10, 10, 30, 30, 30], false));
        assert!(!storms_after(&[10, 11, 10, 10, 30, 30], false), "two windows");
        assert!(!storms_after(&[10, 11, 10, 30, 10, 30, 30], false), "with a pause");
        assert!(!storms_after(&[16, 17, 16, 16, 17, 17, 17], false), "as always");
        assert!(!storms_after(&[10, 10, 10, 10, 13, 13, 13], false), "some retries are no storm");
    }

    #[test]
    fn without_a_past_all_counts() {
        assert!(storms_after(&[30], false));
        assert!(!storms_after(&[12], false), "two were tried again");
        assert!(storms_after(&[10, 10, 10, 40], true));
        assert!(!storms_after(&[10, 10, 10, 14], true));
    }

    #[test]
    fn a_storm_is_over_when_nothing_is_asked() {
        let series = || AttemptSeries::new(7, delta(10, 40, None));
        let storms = |slot, is_capture| storms(&BTreeMap::from([(key(1), series())]), slot, is_capture).len();
        assert_eq!([storms(9, false), storms(11, false), storms(11, true)], [1, 0, 1]);
    }

    #[test]
    fn layers_multiply_and_end() {
        let layer = |callee| AttemptSeries::new(0, delta(10, 40, callee));
        let series = BTreeMap::from([(key(1), layer(Some(2))), (key(2), layer(Some(3))), (key(3), layer(None))]);
        let found = storms(&series, 0, true);
        let amplifications: Vec<f64> = found.iter().map(|(_, storm)| storm.amplification).collect();
        assert_eq!(amplifications, [64.0, 16.0, 4.0]);
        let ring = BTreeMap::from([(key(1), layer(Some(2))), (key(2), layer(Some(1)))]);
        assert!(storms(&ring, 0, true)[0].1.amplification.is_finite());
    }
}
