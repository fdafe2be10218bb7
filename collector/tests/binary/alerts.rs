//! People are told once of each turn for the worse, whatever is down or restarted meanwhile.

use std::{collections::BTreeSet, time::Duration};

use serde_json::{Value, json};

use super::support::{
    DEADLINE,
    http::{self, JSON},
    otlp::{Grpc, Run, Story, post_well},
    server::{Server, Stop},
    wait_until,
    webhook::{Receiver, SECRET},
};

/// The second attempt comes after a second, the third five later.
const RETRIED: Duration = Duration::from_secs(12);

fn start(target: &Receiver) -> Server {
    Server::start(&["--webhook", &target.url(), "--webhook-secret", SECRET])
}

/// Posts a chain that goes on from a run; returns where it ends.
fn laps(server: &Server, function: &str, from: Option<Run>, count: usize) -> Run {
    let mut story = Story::default();
    let from = from.unwrap_or_else(|| story.start(function));
    let end = story.follow(from, &format!(" ~jobs~> {function}").repeat(count));
    post_well(server.otlp_http, &story.request());
    end
}

/// Posts laps that double, from a run on.
fn tree(server: &Server, function: &str, from: Run) {
    let mut story = Story::default();
    story.tree(from, function, "jobs", 8);
    post_well(server.otlp_http, &story.request());
}

/// Ids, names and places of all nodes.
fn places(server: &Server) -> BTreeSet<String> {
    let graph = server.get_json("/api/v1/graph");
    let nodes = [&graph["functions"], &graph["resources"]].map(|list| list.as_array().unwrap().clone()).concat();
    nodes.iter().map(|node| format!("{} {} {} {}", node["id"], node["name"], node["x"], node["y"])).collect()
}

#[test]
fn each_turn_for_the_worse_is_told_once_and_signed() {
    let target = Receiver::open();
    let server = start(&target);
    let run = laps(&server, "echo", None, 18);
    let opened = target.message("loop.opened", &["echo"], DEADLINE).body;
    let evidence = &opened["data"]["loop"];
    assert_eq!((&evidence["max_depth"], &evidence["severity"]), (&18.into(), &"warning".into()));
    assert!(!evidence["exemplar_trace_ids"].as_array().unwrap().is_empty());
    let summary = opened["data"]["summary"].as_str().unwrap();
    assert!(summary.starts_with("Warning: echo → echo goes round and round in test: 18 laps deep"), "{summary}");
    let id = server.loop_of(&["echo"], 18)["id"].as_str().unwrap().to_owned();
    assert_eq!(opened["data"]["url"], format!("http://{}/loops/{id}", server.ui));

    let run = laps(&server, "echo", Some(run), 3);
    tree(&server, "echo", run);
    let escalated = target.message("loop.escalated", &["echo"], DEADLINE).body;
    assert_eq!(escalated["data"]["loop"]["severity"], "critical");
    assert_eq!(escalated["data"]["loop"]["reasons"], serde_json::json!(["depth", "fan_out"]), "{escalated}");
    assert_eq!(escalated["data"]["incident_id"], opened["data"]["incident_id"]);
    assert_eq!((&opened["data"]["because"], &escalated["data"]["because"][0]), (&json!([]), &"severity".into()));

    // Another loop is told after all that was to be told of the first.
    laps(&server, "other", None, 18);
    target.message("loop.opened", &["other"], DEADLINE);
    assert_eq!(target.types(), ["loop.opened", "loop.escalated", "loop.opened"]);
    let alerts = server.get_json("/api/v1/alerts");
    assert_eq!(alerts["alerts"].as_array().unwrap().len(), 3);
    server.until("all are delivered", "/api/v1/status", |status| {
        (status["webhooks_delivered"] == 3 && status["webhooks_pending"] == 0).then_some(())
    });
}

#[test]
fn a_target_that_was_down_is_told_when_it_is_back() {
    let mut target = Receiver::closed();
    let server = start(&target);
    laps(&server, "echo", None, 18);
    server.until("the message waits", "/api/v1/status", |status| (status["webhooks_pending"] == 1).then_some(()));
    target.listen();
    target.message("loop.opened", &["echo"], RETRIED);
    server.until("delivery is noted", "/api/v1/status", |status| (status["webhooks_delivered"] == 1).then_some(()));
    assert_eq!(target.received().len(), 1);
}

