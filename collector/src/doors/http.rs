//! The HTTP door: `/v1/traces`, `/v1/logs` and `/v1/metrics`, in protobuf and JSON.
//!
//! Every answer, also every error, is in the format of its request, and every error body is a `google.rpc.Status`, as
//! OTLP wants it.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{Next, from_fn},
    response::{IntoResponse as _, Response},
    routing::post,
};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE},
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tower_http::catch_panic::CatchPanicLayer;

use super::{
    Limits, Origin,
    admission::{Admission, Format},
    answer::{answer, failure},
    body::{self, BodyError},
    budget::Reservation,
    cors,
    inflate::{ENCODINGS, Encoding, inflate},
    serve::{Protocols, serve},
};
use crate::otlp::Signal;

/// Serves OTLP over HTTP until the shutdown, then lets open requests finish.
pub async fn serve_http(listener: TcpListener, admission: Admission, limits: Limits, shutdown: CancellationToken) {
    if let Ok(address) = listener.local_addr() {
        tracing::info!(%address, "OTLP over HTTP");
    }
    let counters = Arc::clone(admission.counters());
    let router = router(admission, &limits);
    serve(listener, router, Protocols::Http1AndHttp2, &limits, &counters, shutdown).await;
}

/// The routes of the door.
pub fn router(admission: Admission, limits: &Limits) -> Router {
    let mut router = Router::new();
    for signal in Signal::ALL {
        let door = Door {
            admission: admission.clone(),
            signal,
            request_bytes: limits.request_bytes,
            patience: limits.body_timeout,
        };
        let handler = post(move |request| export(door.clone(), request));
        let path = path(signal);
        router = router.route(path, handler.clone()).route(&format!("{path}/"), handler);
    }
    let router = guarded(router.method_not_allowed_fallback(method_not_allowed).fallback(not_found));
    if limits.origins.is_empty() {
        return router;
    }
    let origins = Arc::clone(&limits.origins);
    router.layer(from_fn(move |request, next| for_browsers(Arc::clone(&origins), request, next)))
}

/// What a request for one signal needs.
#[derive(Clone)]
struct Door {
    admission: Admission,
    signal: Signal,
    request_bytes: usize,
    patience: Duration,
}

/// Turns a panic into an answer that no client takes for a reason to send the same again.
fn guarded(router: Router) -> Router {
    router.layer(CatchPanicLayer::custom(|_| {
        tracing::error!("an HTTP request made the server panic");
        let message = "the server failed on this request; please report it";
        failure(StatusCode::INTERNAL_SERVER_ERROR, Format::Json, message).map(Body::from)
    }))
}

/// Answers the questions that browsers ask before a page sends, and lets pages read their answers.
async fn for_browsers(origins: Arc<[Origin]>, request: Request, next: Next) -> Response {
    let origin = cors::allowed(&origins, request.headers());
    if cors::is_preflight(request.method(), request.headers()) {
        let (status, headers) = cors::preflight(origin, request.headers());
        return (status, headers).into_response();
    }
    let mut response = next.run(request).await;
    cors::allow(origin, response.headers_mut());
    response
}

async fn export(door: Door, request: Request) -> Response {
    let Door { admission, signal, .. } = &door;
    let headers = request.headers();
    let format = match format_of(headers) {
        Ok(format) => format,
        Err((status, message)) => {
            admission.count_refused();
            return failure(status, Format::Json, message).map(Body::from);
        }
    };
    let Some(encoding) = Encoding::of(headers) else {
        admission.count_refused();
        let message = format!("Content-Encoding must be one of {ENCODINGS}, or not be given");
        let mut response = failure(StatusCode::UNSUPPORTED_MEDIA_TYPE, format, &message);
        response.headers_mut().insert(ACCEPT_ENCODING, HeaderValue::from_static(ENCODINGS));
        return response.map(Body::from);
    };
    let outcome = match door.read(request.into_body(), encoding).await {
        // The reservation lasts until the request is stored.
        Ok((body, _reservation)) => admission.admit(*signal, format, body).await,
        Err(BodyError::TooLarge) => admission.too_large(door.request_bytes),
        Err(BodyError::Spent) => admission.overloaded(),
        Err(error @ BodyError::TooSlow(_)) => {
            admission.count_timed_out();
            return failure(StatusCode::REQUEST_TIMEOUT, format, &error.to_string()).map(Body::from);
        }
        Err(error) => admission.refused(error.to_string()),
    };
    answer(*signal, format, &outcome).map(Body::from)
}

impl Door {
    async fn read(&self, body: Body, encoding: Encoding) -> Result<(Bytes, Reservation), BodyError> {
        let mut reservation = self.admission.reservation();
        let bytes = body::read(body, self.request_bytes, self.patience, &mut reservation, |_| None).await?;
        inflate(bytes, encoding, self.request_bytes, reservation).await
    }
}

async fn method_not_allowed(request: Request) -> Response {
    let message = "OTLP requests are sent with POST";
    let mut response = failure(StatusCode::METHOD_NOT_ALLOWED, format_or_json(request.headers()), message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST"));
    response.map(Body::from)
}

async fn not_found(request: Request) -> Response {
    let kind = request.headers().get(CONTENT_TYPE).map(HeaderValue::as_bytes).unwrap_or_default();
    if kind.starts_with(b"application/grpc") {
        // A client of gRPC reads no other answer.
        return Status::unimplemented("this port serves OTLP over HTTP; OTLP over gRPC has a port of its own")
            .into_http();
    }
    let message = "OTLP over HTTP is served at /v1/traces, /v1/logs and /v1/metrics; set OTEL_EXPORTER_OTLP_ENDPOINT to \
                   the address without a path, or OTEL_EXPORTER_OTLP_TRACES_ENDPOINT to the address with /v1/traces";
    failure(StatusCode::NOT_FOUND, format_or_json(request.headers()), message).map(Body::from)
}

/// The format that the headers name, or what to answer to a request that names none or two.
fn format_of(headers: &HeaderMap) -> Result<Format, (StatusCode, &'static str)> {
    let mut kinds = headers.get_all(CONTENT_TYPE).iter();
    let kind = kinds.next().and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kinds.next().is_some() {
        return Err((StatusCode::BAD_REQUEST, "Content-Type is given more than once"));
    }
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/x-protobuf") {
        Ok(Format::Protobuf)
    } else if kind.eq_ignore_ascii_case("application/json") {
        Ok(Format::Json)
    } else {
        let message = "Content-Type must be application/x-protobuf or application/json";
        Err((StatusCode::UNSUPPORTED_MEDIA_TYPE, message))
    }
}

fn format_or_json(headers: &HeaderMap) -> Format {
    format_of(headers).unwrap_or(Format::Json)
}

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/v1/traces",
        Signal::Logs => "/v1/logs",
        Signal::Metrics => "/v1/metrics",
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        async fn fail() {
            panic!("for the test");
        }
        let router = guarded(Router::new().route("/", get(fail)));
        let response = router.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        assert!(body.starts_with(br#"{"code":13"#), "{body:?}");
    }
}
