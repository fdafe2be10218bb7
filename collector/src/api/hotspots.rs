//! `GET /api/v1/hotspots`: where the time goes.

use loopscope_proto::v1;

use super::{Shared, error::ApiError};

pub(super) async fn list(shared: Shared, _: v1::ListHotspotsRequest) -> Result<v1::HotspotList, ApiError> {
    Ok(shared.view().hotspots.clone())
}
