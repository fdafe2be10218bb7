//! The API over gRPC: the same answers as over HTTP, by a client that was made from the schema and by one that only
//! has reflection.

use std::{net::SocketAddr, time::Instant};

use loopscope_proto::v1::{self, loopscope_client::LoopscopeClient};
use prost::Message as _;
use serde_json::Value;
use tokio::{runtime::Runtime, time::timeout};
use tonic::{Code, Status, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient};
use tonic_reflection::pb::v1::{
    ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
    server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
};
use tonic_types::StatusExt as _;

use super::support::{
    DEADLINE, http,
    otlp::{Story, post_well},
    server::{Server, Stop},
    wait_until,
};

const STORY: &str = "upload ~uploads~> thumbnail ~uploads~> thumbnail ~uploads~> thumbnail
                     front -> orders -> stock";

fn runtime() -> Runtime {
    // A thread of its own answers the server's pings while a test does something else.
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

async fn connect(address: SocketAddr) -> Channel {
    Channel::from_shared(format!("http://{address}")).unwrap().connect().await.unwrap()
}

/// Asks until both wires say the same, to the letter: counters move between two questions.
#[track_caller]
fn same<T: serde::Serialize>(server: &Server, path: &str, mut ask: impl FnMut() -> Result<T, Status>) -> Value {
    wait_until(&format!("{path} is the same over both"), DEADLINE, || {
        let told = serde_json::to_string(&ask().unwrap()).unwrap();
        (told == server.get(path).text()).then(|| serde_json::from_str(&told).unwrap())
    })
}

#[test]
fn both_wires_say_the_same() {
    let (server, runtime) = (Server::start(&[]), runtime());
    post_well(server.otlp_http, &Story::parse(STORY).request());
    let found = server.loop_of(&["thumbnail"], 2);
    server.caught_up();
    let id = found["id"].as_str().unwrap().to_owned();
    let mut client = LoopscopeClient::new(runtime.block_on(connect(server.ui)));
    macro_rules! same {
        ($path:expr, $call:ident($request:expr)) => {
            same(&server, $path, || runtime.block_on(client.$call($request.clone())).map(tonic::Response::into_inner))
        };
    }
    let graph = same!("/api/v1/graph", get_graph(v1::GetGraphRequest {}));
    assert_eq!(graph["functions"].as_array().unwrap().len(), 5);
    same!("/api/v1/loops", list_loops(v1::ListLoopsRequest {}));
    same!(&format!("/api/v1/loops/{id}"), get_loop(v1::GetLoopRequest { id: id.clone() }));
    same!(&format!("/api/v1/loops/{id}/laps"), get_laps(v1::GetLapsRequest { id: id.clone() }));
    same!("/api/v1/hotspots", list_hotspots(v1::ListHotspotsRequest::default()));
    same!("/api/v1/anomalies", list_anomalies(v1::ListAnomaliesRequest {}));
    same!("/api/v1/alerts", list_alerts(v1::ListAlertsRequest {}));
    let node = graph["functions"][0]["id"].as_str().unwrap().to_owned();
    let of_node = v1::GetExemplarsRequest { node: Some(node.clone()), ..Default::default() };
    let exemplars = same!(&format!("/api/v1/exemplars?node={node}"), get_exemplars(of_node));
    let trace_id = exemplars["trace_ids"][0].as_str().unwrap().to_owned();
    let of_trace = v1::GetTraceRequest { trace_id: trace_id.clone() };
    same!(&format!("/api/v1/traces/{trace_id}"), get_trace(of_trace));
    let status = runtime.block_on(client.get_status(v1::GetStatusRequest {})).unwrap().into_inner();
    assert_eq!(status.otlp_grpc, server.otlp_grpc.to_string());
}

#[test]
fn what_is_changed_over_one_is_seen_over_the_other() {
    let (server, runtime) = (Server::start(&[]), runtime());
    post_well(server.otlp_http, &Story::parse(STORY).request());
    let found = server.loop_of(&["thumbnail"], 2);
    let mut client = LoopscopeClient::new(runtime.block_on(connect(server.ui)));
    runtime.block_on(async {
        let wanted = v1::Intended { functions: vec!["thumbnail".to_owned()], max_depth: Some(9), ..Default::default() };
        let declared = client.declare_intended(wanted).await.unwrap().into_inner();
        assert_eq!(server.get_json("/api/v1/intended")["intended"], serde_json::json!([declared]));
        let left = client.withdraw_intended(v1::WithdrawIntendedRequest { id: declared.id }).await.unwrap();
        assert!(left.into_inner().intended.is_empty());
        let loop_id = found["id"].as_str().unwrap().to_owned();
        let says = v1::Verdict { loop_id, verdict: "runaway".to_owned(), ..Default::default() };
        let said = client.judge_loop(says).await.unwrap().into_inner();
        assert_eq!(server.get_json("/api/v1/verdicts")["verdicts"], serde_json::json!([said]));
        let listed = client.list_verdicts(v1::ListVerdictsRequest {}).await.unwrap().into_inner();
        assert_eq!(listed.verdicts, [said]);
        assert!(client.list_intended(v1::ListIntendedRequest {}).await.unwrap().into_inner().intended.is_empty());
    });
}

#[test]
fn refusals_have_a_code_a_word_and_a_sentence() {
    let (server, runtime) = (Server::start(&[]), runtime());
    let check = |refused: Status, code: Code, word: &str, words: &str| {
        assert_eq!(refused.code(), code, "{refused}");
        assert_eq!(refused.get_details_error_info().unwrap().reason, word);
        assert!(refused.message().contains(words), "{refused}");
    };
    runtime.block_on(async {
        let mut client = LoopscopeClient::new(connect(server.ui).await);
        let unknown = client.get_loop(v1::GetLoopRequest { id: "nope".to_owned() }).await.unwrap_err();
        check(unknown, Code::NotFound, "not_found", "nope");
        let wrong = client.get_trace(v1::GetTraceRequest { trace_id: "xyz".to_owned() }).await.unwrap_err();
        check(wrong, Code::InvalidArgument, "bad_request", "32 hexadecimal digits");
        let wrong = client.declare_intended(v1::Intended::default()).await.unwrap_err();
        check(wrong, Code::InvalidArgument, "bad_request", "loop_id");
        let large = v1::GetLoopRequest { id: "x".repeat(70_000) };
        assert_eq!(client.get_loop(large).await.unwrap_err().code(), Code::OutOfRange);

        let foreign = Channel::from_shared(format!("http://{}", server.ui)).unwrap();
        let foreign = foreign.origin("http://evil.example".parse().unwrap()).connect().await.unwrap();
        let refused = LoopscopeClient::new(foreign).get_graph(v1::GetGraphRequest {}).await.unwrap_err();
        check(refused, Code::PermissionDenied, "host_not_allowed", "evil.example");
    });
    // What a page could send without asking first is no call.
    let path = "/loopscope.v1.Loopscope/WithdrawIntended";
    for kind in ["text/plain", "application/json", "application/x-www-form-urlencoded"] {
        let answer = http::send(server.ui, "POST", path, &[("content-type", kind)], &[0; 5]).unwrap();
        assert_eq!(answer.status, 415, "{kind}");
        assert_eq!(answer.json()["error"]["code"], "content_type_not_grpc");
    }
}

#[test]
fn the_live_stream_tells_all_then_what_changes_and_ends_with_the_server() {
    let (mut server, runtime) = (Server::start(&[]), runtime());
    let mut client = LoopscopeClient::new(runtime.block_on(connect(server.ui)));
    let mut events = runtime.block_on(client.live(v1::LiveRequest::default())).unwrap().into_inner();
    let mut next = || runtime.block_on(async { timeout(DEADLINE, events.message()).await.unwrap() });
    let first = next().unwrap().unwrap();
    assert!(first.snapshot && first.status.is_some_and(|status| status.live_readers == 1));
    post_well(server.otlp_http, &Story::parse(STORY).request());
    let (started, mut sequence) = (Instant::now(), first.sequence);
    let is_seen = |event: &v1::LiveEvent| event.loops.iter().any(|found| found.functions == ["thumbnail"]);
    loop {
        let event = next().unwrap().unwrap();
        assert_eq!(event.sequence, sequence + 1);
        sequence = event.sequence;
        if is_seen(&event) {
            break;
        }
        assert!(started.elapsed() < DEADLINE, "the loop is not told");
    }
    let missed = v1::LiveRequest { last_sequence: Some(sequence - 1) };
    let mut again = runtime.block_on(client.live(missed)).unwrap().into_inner();
    let missed = runtime.block_on(again.message()).unwrap().unwrap();
    assert_eq!((missed.snapshot, missed.sequence), (false, sequence));
    server.signal(Stop::Kindly);
    while let Some(event) = next().unwrap() {
        assert!(event.sequence > sequence);
    }
    drop((again, client));
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
}

#[test]
fn a_stranger_learns_the_schema_by_reflection() {
    let (server, runtime) = (Server::start(&[]), runtime());
    let ask = |question: MessageRequest| {
        runtime.block_on(async {
            let request = ServerReflectionRequest { host: String::new(), message_request: Some(question) };
            let mut client = ServerReflectionClient::new(connect(server.ui).await);
            let answers = client.server_reflection_info(tokio_stream::once(request)).await.unwrap();
            answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap()
        })
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())) else {
        panic!("no list of services")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for name in ["loopscope.v1.Loopscope", "grpc.health.v1.Health"] {
        assert!(names.contains(&name), "{names:?}");
    }
    let symbol = MessageRequest::FileContainingSymbol("loopscope.v1.Loopscope".to_owned());
    let MessageResponse::FileDescriptorResponse(files) = ask(symbol) else { panic!("no descriptor") };
    let file = prost_types::FileDescriptorProto::decode(files.file_descriptor_proto[0].as_slice()).unwrap();
    assert_eq!(file.name(), "loopscope/v1/api.proto");
    assert!(file.service[0].method.iter().any(|call| call.name() == "Live" && call.server_streaming()));
}

#[test]
fn health_follows_readiness() {
    let (mut server, runtime) = (Server::start(&[]), runtime());
    server.caught_up();
    let mut client = HealthClient::new(runtime.block_on(connect(server.ui)));
    let mut ask = |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        runtime.block_on(client.check(request)).map(|answer| answer.into_inner().status())
    };
    for service in ["", "loopscope.v1.Loopscope"] {
        assert_eq!(ask(service).unwrap(), ServingStatus::Serving);
    }
    assert_eq!(ask("nope").unwrap_err().code(), Code::NotFound);
    let mut changes = runtime.block_on(client.watch(HealthCheckRequest::default())).unwrap().into_inner();
    let mut next = || runtime.block_on(async { timeout(DEADLINE, changes.message()).await.unwrap() });
    assert_eq!(next().unwrap().unwrap().status(), ServingStatus::Serving);
    server.signal(Stop::Kindly);
    assert!(next().unwrap().is_none(), "a watch ends with the server");
    drop(client);
    assert_eq!(server.ended().code(), Some(0), "{}", server.log());
}
