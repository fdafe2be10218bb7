//! OTLP requests as bytes: what they hold, span by span, and their JSON form.
//!
//! Pure: bytes in, values out; it knows no sockets and no files. A request is never decoded as a whole, so that one
//! bad span costs one rejection and not its batch, and so that memory stays bounded by the bytes that came in.
//! Requests come from `doors.rs` and lie in `journal.rs`; the engine takes the spans in `pipeline.rs`.
//!
//! - [`wire`] reads protobuf fields out of borrowed bytes.
//! - [`traces`] walks the spans of a traces request, for the door and for the engine.
//! - [`logs`] finds what log records say of functions.
//! - [`metrics`] reads the points that tell of functions.
//! - [`volume`] judges and counts the items of logs and metrics requests.
//! - [`json`] turns OTLP/JSON into protobuf bytes.
//! - [`limits`] bounds what is taken of a request and of its items.
//! - [`trace_view`] decodes the spans of one trace in full, for people.

pub mod identify;
pub mod json;
pub mod key;
pub mod limits;
pub mod logs;
pub mod metrics;
pub mod subject;
pub mod trace_view;
pub mod traces;
pub mod volume;
pub mod wire;

use wire::WireError;

/// What a request carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Signal {
    /// Spans.
    Traces,
    /// Log records.
    Logs,
    /// Metric data points.
    Metrics,
}

/// A request whose outer messages cannot be read, so that nothing of it can be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the body is not a valid OTLP {} request: {cause}; check that the exporter sends it to the right path", .signal.word())]
pub struct EnvelopeError {
    /// What the request should carry.
    pub signal: Signal,
    /// What is wrong with its bytes.
    pub cause: WireError,
}

impl Signal {
    /// All signals.
    pub const ALL: [Self; 3] = [Self::Traces, Self::Logs, Self::Metrics];

    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Traces => "traces",
            Self::Logs => "logs",
            Self::Metrics => "metrics",
        }
    }

    /// What a request consists of, for people.
    pub fn items(self) -> &'static str {
        match self {
            Self::Traces => "spans",
            Self::Logs => "log records",
            Self::Metrics => "data points",
        }
    }
}
