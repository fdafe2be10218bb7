//! Laps of one loop and the laps that followed them, over time: what R and its alarm are made of.
//!
//! Time is that of the functions (event time), and ends at the newest lap that was seen: batches of spans come late
//! and together, and what has not been exported yet is no end of anything. When no lap comes any more, time goes on by
//! the collector's clock, less the longest delay that was seen.

use std::collections::VecDeque;

use sketches_ddsketch::DDSketch;

use crate::state::state;
use crate::{
    detect::rate,
    span::{ArrivalTime, EventTime},
    window::{millis, quantile, sketch},
};

/// Slots in which the laps of the recent past are counted.
const SLOTS: usize = 64;
/// Slots that one median lap time is divided into.
const SLOTS_PER_LAP: f64 = 8.0;
/// Points at which the distribution of lap times is kept.
const POINTS: usize = 32;
/// First laps that are kept one by one, while the longest ones cannot have been seen yet.
const YOUNG: usize = 128;
/// How many times the 99th percentile of the lap time a loop is young.
const YOUNG_LAPS: f64 = 5.0;
/// Lap times in which what R is made of loses half of its weight, and the least such time in seconds.
const MEMORY_LAPS: f64 = 20.0;
const MEMORY_SECONDS: f64 = 60.0;

/// Laps and their successors.
#[derive(Clone)]
pub(crate) struct Renewal {
    /// Start and number of the laps in each slot, the oldest first.
    slots: VecDeque<(u64, f64)>,
    slot_nanos: u64,
    /// Laps that left the slots.
    older: f64,
    /// Successors since the last tick.
    fresh_offspring: f64,
    /// Exposure at the last tick.
    exposed: f64,
    /// What R is made of: successors and exposure, the older the lighter.
    offspring: f64,
    exposure: f64,
    /// The sum of the rate detector.
    pub(crate) cusum: f64,
    newest: u64,
    longest_delay: u64,
    ticked: ArrivalTime,
    lap_times: LapTimes,
    is_branching: bool,
}

/// How long laps take.
#[derive(Clone)]
pub(crate) struct LapTimes {
    sketch: DDSketch,
    sum_ms: f64,
    sum_squares: f64,
    count: f64,
    /// Time and begin of the first laps.
    young: Vec<(f64, u64)>,
    born: u64,
    /// Lap times that a part of the laps does not exceed, the shortest first.
    points: Vec<(f64, f64)>,
    pointed_at: f64,
    /// Median and 99th percentile, milliseconds.
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
}

impl Renewal {
    pub(crate) fn new() -> Self {
        Self {
            slots: VecDeque::new(),
            slot_nanos: 1,
            older: 0.0,
            fresh_offspring: 0.0,
            exposed: 0.0,
            offspring: 0.0,
            exposure: 0.0,
            cusum: 0.0,
            newest: 0,
            longest_delay: 0,
            ticked: ArrivalTime(0),
            lap_times: LapTimes::new(),
            is_branching: false,
        }
    }

    /// A lap ended in an invocation that began at `end`, `nanos` after the one before.
    pub(crate) fn lap_time(&mut self, end: EventTime, nanos: u64) {
        self.lap_times.add(end, nanos);
    }

    /// An invocation after the first lap of its chain began at `at`: it may cause another lap. `follows` says that it
    /// itself followed such an invocation.
    pub(crate) fn lap(&mut self, now: ArrivalTime, at: EventTime, weight: f64, follows: bool) {
        if follows {
            self.fresh_offspring += weight;
        }
        self.newest = self.newest.max(at.0);
        self.longest_delay = self.longest_delay.max(now.0.saturating_sub(at.0));
        self.count(at.0, 1.0);
    }

    /// A lap that was counted as the first of its chain turned out to follow another.
    pub(crate) fn follows_after_all(&mut self, weight: f64) {
        self.fresh_offspring += weight;
    }

    /// One lap has caused two or more.
    pub(crate) fn branches(&mut self) {
        self.is_branching = true;
    }

