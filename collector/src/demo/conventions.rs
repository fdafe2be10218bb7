//! What the spans carry: the semantic conventions of OpenTelemetry, as functions on AWS use them.
//!
//! Each function here describes one operation; who runs it and how long it takes is told elsewhere.

use opentelemetry::{Array, KeyValue, StringValue, Value, trace::SpanKind};
use opentelemetry_sdk::Resource;

/// The region of all functions.
pub(super) const REGION: &str = "eu-central-1";

/// The account of all functions: the one of the documentation.
const ACCOUNT: &str = "123456789012";

/// An operation: what a span says but for its times and its causes.
pub(super) struct Operation {
    pub(super) name: String,
    pub(super) kind: SpanKind,
    pub(super) attributes: Vec<KeyValue>,
}

/// A queue or a topic.
#[derive(Clone, Copy)]
pub(super) enum Channel {
    /// An SQS queue.
    Queue(&'static str),
    /// An SNS topic.
    Topic(&'static str),
}

/// What an exporter knows of its function.
pub(super) fn resource(function: &'static str, memory_mib: i64) -> Resource {
    const MIB: i64 = 1 << 20;
    Resource::builder_empty()
        .with_attributes([
            KeyValue::new("service.name", function),
            KeyValue::new("faas.name", function),
            KeyValue::new("faas.version", "$LATEST"),
            KeyValue::new("faas.instance", format!("2026/01/01/[$LATEST]{:032x}", fastrand::u128(..))),
            KeyValue::new("faas.max_memory", memory_mib * MIB),
            KeyValue::new("cloud.provider", "aws"),
            KeyValue::new("cloud.platform", "aws_lambda"),
            KeyValue::new("cloud.region", REGION),
            KeyValue::new("cloud.account.id", ACCOUNT),
            KeyValue::new("cloud.resource_id", format!("arn:aws:lambda:{REGION}:{ACCOUNT}:function:{function}")),
            KeyValue::new("deployment.environment.name", "demo"),
            KeyValue::new("telemetry.sdk.language", "rust"),
            KeyValue::new("telemetry.sdk.name", "opentelemetry"),
        ])
        .build()
}

/// An id as clouds give them to runs and messages.
pub(super) fn new_id() -> String {
    let hex = format!("{:032x}", fastrand::u128(..));
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

// How a run begins.

/// An HTTP request is handled.
pub(super) fn http(method: &'static str, route: &'static str) -> Operation {
    Operation {
        name: format!("{method} {route}"),
        kind: SpanKind::Server,
        attributes: vec![
            KeyValue::new("faas.trigger", "http"),
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
            KeyValue::new("url.path", route),
            KeyValue::new("url.scheme", "https"),
        ],
    }
}

/// A function is called by another function.
pub(super) fn invoked(function: &'static str) -> Operation {
    Operation {
        name: function.to_owned(),
        kind: SpanKind::Server,
        attributes: vec![KeyValue::new("faas.trigger", "other")],
    }
}

/// A message is handled.
pub(super) fn process(channel: Channel, message_id: &str) -> Operation {
    let mut attributes = messaging(channel, message_id, "process", "process");
    attributes.push(KeyValue::new("faas.trigger", "pubsub"));
    Operation { name: format!("process {}", channel.name()), kind: SpanKind::Consumer, attributes }
}

/// A new object in a bucket is handled.
pub(super) fn object_created(bucket: &'static str, key: &str) -> Operation {
    Operation {
        name: format!("{bucket} ObjectCreated:Put"),
        kind: SpanKind::Server,
        attributes: vec![
            KeyValue::new("faas.trigger", "datasource"),
            KeyValue::new("faas.document.collection", bucket),
            KeyValue::new("faas.document.operation", "insert"),
            KeyValue::new("faas.document.name", key.to_owned()),
        ],
    }
}

/// A schedule has come round.
pub(super) fn timer(function: &'static str, cron: &'static str) -> Operation {
    Operation {
        name: function.to_owned(),
        kind: SpanKind::Server,
        attributes: vec![KeyValue::new("faas.trigger", "timer"), KeyValue::new("faas.cron", cron)],
    }
}

// What a run does.

/// Sends a message.
pub(super) fn send(channel: Channel, message_id: &str) -> Operation {
    let call = match channel {
        Channel::Queue(_) => "SendMessage",
        Channel::Topic(_) => "Publish",
    };
    Operation {
        name: format!("send {}", channel.name()),
        kind: SpanKind::Producer,
        attributes: messaging(channel, message_id, "send", call),
    }
}

/// Writes an object.
pub(super) fn put_object(bucket: &'static str, key: &str) -> Operation {
    object("PutObject", bucket, key)
}

/// Reads an object.
pub(super) fn get_object(bucket: &'static str, key: &str) -> Operation {
    object("GetObject", bucket, key)
}

/// Writes a row.
pub(super) fn put_item(table: &'static str) -> Operation {
    rows("PutItem", table)
}

/// Reads rows.
pub(super) fn query(table: &'static str) -> Operation {
    rows("Query", table)
}

/// Calls a function by the API of the cloud and waits.
pub(super) fn invoke(function: &'static str) -> Operation {
    let mut operation = aws("Lambda", "Invoke");
    operation.attributes.extend([
        KeyValue::new("faas.invoked_name", function),
        KeyValue::new("faas.invoked_provider", "aws"),
        KeyValue::new("faas.invoked_region", REGION),
    ]);
    operation
}

/// Calls something by HTTP and waits.
pub(super) fn request(method: &'static str, host: &'static str, path: &'static str) -> Operation {
    Operation {
        name: method.to_owned(),
        kind: SpanKind::Client,
        attributes: vec![
            KeyValue::new("http.request.method", method),
            KeyValue::new("url.full", format!("https://{host}{path}")),
            KeyValue::new("server.address", host),
            KeyValue::new("server.port", 443),
        ],
    }
}

fn aws(service: &'static str, method: &'static str) -> Operation {
    Operation {
        name: format!("{service}.{method}"),
        kind: SpanKind::Client,
        attributes: vec![
            KeyValue::new("rpc.system", "aws-api"),
            KeyValue::new("rpc.service", service),
            KeyValue::new("rpc.method", method),
            KeyValue::new("aws.request_id", new_id()),
        ],
    }
}

fn object(method: &'static str, bucket: &'static str, key: &str) -> Operation {
    let mut operation = aws("S3", method);
    operation.attributes.extend([KeyValue::new("aws.s3.bucket", bucket), KeyValue::new("aws.s3.key", key.to_owned())]);
    operation
}

fn rows(method: &'static str, table: &'static str) -> Operation {
    let mut operation = aws("DynamoDB", method);
    operation.attributes.extend([
        KeyValue::new("db.system.name", "aws.dynamodb"),
        KeyValue::new("db.operation.name", method),
        KeyValue::new("db.collection.name", table),
        KeyValue::new("aws.dynamodb.table_names", Value::Array(Array::String(vec![StringValue::from(table)]))),
        KeyValue::new("server.address", format!("dynamodb.{REGION}.amazonaws.com")),
    ]);
    operation
}

fn messaging(channel: Channel, message_id: &str, kind: &'static str, call: &'static str) -> Vec<KeyValue> {
    let (system, at) = match channel {
        Channel::Queue(name) => (
            "aws_sqs",
            KeyValue::new("aws.sqs.queue.url", format!("https://sqs.{REGION}.amazonaws.com/{ACCOUNT}/{name}")),
        ),
        Channel::Topic(name) => {
            ("aws.sns", KeyValue::new("aws.sns.topic.arn", format!("arn:aws:sns:{REGION}:{ACCOUNT}:{name}")))
        }
    };
    vec![
        KeyValue::new("messaging.system", system),
        KeyValue::new("messaging.destination.name", channel.name()),
        KeyValue::new("messaging.operation.type", kind),
        KeyValue::new("messaging.operation.name", call),
        KeyValue::new("messaging.message.id", message_id.to_owned()),
        at,
    ]
}

impl Channel {
    fn name(self) -> &'static str {
        match self {
            Self::Queue(name) | Self::Topic(name) => name,
        }
    }
}
