//! Durations and counts over time: all of it, the current window, and the baseline before it.
//!
//! Nothing here knows what is measured.

use std::time::Duration;

use crate::{sketch::DDSketch, span::ArrivalTime, state::state, windows::Range};

/// An empty sketch of milliseconds; all sketches of the engine can be merged.
pub(crate) fn sketch() -> DDSketch {
    DDSketch::default()
}

/// A quantile of a sketch, 0 when it is empty.
pub(crate) fn quantile(sketch: &DDSketch, q: f64) -> f64 {
    sketch.quantile(q).unwrap_or(0.0)
}

/// Milliseconds from nanoseconds.
#[expect(clippy::cast_precision_loss, reason = "durations above 104 days may lose nanoseconds")]
pub(crate) fn millis(nanos: u64) -> f64 {
    nanos as f64 / 1e6
}

/// Length of one slot of a [`Series`].
pub(crate) const SLOT: Duration = Duration::from_secs(60);
/// Slots that make the baseline, before the current window.
pub(crate) const BASELINE_SLOTS: u32 = 7;
/// Slots that make the current window: the running one and those before.
const CURRENT_SLOTS: u32 = 5;
/// Samples below which a baseline is still learning.
pub(crate) const BASELINE_SAMPLES: usize = 20;

/// Number of the slot that an arrival falls into.
pub(crate) fn slot_of(now: ArrivalTime) -> u64 {
    now.0 / u64::try_from(SLOT.as_nanos()).unwrap_or(u64::MAX)
}

/// The time that is current at `now`: the running slot so far and the slots before that make the current window.
pub fn current(now: ArrivalTime) -> Range {
    let first = slot_of(now).saturating_sub(u64::from(CURRENT_SLOTS) - 1);
    Range { from: ArrivalTime(first.saturating_mul(u64::try_from(SLOT.as_nanos()).unwrap_or(u64::MAX))), to: now }
}

/// What time is looked at.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Time {
    /// The window that is current in this slot.
    Current(u64),
    /// All of it.
    All,
}

/// Durations over all time, with the last slots apart, so that now can be held against the recent past.
pub(crate) struct Series {
    /// Over all time.
    pub(crate) total: DDSketch,
    slots: Vec<(u64, DDSketch)>,
}

impl Series {
    pub(crate) fn new() -> Self {
        Self { total: sketch(), slots: Vec::new() }
    }

    /// Adds what arrived at a time that nobody will ask for by itself: slots take ten times the room of the total.
    pub(crate) fn merge_total(&mut self, delta: &DDSketch) {
        merge(&mut self.total, delta);
    }

    /// Adds what arrived in one slot.
    pub(crate) fn merge(&mut self, slot: u64, delta: &DDSketch) {
        merge(&mut self.total, delta);
        match self.slots.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, sketch)) => merge(sketch, delta),
            None => {
                // Most series are of few slots, and a slot is large.
                self.slots.reserve_exact(1);
                self.slots.push((slot, delta.clone()));
            }
        }
        self.forget(slot);
    }

    /// Adds all of another series.
    pub(crate) fn absorb(&mut self, other: &Self) {
        merge(&mut self.total, &other.total);
        for (slot, delta) in &other.slots {
            match self.slots.iter_mut().find(|(known, _)| known == slot) {
                Some((_, sketch)) => merge(sketch, delta),
                None => self.slots.push((*slot, delta.clone())),
            }
        }
    }

    /// Lets slots go that neither window reaches any more.
    pub(crate) fn forget(&mut self, slot: u64) {
        let keep = u64::from(CURRENT_SLOTS + BASELINE_SLOTS);
        self.slots.retain(|(known, _)| known + keep > slot);
    }

    /// What arrived in the current window.
    pub(crate) fn current(&self, slot: u64) -> DDSketch {
        self.collect(|known| known + u64::from(CURRENT_SLOTS) > slot)
    }

    /// What arrived in some time.
    pub(crate) fn over(&self, time: Time) -> DDSketch {
        match time {
            Time::Current(slot) => self.current(slot),
            Time::All => self.total.clone(),
        }
    }

    /// What arrived in the baseline window; `None` while there are too few samples.
    pub(crate) fn baseline(&self, slot: u64) -> Option<DDSketch> {
        let baseline = self.collect(|known| known + u64::from(CURRENT_SLOTS) <= slot);
        (baseline.count() >= BASELINE_SAMPLES).then_some(baseline)
    }

    fn collect(&self, is_in: impl Fn(u64) -> bool) -> DDSketch {
        let mut merged = sketch();
        for (_, slot) in self.slots.iter().filter(|(known, _)| is_in(*known)) {
            merge(&mut merged, slot);
        }
        merged
    }
}

