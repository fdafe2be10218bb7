//! `GET` and `POST /api/v1/intended`, `DELETE /api/v1/intended/{id}`: loops that somebody wants, each with a bound.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    response::Response,
};
use loopscope_analyzer::span::ArrivalTime;
use loopscope_proto::v1;

use super::{
    Shared,
    answer::json,
    error::{ApiError, on_disk},
};
use crate::clock;

pub(super) async fn list(State(shared): State<Shared>) -> Response {
    json(&all(&shared))
}

pub(super) async fn post(
    State(shared): State<Shared>,
    wanted: Result<Json<v1::Intended>, JsonRejection>,
) -> Result<Response, ApiError> {
    let Json(wanted) = wanted?;
    let registry = Arc::clone(&shared.state.registry);
    Ok(json(&on_disk(&shared, move || registry.declare(now(), &wanted)).await??))
}

pub(super) async fn delete(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id?;
    let registry = Arc::clone(&shared.state.registry);
    on_disk(&shared, move || registry.withdraw(&id)).await??;
    Ok(json(&all(&shared)))
}

pub(super) fn now() -> ArrivalTime {
    ArrivalTime(clock::unix_nanos())
}

fn all(shared: &Shared) -> v1::IntendedList {
    v1::IntendedList { intended: shared.state.registry.declared(now()) }
}
