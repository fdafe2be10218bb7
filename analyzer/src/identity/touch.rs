//! Which resource a span touches, and how: queues, topics, buckets, tables and schedules.
//!
//! A resource is known by its name within an environment, and by the database that it stands in; which function touches
//! it is `identity.rs`'s.

use smallvec::SmallVec;
use xxhash_rust::xxh3::xxh3_64;

use super::SEPARATOR;
use crate::{
    attribute::{Attribute, Attributes},
    snapshot::{EdgeKind, NodeId, ResourceKind, ResourceNode},
    span::{Span, SpanKind},
};

/// A resource that a span touches, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Touch<'a> {
    /// The resource.
    pub node: TouchedResource<'a>,
    /// How it is touched: published to, delivered from, written or read.
    pub kind: EdgeKind,
}

/// A resource in the words of the span that touches it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TouchedResource<'a> {
    /// Persistent identity.
    pub id: NodeId,
    /// The name people know it by.
    pub name: &'a str,
    /// What it is.
    pub kind: ResourceKind,
    /// The system that provides it, or an empty text.
    pub system: &'a str,
}

impl TouchedResource<'_> {
    /// True when the node says the same.
    pub(crate) fn is_as(&self, node: &ResourceNode) -> bool {
        (self.id, self.name, self.kind, self.system) == (node.id, &node.name, node.kind, &node.system)
    }

    /// The resource in words of its own.
    pub(crate) fn to_node(self) -> ResourceNode {
        ResourceNode { id: self.id, name: self.name.into(), kind: self.kind, system: self.system.into() }
    }
}

/// The resource that the span touches, if it names one.
///
/// Inbound spans are delivered to; producers publish; a client publishes, writes or reads as its operation says.
/// Polling, receiving and settling are not uses: they cause nothing.
pub fn touch_of(span: &Span) -> Option<Touch<'_>> {
    let environment = span.resource.function.environment.as_ref();
    let attributes = &span.attributes;
    if let Some((name, kind, system)) = messaging_destination(attributes) {
        let use_kind = messaging_use(span.kind, attributes)?;
        let class = if kind == ResourceKind::Schedule { "schedule" } else { "messaging" };
        return Some(Touch { node: resource(environment, &[class], name, kind, system), kind: use_kind });
    }
    if span.kind.is_inbound() {
        return inbound_touch(environment, attributes);
    }
    if !span.kind.is_outbound() {
        return None;
    }
    let (node, operation) = store(environment, attributes)?;
    Some(Touch { node, kind: if is_write(operation) { EdgeKind::Write } else { EdgeKind::Read } })
}

/// `place` are the parts between environment and name that tell resources of one name apart.
fn resource<'a>(
    environment: &str,
    place: &[&str],
    name: &'a str,
    kind: ResourceKind,
    system: &'a str,
) -> TouchedResource<'a> {
    let mut key = SmallVec::<[u8; 256]>::from_slice(b"resource");
    for part in [environment].iter().chain(place).chain([&name]) {
        key.extend_from_slice(SEPARATOR.as_bytes());
        key.extend_from_slice(part.as_bytes());
    }
    TouchedResource { id: NodeId(xxh3_64(&key)), name, kind, system }
}

fn messaging_destination(attributes: &Attributes) -> Option<(&str, ResourceKind, &str)> {
    let system = attributes.text(Attribute::MessagingSystem);
    if let Some(name) = attributes.text(Attribute::MessagingDestination) {
        let system = system.unwrap_or_default();
        return Some((last_segment(name), messaging_kind(system), system));
    }
    if let Some(url) = attributes.text(Attribute::SqsQueueUrl) {
        return Some((last_segment(url), ResourceKind::Queue, system.unwrap_or("aws_sqs")));
    }
    if let Some(arn) = attributes.text(Attribute::SnsTopicArn) {
        return Some((last_segment(arn), ResourceKind::Topic, system.unwrap_or("aws.sns")));
    }
    let stream = attributes.text(Attribute::KinesisStreamName)?;
    Some((stream, ResourceKind::Topic, system.unwrap_or("aws.kinesis")))
}

/// The last part of a queue URL or an ARN; plain names have no such parts.
fn last_segment(name: &str) -> &str {
    let separator = if name.starts_with("arn:") {
        ':'
    } else if name.starts_with("https://") || name.starts_with("http://") {
        '/'
    } else {
        return name;
    };
    name.rsplit(separator).find(|part| !part.is_empty()).unwrap_or(name)
}

fn messaging_kind(system: &str) -> ResourceKind {
    let system = system.to_ascii_lowercase();
    if ["scheduler", "cloud_tasks", "cloudtasks"].iter().any(|schedule| system.contains(schedule)) {
        return ResourceKind::Schedule;
    }
    let is_topic = ["sns", "kafka", "pubsub", "kinesis", "eventhubs", "eventgrid", "eventbridge"]
        .iter()
        .any(|topic| system.contains(topic));
    if is_topic { ResourceKind::Topic } else { ResourceKind::Queue }
}