    /// Brings R and the sum of the rate detector up to date; `baseline` is what R used to be, when that is known.
    pub(crate) fn tick(&mut self, now: ArrivalTime, baseline: Option<f64>) {
        self.lap_times.refresh(self.newest);
        self.coarsen();
        let latest = self.newest.max(now.0.saturating_sub(self.longest_delay));
        let exposed = self.exposed_at(latest);
        // Lap times that are learned later can make earlier exposure smaller; it is not taken back.
        let fresh = (exposed - self.exposed).max(0.0);
        self.exposed = self.exposed.max(exposed);
        let offspring = std::mem::take(&mut self.fresh_offspring);
        let passed = now.since(self.ticked).as_secs_f64();
        let memory = (self.lap_times.p50_ms / 1e3 * MEMORY_LAPS).max(MEMORY_SECONDS);
        let left = if self.ticked.0 == 0 { 1.0 } else { 0.5_f64.powf(passed / memory) };
        self.ticked = now;
        self.offspring = self.offspring * left + offspring;
        self.exposure = self.exposure * left + fresh;
        self.cusum = baseline.map_or(0.0, |baseline| rate::step(self.cusum, offspring, fresh, baseline));
    }

    /// Successors and exposure in the recent past, and whether laps branch.
    pub(crate) fn recent(&self) -> (f64, f64, bool) {
        (self.offspring, self.exposure, self.is_branching)
    }

    pub(crate) fn lap_times(&self) -> &LapTimes {
        &self.lap_times
    }

    /// Laps times the part of the lap times that is shorter than their age.
    fn exposed_at(&self, latest: u64) -> f64 {
        let recent: f64 = self
            .slots
            .iter()
            .map(|(start, laps)| {
                let middle = start.saturating_mul(self.slot_nanos).saturating_add(self.slot_nanos / 2);
                laps * self.lap_times.part_below(millis(latest.saturating_sub(middle)))
            })
            .sum();
        self.older + recent
    }

    fn count(&mut self, at: u64, laps: f64) {
        let slot = at / self.slot_nanos;
        let place = self.slots.partition_point(|(start, _)| *start < slot);
        let is_full = self.slots.len() == SLOTS;
        match self.slots.get_mut(place) {
            Some((start, known)) if *start == slot => *known += laps,
            _ if place == 0 && is_full => self.older += laps,
            _ => self.slots.insert(place, (slot, laps)),
        }
        if self.slots.len() > SLOTS
            && let Some((_, laps)) = self.slots.pop_front()
        {
            self.older += laps;
        }
    }

    /// Widens the slots when laps take longer than the slots were made for.
    fn coarsen(&mut self) {
        let wanted = (self.lap_times.p50_ms * 1e6 / SLOTS_PER_LAP) as u64;
        if wanted < self.slot_nanos.saturating_mul(2) {
            return;
        }
        let factor = wanted / self.slot_nanos;
        self.slot_nanos *= factor;
        for (start, laps) in std::mem::take(&mut self.slots) {
            match self.slots.back_mut() {
                Some((last, known)) if *last == start / factor => *known += laps,
                _ => self.slots.push_back((start / factor, laps)),
            }
        }
    }
}

impl LapTimes {
    fn new() -> Self {
        Self {
            sketch: sketch(),
            sum_ms: 0.0,
            sum_squares: 0.0,
            count: 0.0,
            young: Vec::new(),
            born: 0,
            points: Vec::new(),
            pointed_at: 0.0,
            p50_ms: 0.0,
            p99_ms: 0.0,
        }
    }

    fn add(&mut self, end: EventTime, nanos: u64) {
        let ms = millis(nanos);
        self.sketch.add(ms);
        self.sum_ms += ms;
        self.sum_squares += ms * ms;
        self.count += 1.0;
        let begin = end.0.saturating_sub(nanos);
        self.born = if self.born == 0 { begin } else { self.born.min(begin) };
        if self.young.len() < YOUNG {
            self.young.push((ms, begin));
        }
        if self.points.is_empty() {
            self.p50_ms = ms;
            self.p99_ms = ms;
        }
    }

    /// Mean in seconds, and the standard deviation as a part of it.
    pub(crate) fn mean_and_spread(&self) -> (f64, f64) {
        let mean = self.sum_ms / self.count.max(1.0);
        let variance = (self.sum_squares / self.count.max(1.0) - mean * mean).max(0.0);
        (mean / 1e3, if mean > 0.0 { variance.sqrt() / mean } else { 0.0 })
    }

    /// Takes the distribution anew when a tenth of the laps are.
    fn refresh(&mut self, newest: u64) {
        if self.count < self.pointed_at * 1.1 {
            return;
        }
        self.pointed_at = self.count;
        self.p50_ms = quantile(&self.sketch, 0.5);
        self.p99_ms = quantile(&self.sketch, 0.99);
        let is_young = millis(newest.saturating_sub(self.born)) < YOUNG_LAPS * self.p99_ms;
        if is_young && self.young.len() < YOUNG {
            self.points = untruncated(&self.young, newest);
        } else {
            self.young = Vec::new();
            let part = |point: usize| (point as f64 + 0.5) / POINTS as f64;
            self.points = (0..POINTS).map(|point| (quantile(&self.sketch, part(point)), part(point))).collect();
        }
    }

