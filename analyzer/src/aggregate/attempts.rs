//! Attempts of all shards, and the storms they are shown as.

use super::{Aggregate, own};
use crate::{
    canonical::retry_id,
    detect::retry::{self, AttemptSeries},
    record::{AttemptDelta, AttemptKey},
    snapshot::{Loop, LoopClass, LoopState, RetryStorm},
    span::ArrivalTime,
    window::slot_of,
};

/// What is asked for and has failed; beyond, what was quiet longest goes.
const SERIES: usize = 4_096;

impl Aggregate {
    /// Adds attempts at one thing.
    pub(super) fn merge_attempts(&mut self, now: ArrivalTime, key: AttemptKey, delta: AttemptDelta) {
        let slot = slot_of(now);
        let key = AttemptKey { function: own(&self.aliases, key.function), ..key };
        if let Some(series) = self.attempts.get_mut(&key) {
            return series.merge(slot, &delta);
        }
        if self.attempts.len() >= SERIES {
            let mut by_age: Vec<(u64, AttemptKey)> =
                self.attempts.iter().map(|(key, series)| (series.last_slot(), *key)).collect();
            by_age.sort_unstable();
            for (_, key) in by_age.into_iter().take(SERIES / 10) {
                self.attempts.remove(&key);
                self.losses.loops_overflowed += 1;
            }
        }
        self.attempts.insert(key, AttemptSeries::new(slot, delta));
    }

    /// The storms, told beside the loops: they have no laps and no depth.
    pub(super) fn retry_storms(&self) -> Vec<Loop> {
        let found = retry::storms(&self.attempts, slot_of(self.now), self.config.is_capture);
        found.into_iter().filter_map(|(key, storm)| self.describe_storm(key, storm)).collect()
    }

    fn describe_storm(&self, key: AttemptKey, storm: RetryStorm) -> Option<Loop> {
        let all = &self.attempts.get(&key)?.all;
        let callee = all.callee.map(|callee| own(&self.aliases, callee));
        let functions: Vec<_> = [Some(key.function), callee].into_iter().flatten().collect();
        let environment = self.functions.get(&key.function).map(super::series::FunctionSeries::environment);
        Some(Loop {
            id: retry_id(key.function, &all.operation, key.over),
            names: functions.iter().map(|id| self.name(*id)).collect(),
            functions,
            operations: if all.operation.is_empty() { Vec::new() } else { vec![all.operation.clone()] },
            environment: environment.unwrap_or_else(|| "".into()),
            classes: vec![LoopClass::RetryStorm],
            state: LoopState::Persistent,
            confidence: 1.0,
            retry_storm: Some(storm),
            first_seen: all.first_seen,
            last_seen: all.last_seen,
            exemplars: all.exemplars.newest_first(),
            ..Loop::default()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{SECOND, START, Story},
        snapshot::{Loop, LoopClass},
        span::{EventTime, Span, TraceId},
    };

    fn storms(spans: Vec<Span>) -> Vec<Loop> {
        let mut engine = Engine::new(&Config::for_capture(spans.len()), 1);
        engine.ingest(START, spans);
        engine.finish(START);
        engine.snapshot(START).loops.into_iter().filter(|found| found.retry_storm.is_some()).collect()
    }

    /// Requests of `a` to `b`, each tried so often, the last time with success.
    fn requests(requests: u64, attempts: u64) -> Vec<Span> {
        let mut story = Story::default();
        for _ in 0..requests {
            let run = story.root("a");
            for attempt in 0..attempts {
                let first = story.spans.len();
                story.call(&run, "b");
                for span in &mut story.spans[first..] {
                    let later = attempt * 20_000_000;
                    (span.start.0, span.end.0) = (span.start.0 + later, span.end.0 + later);
                    span.error = attempt + 1 < attempts;
                }
            }
        }
        story.spans
    }

    #[test]
    fn requests_that_are_tried_again_and_again_are_a_storm_without_laps() {
        let found = storms(requests(5, 4));
        assert_eq!(found.len(), 1);
        let storm = found[0].retry_storm.unwrap();
        assert_eq!((storm.requests, storm.attempts, storm.retried), (5, 20, 5));
        assert_eq!((storm.attempts_per_request, storm.amplification), (4.0, 4.0));
        assert_eq!((found[0].max_depth, found[0].laps, found[0].chains), (0, 0, 0));
        assert_eq!(found[0].classes, [LoopClass::RetryStorm]);
        assert_eq!(found[0].names, ["a".into(), "b".into()]);
        assert_eq!(found[0].operations, ["a".into()]);
        assert!(!found[0].exemplars.is_empty());
        assert_eq!(storms(requests(5, 4))[0].id, found[0].id);
    }

    #[test]
    fn what_works_what_fails_once_and_what_runs_side_by_side_is_none() {
        assert_eq!(storms(requests(50, 1)), []);
        assert_eq!(storms(requests(2, 4)), [], "two requests are no storm");
        let mut failing = requests(5, 4);
        failing.iter_mut().for_each(|span| span.error = true);
        assert_eq!(storms(failing.clone()).len(), 1);
        for span in &mut failing {
            // All at once: they are many requests and no attempts at one.
            span.start = EventTime(START.0 + 1_000_000);
            span.end = EventTime(START.0 + 9_000_000);
        }
        assert_eq!(storms(failing), []);
    }

    #[test]
    fn a_message_that_is_delivered_again_and_again_is_a_storm() {
        let mut spans = Story::parse(&"a ~q#~> b\n".repeat(4)).spans;
        let deliveries: Vec<Span> = spans.iter().filter(|span| &*span.name == "b").cloned().collect();
        for (message, delivery) in (1..).zip(deliveries) {
            for again in 1..4 {
                let later = u64::from(again) * 30 * SECOND;
                let (start, end) = (EventTime(delivery.start.0 + later), EventTime(delivery.end.0 + later));
                spans.push(Span { trace_id: TraceId([message * 10 + again; 16]), start, end, ..delivery.clone() });
            }
        }
        let found = storms(spans);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!(found[0].names, ["b".into()]);
        assert_eq!(found[0].retry_storm.unwrap().attempts_per_request, 4.0);
    }
}
