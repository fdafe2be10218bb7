//! Writes one invocation as its function's exporter would: an entry span, what it sends, and what carries the cause.
//!
//! The attributes are those of the OpenTelemetry semantic conventions for functions, messages and stores as current
//! instrumentations write them. What ties a caller to what it caused depends on the [`Context`]:
//!
//! ```text
//!   context      call, invoke               queue                      bucket, table
//!   parent       parent span                parent span                parent span
//!   link         link of the entry          link of the consumer       link of the entry
//!   message id   request id                 message id                 key and version
//!   key only     name of the function       destination, conversation  key
//!   none         -                          -                          -
//! ```

use std::sync::Arc;

use loopscope_analyzer::{
    attribute::{Attributes, Value},
    identity::Resource,
    span::{EventTime, Span, SpanId, SpanKind, SpanLink, TraceId},
};

use crate::{
    knobs::Context,
    scenario::{Hop, Trigger},
};

/// Objects whose key begins so trigger the function of a bucket that filters.
pub const TRIGGER_PREFIX: &str = "in/";

/// A function as its exporter sees it.
#[derive(Clone, Debug)]
pub struct Exporter {
    /// Its name.
    pub name: Arc<str>,
    /// What its spans are stamped with.
    pub resource: Arc<Resource>,
    /// Its clock minus the true time, nanoseconds.
    pub skew: i64,
}

/// What one invocation leaves for another: everything that some context may carry.
#[derive(Clone, Debug)]
pub struct Sent {
    /// The sending span.
    pub trace_id: TraceId,
    /// The sending span.
    pub span_id: SpanId,
    /// Id of the message or request.
    pub message: Arc<str>,
    /// Key of the object or row.
    pub key: Arc<str>,
    /// The conversation that it belongs to, when the functions name one.
    pub conversation: Option<Arc<str>>,
    /// Where it is sent: the name of a queue, a bucket, a table, a schedule or a function.
    pub destination: Arc<str>,
    /// When it was sent, nanoseconds of true time.
    pub at: u64,
}

/// How an invocation was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// From outside.
    Outside(Trigger),
    /// By another function.
    Hop(Hop),
}

/// One span to be written, in true time.
pub struct Draft<'a> {
    /// Its function.
    pub by: &'a Exporter,
    /// Its trace.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Its parent.
    pub parent: Option<SpanId>,
    /// Its kind.
    pub kind: SpanKind,
    /// When it began, nanoseconds of true time.
    pub start: u64,
    /// When it ended, nanoseconds of true time.
    pub end: u64,
    /// True when it failed.
    pub error: bool,
}

/// The resource of a function at one version.
pub fn resource(name: &str, version: &str, memory_mb: u32) -> Arc<Resource> {
    let mut attributes = Attributes::default();
    for (key, value) in [
        ("service.name", name),
        ("faas.name", name),
        ("faas.version", version),
        ("cloud.provider", "aws"),
        ("cloud.platform", "aws_lambda"),
        ("cloud.region", "eu-west-1"),
        ("cloud.account.id", "123456789012"),
        ("deployment.environment.name", "production"),
    ] {
        attributes.insert(key, text(value));
    }
    attributes.insert("faas.max_memory", Value::Int(i64::from(memory_mb) << 20));
    Resource::new(attributes)
}

/// What an entry needs to be written besides its draft.
pub struct Entry<'a> {
    /// How it was started.
    pub start: Start,
    /// How causes are told.
    pub context: Context,
    /// What it was started by; several for a batch.
    pub causes: &'a [&'a Sent],
    /// Its request id.
    pub request: &'a str,
    /// True for the first run of an instance.
    pub cold: bool,
    /// The id for the consumer span, where there is one.
    pub consumer: SpanId,
}

