//! `GET /api/v1/patterns?from=&to=`: what a system is made of.

use std::sync::Arc;

use loopscope_analyzer::detect::pattern;
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, read_from_disk},
    range::{self, RangeQuery},
};
use crate::convert;

pub(super) async fn get(shared: Shared, wanted: v1::GetPatternsRequest) -> Result<v1::PatternReport, ApiError> {
    let query = RangeQuery { from: wanted.from, to: wanted.to };
    let (measured, range) = range::measured(&shared, &query).await?;
    let surroundings = Arc::clone(&shared.view().surroundings);
    // It takes a look at every function and edge, which is long for a thread that has others to serve.
    read_from_disk(&shared, move || {
        let range = Some(convert::range(range, measured.seconds));
        Ok(v1::PatternReport { range, ..convert::patterns(&pattern::patterns(&measured, &surroundings)) })
    })
    .await
}
