//! What was acknowledged is there: after a crash, after a stop, after several of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::Write as _,
    net::SocketAddr,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use prost::Message as _;
use serde_json::Value;

use super::support::{
    DEADLINE,
    http::{self, Events, PROTOBUF},
    otlp::{self, Grpc, Run, Story},
    server::{Server, Stop},
    wait_until,
};

/// Exporters of each protocol.
const EXPORTERS: usize = 2;

/// The spans of each acknowledged trace.
type Acknowledged = BTreeMap<String, BTreeSet<String>>;

/// A batch with one trace of a call: caller, client span, callee.
fn batch() -> (Story, Run) {
    let mut story = Story::default();
    let caller = story.start("shop");
    story.call(&caller, "stock");
    (story, caller)
}

fn spans_of(story: &Story) -> BTreeSet<String> {
    let request = story.request();
    let groups = request.resource_spans.iter().flat_map(|group| &group.scope_spans);
    groups.flat_map(|scope| &scope.spans).map(|span| otlp::hex(&span.span_id)).collect()
}

/// Exports until somebody says stop or an export fails, and notes what was acknowledged.
fn load(stop: &AtomicBool, noted: &Mutex<Acknowledged>, count: &AtomicU64, mut export: impl FnMut(&Story) -> bool) {
    while !stop.load(Relaxed) {
        let (story, run) = batch();
        if !export(&story) {
            return;
        }
        noted.lock().unwrap().insert(run.trace(), spans_of(&story));
        count.fetch_add(1, Relaxed);
    }
}

/// Lets exporters of both protocols loose and does something once this many batches are acknowledged.
fn under_load(otlp_http: SocketAddr, otlp_grpc: SocketAddr, batches: u64, then: impl FnOnce()) -> Acknowledged {
    let (stop, count, noted) = (AtomicBool::new(false), AtomicU64::new(0), Mutex::default());
    thread::scope(|scope| {
        let (stop, count, noted) = (&stop, &count, &noted);
        for _ in 0..EXPORTERS {
            scope.spawn(move || {
                load(stop, noted, count, |story| {
                    otlp::post(otlp_http, &story.request()).is_ok_and(|answer| answer.status == 200)
                });
            });
            scope.spawn(move || {
                let mut exporter = Grpc::connect(otlp_grpc);
                load(stop, noted, count, |story| exporter.export(story.request()).is_ok());
            });
        }
        wait_until("enough batches are acknowledged", DEADLINE, || (count.load(Relaxed) >= batches).then_some(()));
        then();
        stop.store(true, Relaxed);
    });
    noted.into_inner().unwrap()
}

#[track_caller]
fn check_all_there(server: &Server, acknowledged: &Acknowledged) {
    server.caught_up();
    for (trace_id, spans) in acknowledged {
        let trace = server.get_json(&format!("/api/v1/traces/{trace_id}"));
        let found: BTreeSet<String> = trace["spans"]
            .as_array()
            .unwrap()
            .iter()
            .map(|span| span["span_id"].as_str().unwrap().to_owned())
            .collect();
        assert!(found.is_superset(spans), "trace {trace_id} has {found:?} and not all of {spans:?}");
    }
    let graph = server.get_json("/api/v1/graph");
    for function in ["shop", "stock"] {
        let is_it = |node: &&Value| node["name"] == function;
        let node = graph["functions"].as_array().unwrap().iter().find(is_it).unwrap();
        let invocations = node["invocations"].as_u64().unwrap();
        assert!(invocations >= acknowledged.len() as u64, "{function}: {invocations} of {}", acknowledged.len());
    }
}

#[test]
fn crashes_lose_nothing_that_was_acknowledged() {
    let mut server = Server::start(&[]);
    let mut acknowledged = Acknowledged::new();
    for batches in [40, 150, 90] {
        let (otlp_http, otlp_grpc) = (server.otlp_http, server.otlp_grpc);
        acknowledged.extend(under_load(otlp_http, otlp_grpc, batches, || server.signal(Stop::AtOnce)));
        server.ended();
        server = server.restart(Stop::AtOnce, &[]);
    }
    assert!(acknowledged.len() >= 280);
    check_all_there(&server, &acknowledged);
}

#[test]
fn a_stop_under_load_is_quick_and_loses_nothing() {
    let mut server = Server::start(&[]);
    let mut events = Events::open(server.ui, "/api/v1/live");
    assert!(events.next().is_some());
    let (otlp_http, otlp_grpc) = (server.otlp_http, server.otlp_grpc);
    // It stops although somebody follows the live stream and exporters keep their connections open.
    let acknowledged = under_load(otlp_http, otlp_grpc, 100, || server.stop(Stop::Kindly));
    while events.next().is_some() {}
    check_all_there(&server.restart(Stop::Kindly, &[]), &acknowledged);
}

#[test]
fn connections_that_say_nothing_do_not_hold_up_a_stop() {
    let mut server = Server::start(&[]);
    let silent = [server.otlp_grpc, server.otlp_http, server.ui].map(|address| http::connect(address).unwrap());
    let mut exporter = Grpc::connect(server.otlp_grpc);
    exporter.export(batch().0.request()).unwrap();
    let started = Instant::now();
    server.stop(Stop::Kindly);
    assert!(started.elapsed() < Duration::from_secs(5), "it took {:?}", started.elapsed());
    drop(silent);
}

