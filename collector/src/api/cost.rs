//! `GET /api/v1/cost?from=&to=&limit=`: what functions cost in some time, and where it goes.

use loopscope_analyzer::price::LISTED;
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, off_thread},
    range::{self, RangeQuery},
};
use crate::convert;

/// Entries of each list of an answer that does not say how many it wants.
const USUAL: usize = 100;

pub(super) async fn get(shared: Shared, wanted: v1::GetCostRequest) -> Result<v1::CostReport, ApiError> {
    let limit = wanted.limit.map_or(Ok(USUAL), limit)?;
    let (measured, range) = range::measured(&shared, &RangeQuery { from: wanted.from, to: wanted.to }).await?;
    let view = shared.view();
    let answer = move || convert::cost_report(&view.pricing.bill(&measured), &view.loops, range, limit);
    // It may be some hundred thousand edges.
    off_thread(&shared, answer).await
}

fn limit(wanted: u32) -> Result<usize, ApiError> {
    let limit = usize::try_from(wanted).ok().filter(|limit| (1..=LISTED).contains(limit));
    limit.ok_or_else(|| {
        ApiError::bad_request(format!("limit must be the most entries of each list, from 1 to {LISTED}, not {wanted}"))
    })
}
