//! What a shard hands on: records for the linker and deltas for the aggregate.
//!
//! Both are values without references, so that they can cross a thread or a machine. Deltas are merged by addition:
//! their order does not matter.

mod anomaly;
mod attempt;
mod belief;
mod billed;
mod delta;
mod exemplars;
mod flow;
mod instances;
mod nature;
mod observed;
mod operation;
mod outs;
mod pace;
mod passing;
mod profile;
mod reported;
mod samples;
mod state_use;

use smallvec::SmallVec;

use crate::{
    sampling::Sampling,
    snapshot::NodeId,
    span::{EventTime, SpanId, TraceId},
    state::state,
};
pub(crate) use anomaly::{Anomalies, SPANS};
pub(crate) use attempt::{AttemptDelta, AttemptKey, Attempts};
pub(crate) use belief::Belief;
pub(crate) use billed::{Billed, Charged, ROUNDINGS};
pub use delta::Delta;
pub(crate) use delta::{Call, EdgeDelta, EdgeKey, Ended, FunctionDelta, Run};
pub(crate) use exemplars::{Exemplars, Versions};
pub(crate) use flow::{FlowCounts, FlowKey};
pub(crate) use instances::Instances;
pub(crate) use nature::Nature;
pub(crate) use observed::{InstanceMemory, Observed};
pub use operation::{OperationCycle, OperationLap};
pub(crate) use outs::{Out, Outs, Sent};
pub(crate) use pace::Pace;
pub(crate) use passing::{FanKey, Passing, STAGES, Stage};
pub(crate) use profile::{Piece, Place, TraceProfile};
pub(crate) use reported::{Reported, Values};
pub(crate) use samples::Samples;
pub(crate) use state_use::{CHATTY, StateUse};

/// Identifies a span over all traces: a hash of trace id and span id, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpanKey(pub(crate) u64);

impl SpanKey {
    /// The key of a span.
    pub fn new(trace_id: TraceId, span_id: SpanId) -> Self {
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&trace_id.0);
        bytes[16..].copy_from_slice(&span_id.0);
        Self(xxhash_rust::xxh3::xxh3_64(&bytes).max(1))
    }

    /// The key of the other span, where two share one id.
    pub(crate) fn pair(self) -> Self {
        Self((self.0 ^ 0x9e37_79b9_7f4a_7c15).max(1))
    }
}

/// A node or none, in the room of a node: no hash of what something is comes out as 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MaybeNode(u64);

impl From<Option<NodeId>> for MaybeNode {
    fn from(node: Option<NodeId>) -> Self {
        Self(node.map_or(0, |node| node.0))
    }
}

impl MaybeNode {
    pub(crate) fn get(self) -> Option<NodeId> {
        (self.0 != 0).then_some(NodeId(self.0))
    }
}

/// How the two sides of a cause that left no parent and no link are known to belong together, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyClass {
    /// The span itself, which a link names.
    Span,
    /// The id of a run, which its caller got as an answer.
    Request,
    /// The id of a message.
    Message,
    /// A version of an object.
    Version,
    /// A change in the stream of a table.
    Sequence,
    /// An object, whichever version.
    Object,
    /// A schedule, or the function that it starts.
    Schedule,
    /// A conversation of messages.
    Conversation,
    /// The resource between them and the time alone.
    Time,
}

/// What both sides of a cause know, as a hash that includes the class.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// How it is known.
    pub class: KeyClass,
    /// What is known.
    pub hash: u64,
}

impl Key {
    /// A hash of the conversation, if the key is one; otherwise 0.
    pub(crate) fn conversation(self) -> u32 {
        if self.class == KeyClass::Conversation { (self.hash as u32).max(1) } else { 0 }
    }
}

impl KeyClass {
    /// How sure a match is, over 0 and at most 1. For [`KeyClass::Time`] that is a matter of each match.
    pub fn confidence(self) -> f32 {
        match self {
            Self::Span => 1.0,
            Self::Request | Self::Message => 0.98,
            Self::Version => 0.95,
            Self::Sequence => 0.9,
            Self::Object | Self::Schedule => 0.85,
            Self::Conversation => 0.7,
            Self::Time => 0.0,
        }
    }

    /// True when nobody else has the key, so that a match needs no comparison with others.
    pub fn is_unique(self) -> bool {
        self < Self::Object
    }
}

/// What started an invocation, as its entry span says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Trigger {
    /// A request, or nothing is said.
    #[default]
    Request,
    /// A message.
    Queue,
    /// A change of what a store holds.
    Store,
    /// A schedule.
    Schedule,
}

/// In place of how long a message waited: it was a call, which waits for what it causes.
pub const CALL: f32 = -1.0;

