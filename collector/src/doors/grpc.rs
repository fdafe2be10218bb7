//! The gRPC door: the three OTLP services at their paths.
//!
//! A call is one body with one message in it, and so is its answer; the door reads and opens them with the same limits
//! as the HTTP door (`body.rs`, `inflate.rs`), and gives the status that tells the client whether to send again. What is
//! wrong for good must not have a status that clients take for a reason to try again.

use std::{any::Any, convert::Infallible, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use tokio::{net::TcpListener, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt as _};
use tower::service_fn;
use tower_http::catch_panic::CatchPanic;

use super::{
    Limits,
    admission::{Admission, Format, Outcome},
    answer,
    body::{self, BodyError},
    budget::Reservation,
    frame::{self, FrameError, Message, PREFIX_BYTES},
    inflate::{Encoding, inflate},
    serve::{Protocols, serve},
};
use crate::otlp::Signal;

/// How the messages of a call are compressed, and how those of an answer may be.
const GRPC_ENCODING: &str = "grpc-encoding";
const GRPC_ACCEPT_ENCODING: &str = "grpc-accept-encoding";
const ACCEPTED: HeaderValue = HeaderValue::from_static("identity,gzip,zstd,deflate");

/// How long the client waits for the answer.
const GRPC_TIMEOUT: &str = "grpc-timeout";

/// Serves OTLP over gRPC until the shutdown, then lets open requests finish.
pub async fn serve_grpc(listener: TcpListener, admission: Admission, limits: Limits, shutdown: CancellationToken) {
    let counters = Arc::clone(admission.counters());
    let (request_bytes, patience) = (limits.request_bytes, limits.body_timeout);
    let door = service_fn(move |request| {
        let call = Call { admission: admission.clone(), request_bytes, patience };
        async move { Ok::<_, Infallible>(call.answer(request).await) }
    });
    log_address(&listener);
    serve(listener, CatchPanic::custom(door, panicked), Protocols::Http2, &limits, &counters, shutdown).await;
}

/// Without this, a panic reaches the client as a broken stream, which it answers by sending the same again.
fn panicked(_: Box<dyn Any + Send>) -> Response<Body> {
    tracing::error!("a gRPC request made the server panic");
    Status::internal("the server failed on this request; please report it").into_http()
}

/// What one call needs.
struct Call {
    admission: Admission,
    request_bytes: usize,
    patience: Duration,
}

impl Call {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let is_grpc =
            request.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        if !is_grpc {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
            return response;
        }
        let answered = match timeout_of(request.headers()) {
            None => self.export(request).await,
            Some(patience) => match timeout(patience, self.export(request)).await {
                Ok(answered) => answered,
                Err(_) => Err(Status::deadline_exceeded("the time that the client gives was over")),
            },
        };
        match answered {
            Ok(message) => success(&message),
            Err(status) => {
                let mut response = status.into_http();
                response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
                response
            }
        }
    }

    async fn export(&self, request: Request<Incoming>) -> Result<Bytes, Status> {
        let Some(signal) = Signal::ALL.into_iter().find(|signal| path(*signal) == request.uri().path()) else {
            let message = "this port serves the Export methods of OTLP traces, logs and metrics";
            return Err(Status::unimplemented(message));
        };
        let encoding = self.encoding_of(request.headers())?;
        let (message, _reservation) = self.message(request.into_body(), encoding).await?;
        // The reservation lasts until the request is stored.
        let outcome = self.admission.admit(signal, Format::Protobuf, message).await;
        match outcome {
            Outcome::Accepted | Outcome::Partial { .. } => Ok(answer::success(signal, Format::Protobuf, &outcome)),
            failure => Err(status_of(&failure)),
        }
    }

    /// The encoding of compressed messages; `None` when the call names none.
    fn encoding_of(&self, headers: &HeaderMap) -> Result<Option<Encoding>, Status> {
        let Some(name) = headers.get(GRPC_ENCODING) else { return Ok(None) };
        let known = name.to_str().ok().and_then(Encoding::named);
        known.map(Some).ok_or_else(|| {
            self.admission.count_refused();
            Status::unimplemented("grpc-encoding must be gzip, zstd, deflate or identity")
        })
    }

    /// Reads and opens the messages of a call.
    async fn message(&self, body: Incoming, encoding: Option<Encoding>) -> Result<(Bytes, Reservation), Status> {
        let mut reservation = self.admission.reservation();
        let limit = self.request_bytes.saturating_add(PREFIX_BYTES);
        let read = body::read(body, limit, self.patience, &mut reservation, frame::announced).await;
        let body = read.map_err(|error| self.unread(&error))?;
        let mut messages = frame::messages(body).map_err(|error| self.broken(&error))?.into_iter();
        let Some(first) = messages.next() else { return Err(self.broken(&FrameError::Missing)) };
        let first = self.open(first, encoding, reservation).await?;
        if messages.len() == 0 { Ok(first) } else { self.joined(first, messages, encoding).await }
    }

    /// Opens the rest of the messages and makes one of all. It happens in no SDK, and nothing is lost of it.
    async fn joined(
        &self,
        (first, mut reservation): (Bytes, Reservation),
        rest: impl Iterator<Item = Message>,
        encoding: Option<Encoding>,
    ) -> Result<(Bytes, Reservation), Status> {
        let mut all = first.to_vec();
        for message in rest {
            let (opened, _) = self.open(message, encoding, self.admission.reservation()).await?;
            if all.len() + opened.len() > self.request_bytes {
                return Err(self.unread(&BodyError::TooLarge));
            }
            reservation.grow(opened.len()).map_err(|_| self.unread(&BodyError::Spent))?;
            all.extend_from_slice(&opened);
        }
        Ok((all.into(), reservation))
    }

    async fn open(
        &self,
        message: Message,
        encoding: Option<Encoding>,
        reservation: Reservation,
    ) -> Result<(Bytes, Reservation), Status> {
        match encoding {
            _ if !message.is_compressed => Ok((message.bytes, reservation)),
            None | Some(Encoding::Plain) => {
                self.admission.count_refused();
                Err(Status::internal("the message is flagged as compressed, and grpc-encoding does not say how"))
            }
            Some(encoding) => {
                let inflated = inflate(message.bytes, encoding, self.request_bytes, reservation).await;
                inflated.map_err(|error| self.unread(&error))
            }
        }
    }

    fn broken(&self, error: &FrameError) -> Status {
        self.admission.count_refused();
        Status::internal(error.to_string())
    }

    fn unread(&self, error: &BodyError) -> Status {
        match error {
            BodyError::TooLarge => status_of(&self.admission.too_large(self.request_bytes)),
            BodyError::Spent => status_of(&self.admission.overloaded()),
            BodyError::TooSlow(_) => {
                self.admission.count_timed_out();
                Status::deadline_exceeded(error.to_string())
            }
            BodyError::Broken(_) | BodyError::NotEncoded { .. } => {
                self.admission.count_refused();
                Status::internal(error.to_string())
            }
        }
    }
}