/// A sum over the same windows as [`Series`].
#[derive(Default)]
pub(crate) struct Sums {
    total: f64,
    slots: Vec<(u64, f64)>,
}

impl Sums {
    pub(crate) fn add(&mut self, slot: u64, value: f64) {
        self.total += value;
        match self.slots.iter_mut().find(|(known, _)| *known == slot) {
            Some((_, sum)) => *sum += value,
            None => self.slots.push((slot, value)),
        }
        self.slots.retain(|(known, _)| known + u64::from(CURRENT_SLOTS) > slot);
    }

    /// The sum over some time.
    pub(crate) fn over(&self, time: Time) -> f64 {
        match time {
            Time::All => self.total,
            Time::Current(slot) => {
                self.slots.iter().filter(|(known, _)| known + u64::from(CURRENT_SLOTS) > slot).map(|(_, sum)| sum).sum()
            }
        }
    }
}

/// Slots of a [`Rate`].
const RATE_SLOTS: u64 = 12;
/// Length of one slot of a [`Rate`], nanoseconds.
const RATE_SLOT_NANOS: u64 = 5_000_000_000;

/// How often something happened over the last minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Rate {
    counts: [f64; RATE_SLOTS as usize],
    /// Number of the newest slot.
    newest: u64,
    first: Option<ArrivalTime>,
    /// The rate as it was taken last; `None` when a count came or a slot went since.
    taken: Option<f64>,
}

impl Rate {
    pub(crate) fn add(&mut self, now: ArrivalTime, count: f64) {
        self.first.get_or_insert(now);
        self.forget(now);
        self.counts[(self.newest % RATE_SLOTS) as usize] += count;
        self.taken = None;
    }

    /// Counts a second, over the last minute or since the first count. It changes only with counts and slots, so that
    /// what rests looks at rest.
    pub(crate) fn per_second(&mut self, now: ArrivalTime) -> f64 {
        self.forget(now);
        let Some(first) = self.first else { return 0.0 };
        if let Some(taken) = self.taken {
            return taken;
        }
        let slots = Duration::from_nanos(now.0 % RATE_SLOT_NANOS + (RATE_SLOTS - 1) * RATE_SLOT_NANOS);
        let seconds = now.since(first).min(slots).as_secs_f64().max(1.0);
        *self.taken.insert(self.counts.iter().sum::<f64>() / seconds)
    }

    /// Adds all of another rate.
    pub(crate) fn absorb(&mut self, other: &Self) {
        let newest = self.newest.max(other.newest);
        let mut other = other.clone();
        for rate in [&mut *self, &mut other] {
            rate.forget(ArrivalTime(newest.saturating_mul(RATE_SLOT_NANOS)));
        }
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.first = [self.first, other.first].into_iter().flatten().min();
        self.taken = None;
    }

    fn forget(&mut self, now: ArrivalTime) {
        let slot = now.0 / RATE_SLOT_NANOS;
        for gone in (self.newest + 1..=slot).take(RATE_SLOTS as usize) {
            self.counts[(gone % RATE_SLOTS) as usize] = 0.0;
            self.taken = None;
        }
        self.newest = self.newest.max(slot);
    }
}

pub(crate) fn merge(into: &mut DDSketch, from: &DDSketch) {
    into.merge(from);
}

state!(Series { total, slots });
state!(Rate { counts, newest, first, taken });
state!(Sums { total, slots });

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    #[test]
    fn the_baseline_is_the_past_without_the_current_window() {
        let mut series = Series::new();
        let mut slow = sketch();
        let mut fast = sketch();
        for _ in 0..BASELINE_SAMPLES {
            slow.add(100.0);
            fast.add(10.0);
        }
        series.merge(2, &fast);
        assert!(series.baseline(2).is_none(), "still learning");
        series.merge(7, &slow);
        assert!((quantile(&series.baseline(7).unwrap(), 0.95) - 10.0).abs() < 0.2);
        assert!((quantile(&series.current(7), 0.95) - 100.0).abs() < 2.0);
        series.forget(100);
        assert!(series.baseline(100).is_none());
    }

    #[test]
    fn a_rate_is_right_from_the_first_second_and_forgets_after_a_minute() {
        let mut rate = Rate::default();
        for second in 1..=4 {
            rate.add(ArrivalTime(second * SECOND), 3.0);
        }
        assert!((rate.per_second(ArrivalTime(5 * SECOND)) - 3.0).abs() < 0.1);
        assert!(rate.per_second(ArrivalTime(90 * SECOND)) < 0.01);
    }
}
