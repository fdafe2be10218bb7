//! `GET /api/v1/traces/{trace_id}`: one trace as it stands in the journal, with its log records.

use std::sync::Arc;

use loopscope_analyzer::{snapshot::NodeId, span::TraceId};
use loopscope_proto::v1;
use opentelemetry_proto::tonic::{resource::v1::Resource, trace::v1::Span};

use super::{
    Shared, SourceError,
    error::{ApiError, read_from_disk},
};

mod attributes;
mod logs;
pub(super) mod tree;

pub(super) use logs::LogQuery;
pub(super) use logs::message;
pub use logs::{FoundLogs, LogSource};

/// Bound on the spans of one answer; what is beyond is counted, not shown.
pub(super) const SPANS_SHOWN: usize = 10_000;

/// Reads the spans of a trace. It may block, and it bounds what it reads.
pub type TraceSource = Arc<dyn Fn(TraceId) -> Result<TraceSpans, SourceError> + Send + Sync>;

/// What is kept of a trace.
#[derive(Clone, Debug, Default)]
pub struct TraceSpans {
    /// The spans, each with what ran it, in the order of the journal; duplicates are welcome, no spans mean that the
    /// trace is not known.
    pub spans: Vec<(Arc<Resource>, Span)>,
    /// True when there are more than were read.
    pub truncated: bool,
}

/// Says which function ran a span, as the engine would.
pub type Identify = Arc<dyn Fn(&Resource, &Span) -> Identity + Send + Sync>;

/// The function that ran a span, and which of its runs it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Persistent identity of the function.
    pub id: NodeId,
    /// The name people know it by.
    pub name: Arc<str>,
    /// Id of the run, if the span names it.
    pub run: Option<Box<str>>,
    /// The instance, if the span or its resource names it.
    pub instance: Option<Box<str>>,
}

impl Identity {
    /// That of a span which does not say which run of the function it is of.
    pub fn of(id: NodeId, name: Arc<str>) -> Self {
        Self { id, name, run: None, instance: None }
    }
}

pub(super) async fn get(shared: Shared, wanted: v1::GetTraceRequest) -> Result<v1::Trace, ApiError> {
    let text = wanted.trace_id;
    let id = TraceId::from_hex(&text).ok_or_else(|| {
        ApiError::bad_request(format!("a trace id has 32 hexadecimal digits that are not all zero, {text:?} has not"))
    })?;
    let (read, identify) = (Arc::clone(&shared.state.traces), Arc::clone(&shared.state.identify));
    let read_logs = Arc::clone(&shared.state.logs);
    let trace = read_from_disk(&shared, move || {
        let found = read(id)?;
        if found.spans.is_empty() {
            return Ok(None);
        }
        let mut trace = tree::build(id, &found.spans, &*identify);
        trace.truncated |= found.truncated;
        logs::add(&read_logs, id, &found.spans, &*identify, &mut trace)?;
        Ok(Some(trace))
    });
    let unknown = || {
        let message =
            format!("no span of trace {id} is in the journal; it never came, or it was older than the journal keeps");
        ApiError::not_found(message)
    };
    trace.await?.ok_or_else(unknown)
}
