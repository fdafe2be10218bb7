//! `GET /api/v1/hotspots`: where the time goes.

use std::sync::Arc;

use axum::{extract::State, response::Response};

use super::{Shared, answer::json};

pub(super) async fn get(State(shared): State<Shared>) -> Response {
    let view = Arc::clone(&shared.state.view.borrow());
    json(&view.hotspots)
}
