//! One series that is watched: what is usual for it, its sums, and whether a change of it is open.

use super::{
    gauge::{Alarm, Direction, QUANTILES, ShareGauge, TimeGauge, UsualShare, UsualTimes},
    summed::{Part, Sum},
};
use crate::{
    sketch::DDSketch,
    span::ArrivalTime,
    state::{State, state},
};

/// Values without which it is not known what is usual.
const LEAST_BASELINE_SAMPLES: usize = 500;
/// One series that is watched.
pub(super) struct Track {
    gauge: Gauge,
    /// The last bins that are not above the quantiles of the baseline.
    bins: [i32; QUANTILES.len()],
    pub(super) last: ArrivalTime,
    /// Alarms before this are passed over.
    pub(super) held_until: ArrivalTime,
    /// The change that is open, by its direction and its begin.
    pub(super) open: Option<(Direction, ArrivalTime)>,
}

enum Gauge {
    Times(TimeGauge),
    Share(ShareGauge),
}

impl Track {
    pub(super) fn new(part: &Part<'_>) -> Self {
        let gauge = match part {
            Part::Times(_) => Gauge::Times(TimeGauge::default()),
            Part::Share { .. } => Gauge::Share(ShareGauge::default()),
        };
        let never = ArrivalTime(0);
        Self { gauge, bins: [0; QUANTILES.len()], last: never, held_until: never, open: None }
    }

    /// Takes in a window.
    pub(super) fn push(&mut self, minute: u32, part: Part<'_>, (times, share): (f64, f64)) -> Option<Alarm> {
        match (&mut self.gauge, part) {
            (Gauge::Times(gauge), Part::Times(sketch)) => {
                let above = self.bins.map(|bin| above(sketch, bin));
                gauge.push(minute, sketch.count() as f32, above, times)
            }
            (Gauge::Share(gauge), Part::Share { of, events }) => gauge.push(minute, of as f32, events as f32, share),
            _ => None,
        }
    }

    pub(super) fn learn(&mut self, usual: &Sum) {
        match (&mut self.gauge, usual) {
            (Gauge::Times(gauge), Sum::Times(sketch)) if sketch.count() >= LEAST_BASELINE_SAMPLES => {
                let samples = sketch.count() as f32;
                self.bins = QUANTILES.map(|q| bin_at(sketch, q));
                gauge.learn(UsualTimes { samples, shares: self.bins.map(|bin| above(sketch, bin) / samples) });
            }
            (Gauge::Share(gauge), Sum::Share { of, events }) if *of >= LEAST_BASELINE_SAMPLES as f64 => {
                gauge.learn(UsualShare { of: *of as f32, events: *events as f32 });
            }
            _ => {}
        }
    }

    /// True when it is of times, not of a share.
    pub(super) fn is_of_times(&self) -> bool {
        matches!(self.gauge, Gauge::Times(_))
    }

    pub(super) fn reset(&mut self) {
        match &mut self.gauge {
            Gauge::Times(gauge) => gauge.reset(),
            Gauge::Share(gauge) => gauge.reset(),
        }
    }

    pub(super) fn over(&self, direction: Direction) -> Option<u32> {
        match &self.gauge {
            Gauge::Times(gauge) => gauge.over(direction),
            Gauge::Share(gauge) => gauge.over(direction),
        }
    }
}

/// Values above a bin.
fn above(sketch: &DDSketch, bin: i32) -> f32 {
    sketch.bins().filter(|(known, _)| *known > bin).map(|(_, count)| count as f32).sum()
}

/// The bin in which a quantile lies; one below all others where that is zero.
fn bin_at(sketch: &DDSketch, q: f64) -> i32 {
    let rank = (q * sketch.count() as f64) as u64;
    let mut passed = u64::from(sketch.zeros());
    if rank < passed {
        return i32::MIN;
    }
    let reached = |(_, count): &(i32, u32)| {
        passed += u64::from(*count);
        passed > rank
    };
    sketch.bins().find(reached).map_or(i32::MAX, |(bin, _)| bin)
}

impl State for Gauge {
    fn save(&self, to: &mut Vec<u8>) {
        matches!(self, Self::Times(_)).save(to);
        match self {
            Self::Times(gauge) => gauge.save(to),
            Self::Share(gauge) => gauge.save(to),
        }
    }

    fn load(from: &mut &[u8]) -> Option<Self> {
        Some(if bool::load(from)? { Self::Times(TimeGauge::load(from)?) } else { Self::Share(ShareGauge::load(from)?) })
    }
}

state!(Track { gauge, bins, last, held_until, open });
