//! The call graph says what was posted, by the names that scripts rely on.

use serde_json::Value;

use super::support::{
    otlp::{self, ENVIRONMENT, Grpc, Story, post, post_json, post_well},
    server::Server,
};

/// Twenty calls of 1 to 20 ms, of which three fail, five messages through a queue, and two without one.
fn story() -> Story {
    let mut story = Story::default();
    for ms in 1..=20 {
        let caller = story.start("shop");
        let callee = story.call(&caller, "stock");
        otlp::last(story.edit(&callee), ms);
        if ms > 17 {
            otlp::fail(story.edit(&callee));
        }
    }
    for _ in 0..5 {
        let sender = story.start("mailer");
        story.message(&sender, "sender", Some("mails"));
    }
    let one = story.start("sender");
    let two = story.message(&one, "counter", None);
    story.message(&two, "counter", None);
    story
}

#[track_caller]
fn named<'a>(list: &'a Value, name: &str) -> &'a Value {
    let nodes = list.as_array().unwrap();
    nodes.iter().find(|node| node["name"] == name).unwrap_or_else(|| panic!("{name} is missing in {list}"))
}

/// The edges as text, by names instead of ids, in order.
fn edges(graph: &Value) -> Vec<String> {
    let nodes = [&graph["functions"], &graph["resources"]].map(|list| list.as_array().unwrap().clone()).concat();
    let name = |id: &Value| nodes.iter().find(|node| node["id"] == *id).unwrap()["name"].as_str().unwrap();
    let edge = |edge: &Value| {
        let kind = edge["kind"].as_str().unwrap();
        format!("{} -{kind}-> {} x{} !{}", name(&edge["source"]), name(&edge["target"]), edge["calls"], edge["errors"])
    };
    let mut edges: Vec<String> = graph["edges"].as_array().unwrap().iter().map(edge).collect();
    edges.sort();
    edges
}

#[track_caller]
fn check_near(value: &Value, expected: f64) {
    let value = value.as_f64().unwrap();
    assert!((value - expected).abs() <= expected * 0.02, "{value} is not near {expected}");
}

#[track_caller]
fn check_fields(object: &Value, names: &[&str]) {
    for name in names {
        assert!(object.get(name).is_some(), "{name} is missing in {object}");
    }
}

#[test]
fn the_graph_has_the_numbers_that_were_posted() {
    let server = Server::start(&[]);
    post_well(server.otlp_http, &story().request());
    server.caught_up();
    let graph = server.get_json("/api/v1/graph");
    assert_eq!(
        edges(&graph),
        [
            "counter -message-> counter x1 !0",
            "mailer -publish-> mails x5 !0",
            "mails -deliver-> sender x5 !0",
            "sender -message-> counter x1 !0",
            "shop -call-> stock x20 !3",
        ]
    );
    let functions = &graph["functions"];
    assert_eq!(functions.as_array().unwrap().len(), 5);
    for function in functions.as_array().unwrap() {
        check_fields(function, &["id", "name", "environment", "kind", "invocations", "errors", "p50_ms", "p95_ms"]);
        assert_eq!(function["environment"], ENVIRONMENT);
        assert_eq!(function["kind"], "aws_lambda");
        assert!(function["x"].is_number() && function["y"].is_number(), "{function}");
    }
    let stock = named(functions, "stock");
    assert_eq!((&stock["invocations"], &stock["errors"]), (&20.into(), &3.into()));
    check_near(&stock["p50_ms"], 10.0);
    check_near(&stock["p95_ms"], 19.0);
    assert_eq!(named(functions, "sender")["invocations"], 6);
    assert_eq!(named(functions, "counter")["invocations"], 2);

    let mails = named(&graph["resources"], "mails");
    check_fields(mails, &["id", "name", "kind", "x", "y"]);
    assert_eq!(mails["kind"], "queue");
    assert_eq!(graph["resources"].as_array().unwrap().len(), 1);

    let shop = &named(functions, "shop")["id"];
    let call = graph["edges"].as_array().unwrap().iter().find(|edge| edge["source"] == *shop).unwrap();
    check_fields(call, &["source", "target", "kind", "calls", "errors", "p50_ms", "p95_ms"]);
    // The caller waits 8 ms, whatever the callee says.
    check_near(&call["p50_ms"], 8.0);
    check_near(&call["p95_ms"], 8.0);
}

#[test]
fn every_way_in_tells_the_same_story_and_repeats_are_counted_once() {
    let server = Server::start(&[]);
    let story = story();
    post_well(server.otlp_http, &story.request());
    server.caught_up();
    let before = server.get_json("/api/v1/graph");
    let answer = post_json(server.otlp_http, &story.request()).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "{}"));
    assert_eq!(Grpc::connect(server.otlp_grpc).export(story.request()).unwrap().partial_success, None);
    let status = server.caught_up();
    assert_eq!(status["spans_received"], 3 * story.len());
    assert_eq!(status["spans_analysed"], 3 * story.len());
    assert_eq!(status["spans_duplicate"], 2 * story.len());
    let after = server.get_json("/api/v1/graph");
    assert_eq!(edges(&after), edges(&before));
    for (now, then) in after["functions"].as_array().unwrap().iter().zip(before["functions"].as_array().unwrap()) {
        assert_eq!((&now["id"], &now["invocations"]), (&then["id"], &then["invocations"]));
    }
}

