//! Streams of metrics: how much of each point is new.
//!
//! A delta point is all new, once. A cumulative point counts what came since the last of its stream; the first that is
//! seen of a stream counts whole when the stream began no longer ago than spans may be late, and is where counting begins
//! otherwise. A later start, or an amount that is less, is a process that began anew. Points that come again, late or
//! out of order count nothing: what a cumulative stream has missed is in its next point. After OpenTelemetry's "Metrics
//! Data Model", "Temporality" and "Resets and Gaps".

use std::time::Duration;

use super::Shard;
use crate::{
    generations::Generations,
    metric::{Amount, MetricRecord, Temporality},
    snapshot::Losses,
    span::{ArrivalTime, EventTime},
};

/// Streams that all shards together follow, about 200 bytes each without buckets.
pub(super) const STREAMS: usize = 65_536;

/// Delta points of one stream that are remembered, so that what is sent again counts once.
const RECENT: usize = 8;

/// The streams of one shard.
pub(super) struct Streams {
    known: Generations<Stream>,
    lateness: Duration,
}

/// Where a stream stands.
#[derive(Default)]
struct Stream {
    start: EventTime,
    at: EventTime,
    /// The last amount of a cumulative stream.
    amount: Amount,
    /// Hashes of the last points of another stream, the next to go at `next`.
    recent: [u64; RECENT],
    next: usize,
}

impl Streams {
    pub(super) fn new(shards: usize, lateness: Duration) -> Self {
        Self { known: Generations::new((STREAMS / shards.max(1)).max(2), lateness), lateness }
    }

    pub(super) fn rotate(&mut self, now: ArrivalTime, losses: &mut Losses) {
        if let Some(dropped) = self.known.rotate(now).filter(|dropped| dropped.youngest_age.is_some()) {
            losses.metric_streams_dropped += dropped.records.len() as u64;
        }
    }

    /// What of a point is new; `None` when nothing is.
    fn increment(&mut self, point: &MetricRecord) -> Option<Amount> {
        if !point.amount.is_sound() {
            return None;
        }
        if !self.known.refresh(point.stream) {
            self.known.insert(point.stream, Stream::default());
        }
        let stream = self.known.get_mut(point.stream)?;
        match point.temporality {
            Temporality::Delta => stream.is_first(point.start, point.at).then(|| point.amount.clone()),
            Temporality::Gauge => stream.is_first(EventTime(0), point.at).then(|| point.amount.clone()),
            Temporality::Cumulative => stream.advance(point, self.lateness),
        }
    }
}

impl Stream {
    /// True for a point that was not seen lately.
    fn is_first(&mut self, start: EventTime, at: EventTime) -> bool {
        let key = (start.0.rotate_left(32) ^ at.0).max(1);
        let is_first = !self.recent.contains(&key);
        if is_first {
            self.recent[self.next] = key;
            self.next = (self.next + 1) % RECENT;
        }
        is_first
    }

    fn advance(&mut self, point: &MetricRecord, lateness: Duration) -> Option<Amount> {
        let is_known = self.at > EventTime(0);
        let is_anew = point.start > self.start;
        let is_late = point.start < self.start && point.start.0 > 0 || !is_anew && point.at <= self.at;
        if is_known && is_late {
            return None;
        }
        let lasted = Duration::from_nanos(point.at.0.saturating_sub(point.start.0));
        let new = if !is_known {
            // Of an old process, most was counted before anybody looked.
            (point.start.0 > 0 && lasted <= lateness).then(|| point.amount.clone())
        } else if is_anew {
            Some(point.amount.clone())
        } else {
            point.amount.since(&self.amount).or_else(|| Some(point.amount.clone()))
        };
        (self.start, self.at, self.amount) = (point.start.max(self.start), point.at, point.amount.clone());
        new
    }
}

