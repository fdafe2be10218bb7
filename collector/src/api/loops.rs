//! `GET /api/v1/loops` and `GET /api/v1/loops/{id}`: the loops with their statistics.

use std::sync::Arc;

use axum::{
    extract::{Path, State, rejection::PathRejection},
    response::Response,
};
use loopscope_proto::v1;

use super::{Shared, answer::json, error::ApiError};

pub(super) async fn list(State(shared): State<Shared>) -> Response {
    let view = Arc::clone(&shared.state.view.borrow());
    json(&v1::LoopList { loops: view.loops.clone() })
}

pub(super) async fn get(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, ApiError> {
    let Path(id) = id?;
    let view = Arc::clone(&shared.state.view.borrow());
    let found = view.loops.iter().find(|found| found.id.eq_ignore_ascii_case(&id)).ok_or_else(|| {
        ApiError::not_found(format!("no loop {id:?} is known; it may have been closed for long: see /api/v1/loops"))
    })?;
    Ok(json(found))
}
