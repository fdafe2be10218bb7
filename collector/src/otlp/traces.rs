//! Walks the spans of a traces request: once at the door to judge them, once for the engine to keep them.
//!
//! Both uses share one reader, `traces/span.rs`, so that they agree on which spans are accepted: the journal holds a
//! request as it came, with the rejected spans in it. A rejected span costs itself; only broken messages around the
//! spans cost the request.

pub(in crate::otlp) mod attributes;
mod span;

use std::sync::Arc;

use loopscope_analyzer::{
    attribute::{Attributes, Value},
    identity::Resource,
    span::{EventTime, LINKS_PER_SPAN, Span, SpanId, SpanLink, TraceId, sampling_in},
};

use self::span::{Head, Sink, message_id_in, read_span};
use super::{
    EnvelopeError, Signal,
    wire::{Fields, WireError},
};

/// Bound on the accepted spans of one request; what comes after them is rejected with a reason.
///
/// It is far above what SDKs and gateways send in one request (512 to 8,192), and keeps the decoded spans of the
/// largest request near 100 MiB.
pub const SPANS_PER_REQUEST: u64 = 1 << 18;

/// Bound on the distinct reasons that a [`Checked`] request remembers.
pub const REASONS_PER_REQUEST: usize = 3;

/// Longest name of a span that is kept, in bytes; the rest is cut off at the border of a character.
pub const NAME_BYTES: usize = 1024;

/// Longest text of an attribute that is kept, in bytes; the rest is cut off at the border of a character.
pub const ATTRIBUTE_BYTES: usize = 4096;

/// Longest message of a status that is kept, in bytes: it is read for the words that platforms begin with.
const STATUS_BYTES: usize = 256;

/// Why a span was rejected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The trace id has the wrong length.
    #[error("trace_id must have 16 bytes (32 hexadecimal digits in JSON), but has {length}")]
    TraceIdLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The trace id is all zero.
    #[error("trace_id must not be all zeroes")]
    TraceIdZero,
    /// The span id has the wrong length.
    #[error("span_id must have 8 bytes (16 hexadecimal digits in JSON), but has {length}")]
    SpanIdLength {
        /// Its length in bytes.
        length: usize,
    },
    /// The span id is all zero.
    #[error("span_id must not be all zeroes")]
    SpanIdZero,
    /// The name is not text.
    #[error("the span's name must be valid UTF-8")]
    Name,
    /// The bytes of the span are not a span.
    #[error("the span's encoding is broken: {0}")]
    Encoding(WireError),
    /// The request has too many spans.
    #[error("a request may carry at most {SPANS_PER_REQUEST} spans; send smaller batches")]
    TooMany,
}

/// What the door needs to know of a traces request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Spans that are kept.
    pub accepted: u64,
    /// Spans that are not kept.
    pub rejected: u64,
    /// The first distinct reasons of the rejections, at most [`REASONS_PER_REQUEST`].
    pub reasons: Vec<Rejection>,
    /// Accepted spans whose parent id was dropped, because it has the wrong length or is the span's own id.
    pub parents_dropped: u64,
    /// Attributes of accepted and rejected spans that point into a table of texts, which this signal does not have.
    pub texts_missing: u64,
    /// The traces of the accepted spans, each once, in order.
    pub trace_ids: Vec<TraceId>,
}

/// Counts what the door tells senders of attributes.
#[derive(Default)]
struct Remarks {
    texts_missing: u64,
}

impl Sink for Remarks {
    fn attribute(&mut self, attribute: &attributes::Attribute<'_>) {
        self.texts_missing += u64::from(attribute.is_in_table());
    }

    fn link(&mut self, _: TraceId, _: SpanId, _: &[u8]) {}
}

/// The accepted spans of a traces request.
#[derive(Debug, Default)]
pub struct Decoded {
    /// The spans, in the order of the request.
    pub spans: Vec<Span>,
    /// Links that were let go because their span has more than [`LINKS_PER_SPAN`].
    pub links_dropped: u64,
    /// Spans whose parent id was dropped, because it has the wrong length or is the span's own id.
    pub parents_dropped: u64,
    /// Spans that are not kept.
    pub rejected: u64,
    /// Why the first of them is not kept.
    pub reason: Option<Rejection>,
}

