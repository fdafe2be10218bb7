//! `GET /api/v1/loops/{id}/laps`: the deepest chain of a loop that is still in the journal, lap by lap.

use std::sync::Arc;

use loopscope_analyzer::span::TraceId;
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, read_from_disk},
    loops,
};
use unroll::Unroller;

mod chain;
mod unroll;

pub(super) async fn get(shared: Shared, wanted: v1::GetLapsRequest) -> Result<v1::Laps, ApiError> {
    let view = shared.view();
    let found = loops::find(&view, &wanted.id)?.clone();
    let joined = view.joined.get(&found.id).cloned();
    let (read, identify) = (Arc::clone(&shared.state.traces), Arc::clone(&shared.state.identify));
    let laps = read_from_disk(&shared, move || {
        let exemplars = found.exemplar_trace_ids.iter().filter_map(|id| TraceId::from_hex(id)).collect::<Vec<_>>();
        let chain = Unroller::new(&*read, &*identify).unroll(&found, &exemplars, joined.as_deref())?;
        Ok(chain::laps(&found, chain))
    });
    let id = wanted.id;
    let gone = || {
        ApiError::not_found(format!("no trace that shows the laps of {id} is in the journal any more, or it has none"))
    };
    laps.await?.ok_or_else(gone)
}
