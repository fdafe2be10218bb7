//! Walks the spans of a traces request: once at the door to judge them, once for the engine to keep them.
//!
//! Both uses share one reader, `traces/span.rs`, so that they agree on which spans are accepted: the journal holds a
//! request as it came, with the rejected spans in it. A rejected span costs itself; only broken messages around the
//! spans cost the request.

pub(in crate::otlp) mod attributes;
mod span;

use std::sync::Arc;

use loopscope_analyzer::{
    attribute::Value,
    identity::Resource,
    span::{EventTime, Span, SpanId, SpanLink, TraceId, sampling_in},
};

use self::attributes::Gathered;
use self::span::{Head, Sink, message_id_in, read_span};
use super::{
    EnvelopeError, Signal,
    limits::ItemLimits,
    wire::{Fields, WireError},
};

/// Bound on the distinct reasons that a [`Checked`] request remembers.
pub const REASONS_PER_REQUEST: usize = 3;

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
    #[error("a request may carry at most {most} spans; send smaller batches")]
    TooMany {
        /// How many it may.
        most: u64,
    },
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
    /// Links beyond the bound of one span.
    pub links_dropped: u64,
    /// Attributes beyond the bound of one span or resource.
    pub attributes_dropped: u64,
    /// Names and texts that were cut.
    pub texts_cut: u64,
    /// Spans whose parent id was dropped, because it has the wrong length or is the span's own id.
    pub parents_dropped: u64,
    /// Spans that are not kept.
    pub rejected: u64,
    /// Why the first of them is not kept.
    pub reason: Option<Rejection>,
}

/// Judges the spans of an `ExportTraceServiceRequest`, of which at most `most` are accepted.
///
/// # Errors
/// When the messages around the spans cannot be read.
pub fn check(request: &[u8], most: u64) -> Result<Checked, EnvelopeError> {
    let (mut checked, mut remarks) = (Checked::default(), Remarks::default());
    walk(request, |_, bytes| match accept(most, checked.accepted, bytes, &mut remarks) {
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
pub fn spans(request: &[u8], limits: &ItemLimits) -> Result<Decoded, EnvelopeError> {
    let mut decoded = Decoded::default();
    let mut resource: Option<(*const u8, Arc<Resource>)> = None;
    walk(request, |group, bytes| {
        let mut kept = Kept::within(limits);
        let head = match accept(limits.items, decoded.spans.len() as u64, bytes, &mut kept) {
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
            _ => {
                let (known, gathered) = gather(group, limits);
                decoded.attributes_dropped += gathered.0;
                decoded.texts_cut += gathered.1;
                Arc::clone(&resource.insert((group.as_ptr(), known)).1)
            }
        };
        decoded.links_dropped += kept.links_dropped;
        decoded.attributes_dropped += kept.attributes.dropped;
        decoded.texts_cut += kept.attributes.cut + u64::from(head.name.len() > limits.name_bytes);
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
    if accepted < most { Ok(head) } else { Err(Rejection::TooMany { most }) }
}

/// The resource of a `ResourceSpans`, or of the same message of another signal.
pub(super) fn resource_of(group: &[u8], limits: &ItemLimits) -> Arc<Resource> {
    gather(group, limits).0
}

/// The resource, and how many of its attributes were dropped and texts cut.
fn gather(group: &[u8], limits: &ItemLimits) -> (Arc<Resource>, (u64, u64)) {
    const ATTRIBUTES: u32 = 1;
    let mut kept = Gathered::default();
    for resource in resources_in(group) {
        let mut fields = Fields::new(resource);
        while let Ok(Some(field)) = fields.next() {
            if field.number == ATTRIBUTES
                && let Ok(bytes) = field.value.len()
                && let Ok(attribute) = attributes::read(bytes)
            {
                kept.take(&attribute, limits);
            }
        }
    }
    (Resource::new(kept.known), (kept.dropped, kept.cut))
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
struct Kept<'a> {
    limits: &'a ItemLimits,
    attributes: Gathered,
    links: Vec<SpanLink>,
    links_dropped: u64,
    error: bool,
}

impl Sink for Kept<'_> {
    fn attribute(&mut self, attribute: &attributes::Attribute<'_>) {
        self.error |= attribute.says_error();
        self.attributes.take(attribute, self.limits);
    }

    fn link(&mut self, trace_id: TraceId, span_id: SpanId, bytes: &[u8]) {
        if self.links.len() < self.limits.links {
            let message_id = message_id_in(bytes, self.limits.text_bytes).map(Into::into);
            self.links.push(SpanLink { trace_id, span_id, message_id });
        } else {
            self.links_dropped += 1;
        }
    }
}

impl<'a> Kept<'a> {
    fn within(limits: &'a ItemLimits) -> Self {
        Self { limits, attributes: Gathered::default(), links: Vec::new(), links_dropped: 0, error: false }
    }

    fn into_span(mut self, head: Head<'_>, resource: Arc<Resource>) -> Span {
        if head.status_is_error
            && let Ok(message) = std::str::from_utf8(head.status_message)
            && !message.is_empty()
        {
            // Under the key that the specification has for formats without a status.
            let message = attributes::cut(message, STATUS_BYTES);
            self.attributes.known.insert("otel.status_description", Value::Text(message.into()));
        }
        Span {
            trace_id: head.trace_id,
            span_id: head.span_id,
            parent_span_id: head.parent_span_id,
            kind: head.kind,
            name: attributes::cut(head.name, self.limits.name_bytes).into(),
            start: EventTime(head.start_unix_nanos),
            end: EventTime(head.end_unix_nanos),
            error: head.status_is_error || self.error,
            resource,
            attributes: self.attributes.known,
            links: self.links,
            sampling: std::str::from_utf8(head.trace_state).ok().and_then(sampling_in),
        }
    }
}

#[cfg(test)]
mod tests;
