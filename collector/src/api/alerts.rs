//! `GET /api/v1/alerts`: the newest alerts and what became of their messages.

use std::sync::Arc;

use axum::{extract::State, response::Response};
use loopscope_proto::v1;

use super::{
    Shared, SourceError,
    answer::json,
    error::{ApiError, read_from_disk},
};

/// Reads the newest alerts, the newest first; it may block, and it bounds their number.
pub type AlertSource = Arc<dyn Fn() -> Result<v1::AlertList, SourceError> + Send + Sync>;

pub(super) async fn get(State(shared): State<Shared>) -> Result<Response, ApiError> {
    let alerts = Arc::clone(&shared.state.alerts);
    Ok(json(&read_from_disk(&shared, move || alerts()).await?))
}
