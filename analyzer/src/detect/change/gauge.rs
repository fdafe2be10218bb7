//! Cumulative sums over the windows of one series: whether it does more often than it used to what it seldom did.
//!
//! For times: how many values lie above the median, the 90th and the 99th percentile of the baseline. Each is
//! standardised, with a dead band, and goes into Page's CUSUM; the threshold is Siegmund's (*Sequential Analysis*,
//! 1985), for one false alarm of a regression a day over all sums together. For shares, such as errors, which are rare
//! and so far from normal: the sum of log likelihood ratios of the binomial, with Lorden's bound (1971) for the same.
//!
//! Only counts come in, so that what this does can be tried with drawn counts; see `loopscope_corpus::regressions`.

use crate::state::state;

/// Quantiles of the baseline above which values are counted.
pub const QUANTILES: [f64; 3] = [0.5, 0.9, 0.99];

/// How much more often a quantile may be exceeded before it counts: 1.2 times is about 7 % more latency at the 90th
/// percentile of a lognormal of sigma .6. It takes up what the baseline is off.
const DEAD_BAND: f64 = 1.2;
/// Standard errors of the baseline that are added to the dead band.
const BASELINE_ERRORS: f64 = 2.0;
/// Half of the shift that is looked for, in standard deviations: the `k` of a CUSUM.
const SLACK: f64 = 0.5;
/// One window says no more than this, in standard deviations.
const MOST: f64 = 8.0;
/// Values that a window must have; smaller windows are put together, because few counts are far from normal.
const LEAST_SAMPLES: f32 = 50.0;
/// Values without which nothing is said about the 99th percentile.
const LEAST_SAMPLES_P99: f32 = 500.0;
/// Windows from which the spread is learned before alarms count.
const LEARNING: u16 = 30;
/// Windows over which the spread is averaged.
const SPREAD_WINDOWS: f32 = 200.0;
/// A window adds at most this to the spread.
const MOST_SPREAD: f64 = 9.0;
/// Minutes in a day, each with a window.
const WINDOWS_A_DAY: f64 = 1_440.0;

/// Where a series went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Direction {
    /// It takes longer, or fails more often.
    Regression,
    /// It takes less long, or fails less often.
    Improvement,
}

state!(
    enum Direction {
        Regression,
        Improvement,
    }
);

/// A sum above its threshold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alarm {
    /// Where the series went.
    pub direction: Direction,
    /// The minute in which the sum left zero last.
    pub since: u32,
}

/// How large a sum of a [`TimeGauge`] may become where there are so many sums: one false alarm a day in all.
///
/// Siegmund's approximation of the average run length, `(exp(x) - x - 1) / (2 k^2)` with `x = 2 k (h + 1.166)`, solved for `h`.
pub fn time_threshold(sums: usize) -> f64 {
    let run_length = sums.max(1) as f64 * WINDOWS_A_DAY;
    let wanted = run_length * 2.0 * SLACK * SLACK;
    let mut x = wanted.ln();
    for _ in 0..20 {
        x = (wanted + x + 1.0).ln();
    }
    x / (2.0 * SLACK) - 1.166
}

/// The same for a [`ShareGauge`]: its average run length is at least `exp(h)`.
pub fn share_threshold(sums: usize) -> f64 {
    (sums.max(1) as f64 * WINDOWS_A_DAY).ln()
}

/// A sum that is never negative, and since when it is positive.
#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    value: f32,
    since: u32,
}

impl Sum {
    /// Adds to the sum. It grows no further than the threshold, so that it falls soon when a change is over.
    fn add(&mut self, minute: u32, more: f64, threshold: f64) {
        if self.value <= 0.0 {
            self.since = minute;
        }
        self.value = (f64::from(self.value) + more).clamp(0.0, threshold) as f32;
    }

    fn is_full(&self, threshold: f64) -> bool {
        self.value >= threshold as f32
    }
}

