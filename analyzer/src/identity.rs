//! Which function or resource a span belongs to, and the persistent id of each.
//!
//! A function is known by what its OTLP resource says, because all spans of an invocation share it; attributes of the
//! span itself count only where the resource has no name. Version, alias and instance are never part of identity; the
//! environment always is, so that the same name in two environments stays two functions.

use std::sync::Arc;

use xxhash_rust::xxh3::xxh3_64;

use crate::{
    attribute::{Attribute, Attributes},
    snapshot::{EdgeKind, NodeId, ResourceKind, ResourceNode},
    span::{Span, SpanKind},
};

/// The name of a function that gives none: the one that the OpenTelemetry SDKs fall back to.
pub const UNKNOWN_SERVICE: &str = "unknown_service";

/// What ran a span: the known attributes of its OTLP resource, and the function they name.
#[derive(Debug)]
pub struct Resource {
    /// The known attributes.
    pub attributes: Attributes,
    function: Arc<Function>,
    is_named: bool,
}

/// A node people deploy, in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    /// Persistent id.
    pub id: NodeId,
    /// The name people know it by.
    pub name: Arc<str>,
    /// The environment, or an empty text.
    pub environment: Arc<str>,
    /// What runs it: the cloud platform, or `service` for a plain process.
    pub platform: Arc<str>,
}

/// A resource that a span touches, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Touch {
    /// The resource.
    pub node: ResourceNode,
    /// How it is touched: published to, delivered from, written or read.
    pub kind: EdgeKind,
}

impl Resource {
    /// Takes in the known attributes of an OTLP resource.
    pub fn new(attributes: Attributes) -> Arc<Self> {
        let (function, is_named) = identify(&attributes, &Attributes::default());
        Arc::new(Self { attributes, function: Arc::new(function), is_named })
    }

    /// The function that its own attributes name.
    pub fn function(&self) -> &Arc<Function> {
        &self.function
    }
}

/// The function that ran the span.
pub fn function_of(span: &Span) -> Arc<Function> {
    function_named_by(&span.resource, &span.attributes)
}

/// The function that a resource and the attributes of one of its spans name.
pub fn function_named_by(resource: &Resource, span: &Attributes) -> Arc<Function> {
    let span_has_name = [Attribute::FaasName, Attribute::CloudResourceId, Attribute::LambdaInvokedArn]
        .into_iter()
        .any(|attribute| span.text(attribute).is_some());
    if resource.is_named || !span_has_name {
        return Arc::clone(&resource.function);
    }
    Arc::new(identify(&resource.attributes, span).0)
}

/// The resource that the span touches, if it names one.
///
/// Inbound spans are delivered to; producers publish; a client publishes, writes or reads as its operation says.
/// Polling, receiving and settling are not uses: they cause nothing.
pub fn touch_of(span: &Span) -> Option<Touch> {
    let environment = span.resource.function.environment.as_ref();
    let attributes = &span.attributes;
    if let Some((name, kind, system)) = messaging_destination(attributes) {
        let use_kind = messaging_use(span.kind, attributes)?;
        let class = if kind == ResourceKind::Schedule { "schedule" } else { "messaging" };
        return Some(Touch { node: resource(environment, class, name, kind, system), kind: use_kind });
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

fn identify(resource: &Attributes, span: &Attributes) -> (Function, bool) {
    let text = |attribute| resource.text(attribute).or_else(|| span.text(attribute));
    let environment = text(Attribute::Environment).unwrap_or_default();
    let arn = [Attribute::CloudResourceId, Attribute::LambdaInvokedArn]
        .into_iter()
        .filter_map(text)
        .find_map(LambdaArn::parse);
    let faas_name = text(Attribute::FaasName)
        .map(lambda_name)
        .or_else(|| text(Attribute::LogGroupNames)?.strip_prefix("/aws/lambda/"));
    let provider = text(Attribute::CloudProvider).unwrap_or_default();
    let platform = platform(text(Attribute::CloudPlatform), arn.is_some(), faas_name.is_some());

    let (key, name, is_named) = if let Some(arn) = arn {
        (["aws", arn.account, arn.region, arn.name].join("\u{1f}"), arn.name.to_owned(), true)
    } else if let Some(name) = faas_name {
        let account = text(Attribute::CloudAccountId).unwrap_or_default();
        let region = text(Attribute::CloudRegion).unwrap_or_default();
        ([provider, account, region, name].join("\u{1f}"), name.to_owned(), true)
    } else {
        let name = text(Attribute::ServiceName).unwrap_or(UNKNOWN_SERVICE);
        let is_named = !name.starts_with(UNKNOWN_SERVICE);
        let instance = if is_named { None } else { text(Attribute::ServiceInstanceId) };
        let namespace = text(Attribute::ServiceNamespace).unwrap_or_default();
        (["service", namespace, name, instance.unwrap_or_default()].join("\u{1f}"), name.to_owned(), is_named)
    };
    let function = Function {
        id: NodeId(xxh3_64(format!("function\u{1f}{environment}\u{1f}{key}").as_bytes())),
        name: name.into(),
        environment: environment.into(),
        platform: platform.into(),
    };
    (function, is_named)
}

fn platform(given: Option<&str>, has_lambda_arn: bool, has_faas_name: bool) -> &str {
    match given {
        Some(platform) => platform,
        None if has_lambda_arn => "aws_lambda",
        None if has_faas_name => "function",
        None => "service",
    }
}

/// The parts of `arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME[:VERSION]` that identify the function.
struct LambdaArn<'a> {
    region: &'a str,
    account: &'a str,
    name: &'a str,
}

impl<'a> LambdaArn<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(':');
        let is_arn = parts.next()? == "arn";
        let is_lambda = parts.nth(1)? == "lambda";
        let (region, account) = (parts.next()?, parts.next()?);
        let is_function = parts.next()? == "function";
        let name = parts.next()?;
        (is_arn && is_lambda && is_function && !name.is_empty()).then_some(Self { region, account, name })
    }
}