#[test]
fn a_request_that_is_under_way_at_the_stop_is_answered_or_refused() {
    let mut server = Server::start(&[]);
    let (story, run) = batch();
    let body = story.request().encode_to_vec();
    let length = body.len().to_string();
    let mut stream = http::connect(server.otlp_http).unwrap();
    let head = http::head(server.otlp_http, "POST", "/v1/traces", &[PROTOBUF, ("content-length", &length)]);
    stream.write_all(head.as_bytes()).unwrap();
    let (first, rest) = body.split_at(body.len() / 2);
    stream.write_all(first).unwrap();
    server.signal(Stop::Kindly);
    wait_until("the door is closed", DEADLINE, || http::connect(server.otlp_http).err());
    let answer = stream.write_all(rest).and_then(|()| http::read_answer(&stream));
    let status = server.ended();
    assert_eq!(status.code(), Some(0), "{}", server.log());
    let server = server.restart(Stop::Kindly, &[]);
    if answer.is_ok_and(|answer| answer.status == 200) {
        check_all_there(&server, &Acknowledged::from([(run.trace(), spans_of(&story))]));
    }
}

#[test]
fn a_folder_belongs_to_one_server() {
    let mut server = Server::start(&[]);
    let second = server.second();
    let (code, said) = super::settings::end_of(second);
    assert!(code.is_some_and(|code| code != 0), "{said}");
    assert!(said.contains("another process") && said.contains("choose another data directory"), "{said}");
    assert!(server.lives());
    let (story, run) = batch();
    otlp::post_well(server.otlp_http, &story.request());
    server.until("found", &format!("/api/v1/traces/{}", run.trace()), |trace| {
        (trace["spans_total"] == story.len()).then_some(())
    });
}

#[test]
fn ephemeral_data_is_gone_with_the_program_and_leaves_durable_data_alone() {
    let server = Server::start(&[]);
    let (kept, kept_run) = batch();
    otlp::post_well(server.otlp_http, &kept.request());
    let server = server.restart(Stop::Kindly, &["--ephemeral"]);
    let (story, run) = batch();
    otlp::post_well(server.otlp_http, &story.request());
    server.caught_up();
    let path = format!("/api/v1/traces/{}", run.trace());
    assert_eq!(server.get(&path).status, 200);
    let server = server.restart(Stop::Kindly, &[]);
    assert_eq!(server.get(&path).status, 404);
    check_all_there(&server, &Acknowledged::from([(kept_run.trace(), spans_of(&kept))]));
}

/// Posts a chain that goes on from a run; returns where it ends.
fn laps(server: &Server, from: Option<Run>, count: usize) -> Run {
    let mut story = Story::default();
    let from = from.unwrap_or_else(|| story.start("echo"));
    let end = story.follow(from, &" ~jobs~> echo".repeat(count));
    otlp::post_well(server.otlp_http, &story.request());
    end
}

/// Deletes all batches of the journal but the last, as if they were older than those that a start reads again.
fn forget_all_but_the_last(server: &Server) {
    let segments = std::fs::read_dir(server.data().join("journal")).unwrap();
    let paths = segments.map(|entry| entry.unwrap().path());
    let mut gone = 0;
    for path in paths.filter(|path| path.extension().is_some_and(|extension| extension == "db")) {
        let segment = rusqlite::Connection::open(path).unwrap();
        let delete = "DELETE FROM batch WHERE position < (SELECT MAX(position) FROM batch)";
        gone += segment.execute(delete, []).unwrap();
    }
    assert!(gone > 0, "there was nothing to forget");
}

#[test]
fn the_engine_goes_on_where_it_was_stopped_without_reading_everything_again() {
    let server = Server::start(&[]);
    let run = laps(&server, None, 15);
    let run = laps(&server, Some(run), 5);
    let before = server.loop_of(&["echo"], 20);
    server.caught_up();
    let mut server = server;
    server.stop(Stop::Kindly);
    forget_all_but_the_last(&server);

    let server = server.restart(Stop::Kindly, &[]);
    server.caught_up();
    let after = server.loop_of(&["echo"], 20);
    for field in ["id", "laps", "chains", "open_chains", "first_seen", "last_seen", "alarm_depth", "exemplar_trace_ids"]
    {
        assert_eq!(after[field], before[field], "{field}");
    }
    // The chain is known by heart: what comes hangs below its end.
    laps(&server, Some(run), 5);
    let longer = server.loop_of(&["echo"], 25);
    assert_eq!((&longer["chains"], &longer["laps"]), (&1.into(), &25.into()));
    server.until("every lap is counted once", "/api/v1/graph", |graph| {
        let echo = graph["functions"].as_array().unwrap().iter().find(|function| function["name"] == "echo")?;
        (echo["invocations"] == 26).then_some(())
    });
}

#[test]
fn a_state_that_cannot_be_read_costs_a_replay_and_nothing_else() {
    let mut server = Server::start(&[]);
    laps(&server, None, 20);
    server.caught_up();
    server.stop(Stop::Kindly);
    let store = rusqlite::Connection::open(server.data().join("state.sqlite")).unwrap();
    assert_eq!(store.execute("UPDATE engine_state SET blob = x'00'", []).unwrap(), 1);
    drop(store);
    let server = server.restart(Stop::Kindly, &[]);
    server.caught_up();
    assert_eq!(server.loop_of(&["echo"], 20)["laps"], 20);
    assert!(server.log().contains("replayed"), "{}", server.log());
}
