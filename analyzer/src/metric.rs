//! What metrics say of functions: the points of the `faas.*` instruments of the semantic conventions, as they arrive.
//!
//! A [`MetricRecord`] is one point of one stream, with the times that say what it covers; handed to
//! [`crate::shard::Shard::measure`], which finds out how much of it is new (`shard/metric.rs`). What adds up of that is
//! `record/reported.rs`. It stands beside what spans say and is never added to it: metrics count runs that were not
//! sampled, and spans show runs of exporters that send no metrics.
//!
//! Names and units: OpenTelemetry semantic conventions, "FaaS metrics".

use std::sync::Arc;

use crate::{identity::Function, span::EventTime, state::state};

/// What an instrument measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Measure {
    /// Runs that ended well (`faas.invocations`).
    Invocations,
    /// Runs that failed (`faas.errors`).
    Errors,
    /// Starts of instances (`faas.coldstarts`).
    ColdStarts,
    /// Runs that took too long (`faas.timeouts`).
    TimeOuts,
    /// How long runs took, milliseconds (`faas.invoke_duration`).
    Duration,
    /// How long instances took to start, milliseconds (`faas.init_duration`).
    Init,
    /// Memory that runs used, MiB (`faas.mem_usage`).
    Memory,
}

/// What the amount of a point covers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Temporality {
    /// The time from its start to its own time, and nothing before.
    Delta,
    /// All since its start, which is that of the process as a rule.
    Cumulative,
    /// The moment alone.
    Gauge,
}

/// One point of a stream of metrics.
#[derive(Clone, Debug)]
pub struct MetricRecord {
    /// The function that it is about.
    pub function: Arc<Function>,
    /// Names the stream: a hash of resource, instrument and attributes.
    pub stream: u64,
    /// What is measured.
    pub measure: Measure,
    /// What the amount covers.
    pub temporality: Temporality,
    /// From when on; zero when it does not say.
    pub start: EventTime,
    /// Up to when.
    pub at: EventTime,
    /// How much.
    pub amount: Amount,
}

/// How much there was: a number, or values by their size.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Amount {
    /// A count, or how many values there were.
    pub count: f64,
    /// Their sum, in the unit of the [`Measure`]; of a number that is measured, the number.
    pub sum: f64,
    /// The largest, where it is told.
    pub max: Option<f64>,
    /// Values that stand for buckets, with how many fell into each; empty where there are no buckets.
    pub buckets: Vec<(f64, u64)>,
}

impl Measure {
    /// What the instrument of this name measures, if it is one that is read.
    pub fn of(name: &str) -> Option<Self> {
        Some(match name {
            "faas.invocations" => Self::Invocations,
            "faas.errors" => Self::Errors,
            "faas.coldstarts" => Self::ColdStarts,
            "faas.timeouts" => Self::TimeOuts,
            "faas.invoke_duration" => Self::Duration,
            "faas.init_duration" => Self::Init,
            "faas.mem_usage" => Self::Memory,
            _ => return None,
        })
    }

    /// True for what is counted, false for what is measured.
    pub fn is_count(self) -> bool {
        matches!(self, Self::Invocations | Self::Errors | Self::ColdStarts | Self::TimeOuts)
    }
}

impl Amount {
    /// A number: of things that are counted, or of one that is measured.
    pub fn number(value: f64, measure: Measure) -> Self {
        if measure.is_count() {
            Self { count: value, ..Self::default() }
        } else {
            Self { count: 1.0, sum: value, max: Some(value), buckets: Vec::new() }
        }
    }

    /// What came since an earlier amount of the same stream; `None` when this is less, so that it began anew.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Self> {
        if self.count < earlier.count {
            return None;
        }
        let before =
            |value: f64| earlier.buckets.iter().find(|(known, _)| *known == value).map_or(0, |(_, count)| *count);
        let rest = |(value, count): &(f64, u64)| Some((*value, count.checked_sub(before(*value))?));
        // Buckets may be made anew while the stream goes on; then only the sums tell.
        let is_same = |(known, _): &(f64, u64)| self.buckets.iter().any(|(value, _)| value == known);
        let buckets = if earlier.buckets.iter().all(is_same) {
            self.buckets.iter().map(rest).collect::<Option<Vec<_>>>().unwrap_or_default()
        } else {
            Vec::new()
        };
        let max = self.max.filter(|max| earlier.max.is_none_or(|known| *max > known));
        Some(Self { count: self.count - earlier.count, sum: (self.sum - earlier.sum).max(0.0), max, buckets })
    }

    /// True for amounts that can be.
    pub(crate) fn is_sound(&self) -> bool {
        let is_sound = |number: f64| number.is_finite() && number >= 0.0;
        is_sound(self.count) && is_sound(self.sum) && self.max.is_none_or(is_sound)
    }
}

state!(Amount { count, sum, max, buckets });
