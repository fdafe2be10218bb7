//! The limits that people may set: what lies beyond is counted, and costs nothing else.

use super::support::{
    http::{self, PROTOBUF},
    otlp::{self, Story, text},
    server::{Server, Stop},
};
use opentelemetry_proto::tonic::{collector::trace::v1::ExportTraceServiceResponse, trace::v1::span::Link};
use prost::Message as _;

#[test]
fn items_beyond_the_limit_are_rejected_and_those_accepted_stay_so() {
    let server = Server::start(&["--otlp-max-items", "3"]);
    let mut story = Story::default();
    let runs: Vec<_> = (0..5).map(|_| story.start("busy")).collect();
    let answer = http::send(server.otlp_http, "POST", "/v1/traces", &[PROTOBUF], &story.request().encode_to_vec());
    let answer = answer.unwrap();
    let said = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap().partial_success.unwrap();
    assert_eq!((answer.status, said.rejected_spans), (200, 2));
    assert!(said.error_message.contains("at most 3 spans; send smaller batches"), "{}", said.error_message);
    let found = |server: &Server| {
        let status = server.caught_up();
        let is_found = |trace: String| server.get(&format!("/api/v1/traces/{trace}")).status == 200;
        let found: Vec<bool> = runs.iter().map(|run| is_found(run.trace())).collect();
        (status["spans_analysed"].as_u64().unwrap(), found)
    };
    let accepted = (3, vec![true, true, true, false, false]);
    assert_eq!(found(&server), accepted);
    // Whatever the limit is when they are read again.
    let server = server.restart(Stop::AtOnce, &["--otlp-max-items", "1"]);
    assert_eq!(found(&server), accepted);
    let server = server.restart(Stop::AtOnce, &[]);
    assert_eq!(found(&server), accepted);
}

#[test]
fn attributes_links_and_texts_beyond_the_limit_are_not_read_and_stay_in_the_trace() {
    let server = Server::start(&[
        "--otlp-max-attributes=6",
        "--otlp-max-links=1",
        "--otlp-max-name=64B",
        "--otlp-max-text=256B",
    ]);
    let mut story = Story::default();
    let run = story.start("busy");
    let span = story.edit(&run);
    span.name = "n".repeat(100);
    span.attributes.push(text("faas.name", &"f".repeat(300)));
    span.attributes.extend((0..9).map(|at| text(&format!("own.{at}"), "x")));
    span.links = vec![Link { trace_id: vec![7; 16], span_id: vec![7; 8], ..Default::default() }; 3];
    otlp::post_well(server.otlp_http, &story.request());
    let status = server.caught_up();
    let counted = ["attributes_dropped", "texts_cut", "links_dropped"].map(|counter| status[counter].as_u64().unwrap());
    assert_eq!(counted, [4, 2, 2], "{status}");
    let trace = server.get_json(&format!("/api/v1/traces/{}", run.trace()));
    let span = &trace["spans"][0];
    assert_eq!((&span["name"], span["links"].as_array().map(Vec::len)), (&"n".repeat(100).into(), Some(3)));
    assert_eq!(span["attributes"].as_array().map(Vec::len), Some(10));
}

#[test]
fn functions_beyond_the_limit_are_counted_as_one_other() {
    let server = Server::start(&["--max-functions", "10"]);
    for number in 0..30 {
        otlp::post_well(server.otlp_http, &Story::parse(&format!("function-{number} -> shared")).request());
    }
    server.caught_up();
    let graph = server.until("all runs are counted", "/api/v1/graph", |graph| {
        let functions = graph["functions"].as_array().unwrap();
        let runs: u64 = functions.iter().map(|node| node["invocations"].as_u64().unwrap()).sum();
        (runs == 60).then(|| graph.clone())
    });
    let functions = graph["functions"].as_array().unwrap();
    let other = functions.iter().find(|node| node["name"] == "other").unwrap();
    assert!(functions.len() <= 10 && other["invocations"].as_u64() > Some(10), "{graph}");
    assert!(functions.iter().any(|node| node["name"] == "function-29"), "{graph}");
    let is_apart = |edge: &serde_json::Value| edge["source"] != other["id"] && edge["target"] != other["id"];
    assert!(graph["edges"].as_array().unwrap().iter().all(is_apart));
    assert!(server.get_json("/api/v1/status")["functions_overflowed"].as_u64() >= Some(20));
}
