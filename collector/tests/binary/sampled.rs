//! Input that was sampled counts for what it stands for, and every answer says so.

use std::time::Duration;

use serde_json::{Value, json};

use super::support::{
    otlp::{Story, post_well},
    server::Server,
    webhook::{Receiver, SECRET},
};

/// Half of all traces are kept.
const HALF: &str = "vendor=1,ot=rv:cdef0123456789;th:8";
/// A tenth is.
const TENTH: &str = "ot=th:e666666666666a";

fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    list.as_array().unwrap().iter().find(|found| found["name"] == name).unwrap()
}

#[test]
fn sampled_counts_are_adjusted_and_say_so() {
    let server = Server::start(&[]);
    post_well(server.otlp_http, &Story::parse(&"order -> stock\n".repeat(10)).with_trace_state(HALF).request());
    post_well(server.otlp_http, &Story::parse(&"whole -> stock\n".repeat(10)).request());
    server.caught_up();
    let graph = server.get_json("/api/v1/graph");
    let counts = |name| {
        let function = named(&graph["functions"], name);
        (function["invocations"].as_u64().unwrap(), function["sampling_probability"].as_f64())
    };
    assert_eq!((counts("order"), counts("whole")), ((20, Some(0.5)), (10, None)));
    // Twenty were kept, ten of which stand for two.
    let (invocations, kept) = counts("stock");
    assert!(invocations == 30 && (kept.unwrap() - 20.0 / 30.0).abs() < 1e-9, "{kept:?}");
    let call = |source| {
        let id = &named(&graph["functions"], source)["id"];
        let edges = graph["edges"].as_array().unwrap();
        let edge = edges.iter().find(|edge| edge["source"] == *id).unwrap();
        (edge["calls"].clone(), edge["sampling_probability"].clone())
    };
    assert_eq!((call("order"), call("whole")), ((json!(20), json!(0.5)), (json!(10), Value::Null)));
    assert!(named(&graph["functions"], "order")["rate_per_second"].as_f64() > Some(0.0));
}

#[test]
fn a_sampled_loop_is_told_with_what_sampling_hides() {
    let target = Receiver::open();
    let server = Server::start(&["--webhook", &target.url(), "--webhook-secret", SECRET]);
    // Over traces, as if chance had kept all of them: so deep that it would be an alarm without sampling.
    let across = format!("mailer{}", " ~> mailer".repeat(30));
    post_well(server.otlp_http, &Story::parse(&across).with_trace_state(TENTH).request());
    let hidden = server.loop_of(&["mailer"], 30);
    assert_eq!((&hidden["assessment"], &hidden["alarm_depth"]), (&json!("unremarkable"), &Value::Null));
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() / expected - 1.0).abs() < 2e-3;
    assert!(
        near(&hidden["next_lap_sampling_probability"], 0.1) && near(&hidden["sampling_probability"], 0.01),
        "{hidden}"
    );
    // Within a trace all laps are there, whatever else is not.
    let within = format!("pages{}", " -> pages".repeat(18));
    post_well(server.otlp_http, &Story::parse(&within).with_trace_state(TENTH).request());
    let alert = target.message("loop.opened", &["pages"], Duration::from_secs(10));
    let told = &alert.body["data"]["loop"];
    assert_eq!((&told["max_depth"], &told["alarm_depth"], &told["laps"]), (&json!(18), &json!(18), &json!(180)));
    assert!(near(&told["sampling_probability"], 0.1) && told["next_lap_sampling_probability"].is_null(), "{told}");
    let summary = alert.body["data"]["summary"].as_str().unwrap();
    assert!(summary.ends_with("Traces are sampled: 1 in 10 laps was kept, and the numbers are adjusted."), "{summary}");
    assert_eq!(target.types(), ["loop.opened"], "of the hidden one nobody is told");
}

#[test]
fn a_span_that_stands_for_too_many_is_counted_in_the_status() {
    let server = Server::start(&[]);
    post_well(server.otlp_http, &Story::parse("rare").with_trace_state("ot=th:ffffffffffffff").request());
    assert_eq!(server.caught_up()["sampling_clipped"], 1);
    assert_eq!(named(&server.get_json("/api/v1/graph")["functions"], "rare")["invocations"], 65_536);
}