/// Writes the entry of an invocation: its server span, and below it a consumer span where a queue started it.
pub fn entry(draft: &Draft<'_>, entry: &Entry<'_>, into: &mut Vec<Span>) {
    let mut attributes = Attributes::default();
    attributes.insert("faas.invocation_id", text(entry.request));
    if entry.cold {
        attributes.insert("faas.coldstart", Value::Bool(true));
    }
    attributes.insert("faas.trigger", text(trigger_word(entry.start)));
    let first = entry.causes.first();
    let tells_place = entry.context != Context::None;
    let mut name = draft.by.name.to_string();
    let mut links = Vec::new();
    match (entry.start, first) {
        (Start::Outside(Trigger::Timer), _) => attributes.insert("faas.cron", text("rate(1 minute)")),
        (Start::Hop(Hop::Bucket | Hop::Table), Some(sent)) if tells_place => {
            attributes.insert("faas.document.collection", text(&sent.destination));
            attributes.insert("faas.document.operation", text("insert"));
            attributes.insert("faas.document.name", text(&sent.key));
            if entry.context == Context::MessageId {
                attributes.insert("aws.s3.version_id", text(&sent.message));
            }
        }
        (Start::Hop(Hop::Call), _) => {
            name = format!("POST /{}", draft.by.name);
            attributes.insert("http.request.method", text("POST"));
        }
        _ => {}
    }
    let is_message = entry.start == Start::Hop(Hop::Queue);
    if entry.context == Context::Link && !is_message {
        links.extend(entry.causes.iter().map(|sent| link(sent)));
    }
    into.push(span(draft, name, attributes, links));
    if is_message {
        consumers(draft, entry, into);
    }
}

/// The spans that handle messages below a server span: one for the batch, or one for each message where ids differ.
fn consumers(server: &Draft<'_>, entry: &Entry<'_>, into: &mut Vec<Span>) {
    let Some(first) = entry.causes.first() else { return };
    let parts = if entry.context == Context::MessageId { entry.causes.len() } else { 1 };
    let length = server.end.saturating_sub(server.start) / parts as u64;
    for part in 0..parts {
        let mut attributes = Attributes::default();
        attributes.insert("messaging.system", text("aws_sqs"));
        attributes.insert("messaging.operation.type", text("process"));
        let mut name = "process".to_owned();
        if entry.context != Context::None {
            attributes.insert("messaging.destination.name", text(&first.destination));
            name = format!("process {}", first.destination);
        }
        if entry.context == Context::MessageId {
            attributes.insert("messaging.message.id", text(&entry.causes[part].message));
        }
        if let (Context::KeyOnly, [sent]) = (entry.context, entry.causes) {
            name_conversation(&mut attributes, sent);
        }
        attributes.insert("messaging.batch.message_count", Value::Int(entry.causes.len() as i64));
        let mut span_id = entry.consumer;
        span_id.0[1] ^= part as u8;
        let start = server.start + length * part as u64;
        let draft = Draft {
            parent: Some(server.span_id),
            span_id,
            kind: SpanKind::Consumer,
            start,
            end: start + length * 9 / 10,
            ..*server
        };
        let links = match entry.context {
            Context::Link => entry.causes.iter().map(|sent| link(sent)).collect(),
            _ => Vec::new(),
        };
        into.push(span(&draft, name, attributes, links));
    }
}

/// Writes the span by which a function starts another, or sends something that starts nothing.
pub fn outbound(draft: &Draft<'_>, hop: Hop, context: Context, sent: &Sent) -> Span {
    let mut attributes = Attributes::default();
    let mut set = |key, value: &str| attributes.insert(key, text(value));
    let tells_place = context != Context::None;
    let (kind, name) = match hop {
        Hop::Call | Hop::Invoke => {
            if hop == Hop::Invoke {
                set("rpc.system.name", "aws-api");
                set("rpc.method", "Invoke");
            } else {
                set("http.request.method", "POST");
            }
            if tells_place {
                set("faas.invoked_name", &sent.destination);
                set("faas.invoked_provider", "aws");
                set("faas.invoked_region", "eu-west-1");
            }
            if context == Context::MessageId {
                set("aws.request_id", &sent.message);
            }
            (SpanKind::Client, if hop == Hop::Invoke { "Lambda.Invoke" } else { "POST" })
        }
        Hop::Queue => {
            set("messaging.system", "aws_sqs");
            set("messaging.operation.type", "send");
            if tells_place {
                set("messaging.destination.name", &sent.destination);
            }
            if context == Context::MessageId {
                set("messaging.message.id", &sent.message);
            }
            (SpanKind::Producer, "send")
        }
        Hop::Bucket => {
            set("rpc.system.name", "aws-api");
            set("rpc.method", "S3/PutObject");
            if tells_place {
                set("aws.s3.bucket", &sent.destination);
                set("aws.s3.key", &sent.key);
            }
            if context == Context::MessageId {
                set("aws.s3.version_id", &sent.message);
            }
            (SpanKind::Client, "S3.PutObject")
        }
        Hop::Table => {
            set("db.system.name", "aws.dynamodb");
            set("db.operation.name", "PutItem");
            if tells_place {
                set("aws.dynamodb.table_names", &sent.destination);
                set("db.collection.name", &sent.destination);
                set("aws.dynamodb.key", &sent.key);
            }
            (SpanKind::Client, "DynamoDB.PutItem")
        }
        Hop::Schedule => {
            set("rpc.system.name", "aws-api");
            set("rpc.method", "Scheduler/CreateSchedule");
            if tells_place {
                set("faas.invoked_name", &sent.destination);
                set("faas.invoked_provider", "aws");
            }
            if context == Context::MessageId {
                set("aws.request_id", &sent.message);
            }
            (SpanKind::Client, "Scheduler.CreateSchedule")
        }
    };
    if (hop, context) == (Hop::Queue, Context::KeyOnly) {
        name_conversation(&mut attributes, sent);
    }
    span(&Draft { kind, ..*draft }, name.to_owned(), attributes, Vec::new())
}