/// Judges the spans of an `ExportTraceServiceRequest`.
///
/// # Errors
/// When the messages around the spans cannot be read.
pub fn check(request: &[u8]) -> Result<Checked, EnvelopeError> {
    let (mut checked, mut remarks) = (Checked::default(), Remarks::default());
    walk(request, |_, bytes| match accept(SPANS_PER_REQUEST, checked.accepted, bytes, &mut remarks) {
        Ok(head) => {
            checked.accepted += 1;
            checked.parents_dropped += u64::from(head.parent_dropped);
            // Spans of one trace often stand side by side; the rest is sorted out below.
            if checked.trace_ids.last() != Some(&head.trace_id) {
                checked.trace_ids.push(head.trace_id);
            }
        }
        Err(reason) => checked.reject(reason),
    })?;
    checked.texts_missing = remarks.texts_missing;
    checked.trace_ids.sort_unstable();
    checked.trace_ids.dedup();
    Ok(checked)
}

/// Decodes the accepted spans of an `ExportTraceServiceRequest` as the engine wants them.
///
/// # Errors
/// When the messages around the spans cannot be read.
pub fn spans(request: &[u8]) -> Result<Decoded, EnvelopeError> {
    spans_up_to(SPANS_PER_REQUEST, request)
}

/// The same for a request of at most this many spans, however it came.
///
/// # Errors
/// When the messages around the spans cannot be read.
pub fn spans_up_to(most: u64, request: &[u8]) -> Result<Decoded, EnvelopeError> {
    let mut decoded = Decoded::default();
    let mut resource: Option<(*const u8, Arc<Resource>)> = None;
    walk(request, |group, bytes| {
        let mut kept = Kept::default();
        let head = match accept(most, decoded.spans.len() as u64, bytes, &mut kept) {
            Ok(head) => head,
            Err(reason) => {
                decoded.rejected += 1;
                decoded.reason.get_or_insert(reason);
                return;
            }
        };
        // A resource is decoded for its first accepted span, so that empty groups cost nothing.
        let resource = match &resource {
            Some((of, resource)) if *of == group.as_ptr() => Arc::clone(resource),
            _ => Arc::clone(&resource.insert((group.as_ptr(), resource_of(group))).1),
        };
        decoded.links_dropped += kept.links_dropped;
        decoded.parents_dropped += u64::from(head.parent_dropped);
        decoded.spans.push(kept.into_span(head, resource));
    })?;
    Ok(decoded)
}

/// Hands out the bytes of each span, with the bytes of the `ResourceSpans` it stands in.
pub(super) fn walk<'a>(request: &'a [u8], mut visit: impl FnMut(&'a [u8], &'a [u8])) -> Result<(), EnvelopeError> {
    let mut step = || -> Result<(), WireError> {
        let mut groups = Fields::new(request);
        while let Some(group) = groups.next()? {
            if group.number != request::RESOURCE_SPANS {
                continue;
            }
            let group = group.value.len()?;
            let mut scopes = Fields::new(group);
            while let Some(scope) = scopes.next()? {
                if scope.number != request::SCOPE_SPANS {
                    continue;
                }
                let mut spans = Fields::new(scope.value.len()?);
                while let Some(span) = spans.next()? {
                    if span.number == request::SPANS {
                        visit(group, span.value.len()?);
                    }
                }
            }
        }
        Ok(())
    };
    step().map_err(|cause| EnvelopeError { signal: Signal::Traces, cause })
}

/// The ids of a span, if it is one that [`check`] accepts.
pub(super) fn ids(span: &[u8]) -> Option<(TraceId, SpanId)> {
    read_span(span, &mut ()).ok().map(|head| (head.trace_id, head.span_id))
}

/// The bytes of the resource messages of a `ResourceSpans`; protobuf merges them when there are several.
pub(super) fn resources_in(group: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut fields = Fields::new(group);
    std::iter::from_fn(move || fields.next().ok().flatten())
        .filter(|field| field.number == request::RESOURCE)
        .filter_map(|field| field.value.len().ok())
}

