//! H1-H23: what holds on the HTTP door.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    time::{Duration, Instant},
};

use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message as _;
use tonic_types::pb;

use super::{
    house::{House, check_json_status, check_protobuf_status},
    items::{Item, Level, Proof},
    support::{
        DEADLINE,
        http::{self as client, Answer, JSON, PROTOBUF},
        server::Stop,
        wait_until,
    },
    wire::{self, GZIP, Signal},
};

items! {
    h01_three_paths: Must, "POST to `/v1/traces`, `/v1/logs`, `/v1/metrics`: 200", "";
    h02_the_answer_is_written_as_the_request: Must,
        "protobuf is answered in protobuf and JSON in JSON, errors too", "";
    h03_parameters_and_case_of_the_type_do_not_matter: Advice,
        "`application/json; charset=utf-8`, the type in capitals: 200, the answer's type without parameters",
        "Rotel: 400, and a panic at bytes that are not ASCII";
    h04_both_formats_and_both_versions_on_one_port: Should,
        "protobuf and JSON, HTTP/1.1 and HTTP/2 without TLS, on one port: 200", "";
    h05_an_unknown_type_is_said_in_a_status: Advice,
        "no or another `Content-Type`: 415 with a Status", "Collector: 415 in plain text. Rotel: 400";
    h06_only_post: Advice,
        "GET, PUT, PATCH: 405 with `Allow: POST`; an unknown path: 404 for any method", "Rotel: 404 for all";
    h07_wrong_paths_name_the_right_ones: Advice,
        "POST to `/`: 404 that names `/v1/traces`; `/v1/traces/`: 200", "";
    h08_every_error_is_a_status: Must,
        "400, 404, 405, 408, 413, 415: a `google.rpc.Status` in the format of the request",
        "Collector: plain text at 415. Rotel: none";
    h09_what_cannot_be_read_is_400: Must, "a body that cannot be decoded: 400 with `BadRequest` in its details", "";
    h10_too_large_is_413: Must,
        "one byte over the limit, plain, chunked, inflated: 413; exactly the limit: 200",
        "Collector: 400. Rotel: 413";
    h11_the_limit_can_be_set: Should,
        "64 MiB by default; a flag moves it", "Collector and Rotel: 20 MiB";
    h12_only_passing_faults_are_retried: Must,
        "what stays wrong is none of 429, 502, 503, 504; a full server is 503", "";
    h13_overload_says_when_to_come_again: Should, "more bytes in flight than the cap: 503 with `Retry-After`",
        "Collector: only if the pipeline says so";
    h14_success_is_200_with_a_response: Must, "200 with the serialized response, not 202 or 204", "";
    h15_answers_are_plain_unless_asked: May, "`Accept-Encoding: gzip` or not: no answer is compressed unasked", "";
    h16_encodings_in_any_case: Advice,
        "gzip in any case, zstd, deflate, identity, empty: 200; `br`: 415 that names what is accepted",
        "Collector: 400 for `br`, more encodings. Rotel: no zstd";
    h17_no_encoding_twice: Advice, "`gzip, gzip`: 415", "";
    h18_broken_compression_is_400: Advice,
        "corrupt and truncated gzip, zstd, deflate: 400 with a Status", "";
    h19_connections_are_kept: Should, "two requests on one connection: 200 twice; a silent one is closed cleanly", "";
    h20_bodies_come_as_they_like: Advice,
        "`Expect: 100-continue`: 100, then 200; chunks: 200; fewer bytes than `Content-Length`: nothing is stored", "";
    h21_a_death_leaves_nothing_half: Advice,
        "killed in the middle of a request: after the next start the batch is not there, and the resent one is", "";
    h23_slow_clients_are_let_go: Advice,
        "headers or a body that do not end: closed, 408; silence too; others are served meanwhile",
        "Collector: no time-outs. Rotel: headers only";
}

pub(crate) const OTHERS: &[Item] = &[Item {
    name: "h22_authentication_and_tls",
    level: Level::Advice,
    expected: "401/403 with a Status, tokens from `OTEL_EXPORTER_OTLP_HEADERS`, TLS",
    peers: "",
    proof: Proof::Pending(
        "there is no authentication and no TLS yet; the doors open to other machines only with `--insecure`",
    ),
}];