/// Writes a read of a table: what most invocations do besides.
pub fn read(draft: &Draft<'_>, table: &str) -> Span {
    let mut attributes = Attributes::default();
    attributes.insert("db.system.name", text("aws.dynamodb"));
    attributes.insert("db.operation.name", text("GetItem"));
    attributes.insert("aws.dynamodb.table_names", text(table));
    span(draft, "DynamoDB.GetItem".to_owned(), attributes, Vec::new())
}

/// Writes a change of one entity: the same row each time.
pub fn update(draft: &Draft<'_>, table: &str, entity: &str) -> Span {
    let mut attributes = Attributes::default();
    attributes.insert("db.system.name", text("aws.dynamodb"));
    attributes.insert("db.operation.name", text("UpdateItem"));
    attributes.insert("aws.dynamodb.table_names", text(table));
    attributes.insert("aws.dynamodb.key", text(entity));
    attributes.insert("messaging.message.conversation_id", text(entity));
    span(draft, "DynamoDB.UpdateItem".to_owned(), attributes, Vec::new())
}

/// Writes an export of telemetry by a client that is traced itself.
pub fn export(draft: &Draft<'_>, address: &str) -> Span {
    let mut attributes = Attributes::default();
    attributes.insert("http.request.method", text("POST"));
    attributes.insert("url.full", text(&format!("http://{address}:4318/v1/traces")));
    attributes.insert("url.path", text("/v1/traces"));
    attributes.insert("server.address", text(address));
    attributes.insert("server.port", Value::Int(4318));
    span(draft, "POST".to_owned(), attributes, Vec::new())
}

/// Writes a span by the clock of its function.
pub(crate) fn span(draft: &Draft<'_>, name: String, attributes: Attributes, links: Vec<SpanLink>) -> Span {
    let clock = |at: u64| EventTime(at.saturating_add_signed(draft.by.skew));
    Span {
        trace_id: draft.trace_id,
        span_id: draft.span_id,
        parent_span_id: draft.parent,
        kind: draft.kind,
        name: name.into_boxed_str(),
        start: clock(draft.start),
        end: clock(draft.end),
        error: draft.error,
        resource: Arc::clone(&draft.by.resource),
        attributes,
        links,
        sampling: None,
    }
}

fn name_conversation(attributes: &mut Attributes, sent: &Sent) {
    if let Some(conversation) = &sent.conversation {
        attributes.insert("messaging.message.conversation_id", text(conversation));
    }
}

fn link(sent: &Sent) -> SpanLink {
    SpanLink { trace_id: sent.trace_id, span_id: sent.span_id, message_id: None }
}

fn trigger_word(start: Start) -> &'static str {
    match start {
        Start::Outside(Trigger::Http) | Start::Hop(Hop::Call) => "http",
        Start::Outside(Trigger::Queue | Trigger::Event) | Start::Hop(Hop::Queue) => "pubsub",
        Start::Outside(Trigger::Timer) | Start::Hop(Hop::Schedule) => "timer",
        Start::Hop(Hop::Bucket | Hop::Table) => "datasource",
        Start::Outside(Trigger::Other) | Start::Hop(Hop::Invoke) => "other",
    }
}

pub(crate) fn text(value: &str) -> Value {
    Value::Text(value.into())
}
