//! `GET /api/v1/graph`: the call graph with the places of its nodes.

use loopscope_proto::v1;

use super::{Shared, error::ApiError};

pub(super) async fn get(shared: Shared, _: v1::GetGraphRequest) -> Result<v1::Graph, ApiError> {
    Ok(shared.view().graph.clone())
}