const LIMIT: usize = 64 << 10;
/// The cap on bytes in flight just fits the largest request.
const SMALL: [&str; 4] = ["--otlp-max-request", "64KiB", "--otlp-max-in-flight", "64KiB"];

/// Sends a head and a body as they are.
fn raw(house: &House, text: &[u8]) -> TcpStream {
    let mut stream = client::connect(house.0.otlp_http).unwrap();
    stream.write_all(text).unwrap();
    stream
}

/// A body in chunks of this size.
fn chunked(body: &[u8], size: usize) -> Vec<u8> {
    let mut text = Vec::new();
    for chunk in body.chunks(size) {
        text.extend(format!("{:x}\r\n", chunk.len()).bytes());
        text.extend(chunk);
        text.extend(b"\r\n");
    }
    text.extend(b"0\r\n\r\n");
    text
}

fn chunked_request(house: &House, body: &[u8], size: usize) -> Answer {
    let headers = [PROTOBUF, ("transfer-encoding", "chunked")];
    let head = client::head(house.0.otlp_http, "POST", "/v1/traces", &headers);
    let stream = raw(house, head.as_bytes());
    // What is too large is answered before it is read.
    let _ = (&stream).write_all(&chunked(body, size));
    client::read_answer(&stream).unwrap()
}

fn h01_three_paths() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        assert_eq!(house.post(signal.path(), &[PROTOBUF], &wire::good(signal, 2)).status, 200);
        assert_eq!(house.counter(signal.received()), 2);
    }
    house.lives_on();
}

fn h02_the_answer_is_written_as_the_request() {
    let house = House::new(&SMALL);
    for (kind, good, bad) in [
        (PROTOBUF, wire::good(Signal::Traces, 1), b"no protobuf".to_vec()),
        (JSON, wire::good_json(Signal::Traces, 1).into_bytes(), b"no JSON".to_vec()),
    ] {
        let large = vec![b' '; LIMIT + 1];
        for (path, body, status) in [
            ("/v1/traces", &good, 200),
            ("/v1/traces", &bad, 400),
            ("/v1/traces", &large, 413),
            ("/nowhere", &good, 404),
        ] {
            let answer = house.post(path, &[kind], body);
            assert_eq!(answer.status, status, "{kind:?}: {}", answer.text());
            assert!(answer.head.contains(&format!("content-type: {}\r\n", kind.1)), "{}", answer.head);
        }
    }
    house.lives_on();
}

fn h03_parameters_and_case_of_the_type_do_not_matter() {
    let house = House::new(&[]);
    for kind in ["application/json; charset=utf-8", "APPLICATION/JSON", "application/json ;x=\"y\""] {
        let answer = house.post("/v1/traces", &[("content-type", kind)], b"{}");
        assert_eq!((answer.status, answer.text()), (200, "{}".into()), "{kind}");
        assert!(answer.head.contains("content-type: application/json\r\n"), "{}", answer.head);
    }
    let kind = ("content-type", "Application/X-Protobuf; x=1");
    assert_eq!(house.post("/v1/traces", &[kind], b"").status, 200);
    house.lives_on();
}

fn h04_both_formats_and_both_versions_on_one_port() {
    let house = House::new(&[]);
    assert_eq!(house.post("/v1/traces", &[PROTOBUF], &wire::good(Signal::Traces, 1)).status, 200);
    assert_eq!(house.post("/v1/traces", &[JSON], wire::good_json(Signal::Traces, 1).as_bytes()).status, 200);
    let address = house.0.otlp_http;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let status = runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        let body = http_body_util::Full::new(bytes::Bytes::from(wire::good(Signal::Traces, 1)));
        let request = http::Request::post(format!("http://{address}/v1/traces")).header(PROTOBUF.0, PROTOBUF.1);
        sender.send_request(request.body(body).unwrap()).await.unwrap().status()
    });
    assert_eq!((status.as_u16(), house.counter("spans_received")), (200, 3));
    house.lives_on();
}

fn h05_an_unknown_type_is_said_in_a_status() {
    let house = House::new(&[]);
    for headers in [&[][..], &[("content-type", "text/plain")], &[("content-type", "application/xml")]] {
        check_json_status(&house.post("/v1/traces", headers, b"{}"), 415, "application/x-protobuf or application/json");
    }
    house.lives_on();
}

