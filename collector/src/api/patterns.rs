//! `GET /api/v1/patterns?from=&to=`: what a system is made of.

use std::sync::Arc;

use axum::{
    extract::{Query, State, rejection::QueryRejection},
    response::Response,
};
use loopscope_analyzer::detect::pattern;
use loopscope_proto::v1;

use super::{
    Shared,
    answer::json,
    error::{ApiError, read_from_disk},
    range::{self, RangeQuery},
};
use crate::convert;

pub(super) async fn get(
    State(shared): State<Shared>,
    query: Result<Query<RangeQuery>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(query) = query?;
    let (measured, range) = range::measured(&shared, &query).await?;
    let surroundings = Arc::clone(&shared.state.view.borrow().surroundings);
    // It takes a look at every function and edge, which is long for a thread that has others to serve.
    let report = read_from_disk(&shared, move || {
        let range = Some(convert::range(range, measured.seconds));
        Ok(v1::PatternReport { range, ..convert::patterns(&pattern::patterns(&measured, &surroundings)) })
    });
    Ok(json(&report.await?))
}
