//! How the API says yes: a message as JSON that nobody keeps.

use axum::{
    Json,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Serialize;

pub(super) fn json(message: &impl Serialize) -> Response {
    ([(header::CACHE_CONTROL, "no-store")], Json(message)).into_response()
}