#[test]
fn what_waits_for_a_target_survives_a_crash() {
    let mut target = Receiver::closed();
    let server = start(&target);
    laps(&server, "echo", None, 18);
    server.until("the message waits", "/api/v1/status", |status| (status["webhooks_pending"] == 1).then_some(()));
    let server = server.restart(Stop::AtOnce, &["--webhook", &target.url(), "--webhook-secret", SECRET]);
    target.listen();
    target.message("loop.opened", &["echo"], RETRIED);
    server.caught_up();
    assert_eq!(target.types(), ["loop.opened"]);
}

#[test]
fn a_crash_between_acknowledgement_and_alert_delays_the_alert_only() {
    let target = Receiver::open();
    let flags = ["--webhook", &target.url(), "--webhook-secret", SECRET];
    let server = start(&target);
    laps(&server, "echo", None, 18);
    let server = server.restart(Stop::AtOnce, &flags);
    target.message("loop.opened", &["echo"], RETRIED);
    let server = server.restart(Stop::AtOnce, &flags);
    laps(&server, "other", None, 18);
    target.message("loop.opened", &["other"], RETRIED);
    // A message may come twice, but never under two ids.
    let ids: BTreeSet<String> = target.received().into_iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), 2, "{:?}", target.types());
}

/// A loop that is acknowledged right before a kind stop is told, whatever the journal does with the disk.
#[track_caller]
fn check_a_stop_tells(more: &[&str]) {
    let target = Receiver::open();
    let url = target.url();
    let flags = [&["--webhook", &url, "--webhook-secret", SECRET], more].concat();
    let server = Server::start(&flags);
    laps(&server, "echo", None, 18);
    let server = server.restart(Stop::Kindly, &flags);
    let told = server.get_json("/api/v1/alerts");
    assert_eq!(told["alerts"][0]["alert"]["type"], "loop.opened", "{told}");
    target.message("loop.opened", &["echo"], RETRIED);
    server.caught_up();
    let ids: BTreeSet<String> = target.received().into_iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), 1, "{:?}", target.types());
}

#[test]
fn a_stop_right_after_the_acknowledgement_tells() {
    check_a_stop_tells(&[]);
}

#[test]
fn an_ephemeral_server_tells_before_it_forgets() {
    check_a_stop_tells(&["--ephemeral"]);
}

