//! `GET /api/v1/exemplars?node=` or `?source=&target=`: traces that show a node or an edge at work.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use loopscope_analyzer::snapshot::NodeId;
use loopscope_proto::v1;
use serde::Deserialize;

use super::{Shared, answer::json, error::ApiError};

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    node: Option<String>,
    source: Option<String>,
    target: Option<String>,
}

pub(super) async fn get(
    State(shared): State<Shared>,
    wanted: Result<Query<Wanted>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(wanted) = wanted?;
    let view = Arc::clone(&shared.state.view.borrow());
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
    Ok(json(&v1::Exemplars { trace_ids: found.iter().map(ToString::to_string).collect() }))
}

fn node_id(parameter: &str, text: &str) -> Result<NodeId, ApiError> {
    let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let id = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
    id.map(NodeId).ok_or_else(|| {
        ApiError::bad_request(format!("{parameter} must be the id of a node, 16 hexadecimal digits, not {text:?}"))
    })
}
