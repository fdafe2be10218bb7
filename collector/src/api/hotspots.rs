//! `GET /api/v1/hotspots?from=&to=&root=&limit=`: where the time goes.

use std::{collections::BTreeMap, sync::Arc};

use loopscope_analyzer::{
    aggregate::roots::Wanted,
    detect::hotspot::{Calls, LISTED, LISTED_AT_MOST, before, by_sums, current},
    measured::Measured,
    snapshot::{Basis, Hotspots, NodeId},
    span::ArrivalTime,
    windows::Range,
};
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, off_thread},
    range::{self, RangeQuery},
};
use crate::{clock, convert, view::View};

pub(super) async fn list(shared: Shared, asked: v1::ListHotspotsRequest) -> Result<v1::HotspotList, ApiError> {
    let v1::ListHotspotsRequest { from, to, root, limit } = asked;
    let range = RangeQuery { from, to };
    let view = shared.view();
    let is_now = range.from.is_none() && range.to.is_none();
    if is_now && root.is_none() && limit.is_none() {
        return Ok(view.hotspots.clone());
    }
    let limit = limit.map_or(Ok(LISTED), limit_of)?;
    let wanted = root.as_deref().map_or(Ok(Wanted::All), wanted_of)?;
    if !view.roots.knows(wanted) && wanted != Wanted::All {
        return Err(ApiError::not_found(format!(
            "no trace is kept of a root operation or a function {}: see `roots` in /api/v1/hotspots",
            root.unwrap_or_default()
        )));
    }
    let (calls, covered) = calls(&shared, &range, is_now).await?;
    // It may be hundreds of thousands of pieces.
    off_thread(&shared, move || found(&view, &calls, covered, wanted, limit)).await
}

/// What was measured in the time that is asked for, and in the time that it is held against.
struct Read {
    current: Measured,
    before: Measured,
}

async fn calls(shared: &Shared, query: &RangeQuery, is_now: bool) -> Result<(Read, Range), ApiError> {
    let now = ArrivalTime(clock::unix_nanos());
    let range = if is_now { current(now) } else { query.range(now)? };
    let (current, covered) = range::measured_in(shared, range, now).await?;
    let (before, _) = range::measured_in(shared, before(covered), now).await?;
    Ok((Read { current, before }, covered))
}

fn found(view: &View, read: &Read, covered: Range, wanted: Wanted, limit: usize) -> v1::HotspotList {
    let names = names(view);
    let name = |node| name(&names, node);
    let calls = Calls { current: &read.current, before: &read.before };
    let found = match view.roots.hotspots(covered, wanted, limit, calls, &name) {
        Some(found) => found,
        // Sums do not know who waited, so they cannot tell root operations apart.
        None if wanted != Wanted::All => Hotspots { basis: Basis::CriticalPath, ..Hotspots::default() },
        None => by_sums(calls, limit, &name),
    };
    let message = convert::hotspots(&found, &names);
    v1::HotspotList { range: Some(convert::range(covered, read.current.seconds)), ..message }
}

fn names(view: &View) -> BTreeMap<NodeId, String> {
    view.graph.functions.iter().filter_map(|node| Some((NodeId::from_hex(&node.id)?, node.name.clone()))).collect()
}

fn name(names: &BTreeMap<NodeId, String>, node: NodeId) -> Arc<str> {
    names.get(&node).map_or_else(|| node.to_string().into(), |name| name.as_str().into())
}

fn limit_of(wanted: u32) -> Result<usize, ApiError> {
    let limit = usize::try_from(wanted).ok().filter(|limit| (1..=LISTED_AT_MOST).contains(limit));
    limit.ok_or_else(|| {
        ApiError::bad_request(format!("limit must be the most hotspots, from 1 to {LISTED_AT_MOST}, not {wanted}"))
    })
}

fn wanted_of(text: &str) -> Result<Wanted, ApiError> {
    NodeId::from_hex(text).map(|id| Wanted::Id(id.0)).ok_or_else(|| {
        ApiError::bad_request(format!(
            "root must be the id of a root operation or of a function, 16 hexadecimal digits, not {text:?}: see `roots` in \
             /api/v1/hotspots"
        ))
    })
}