/// Field numbers of the messages around the spans.
mod request {
    pub(super) const RESOURCE_SPANS: u32 = 1;
    pub(super) const RESOURCE: u32 = 1;
    pub(super) const SCOPE_SPANS: u32 = 2;
    pub(super) const SPANS: u32 = 2;
}

fn accept<'a>(most: u64, accepted: u64, bytes: &'a [u8], sink: &mut impl Sink) -> Result<Head<'a>, Rejection> {
    let head = read_span(bytes, sink)?;
    if accepted < most { Ok(head) } else { Err(Rejection::TooMany) }
}

/// The resource of a `ResourceSpans`, or of the same message of another signal.
pub(super) fn resource_of(group: &[u8]) -> Arc<Resource> {
    const ATTRIBUTES: u32 = 1;
    let mut kept = Attributes::default();
    for resource in resources_in(group) {
        let mut fields = Fields::new(resource);
        while let Ok(Some(field)) = fields.next() {
            if field.number == ATTRIBUTES
                && let Ok(bytes) = field.value.len()
                && let Ok(attribute) = attributes::read(bytes)
            {
                attribute.keep(&mut kept);
            }
        }
    }
    Resource::new(kept)
}

impl Checked {
    /// What to tell the sender about rejected spans and about what was mended; `None` when all is well.
    pub fn message(&self) -> Option<String> {
        let mut remarks = Vec::new();
        if self.rejected > 0 {
            let reasons: Vec<String> = self.reasons.iter().map(ToString::to_string).collect();
            let total = self.rejected + self.accepted;
            remarks.push(format!("{} of {total} spans were rejected: {}", self.rejected, reasons.join("; ")));
        }
        if self.parents_dropped > 0 {
            remarks.push(format!(
                "{} spans are kept as roots: parent_span_id must have 8 bytes and be the id of another span",
                self.parents_dropped
            ));
        }
        if self.texts_missing > 0 {
            remarks.push(format!(
                "{} attributes are read as empty: key_strindex and string_value_strindex are for profiles, so send key \
                 and string_value",
                self.texts_missing
            ));
        }
        (!remarks.is_empty()).then(|| remarks.join(". "))
    }

    fn reject(&mut self, reason: Rejection) {
        self.rejected += 1;
        if self.reasons.len() < REASONS_PER_REQUEST && !self.reasons.contains(&reason) {
            self.reasons.push(reason);
        }
    }
}

/// The parts of one span that the engine wants and the door does not.
#[derive(Default)]
struct Kept {
    attributes: Attributes,
    links: Vec<SpanLink>,
    links_dropped: u64,
    error: bool,
}

impl Sink for Kept {
    fn attribute(&mut self, attribute: &attributes::Attribute<'_>) {
        self.error |= attribute.says_error();
        attribute.keep(&mut self.attributes);
    }

    fn link(&mut self, trace_id: TraceId, span_id: SpanId, bytes: &[u8]) {
        if self.links.len() < LINKS_PER_SPAN {
            let message_id = message_id_in(bytes).map(Into::into);
            self.links.push(SpanLink { trace_id, span_id, message_id });
        } else {
            self.links_dropped += 1;
        }
    }
}

impl Kept {
    fn into_span(mut self, head: Head<'_>, resource: Arc<Resource>) -> Span {
        if head.status_is_error
            && let Ok(message) = std::str::from_utf8(head.status_message)
            && !message.is_empty()
        {
            // Under the key that the specification has for formats without a status.
            let message = attributes::cut(message, STATUS_BYTES);
            self.attributes.insert("otel.status_description", Value::Text(message.into()));
        }
        Span {
            trace_id: head.trace_id,
            span_id: head.span_id,
            parent_span_id: head.parent_span_id,
            kind: head.kind,
            name: attributes::cut(head.name, NAME_BYTES).into(),
            start: EventTime(head.start_unix_nanos),
            end: EventTime(head.end_unix_nanos),
            error: head.status_is_error || self.error,
            resource,
            attributes: self.attributes,
            links: self.links,
            sampling: std::str::from_utf8(head.trace_state).ok().and_then(sampling_in),
        }
    }
}

#[cfg(test)]
mod tests;
