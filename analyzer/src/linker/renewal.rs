//! Laps of one loop and the laps that followed them, over time: what R and its alarm are made of.
//!
//! Time is that of the functions (event time), and ends where nearly all spans have arrived: they come late and
//! together, and what has not been exported yet is no end of anything. How late they come is learned as TCP learns how
//! long an answer takes.

use std::collections::VecDeque;

use crate::{
    detect::rate,
    sketch::DDSketch,
    span::{ArrivalTime, EventTime},
    state::state,
    window::{millis, quantile, sketch},
};

/// Slots in which the laps of the recent past are counted.
const SLOTS: usize = 64;
/// Slots that one median lap time is divided into.
const SLOTS_PER_LAP: f64 = 8.0;
/// Points at which the distribution of lap times is kept.
const POINTS: usize = 32;
/// First laps that are kept one by one, while the longest ones cannot have been seen yet.
const YOUNG: usize = 256;
/// How many times the 99th percentile of the lap time a loop is young.
const YOUNG_LAPS: f64 = 5.0;
/// How many mean deviations beyond the mean delay nearly all spans have arrived.
const DELAY_DEVIATIONS: f64 = 4.0;
/// Weight of one more delay in their mean.
const DELAY_GAIN: f64 = 0.05;
/// Slots into which the delay must fit at least twice.
const SLOTS_PER_DELAY: f64 = SLOTS as f64 / 2.0;
/// Lap times in which what R is made of loses half of its weight, and the least such time in seconds.
const MEMORY_LAPS: f64 = 20.0;
const MEMORY_SECONDS: f64 = 60.0;

/// Weight of the laps of the recent past below which they say nothing.
const LEAST_RECENT: f64 = 0.5;

/// Laps and their successors.
#[derive(Clone)]
pub(crate) struct Renewal {
    /// Laps by when they began, the oldest first.
    slots: VecDeque<Slot>,
    slot_nanos: u64,
    /// What left the slots.
    older: Counts,
    /// What there was at the last tick.
    before: Counts,
    /// What R is made of, the older the lighter; and the same with the squares of the weights.
    recent: Counts,
    squares: f64,
    /// The sum of the rate detector.
    pub(crate) cusum: f64,
    delay: Delay,
    ticked: ArrivalTime,
    lap_times: LapTimes,
    is_branching: bool,
}

/// Laps that could be followed, and laps that did follow one.
#[derive(Clone, Copy, Default)]
struct Counts {
    exposure: f64,
    offspring: f64,
}

#[derive(Clone, Copy)]
struct Slot {
    number: u64,
    counts: Counts,
}