fn success(message: &[u8]) -> Response<Body> {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
    let body = Full::new(frame::framed(message)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response.headers_mut().insert(GRPC_ACCEPT_ENCODING, ACCEPTED);
    response
}

fn status_of(outcome: &Outcome) -> Status {
    let message = outcome.message().unwrap_or_default();
    match outcome {
        Outcome::Accepted | Outcome::Partial { .. } => Status::ok(message),
        Outcome::Bad(reason) => {
            let details = ErrorDetails::with_bad_request_violation("body", reason);
            Status::with_error_details(Code::InvalidArgument, message, details)
        }
        Outcome::TooLarge { .. } => Status::resource_exhausted(message),
        Outcome::Overloaded { retry_after } => {
            let details = ErrorDetails::with_retry_info(Some(*retry_after));
            Status::with_error_details(Code::Unavailable, message, details)
        }
        Outcome::Failed(_) => Status::unavailable(message),
    }
}

/// How long the client waits: up to eight digits and a unit. What cannot be read bounds nothing.
fn timeout_of(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = u64::from(digits.parse::<u32>().ok().filter(|_| digits.len() <= 8)?);
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
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

    #[test]
    fn time_outs_are_read_in_all_units() {
        let of = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(GRPC_TIMEOUT, text.parse().unwrap());
            timeout_of(&headers)
        };
        assert_eq!(of("2H"), Some(Duration::from_secs(7200)));
        assert_eq!(of("100m"), Some(Duration::from_millis(100)));
        assert_eq!(of("99999999n"), Some(Duration::from_nanos(99_999_999)));
        for wrong in ["", "S", "1", "1x", "123456789S", "-1S"] {
            assert_eq!(of(wrong), None, "{wrong}");
        }
    }
}