impl Shard {
    /// Takes in points of metrics that arrived at `now`; all points of one function go to the same shard, in their order.
    pub fn measure(&mut self, now: ArrivalTime, points: impl IntoIterator<Item = MetricRecord>) {
        self.streams.rotate(now, &mut self.delta.losses);
        for point in points {
            // Who does not say which function it was says nothing.
            if point.function.is_app {
                self.delta.losses.metric_points_passed_over += 1;
                continue;
            }
            match self.streams.increment(&point) {
                Some(new) => {
                    let function = self.delta.function(&point.function);
                    function.last_seen = function.last_seen.max(point.at);
                    function.reported.get_or_insert_default().add(point.measure, &new);
                }
                None => self.delta.losses.metric_points_passed_over += 1,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{config::Config, fixture::resource, metric::Measure, record::Reported};

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_700_000_000 * SECOND;

    /// A point of the counter of invocations; times in seconds after the start.
    fn point(temporality: Temporality, start: u64, at: u64, count: f64) -> MetricRecord {
        MetricRecord {
            function: resource("f").function().clone(),
            stream: 7,
            measure: Measure::Invocations,
            temporality,
            start: EventTime(if start == 0 { 0 } else { START + start * SECOND }),
            at: EventTime(START + at * SECOND),
            amount: Amount::number(count, Measure::Invocations),
        }
    }

    fn reported(points: Vec<MetricRecord>) -> (f64, u64) {
        let mut shard = Shard::new(&Config::recommended(), 1);
        shard.measure(ArrivalTime(START), points);
        let delta = shard.take_delta();
        let reported = delta.functions.values().next().and_then(|it| it.reported.as_deref().cloned());
        (reported.unwrap_or_default().invocations, delta.losses.metric_points_passed_over)
    }

    fn cumulative(points: &[(u64, u64, f64)]) -> (f64, u64) {
        reported(points.iter().map(|(start, at, count)| point(Temporality::Cumulative, *start, *at, *count)).collect())
    }

    #[test]
    fn a_cumulative_stream_counts_what_came_since() {
        assert_eq!(cumulative(&[(1, 60, 5.0), (1, 120, 9.0), (1, 180, 9.0)]), (9.0, 0));
        // It began long before anybody looked.
        assert_eq!(cumulative(&[(1, 9_000, 500.0), (1, 9_060, 504.0)]), (4.0, 1));
        assert_eq!(cumulative(&[(0, 60, 500.0), (0, 120, 504.0)]), (4.0, 1));
        // The process began anew, and says so or does not.
        assert_eq!(cumulative(&[(1, 60, 5.0), (70, 120, 3.0), (70, 180, 4.0)]), (9.0, 0));
        assert_eq!(cumulative(&[(1, 60, 5.0), (1, 120, 3.0)]), (8.0, 0));
        // Again, late, and of the process before.
        assert_eq!(cumulative(&[(1, 60, 5.0), (1, 60, 5.0), (1, 30, 2.0), (70, 120, 1.0), (1, 65, 6.0)]), (6.0, 3));
        assert_eq!(cumulative(&[(1, 60, f64::NAN), (1, 60, -1.0), (1, 120, 2.0)]), (2.0, 2));
    }

    #[test]
    fn a_delta_counts_once() {
        let delta = |start, at| point(Temporality::Delta, start, at, 3.0);
        assert_eq!(reported(vec![delta(1, 60), delta(60, 120), delta(60, 120), delta(1, 60)]), (6.0, 2));
        assert_eq!(reported(vec![delta(60, 120), delta(1, 60)]), (6.0, 0), "in any order");
    }

    #[test]
    fn streams_beyond_the_bound_are_counted() {
        let mut shard = Shard::new(&Config::recommended(), STREAMS / 10);
        for stream in 0..40 {
            let points = [MetricRecord { stream, ..point(Temporality::Delta, 1, 60, 1.0) }];
            shard.measure(ArrivalTime(START + stream), points);
        }
        assert!(shard.take_delta().losses.metric_streams_dropped >= 20);
    }

    #[test]
    fn values_by_size_count_by_bucket_and_by_their_sums_where_buckets_change() {
        let spread = |at, count: u64, sum, buckets: &[(f64, u64)]| MetricRecord {
            measure: Measure::Duration,
            amount: Amount { count: count as f64, sum, max: None, buckets: buckets.to_vec() },
            ..point(Temporality::Cumulative, 1, at, 0.0)
        };
        let measured = |points: Vec<MetricRecord>| -> Reported {
            let mut shard = Shard::new(&Config::recommended(), 1);
            shard.measure(ArrivalTime(START), points);
            let delta = shard.take_delta();
            delta.functions.values().next().unwrap().reported.as_deref().cloned().unwrap()
        };
        let same =
            measured(vec![spread(60, 4, 400.0, &[(100.0, 4)]), spread(120, 6, 1_400.0, &[(100.0, 5), (900.0, 1)])]);
        assert_eq!((same.durations.count, same.durations.sum), (6.0, 1_400.0));
        assert_eq!(same.durations.values.count(), 6);
        assert!((same.durations.values.quantile(1.0).unwrap() - 900.0).abs() < 20.0);
        let other = measured(vec![spread(60, 4, 400.0, &[(100.0, 4)]), spread(120, 6, 1_000.0, &[(50.0, 6)])]);
        assert_eq!((other.durations.count, other.durations.sum, other.durations.values.count()), (6.0, 1_000.0, 6));
    }

    proptest! {
        /// Whatever is lost, doubled or late, a cumulative stream that reaches its last point has counted all of it.
        #[test]
        fn a_cumulative_stream_ends_at_its_total(
            steps in prop::collection::vec(0u32..50, 1..30),
            picked in prop::collection::vec(0usize..30, 0..60),
        ) {
            let mut total = 0.0;
            let all: Vec<MetricRecord> = (1..)
                .zip(&steps)
                .map(|(minute, step)| {
                    total += f64::from(*step);
                    point(Temporality::Cumulative, 1, 1 + minute, total)
                })
                .collect();
            let mut sent: Vec<MetricRecord> = picked.iter().filter_map(|at| all.get(*at).cloned()).collect();
            sent.extend(all.last().cloned());
            prop_assert_eq!(reported(sent).0, total);
        }
    }
}
