//! The exporters that people have, against the real binary: the SDKs of Python and Node.js, the instrumentations of AWS
//! Lambda and Google's functions framework, each over every protocol that it has.
//!
//! The programs are in `python/` and `node/`; each says what its exporters were given, and the tests say what must have
//! come of it. `.ci/exporters` installs what they need into `target/exporters`; where that is missing, the tests are
//! skipped and say so. `rust.rs` is the SDK of Rust, and `readme.rs` runs the commands of README. What OTLP wants of the doors is proven in `../conformance/`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../support/root.rs"]
#[expect(dead_code, reason = "what only the other tests of the binary need")]
mod support;

mod language;
mod readme;
mod rust;

use serde_json::{Value, json};

use self::language::{Language, Sent};
use support::server::Server;

/// Runs a program of one language over each of its protocols, with a server for each.
fn each(language: Language, program: &str, check: impl Fn(&Server, &Sent)) {
    if !language.is_installed() {
        return;
    }
    for protocol in language.protocols() {
        let server = Server::start(&[]);
        let sent = language.run(program, *protocol, &server);
        println!("{language:?} {program} {protocol:?}: {sent:?}");
        let status = server.caught_up();
        let received = ["spans_received", "log_records_received", "data_points_received"].map(|name| &status[name]);
        assert_eq!(received.map(Value::as_u64), [sent.spans, sent.logs, sent.points].map(Some), "{status}");
        assert_eq!([&status["spans_rejected"], &status["spans_mended"]], [0, 0], "{status}");
        check(&server, &sent);
    }
}

/// The functions by name, with their invocations and cold starts, once all spans have been taken in.
fn functions(server: &Server) -> Value {
    let graph = server.get_json("/api/v1/graph");
    let mut functions: Vec<Value> = graph["functions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| json!([it["name"], it["kind"], it["invocations"], it["cold_starts"]]))
        .collect();
    functions.sort_by_key(Value::to_string);
    json!(functions)
}

/// Who calls, publishes to and is delivered by whom, and how often.
fn edges(server: &Server) -> Value {
    let graph = server.get_json("/api/v1/graph");
    let nodes: Vec<&Value> =
        ["functions", "resources"].iter().flat_map(|list| graph[list].as_array().unwrap()).collect();
    let name = |id: &Value| &nodes.iter().find(|node| node["id"] == *id).unwrap()["name"];
    let mut edges: Vec<Value> = graph["edges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|edge| json!([name(&edge["source"]), edge["kind"], name(&edge["target"]), edge["calls"]]))
        .collect();
    edges.sort_by_key(Value::to_string);
    json!(edges)
}

/// Two calls deep, a queue, and a batch of two messages that links to those who sent them.
fn plain_sdk(server: &Server, sent: &Sent) {
    let wanted =
        json!([["checkout", "aws_lambda", 1, 1], ["mailer", "aws_lambda", 1, 0], ["payment", "aws_lambda", 1, 0]]);
    assert_eq!(functions(server), wanted);
    let wanted = json!([
        ["checkout", "call", "payment", 1],
        ["checkout", "publish", "receipts", 2],
        ["receipts", "deliver", "mailer", 1]
    ]);
    assert_eq!(edges(server), wanted);
    let [shopping, mailing] = [0, 1].map(|number| server.get_json(&format!("/api/v1/traces/{}", sent.traces[number])));
    assert_eq!((&shopping["spans_total"], &mailing["spans_total"]), (&json!(5), &json!(2)));
    let logs = [&shopping, &mailing].map(|trace| &trace["logs"]);
    let wanted = ["order taken", "receipts sent"].map(|body| (json!(body), json!("INFO")));
    assert_eq!(logs.map(|logs| (logs[0]["body"].clone(), logs[0]["severity"].clone())), wanted);
    let spans = |trace: &Value, name: &str| -> Vec<Value> {
        trace["spans"].as_array().unwrap().iter().filter(|span| span["name"] == name).cloned().collect()
    };
    let senders = spans(&shopping, "send receipts").into_iter().map(|span| span["span_id"].clone());
    let links = spans(&mailing, "process receipts")[0]["links"].as_array().unwrap().clone();
    assert!(links.iter().all(|link| link["trace_id"] == *sent.traces[0]), "{links:?}");
    let mut linked: Vec<Value> = links.into_iter().map(|link| link["span_id"].clone()).collect();
    let mut senders: Vec<Value> = senders.collect();
    linked.sort_by_key(Value::to_string);
    senders.sort_by_key(Value::to_string);
    assert_eq!(linked, senders);
}

/// One function, though the instrumentation of Node.js names it by the ARN of an alias; a batch, an object, a request.
fn lambda(server: &Server, cold_starts: u64) {
    let wanted = json!([["thumbnails", "aws_lambda", 3, cold_starts], ["uploads", "aws_lambda", 1, 0]]);
    assert_eq!(functions(server), wanted);
    let wanted = json!([
        ["raw", "deliver", "thumbnails", 1],
        ["uploads", "call", "thumbnails", 1],
        ["uploads", "publish", "raw", 2]
    ]);
    assert_eq!(edges(server), wanted);
}

/// A run whose cause, the service that sent the event, exports nothing.
fn framework(server: &Server, sent: &Sent) {
    assert_eq!(functions(server), json!([["resizer", "gcp_cloud_run", 1, 0]]));
    let trace = server.get_json(&format!("/api/v1/traces/{}", sent.traces[0]));
    let span = &trace["spans"][0];
    assert_eq!((&span["kind"], &span["parent_span_id"]), (&json!("server"), &json!("b7ad6b7169203331")), "{trace}");
}

#[test]
fn python_sdk() {
    each(Language::Python, "functions", plain_sdk);
}

#[test]
fn python_on_aws_lambda() {
    each(Language::Python, "lambda_function", |server, _| lambda(server, 0));
}

#[test]
fn python_functions_framework() {
    each(Language::Python, "framework", framework);
}

#[test]
fn node_sdk() {
    each(Language::Node, "functions", plain_sdk);
}

#[test]
fn node_on_aws_lambda() {
    each(Language::Node, "lambda_function", |server, _| lambda(server, 1));
}

#[test]
fn node_functions_framework() {
    each(Language::Node, "framework", framework);
}
