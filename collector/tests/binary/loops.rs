//! Loops are found whichever way they go and however the work is split, with the right depth and evidence.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::support::{
    http::Events,
    otlp::{Story, post_well},
    server::Server,
    webhook::{Receiver, SECRET},
};

/// A two-cycle within one trace, one over links and a queue, and a function that triggers itself.
fn stories() -> [Story; 3] {
    [
        Story::parse(&format!("order{}", " -> stock -> order".repeat(9))),
        Story::parse(&format!("upload ~files~> resize{}", " ~done~> publish ~files~> resize".repeat(18))),
        Story::parse(&format!("mailer{}", " ~> mailer".repeat(8))),
    ]
}

/// What must not depend on the number of shards or the order of arrival.
fn essence(found: &Value) -> Value {
    let fields = ["id", "functions", "function_ids", "path", "assessment", "severity", "max_depth", "chains", "laps"];
    fields.into_iter().map(|field| (field.to_owned(), found[field].clone())).collect::<serde_json::Map<_, _>>().into()
}

#[test]
fn shards_and_order_do_not_show() {
    let stories = stories();
    let mut answers = Vec::new();
    for shards in ["1", "2", "4"] {
        let server = Server::start(&["--shards", shards]);
        for story in &stories {
            if shards == "2" {
                story.backwards().for_each(|request| post_well(server.otlp_http, &request));
            } else {
                post_well(server.otlp_http, &story.request());
            }
        }
        server.caught_up();
        let loops = server.get_json("/api/v1/loops");
        answers.push(loops["loops"].as_array().unwrap().iter().map(essence).collect::<Vec<_>>());
    }
    let [by_queue, by_call, by_itself] = answers[0].as_slice() else { panic!("{:?}", answers[0]) };
    assert_eq!(by_queue["functions"], json!(["publish", "resize"]));
    assert_eq!((&by_queue["max_depth"], &by_queue["severity"]), (&18.into(), &"warning".into()));
    assert_eq!(by_queue["path"].as_array().unwrap().len(), 4, "the queues belong to the lap");
    assert_eq!(by_call["functions"], json!(["order", "stock"]));
    assert_eq!((&by_call["max_depth"], &by_call["assessment"]), (&9.into(), &"suspect".into()));
    assert_eq!(by_itself["functions"], json!(["mailer"]));
    assert_eq!((&by_itself["max_depth"], &by_itself["assessment"]), (&8.into(), &"suspect".into()));
    for found in &answers[0] {
        assert_eq!(found["chains"], 1, "{found}");
    }
    assert_eq!(answers[0], answers[1], "two shards and the other order");
    assert_eq!(answers[0], answers[2], "four shards");
}

#[test]
fn a_loop_without_history_is_suspect_at_7_laps_and_an_alarm_at_18() {
    let server = Server::start(&[]);
    let cases = [
        ("six", 6, "unremarkable", "info"),
        ("seven", 7, "suspect", "info"),
        ("seventeen", 17, "suspect", "info"),
        ("eighteen", 18, "alarm", "warning"),
    ];
    for (function, laps, ..) in cases {
        let story = Story::parse(&format!("{function}{}", format!(" ~> {function}").repeat(laps)));
        post_well(server.otlp_http, &story.request());
    }
    server.caught_up();
    for (function, laps, assessment, severity) in cases {
        let found = server.loop_of(&[function], laps as u64);
        assert_eq!((&found["assessment"], &found["severity"]), (&assessment.into(), &severity.into()), "{function}");
        assert_eq!((&found["max_depth"], &found["alarm_depth"]), (&laps.into(), &18.into()));
    }
    server.until("17 of 18 laps were followed", "/api/v1/loops", |list| {
        let loops = list["loops"].as_array().unwrap();
        let r = &loops.iter().find(|found| found["functions"][0] == "eighteen")?["reproduction"];
        (r["low"].as_f64()? > 0.7 && r["mean"].as_f64()? > 0.9 && r["high"].as_f64()? > 0.95).then_some(())
    });
}

#[test]
fn pagination_is_seen_and_nobody_is_woken() {
    let target = Receiver::open();
    let server = Server::start(&["--webhook", &target.url(), "--webhook-secret", SECRET]);
    post_well(server.otlp_http, &Story::parse(&format!("pages{}", " -> pages".repeat(4))).request());
    let pages = server.loop_of(&["pages"], 4);
    assert_eq!(pages["severity"], "info");
    // A real loop comes later; when it was told, the other would have been.
    post_well(server.otlp_http, &Story::parse(&format!("real{}", " ~> real".repeat(18))).request());
    target.message("loop.opened", &["real"], Duration::from_secs(10));
    assert_eq!(target.types(), ["loop.opened"]);
    let alerts = server.get_json("/api/v1/alerts");
    assert_eq!(alerts["alerts"].as_array().unwrap().len(), 1, "{alerts}");
}

#[test]
fn a_loop_has_its_evidence() {
    let server = Server::start(&[]);
    let [by_call, by_queue, _] = stories();
    post_well(server.otlp_http, &by_call.request());
    post_well(server.otlp_http, &by_queue.request());
    let found = server.loop_of(&["order", "stock"], 9);
    for field in ["id", "functions", "function_ids", "state", "severity", "max_depth", "chains", "first_seen"] {
        assert!(!found[field].is_null(), "{field} is missing in {found}");
    }
    assert!(found["first_seen"].as_str().unwrap() < found["last_seen"].as_str().unwrap());
    let alone = server.get_json(&format!("/api/v1/loops/{}", found["id"].as_str().unwrap()));
    assert_eq!(essence(&alone), essence(&found));

    let exemplars = found["exemplar_trace_ids"].as_array().unwrap();
    assert_eq!(exemplars.len(), 1);
    let trace = server.get_json(&format!("/api/v1/traces/{}", exemplars[0].as_str().unwrap()));
    let spans = trace["spans"].as_array().unwrap();
    assert_eq!(spans.len() as u64, by_call.len());
    let entries = |function| spans.iter().filter(move |span| span["function"] == function && span["entry"] == true);
    let laps: Vec<u64> = entries("order").map(|span| span["lap"].as_u64().unwrap()).collect();
    assert_eq!(laps, (0..=9).collect::<Vec<_>>(), "each entry is one lap further");
    assert_eq!(entries("stock").count(), 9);

    // Every lap of the other loop is a trace of its own, and the deepest are shown.
    let found = server.loop_of(&["publish", "resize"], 18);
    let exemplar = found["exemplar_trace_ids"][0].as_str().unwrap();
    let trace = server.get_json(&format!("/api/v1/traces/{exemplar}"));
    assert_eq!(trace["spans"][0]["links"].as_array().unwrap().len(), 1, "{trace}");
}

#[test]
fn the_live_stream_tells_of_a_loop_at_once() {
    let server = Server::start(&[]);
    let mut events = Events::open(server.ui, "/api/v1/live");
    events.patience(Duration::from_secs(5));
    let first = events.next().unwrap();
    assert_eq!(first["snapshot"], true, "{first}");
    let started = Instant::now();
    post_well(server.otlp_http, &Story::parse(&format!("echo{}", " ~> echo".repeat(18))).request());
    let found = loop {
        let event = events.next().expect("the stream goes on");
        let loops = event["loops"].as_array().cloned().unwrap_or_default();
        if let Some(found) = loops.into_iter().find(|found| found["max_depth"] == 18) {
            break found;
        }
        assert!(started.elapsed() < Duration::from_secs(5), "{event}");
    };
    assert_eq!((&found["functions"], &found["severity"]), (&json!(["echo"]), &"warning".into()));
}
