//! What a span knows of what caused it, or of what it caused, beside its parent: links, and ids that both sides know.
//!
//! Every id is hashed once, here; nothing of it is kept as text. Which spans belong together is the linker's.

use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::{
    attribute::{Attribute, Attributes},
    detect::telemetry::is_export,
    facts::RunId,
    identity::Touch,
    record::{Key, KeyClass, SpanKey, Trigger},
    snapshot::{EdgeKind, NodeId, ResourceKind},
    span::{Span, SpanKind},
};

/// Ids of messages that are this long are nobody else's, whatever the queue.
const LONG_ID: usize = 16;

/// What a span knows beside its parent.
#[derive(Default)]
pub(super) struct Clues {
    pub(super) links: SmallVec<[Link; 1]>,
    pub(super) keys: SmallVec<[Known; 2]>,
    /// What part of the invocation each message accounts for.
    pub(super) credit: f32,
    /// True when the answer to what it sends may take days.
    pub(super) is_slow: bool,
    /// Hash of what its author calls the entity; 0 without one.
    pub(super) entity: u64,
    /// True for an export of telemetry.
    pub(super) is_export: bool,
}

/// The function that ran a span, and the one that it invokes by name.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) function: NodeId,
    pub(super) invoked: Option<NodeId>,
}

/// A link, and the id of the message that says the same.
#[derive(Clone, Copy)]
pub(super) struct Link {
    /// Key of the span that it names.
    pub(super) cause: u64,
    pub(super) message: Option<Key>,
}

/// A key that the other side may know too.
#[derive(Clone, Copy)]
pub(super) struct Known {
    pub(super) key: Key,
    /// The resource between the two, or the function that is invoked.
    pub(super) over: Option<NodeId>,
    /// True when the other side begins while the span lasts, so that its start counts.
    pub(super) is_call: bool,
}

impl Clues {
    /// What the span with this key and parent knows; at most so many of its links are followed.
    pub(super) fn of(span: &Span, key: u64, parent: u64, touch: Option<&Touch>, ends: Ends, links: usize) -> Self {
        let touch = touch.filter(|touch| touch.kind != EdgeKind::Read);
        let entity = span.attributes.text(Attribute::EntityId).map_or(0, |id| xxh3_64(id.as_bytes()).max(1));
        let is_slow = is_slow(span, touch);
        let mut clues = Self { is_slow, entity, is_export: is_export(span), ..Self::default() };
        for link in span.links.iter().take(links) {
            let cause = SpanKey::new(link.trace_id, link.span_id).0;
            // A link that says the same as the parent is no second cause.
            if cause != key && cause != parent {
                let node = touch.map(|touch| touch.node.id);
                let message = link.message_id.as_deref().map(|id| message_key(node, id));
                clues.links.push(Link { cause, message });
            }
        }
        let batch = span.attributes.number(Attribute::BatchMessageCount).and_then(|count| usize::try_from(count).ok());
        clues.credit = 1.0 / batch.unwrap_or(1).max(clues.links.len()).max(1) as f32;
        if span.kind.is_outbound() {
            clues.offer(span, key, touch, ends.invoked);
        } else if span.kind.is_inbound() {
            clues.seek(span, parent, touch, ends.function);
        }
        clues
    }

    /// Messages that the span sends or handles.
    pub(super) fn messages(&self) -> u32 {
        (1.0 / self.credit.max(f32::MIN_POSITIVE)).round() as u32
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty() && self.keys.is_empty() && self.entity == 0 && !self.is_export
    }

    fn offer(&mut self, span: &Span, key: u64, touch: Option<&Touch>, invoked: Option<NodeId>) {
        if self.is_slow {
            // Whoever names this span may come when it is long gone.
            self.know(Key { class: KeyClass::Span, hash: key }, None);
        }
        let attributes = &span.attributes;
        let is_invoke = invoked.is_some()
            || attributes.text(Attribute::RpcService).is_some_and(|service| service.eq_ignore_ascii_case("lambda"));
        if is_invoke && let Some(run) = run_of(attributes) {
            self.know(Key { class: KeyClass::Request, hash: run }, invoked);
        }
        if let Some(function) = invoked {
            self.by_place(function);
            self.keys.last_mut().into_iter().for_each(|known| known.is_call = true);
        }
        let Some(touch) = touch else { return };
        self.shared_ids(attributes, touch.node.id);
        let may_trigger = match touch.node.kind {
            ResourceKind::Table | ResourceKind::Database => touch.node.system.contains("dynamodb"),
            _ => true,
        };
        if may_trigger {
            self.by_place(touch.node.id);
        }
    }

    fn seek(&mut self, span: &Span, parent: u64, touch: Option<&Touch>, function: NodeId) {
        let attributes = &span.attributes;
        if self.is_slow && parent != 0 {
            self.links.push(Link { cause: parent, message: None });
        }
        if let Some(run) = run_of(attributes) {
            self.know(Key { class: KeyClass::Request, hash: run }, None);
        }
        if self.is_slow && parent == 0 {
            self.by_place(function);
        }
        let Some(touch) = touch else { return self.message(attributes, None) };
        self.shared_ids(attributes, touch.node.id);
        // A sender that a link names was there; that its span is not here does not make another the sender.
        if span.links.is_empty() {
            self.by_place(touch.node.id);
        }
    }

    fn know(&mut self, key: Key, over: Option<NodeId>) {
        self.keys.push(Known { key, over, is_call: false });
    }

