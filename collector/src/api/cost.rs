//! `GET /api/v1/cost?from=&to=&limit=`: what functions cost in some time, and where it goes.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use loopscope_analyzer::price::LISTED;
use serde::Deserialize;

use super::{
    Shared,
    answer::json,
    error::{ApiError, on_disk},
    range::{self, RangeQuery},
};
use crate::convert;

/// Entries of each list of an answer that does not say how many it wants.
const USUAL: usize = 100;

#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    #[serde(flatten)]
    range: RangeQuery,
    /// A text, because numbers cannot be read beside what is flattened.
    limit: Option<String>,
}

pub(super) async fn get(
    State(shared): State<Shared>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(asked) = asked?;
    let limit = asked.limit.as_deref().map_or(Ok(USUAL), limit)?;
    let (measured, range) = range::measured(&shared, &asked.range).await?;
    let view = Arc::clone(&shared.state.view.borrow());
    let answer = move || convert::cost_report(&view.pricing.bill(&measured), &view.loops, range, limit);
    // It may be some hundred thousand edges.
    Ok(json(&on_disk(&shared, answer).await?))
}

fn limit(text: &str) -> Result<usize, ApiError> {
    let wanted = text.parse().ok().filter(|limit| (1..=LISTED).contains(limit));
    wanted.ok_or_else(|| {
        ApiError::bad_request(format!("limit must be the most entries of each list, from 1 to {LISTED}, not {text:?}"))
    })
}