/// The first sum that is full; those of a regression first.
fn alarm(threshold: f64, sums: impl IntoIterator<Item = (Direction, Sum)>) -> Option<Alarm> {
    let mut full = sums.into_iter().filter(|(_, sum)| sum.is_full(threshold));
    full.next().map(|(direction, sum)| Alarm { direction, since: sum.since })
}

/// The moment in which a direction's sums were no longer all they can be.
#[derive(Clone, Copy, Debug, Default)]
struct Left([u32; 2]);

impl Left {
    fn see<'a>(&mut self, direction: Direction, minute: u32, threshold: f64, sums: impl IntoIterator<Item = &'a Sum>) {
        if sums.into_iter().any(|sum| sum.is_full(threshold)) {
            self.0[direction as usize] = minute.saturating_add(1);
        }
    }

    fn over<'a>(self, direction: Direction, sums: impl IntoIterator<Item = &'a Sum>) -> Option<u32> {
        sums.into_iter().all(|sum| sum.value <= 0.0).then_some(self.0[direction as usize])
    }
}

/// What is usual for a series of times.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UsualTimes {
    /// Values of the baseline.
    pub samples: f32,
    /// Part of them above each of the [`QUANTILES`]; where many values are the same, not quite what the quantile says.
    pub shares: [f32; 3],
}

/// Watches the times of one series.
#[derive(Clone, Debug, Default)]
pub struct TimeGauge {
    usual: UsualTimes,
    slower: [Sum; 3],
    faster: [Sum; 2],
    /// Of windows that are too small by themselves: values, and those above each quantile.
    samples: f32,
    above: [f32; 3],
    begun: u32,
    /// How much wider than by chance the counts spread, taken from window to window, so that a change does not hide
    /// itself: the variance is half the mean square of successive differences (von Neumann, 1941).
    spread: f32,
    /// The last window's counts of the first two quantiles, standardised.
    last: [f32; 2],
    learned: u16,
    left: Left,
}

impl TimeGauge {
    /// Sums that each gauge has for slower times; their number is what [`time_threshold`] asks for.
    pub const SUMS: usize = QUANTILES.len();

    /// Takes in what is usual.
    pub fn learn(&mut self, usual: UsualTimes) {
        self.usual = usual;
    }

    /// Takes in a window: its values, and how many of them are above each of the quantiles. The minutes are numbered
    /// upwards.
    pub fn push(&mut self, minute: u32, samples: f32, above: [f32; 3], threshold: f64) -> Option<Alarm> {
        if self.usual.samples <= 0.0 {
            return None;
        }
        if self.samples == 0.0 {
            self.begun = minute;
        }
        self.samples += samples;
        self.above.iter_mut().zip(above).for_each(|(sum, more)| *sum += more);
        if self.samples < LEAST_SAMPLES {
            return None;
        }
        self.take_window(threshold);
        (self.samples, self.above) = (0.0, [0.0; 3]);
        if self.learned < LEARNING {
            return None;
        }
        let slower = self.slower.map(|sum| (Direction::Regression, sum));
        let faster = self.faster.map(|sum| (Direction::Improvement, sum));
        alarm(threshold, slower.into_iter().chain(faster))
    }

    /// Begins anew, as after an alarm that was looked into.
    pub fn reset(&mut self) {
        (self.slower, self.faster, self.left) = Default::default();
    }

    /// The minute since which it is as it used to be, once the sums that an alarm left are gone.
    pub fn over(&self, direction: Direction) -> Option<u32> {
        match direction {
            Direction::Regression => self.left.over(direction, &self.slower),
            Direction::Improvement => self.left.over(direction, &self.faster),
        }
    }