#[test]
fn environments_of_one_name_are_two_functions() {
    let server = Server::start(&[]);
    let mut request = Story::parse("shop").request();
    post_well(server.otlp_http, &request);
    let resource = request.resource_spans[0].resource.as_mut().unwrap();
    *resource.attributes.last_mut().unwrap() = otlp::text("deployment.environment", "live");
    request.resource_spans[0].scope_spans[0].spans[0].trace_id[0] = 1;
    post_well(server.otlp_http, &request);
    server.caught_up();
    let graph = server.get_json("/api/v1/graph");
    let mut environments: Vec<&str> =
        graph["functions"].as_array().unwrap().iter().map(|node| node["environment"].as_str().unwrap()).collect();
    environments.sort_unstable();
    assert_eq!(environments, ["live", ENVIRONMENT]);
}

#[test]
fn hotspots_say_where_the_time_goes() {
    let server = Server::start(&[]);
    let mut story = Story::default();
    for _ in 0..10 {
        let caller = story.start("shop");
        otlp::last(story.edit(&caller), 200);
        let callee = story.call(&caller, "slow-store");
        otlp::last(story.edit(&callee), 150);
        otlp::last(story.edit_caller(&callee), 160);
    }
    post_well(server.otlp_http, &story.request());
    let spots = server.until("hotspots are ranked", "/api/v1/hotspots", |list| {
        let spots = list["hotspots"].as_array().unwrap();
        // Invocations are settled shard by shard, and calls are counted before them.
        (spots.len() == 3 && spots.iter().all(|spot| spot["samples"] == 10)).then(|| spots.clone())
    });
    for (rank, spot) in (1..).zip(&spots) {
        check_fields(spot, &["rank", "function", "edge", "p95_ms", "baseline_p95_ms", "share"]);
        assert_eq!(spot["rank"], rank);
        assert!((0.0..=1.0).contains(&spot["share"].as_f64().unwrap()), "{spot}");
    }
    assert_eq!(spots[0]["function"], "slow-store");
    assert_eq!(spots[0]["edge"], Value::Null);
    check_near(&spots[0]["p95_ms"], 150.0);
    check_near(&spots[0]["share"], 0.75);
    assert_eq!(spots[1]["function"], "shop");
    check_near(&spots[1]["p95_ms"], 40.0);
    // The caller waits 10 ms longer than the callee works.
    check_near(&spots[2]["p95_ms"], 10.0);
    assert!(spots[2]["edge"]["source"].is_string() && spots[2]["edge"]["target"].is_string());
    // Asking for a number of them, or for a range, asks for the same.
    for query in ["limit=50", "from=-4m"] {
        server.until(query, &format!("/api/v1/hotspots?{query}"), |list| {
            assert!(list["range"]["from"].is_string(), "{list}");
            assert_eq!(list["basis"] == "critical_path", list["paths"]["from"].is_string(), "{list}");
            let asked = list["hotspots"].as_array().unwrap();
            let told = |spot: &Value| (spot["function"].clone(), spot["cause"].clone(), spot["p95_ms"].clone());
            asked.iter().map(told).eq(spots.iter().map(told)).then_some(())
        });
    }
}

#[test]
fn the_status_counts_and_questions_without_an_answer_say_so() {
    let server = Server::start(&[]);
    let mut request = Story::parse("a -> b").request();
    request.resource_spans[0].scope_spans[0].spans[0].span_id = vec![0; 8];
    let answer = post(server.otlp_http, &request).unwrap();
    assert_eq!(answer.status, 200);
    assert!(answer.text().contains("1 of 3 spans were rejected"), "{}", answer.text());
    let status = server.caught_up();
    check_fields(&status, &["version", "started_at", "requests_refused", "requests_overloaded", "journal_bytes"]);
    check_fields(&status, &["index_evictions", "orphans", "webhooks_pending", "live_readers", "otlp_grpc"]);
    assert_eq!((&status["spans_received"], &status["spans_rejected"]), (&2.into(), &1.into()));
    assert_eq!(status["otlp_http"], server.otlp_http.to_string());
    for (path, expected) in [
        ("/api/v1/loops/00000000000000000000000000000001", 404),
        ("/api/v1/traces/ffffffffffffffffffffffffffffffff", 404),
        ("/api/v1/traces/1", 400),
        ("/api/v1/nothing", 404),
    ] {
        let answer = server.get(path);
        assert_eq!(answer.status, expected, "{path}");
        assert!(answer.json()["error"]["message"].as_str().unwrap().len() > 10, "{path}");
    }
    assert_eq!(server.get("/healthz").status, 200);
    assert_eq!(server.get("/readyz").status, 200);
}
