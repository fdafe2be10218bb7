//! `GET` and `POST /api/v1/intended`, `DELETE /api/v1/intended/{id}`: loops that somebody wants, each with a bound.

use std::sync::Arc;

use loopscope_analyzer::span::ArrivalTime;
use loopscope_proto::v1;

use super::{
    Shared,
    error::{ApiError, off_thread},
};
use crate::clock;

pub(super) async fn list(shared: Shared, _: v1::ListIntendedRequest) -> Result<v1::IntendedList, ApiError> {
    Ok(all(&shared))
}

pub(super) async fn declare(shared: Shared, wanted: v1::Intended) -> Result<v1::Intended, ApiError> {
    let registry = Arc::clone(&shared.state.registry);
    Ok(off_thread(&shared, move || registry.declare(now(), &wanted)).await??)
}

pub(super) async fn withdraw(
    shared: Shared,
    wanted: v1::WithdrawIntendedRequest,
) -> Result<v1::IntendedList, ApiError> {
    let registry = Arc::clone(&shared.state.registry);
    off_thread(&shared, move || registry.withdraw(&wanted.id)).await??;
    Ok(all(&shared))
}

pub(super) fn now() -> ArrivalTime {
    ArrivalTime(clock::unix_nanos())
}

fn all(shared: &Shared) -> v1::IntendedList {
    v1::IntendedList { intended: shared.state.registry.declared(now()) }
}
