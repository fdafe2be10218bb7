//! Spans in the analyzer's own words.
//!
//! A [`Span`] is what a decoder hands over: ids, times, kind and the known attributes. It knows nothing of wire
//! formats; what an attribute key means stands in `attribute.rs`, and which function a span belongs to in
//! `identity.rs`.

use std::{fmt, sync::Arc, time::Duration};

use crate::{attribute::Attributes, identity::Resource, state::state};

/// Identifies a trace: 16 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TraceId(pub [u8; 16]);

/// Identifies a span within its trace: 8 bytes, never all zero.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanId(pub [u8; 8]);

/// When something happened, by the clock of the instance that ran it: nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub u64);

/// When a span reached the collector, by the collector's clock: nanoseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ArrivalTime(pub u64);

/// What a span stands for, as its instrumentation says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SpanKind {
    /// No kind was given.
    #[default]
    Unspecified,
    /// Work inside a function.
    Internal,
    /// A request that is handled.
    Server,
    /// A request that is made.
    Client,
    /// A message that is sent.
    Producer,
    /// A message that is handled.
    Consumer,
}

/// A span of another trace, or of the same, that caused this one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpanLink {
    /// Trace of the causing span.
    pub trace_id: TraceId,
    /// The causing span.
    pub span_id: SpanId,
    /// Id of the message that carried the cause, where the link says so.
    pub message_id: Option<Box<str>>,
}

/// One span, with the attributes that the analyzer knows.
#[derive(Clone, Debug)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its id within the trace.
    pub span_id: SpanId,
    /// The span that caused it in the same trace; `None` for a root.
    pub parent_span_id: Option<SpanId>,
    /// What it stands for.
    pub kind: SpanKind,
    /// The operation.
    pub name: Box<str>,
    /// When it began.
    pub start: EventTime,
    /// When it ended; may lie before `start` when a clock is broken.
    pub end: EventTime,
    /// True when its status is an error.
    pub error: bool,
    /// What ran it.
    pub resource: Arc<Resource>,
    /// Its known attributes.
    pub attributes: Attributes,
    /// Spans that caused it.
    pub links: Vec<SpanLink>,
    /// How probable it was that the span was kept, over 0 and at most 1; `None` where nothing is said of sampling.
    pub sampling: Option<f32>,
}

impl ArrivalTime {
    /// Time from an earlier arrival to this one; zero when the clock went back.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// A later moment.
    pub fn after(self, time: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }
}

impl TraceId {
    /// Reads an id from wire bytes; `None` unless 16 bytes and not all zero.
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().filter(|id| id != &[0; 16]).map(Self)
    }

    /// Reads an id from 32 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 32 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().filter(|id| *id != 0).map(|id| Self(id.to_be_bytes()))
    }
}

impl SpanId {
    /// Reads an id from wire bytes; `None` unless 8 bytes and not all zero.
    pub fn from_wire(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().filter(|id| id != &[0; 8]).map(Self)
    }

    /// Reads an id from 16 hexadecimal digits of either case.
    pub fn from_hex(text: &str) -> Option<Self> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u64::from_str_radix(text, 16).ok().filter(|id| *id != 0).map(|id| Self(id.to_be_bytes()))
    }
}

impl SpanKind {
    /// Reads the kind from its OTLP number; unknown numbers are [`SpanKind::Unspecified`].
    pub fn from_wire(number: i64) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }

    /// True for spans that leave the function.
    pub fn is_outbound(self) -> bool {
        matches!(self, Self::Client | Self::Producer)
    }

    /// True for spans that enter a function.
    pub fn is_inbound(self) -> bool {
        matches!(self, Self::Server | Self::Consumer)
    }
}

impl SpanLink {
    /// A link that says nothing but the span.
    pub fn to(trace_id: TraceId, span_id: SpanId) -> Self {
        Self { trace_id, span_id, message_id: None }
    }
}

/// Reads how probable it was that a span was kept from its `tracestate`: the threshold `th` of the vendor `ot`, up to
/// 14 hexadecimal digits with zeroes left out at the end, is the part of all spans that is not kept.
pub fn sampling_in(trace_state: &str) -> Option<f32> {
    let entries = trace_state.split(',').map(str::trim);
    let own = entries.filter_map(|entry| entry.strip_prefix("ot=")).next()?;
    let threshold = own.split(';').find_map(|part| part.trim().strip_prefix("th:"))?;
    if threshold.is_empty() || threshold.len() > 14 || !threshold.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let all = 1_u64 << (4 * threshold.len());
    // No more than 56 bits, so what is kept is exact before it becomes a float, and never 0.
    let kept = all - u64::from_str_radix(threshold, 16).ok()?;
    Some((kept as f64 / all as f64) as f32)
}

impl Span {
    /// Nanoseconds from start to end; zero when the end lies before the start.
    pub fn duration_nanos(&self) -> u64 {
        self.end.0.saturating_sub(self.start.0)
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

state!(TraceId(inner));
state!(SpanId(inner));
state!(EventTime(inner));
state!(ArrivalTime(inner));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_threshold_of_sampling_is_the_part_that_is_dropped() {
        for (text, expected) in [
            ("ot=th:0", Some(1.0)),
            ("ot=th:8", Some(0.5)),
            ("vendor=1,ot=rv:abc;th:c", Some(0.25)),
            ("ot=th:e666666666666a;rv:1", Some(0.1)),
            ("ot=th:ffffffffffffff", Some(1.0 / (1_u64 << 56) as f32)),
            ("ot=rv:1", None),
            ("ot=th:", None),
            ("ot=th:+8", None),
            ("ot=th:123456789abcdef", None),
            ("other=th:8", None),
            ("", None),
        ] {
            let found = sampling_in(text);
            let is_near = |(a, b): (f32, f32)| (a - b).abs() < 1e-6;
            assert!(found == expected || found.zip(expected).is_some_and(is_near), "{text}: {found:?}");
        }
    }

    #[test]
    fn ids_are_exact_in_length_and_never_zero() {
        assert_eq!(TraceId::from_wire(&[0; 16]), None);
        assert_eq!(TraceId::from_wire(&[1; 15]), None);
        assert_eq!(TraceId::from_wire(&[1; 17]), None);
        assert_eq!(SpanId::from_wire(&[0; 8]), None);
        assert!(SpanId::from_wire(&[1; 8]).is_some());
        let id = TraceId::from_wire(&[0xab; 16]).unwrap();
        assert_eq!(TraceId::from_hex(&id.to_string().to_uppercase()), Some(id));
        assert_eq!(TraceId::from_hex("+1234567890123456789012345678901"), None);
        let id = SpanId([0xab; 8]);
        assert_eq!(SpanId::from_hex(&id.to_string().to_uppercase()), Some(id));
        assert_eq!((SpanId::from_hex("+123456789012345"), SpanId::from_hex("00")), (None, None));
    }
}
