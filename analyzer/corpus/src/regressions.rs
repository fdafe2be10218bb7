//! How often the watch over all series raises a false alarm, and how soon it finds a shift.
//!
//! Over ten thousand series and a day, windows are not made of spans: only what a window counts is drawn, with the error
//! that the baseline itself has. What a suspect would have to stand up to after that (ranks, an effect that matters) is
//! left out, so the figures are an upper bound. A hundred functions go through the whole engine instead, in
//! `performance/regressions.rs`.
//!
//! Times are lognormal with sigma .6, as in `docs/algorithms.md`; functions run from ten to two thousand times a minute.

use loopscope_analyzer::detect::change::{Direction, TimeGauge, UsualTimes, time_threshold};
use rayon::prelude::*;

use crate::dice::Dice;

/// Sigma of the logarithm of all times.
const SIGMA: f64 = 0.6;
/// Where a standard normal has its median, 90th and 99th percentile.
const POINTS: [f64; 3] = [0.0, 1.281_552, 2.326_348];
/// Windows in a day.
const DAY: u32 = 1_440;
/// Windows that a gauge sees before what is counted begins.
const WARM_UP: u32 = 60;

/// What the windows are like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Weather {
    /// Minutes that made the baseline: a day without its last quarter of an hour has 1,425.
    pub baseline_minutes: f64,
    /// How much all times of a minute go up and down together, as sigma of the logarithm.
    pub waves: f64,
}

/// Alarms over series that do not change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FalseAlarms {
    /// Towards slower.
    pub regressions: u32,
    /// Towards faster.
    pub improvements: u32,
}

/// Windows until a shift is found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Delays {
    /// Part of the series in which it was found within a day.
    pub found: f64,
    /// Median of the windows until then.
    pub median: u32,
    /// 90th percentile of them.
    pub p90: u32,
}

/// Counts the alarms of so many series over so many days.
pub fn false_alarms(seed: u64, series: usize, days: u32, weather: Weather) -> FalseAlarms {
    let threshold = time_threshold(series * TimeGauge::SUMS);
    let found = (0..series).into_par_iter().map(|number| {
        let mut dice = Dice::new(seed, &format!("series-{number}"));
        let rate = 10.0 * 200_f64.powf(dice.unit());
        let mut drawn = Drawn::new(&mut dice, rate, weather);
        let mut alarms = FalseAlarms::default();
        for minute in 0..WARM_UP + days * DAY {
            let alarm = drawn.minute(&mut dice, minute, 0.0, threshold);
            match alarm.filter(|_| minute >= WARM_UP) {
                Some(Direction::Regression) => alarms.regressions += 1,
                Some(Direction::Improvement) => alarms.improvements += 1,
                None => {}
            }
        }
        alarms
    });
    found.reduce(FalseAlarms::default, |a, b| FalseAlarms {
        regressions: a.regressions + b.regressions,
        improvements: a.improvements + b.improvements,
    })
}

/// How soon it is found that all times of a series are `factor` times longer, among so many series, where it runs so
/// often in a minute.
pub fn delays(seed: u64, factor: f64, rate: f64, series: usize, weather: Weather) -> Delays {
    const TRIALS: u32 = 500;
    let threshold = time_threshold(series * TimeGauge::SUMS);
    let mut windows: Vec<u32> = (0..TRIALS)
        .into_par_iter()
        .filter_map(|trial| {
            let mut dice = Dice::new(seed, &format!("delay-{factor}-{rate}-{trial}"));
            let mut drawn = Drawn::new(&mut dice, rate, weather);
            for minute in 0..WARM_UP {
                drawn.minute(&mut dice, minute, 0.0, threshold);
            }
            let shift = factor.ln() / SIGMA;
            let found = |minute: &u32| drawn.minute(&mut dice, *minute, shift, threshold).is_some();
            (WARM_UP..WARM_UP + DAY).find(found).map(|minute| minute + 1 - WARM_UP)
        })
        .collect();
    windows.sort_unstable();
    let at = |part: f64| windows.get((windows.len() as f64 * part) as usize).copied().unwrap_or_default();
    Delays { found: windows.len() as f64 / f64::from(TRIALS), median: at(0.5), p90: at(0.9) }
}