    fn take_window(&mut self, threshold: f64) {
        let n = f64::from(self.samples);
        let is_learning = self.learned < LEARNING;
        let spread = f64::from(self.spread).max(1.0).sqrt();
        let mut squares = 0.0;
        for (place, quantile) in QUANTILES.into_iter().enumerate() {
            let tail = 1.0 - quantile;
            let share = f64::from(self.usual.shares[place]).clamp(tail / 4.0, 1.0 - tail / 4.0);
            let deviation = (n * share * (1.0 - share)).sqrt();
            let error = BASELINE_ERRORS * (share * (1.0 - share) / f64::from(self.usual.samples)).sqrt();
            let count = f64::from(self.above[place]);
            let high = n * (DEAD_BAND * share + error);
            let low = n * ((2.0 - DEAD_BAND) * share - error);
            if place < 2 {
                let standard = (count - n * share) / deviation;
                squares += ((standard - f64::from(self.last[place])).powi(2) / 2.0).min(MOST_SPREAD) / 2.0;
                self.last[place] = standard as f32;
            }
            if is_learning {
                continue;
            }
            if place == 2 && self.samples < LEAST_SAMPLES_P99 {
                // It says nothing; what it said while there was more must not stand for ever.
                self.slower[place].add(self.begun, -SLACK, threshold);
                continue;
            }
            let more = ((count - high) / (deviation * spread)).min(MOST);
            self.slower[place].add(self.begun, more - SLACK, threshold);
            // Where many values are the same, none may be above them; fewer than none cannot come.
            if let Some(sum) = self.faster.get_mut(place).filter(|_| share > tail / 2.0) {
                let less = ((low - count) / (deviation * spread)).min(MOST);
                sum.add(self.begun, less - SLACK, threshold);
            }
        }
        self.left.see(Direction::Regression, self.begun, threshold, &self.slower);
        self.left.see(Direction::Improvement, self.begun, threshold, &self.faster);
        self.learned = self.learned.saturating_add(1);
        let windows = f32::from(self.learned).min(SPREAD_WINDOWS);
        self.spread += (squares as f32 - self.spread) / windows;
    }
}

/// What is usual for a share.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct UsualShare {
    /// Runs of the baseline.
    pub of: f32,
    /// Those of them that are counted.
    pub events: f32,
}

/// Watches how many runs of one series fail, or start cold.
#[derive(Clone, Debug, Default)]
pub struct ShareGauge {
    usual: UsualShare,
    more: Sum,
    less: Sum,
    left: Left,
}

/// A share is looked for that is twice the usual, and this much larger at least.
pub(super) const LEAST_SHARE: f64 = 0.02;

impl ShareGauge {
    /// Sums that each gauge has for larger shares; their number is what [`share_threshold`] asks for.
    pub const SUMS: usize = 1;

    /// Takes in what is usual.
    pub fn learn(&mut self, usual: UsualShare) {
        self.usual = usual;
    }

    /// Takes in a window: its runs, and those of them that are counted.
    pub fn push(&mut self, minute: u32, of: f32, events: f32, threshold: f64) -> Option<Alarm> {
        if self.usual.of <= 0.0 || of <= 0.0 {
            return None;
        }
        let (n, k) = (f64::from(of), f64::from(events.clamp(0.0, of)));
        let base = f64::from(self.usual.of);
        // Two more of each, as Agresti and Coull have it: where nothing was counted yet, something may come.
        let share = (f64::from(self.usual.events) + 2.0) / (base + 4.0);
        let error = BASELINE_ERRORS * (share * (1.0 - share) / (base + 4.0)).sqrt();
        let (high, low) = ((share + error).min(0.98), (share - error).max(0.0));
        let worse = (2.0 * high).max(high + LEAST_SHARE).min(0.99);
        self.more.add(minute, ratio(n, k, high, worse), threshold);
        if low / 2.0 >= LEAST_SHARE {
            self.less.add(minute, ratio(n, k, low, low / 2.0), threshold);
        }
        self.left.see(Direction::Regression, minute, threshold, [&self.more]);
        self.left.see(Direction::Improvement, minute, threshold, [&self.less]);
        alarm(threshold, [(Direction::Regression, self.more), (Direction::Improvement, self.less)])
    }

    /// Begins anew, as after an alarm that was looked into.
    pub fn reset(&mut self) {
        (self.more, self.less, self.left) = Default::default();
    }

