//! Reads one span and decides whether it is accepted.
//!
//! The ids, the name and the encoding of what the graph needs decide. Events are not looked at; values within values
//! are measured and not entered, so that no depth can hurt.

use std::str;

use loopscope_analyzer::span::{SpanId, SpanKind, TraceId};

use super::{
    Rejection,
    attributes::{self, Attribute},
};
use crate::otlp::wire::{Fields, WireError};

/// What stands in a span once.
pub(super) struct Head<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_span_id: Option<SpanId>,
    /// True when a parent id was given that cannot be one.
    pub(super) parent_dropped: bool,
    pub(super) name: &'a str,
    pub(super) kind: SpanKind,
    pub(super) start_unix_nanos: u64,
    pub(super) end_unix_nanos: u64,
    pub(super) status_is_error: bool,
    /// What the status says of an error.
    pub(super) status_message: &'a [u8],
    pub(super) trace_state: &'a [u8],
}

/// Takes what stands in a span many times; the door lets it fall.
pub(super) trait Sink {
    fn attribute(&mut self, attribute: &Attribute<'_>);
    /// Takes a link, whose bytes hold its attributes.
    fn link(&mut self, trace_id: TraceId, span_id: SpanId, bytes: &[u8]);
}

impl Sink for () {
    fn attribute(&mut self, _: &Attribute<'_>) {}
    fn link(&mut self, _: TraceId, _: SpanId, _: &[u8]) {}
}

/// Field numbers of `opentelemetry.proto.trace.v1.Span` and of the messages in it.
mod field {
    pub(super) const TRACE_ID: u32 = 1;
    pub(super) const SPAN_ID: u32 = 2;
    pub(super) const TRACE_STATE: u32 = 3;
    pub(super) const PARENT_SPAN_ID: u32 = 4;
    pub(super) const NAME: u32 = 5;
    pub(super) const KIND: u32 = 6;
    pub(super) const START: u32 = 7;
    pub(super) const END: u32 = 8;
    pub(super) const ATTRIBUTES: u32 = 9;
    pub(super) const LINKS: u32 = 13;
    pub(super) const STATUS: u32 = 15;
    pub(super) const STATUS_MESSAGE: u32 = 2;
    pub(super) const STATUS_CODE: u32 = 3;
    pub(super) const LINK_TRACE_ID: u32 = 1;
    pub(super) const LINK_SPAN_ID: u32 = 2;
    pub(super) const LINK_ATTRIBUTES: u32 = 4;
}

const STATUS_CODE_ERROR: u64 = 2;

/// Reads a span; what the sink got of a span that is rejected must be thrown away.
pub(super) fn read_span<'a>(bytes: &'a [u8], sink: &mut impl Sink) -> Result<Head<'a>, Rejection> {
    let mut raw = Raw::default();
    raw.read(bytes, sink).map_err(Rejection::Encoding)?;
    raw.judge()
}

#[derive(Default)]
struct Raw<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_span_id: &'a [u8],
    trace_state: &'a [u8],
    name: &'a [u8],
    kind: u64,
    start: u64,
    end: u64,
    status_code: u64,
    status_message: &'a [u8],
}

impl<'a> Raw<'a> {
    fn read(&mut self, bytes: &'a [u8], sink: &mut impl Sink) -> Result<(), WireError> {
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                field::TRACE_ID => self.trace_id = field.value.len()?,
                field::SPAN_ID => self.span_id = field.value.len()?,
                field::TRACE_STATE => self.trace_state = field.value.len()?,
                field::PARENT_SPAN_ID => self.parent_span_id = field.value.len()?,
                field::NAME => self.name = field.value.len()?,
                field::KIND => self.kind = field.value.varint()?,
                field::START => self.start = field.value.fixed64()?,
                field::END => self.end = field.value.fixed64()?,
                field::ATTRIBUTES => sink.attribute(&attributes::read(field.value.len()?)?),
                field::LINKS => {
                    let bytes = field.value.len()?;
                    if let Some((trace_id, span_id)) = read_link(bytes)? {
                        sink.link(trace_id, span_id, bytes);
                    }
                }
                field::STATUS => self.read_status(field.value.len()?)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn read_status(&mut self, bytes: &'a [u8]) -> Result<(), WireError> {
        let mut fields = Fields::new(bytes);
        while let Some(field) = fields.next()? {
            match field.number {
                field::STATUS_CODE => self.status_code = field.value.varint()?,
                field::STATUS_MESSAGE => self.status_message = field.value.len().unwrap_or_default(),
                _ => {}
            }
        }
        Ok(())
    }

    fn judge(self) -> Result<Head<'a>, Rejection> {
        let trace_id = TraceId::from_wire(self.trace_id).ok_or(match self.trace_id.len() {
            16 => Rejection::TraceIdZero,
            length => Rejection::TraceIdLength { length },
        })?;
        let span_id = SpanId::from_wire(self.span_id).ok_or(match self.span_id.len() {
            8 => Rejection::SpanIdZero,
            length => Rejection::SpanIdLength { length },
        })?;
        let name = str::from_utf8(self.name).map_err(|_| Rejection::Name)?;
        let parent_span_id = SpanId::from_wire(self.parent_span_id).filter(|parent| *parent != span_id);
        // An empty id and one of eight zeroes are both ways to say "no parent".
        let says_root = self.parent_span_id.is_empty() || self.parent_span_id == [0; 8];
        Ok(Head {
            trace_id,
            span_id,
            parent_span_id,
            parent_dropped: parent_span_id.is_none() && !says_root,
            name,
            kind: SpanKind::from_wire(self.kind.cast_signed()),
            start_unix_nanos: self.start,
            end_unix_nanos: self.end,
            status_is_error: self.status_code == STATUS_CODE_ERROR,
            status_message: self.status_message,
            trace_state: self.trace_state,
        })
    }
}

/// Whom a link names, or `None` if its ids point at nothing. Its attributes are measured; who wants them reads on.
fn read_link(bytes: &[u8]) -> Result<Option<(TraceId, SpanId)>, WireError> {
    let (mut trace_id, mut span_id) = (None, None);
    let mut fields = Fields::new(bytes);
    while let Some(field) = fields.next()? {
        match field.number {
            field::LINK_TRACE_ID => trace_id = TraceId::from_wire(field.value.len()?),
            field::LINK_SPAN_ID => span_id = SpanId::from_wire(field.value.len()?),
            _ => {}
        }
    }
    Ok(trace_id.zip(span_id))
}

/// The id of the message that carried what a link names, if the link's attributes say it; at most `max` bytes of it.
pub(super) fn message_id_in(link: &[u8], max: usize) -> Option<&str> {
    let mut fields = Fields::new(link);
    while let Ok(Some(field)) = fields.next() {
        if field.number == field::LINK_ATTRIBUTES
            && let Ok(bytes) = field.value.len()
            && let Ok(attribute) = attributes::read(bytes)
            && let Some(id) = attribute.message_id(max)
        {
            return Some(id);
        }
    }
    None
}