fn messaging_use(kind: SpanKind, attributes: &Attributes) -> Option<EdgeKind> {
    if kind.is_inbound() {
        return Some(EdgeKind::Deliver);
    }
    match attributes.text(Attribute::MessagingOperation) {
        Some("send" | "publish" | "create") => Some(EdgeKind::Publish),
        Some(_) if kind == SpanKind::Producer => Some(EdgeKind::Publish),
        None if kind.is_outbound() => Some(EdgeKind::Publish),
        _ => None,
    }
}

fn inbound_touch<'a>(environment: &str, attributes: &'a Attributes) -> Option<Touch<'a>> {
    let node = match attributes.text(Attribute::FaasTrigger) {
        Some("timer") => {
            resource(environment, &["schedule"], attributes.text(Attribute::FaasCron)?, ResourceKind::Schedule, "")
        }
        Some("datasource") => triggering_store(environment, attributes)?,
        _ => return None,
    };
    Some(Touch { node, kind: EdgeKind::Deliver })
}

fn triggering_store<'a>(environment: &str, attributes: &'a Attributes) -> Option<TouchedResource<'a>> {
    if let Some((node, _)) = store(environment, attributes) {
        return Some(node);
    }
    // What kind of store a collection stands in is not said, so the system stays empty and any other span decides.
    let collection = attributes.text(Attribute::FaasDocumentCollection)?;
    Some(resource(environment, &["store"], collection, ResourceKind::Bucket, ""))
}

fn store<'a>(environment: &str, attributes: &'a Attributes) -> Option<(TouchedResource<'a>, &'a str)> {
    let method = attributes.text(Attribute::RpcMethod).unwrap_or_default();
    if let Some(bucket) = attributes.text(Attribute::S3Bucket) {
        return Some((resource(environment, &["store"], bucket, ResourceKind::Bucket, "aws.s3"), method));
    }
    let operation = attributes.text(Attribute::DbOperation).unwrap_or(method);
    if let Some(tables) = attributes.text(Attribute::DynamodbTableNames) {
        let table = tables.split(',').next().unwrap_or(tables);
        return Some((resource(environment, &["store"], table, ResourceKind::Table, "aws.dynamodb"), operation));
    }
    let system = attributes.text(Attribute::DbSystem)?;
    let (namespace, collection) = (attributes.text(Attribute::DbNamespace), attributes.text(Attribute::DbCollection));
    let node = match (namespace, collection) {
        (_, Some(table)) if system.ends_with("dynamodb") => {
            resource(environment, &["store"], table, ResourceKind::Table, "aws.dynamodb")
        }
        (namespace, Some(collection)) => {
            let place = ["store", system, namespace.unwrap_or_default()];
            resource(environment, &place, collection, ResourceKind::Table, system)
        }
        (Some(namespace), None) => resource(environment, &["store", system], namespace, ResourceKind::Database, system),
        (None, None) => resource(environment, &["store"], system, ResourceKind::Database, system),
    };
    Some((node, operation))
}

/// True for operations that change what a store holds.
fn is_write(operation: &str) -> bool {
    const VERBS: [&str; 16] = [
        "put",
        "copy",
        "delete",
        "update",
        "insert",
        "create",
        "complete",
        "upload",
        "write",
        "batchwrite",
        "transactwrite",
        "set",
        "upsert",
        "replace",
        "merge",
        "remove",
    ];
    let operation = operation.rsplit(['/', '.']).next().unwrap_or(operation).to_ascii_lowercase();
    VERBS.iter().any(|verb| operation.starts_with(verb))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::tests::attributes;

    #[test]
    fn a_queue_is_the_same_by_name_url_or_arn() {
        let names = [
            ("messaging.destination.name", "mail"),
            ("aws.sqs.queue.url", "https://sqs.eu-west-1.amazonaws.com/123456789012/mail"),
            ("messaging.destination.name", "arn:aws:sqs:eu-west-1:123456789012:mail"),
        ];
        for (key, value) in names {
            assert_eq!(messaging_destination(&attributes(&[(key, value)])).unwrap().0, "mail");
        }
    }

    #[test]
    fn only_changing_operations_write() {
        for operation in ["PutObject", "S3.CopyObject", "INSERT", "BatchWriteItem", "UpdateItem", "s3/DeleteObject"] {
            assert!(is_write(operation), "{operation}");
        }
        for operation in ["GetObject", "SELECT", "Query", "HeadObject", ""] {
            assert!(!is_write(operation), "{operation}");
        }
    }
}