/// An invocation that began; its key is that of its entry span.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Key of the entry span.
    pub key: SpanKey,
    /// What ran.
    pub function: NodeId,
    /// The trace it was seen in.
    pub trace_id: TraceId,
    /// When it began.
    pub start: EventTime,
    /// How long it lasted, milliseconds.
    pub lasted_ms: f32,
    /// The invocation that caused it, when that is known already.
    pub parent: Option<SpanKey>,
    /// How long the message waited by which that caused it, milliseconds; [`CALL`] for a call.
    pub waited_ms: f32,
    /// Hash of the id that the platform gave the run, 0 without one: a retry has the same.
    pub run: u64,
    /// True when nothing says what caused it, and another function may have invoked it.
    pub is_open: bool,
    /// What started it.
    pub trigger: Trigger,
    /// True when it ended with an error.
    pub failed: bool,
    /// How probable it was that its entry span was kept.
    pub sampling: Sampling,
}

/// One fact for the linker.
#[derive(Clone, Debug, PartialEq)]
pub enum Record {
    /// An invocation began.
    Entry(Entry),
    /// A function is known under further ids where less is told of it; comes before its first entry.
    Names {
        /// The function.
        function: NodeId,
        /// The further ids, the most telling first.
        also: SmallVec<[NodeId; 4]>,
    },
    /// The invocation that caused another became known.
    Cause {
        /// Key of the caused invocation.
        child: SpanKey,
        /// Key of the causing invocation.
        parent: SpanKey,
        /// How long the message waited by which that caused it, milliseconds; [`CALL`] for a call.
        waited_ms: f32,
    },
    /// What looked like an invocation is a part of another.
    Same {
        /// Key of what looked like an invocation.
        part: SpanKey,
        /// Key of the invocation.
        whole: SpanKey,
    },
    /// A span that is not an entry belongs to an invocation; links may name it.
    Belongs {
        /// Key of the span.
        span: SpanKey,
        /// Key of the invocation.
        invocation: SpanKey,
        /// The resource it publishes to or writes.
        publishes: Option<NodeId>,
        /// When it ended.
        end: EventTime,
    },
    /// A span link: an invocation was caused by a span of any trace.
    Link {
        /// Key of the caused invocation.
        child: SpanKey,
        /// Key of the causing span.
        cause: SpanKey,
        /// The resource that delivered the message.
        delivered_by: Option<NodeId>,
        /// What part of the invocation the cause accounts for: 1 over the messages of its batch.
        credit: f32,
    },
    /// An outbound span may have caused an invocation that knows the same key.
    Offer {
        /// What the span knows of what it caused.
        key: Key,
        /// Key of the invocation that the span belongs to.
        cause: SpanKey,
        /// The resource that it publishes to or writes.
        destination: Option<NodeId>,
        /// When it ended.
        end: EventTime,
        /// True when the answer may take days, as that of a schedule.
        is_slow: bool,
    },
    /// A send over a resource, or a call of a function by name, is the cause of an invocation for certain.
    Answer {
        /// Key of the caused invocation.
        child: SpanKey,
        /// Key of the causing invocation.
        cause: SpanKey,
        /// The resource or the function.
        over: NodeId,
        /// When the send ended, or the call began.
        end: EventTime,
    },
    /// An invocation may have been caused by an outbound span that knows the same key.
    Seek {
        /// What the invocation knows of its cause.
        key: Key,
        /// Key of the invocation.
        child: SpanKey,
        /// The resource that delivered what it handles.
        destination: Option<NodeId>,
        /// When it began to handle it.
        start: EventTime,
        /// What part of the invocation the cause accounts for.
        credit: f32,
        /// Key of the span that a link to the same cause names, 0 without one: one of the two is enough.
        link: u64,
    },
    /// An invocation handles what its author calls an entity.
    Handled {
        /// Key of the invocation.
        invocation: SpanKey,
        /// Hash of the entity.
        entity: u64,
    },
    /// A span of an export of telemetry, which was exported itself.
    Export {
        /// Who exports.
        function: NodeId,
        /// The trace it was seen in.
        trace_id: TraceId,
        /// When it began.
        start: EventTime,
    },
    /// An operation began again below itself.
    Operation(OperationLap),
}

state!(MaybeNode(inner));
state!(SpanKey(inner));
state!(Key { class, hash });
state!(
    enum KeyClass {
        Span,
        Request,
        Message,
        Version,
        Sequence,
        Object,
        Schedule,
        Conversation,
        Time,
    }
);
state!(
    enum Trigger {
        Request,
        Queue,
        Store,
        Schedule,
    }
);
