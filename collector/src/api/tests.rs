//! The service as a whole: each endpoint, the guard, the page, and the stream over a socket.

use std::{
    collections::BTreeMap,
    io::Read as _,
    net::SocketAddr,
    time::{Duration, SystemTime},
};

use axum::{
    body::{Body, to_bytes},
    http::{HeaderMap, Method, Request, StatusCode},
};
use loopscope_analyzer::{
    attribute::{Attributes, Value as AttributeValue},
    config::Config,
    detect::change::{Aspect, Change, Direction, Level, SeriesKey, Subject},
    engine::Engine,
    identity::Resource,
    measured::Measured,
    snapshot::{Background, EdgeKind, NodeId},
    span::{ArrivalTime, EventTime, Span as AnalyzerSpan, SpanId, SpanKind, TraceId},
};
use loopscope_proto::v1;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tower::ServiceExt as _;

use super::*;
use crate::{clock, counters::Counters};

const F: &str = "000000000000000f";
const Q: &str = "00000000000000aa";
const TRACE: &str = "0101010101010101010101010101010a";

const ASSETS: &[Asset] = &[
    Asset {
        path: "index.html",
        content_type: "text/html; charset=utf-8",
        immutable: false,
        plain: b"<!doctype html>",
        gzip: b"gz",
        brotli: b"br",
    },
    Asset {
        path: "loopscope-3f2a.wasm",
        content_type: "application/wasm",
        immutable: true,
        plain: b"\0asm",
        gzip: b"",
        brotli: b"br-wasm",
    },
];

fn view() -> View {
    let function = |id: &str| v1::Function {
        id: id.to_owned(),
        name: "resize".to_owned(),
        aliases: vec!["00000000000000a1".to_owned()],
        ..Default::default()
    };
    let f = NodeId(15);
    let trace = TraceId::from_hex(TRACE).unwrap();
    View {
        graph: v1::Graph { functions: vec![function(F)], ..Default::default() },
        backgrounds: BTreeMap::from([(f, Background::default())]),
        loops: vec![v1::Loop { id: "ab".repeat(16), state: v1::LoopState::Growing.into(), ..Default::default() }],
        anomalies: vec![v1::Anomaly { kind: "orphan".to_owned(), count: 1, ..Default::default() }],
        hotspots: v1::HotspotList {
            hotspots: vec![v1::Hotspot { rank: 1, ..Default::default() }],
            ..Default::default()
        },
        node_exemplars: BTreeMap::from([(f, vec![trace]), (NodeId(170), vec![])]),
        edge_exemplars: BTreeMap::from([((f, NodeId(170)), vec![trace])]),
        ..View::default()
    }
}

/// Before that, a function ran that is not on the map.
const YESTERDAY: Duration = Duration::from_secs(86_000);

/// What was measured of one run of a function.
fn ran_yesterday() -> Measured {
    let now = ArrivalTime(clock::unix_nanos());
    let mut attributes = Attributes::default();
    attributes.insert("service.name", AttributeValue::Text("retired".into()));
    let mut engine = Engine::new(&Config::for_capture(1), 1);
    let run = AnalyzerSpan {
        trace_id: TraceId([1; 16]),
        span_id: SpanId([1; 8]),
        parent_span_id: None,
        kind: SpanKind::Server,
        name: "handle".into(),
        start: EventTime(now.0),
        end: EventTime(now.0 + 1_000_000),
        error: false,
        resource: Resource::new(attributes),
        attributes: Attributes::default(),
        links: Vec::new(),
        sampling: None,
    };
    engine.ingest(now, [run]);
    engine.finish(now);
    engine.aggregate_mut().running().1.clone()
}

