//! `GET /api/v1/loops/{id}/laps`: the deepest chain of a loop that is still in the journal, lap by lap.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use loopscope_analyzer::span::TraceId;

use super::{
    Shared,
    answer::json,
    error::{ApiError, read_from_disk},
};
use unroll::Unroller;

mod chain;
mod unroll;

pub(super) async fn get(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id?;
    let view = Arc::clone(&shared.state.view.borrow());
    let known = view.loops.iter().find(|found| found.id.eq_ignore_ascii_case(&id));
    let found = known.cloned().ok_or_else(|| {
        ApiError::not_found(format!("no loop {id:?} is known; it may have been closed for long: see /api/v1/loops"))
    })?;
    let joined = view.joined.get(&found.id).cloned();
    let (read, identify) = (Arc::clone(&shared.state.traces), Arc::clone(&shared.state.identify));
    let laps = read_from_disk(&shared, move || {
        let exemplars = found.exemplar_trace_ids.iter().filter_map(|id| TraceId::from_hex(id)).collect::<Vec<_>>();
        let chain = Unroller::new(&*read, &*identify).unroll(&found, &exemplars, joined.as_deref())?;
        Ok(chain::laps(&found, chain))
    });
    let gone = || {
        ApiError::not_found(format!("no trace that shows the laps of {id} is in the journal any more, or it has none"))
    };
    Ok(json(&laps.await?.ok_or_else(gone)?))
}