    /// Whoever knows nothing but the resource, or the function that is invoked, and the time.
    fn by_place(&mut self, node: NodeId) {
        // A schedule that was set fires once for it, at a time that nobody can guess.
        let class = if self.is_slow { KeyClass::Schedule } else { KeyClass::Time };
        self.know(key(class, node, &[]), Some(node));
    }

    fn message(&mut self, attributes: &Attributes, over: Option<NodeId>) {
        if let Some(id) = attributes.text(Attribute::MessageId) {
            self.know(message_key(over, id), over);
        }
    }

    /// The ids that a message, an object or a conversation has on both sides.
    fn shared_ids(&mut self, attributes: &Attributes, node: NodeId) {
        const OBJECTS: [Attribute; 3] = [Attribute::S3Key, Attribute::FaasDocumentName, Attribute::DynamodbKey];
        const VERSIONS: [(&[u8], Attribute); 3] =
            [(b"v", Attribute::S3Version), (b"e", Attribute::S3Etag), (b"s", Attribute::S3Sequencer)];
        let text = |attribute| attributes.text(attribute);
        self.message(attributes, Some(node));
        if let Some(offset) = attributes.number(Attribute::KafkaOffset) {
            let partition = attributes.number(Attribute::MessagingPartition).unwrap_or(-1);
            self.know(key(KeyClass::Message, node, &[&partition.to_le_bytes(), &offset.to_le_bytes()]), Some(node));
        }
        if let Some(sequence) = text(Attribute::DynamodbSequence) {
            self.know(key(KeyClass::Sequence, node, &[sequence.as_bytes()]), Some(node));
        }
        if let Some(object) = OBJECTS.into_iter().find_map(text) {
            for (kind, attribute) in VERSIONS {
                if let Some(version) = text(attribute) {
                    let version = version.trim_matches('"');
                    let parts = [object.as_bytes(), kind, version.as_bytes()];
                    self.know(key(KeyClass::Version, node, &parts), Some(node));
                }
            }
            self.know(key(KeyClass::Object, node, &[object.as_bytes()]), Some(node));
        }
        if let Some(conversation) = text(Attribute::ConversationId) {
            self.know(key(KeyClass::Conversation, NodeId(0), &[conversation.as_bytes()]), Some(node));
        }
    }
}

/// True for a span that sets a schedule, or that a schedule or a timer started.
fn is_slow(span: &Span, touch: Option<&Touch>) -> bool {
    let text = |attribute| span.attributes.text(attribute).unwrap_or_default();
    let is_scheduler = |text: &str| text.as_bytes().windows(SCHEDULE.len()).any(|w| w.eq_ignore_ascii_case(SCHEDULE));
    touch.is_some_and(|touch| touch.node.kind == ResourceKind::Schedule)
        || span.kind.is_inbound() && text(Attribute::FaasTrigger) == "timer"
        || span.kind == SpanKind::Client
            && (is_scheduler(text(Attribute::RpcService)) || is_scheduler(text(Attribute::RpcMethod)))
}

/// What the names of services and methods that set schedules have in common.
const SCHEDULE: &[u8] = b"schedule";

/// True when another function may have invoked what the span runs: no queue, store or timer has.
pub(super) fn may_be_invoked(span: &Span) -> bool {
    let trigger = span.attributes.text(Attribute::FaasTrigger);
    span.kind == SpanKind::Server && !matches!(trigger, Some("pubsub" | "datasource" | "timer"))
}

/// What started the invocation of which the span is the entry.
pub(super) fn trigger_of(span: &Span, touch: Option<&Touch>) -> Trigger {
    if !span.kind.is_inbound() {
        return Trigger::Request;
    }
    let delivered = touch.filter(|touch| touch.kind == EdgeKind::Deliver).map(|touch| touch.node.kind);
    match (span.attributes.text(Attribute::FaasTrigger), delivered) {
        (Some("timer"), _) | (_, Some(ResourceKind::Schedule)) => Trigger::Schedule,
        (Some("datasource"), _) | (_, Some(ResourceKind::Bucket | ResourceKind::Table | ResourceKind::Database)) => {
            Trigger::Store
        }
        (Some("pubsub"), _) | (_, Some(ResourceKind::Queue | ResourceKind::Topic)) => Trigger::Queue,
        _ if span.kind == SpanKind::Consumer => Trigger::Queue,
        _ => Trigger::Request,
    }
}

/// Hash of the id of a run, as its platform or the answer to its caller says.
pub(super) fn run_of(attributes: &Attributes) -> Option<u64> {
    let id = attributes.text(Attribute::FaasInvocationId).or_else(|| attributes.text(Attribute::AwsRequestId))?;
    Some(RunId::of(id).0)
}

fn message_key(destination: Option<NodeId>, id: &str) -> Key {
    let node = if id.len() >= LONG_ID { NodeId(0) } else { destination.unwrap_or(NodeId(0)) };
    key(KeyClass::Message, node, &[id.as_bytes()])
}

/// A hash over all parts, each with its length in it, so that no two lists of parts run together.
fn key(class: KeyClass, node: NodeId, parts: &[&[u8]]) -> Key {
    let seed = xxh3_64(&node.0.to_le_bytes()) ^ class as u64;
    let hash = parts.iter().fold(seed, |hash, part| xxh3_64_with_seed(part, hash));
    Key { class, hash: hash.max(1) }
}