fn h06_only_post() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        for method in ["GET", "PUT", "PATCH", "DELETE"] {
            let answer = house.send(method, signal.path(), &[JSON], b"");
            check_json_status(&answer, 405, "POST");
            assert!(answer.head.contains("allow: post\r\n"), "{}", answer.head);
        }
    }
    for method in ["GET", "POST", "PUT"] {
        check_json_status(&house.send(method, "/v1/other", &[JSON], b""), 404, "/v1/traces");
    }
    house.lives_on();
}

fn h07_wrong_paths_name_the_right_ones() {
    let house = House::new(&[]);
    for path in ["/", "/v1/trace", "/v1"] {
        check_json_status(&house.post(path, &[JSON], b"{}"), 404, "/v1/traces");
        check_protobuf_status(&house.post(path, &[PROTOBUF], b""), 404, "OTEL_EXPORTER_OTLP_ENDPOINT");
    }
    for signal in Signal::ALL {
        assert_eq!(house.post(&format!("{}/", signal.path()), &[JSON], b"{}").status, 200);
    }
    house.lives_on();
}

fn h08_every_error_is_a_status() {
    let house = House::new(&[&SMALL[..], &["--otlp-body-timeout", "200ms"]].concat());
    let large = vec![b' '; LIMIT + 1];
    for (method, path, more, body, status) in [
        ("POST", "/v1/traces", &[][..], &b"\xff"[..], 400),
        ("POST", "/v1/traces", &[GZIP], b"no gzip", 400),
        ("POST", "/nowhere", &[], b"", 404),
        ("GET", "/v1/traces", &[], b"", 405),
        ("POST", "/v1/traces", &[], &large, 413),
        ("POST", "/v1/traces", &[("content-encoding", "br")], b"", 415),
    ] {
        let of = |kind| house.send(method, path, &[&[kind], more].concat(), body);
        check_protobuf_status(&of(PROTOBUF), status, "");
        check_json_status(&of(JSON), status, "");
    }
    let slow = house.half(house.0.otlp_http, &[("content-length", "10")], b"half");
    check_protobuf_status(&client::read_answer(&slow).unwrap(), 408, "took longer than");
    house.lives_on();
}

fn h09_what_cannot_be_read_is_400() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        let answer = house.post(signal.path(), &[PROTOBUF], &[0xff; 32]);
        check_protobuf_status(&answer, 400, "not a valid OTLP");
        let status = pb::Status::decode(answer.body.as_slice()).unwrap();
        assert_eq!(
            (status.code, status.details[0].type_url.as_str()),
            (3, "type.googleapis.com/google.rpc.BadRequest")
        );
        let detail = pb::BadRequest::decode(status.details[0].value.as_slice()).unwrap();
        assert_eq!(detail.field_violations[0].field, "body");
        let answer = house.post(signal.path(), &[JSON], b"[");
        check_json_status(&answer, 400, "OTLP/JSON");
        let detail = &answer.json()["details"][0];
        assert_eq!(detail["@type"], "type.googleapis.com/google.rpc.BadRequest");
        assert_eq!(detail["fieldViolations"][0]["field"], "body");
    }
    house.lives_on();
}

fn h10_too_large_is_413() {
    let house = House::new(&SMALL);
    let (exact, over) = (wire::traces_of_bytes(LIMIT), wire::traces_of_bytes(LIMIT + 1));
    assert_eq!(house.post_traces(&[], &exact).status, 200);
    for (name, packed) in
        [("gzip", wire::gzip(&exact)), ("zstd", wire::zstd(&exact)), ("deflate", wire::deflate(&exact))]
    {
        assert_eq!(house.post_traces(&[("content-encoding", name)], &packed).status, 200, "{name}");
    }
    assert_eq!(chunked_request(&house, &exact, 1000).status, 200);
    check_protobuf_status(&house.post_traces(&[], &over), 413, "smaller batches");
    check_protobuf_status(&chunked_request(&house, &over, 1000), 413, "limit of 65536 bytes");
    for (name, packed) in [("gzip", wire::gzip(&over)), ("zstd", wire::zstd(&over)), ("deflate", wire::deflate(&over))]
    {
        check_protobuf_status(&house.post_traces(&[("content-encoding", name)], &packed), 413, "inflated");
    }
    check_json_status(&house.post_json(vec![b' '; LIMIT + 1]), 413, "limit");
    assert_eq!(house.counter("requests_too_large"), 6);
    house.lives_on();
}

