//! `GET /api/v1/anomalies`: what cannot be right in the input, with evidence.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use loopscope_proto::v1;

use super::{Shared, answer::json};

pub(super) async fn get(State(shared): State<Shared>) -> Response {
    let view = Arc::clone(&shared.state.view.borrow());
    json(&v1::AnomalyList { anomalies: view.anomalies.clone() })
}
