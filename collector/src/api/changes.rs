//! `GET /api/v1/changes?from=&to=`: what became slower, faster, or fails more often.

use std::sync::Arc;

use loopscope_analyzer::{detect::change::Change, span::ArrivalTime};
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, off_thread},
    range::RangeQuery,
};
use crate::{clock, convert};

/// Says which changes are known, the newest last.
pub type ChangeSource = Arc<dyn Fn() -> Arc<Vec<Change>> + Send + Sync>;

pub(super) async fn list(shared: Shared, wanted: v1::ListChangesRequest) -> Result<v1::ChangeList, ApiError> {
    let query = RangeQuery { from: wanted.from, to: wanted.to };
    let range = query.range(ArrivalTime(clock::unix_nanos()))?;
    let view = shared.view();
    let changes = (shared.state.changes)();
    let list = move || {
        let listed = changes.iter().rev().filter(|change| change.lasted_in(range));
        v1::ChangeList {
            changes: listed.map(|change| convert::change(change, &view.graph)).collect(),
            from: Some(convert::arrival_time(range.from)),
            to: Some(convert::arrival_time(range.to)),
        }
    };
    // The names of each are looked up in the graph, which may be large.
    off_thread(&shared, list).await
}
