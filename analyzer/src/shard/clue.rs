//! What a span knows of what caused it, or of what it caused, beside its parent: links, and ids that both sides know.
//!
//! Every id is hashed once, here; nothing of it is kept as text. Which spans belong together is the linker's.

use smallvec::SmallVec;
use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::{
    attribute::{Attribute, Attributes},
    identity::Touch,
    record::{Key, KeyClass, SpanKey},
    snapshot::{EdgeKind, NodeId, ResourceKind},
    span::{LINKS_PER_SPAN, Span},
};

/// Ids of messages that are this long are nobody else's, whatever the queue.
const LONG_ID: usize = 16;

/// What a span knows beside its parent.
#[derive(Default)]
pub(super) struct Clues {
    pub(super) links: SmallVec<[Link; 1]>,
    pub(super) keys: SmallVec<[Key; 2]>,
    /// What part of the invocation each message accounts for.
    pub(super) credit: f32,
    /// True when the answer to what it sends may take days.
    pub(super) is_slow: bool,
}

/// A link, and the id of the message that says the same.
#[derive(Clone, Copy)]
pub(super) struct Link {
    /// Key of the span that it names.
    pub(super) cause: u64,
    pub(super) message: Option<Key>,
}

impl Clues {
    /// What the span with this key and parent knows.
    pub(super) fn of(span: &Span, key: u64, parent: u64, touch: Option<&Touch>) -> Self {
        let destination = touch.map(|touch| touch.node.id);
        let mut clues =
            Self { is_slow: touch.is_some_and(|touch| touch.node.kind == ResourceKind::Schedule), ..Self::default() };
        for link in span.links.iter().take(LINKS_PER_SPAN) {
            let cause = SpanKey::new(link.trace_id, link.span_id).0;
            // A link that says the same as the parent is no second cause.
            if cause != key && cause != parent {
                let message = link.message_id.as_deref().map(|id| message_key(destination, id));
                clues.links.push(Link { cause, message });
            }
        }
        let batch = span.attributes.number(Attribute::BatchMessageCount).and_then(|count| usize::try_from(count).ok());
        clues.credit = 1.0 / batch.unwrap_or(1).max(clues.links.len()).max(1) as f32;
        if clues.is_slow && span.kind.is_outbound() {
            // Whoever names this span may come when it is long gone.
            clues.keys.push(Key { class: KeyClass::Span, hash: key });
        } else if clues.is_slow && parent != 0 {
            clues.links.push(Link { cause: parent, message: None });
        }
        if span.kind.is_outbound() {
            clues.offer(&span.attributes, touch);
        } else if span.kind.is_inbound() {
            clues.seek(&span.attributes, touch, span.links.is_empty());
        }
        clues
    }

    pub(super) fn is_empty(&self) -> bool {
        self.links.is_empty() && self.keys.is_empty()
    }

    fn offer(&mut self, attributes: &Attributes, touch: Option<&Touch>) {
        let is_invoke = attributes.text(Attribute::FaasInvokedName).is_some()
            || attributes.text(Attribute::RpcService).is_some_and(|service| service.eq_ignore_ascii_case("lambda"));
        if is_invoke && let Some(run) = run_of(attributes) {
            self.keys.push(Key { class: KeyClass::Request, hash: run });
        }
        let Some(touch) = touch.filter(|touch| matches!(touch.kind, EdgeKind::Publish | EdgeKind::Write)) else {
            return;
        };
        self.shared_ids(attributes, touch.node.id);
        let may_trigger = match touch.node.kind {
            ResourceKind::Table | ResourceKind::Database => touch.node.system.contains("dynamodb"),
            _ => true,
        };
        if may_trigger {
            self.by_resource(touch);
        }
    }

    fn seek(&mut self, attributes: &Attributes, touch: Option<&Touch>, is_without_link: bool) {
        if let Some(run) = run_of(attributes) {
            self.keys.push(Key { class: KeyClass::Request, hash: run });
        }
        match touch.filter(|touch| touch.kind == EdgeKind::Deliver) {
            Some(touch) => {
                self.shared_ids(attributes, touch.node.id);
                // A sender that a link names was there; that its span is not here does not make another the sender.
                if is_without_link {
                    self.by_resource(touch);
                }
            }
            None => self.message(attributes, None),
        }
    }

    /// Whoever knows nothing but the resource and the time.
    fn by_resource(&mut self, touch: &Touch) {
        // A schedule that was set fires once for it, at a time that nobody can guess.
        let class = if self.is_slow { KeyClass::Object } else { KeyClass::Time };
        self.keys.push(key(class, touch.node.id, &[]));
    }

    fn message(&mut self, attributes: &Attributes, destination: Option<NodeId>) {
        if let Some(id) = attributes.text(Attribute::MessageId) {
            self.keys.push(message_key(destination, id));
        }
    }

    /// The ids that a message, an object or a conversation has on both sides.
    fn shared_ids(&mut self, attributes: &Attributes, node: NodeId) {
        let text = |attribute| attributes.text(attribute);
        self.message(attributes, Some(node));
        if let Some(offset) = attributes.number(Attribute::KafkaOffset) {
            let partition = match attributes.get(Attribute::MessagingPartition) {
                Some(_) => attributes.number(Attribute::MessagingPartition).unwrap_or(-2),
                None => -1,
            };
            self.keys.push(key(KeyClass::Message, node, &[&partition.to_le_bytes(), &offset.to_le_bytes()]));
        }
        if let Some(sequence) = text(Attribute::DynamodbSequence) {
            self.keys.push(key(KeyClass::Sequence, node, &[sequence.as_bytes()]));
        }
        if let Some(object) = text(Attribute::S3Key).or_else(|| text(Attribute::FaasDocumentName)) {
            for (kind, attribute) in
                [(b"v", Attribute::S3Version), (b"e", Attribute::S3Etag), (b"s", Attribute::S3Sequencer)]
            {
                if let Some(version) = text(attribute) {
                    let version = version.trim_matches('"');
                    self.keys.push(key(KeyClass::Version, node, &[object.as_bytes(), kind, version.as_bytes()]));
                }
            }
            self.keys.push(key(KeyClass::Object, node, &[object.as_bytes()]));
        }
        if let Some(conversation) = text(Attribute::ConversationId) {
            self.keys.push(key(KeyClass::Conversation, NodeId(0), &[conversation.as_bytes()]));
        }
    }
}

/// Hash of the id of a run, as its platform or the answer to its caller says.
pub(super) fn run_of(attributes: &Attributes) -> Option<u64> {
    let id = attributes.text(Attribute::FaasInvocationId).or_else(|| attributes.text(Attribute::AwsRequestId))?;
    Some(xxh3_64_with_seed(id.as_bytes(), KeyClass::Request as u64).max(1))
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