    /// Part of the laps that take no longer than this.
    fn part_below(&self, ms: f64) -> f64 {
        let after = self.points.partition_point(|(point, _)| *point <= ms);
        let low = after.checked_sub(1).map_or((0.0, 0.0), |before| self.points[before]);
        match self.points.get(after) {
            None => 1.0,
            Some(high) if high.0 > low.0 => low.1 + (high.1 - low.1) * (ms - low.0) / (high.0 - low.0),
            Some(high) => high.1,
        }
    }
}

/// The distribution of lap times of which only those were seen that are shorter than their age: the product limit for
/// truncated data (Lynden-Bell, "A method of allowing for known observational selection in small samples", 1971).
fn untruncated(laps: &[(f64, u64)], newest: u64) -> Vec<(f64, f64)> {
    let mut times: Vec<(f64, f64)> =
        laps.iter().map(|(ms, begin)| (*ms, millis(newest.saturating_sub(*begin)))).collect();
    times.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
    let mut part = 1.0;
    let mut points = Vec::with_capacity(times.len());
    for (ms, _) in times.iter().rev() {
        points.push((*ms, part));
        let at_risk = times.iter().filter(|(other, age)| other <= ms && ms <= age).count();
        // One lap alone would make all shorter ones impossible.
        if at_risk > 1 {
            part *= 1.0 - 1.0 / at_risk as f64;
        }
    }
    points.reverse();
    points
}

state!(Renewal {
    slots,
    slot_nanos,
    older,
    fresh_offspring,
    exposed,
    offspring,
    exposure,
    cusum,
    newest,
    longest_delay,
    ticked,
    lap_times,
    is_branching
});
state!(LapTimes { sketch, sum_ms, sum_squares, count, young, born, points, pointed_at, p50_ms, p99_ms });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::reproduction::reproduction;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_700_000_000 * SECOND;

    /// A chain of laps of `lap` seconds, each exported `delay` seconds late in batches of `batch`.
    fn chain(laps: u64, lap: u64, delay: u64, batch: u64) -> Renewal {
        let mut renewal = Renewal::new();
        for number in 1..=laps {
            let at = EventTime(START + number * lap * SECOND);
            let sent = number.div_ceil(batch) * batch * lap + delay;
            let now = ArrivalTime(START + sent * SECOND);
            renewal.lap_time(at, lap * SECOND);
            renewal.lap(now, at, 1.0, number > 1);
            if number % batch == 0 {
                renewal.tick(now, None);
            }
        }
        renewal
    }

    #[test]
    fn a_chain_that_goes_on_has_an_r_of_one_however_it_is_exported() {
        for (delay, batch) in [(0, 1), (300, 1), (2, 7)] {
            let (offspring, exposure, is_branching) = chain(70, 2, delay, batch).recent();
            let found = reproduction(offspring, exposure, is_branching).unwrap();
            assert!((found.mean - 1.0).abs() < 0.06, "{delay} {batch}: {offspring} of {exposure}");
        }
    }

    #[test]
    fn a_chain_that_has_stopped_shows_once_its_next_lap_is_overdue() {
        let mut renewal = chain(20, 2, 1, 1);
        let at = |second: u64| ArrivalTime(START + second * SECOND);
        let (_, before, _) = renewal.recent();
        renewal.tick(at(50), None);
        assert!(renewal.recent().1 > before * 0.5 + 0.5, "the last lap is exposed wholly");
    }

    #[test]
    fn young_laps_are_not_taken_for_short_ones() {
        // Half of the laps take 1 s, half 9 s, and the oldest is 10 s old.
        let laps: Vec<(f64, u64)> = (0..10)
            .flat_map(|begin| [(1_000.0, begin), (9_000.0, begin)])
            .filter(|(ms, begin)| ms / 1e3 <= (10 - begin) as f64)
            .map(|(ms, begin)| (ms, begin * SECOND))
            .collect();
        let short = laps.iter().filter(|(ms, _)| *ms < 2_000.0).count();
        assert_eq!((short, laps.len()), (10, 12));
        let points = untruncated(&laps, 10 * SECOND);
        let part = points.iter().rfind(|(ms, _)| *ms < 2_000.0).map(|(_, part)| *part).unwrap();
        assert!(part < 0.6, "{part}");
    }
}
