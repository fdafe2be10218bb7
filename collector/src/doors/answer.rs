//! The bodies of answers: what OTLP wants to hear of a success, and a `google.rpc.Status` for everything else.

use bytes::Bytes;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONTENT_TYPE, RETRY_AFTER},
};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message as _;
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _, pb};

use super::admission::{Format, Outcome};
use crate::otlp::Signal;

/// The answer to a request over HTTP.
pub(super) fn answer(signal: Signal, format: Format, outcome: &Outcome) -> Response<Bytes> {
    let status = match outcome {
        Outcome::Accepted | Outcome::Partial { .. } => {
            return respond(StatusCode::OK, format, success(signal, format, outcome));
        }
        Outcome::Bad(_) => StatusCode::BAD_REQUEST,
        Outcome::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
        Outcome::Overloaded { .. } | Outcome::Failed(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let message = outcome.message().unwrap_or_default();
    let mut response = match outcome {
        Outcome::Bad(reason) => respond(status, format, bad_request(format, &message, reason)),
        _ => failure(status, format, &message),
    };
    if let Outcome::Overloaded { retry_after } = outcome {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(retry_after.as_secs().max(1)));
    }
    response
}

/// An error with a `google.rpc.Status` as its body.
pub(super) fn failure(status: StatusCode, format: Format, message: &str) -> Response<Bytes> {
    let code = match status {
        StatusCode::BAD_REQUEST | StatusCode::UNSUPPORTED_MEDIA_TYPE => Code::InvalidArgument,
        StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => Code::Unimplemented,
        StatusCode::PAYLOAD_TOO_LARGE => Code::ResourceExhausted,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::REQUEST_TIMEOUT => Code::DeadlineExceeded,
        _ => Code::Internal,
    };
    let body = match format {
        Format::Protobuf => {
            pb::Status { code: code.into(), message: message.into(), details: vec![] }.encode_to_vec().into()
        }
        Format::Json => json!({"code": i32::from(code), "message": message}).to_string().into(),
    };
    respond(status, format, body)
}

/// A status that says of the body what is wrong with it.
fn bad_request(format: Format, message: &str, reason: &str) -> Bytes {
    /// What a detail of a status is, by the name of its message.
    const KIND: &str = "type.googleapis.com/google.rpc.BadRequest";
    let code = i32::from(Code::InvalidArgument);
    match format {
        Format::Protobuf => {
            let details = ErrorDetails::with_bad_request_violation("body", reason);
            // tonic keeps the details of a status as the bytes of the whole status.
            Bytes::copy_from_slice(Status::with_error_details(Code::InvalidArgument, message, details).details())
        }
        Format::Json => {
            let violation = json!({"field": "body", "description": reason});
            let detail = json!({"@type": KIND, "fieldViolations": [violation]});
            json!({"code": code, "message": message, "details": [detail]}).to_string().into()
        }
    }
}

/// The body of a success: empty, unless something was rejected.
pub(super) fn success(signal: Signal, format: Format, outcome: &Outcome) -> Bytes {
    let partial = match outcome {
        Outcome::Partial { rejected, message } => Some((*rejected, message.clone())),
        _ => None,
    };
    match format {
        Format::Protobuf => {
            // The responses of all signals have the same fields.
            let partial_success = partial.map(|(rejected, error_message)| ExportTracePartialSuccess {
                rejected_spans: rejected.cast_signed(),
                error_message,
            });
            ExportTraceServiceResponse { partial_success }.encode_to_vec().into()
        }
        Format::Json => match partial {
            None => Bytes::from_static(b"{}"),
            Some((rejected, message)) => {
                let count = match signal {
                    Signal::Traces => "rejectedSpans",
                    Signal::Logs => "rejectedLogRecords",
                    Signal::Metrics => "rejectedDataPoints",
                };
                // Numbers of 64 bits are texts in this JSON.
                json!({"partialSuccess": {count: rejected.to_string(), "errorMessage": message}}).to_string().into()
            }
        },
    }
}

fn respond(status: StatusCode, format: Format, body: Bytes) -> Response<Bytes> {
    let kind = match format {
        Format::Protobuf => "application/x-protobuf",
        Format::Json => "application/json",
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partial_success_in_json_counts_in_text() {
        let outcome = Outcome::Partial { rejected: 3, message: "why".into() };
        let body = |signal| String::from_utf8(success(signal, Format::Json, &outcome).to_vec()).unwrap();
        assert_eq!(body(Signal::Traces), r#"{"partialSuccess":{"errorMessage":"why","rejectedSpans":"3"}}"#);
        assert!(body(Signal::Logs).contains("rejectedLogRecords"));
        assert!(body(Signal::Metrics).contains("rejectedDataPoints"));
    }

    #[test]
    fn overload_says_when_to_come_again_and_failure_does_not() {
        let overloaded = Outcome::Overloaded { retry_after: std::time::Duration::from_millis(10) };
        let response = answer(Signal::Traces, Format::Json, &overloaded);
        assert_eq!((response.status().as_u16(), &response.headers()[RETRY_AFTER]), (503, &HeaderValue::from(1)));
        let failed = answer(Signal::Traces, Format::Protobuf, &Outcome::Failed("disk".into()));
        assert_eq!((failed.status().as_u16(), failed.headers().get(RETRY_AFTER)), (503, None));
        assert_eq!(pb::Status::decode(failed.into_body()).unwrap().message, "disk");
    }
}
