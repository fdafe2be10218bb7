//! `GET /api/v1/alerts`: the newest alerts and what became of their messages.

use std::sync::Arc;

use loopscope_proto::v1;

use super::{
    Shared, SourceError,
    error::{ApiError, read_from_disk},
};

/// Reads the newest alerts, the newest first; it may block, and it bounds their number.
pub type AlertSource = Arc<dyn Fn() -> Result<v1::AlertList, SourceError> + Send + Sync>;

pub(super) async fn list(shared: Shared, _: v1::ListAlertsRequest) -> Result<v1::AlertList, ApiError> {
    let alerts = Arc::clone(&shared.state.alerts);
    read_from_disk(&shared, move || alerts()).await
}