    /// The minute since which it is as it used to be, once the sums that an alarm left are gone.
    pub fn over(&self, direction: Direction) -> Option<u32> {
        let sum = if direction == Direction::Regression { &self.more } else { &self.less };
        self.left.over(direction, [sum])
    }
}

/// How much more likely `k` of `n` are with a share of `other` than with `usual`, as a logarithm.
fn ratio(n: f64, k: f64, usual: f64, other: f64) -> f64 {
    k * (other / usual).ln() + (n - k) * ((1.0 - other) / (1.0 - usual)).ln()
}

state!(Sum { value, since });
state!(Left(inner));
state!(UsualTimes { samples, shares });
state!(TimeGauge { usual, slower, faster, samples, above, begun, spread, last, learned, left });
state!(UsualShare { of, events });
state!(ShareGauge { usual, more, less, left });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_grows_with_the_number_of_series() {
        let found = [100, 1_000, 10_000, 100_000].map(|sums| (time_threshold(sums) * 10.0).round() / 10.0);
        assert_eq!(found, [10.0, 12.3, 14.6, 16.9]);
        assert!((share_threshold(10_000) - 16.5).abs() < 0.1);
    }

    /// Windows until the alarm when so many of 100 values lie above the median and the 90th percentile.
    fn windows(above: [f32; 2]) -> Option<(Direction, u32)> {
        let mut gauge = TimeGauge::default();
        gauge.learn(UsualTimes { samples: 1e5, shares: [0.5, 0.1, 0.01] });
        for minute in 0..200 {
            assert_eq!(gauge.push(minute, 100.0, [50.0, 10.0, 1.0], time_threshold(10_000)), None);
        }
        (200..400).find_map(|minute| {
            let alarm = gauge.push(minute, 100.0, [above[0], above[1], 1.0], time_threshold(10_000))?;
            assert_eq!(alarm.since, 200);
            Some((alarm.direction, minute - 199))
        })
    }

    #[test]
    fn a_shift_is_found_the_sooner_the_larger_it_is() {
        assert_eq!(windows([50.0, 12.0]), None);
        assert_eq!(windows([62.0, 16.4]), Some((Direction::Regression, 17)));
        assert_eq!(windows([75.0, 27.0]), Some((Direction::Regression, 4)));
        assert_eq!(windows([100.0, 100.0]), Some((Direction::Regression, 2)));
        assert_eq!(windows([30.0, 3.0]), Some((Direction::Improvement, 11)));
    }

    #[test]
    fn a_change_is_over_once_the_sums_are_gone() {
        let mut gauge = TimeGauge::default();
        gauge.learn(UsualTimes { samples: 1e5, shares: [0.5, 0.1, 0.01] });
        let mut over = Vec::new();
        for minute in 0..60 {
            let above = if minute < 40 { [80.0, 30.0, 5.0] } else { [50.0, 10.0, 1.0] };
            gauge.push(minute, 100.0, above, time_threshold(10_000));
            if minute > 35 {
                over.extend(gauge.over(Direction::Regression).map(|since| (minute, since)));
            }
        }
        assert_eq!(over[0], (51, 40));
    }

    #[test]
    fn errors_are_counted_by_what_they_used_to_be() {
        let alarms = |events: f32, now: f32| {
            let mut gauge = ShareGauge::default();
            gauge.learn(UsualShare { of: 10_000.0, events });
            (0..100).find_map(|minute| {
                gauge.push(minute, 100.0, now, share_threshold(10_000)).map(|it| (it.direction, minute))
            })
        };
        assert_eq!(alarms(0.0, 0.0), None);
        assert_eq!(alarms(0.0, 3.0), Some((Direction::Regression, 1)));
        assert_eq!(alarms(1_000.0, 10.0), None);
        assert_eq!(alarms(1_000.0, 30.0), Some((Direction::Regression, 1)));
        assert_eq!(alarms(1_000.0, 2.0), Some((Direction::Improvement, 4)));
    }
}