#[test]
fn a_restart_in_an_incident_moves_nothing_and_opens_no_second_one() {
    let target = Receiver::open();
    let server = start(&target);
    let run = laps(&server, "echo", None, 18);
    let opened = target.message("loop.opened", &["echo"], DEADLINE);
    server.until("delivery is noted", "/api/v1/status", |status| (status["webhooks_delivered"] == 1).then_some(()));
    let before = (places(&server), server.loop_of(&["echo"], 18));
    let flags = ["--webhook", &target.url(), "--webhook-secret", SECRET];

    let server = server.restart(Stop::Kindly, &flags);
    server.caught_up();
    let after = (places(&server), server.loop_of(&["echo"], 18));
    assert_eq!(after.0, before.0);
    for field in ["id", "function_ids", "path", "max_depth", "chains", "laps", "first_seen", "last_seen"] {
        assert_eq!(after.1[field], before.1[field], "{field}");
    }

    // The chain goes on where it was, and only that is news.
    tree(&server, "echo", run);
    let escalated = target.message("loop.escalated", &["echo"], DEADLINE);
    assert_eq!(escalated.body["data"]["incident_id"], opened.body["data"]["incident_id"]);
    assert_ne!(escalated.id, opened.id);
    let server = server.restart(Stop::AtOnce, &flags);
    server.caught_up();
    laps(&server, "other", None, 18);
    target.message("loop.opened", &["other"], DEADLINE);
    let ids: BTreeSet<String> = target.received().into_iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), 3, "{:?}", target.types());
    let types = |alerts: &Value| -> Vec<String> {
        let alerts = alerts["alerts"].as_array().unwrap();
        alerts.iter().rev().map(|record| record["alert"]["type"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(types(&server.get_json("/api/v1/alerts")), ["loop.opened", "loop.escalated", "loop.opened"]);
}

#[test]
fn a_restart_under_steady_load_is_ready_and_tells() {
    let target = Receiver::open();
    let server = start(&target);
    laps(&server, "before", None, 2);
    let mut server = server.restart(Stop::Kindly, &["--webhook", &target.url(), "--webhook-secret", SECRET]);
    let mut exporter = Grpc::connect(server.otlp_grpc);
    laps(&server, "echo", None, 18);
    // Batches come without a pause in which the engine could see the end of the journal.
    wait_until("the alert came under load", DEADLINE, || {
        exporter.export(Story::parse("busy -> busier").request()).unwrap();
        (target.types() == ["loop.opened"]).then_some(())
    });
    assert_eq!(server.get("/readyz").status, 200);
    assert!(server.lives());
}

/// Sends JSON that the API must take.
#[track_caller]
fn change(server: &Server, method: &str, path: &str, body: &Value) -> Value {
    let answer = http::send(server.ui, method, path, &[JSON], body.to_string().as_bytes()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[test]
fn an_alert_carries_the_evidence_of_the_api() {
    let target = Receiver::open();
    let server = start(&target);
    laps(&server, "echo", None, 18);
    let told = target.message("loop.opened", &["echo"], DEADLINE).body;
    let told = &told["data"]["loop"];
    let shown = server.loop_of(&["echo"], 18);
    assert!(!told["cut"]["commands"].as_array().unwrap().is_empty(), "{told}");
    let fields = |found: &Value| found.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(told), fields(&shown));
    for field in ["id", "path", "cut", "exemplar_trace_ids", "platform_guard", "changes", "intended"] {
        assert_eq!(told[field], shown[field], "{field}");
    }
}

#[test]
fn a_loop_of_the_same_functions_joins_the_incident_also_after_a_restart() {
    let target = Receiver::open();
    let flags = ["--webhook", &target.url(), "--webhook-secret", SECRET];
    let server = start(&target);
    post_well(server.otlp_http, &Story::parse(&format!("in ~> a{}", " ~> b ~> a".repeat(18))).request());
    let opened = target.message("loop.opened", &["a", "b"], DEADLINE).body;
    assert_eq!(opened["data"]["loops"][0]["functions"], json!(["a", "b"]), "{opened}");
    assert_eq!(opened["data"]["loops"].as_array().unwrap().len(), 1);

    let post_longer = |server: &Server| {
        post_well(server.otlp_http, &Story::parse(&format!("in ~> a{}", " ~> b ~> c ~> a".repeat(18))).request());
    };
    post_longer(&server);
    let incident = |server: &Server| {
        server.until("the longer way belongs to the incident", "/api/v1/alerts", |list| {
            let incident = &list["alerts"].as_array()?.last()?["incident"];
            (incident["loops"].as_array()?.len() == 2).then(|| incident.clone())
        })
    };
    let joined = incident(&server);
    assert_eq!(joined["loops"][1]["functions"], json!(["a", "b", "c"]));
    assert_eq!((&joined["id"], &joined["closed_at"]), (&opened["data"]["incident_id"], &Value::Null));

    let server = server.restart(Stop::AtOnce, &flags);
    server.caught_up();
    post_longer(&server);
    assert_eq!(incident(&server), joined);
    // What has nothing to do with it is told, and nothing else was.
    laps(&server, "other", None, 18);
    target.message("loop.opened", &["other"], DEADLINE);
    assert_eq!(target.types(), ["loop.opened", "loop.opened"]);
}

#[test]
fn an_incident_that_was_over_begins_again_under_its_id() {
    let target = Receiver::open();
    let flags = ["--webhook", &target.url(), "--webhook-secret", SECRET];
    let server = start(&target);
    let run = laps(&server, "echo", None, 18);
    let opened = target.message("loop.opened", &["echo"], DEADLINE);
    let declared = change(&server, "POST", "/api/v1/intended", &json!({"functions": ["echo"], "max_depth": 40}));
    let run = laps(&server, "echo", Some(run), 1);
    let resolved = target.message("loop.resolved", &["echo"], DEADLINE);
    let server = server.restart(Stop::Kindly, &flags);
    let path = format!("/api/v1/intended/{}", declared["id"].as_str().unwrap());
    change(&server, "DELETE", &path, &json!({}));
    laps(&server, "echo", Some(run), 1);
    let again = target.message("loop.reopened", &["echo"], DEADLINE);
    let ids = [&opened, &resolved, &again].map(|message| message.body["data"]["incident_id"].clone());
    assert_eq!((&ids[0], &ids[0]), (&ids[1], &ids[2]));
    assert_eq!(BTreeSet::from([&opened.id, &resolved.id, &again.id]).len(), 3, "each is a message of its own");
    let summary = again.body["data"]["summary"].as_str().unwrap();
    assert!(summary.contains("It was over, and has begun again."), "{summary}");
    let newest = &server.get_json("/api/v1/alerts")["alerts"][0]["incident"];
    assert_eq!((&newest["reopened"], &newest["closed_at"]), (&1.into(), &Value::Null));
}
