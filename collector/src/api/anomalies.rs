//! `GET /api/v1/anomalies`: what cannot be right in the input, with evidence.

use loopscope_proto::v1;

use super::{Shared, error::ApiError};

pub(super) async fn list(shared: Shared, _: v1::ListAnomaliesRequest) -> Result<v1::AnomalyList, ApiError> {
    Ok(v1::AnomalyList { anomalies: shared.view().anomalies.clone() })
}
