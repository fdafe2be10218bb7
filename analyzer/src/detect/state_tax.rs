//! State tax: a function keeps nothing between its runs, so what it needs to know it asks databases and stores for, and
//! waits.
//!
//! The share is the time in which its runs waited for at least one of them, over the time of the runs. Access is chatty
//! where runs ask ten times or more, one use after the other: those can mostly be one. What of it lies on the critical
//! path of whole traces is the business of `detect/hotspot.rs`.

use crate::{
    measured::Measured,
    record::{EdgeKey, FunctionDelta},
    snapshot::{EdgeKind, NodeId, StateTax, StoreUse},
};

/// Part of the runs that is chatty from which on it shows in the 95th percentile.
const CHATTY_SHARE: f64 = 0.05;

/// Chatty runs that are no accident.
const CHATTY_RUNS: u64 = 3;

/// Stores that are told apart.
const STORES: usize = 10;

/// What a function waits for databases and stores.
pub(crate) fn state_tax(id: NodeId, function: &FunctionDelta, measured: &Measured) -> StateTax {
    let used = &function.state_use;
    let runs = used.runs.max(1) as f64;
    let chatty_share = used.chatty_runs as f64 / runs;
    StateTax {
        share: if used.run_ms > 0.0 { (used.waited_ms / used.run_ms).clamp(0.0, 1.0) } else { 0.0 },
        waited_ms_per_run: used.waited_ms / runs,
        calls_per_run: used.calls as f64 / runs,
        chatty_share,
        is_chatty: used.chatty_runs >= CHATTY_RUNS && chatty_share >= CHATTY_SHARE,
        stores: stores(id, function.invocations, measured),
    }
}

fn stores(id: NodeId, invocations: f64, measured: &Measured) -> Vec<StoreUse> {
    let first = EdgeKey { source: id, target: NodeId(0), kind: EdgeKind::Call };
    let leaving = measured.edges.range(first..).take_while(|(key, _)| key.source == id);
    let used = leaving.filter(|(key, _)| matches!(key.kind, EdgeKind::Read | EdgeKind::Write)).map(|(key, edge)| {
        let mean_ms = edge.duration.sum().unwrap_or_default() / edge.duration.count().max(1) as f64;
        let calls_per_run = edge.calls / invocations.max(1.0);
        let store = StoreUse { resource: key.target, kind: key.kind, calls_per_run, mean_ms, share: 0.0 };
        (edge.calls * mean_ms, store)
    });
    let mut found: Vec<(f64, StoreUse)> = used.collect();
    let total: f64 = found.iter().map(|(time, _)| time).sum();
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then_with(|| a.1.resource.cmp(&b.1.resource)));
    found.truncate(STORES);
    let share = |(time, store)| StoreUse { share: if total > 0.0 { time / total } else { 0.0 }, ..store };
    found.into_iter().map(share).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        attribute::Value,
        fixture::Story,
        profile::tests::profile_of,
        snapshot::FunctionProfile,
        span::{EventTime, SpanId, SpanKind},
    };

    /// Runs of 100 ms with so many reads of `table`, 5 ms each, that begin so many milliseconds apart.
    fn profile(runs: u64, reads: u64, apart_ms: u64) -> FunctionProfile {
        let mut story = Story::default();
        for run in 0..runs {
            story.root("f");
            let mut entry = story.last().clone();
            entry.end = EventTime(entry.start.0 + 100_000_000);
            *story.last() = entry.clone();
            for read in 0..reads {
                let mut span = entry.clone();
                span.span_id = SpanId((1_000 + run * 100 + read).to_be_bytes());
                span.parent_span_id = Some(entry.span_id);
                span.kind = SpanKind::Client;
                span.start = EventTime(entry.start.0 + 1_000_000 + read * apart_ms * 1_000_000);
                span.end = EventTime(span.start.0 + 5_000_000);
                for (key, value) in [("db.system.name", "postgresql"), ("db.collection.name", "table")] {
                    span.attributes.insert(key, Value::Text(value.into()));
                }
                story.spans.push(span);
            }
        }
        profile_of("f", story.spans, Vec::new())
    }

    #[test]
    fn waits_for_stores_are_a_part_of_the_runs() {
        let found = profile(20, 4, 6).state;
        assert!((found.share - 0.2).abs() < 1e-6, "{found:?}");
        assert!((found.calls_per_run - 4.0).abs() < 1e-9 && (found.waited_ms_per_run - 20.0).abs() < 1e-6, "{found:?}");
        let [table] = &found.stores[..] else { panic!("{found:?}") };
        assert_eq!((table.kind, table.share, table.calls_per_run), (EdgeKind::Read, 1.0, 4.0));
        assert!((table.mean_ms - 5.0).abs() < 1e-6, "{table:?}");
        assert!(!found.is_chatty);
    }

    #[test]
    fn ten_uses_in_a_row_are_chatty_and_ten_at_once_are_not() {
        let row = profile(20, 12, 6).state;
        assert!(row.is_chatty && row.chatty_share == 1.0, "{row:?}");
        let once = profile(20, 12, 0).state;
        assert!(!once.is_chatty && (once.share - 0.05).abs() < 1e-6, "{once:?}");
        assert!(!profile(2, 12, 6).state.is_chatty, "two runs may be an accident");
    }

    #[test]
    fn who_asks_nobody_pays_nothing() {
        let none = profile(5, 0, 1).state;
        assert_eq!((none.share, none.calls_per_run, none.stores.len()), (0.0, 0.0, 0));
    }
}
