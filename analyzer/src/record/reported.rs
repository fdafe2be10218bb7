//! What metrics say that a function did, in sums that merge. It is kept apart from what spans say.

use crate::{
    metric::{Amount, Measure},
    sketch::DDSketch,
    state::state,
};

/// What metrics say of a function.
#[derive(Clone, Default)]
pub(crate) struct Reported {
    /// Runs that ended well, and those that failed.
    pub(crate) invocations: f64,
    pub(crate) errors: f64,
    pub(crate) cold_starts: f64,
    pub(crate) time_outs: f64,
    /// Milliseconds of runs.
    pub(crate) durations: Values,
    /// Milliseconds of starts.
    pub(crate) inits: Values,
    /// MiB.
    pub(crate) memory: Values,
}

/// Values that were told by their number, their sum and their buckets.
#[derive(Clone, Default)]
pub(crate) struct Values {
    pub(crate) count: f64,
    pub(crate) sum: f64,
    pub(crate) max: Option<f64>,
    /// As exact as the buckets, or as single values; the mean where there were neither.
    pub(crate) values: DDSketch,
    /// False when it is means alone.
    pub(crate) has_buckets: bool,
}

impl Reported {
    /// Adds what is new in a point.
    pub(crate) fn add(&mut self, measure: Measure, new: &Amount) {
        match measure {
            Measure::Invocations => self.invocations += new.count,
            Measure::Errors => self.errors += new.count,
            Measure::ColdStarts => self.cold_starts += new.count,
            Measure::TimeOuts => self.time_outs += new.count,
            Measure::Duration => self.durations.add(new),
            Measure::Init => self.inits.add(new),
            Measure::Memory => self.memory.add(new),
        }
    }

    /// Adds what was counted elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.invocations += other.invocations;
        self.errors += other.errors;
        self.cold_starts += other.cold_starts;
        self.time_outs += other.time_outs;
        self.durations.merge(&other.durations);
        self.inits.merge(&other.inits);
        self.memory.merge(&other.memory);
    }
}

impl Values {
    fn add(&mut self, new: &Amount) {
        self.count += new.count;
        self.sum += new.sum;
        self.max = larger(self.max, new.max);
        if new.buckets.is_empty() {
            let count = new.count as u64;
            self.values.add_times(if count > 0 { new.sum / new.count } else { 0.0 }, count);
        }
        self.has_buckets |= !new.buckets.is_empty() || new.count <= 1.0;
        for (value, count) in &new.buckets {
            self.values.add_times(*value, *count);
        }
    }

    fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.sum += other.sum;
        self.max = larger(self.max, other.max);
        self.values.merge(&other.values);
        self.has_buckets |= other.has_buckets;
    }
}

/// The larger of what is known.
fn larger(one: Option<f64>, other: Option<f64>) -> Option<f64> {
    one.into_iter().chain(other).reduce(f64::max)
}

state!(Reported { invocations, errors, cold_starts, time_outs, durations, inits, memory });
state!(Values { count, sum, max, values, has_buckets });
