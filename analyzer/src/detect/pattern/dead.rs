//! Dead functions: known, and without a run for a week.
//!
//! What nobody has watched for a week is not called dead. A function that is called and shows no spans of its own is not
//! dead either: it is not instrumented.

use std::{sync::Arc, time::Duration};

use crate::{
    snapshot::{DeadFunction, NodeId},
    span::ArrivalTime,
};

/// How long a function does not run until it is called dead.
const QUIET: Duration = Duration::from_secs(7 * 24 * 3_600);

const DAY: u64 = 24 * 3_600;

/// A function that is known from earlier runs, from edges or from the configuration.
#[derive(Clone, Debug)]
pub(crate) struct Known {
    pub(crate) id: Option<NodeId>,
    pub(crate) name: Arc<str>,
    pub(crate) is_configured: bool,
    /// When it last ran or was called; `None` for never.
    pub(crate) last: Option<ArrivalTime>,
    /// Edges that lead to it or from it.
    pub(crate) edges: u32,
}

/// Those of the functions that are dead at `now`, where they were watched from `since` on.
pub(crate) fn dead_functions(
    known: impl Iterator<Item = Known>,
    since: ArrivalTime,
    now: ArrivalTime,
) -> Vec<DeadFunction> {
    let mut dead: Vec<DeadFunction> = known
        .filter_map(|known| {
            let quiet = now.since(known.last.unwrap_or(since).max(since));
            (quiet >= QUIET).then(|| DeadFunction {
                id: known.id,
                name: known.name,
                is_configured: known.is_configured,
                quiet_days: u32::try_from(quiet.as_secs() / DAY).unwrap_or(u32::MAX),
                edges: known.edges,
            })
        })
        .collect();
    dead.sort_by(|a, b| b.quiet_days.cmp(&a.quiet_days).then_with(|| (&a.name, a.id).cmp(&(&b.name, b.id))));
    dead
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: u64 = 3_600 * 1_000_000_000;

    fn check(last: Option<u64>, since: u64, now: u64, expected: Option<u32>) {
        let at = |hours: u64| ArrivalTime(hours * HOUR);
        let known = Known { id: Some(NodeId(1)), name: "f".into(), is_configured: false, last: last.map(at), edges: 2 };
        let dead = dead_functions([known].into_iter(), at(since), at(now));
        assert_eq!(dead.first().map(|dead| dead.quiet_days), expected);
    }

    #[test]
    fn a_week_without_a_run_is_dead() {
        check(Some(1_000), 900, 1_000 + 7 * 24, Some(7));
        check(Some(1_000), 900, 1_000 + 10 * 24 + 5, Some(10));
        check(None, 900, 900 + 8 * 24, Some(8));
    }

    #[test]
    fn less_than_a_week_is_not_dead() {
        check(Some(1_000), 900, 999 + 7 * 24, None);
        check(None, 900, 899 + 7 * 24, None);
        // It was quiet for a year, but nobody looked.
        check(Some(1_000), 9_000, 9_000 + 6 * 24, None);
    }
}
