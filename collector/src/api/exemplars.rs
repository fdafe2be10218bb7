//! `GET /api/v1/exemplars?node=` or `?source=&target=`: traces that show a node or an edge at work.

use loopscope_analyzer::snapshot::NodeId;
use loopscope_proto::v1;

use super::{Shared, error::ApiError};

pub(super) async fn get(shared: Shared, wanted: v1::GetExemplarsRequest) -> Result<v1::Exemplars, ApiError> {
    let view = shared.view();
    let found = match (&wanted.node, &wanted.source, &wanted.target) {
        (Some(node), None, None) => view
            .node_exemplars
            .get(&node_id("node", node)?)
            .ok_or_else(|| ApiError::not_found(format!("no node {node:?} is known: see /api/v1/graph")))?,
        (None, Some(source), Some(target)) => {
            view.edge_exemplars.get(&(node_id("source", source)?, node_id("target", target)?)).ok_or_else(|| {
                ApiError::not_found(format!("no edge from {source:?} to {target:?} is known: see /api/v1/graph"))
            })?
        }
        _ => return Err(ApiError::bad_request("give either node, or source and target")),
    };
    Ok(v1::Exemplars { trace_ids: found.iter().map(ToString::to_string).collect() })
}

fn node_id(parameter: &str, text: &str) -> Result<NodeId, ApiError> {
    NodeId::from_hex(text).ok_or_else(|| {
        ApiError::bad_request(format!("{parameter} must be the id of a node, 16 hexadecimal digits, not {text:?}"))
    })
}
