//! What a reader of the traces needs to follow a chain over causes that no trace names. The laps themselves are read
//! from the traces, outside of this crate.

use crate::{record::SpanKey, span::TraceId, state::state};

/// The deepest chain of a loop, as far as its causes left neither a parent nor a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JoinedChain {
    /// The trace of its last invocation.
    pub trace_id: TraceId,
    /// The entry span of its last invocation.
    pub end: SpanKey,
    /// The causes that were joined by what both sides know, from the last backwards; no more than 64.
    pub causes: Vec<JoinedCause>,
}

/// A cause that left neither a parent nor a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JoinedCause {
    /// The entry span of the invocation that was caused.
    pub effect: SpanKey,
    /// The entry span of the invocation that caused it.
    pub cause: SpanKey,
    /// The trace of the invocation that caused it.
    pub trace_id: TraceId,
}

state!(JoinedChain { trace_id, end, causes });
state!(JoinedCause { effect, cause, trace_id });
