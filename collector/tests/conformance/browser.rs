//! B1-B6: pages that send from a browser.

use std::thread;

use super::{
    house::House,
    support::http::{Answer, JSON},
    wire::{self, Signal},
};

items! {
    b01_a_preflight_is_answered: Advice,
        "OPTIONS with `Origin` and the headers that will be sent: 2xx with origin, methods, headers, max age",
        "Collector: if `cors` is set. Rotel: no CORS";
    b02_other_origins_are_told_nothing: Advice, "an origin that is not allowed: no `Access-Control-Allow-Origin`", "";
    b03_off_unless_configured: Advice, "off by default; origins with `*` in them", "Collector: the same";
    b04_pages_can_read_when_to_come_again: Advice, "`Access-Control-Expose-Headers: Retry-After`", "";
    b05_errors_can_be_read_too: Advice, "400, 404, 413, 415, 503 carry `Access-Control-Allow-Origin` too", "";
    b06_small_requests_in_parallel: Advice, "nine requests of 6 KiB at once, as a page that is left sends them: all kept", "";
}

const PAGE: (&str, &str) = ("origin", "https://shop.example.com");
const ALLOWED: [&str; 2] = ["--otlp-cors-origin", "https://*.example.com"];
const ASK: [(&str, &str); 2] =
    [("access-control-request-method", "POST"), ("access-control-request-headers", "authorization,content-type")];

#[track_caller]
fn has(answer: &Answer, header: &str) {
    assert!(answer.head.contains(&format!("\r\n{header}\r\n")), "{header:?} is missing in {}", answer.head);
}

#[track_caller]
fn allows_nothing(answer: &Answer) {
    assert!(!answer.head.contains("access-control-allow"), "{}", answer.head);
}

fn b01_a_preflight_is_answered() {
    let house = House::new(&ALLOWED);
    for signal in Signal::ALL {
        let answer = house.send("OPTIONS", signal.path(), &[&[PAGE][..], &ASK].concat(), b"");
        assert!((200..300).contains(&answer.status), "{}", answer.head);
        has(&answer, "access-control-allow-origin: https://shop.example.com");
        has(&answer, "access-control-allow-methods: post");
        has(&answer, "access-control-allow-headers: authorization,content-type");
        has(&answer, "access-control-max-age: 7200");
        has(&answer, "vary: origin");
    }
    house.lives_on();
}

fn b02_other_origins_are_told_nothing() {
    let house = House::new(&ALLOWED);
    for origin in ["https://evil.example", "http://shop.example.com", "https://example.com", "null"] {
        let origin = ("origin", origin);
        allows_nothing(&house.send("OPTIONS", "/v1/traces", &[&[origin][..], &ASK].concat(), b""));
        // A browser that sends all the same is answered; its page cannot read it.
        allows_nothing(&house.post("/v1/traces", &[JSON, origin], b"{}"));
    }
    house.lives_on();
}

fn b03_off_unless_configured() {
    let house = House::new(&[]);
    allows_nothing(&house.send("OPTIONS", "/v1/traces", &[&[PAGE][..], &ASK].concat(), b""));
    allows_nothing(&house.post("/v1/traces", &[JSON, PAGE], b"{}"));
    house.lives_on();
    let house = House::new(&["--otlp-cors-origin", "https://other.example", "--otlp-cors-origin", "*"]);
    has(&house.post("/v1/traces", &[JSON, PAGE], b"{}"), "access-control-allow-origin: https://shop.example.com");
    house.lives_on();
}

fn b04_pages_can_read_when_to_come_again() {
    let house = House::new(&ALLOWED);
    let answer = house.post("/v1/traces", &[JSON, PAGE], b"{}");
    has(&answer, "access-control-expose-headers: retry-after");
    house.lives_on();
}

fn b05_errors_can_be_read_too() {
    let house = House::new(&[&ALLOWED[..], &["--otlp-max-request", "64KiB", "--otlp-max-in-flight", "64KiB"]].concat());
    let large = vec![b' '; (64 << 10) + 1];
    for (path, headers, body, status) in [
        ("/v1/traces", &[JSON, PAGE][..], &b"no JSON"[..], 400),
        ("/nowhere", &[JSON, PAGE], b"", 404),
        ("/v1/traces", &[JSON, PAGE], &large, 413),
        ("/v1/traces", &[PAGE], b"", 415),
    ] {
        let answer = house.post(path, headers, body);
        assert_eq!(answer.status, status);
        has(&answer, "access-control-allow-origin: https://shop.example.com");
    }
    let (_held, busy) = house.crowded(|| {
        let answer = house.post("/v1/traces", &[JSON, PAGE], &vec![b' '; 20_000]);
        (answer.status == 503).then_some(answer)
    });
    has(&busy, "access-control-allow-origin: https://shop.example.com");
    has(&busy, "access-control-expose-headers: retry-after");
    has(&busy, "retry-after: 1");
}

fn b06_small_requests_in_parallel() {
    let house = House::new(&ALLOWED);
    thread::scope(|scope| {
        for _ in 0..9 {
            scope.spawn(|| {
                let body = wire::good_json(Signal::Traces, 20);
                assert_eq!(house.post("/v1/traces", &[JSON, PAGE], body.as_bytes()).status, 200);
            });
        }
    });
    assert_eq!(house.counter("spans_received"), 180);
    house.lives_on();
}
