//! `GET /api/v1/verdicts` and `POST /api/v1/loops/{id}/verdict`: what people say of loops.

use std::sync::Arc;

use axum::{
    Json,
    extract::{
        Path, State,
        rejection::{JsonRejection, PathRejection},
    },
    response::Response,
};
use loopscope_proto::v1;

use super::{
    Shared,
    answer::json,
    error::{ApiError, on_disk},
    intended::now,
};
use crate::intended::message;

pub(super) async fn list(State(shared): State<Shared>) -> Response {
    json(&v1::VerdictList { verdicts: shared.state.registry.verdicts() })
}

pub(super) async fn post(
    State(shared): State<Shared>,
    id: Result<Path<String>, PathRejection>,
    says: Result<Json<v1::Verdict>, JsonRejection>,
) -> Result<Response, ApiError> {
    let (Path(text), Json(says)) = (id?, says?);
    let loop_id = message::loop_id(&text).map_err(ApiError::bad_request)?;
    let view = Arc::clone(&shared.state.view.borrow());
    let is_known = view.loops.iter().any(|found| found.id == loop_id.to_string());
    // What was said of a loop that is forgotten can still be taken back.
    if !is_known && says.verdict != "clear" {
        return Err(ApiError::not_found(format!("no loop {text:?} is known: see /api/v1/loops")));
    }
    let registry = Arc::clone(&shared.state.registry);
    Ok(json(&on_disk(&shared, move || registry.judge(now(), loop_id, &says)).await??))
}
