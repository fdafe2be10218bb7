//! The demo against a small OTLP sink, over real sockets.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use axum::{Router, body::Bytes, extract::State, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value},
    trace::v1::span::SpanKind,
};
use prost::Message as _;
use tokio::{net::TcpListener, task::JoinHandle};
use tonic::transport::{Server, server::TcpIncoming};

use super::{exporter::Transport, *};

/// No test waits longer than this for anything.
const DEADLINE: Duration = Duration::from_secs(60);

type SpanKey = (Vec<u8>, Vec<u8>);

/// What is needed of a span.
struct Seen {
    service: String,
    transport: Transport,
    parent: Option<SpanKey>,
    links: Vec<SpanKey>,
    kind: SpanKind,
    is_entry: bool,
    attributes: BTreeSet<String>,
}

/// Everything that arrived.
#[derive(Clone, Default)]
struct Sink(Arc<Mutex<BTreeMap<SpanKey, Seen>>>);

impl Sink {
    fn take(&self, request: ExportTraceServiceRequest, transport: Transport) {
        let mut seen = self.0.lock().unwrap();
        for resource_spans in request.resource_spans {
            let resource = resource_spans.resource.unwrap_or_default().attributes;
            let service = text(&resource, "service.name").expect("every function has a name");
            for key in ["faas.name", "cloud.resource_id", "cloud.region", "deployment.environment.name"] {
                assert!(text(&resource, key).is_some(), "{service} lacks {key}");
            }
            for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                assert!(span.end_time_unix_nano >= span.start_time_unix_nano);
                let parent = (!span.parent_span_id.is_empty()).then(|| (span.trace_id.clone(), span.parent_span_id));
                let record = Seen {
                    service: service.clone(),
                    transport,
                    parent,
                    links: span.links.into_iter().map(|link| (link.trace_id, link.span_id)).collect(),
                    kind: SpanKind::try_from(span.kind).unwrap(),
                    is_entry: span.attributes.iter().any(|a| a.key == "faas.invocation_id"),
                    attributes: span.attributes.into_iter().map(|attribute| attribute.key).collect(),
                };
                seen.insert((span.trace_id, span.span_id), record);
            }
        }
    }

    fn read<T>(&self, question: impl FnOnce(&BTreeMap<SpanKey, Seen>) -> T) -> T {
        question(&self.0.lock().unwrap())
    }

    /// Runs of this function on the causal path to this span, itself included; parents and links are causes.
    fn depth<'a>(seen: &'a BTreeMap<SpanKey, Seen>, mut at: &'a SpanKey, service: &str) -> usize {
        let mut depth = 0;
        while let Some(span) = seen.get(at) {
            depth += usize::from(span.is_entry && span.service == service);
            match span.parent.as_ref().or(span.links.first()) {
                Some(cause) => at = cause,
                None => break,
            }
        }
        depth
    }

    fn deepest(&self, service: &str) -> usize {
        self.read(|seen| {
            let entries = seen.iter().filter(|(_, span)| span.is_entry && span.service == service);
            entries.map(|(key, _)| Self::depth(seen, key, service)).max().unwrap_or_default()
        })
    }

    async fn until(&self, what: &str, mut is_reached: impl FnMut(&Self) -> bool) {
        let reached = tokio::time::timeout(DEADLINE, async {
            let mut tick = tokio::time::interval(Duration::from_millis(50));
            while !is_reached(self) {
                tick.tick().await;
            }
        });
        assert!(reached.await.is_ok(), "not reached: {what}");
    }
}