/// The bare name of a function that may be given as ARN or with an alias.
fn lambda_name(text: &str) -> &str {
    if let Some(arn) = LambdaArn::parse(text) {
        return arn.name;
    }
    text.split(':').next().filter(|name| !name.is_empty()).unwrap_or(text)
}

fn resource(environment: &str, class: &str, name: &str, kind: ResourceKind, system: &str) -> ResourceNode {
    let id = NodeId(xxh3_64(format!("resource\u{1f}{environment}\u{1f}{class}\u{1f}{name}").as_bytes()));
    ResourceNode { id, name: name.into(), kind, system: system.into() }
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

fn inbound_touch(environment: &str, attributes: &Attributes) -> Option<Touch> {
    let node = match attributes.text(Attribute::FaasTrigger) {
        Some("timer") => {
            resource(environment, "schedule", attributes.text(Attribute::FaasCron)?, ResourceKind::Schedule, "")
        }
        Some("datasource") => triggering_store(environment, attributes)?,
        _ => return None,
    };
    Some(Touch { node, kind: EdgeKind::Deliver })
}

fn triggering_store(environment: &str, attributes: &Attributes) -> Option<ResourceNode> {
    if let Some((node, _)) = store(environment, attributes) {
        return Some(node);
    }
    // What kind of store a collection stands in is not said, so the system stays empty and any other span decides.
    let collection = attributes.text(Attribute::FaasDocumentCollection)?;
    Some(resource(environment, "store", collection, ResourceKind::Bucket, ""))
}

fn store<'a>(environment: &str, attributes: &'a Attributes) -> Option<(ResourceNode, &'a str)> {
    let method = attributes.text(Attribute::RpcMethod).unwrap_or_default();
    if let Some(bucket) = attributes.text(Attribute::S3Bucket) {
        return Some((resource(environment, "store", bucket, ResourceKind::Bucket, "aws.s3"), method));
    }
    let operation = attributes.text(Attribute::DbOperation).unwrap_or(method);
    if let Some(tables) = attributes.text(Attribute::DynamodbTableNames) {
        let table = tables.split(',').next().unwrap_or(tables);
        return Some((resource(environment, "store", table, ResourceKind::Table, "aws.dynamodb"), operation));
    }
    let system = attributes.text(Attribute::DbSystem)?;
    let (namespace, collection) = (attributes.text(Attribute::DbNamespace), attributes.text(Attribute::DbCollection));
    let node = match (namespace, collection) {
        (_, Some(table)) if system.ends_with("dynamodb") => {
            resource(environment, "store", table, ResourceKind::Table, "aws.dynamodb")
        }
        (namespace, Some(collection)) => {
            let class = format!("store\u{1f}{system}\u{1f}{}", namespace.unwrap_or_default());
            resource(environment, &class, collection, ResourceKind::Table, system)
        }
        (Some(namespace), None) => {
            resource(environment, &format!("store\u{1f}{system}"), namespace, ResourceKind::Database, system)
        }
        (None, None) => resource(environment, "store", system, ResourceKind::Database, system),
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
    use crate::attribute::Value;

    fn attributes(pairs: &[(&str, &str)]) -> Attributes {
        let mut attributes = Attributes::default();
        for (key, value) in pairs {
            attributes.insert(key, Value::Text((*value).into()));
        }
        attributes
    }

    fn id(pairs: &[(&str, &str)]) -> (NodeId, String) {
        let function = identify(&attributes(pairs), &Attributes::default()).0;
        (function.id, function.name.to_string())
    }

    #[test]
    fn an_arn_is_cut_to_the_function() {
        let plain = id(&[("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:resize")]);
        let alias = id(&[("cloud.resource_id", "arn:aws:lambda:eu-west-1:123456789012:function:resize:live")]);
        let old_key = id(&[("faas.id", "arn:aws:lambda:eu-west-1:123456789012:function:resize:7")]);
        let parts = id(&[
            ("faas.name", "resize"),
            ("cloud.provider", "aws"),
            ("cloud.region", "eu-west-1"),
            ("cloud.account.id", "123456789012"),
            ("service.name", "images"),
        ]);
        assert_eq!(plain.1, "resize");
        assert_eq!(plain, alias);
        assert_eq!(plain, old_key);
        assert_eq!(plain, parts);
    }

    #[test]
    fn the_environment_keeps_functions_apart() {
        let production = id(&[("service.name", "api"), ("deployment.environment.name", "production")]);
        let old_key = id(&[("service.name", "api"), ("deployment.environment", "production")]);
        let staging = id(&[("service.name", "api"), ("deployment.environment.name", "staging")]);
        assert_eq!(production, old_key);
        assert_ne!(production.0, staging.0);
        assert_eq!(staging.1, "api");
    }

    #[test]
    fn an_unknown_service_is_known_by_its_instance() {
        let one = id(&[("service.name", "unknown_service:node"), ("service.instance.id", "1")]);
        let two = id(&[("service.name", "unknown_service:node"), ("service.instance.id", "2")]);
        assert_ne!(one.0, two.0);
        assert_eq!(id(&[]).1, UNKNOWN_SERVICE);
    }

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
