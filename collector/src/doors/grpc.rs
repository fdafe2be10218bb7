//! The gRPC door: the three OTLP services at their paths.
//!
//! Messages stay bytes: the codec hands them on as they came, and the admission walks them. tonic does the framing,
//! the compression and the limits; where its status would make clients send a poisonous request for ever, it is
//! replaced.

use std::{any::Any, convert::Infallible, net::SocketAddr};

use bytes::{Buf as _, BufMut as _, Bytes};
use http::{HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use hyper::body::Incoming;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{
    Code, Status,
    body::Body,
    codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder},
    server::Grpc,
};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::service_fn;
use tower_http::catch_panic::CatchPanic;

use super::{
    BODY_TIMEOUT, Limits,
    admission::{Admission, Format, Outcome},
    answer,
    budget::BudgetedBody,
    serve::{Protocols, serve},
};
use crate::otlp::Signal;

/// Serves OTLP over gRPC until the shutdown, then lets open requests finish.
pub async fn serve_grpc(listener: TcpListener, admission: Admission, limits: Limits, shutdown: CancellationToken) {
    let door = service_fn(move |request| {
        let admission = admission.clone();
        async move { Ok::<_, Infallible>(call(admission, limits, request).await) }
    });
    log_address(&listener);
    serve(listener, CatchPanic::custom(door, panicked), Protocols::Http2, limits.connections, shutdown).await;
}

/// Hands messages on as bytes.
struct BytesCodec;

impl Codec for BytesCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put(item);
        Ok(())
    }
}

impl Decoder for BytesCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

/// Without this, a panic reaches the client as a broken stream, which it answers by sending the same again.
fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    tracing::error!("a gRPC request made the server panic");
    Status::internal("the server failed on this request; please report it").into_http()
}

async fn call(admission: Admission, limits: Limits, request: Request<Incoming>) -> Response<Body> {
    let is_grpc =
        request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !is_grpc {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return response;
    }
    let Some(signal) = Signal::ALL.into_iter().find(|signal| path(*signal) == request.uri().path()) else {
        return Status::unimplemented("this port serves the Export methods of OTLP traces, logs and metrics")
            .into_http();
    };
    let (body, waiting) = (admission.reservation(), admission.clone());
    let request = request.map(|incoming| BudgetedBody::new(incoming, body, move || status_of(&waiting.overloaded())));
    let mut grpc = Grpc::new(BytesCodec)
        .accept_compressed(CompressionEncoding::Gzip)
        .max_decoding_message_size(limits.request_bytes);
    let by_call = admission.clone();
    let export =
        service_fn(move |request: tonic::Request<Bytes>| export(by_call.clone(), signal, request.into_inner()));
    match timeout(BODY_TIMEOUT, grpc.unary(export, request)).await {
        Ok(mut response) => {
            never_retry_what_is_too_large(&mut response);
            if is_refused_by_tonic(&response) {
                admission.count_refused();
            }
            response
        }
        Err(_) => Status::deadline_exceeded("the request took too long to arrive or to be stored").into_http(),
    }
}

async fn export(admission: Admission, signal: Signal, body: Bytes) -> Result<tonic::Response<Bytes>, Status> {
    let mut reservation = admission.reservation();
    let outcome = match reservation.grow(body.len()) {
        Ok(()) => admission.admit(signal, Format::Protobuf, body).await,
        Err(_) => admission.overloaded(),
    };
    match outcome {
        Outcome::Accepted | Outcome::Partial { .. } => {
            Ok(tonic::Response::new(answer::success(signal, Format::Protobuf, &outcome)))
        }
        failure => Err(status_of(&failure)),
    }
}

fn status_of(outcome: &Outcome) -> Status {
    let message = outcome.message().unwrap_or_default();
    match outcome {
        Outcome::Accepted | Outcome::Partial { .. } => Status::ok(message),
        Outcome::Bad(_) => Status::invalid_argument(message),
        Outcome::TooLarge { .. } => Status::resource_exhausted(message),
        Outcome::Overloaded { retry_after } => {
            let details = ErrorDetails::with_retry_info(Some(*retry_after));
            Status::with_error_details(Code::Unavailable, message, details)
        }
        Outcome::Failed(_) => Status::unavailable(message),
    }
}

/// tonic says OUT_OF_RANGE of a message over the limit, which OTLP clients take for a reason to send it again.
fn never_retry_what_is_too_large(response: &mut Response<Body>) {
    if let Some(status) = response.headers_mut().get_mut(Status::GRPC_STATUS)
        && is_code(status, Code::OutOfRange)
    {
        *status = HeaderValue::from(Code::ResourceExhausted as i32);
    }
}

/// A message that is too large, is compressed in an unknown way or cannot be unpacked never reaches the admission.
fn is_refused_by_tonic(response: &Response<Body>) -> bool {
    response.headers().get(Status::GRPC_STATUS).is_some_and(|status| {
        [Code::ResourceExhausted, Code::Unimplemented, Code::Internal].iter().any(|code| is_code(status, *code))
    })
}

fn is_code(status: &HeaderValue, code: Code) -> bool {
    Code::from_bytes(status.as_bytes()) == code
}

fn path(signal: Signal) -> &'static str {
    match signal {
        Signal::Traces => "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
        Signal::Logs => "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
        Signal::Metrics => "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    }
}

fn log_address(listener: &TcpListener) {
    let address = listener.local_addr().as_ref().map(SocketAddr::to_string).unwrap_or_default();
    tracing::info!(address, "OTLP over gRPC");
}

#[cfg(test)]
mod tests {
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_internal_error() {
        async fn fail(_: Request<Body>) -> Result<Response<Body>, Infallible> {
            panic!("for the test");
        }
        let door = CatchPanic::custom(service_fn(fail), panicked);
        let response = door.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(response.headers()[Status::GRPC_STATUS], "13");
    }
}