fn text(attributes: &[KeyValue], key: &str) -> Option<String> {
    let value = attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    match value {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}

#[tonic::async_trait]
impl TraceService for Sink {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        self.take(request.into_inner(), Transport::Grpc);
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn take_http(State(sink): State<Sink>, body: Bytes) -> Bytes {
    sink.take(ExportTraceServiceRequest::decode(body).unwrap(), Transport::Http);
    Bytes::new()
}

/// A running demo.
struct Play {
    sink: Sink,
    shutdown: CancellationToken,
    demo: JoinHandle<Result<Report, DemoError>>,
}

impl Play {
    async fn start(scenario: Scenario, loop_after: Duration) -> Self {
        let sink = Sink::default();
        let grpc = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let http = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let endpoints = Endpoints {
            grpc: format!("http://{}", grpc.local_addr().unwrap()),
            http: format!("http://{}", http.local_addr().unwrap()),
        };
        let service = Server::builder().add_service(TraceServiceServer::new(sink.clone()));
        tokio::spawn(service.serve_with_incoming(TcpIncoming::from(grpc)));
        let app = Router::new().route("/v1/traces", post(take_http)).with_state(sink.clone());
        tokio::spawn(async move { axum::serve(http, app).await });
        let shutdown = CancellationToken::new();
        let demo = tokio::spawn(run(endpoints, scenario, loop_after, shutdown.clone()));
        Self { sink, shutdown, demo }
    }

    async fn stop(self) -> (Sink, Report) {
        self.shutdown.cancel();
        let report = tokio::time::timeout(DEADLINE, self.demo).await.expect("the demo does not stop");
        (self.sink, report.unwrap().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_export_by_both_transports_and_a_loop_gets_deeper() {
    let play = Play::start(Scenario::BucketLoop, Duration::ZERO).await;
    let expected = [
        ("authorize-request", Transport::Grpc),
        ("list-pages", Transport::Grpc),
        ("login", Transport::Grpc),
        ("notify-followers", Transport::Http),
        ("one-time-password", Transport::Http),
        ("orders-api", Transport::Http),
        ("send-welcome-mail", Transport::Http),
        ("sign-up", Transport::Grpc),
        ("subscribe", Transport::Grpc),
        ("thumbnail", Transport::Http),
        ("track-events", Transport::Http),
        ("upload-file", Transport::Grpc),
    ];
    play.sink
        .until("every function exports by its transport", |sink| {
            let seen: BTreeSet<_> = sink.read(|seen| {
                seen.values().map(|span| (span.service.clone(), span.transport == Transport::Grpc)).collect()
            });
            seen == expected
                .iter()
                .map(|(name, transport)| ((*name).to_owned(), *transport == Transport::Grpc))
                .collect()
        })
        .await;
    play.sink.until("the loop gets deeper", |sink| sink.deepest("thumbnail") >= 6).await;
    play.sink.until("all pages are read", |sink| sink.deepest("list-pages") == 5).await;

    let (sink, report) = play.stop().await;
    assert_eq!(report, Report::default());
    assert_eq!(sink.deepest("list-pages"), 5, "recursion ends after five pages");
    assert_eq!(sink.deepest("track-events"), 1);
    sink.read(|seen| {
        let of = |service| seen.values().filter(move |span| span.service == service && span.is_entry);
        assert!(of("thumbnail").all(|span| span.parent.is_none() && span.links.len() == 1));
        assert!(of("thumbnail").all(|span| span.attributes.contains("faas.document.collection")));
        assert!(of("subscribe").all(|span| span.kind == SpanKind::Consumer && span.links.len() == 1));
        assert!(of("orders-api").all(|span| span.parent.is_some() && span.links.is_empty()));
        assert!(seen.values().all(|span| !span.is_entry || span.attributes.contains("faas.coldstart")));
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_fan_out_loop_grows_and_stays_bounded() {
    let play = Play::start(Scenario::FanOutLoop, Duration::ZERO).await;
    play.sink.until("the loop gets deeper", |sink| sink.deepest("notify-followers") >= 7).await;
    let (sink, report) = play.stop().await;
    assert_eq!(report, Report::default());
    sink.read(|seen| {
        let mut width: BTreeMap<usize, usize> = BTreeMap::new();
        for (key, span) in seen.iter().filter(|(_, span)| span.is_entry && span.service == "notify-followers") {
            assert!(span.links.len() <= 1);
            *width.entry(Sink::depth(seen, key, "notify-followers")).or_default() += 1;
        }
        assert!(width[&3] >= 4, "runs double: {width:?}");
        assert!(width.values().all(|runs| *runs <= 64), "the total is bounded: {width:?}");
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_batches_are_counted() {
    let door = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let endpoint = format!("http://{}", door.local_addr().unwrap());
    let shutdown = CancellationToken::new();
    let endpoints = Endpoints { grpc: endpoint.clone(), http: endpoint };
    let demo = tokio::spawn(run(endpoints, Scenario::BucketLoop, DEADLINE, shutdown.clone()));
    // The door opens once, shuts in the face of whoever came, and is gone.
    let knocked = tokio::time::timeout(DEADLINE, door.accept()).await.expect("nobody exports").unwrap();
    drop((door, knocked));
    shutdown.cancel();
    let report = tokio::time::timeout(DEADLINE, demo).await.expect("the demo does not stop").unwrap().unwrap();
    assert!(report.batches_lost > 0);
}

#[tokio::test]
async fn an_endpoint_that_is_no_url_is_an_error() {
    let endpoints = Endpoints { grpc: "not a url".to_owned(), http: "http://127.0.0.1:9".to_owned() };
    let error = run(endpoints, Scenario::BucketLoop, DEADLINE, CancellationToken::new()).await.unwrap_err();
    assert!(error.to_string().contains("gRPC"), "{error}");
}