/// How long spans take to arrive, seconds.
#[derive(Clone, Copy, Default)]
struct Delay {
    mean: f64,
    deviation: f64,
    is_known: bool,
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
            older: Counts::default(),
            before: Counts::default(),
            recent: Counts::default(),
            squares: 0.0,
            cusum: 0.0,
            delay: Delay::default(),
            ticked: ArrivalTime(0),
            lap_times: LapTimes::new(),
            is_branching: false,
        }
    }

    /// A lap ended in an invocation that began at `end`, `nanos` after the one before.
    pub(crate) fn lap_time(&mut self, end: EventTime, nanos: u64) {
        self.lap_times.add(end, nanos);
    }

    /// An invocation after the first lap of its chain began at `at`: it may cause another lap. `follows` is what it
    /// counts for itself as one that followed such an invocation: nothing if it did not, and more than its own weight
    /// where sampling hides others that did.
    pub(crate) fn lap(&mut self, now: ArrivalTime, at: EventTime, weight: f64, follows: f64) {
        self.delay.learn(millis(now.0.saturating_sub(at.0)) / 1e3);
        self.count(at.0, Counts { exposure: weight, offspring: follows });
    }

    /// A lap that was counted as the first of its chain turned out to follow another.
    pub(crate) fn follows_after_all(&mut self, weight: f64) {
        self.older.offspring += weight;
    }

    /// One lap has caused two or more.
    pub(crate) fn branches(&mut self) {
        self.is_branching = true;
    }

    /// Brings R and the sum of the rate detector up to date; `baseline` is what R used to be, when that is known, and
    /// `seen` the part of the laps after a lap that sampling does not hide.
    pub(crate) fn tick(&mut self, now: ArrivalTime, baseline: Option<f64>, seen: f64) {
        let latest = now.0.saturating_sub(self.delay.nanos());
        self.lap_times.refresh(latest);
        self.coarsen();
        let sum = self.until(latest);
        // Lap times that are learned later can make earlier exposure smaller; it is not taken back.
        let exposure = (sum.exposure - self.before.exposure).max(0.0);
        let offspring = (sum.offspring - self.before.offspring).max(0.0);
        self.before = Counts {
            exposure: self.before.exposure.max(sum.exposure),
            offspring: self.before.offspring.max(sum.offspring),
        };
        let passed = now.since(self.ticked).as_secs_f64();
        let memory = (self.lap_times.p50_ms / 1e3 * MEMORY_LAPS).max(MEMORY_SECONDS);
        let left = if self.ticked.0 == 0 { 1.0 } else { 0.5_f64.powf(passed / memory) };
        self.ticked = now;
        self.recent.exposure = self.recent.exposure * left + exposure;
        self.recent.offspring = self.recent.offspring * left + offspring;
        self.squares = self.squares * left * left + exposure;
        self.cusum =
            baseline.map_or(0.0, |baseline| rate::step(self.cusum, offspring * seen, exposure * seen, baseline));
    }

    /// Successors and exposure in the recent past, and whether laps branch.
    ///
    /// Old laps are lighter than new ones, so they say as much as a number of equal laps that is larger than the sum of
    /// their weights (Kish, "Survey sampling", 1965); that number is what is given.
    pub(crate) fn recent(&self) -> (f64, f64, bool) {
        if self.recent.exposure < LEAST_RECENT {
            // Almost nothing is left of what was: the number of equal laps would be a quotient of two noughts.
            return (self.recent.offspring, self.recent.exposure, self.is_branching);
        }
        let effective = if self.squares > 0.0 { (self.recent.exposure / self.squares).max(1.0) } else { 1.0 };
        (self.recent.offspring * effective, self.recent.exposure * effective, self.is_branching)
    }

    pub(crate) fn lap_times(&self) -> &LapTimes {
        &self.lap_times
    }

    /// Everything until then: laps count with the part of the lap times that is shorter than their age.
    fn until(&self, latest: u64) -> Counts {
        let mut sum = self.older;
        for Slot { number, counts } in &self.slots {
            let start = number.saturating_mul(self.slot_nanos);
            let age = latest.saturating_sub(start);
            let begun = (age as f64 / self.slot_nanos as f64).min(1.0);
            let middle = (age as f64 / 2.0).max(age as f64 - self.slot_nanos as f64 / 2.0);
            sum.exposure += counts.exposure * begun * self.lap_times.part_below(middle / 1e6);
            sum.offspring += counts.offspring * begun;
        }
        sum
    }

    fn count(&mut self, at: u64, counts: Counts) {
        let number = at / self.slot_nanos;
        let place = self.slots.partition_point(|slot| slot.number < number);
        let is_full = self.slots.len() == SLOTS;
        match self.slots.get_mut(place) {
            Some(slot) if slot.number == number => slot.counts.add(counts),
            _ if place == 0 && is_full => self.older.add(counts),
            _ => self.slots.insert(place, Slot { number, counts }),
        }
        if self.slots.len() > SLOTS
            && let Some(slot) = self.slots.pop_front()
        {
            self.older.add(slot.counts);
        }
    }

    /// Widens the slots when laps, or spans on their way, take longer than the slots were made for.
    fn coarsen(&mut self) {
        let wanted =
            (self.lap_times.p50_ms * 1e6 / SLOTS_PER_LAP).max(self.delay.nanos() as f64 / SLOTS_PER_DELAY) as u64;
        if wanted < self.slot_nanos.saturating_mul(2) {
            return;
        }
        let factor = wanted / self.slot_nanos;
        self.slot_nanos *= factor;
        for Slot { number, counts } in std::mem::take(&mut self.slots) {
            match self.slots.back_mut() {
                Some(last) if last.number == number / factor => last.counts.add(counts),
                _ => self.slots.push_back(Slot { number: number / factor, counts }),
            }
        }
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.exposure += other.exposure;
        self.offspring += other.offspring;
    }
}

impl Delay {
    fn learn(&mut self, seconds: f64) {
        if self.is_known {
            self.deviation += DELAY_GAIN * ((seconds - self.mean).abs() - self.deviation);
            self.mean += DELAY_GAIN * (seconds - self.mean);
        } else {
            *self = Self { mean: seconds, deviation: seconds / 2.0, is_known: true };
        }
    }

    /// The time after which nearly all spans have arrived.
    fn nanos(self) -> u64 {
        ((self.mean + DELAY_DEVIATIONS * self.deviation) * 1e9) as u64
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
    let with_age = laps.iter().map(|(ms, begin)| (*ms, millis(newest.saturating_sub(*begin))));
    let mut times: Vec<(f64, f64)> = with_age.filter(|(ms, age)| ms <= age).collect();
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

state!(Renewal { slots, slot_nanos, older, before, recent, squares, cusum, delay, ticked, lap_times, is_branching });
state!(Counts { exposure, offspring });
state!(Slot { number, counts });
state!(Delay { mean, deviation, is_known });
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
            renewal.lap(now, at, 1.0, f64::from(u8::from(number > 1)));
            if number % batch == 0 {
                renewal.tick(now, None, 1.0);
            }
        }
        renewal
    }

    #[test]
    fn what_is_learned_after_a_long_silence_does_not_outweigh_what_is_forgotten() {
        let mut renewal = chain(70, 2, 0, 1);
        renewal.branches();
        for minute in 3..=75 {
            renewal.tick(ArrivalTime(START + minute * 60 * SECOND), None, 1.0);
        }
        renewal.follows_after_all(1.0);
        renewal.tick(ArrivalTime(START + 76 * 60 * SECOND), None, 1.0);
        let (offspring, exposure, is_branching) = renewal.recent();
        assert!(offspring < 100.0 && exposure < 1.0, "{offspring} of {exposure}");
        assert_eq!(reproduction(offspring, exposure, is_branching), None);
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
        let (followed, before, _) = renewal.recent();
        assert!(followed >= before - 0.5);
        renewal.tick(at(50), None, 1.0);
        let (followed, after, _) = renewal.recent();
        assert!(followed < after - 0.5, "the last lap could have been followed, and was not");
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
