//! How the API says no: a status, a word for programs and a sentence for people.
//!
//! What went wrong inside is logged and never told.

use std::{any::Any, collections::HashMap, time::Duration};

use axum::{
    Json,
    http::{Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use super::{Shared, SourceError};
use crate::intended::registry::RegistryError;

/// How long an answer waits for its turn to read from disk.
pub(super) const BUSY_AFTER: Duration = Duration::from_secs(5);

/// Who gave the words for programs, as gRPC wants to know.
const DOMAIN: &str = "loopscope";

/// An answer that is an error, over HTTP and over gRPC.
#[derive(Debug)]
pub(super) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl ApiError {
    pub(super) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    fn internal() -> Self {
        let message = "something went wrong inside; the log of the server has the details";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let body = json!({ "error": { "code": self.code, "message": self.message } });
        (self.status, [(header::CACHE_CONTROL, "no-store")], Json(body)).into_response()
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let code = match error.status {
            StatusCode::BAD_REQUEST => Code::InvalidArgument,
            StatusCode::FORBIDDEN => Code::PermissionDenied,
            StatusCode::NOT_FOUND => Code::NotFound,
            StatusCode::CONFLICT => Code::FailedPrecondition,
            StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
            StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
            _ => Code::Internal,
        };
        let details = ErrorDetails::with_error_info(error.code, DOMAIN, HashMap::new());
        Self::with_error_details(code, error.message, details)
    }
}

impl From<RegistryError> for ApiError {
    fn from(error: RegistryError) -> Self {
        let message = error.to_string();
        match error {
            RegistryError::Wrong(_) => Self::bad_request(message),
            RegistryError::Unknown(_) => Self::not_found(message),
            RegistryError::InFile(_) | RegistryError::Full(_) => Self::new(StatusCode::CONFLICT, "conflict", message),
            RegistryError::Store(error) => {
                tracing::error!(%error, "a change cannot be stored");
                Self::internal()
            }
        }
    }
}

/// Runs work that takes long, or that writes to disk, on a thread for it, a bounded number at a time.
pub(super) async fn off_thread<T: Send + 'static>(
    shared: &Shared,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, ApiError> {
    read_from_disk(shared, move || Ok(work())).await
}

/// Runs work that reads from disk on a thread for it, a bounded number at a time.
pub(super) async fn read_from_disk<T: Send + 'static>(
    shared: &Shared,
    read: impl FnOnce() -> Result<T, SourceError> + Send + 'static,
) -> Result<T, ApiError> {
    let busy = || {
        shared.state.status.counters.api_busy.add(1);
        let message = "too many answers are being read from disk; try again in a few seconds";
        ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "busy", message)
    };
    let turn = tokio::time::timeout(BUSY_AFTER, shared.disk.clone().acquire_owned());
    let permit = turn.await.ok().and_then(Result::ok).ok_or_else(busy)?;
    let work = tokio::task::spawn_blocking(move || {
        // The permit goes with the work: the work goes on when the reader has hung up.
        let _permit = permit;
        read()
    });
    match work.await {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => {
            tracing::error!(%error, "reading for the API failed");
            Err(ApiError::internal())
        }
        Err(error) => {
            tracing::error!(%error, "reading for the API panicked");
            Err(ApiError::internal())
        }
    }
}

/// Answers a method that a path does not have.
pub(super) async fn method_not_allowed(method: Method, uri: Uri) -> ApiError {
    let message =
        format!("{} does not take {method}; the header `allow` of this answer says what it takes", uri.path());
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}

/// Answers after a panic in a handler.
pub(super) fn panicked(panic: Box<dyn Any + Send>) -> Response {
    after(&*panic).into_response()
}

/// Answers after a panic in a call over gRPC.
pub(super) fn call_panicked(panic: Box<dyn Any + Send>) -> axum::http::Response<tonic::body::Body> {
    Status::from(after(&*panic)).into_http()
}

fn after(panic: &(dyn Any + Send)) -> ApiError {
    let text = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    tracing::error!(panic = text.unwrap_or("unknown"), "a handler panicked");
    ApiError::internal()
}
