//! `GET /api/v1/loops` and `GET /api/v1/loops/{id}`: the loops with their statistics.

use loopscope_proto::v1;

use super::{Shared, error::ApiError};
use crate::view::View;

pub(super) async fn list(shared: Shared, _: v1::ListLoopsRequest) -> Result<v1::LoopList, ApiError> {
    Ok(v1::LoopList { loops: shared.view().loops.clone() })
}

pub(super) async fn get(shared: Shared, wanted: v1::GetLoopRequest) -> Result<v1::Loop, ApiError> {
    find(&shared.view(), &wanted.id).cloned()
}

/// The loop of this id.
pub(super) fn find<'a>(view: &'a View, id: &str) -> Result<&'a v1::Loop, ApiError> {
    view.loops.iter().find(|known| known.id.eq_ignore_ascii_case(id)).ok_or_else(|| {
        ApiError::not_found(format!("no loop {id:?} is known; it may have been closed for long: see /api/v1/loops"))
    })
}
