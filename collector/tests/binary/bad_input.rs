//! The page's port refuses what it must, and the next good request works. What the doors make of bad input is proven in
//! `../conformance/`.

use std::io::{Read as _, Write as _};

use serde_json::{Value, json};

use super::support::{
    http::{self, Events, JSON},
    otlp::{self, Story},
    server::Server,
};

#[test]
fn headers_that_do_not_end_are_hung_up_on_and_the_live_stream_is_not() {
    let server = Server::start(&[]);
    let mut events = Events::open(server.ui, "/api/v1/live");
    assert!(events.next().is_some());
    let mut slow = http::connect(server.ui).unwrap();
    slow.write_all(b"GET / HTTP/1.1\r\nhost: ").unwrap();
    // Sooner than the test gives up, and without a word.
    assert_eq!(slow.read(&mut [0; 10]).unwrap(), 0);
    otlp::post_well(server.otlp_http, &Story::parse("late -> later").request());
    let has_it = |event: &Value| event["graph"]["functions"][0]["name"].is_string();
    assert!(std::iter::from_fn(|| events.next()).any(|event| has_it(&event)));
}

#[test]
fn the_api_answers_to_its_own_names_only() {
    let mut server = Server::start(&[]);
    let ask =
        |method, headers: &[(&str, &str)]| http::send(server.ui, method, "/api/v1/graph", headers, b"{}").unwrap();
    for host in ["evil.example", "127.0.0.1.evil.example", "localhost.evil.example:80"] {
        let answer = ask("GET", &[("host", host)]);
        assert_eq!(answer.status, 403, "{host}");
        assert_eq!(answer.json()["error"]["code"], "host_not_allowed");
    }
    for host in ["localhost", "127.0.0.1", "[::1]:4319"] {
        assert_eq!(ask("GET", &[("host", host)]).status, 200, "{host}");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let form = http::send(server.ui, "POST", "/api/v1/intended", &form, b"{}").unwrap();
    assert_eq!((form.status, &form.json()["error"]["code"]), (415, &json!("content_type_not_json")));
    assert_eq!(ask("POST", &[JSON]).status, 405);
    let answer = ask("GET", &[]);
    for header in ["content-security-policy: ", "x-content-type-options: nosniff", "x-frame-options: deny"] {
        assert!(answer.head.contains(header), "{header} is missing in {}", answer.head);
    }
    // Health is asked by machines under any name.
    let health = http::send(server.ui, "GET", "/healthz", &[("host", "pod-7")], b"").unwrap();
    assert_eq!(health.status, 200);
    assert!(server.lives());
}
