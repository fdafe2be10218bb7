//! `GET /api/v1/functions/{id}/logs?from=&to=&limit=`: what the log records of a function say, the newest first.

use std::{cmp::Reverse, collections::HashSet, sync::Arc, time::Duration};

use loopscope_analyzer::{snapshot::NodeId, span::ArrivalTime, windows::Range};
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, read_from_disk},
    range::RangeQuery,
    traces::{self, LogQuery},
};
use crate::{clock, convert, otlp::key::Key, otlp::subject::Subject};

/// Records of an answer where nothing else is asked for, and at most.
const LISTED: u32 = 100;
const LISTED_AT_MOST: u32 = 1_000;

/// Records arrive this long after they were written, at most, and this long before by clocks that run ahead.
const LATE: Duration = Duration::from_secs(3_600);
const EARLY: Duration = Duration::from_secs(60);

pub(super) async fn get(shared: Shared, wanted: v1::GetFunctionLogsRequest) -> Result<v1::FunctionLogs, ApiError> {
    let limit = wanted.limit.unwrap_or(LISTED);
    if !(1..=LISTED_AT_MOST).contains(&limit) {
        return Err(ApiError::bad_request(format!("limit must be a number from 1 to {LISTED_AT_MOST}")));
    }
    let now = ArrivalTime(clock::unix_nanos());
    let range = RangeQuery { from: wanted.from, to: wanted.to }.range(now)?;
    let ids = ids_of(&shared, &wanted.id)?;
    let received = range.from.0.saturating_sub(clock::nanos(EARLY))..=range.to.0.saturating_add(clock::nanos(LATE));
    let query = LogQuery { keys: ids.iter().map(|id| Key::function(*id)).collect(), received };
    let read = Arc::clone(&shared.state.logs);
    read_from_disk(&shared, move || {
        let is_wanted = |it: &Subject| ids.contains(&it.function.id) && is_in(range, it);
        let mut found = read(&query, &is_wanted)?;
        found.records.sort_by_key(|(of, _)| Reverse(of.at));
        let truncated = found.truncated || found.records.len() > limit as usize;
        let logs = found.records.iter().take(limit as usize).map(|(of, record)| traces::message(of, record)).collect();
        Ok(v1::FunctionLogs { range: Some(convert::range(range, 0.0)), logs, truncated })
    })
    .await
}

fn is_in(range: Range, of: &Subject) -> bool {
    (range.from.0..=range.to.0).contains(&of.at.0)
}

/// All ids of the function: records may name it by any of them. One that is not on the map any more has the id that is
/// asked for.
fn ids_of(shared: &Shared, id: &str) -> Result<HashSet<NodeId>, ApiError> {
    let asked = NodeId::from_hex(id)
        .ok_or_else(|| ApiError::not_found(format!("no function {id:?} is known; /api/v1/graph lists their ids")))?;
    let view = shared.view();
    let names = |node: &&v1::Function| {
        [&node.id].into_iter().chain(&node.aliases).any(|known| NodeId::from_hex(known) == Some(asked))
    };
    let known = view.graph.functions.iter().find(names);
    let known = known.into_iter().flat_map(|node| [&node.id].into_iter().chain(&node.aliases));
    Ok(known.filter_map(|id| NodeId::from_hex(id)).chain([asked]).collect())
}