/// An edge from the function to a resource became slower an hour ago.
fn slower() -> Change {
    let now = clock::unix_nanos();
    let hour = clock::nanos(Duration::from_secs(3_600));
    let subject = Subject { function: NodeId(15), edge: Some((NodeId(170), EdgeKind::Write)) };
    let level = |p95_ms| Level { samples: 900, p50_ms: 10.0, p95_ms, share: 0.0 };
    Change {
        series: SeriesKey { subject, aspect: Aspect::Duration },
        direction: Direction::Regression,
        since: ArrivalTime(now - hour),
        found: ArrivalTime(now - hour / 2),
        until: Some(ArrivalTime(now - hour / 4)),
        settled: None,
        before: level(20.0),
        after: level(40.0),
        confidence: 0.999,
        version: Some(("7".into(), EventTime(now - hour - 1))),
    }
}

/// A service over fixed sources, and the sender of its views.
fn stage(assets: &'static [Asset]) -> (ApiState, watch::Sender<Arc<View>>) {
    let (views, view) = watch::channel(Arc::new(view()));
    let counters = Arc::new(Counters::default());
    counters.journal_position.set(7);
    counters.engine_position.set(5);
    let status = Arc::new(StatusSource {
        counters,
        started_at: SystemTime::UNIX_EPOCH + Duration::from_secs(1),
        otlp_grpc: "127.0.0.1:4317".to_owned(),
        otlp_http: "127.0.0.1:4318".to_owned(),
    });
    let state = ApiState {
        live: Live::new(view.clone(), Arc::clone(&status)),
        view,
        status,
        traces: Arc::new(|id| match id.0[15] {
            last @ (0x0a | 0x0d) => {
                let spans = vec![(Arc::default(), Span { span_id: vec![1; 8], kind: 2, ..Span::default() })];
                Ok(TraceSpans { spans, truncated: last == 0x0d })
            }
            0x0b => Err("disk on fire".into()),
            0x0c => panic!("the journal panics"),
            _ => Ok(TraceSpans::default()),
        }),
        logs: Arc::new(|_, _| Ok(FoundLogs::default())),
        identify: Arc::new(|_, _| Identity::of(NodeId(15), "resize".into())),
        changes: Arc::new(|| Arc::new(vec![slower()])),
        windows: Arc::new(|range, now| {
            let measured = if now.since(range.to) < YESTERDAY { Measured::default() } else { ran_yesterday() };
            Ok((measured, range))
        }),
        alerts: Arc::new(|| {
            Ok(v1::AlertList { alerts: vec![v1::AlertRecord { id: "m1".to_owned(), ..Default::default() }] })
        }),
        registry: Arc::new(Registry::open(Arc::new(crate::store::Store::in_memory().unwrap()), Vec::new()).unwrap()),
        ready: Arc::new(|| false),
        hosts: Arc::new(Hosts::new(SocketAddr::from(([127, 0, 0, 1], 4319)), [])),
        assets,
    };
    (state, views)
}

async fn send(request: Request<Body>) -> (StatusCode, HeaderMap, Vec<u8>) {
    let (state, _views) = stage(ASSETS);
    let answer = router(state).oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    (parts.status, parts.headers, to_bytes(body, 1 << 20).await.unwrap().to_vec())
}

fn request(method: Method, path: &str, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder().method(method).uri(path).header("host", "localhost:4319");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::empty()).unwrap()
}

async fn get(path: &str) -> (StatusCode, HeaderMap, Vec<u8>) {
    send(request(Method::GET, path, &[])).await
}

async fn get_json(path: &str) -> Value {
    let (status, headers, body) = get(path).await;
    assert_eq!(status, StatusCode::OK, "{}", String::from_utf8_lossy(&body));
    assert_eq!(headers["content-type"], "application/json");
    assert_eq!(headers["cache-control"], "no-store");
    serde_json::from_slice(&body).unwrap()
}

/// The code and the message of an error.
async fn refused(path: &str, want: StatusCode) -> (String, String) {
    let (status, _, body) = get(path).await;
    assert_eq!(status, want, "{path}");
    let body: Value = serde_json::from_slice(&body).unwrap();
    let text = |field: &str| body["error"][field].as_str().unwrap().to_owned();
    (text("code"), text("message"))
}

