//! The demo shows within seconds what the program is for.

use std::time::Duration;

use super::support::{
    otlp,
    server::{Server, Stop},
    webhook::{Receiver, SECRET},
};

/// All functions of the demo.
const FUNCTIONS: [&str; 12] = [
    "authorize-request",
    "list-pages",
    "login",
    "notify-followers",
    "one-time-password",
    "orders-api",
    "send-welcome-mail",
    "sign-up",
    "subscribe",
    "thumbnail",
    "track-events",
    "upload-file",
];

/// From the start to the alert.
const SOON: Duration = Duration::from_secs(20);

#[test]
fn the_demo_falls_into_a_loop_and_tells() {
    let target = Receiver::open();
    let mut server = Server::demo(&["--loop-after", "1s", "--webhook", &target.url(), "--webhook-secret", SECRET]);
    let opened = target.message("loop.opened", &["thumbnail"], SOON).body;
    assert_eq!(opened["data"]["loop"]["environment"], "demo");
    assert_eq!(opened["data"]["loop"]["severity"], "warning");
    let found = server.loop_of(&["thumbnail"], 18);
    assert_eq!((&found["assessment"], &found["classes"][0]), (&"alarm".into(), &"cross_trace".into()));
    assert_eq!(found["path"].as_array().unwrap().len(), 2, "the bucket is on the way: {found}");

    // Half of the functions export by gRPC and half by HTTP.
    server.until("all functions are there", "/api/v1/graph", |graph| {
        let mut names: Vec<&str> =
            graph["functions"].as_array().unwrap().iter().map(|node| node["name"].as_str().unwrap()).collect();
        names.sort_unstable();
        (names == FUNCTIONS).then_some(())
    });
    // Pagination ends by itself: it is seen, and nobody is woken.
    let pages = server.loop_of(&["list-pages"], 4);
    assert_eq!((&pages["severity"], &pages["max_depth"]), (&"info".into(), &4.into()));
    assert_eq!(target.types(), ["loop.opened"]);
    let status = server.caught_up();
    for loss in ["spans_rejected", "requests_refused", "requests_overloaded", "index_evictions", "parent_rings"] {
        assert_eq!(status[loss], 0, "{loss}");
    }
    server.stop(Stop::Kindly);
    assert!(!server.log().contains("could not be delivered"), "{}", server.log());
}

#[test]
fn the_demo_takes_spans_of_others_too() {
    let server = Server::demo(&["--loop-after", "1h", "--scenario", "fan-out-loop"]);
    otlp::post_well(server.otlp_http, &otlp::Story::parse("mine -> own").request());
    server.until("a foreign function is there", "/api/v1/graph", |graph| {
        graph["functions"].as_array().unwrap().iter().any(|node| node["name"] == "mine").then_some(())
    });
}