fn h11_the_limit_can_be_set() {
    let house = House::new(&[]);
    let large = wire::traces_of_bytes(21 << 20);
    assert_eq!(house.post_traces(&[], &large).status, 200);
    let over = vec![b' '; (64 << 20) + 1];
    check_protobuf_status(&house.post_traces(&[], &over), 413, "67108864");
    house.lives_on();
    let house = House::new(&["--otlp-max-request", "1MiB"]);
    check_protobuf_status(&house.post_traces(&[], &large), 413, "1048576");
    house.lives_on();
}

fn h12_only_passing_faults_are_retried() {
    let house = House::new(&SMALL);
    let large = vec![b' '; LIMIT + 1];
    for (headers, body) in [
        (&[PROTOBUF][..], &b"no protobuf"[..]),
        (&[JSON], b"no JSON"),
        (&[PROTOBUF], &large),
        (&[PROTOBUF, GZIP], b"no gzip"),
        (&[PROTOBUF, ("content-encoding", "br")], b""),
        (&[("content-type", "text/plain")], b""),
    ] {
        let status = house.post("/v1/traces", headers, body).status;
        assert!((400..500).contains(&status) && status != 429, "{headers:?}: {status}");
    }
    house.lives_on();
}

fn h13_overload_says_when_to_come_again() {
    let house = House::new(&["--otlp-max-request", "64KiB", "--otlp-max-in-flight", "64KiB"]);
    let body = wire::traces_of_bytes(20_000);
    let (held, answer) = house.crowded(|| {
        let answer = house.post_traces(&[], &body);
        (answer.status != 200).then_some(answer)
    });
    check_protobuf_status(&answer, 503, "again later");
    assert!(answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
    // What inflates takes its part of the cap too.
    let packed = wire::gzip(&body);
    assert_eq!(house.post_traces(&[GZIP], &packed).status, 503);
    drop(held);
    wait_until("the bytes come back", DEADLINE, || (house.post_traces(&[], &body).status == 200).then_some(()));
    house.lives_on();
}

fn h14_success_is_200_with_a_response() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        let answer = house.post(signal.path(), &[PROTOBUF], &wire::good(signal, 1));
        assert_eq!(answer.status, 200);
        assert_eq!(wire::partial(&answer.body), None);
        let answer = house.post(signal.path(), &[JSON], wire::good_json(signal, 1).as_bytes());
        assert_eq!((answer.status, answer.json()), (200, serde_json::json!({})));
    }
    house.lives_on();
}

fn h15_answers_are_plain_unless_asked() {
    let house = House::new(&[]);
    for accepted in [&[][..], &[("accept-encoding", "gzip")], &[("accept-encoding", "br, *;q=0.1")]] {
        for body in [&b"{}"[..], b"no JSON"] {
            let answer = house.post("/v1/traces", &[&[JSON], accepted].concat(), body);
            assert!(!answer.head.contains("content-encoding"), "{}", answer.head);
            answer.json();
        }
    }
    house.lives_on();
}

fn h16_encodings_in_any_case() {
    let house = House::new(&[]);
    let body = wire::good(Signal::Traces, 1);
    let encoded = [("GZip", wire::gzip(&body)), ("x-gzip", wire::gzip(&body)), ("zstd", wire::zstd(&body))];
    let plain =
        [("ZSTD", wire::zstd(&body)), ("deflate", wire::deflate(&body)), ("identity", body.clone()), ("", body)];
    for (name, body) in encoded.into_iter().chain(plain) {
        let answer = house.post_traces(&[("content-encoding", name)], &body);
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
    }
    assert_eq!(house.counter("spans_received"), 7);
    let answer = house.post_traces(&[("content-encoding", "br")], b"");
    check_protobuf_status(&answer, 415, "gzip, zstd, deflate");
    assert!(answer.head.contains("accept-encoding: gzip, zstd, deflate\r\n"), "{}", answer.head);
    house.lives_on();
}

fn h17_no_encoding_twice() {
    let house = House::new(&[]);
    let twice = wire::gzip(&wire::gzip(&wire::good(Signal::Traces, 1)));
    for headers in [&[("content-encoding", "gzip, gzip")][..], &[GZIP, GZIP], &[GZIP, ("content-encoding", "zstd")]] {
        check_protobuf_status(&house.post_traces(headers, &twice), 415, "Content-Encoding");
    }
    assert_eq!(house.post_traces(&[GZIP], &twice).status, 400);
    house.lives_on();
}

