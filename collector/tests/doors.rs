//! The doors before a journal that a test can break. What OTLP wants of them is proven in `conformance/`, over the
//! binary.

use std::{sync::Arc, time::Duration};

use loopscope_collector::{
    counters::Counters,
    doors::{Admission, Limits, http::router, serve_grpc},
    journal::{Journal, JournalConfig},
};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, trace_service_client::TraceServiceClient},
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message as _;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::Code;
use tonic_types::pb;
use tower::ServiceExt as _;

fn request() -> ExportTraceServiceRequest {
    let spans = vec![Span { trace_id: vec![1; 16], span_id: vec![1; 8], name: "op".into(), ..Default::default() }];
    let scope_spans = vec![ScopeSpans { spans, ..Default::default() }];
    ExportTraceServiceRequest { resource_spans: vec![ResourceSpans { scope_spans, ..Default::default() }] }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_closed_journal_is_said_in_words_that_let_the_sender_try_again() {
    let folder = tempfile::tempdir().unwrap();
    let config = JournalConfig {
        retention: Duration::from_secs(3600),
        max_disk_bytes: 1 << 30,
        segment_age: Duration::from_secs(3600),
        segment_bytes: 64 << 20,
        ephemeral: false,
        commit_delay: Duration::ZERO,
    };
    let counters = Arc::new(Counters::default());
    let journal = Journal::open(folder.path(), config, Arc::clone(&counters)).unwrap();
    let limits = Limits::default();
    let admission = Admission::new(journal.clone(), Arc::clone(&counters), &limits);
    journal.close();

    let post = http::Request::post("/v1/traces").header("content-type", "application/x-protobuf");
    let post = post.body(axum::body::Body::from(request().encode_to_vec())).unwrap();
    let answer = router(admission.clone(), &limits).oneshot(post).await.unwrap();
    assert_eq!(answer.status(), 503);
    let body = axum::body::to_bytes(answer.into_body(), 10_000).await.unwrap();
    assert!(pb::Status::decode(body).unwrap().message.contains("closed"));

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let door = tokio::spawn(serve_grpc(listener, admission, limits, shutdown.clone()));
    let mut client = TraceServiceClient::connect(format!("http://{address}")).await.unwrap();
    let status = client.export(request()).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(counters.spans_received.get(), 0);
    // The open connection does not keep the door from closing.
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(9), door).await.expect("the door closes in time").unwrap();
}
