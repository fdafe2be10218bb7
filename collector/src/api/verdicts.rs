//! `GET /api/v1/verdicts` and `POST /api/v1/loops/{loop_id}/verdict`: what people say of loops.

use std::sync::Arc;

use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, off_thread},
    intended::now,
};
use crate::intended::message;

pub(super) async fn list(shared: Shared, _: v1::ListVerdictsRequest) -> Result<v1::VerdictList, ApiError> {
    Ok(v1::VerdictList { verdicts: shared.state.registry.verdicts() })
}

pub(super) async fn judge(shared: Shared, says: v1::Verdict) -> Result<v1::Verdict, ApiError> {
    let loop_id = message::loop_id(&says.loop_id).map_err(ApiError::bad_request)?;
    let is_known = shared.view().loops.iter().any(|found| found.id == loop_id.to_string());
    // What was said of a loop that is forgotten can still be taken back.
    if !is_known && says.verdict != "clear" {
        return Err(ApiError::not_found(format!("no loop {:?} is known: see /api/v1/loops", says.loop_id)));
    }
    let registry = Arc::clone(&shared.state.registry);
    Ok(off_thread(&shared, move || registry.judge(now(), loop_id, &says)).await??)
}