fn h18_broken_compression_is_400() {
    let house = House::new(&[]);
    let body = wire::good(Signal::Traces, 20);
    for (name, packed) in [("gzip", wire::gzip(&body)), ("zstd", wire::zstd(&body)), ("deflate", wire::deflate(&body))]
    {
        let headers = [("content-encoding", name)];
        for broken in [&b"plain"[..], &packed[..packed.len() / 2], &packed[..3], &[&packed[..], b"more"].concat()] {
            check_protobuf_status(&house.post_traces(&headers, broken), 400, name);
            let answer = house.post("/v1/traces", &[JSON, headers[0]], broken);
            check_json_status(&answer, 400, name);
        }
    }
    assert_eq!(house.counter("spans_received"), 0);
    house.lives_on();
}

fn h19_connections_are_kept() {
    let house = House::new(&["--otlp-idle-timeout", "300ms"]);
    let body = wire::good(Signal::Traces, 1);
    let length = body.len().to_string();
    let headers = [PROTOBUF, ("connection", "keep-alive"), ("content-length", length.as_str())];
    let head = client::head(house.0.otlp_http, "POST", "/v1/traces", &headers);
    let mut stream = raw(&house, &[head.as_bytes(), &body].concat());
    assert_eq!(client::read_answer(&stream).unwrap().status, 200);
    stream.write_all(&[head.as_bytes(), &body].concat()).unwrap();
    assert_eq!(client::read_answer(&stream).unwrap().status, 200);
    // Silent from now on: the end comes without a reset.
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0);
    house.lives_on();
}

fn h20_bodies_come_as_they_like() {
    let house = House::new(&[]);
    let body = wire::good(Signal::Traces, 1);
    let length = body.len().to_string();
    let mut stream = house.half(house.0.otlp_http, &[("content-length", &length), ("expect", "100-continue")], b"");
    let mut answer = [0; 25];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(&body).unwrap();
    assert_eq!(client::read_answer(&stream).unwrap().status, 200);
    assert_eq!(chunked_request(&house, &wire::good(Signal::Traces, 1), 7).status, 200);
    assert_eq!(house.counter("spans_received"), 2);

    let stream = house.half(house.0.otlp_http, &[("content-length", "10000")], &body);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    // A client that hung up may or may not be told.
    if let Ok(answer) = client::read_answer(&stream) {
        assert_eq!(answer.status, 400);
    }
    wait_until("the short body is refused", DEADLINE, || (house.counter("requests_refused") == 1).then_some(()));
    assert_eq!(house.counter("spans_received"), 2);
    house.lives_on();
}

fn h21_a_death_leaves_nothing_half() {
    let mut house = House::new(&[]);
    let body = wire::good(Signal::Traces, 5);
    let length = body.len().to_string();
    let _stream = house.half(house.0.otlp_http, &[("content-length", &length)], &body[..body.len() - 1]);
    house.0.signal(Stop::AtOnce);
    house.0.ended();
    let house = House(house.0.restart(Stop::AtOnce, &[]));
    assert_eq!(house.counter("journal_position"), 0);
    assert_eq!(house.post_traces(&[], &body).status, 200);
    house.0.caught_up();
    assert_eq!(house.counter("spans_analysed"), 5);
    house.lives_on();
}

fn h23_slow_clients_are_let_go() {
    let house = House::new(&["--otlp-header-timeout", "300ms", "--otlp-body-timeout", "300ms"]);
    let began = Instant::now();
    let silent = client::connect(house.0.otlp_http).unwrap();
    let headers = raw(&house, b"POST /v1/traces HTTP/1.1\r\nhost: ");
    let body = house.half(house.0.otlp_http, &[("content-length", "100")], b"half");
    let grpc = client::connect(house.0.otlp_grpc).unwrap();
    // Others are served meanwhile.
    assert_eq!(house.post_traces(&[], &wire::good(Signal::Traces, 1)).status, 200);
    assert_eq!(client::read_answer(&body).unwrap().status, 408);
    for mut stream in [silent, headers, grpc] {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let status = house.status();
    assert!(status["connections_timed_out"].as_u64() >= Some(3), "{status}");
    assert_eq!(status["requests_timed_out"], 1);
    house.lives_on();
}