#[tokio::test]
async fn functions_that_ran_then_are_told_though_they_are_not_on_the_map() {
    let list = get_json("/api/v1/functions?from=-25h&to=-24h").await;
    let listed: Vec<_> =
        list["functions"].as_array().unwrap().iter().map(|it| (it["name"].clone(), it["is_past"].clone())).collect();
    assert_eq!(listed, [("retired".into(), true.into()), ("resize".into(), false.into())]);
    let path = format!("/api/v1/functions/{}", list["functions"][0]["id"].as_str().unwrap());
    let then = get_json(&format!("{path}?from=-25h&to=-24h")).await;
    assert_eq!(
        (&then["function"]["name"], &then["runs"], &then["is_past"]),
        (&"retired".into(), &1.0.into(), &true.into())
    );
    refused(&path, StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn hotspots_of_a_time_of_which_no_trace_is_kept_are_sums_and_say_so() {
    let sums = get_json("/api/v1/hotspots?from=-2h&to=-1h&limit=7").await;
    assert_eq!((&sums["basis"], &sums["hotspots"]), (&"sums".into(), &serde_json::json!([])));
    assert!(sums["range"]["from"].is_string() && sums["range"]["to"].is_string(), "{sums}");
    for (query, words) in [
        ("limit=0", "from 1 to 1000"),
        ("limit=many", "the parameter limit cannot be read"),
        ("root=cart", "16 hexadecimal digits"),
        ("from=yesterday", "-90m"),
        ("from=-1h&to=-2h", "before to"),
    ] {
        let (status, _, body) = get(&format!("/api/v1/hotspots?{query}")).await;
        let text = String::from_utf8_lossy(&body).into_owned();
        assert!(status == StatusCode::BAD_REQUEST && text.contains(words), "{query}: {status} {text}");
    }
    let (status, _, body) = get("/api/v1/hotspots?root=00000000000000ab").await;
    assert_eq!(status, StatusCode::NOT_FOUND);
    assert!(String::from_utf8_lossy(&body).contains("`roots`"));
}

#[tokio::test]
async fn the_view_is_served() {
    assert_eq!(get_json("/api/v1/graph").await["functions"][0]["name"], "resize");
    assert_eq!(get_json("/api/v1/loops").await["loops"][0]["state"], "growing");
    assert_eq!(get_json("/api/v1/hotspots").await["hotspots"][0]["rank"], 1);
    assert_eq!(get_json("/api/v1/cost").await["edges"], serde_json::json!([]));
    assert_eq!(get_json("/api/v1/anomalies").await["anomalies"][0]["kind"], "orphan");
    let patterns = get_json("/api/v1/patterns?from=-2h&to=-1h").await;
    assert_eq!((&patterns["routers"], &patterns["range"]["seen_seconds"]), (&Value::Array(vec![]), &0.0.into()));
    refused("/api/v1/patterns?to=never", StatusCode::BAD_REQUEST).await;
    assert_eq!(get_json("/api/v1/alerts").await["alerts"][0]["id"], "m1");
    let found = get_json(&format!("/api/v1/loops/{}", "AB".repeat(16))).await;
    assert_eq!(found["id"], "ab".repeat(16));
}

#[tokio::test]
async fn a_function_is_known_by_any_of_its_ids_over_the_time_that_is_asked_for() {
    let found = get_json(&format!("/api/v1/functions/{}?from=-2h&to=-1h", F.to_uppercase())).await;
    assert_eq!((&found["function"]["id"], &found["facts"]["memory_source"]), (&F.into(), &"assumed".into()));
    assert_eq!((&found["time_out"]["confidence"], &found["memory"]), (&"low".into(), &Value::Null));
    assert!(found["range"]["from"].as_str().unwrap() < found["range"]["to"].as_str().unwrap());
    let by_alias = get_json("/api/v1/functions/00000000000000a1").await;
    assert_eq!(by_alias["function"]["name"], "resize");
    let list = get_json("/api/v1/functions").await;
    assert_eq!((&list["functions"][0]["name"], &list["functions_elided"]), (&"resize".into(), &0.into()));
    let (_, message) = refused("/api/v1/functions/nope", StatusCode::NOT_FOUND).await;
    assert!(message.contains("nope") && message.contains("/api/v1/graph"), "{message}");
    let (code, message) = refused(&format!("/api/v1/functions/{F}?from=soon"), StatusCode::BAD_REQUEST).await;
    assert!(code == "bad_request" && message.contains("from"), "{message}");
    refused("/api/v1/functions?from=-1h&to=-2h", StatusCode::BAD_REQUEST).await;
}

#[tokio::test]
async fn changes_are_those_that_lasted_in_the_time_that_is_asked_for() {
    let answer = get_json("/api/v1/changes?from=-20m").await;
    let found = &answer["changes"][0];
    assert_eq!((&found["function"], &found["target"]), (&"resize".into(), &Q.into()), "a name where there is one");
    assert_eq!((&found["aspect"], &found["direction"]), (&"duration".into(), &"regression".into()));
    assert_eq!((&found["after"]["p95_ms"], &found["after"]["share"]), (&40.0.into(), &Value::Null));
    assert_eq!((&found["version"], &found["edge_kind"]), (&"7".into(), &"write".into()));
    for query in ["from=-10m", "from=-3h&to=-2h"] {
        let answer = get_json(&format!("/api/v1/changes?{query}")).await;
        assert_eq!(answer["changes"], Value::Array(Vec::new()), "{query}");
    }
    let (status, _, body) = get("/api/v1/changes?from=tomorrow").await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(String::from_utf8_lossy(&body).contains("from must be"));
}

#[tokio::test]
async fn the_status_has_counters_and_addresses() {
    let status = get_json("/api/v1/status").await;
    assert_eq!((&status["engine_lag_batches"], &status["otlp_http"]), (&2.into(), &"127.0.0.1:4318".into()));
    assert_eq!(status["started_at"], "1970-01-01T00:00:01Z");
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn exemplars_are_found_by_node_and_by_edge() {
    for query in [format!("node={F}"), format!("source={F}&target={Q}")] {
        assert_eq!(get_json(&format!("/api/v1/exemplars?{query}")).await["trace_ids"][0], TRACE);
    }
    let none = get_json(&format!("/api/v1/exemplars?node={Q}")).await;
    assert_eq!(none["trace_ids"].as_array().unwrap().len(), 0);
    for query in ["", "node=xyz", "node=+00000000000000f", &format!("source={F}"), &format!("node={F}&target={Q}")] {
        let (code, _) = refused(&format!("/api/v1/exemplars?{query}"), StatusCode::BAD_REQUEST).await;
        assert_eq!(code, "bad_request", "{query}");
    }
    refused("/api/v1/exemplars?node=0000000000000001", StatusCode::NOT_FOUND).await;
    refused(&format!("/api/v1/exemplars?source={Q}&target={F}"), StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn a_trace_is_read_from_the_journal() {
    let trace = get_json(&format!("/api/v1/traces/{TRACE}")).await;
    assert_eq!((&trace["trace_id"], &trace["spans_total"]), (&TRACE.into(), &1.into()));
    assert_eq!((&trace["spans"][0]["function"], &trace["spans"][0]["entry"]), (&"resize".into(), &true.into()));
    assert_eq!(trace["truncated"], false);
    let cut = get_json(&format!("/api/v1/traces/{}0d", "01".repeat(15))).await;
    assert_eq!((&cut["spans_total"], &cut["truncated"]), (&1.into(), &true.into()));
}

#[tokio::test]
async fn errors_say_what_to_do_and_not_what_is_inside() {
    let (code, message) = refused("/api/v1/traces/xyz", StatusCode::BAD_REQUEST).await;
    assert_eq!(code, "bad_request");
    assert!(message.contains("32 hexadecimal digits"), "{message}");
    let trace = |last: &str| format!("/api/v1/traces/{}{last}", "01".repeat(15));
    refused(&trace("01"), StatusCode::NOT_FOUND).await;
    for broken in ["0b", "0c"] {
        let (code, message) = refused(&trace(broken), StatusCode::INTERNAL_SERVER_ERROR).await;
        assert_eq!(code, "internal");
        assert!(!message.contains("fire") && !message.contains("panic"), "{message}");
    }
    let (_, message) = refused("/api/v1/loops/nope", StatusCode::NOT_FOUND).await;
    assert!(message.contains("nope"), "{message}");
    for path in ["/api", "/api/", "/api/v1", "/api/v1/nope", "/api/v2/graph"] {
        assert_eq!(refused(path, StatusCode::NOT_FOUND).await.0, "not_found");
    }
    refused("/api/v1/loops/%ff", StatusCode::BAD_REQUEST).await;
}

#[tokio::test(start_paused = true)]
async fn only_so_many_answers_are_read_from_disk_at_once() {
    let (mut state, _views) = stage(ASSETS);
    let counters = Arc::clone(&state.status.counters);
    let (release, gate) = std::sync::mpsc::channel::<()>();
    let gate = std::sync::Mutex::new(gate);
    state.alerts = Arc::new(move || {
        gate.lock().unwrap().recv()?;
        Ok(v1::AlertList::default())
    });
    let service = router(state);
    let ask = || service.clone().oneshot(request(Method::GET, "/api/v1/alerts", &[]));
    let readers: Vec<_> = (0..DISK_READERS).map(|_| tokio::spawn(ask())).collect();
    tokio::task::yield_now().await;
    // The reading threads keep the clock of the test from moving by itself.
    let refused = tokio::spawn(ask());
    tokio::task::yield_now().await;
    tokio::time::advance(error::BUSY_AFTER).await;
    assert_eq!(refused.await.unwrap().unwrap().status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(counters.api_busy.get(), 1);
    readers.iter().for_each(|_| release.send(()).unwrap());
    for reader in readers {
        assert_eq!(reader.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_reader_too_many_is_turned_away() {
    let (state, _views) = stage(ASSETS);
    let counters = Arc::clone(&state.status.counters);
    let service = router(state);
    let mut streams = Vec::new();
    loop {
        let answer = service.clone().oneshot(request(Method::GET, "/api/v1/live", &[])).await.unwrap();
        if answer.status() != StatusCode::OK {
            assert_eq!(answer.status(), StatusCode::SERVICE_UNAVAILABLE);
            break;
        }
        streams.push(answer);
        assert!(streams.len() < 1_000);
    }
    assert_eq!((counters.live_readers.get(), counters.live_refused.get()), (streams.len() as u64, 1));
}

#[tokio::test]
async fn methods_that_a_path_does_not_have_are_refused() {
    for path in ["/api/v1/graph", "/api/v1/live", "/healthz", "/map"] {
        let (status, headers, body) = send(request(Method::POST, path, &[("content-type", "application/json")])).await;
        assert_eq!(status, StatusCode::METHOD_NOT_ALLOWED, "{path}");
        assert_eq!(headers["allow"], "GET,HEAD", "{path}");
        assert_eq!(serde_json::from_slice::<Value>(&body).unwrap()["error"]["code"], "method_not_allowed");
    }
}

#[tokio::test]
async fn foreign_names_are_refused_but_health_is_told_to_anybody() {
    for (path, want) in [
        ("/", StatusCode::FORBIDDEN),
        ("/api/v1/graph", StatusCode::FORBIDDEN),
        ("/api/v1/live", StatusCode::FORBIDDEN),
        ("/healthz", StatusCode::OK),
        ("/readyz", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let request = Request::builder().uri(path).header("host", "evil.example").body(Body::empty()).unwrap();
        assert_eq!(send(request).await.0, want, "{path}");
    }
    let nameless = Request::builder().uri("/api/v1/graph").body(Body::empty()).unwrap();
    assert_eq!(send(nameless).await.0, StatusCode::FORBIDDEN);
    let by_authority =
        Request::builder().uri("http://evil.example/").header("host", "localhost").body(Body::empty()).unwrap();
    assert_eq!(send(by_authority).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn changing_requests_need_json() {
    let changing = [(Method::POST, "/api/v1/intended"), (Method::DELETE, "/api/v1/intended/x")];
    for kind in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/x-www-form-urlencoded")]] {
        for (method, path) in changing.clone() {
            assert_eq!(send(request(method, path, kind)).await.0, StatusCode::UNSUPPORTED_MEDIA_TYPE);
        }
        let unknown = request(Method::POST, "/api/v1/graph", kind);
        assert_eq!(send(unknown).await.0, StatusCode::METHOD_NOT_ALLOWED);
    }
    let json = request(Method::DELETE, "/api/v1/intended/x", &[("content-type", "Application/JSON; charset=utf-8")]);
    assert_eq!(send(json).await.0, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn every_answer_has_the_security_headers() {
    for path in ["/", "/api/v1/graph", "/api/v1/nope", "/healthz", "/loopscope-3f2a.wasm"] {
        let (_, headers, _) = get(path).await;
        assert_eq!(
            headers["content-security-policy"],
            "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; connect-src 'self'; \
             img-src 'self' data:; frame-ancestors 'none'",
        );
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

#[tokio::test]
async fn readiness_follows_the_engine() {
    let (mut state, _views) = stage(ASSETS);
    state.ready = Arc::new(|| true);
    let answer = router(state).oneshot(request(Method::GET, "/readyz", &[])).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(refused("/readyz", StatusCode::SERVICE_UNAVAILABLE).await.0, "not_ready");
}

#[tokio::test]
async fn a_call_that_panics_is_answered_as_calls_are() {
    let (mut state, _views) = stage(ASSETS);
    state.ready = Arc::new(|| panic!("for the test"));
    let call = Request::post("/grpc.health.v1.Health/Check").header("content-type", "application/grpc");
    let answer = router(state).oneshot(call.body(Body::from(vec![0; 5])).unwrap()).await.unwrap();
    assert_eq!((answer.status(), &answer.headers()["grpc-status"]), (StatusCode::OK, &"13".parse().unwrap()));
}

#[tokio::test]
async fn large_answers_are_compressed_when_asked() {
    let (state, views) = stage(ASSETS);
    let functions = (0..100).map(|n| v1::Function { id: format!("{n:016x}"), ..Default::default() }).collect();
    views.send_replace(Arc::new(View { graph: v1::Graph { functions, ..Default::default() }, ..View::default() }));
    let answer =
        router(state).oneshot(request(Method::GET, "/api/v1/graph", &[("accept-encoding", "gzip, br")])).await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&body[..]).read_to_string(&mut text).unwrap();
    let graph: v1::Graph = serde_json::from_str(&text).unwrap();
    assert_eq!(graph.functions.len(), 100);
    let (_, headers, _) = send(request(Method::GET, "/api/v1/hotspots", &[("accept-encoding", "gzip")])).await;
    assert!(headers.get("content-encoding").is_none());
}

#[tokio::test]
async fn the_page_answers_its_addresses() {
    for path in ["/", "/map", "/loops/L-07", "/trace/4f2a?span=91bc"] {
        let (status, headers, body) = get(path).await;
        assert_eq!((status, body.as_slice()), (StatusCode::OK, ASSETS[0].plain), "{path}");
        assert_eq!(
            (&headers["content-type"], &headers["cache-control"]),
            (&"text/html; charset=utf-8".parse().unwrap(), &"no-cache".parse().unwrap())
        );
    }
    refused("/loopscope-0000.wasm", StatusCode::NOT_FOUND).await;
}

#[tokio::test]
async fn files_come_in_the_smallest_form_that_the_reader_takes() {
    let file =
        |path: &'static str, accept: &'static str| send(request(Method::GET, path, &[("accept-encoding", accept)]));
    for (path, accept, encoding, bytes) in [
        ("/", "gzip, deflate, br", Some("br"), &b"br"[..]),
        ("/", "br;q=0, gzip", Some("gzip"), b"gz"),
        ("/", "identity", None, b"<!doctype html>"),
        ("/loopscope-3f2a.wasm", "gzip", None, b"\0asm"),
        ("/loopscope-3f2a.wasm", "br", Some("br"), b"br-wasm"),
    ] {
        let (_, headers, body) = file(path, accept).await;
        assert_eq!(headers.get("content-encoding").map(|value| value.to_str().unwrap()), encoding, "{path} {accept}");
        assert_eq!((body.as_slice(), &headers["vary"]), (bytes, &"accept-encoding".parse().unwrap()));
    }
    let (_, headers, _) = file("/loopscope-3f2a.wasm", "br").await;
    assert_eq!(headers["cache-control"], "public, max-age=31536000, immutable");
}

#[tokio::test]
async fn a_file_that_the_reader_has_is_not_sent_again() {
    let (_, headers, _) = get("/").await;
    let tag = headers["etag"].to_str().unwrap();
    for known in [tag.to_owned(), format!("\"other\", W/{tag}")] {
        let (status, headers, body) = send(request(Method::GET, "/map", &[("if-none-match", &known)])).await;
        assert_eq!((status, body.len()), (StatusCode::NOT_MODIFIED, 0));
        assert_eq!(headers["etag"], tag);
    }
    let (status, ..) = send(request(Method::GET, "/", &[("if-none-match", tag), ("accept-encoding", "br")])).await;
    assert_eq!(status, StatusCode::OK);
}

#[tokio::test]
async fn a_build_without_the_page_says_so() {
    let (state, _views) = stage(&[]);
    let answer = router(state).oneshot(request(Method::GET, "/map", &[])).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/html; charset=utf-8");
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    assert!(String::from_utf8_lossy(&body).contains("LOOPSCOPE_SKIP_UI"));
}

/// A reader of the stream over a socket.
struct SocketReader(BufReader<TcpStream>);

impl SocketReader {
    async fn connect(address: SocketAddr, headers: &str) -> Self {
        let mut socket = TcpStream::connect(address).await.unwrap();
        let request = format!("GET /api/v1/live HTTP/1.1\r\nhost: {address}\r\naccept-encoding: gzip\r\n{headers}\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        Self(BufReader::new(socket))
    }

    /// The next line that starts like this; the test fails when none comes.
    async fn line(&mut self, start: &str) -> String {
        let wait = async {
            loop {
                let mut line = String::new();
                assert_ne!(self.0.read_line(&mut line).await.unwrap(), 0, "the stream ended before {start:?}");
                if let Some(rest) = line.trim_end().strip_prefix(start) {
                    return rest.to_owned();
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap()
    }

    async fn event(&mut self) -> v1::LiveEvent {
        serde_json::from_str(&self.line("data: ").await).unwrap()
    }
}

#[tokio::test]
async fn the_stream_goes_over_a_socket_and_ends_with_the_publisher() {
    let (state, views) = stage(ASSETS);
    let counters = Arc::clone(&state.status.counters);
    tokio::spawn(Arc::clone(&state.live).run());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let server =
        axum::serve(listener, router(state)).with_graceful_shutdown(async { stopped.await.unwrap_or_default() });
    let server = tokio::spawn(async { server.await });

    let mut reader = SocketReader::connect(address, "").await;
    assert_eq!(reader.line("HTTP/1.1 ").await, "200 OK");
    reader.line("content-type: text/event-stream").await;
    let first = reader.event().await;
    assert!(first.snapshot);
    assert_eq!(first.loops.len(), 1);
    assert_eq!(first.status.unwrap().live_readers, 1);

    views.send_modify(|known| Arc::make_mut(known).graph.functions[0].invocations = 9);
    let change = reader.event().await;
    assert_eq!((change.snapshot, change.graph.unwrap().functions[0].invocations), (false, 9));

    let mut back = SocketReader::connect(address, &format!("last-event-id: {}\r\n", first.sequence)).await;
    let missed = back.event().await;
    assert_eq!((missed.snapshot, missed.sequence), (false, first.sequence + 1));
    drop(back);

    drop(views);
    stop.send(()).unwrap();
    tokio::time::timeout(Duration::from_secs(10), server).await.unwrap().unwrap().unwrap();
    assert_eq!(counters.live_readers.get(), 0);
}

/// A body sent as JSON to a service that keeps what it is told.
async fn change(service: &Router, method: Method, path: &str, body: &str) -> (StatusCode, Value) {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = request.header("content-type", "application/json").body(Body::from(body.to_owned())).unwrap();
    let answer = service.clone().oneshot(request).await.unwrap();
    let status = answer.status();
    let body = to_bytes(answer.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

#[tokio::test]
async fn loops_are_declared_listed_and_withdrawn() {
    let (state, _views) = stage(ASSETS);
    let lessons = state.registry.lessons();
    let service = router(state);
    let path = "/api/v1/intended";
    let wanted = r#"{"functions": ["crawl"], "max_depth": 20, "owner": "media", "expires": "2100-01-01T00:00:00Z"}"#;
    let (status, answer) = change(&service, Method::POST, path, wanted).await;
    assert_eq!((status, &answer["source"], &answer["is_expired"]), (StatusCode::OK, &"api".into(), &false.into()));
    assert_eq!(lessons.declared.borrow().len(), 1);
    let id = answer["id"].as_str().unwrap();
    let (_, listed) = change(&service, Method::GET, path, "").await;
    assert_eq!(listed["intended"][0], answer);
    for (body, status, words) in [
        (r#"{"functions": ["crawl"]}"#, StatusCode::BAD_REQUEST, "max_depth"),
        ("{", StatusCode::BAD_REQUEST, "JSON"),
        (r#"{"functions": "crawl"}"#, StatusCode::BAD_REQUEST, "functions"),
        (&format!("[{}]", " ".repeat(70_000)), StatusCode::PAYLOAD_TOO_LARGE, "length"),
    ] {
        let (found, answer) = change(&service, Method::POST, path, body).await;
        assert_eq!(found, status, "{answer}");
        assert!(answer["error"]["message"].as_str().unwrap().contains(words), "{answer}");
    }
    let gone = format!("{path}/{id}");
    let (status, left) = change(&service, Method::DELETE, &gone, "").await;
    assert_eq!((status, left["intended"].as_array().unwrap().len()), (StatusCode::OK, 0));
    assert_eq!(change(&service, Method::DELETE, &gone, "").await.0, StatusCode::NOT_FOUND);
    assert!(lessons.declared.borrow().is_empty());
}

#[tokio::test]
async fn changes_need_json_and_a_name_of_this_server() {
    let forms = [("content-type", "text/plain")];
    let (status, ..) = send(request(Method::POST, "/api/v1/intended", &forms)).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let foreign = Request::builder().method(Method::DELETE).uri("/api/v1/intended/x").header("host", "evil.example");
    let foreign = foreign.header("content-type", "application/json").body(Body::empty()).unwrap();
    assert_eq!(send(foreign).await.0, StatusCode::FORBIDDEN);
}

#[tokio::test]
async fn a_verdict_is_said_of_a_known_loop_and_taken_back() {
    let (state, _views) = stage(ASSETS);
    let lessons = state.registry.lessons();
    let service = router(state);
    let known = format!("/api/v1/loops/{}/verdict", "ab".repeat(16));
    let (status, answer) = change(&service, Method::POST, &known, r#"{"verdict": "expected", "max_depth": 9}"#).await;
    assert_eq!((status, &answer["verdict"], &answer["max_depth"]), (StatusCode::OK, &"expected".into(), &9.into()));
    let (_, listed) = change(&service, Method::GET, "/api/v1/verdicts", "").await;
    assert_eq!(listed["verdicts"][0], answer);
    assert_eq!(lessons.verdicts.borrow().len(), 1);
    for (path, body, status) in [
        (known.clone(), r#"{"verdict": "fine"}"#, StatusCode::BAD_REQUEST),
        (format!("/api/v1/loops/{}/verdict", "cd".repeat(16)), r#"{"verdict": "runaway"}"#, StatusCode::NOT_FOUND),
        ("/api/v1/loops/7/verdict".to_owned(), r#"{"verdict": "runaway"}"#, StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(change(&service, Method::POST, &path, body).await.0, status, "{path} {body}");
    }
    assert_eq!(change(&service, Method::POST, &known, r#"{"verdict": "clear"}"#).await.0, StatusCode::OK);
    assert!(lessons.verdicts.borrow().is_empty());
}
