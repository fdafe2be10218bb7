//! The attributes that the analyzer reads, each with the keys it goes by in the field.
//!
//! The semantic conventions renamed many of them, and exporters of every age are in use: the newest key wins when
//! several stand on one span. Keys that are not listed here are not kept.

use std::{fmt, sync::LazyLock};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

macro_rules! attributes {
    ($($(#[$doc:meta])* $name:ident = [$($key:literal),+ $(,)?];)+) => {
        /// What an attribute means, whatever its key was.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Attribute {
            $($(#[$doc])* $name,)+
        }

        /// Each meaning with its keys, the newest first.
        const KEYS: &[(Attribute, &[&str])] = &[$((Attribute::$name, &[$($key),+]),)+];
    };
}

attributes! {
    /// Name of the service.
    ServiceName = ["service.name"];
    /// Namespace of the service.
    ServiceNamespace = ["service.namespace"];
    /// Instance of the service.
    ServiceInstanceId = ["service.instance.id"];
    /// The environment: production, staging and so on.
    Environment = ["deployment.environment.name", "deployment.environment"];
    /// Cloud provider.
    CloudProvider = ["cloud.provider"];
    /// Cloud platform.
    CloudPlatform = ["cloud.platform"];
    /// Cloud region.
    CloudRegion = ["cloud.region"];
    /// Cloud account.
    CloudAccountId = ["cloud.account.id"];
    /// Id of the function at its cloud: an ARN or a URI.
    CloudResourceId = ["cloud.resource_id", "faas.id"];
    /// Log groups of a Lambda function.
    LogGroupNames = ["aws.log.group.names"];
    /// Name of the machine or the container.
    HostName = ["host.name"];
    /// Namespace of a Kubernetes cluster.
    KubernetesNamespace = ["k8s.namespace.name"];
    /// Name of the SDK that made the spans.
    SdkName = ["telemetry.sdk.name"];
    /// Language of the SDK that made the spans.
    SdkLanguage = ["telemetry.sdk.language"];
    /// Platform of the browser that made the spans.
    BrowserPlatform = ["browser.platform", "browser.brands"];
    /// Name of a Cloudflare worker.
    CloudflareScriptName = ["cloudflare.script_name"];
    /// Name of the function.
    FaasName = ["faas.name"];
    /// Version of the function.
    FaasVersion = ["faas.version", "service.version"];
    /// Id of the run; on a client span the id of the run that it caused.
    FaasInvocationId = ["faas.invocation_id", "faas.execution"];
    /// Id of a request to AWS; the id of the run where the request is one.
    AwsRequestId = ["aws.request_id", "aws.requestId", "aws.request.id"];
    /// Name of the function that a client span invokes.
    FaasInvokedName = ["faas.invoked_name"];
    /// Region of the function that a client span invokes.
    FaasInvokedRegion = ["faas.invoked_region"];
    /// Provider of the function that a client span invokes.
    FaasInvokedProvider = ["faas.invoked_provider"];
    /// Instance of the function that ran.
    FaasInstance = ["faas.instance"];
    /// True for the first run of an instance.
    FaasColdstart = ["faas.coldstart"];
    /// Memory of an instance, bytes; MiB in old versions of the conventions.
    FaasMaxMemory = ["faas.max_memory"];
    /// Kind of error that a span ended with.
    ErrorType = ["error.type", "exception.type"];
    /// What a failed span says of its error.
    StatusDescription = ["otel.status_description"];
    /// Status of an answer; kept only where it is 429, because nearly every request has one and no other says anything
    /// that the kind of span and its error do not.
    HttpStatus = ["http.response.status_code", "http.status_code"];
    /// What triggered the run.
    FaasTrigger = ["faas.trigger"];
    /// Collection of a data-source trigger: a bucket or a table.
    FaasDocumentCollection = ["faas.document.collection"];
    /// Object of a data-source trigger.
    FaasDocumentName = ["faas.document.name"];
    /// Schedule of a timer trigger.
    FaasCron = ["faas.cron"];
    /// ARN by which a Lambda function was called.
    LambdaInvokedArn = ["aws.lambda.invoked_arn"];
    /// What made a segment of X-Ray, such as `AWS::Lambda::Function`.
    XrayOrigin = ["aws.xray.origin"];
    /// Messaging system.
    MessagingSystem = ["messaging.system"];
    /// Queue or topic.
    MessagingDestination = [
        "messaging.destination.name",
        "messaging.destination",
        "messaging.destination_publish.name",
        "messaging.kafka.topic",
    ];
    /// Partition of a topic.
    MessagingPartition = [
        "messaging.destination.partition.id",
        "messaging.kafka.destination.partition",
        "messaging.kafka.source.partition",
        "messaging.kafka.partition",
    ];
    /// Place of a message in its partition.
    KafkaOffset = ["messaging.kafka.offset", "messaging.kafka.message.offset"];
    /// What is done to the message.
    MessagingOperation = ["messaging.operation.type", "messaging.operation"];
    /// Id of the message.
    MessageId = ["messaging.message.id", "messaging.message_id"];
    /// Id of the conversation that the message belongs to.
    ConversationId =
        ["messaging.message.conversation_id", "messaging.conversation_id", "messaging.message.correlation_id"];
    /// What the work is about: an id that its author gives it, or a hash of the message's body.
    EntityId = ["loopscope.entity.id", "messaging.message.body.hash"];
    /// Messages of a batch.
    BatchMessageCount = ["messaging.batch.message_count"];
    /// URL of an SQS queue.
    SqsQueueUrl = ["aws.sqs.queue.url", "aws.queue.url"];
    /// ARN of an SNS topic.
    SnsTopicArn = ["aws.sns.topic.arn"];
    /// Name of a Kinesis stream.
    KinesisStreamName = ["aws.kinesis.stream_name"];
    /// Name of an S3 bucket.
    S3Bucket = ["aws.s3.bucket"];
    /// Key of an object.
    S3Key = ["aws.s3.key"];
    /// Version of an object.
    S3Version = ["aws.s3.version_id", "aws.s3.versionId", "aws.s3.object.version_id"];
    /// Hash of what an object holds.
    S3Etag = ["aws.s3.etag", "aws.s3.e_tag", "aws.s3.object.etag"];
    /// Place of a write among the writes of an object.
    S3Sequencer = ["aws.s3.sequencer", "aws.s3.object.sequencer"];
    /// Names of DynamoDB tables.
    DynamodbTableNames = ["aws.dynamodb.table_names"];
    /// Key of a row of a DynamoDB table.
    DynamodbKey = ["aws.dynamodb.key"];
    /// Place of a change in the stream of a table.
    DynamodbSequence = ["aws.dynamodb.sequence_number", "aws.dynamodb.stream.sequence_number"];
    /// Address that is called.
    UrlFull = ["url.full", "http.url"];
    /// Path that is called.
    UrlPath = ["url.path", "http.target"];
    /// Port that is called.
    ServerPort = ["server.port", "net.peer.port", "net.sock.peer.port"];
    /// Method of a request.
    HttpMethod = ["http.request.method", "http.method"];
    /// Route of a request that is handled.
    HttpRoute = ["http.route"];
    /// Database system.
    DbSystem = ["db.system.name", "db.system"];
    /// Database.
    DbNamespace = ["db.namespace", "db.name"];
    /// Table or collection.
    DbCollection = ["db.collection.name", "db.sql.table", "db.mongodb.collection", "db.cosmosdb.container"];
    /// What is done to the database.
    DbOperation = ["db.operation.name", "db.operation"];
    /// RPC service.
    RpcService = ["rpc.service"];
    /// RPC method.
    RpcMethod = ["rpc.method"];
}

static BY_KEY: LazyLock<FxHashMap<&'static str, (Attribute, u8)>> = LazyLock::new(|| {
    KEYS.iter().flat_map(|(attribute, keys)| (0..).zip(*keys).map(|(rank, key)| (*key, (*attribute, rank)))).collect()
});

impl Attribute {
    /// What the key means, and how new it is: 0 for the current key, larger for older ones.
    pub fn of(key: &str) -> Option<(Self, u8)> {
        BY_KEY.get(key).copied()
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Text; lists of text are joined by commas.
    Text(Box<str>),
    /// A whole number.
    Int(i64),
    /// True or false.
    Bool(bool),
}

/// The known attributes of a span or a resource.
#[derive(Clone, Default)]
pub struct Attributes(SmallVec<[(Attribute, u8, Value); 4]>);

impl Attributes {
    /// Adds the value of a key; keys that the analyzer does not know are ignored, and a newer key replaces an older.
    pub fn insert(&mut self, key: &str, value: Value) {
        if let Some((attribute, rank)) = Attribute::of(key) {
            self.insert_known(attribute, rank, value);
        }
    }

    /// Adds a value whose key was looked up with [`Attribute::of`].
    pub fn insert_known(&mut self, attribute: Attribute, rank: u8, value: Value) {
        if attribute == Attribute::HttpStatus && !is_too_many(&value) {
            return;
        }
        match self.0.iter_mut().find(|(known, ..)| *known == attribute) {
            Some(slot) if slot.1 > rank => *slot = (attribute, rank, value),
            Some(_) => {}
            None => self.0.push((attribute, rank, value)),
        }
    }

    /// All values, each with the key that it came under.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.0.iter().filter_map(|(attribute, rank, value)| {
            let (_, keys) = KEYS.iter().find(|(known, _)| known == attribute)?;
            Some((*keys.get(usize::from(*rank))?, value))
        })
    }

    /// All values, each with what it means.
    pub(crate) fn known(&self) -> impl Iterator<Item = (Attribute, &Value)> {
        self.0.iter().map(|(attribute, _, value)| (*attribute, value))
    }

    /// The value, if it was given.
    pub fn get(&self, attribute: Attribute) -> Option<&Value> {
        self.0.iter().find(|(known, ..)| *known == attribute).map(|(.., value)| value)
    }

    /// The value as text, if it is text and not empty.
    pub fn text(&self, attribute: Attribute) -> Option<&str> {
        match self.get(attribute)? {
            Value::Text(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    /// The value as a number; digits count, because exporters write numbers as text.
    pub fn number(&self, attribute: Attribute) -> Option<i64> {
        match self.get(attribute)? {
            Value::Int(number) => Some(*number),
            Value::Text(text) => text.parse().ok(),
            Value::Bool(_) => None,
        }
    }

    /// The value as a truth; the words "true" and "false" count, because exporters write them.
    pub fn truth(&self, attribute: Attribute) -> Option<bool> {
        match self.get(attribute)? {
            Value::Bool(truth) => Some(*truth),
            Value::Text(text) if text.eq_ignore_ascii_case("true") => Some(true),
            Value::Text(text) if text.eq_ignore_ascii_case("false") => Some(false),
            _ => None,
        }
    }
}

/// True for the status 429, too many requests.
fn is_too_many(status: &Value) -> bool {
    match status {
        Value::Int(number) => *number == 429,
        Value::Text(text) => &**text == "429",
        Value::Bool(_) => false,
    }
}

impl fmt::Debug for Attributes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(attribute, _, value)| (attribute, value))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_key_wins_in_any_order() {
        let text = |t: &str| Value::Text(t.into());
        for order in [
            ["messaging.destination.name", "messaging.destination"],
            ["messaging.destination", "messaging.destination.name"],
        ] {
            let mut attributes = Attributes::default();
            for key in order {
                attributes.insert(key, text(key));
            }
            assert_eq!(attributes.text(Attribute::MessagingDestination), Some("messaging.destination.name"));
        }
    }

    #[test]
    fn no_key_has_two_meanings() {
        let keys: usize = KEYS.iter().map(|(_, keys)| keys.len()).sum();
        assert_eq!(BY_KEY.len(), keys);
    }
}
