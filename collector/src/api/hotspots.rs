//! `GET /api/v1/hotspots?from=&to=&root=&limit=`: where the time goes.

use std::{collections::BTreeMap, sync::Arc};

use loopscope_analyzer::{
    aggregate::roots::Wanted,
    detect::hotspot::{LISTED, LISTED_AT_MOST, by_sums},
    snapshot::{Basis, Hotspots, NodeId},
    span::ArrivalTime,
};
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, off_thread},
    range::{self, RangeQuery},
};
use crate::{clock, convert, view::View};

/// The time that is answered when none is asked for, as on the page.
const NOW: &str = "-5m";

pub(super) async fn list(shared: Shared, asked: v1::ListHotspotsRequest) -> Result<v1::HotspotList, ApiError> {
    let v1::ListHotspotsRequest { from, to, root, limit } = asked;
    let mut range = RangeQuery { from, to };
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
    if is_now {
        range.from = Some(NOW.to_owned());
    }
    let asked_for = range.range(ArrivalTime(clock::unix_nanos()))?;
    let on_paths = {
        let view = Arc::clone(&view);
        // It may be hundreds of thousands of pieces.
        off_thread(&shared, move || {
            let names = names(&view);
            let found = view.roots.hotspots(asked_for, wanted, limit, &|node| name(&names, node));
            found.map(|found| convert::hotspots(&found, &names))
        })
        .await?
    };
    match on_paths {
        Some(found) => Ok(found),
        // Sums do not know who waited, so they cannot tell root operations apart.
        None if wanted != Wanted::All => {
            Ok(v1::HotspotList { basis: Basis::CriticalPath.word().to_owned(), ..Default::default() })
        }
        None => sums(&shared, &view, &range, limit).await,
    }
}

/// Where the time of windows went of which no trace is kept.
async fn sums(shared: &Shared, view: &View, range: &RangeQuery, limit: usize) -> Result<v1::HotspotList, ApiError> {
    let (measured, covered) = range::measured(shared, range).await?;
    let names = names(view);
    let found = Hotspots { range: Some(covered), ..by_sums(&measured, limit, &|node| name(&names, node)) };
    let message = convert::hotspots(&found, &names);
    Ok(v1::HotspotList { range: Some(convert::range(covered, measured.seconds)), ..message })
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