/// A series of which only the counts are drawn.
struct Drawn {
    gauge: TimeGauge,
    rate: f64,
    waves: f64,
    /// Where the baseline put its quantiles, in standard deviations: off by what so many samples are off.
    points: [f64; 3],
}

impl Drawn {
    fn new(dice: &mut Dice, rate: f64, weather: Weather) -> Self {
        let samples = rate * weather.baseline_minutes;
        let mut gauge = TimeGauge::default();
        let shares = POINTS.map(upper_tail);
        gauge.learn(UsualTimes { samples: samples as f32, shares: shares.map(|share| share as f32) });
        // The share that truly lies above a quantile of a sample is normal around its own.
        let points = shares.map(|share| {
            let error = (share * (1.0 - share) / samples).sqrt();
            point_of((share + error * dice.normal()).clamp(1e-6, 1.0 - 1e-6))
        });
        Self { gauge, rate, waves: weather.waves, points }
    }

    /// Draws a window in which all times are shifted by so many standard deviations.
    fn minute(&mut self, dice: &mut Dice, minute: u32, shift: f64, threshold: f64) -> Option<Direction> {
        let samples = dice.poisson(self.rate);
        let shift = shift + if self.waves > 0.0 { self.waves / SIGMA * dice.normal() } else { 0.0 };
        let mut left = samples;
        let mut share_left = 1.0;
        let above = self.points.map(|point| {
            let share = upper_tail(point - shift).min(share_left);
            left = dice.binomial(left, share / share_left);
            share_left = share.max(1e-12);
            left as f32
        });
        let alarm = self.gauge.push(minute, samples as f32, above, threshold)?;
        self.gauge.reset();
        Some(alarm.direction)
    }
}

/// The probability that a standard normal is larger (Abramowitz and Stegun 26.2.17, off by less than 1e-7).
fn upper_tail(z: f64) -> f64 {
    if z < 0.0 {
        return 1.0 - upper_tail(-z);
    }
    let t = 1.0 / (1.0 + 0.231_641_9 * z);
    let poly = [0.319_381_530, -0.356_563_782, 1.781_477_937, -1.821_255_978, 1.330_274_429];
    let sum = poly.iter().rev().fold(0.0, |sum, factor| (sum + factor) * t);
    sum * (-z * z / 2.0).exp() / std::f64::consts::TAU.sqrt()
}

/// Above which point so much of a standard normal lies, by halving.
fn point_of(share: f64) -> f64 {
    let (mut low, mut high) = (-6.0, 6.0);
    for _ in 0..50 {
        let middle = (low + high) / 2.0;
        if upper_tail(middle) > share { low = middle } else { high = middle }
    }
    (low + high) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: Weather = Weather { baseline_minutes: 1_425.0, waves: 0.0 };

    #[test]
    fn few_series_raise_no_alarm_in_a_day_and_shifts_are_found() {
        assert_eq!(false_alarms(1, 100, 1, CALM), FalseAlarms::default());
        let large = delays(1, 1.5, 1_000.0, 10_000, CALM);
        let small = delays(1, 1.2, 100.0, 10_000, CALM);
        assert!(large.found == 1.0 && large.median <= 3, "{large:?}");
        assert!(small.found == 1.0 && small.median > large.median && small.median < 60, "{small:?}");
    }

    #[test]
    fn the_normal_is_normal() {
        for (point, share) in POINTS.into_iter().zip([0.5, 0.1, 0.01]) {
            assert!((upper_tail(point) - share).abs() < 1e-6);
            assert!((point_of(share) - point).abs() < 1e-4);
        }
    }
}
