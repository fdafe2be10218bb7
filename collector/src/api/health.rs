//! `GET /healthz` and `GET /readyz`: whether the process lives, and whether its answers are up to date.

use std::sync::Arc;

use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};

use super::{Shared, error::ApiError};

/// True once the engine has caught up with the journal; it must not block.
pub type Ready = Arc<dyn Fn() -> bool + Send + Sync>;

pub(super) async fn alive() -> Response {
    ([(header::CACHE_CONTROL, "no-store")], "ok\n").into_response()
}

pub(super) async fn ready(State(shared): State<Shared>) -> Result<Response, ApiError> {
    if (shared.state.ready)() {
        return Ok(([(header::CACHE_CONTROL, "no-store")], "ready\n").into_response());
    }
    let message = "the engine still reads the journal; spans are accepted meanwhile";
    Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "not_ready", message))
}
