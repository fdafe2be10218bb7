//! Bytes, connections and loads that no exporter means.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    thread,
};

use prost::Message as _;
use tonic::Code;

use super::super::{
    house::{House, check_json_status, check_protobuf_status},
    rpc::{self, Connection},
    support::{
        DEADLINE,
        http::{self, Answer, JSON, PROTOBUF},
        otlp::{Grpc, Story},
        wait_until,
    },
    wire::{self, GZIP, Signal, field},
};

items! {
    n25_what_is_no_request: Advice,
        "random bytes, zeroes, half a request, logs sent as traces: 400 / INVALID_ARGUMENT with a Status", "";
    n26_lengths_that_lie: Advice,
        "a length of 2^63, one beyond the end, a varint of eleven bytes: refused without allocation", "";
    n27_messages_of_tomorrow: Advice, "unknown fields, groups, a single message twice (merged): accepted", "";
    n28_bombs: Advice,
        "gzip and zstd that inflate to 256 MiB, many members, a zstd window of 128 MiB: 413 or 400, memory bounded",
        "prost and tonic: bounded too";
    n29_broken_gzip: Advice, "a header only, truncated, a wrong sum, garbage behind it: 400 / INTERNAL", "";
    n30_encodings_that_lie: Advice, "gzip announced and plain sent, and the other way round: 400", "";
    n31_names_of_encodings: Advice, "`br`, `gzip, gzip`: 415; `GZIP`, `identity`, empty: 200", "";
    n32_types_of_all_kinds: Advice,
        "no type, plain text, bytes that are not ASCII: 415; parameters: 200; two types: 400",
        "Rotel: a panic at bytes that are not ASCII";
    n33_types_that_lie: Advice, "JSON announced as protobuf, and the other way round: 400", "";
    n34_lengths_of_bodies: Advice,
        "0 bytes: success in protobuf, 400 in JSON; no length: an empty body; two lengths: 400, closed; length and chunks: the chunks hold", "";
    n35_chunks_of_all_kinds: Advice,
        "20,000 chunks of a byte: 200; chunks without end: 413; a size that is none: 400", "";
    n36_very_many_silent_connections: Advice,
        "200 silent connections at a cap of 32: closed by their timer, others are served", "";
    n37_abuse_of_http2: Advice,
        "resets, CONTINUATION, PING and SETTINGS without end, headers of 1 MB: the server goes on", "";
    n38_clients_that_hang_up: Advice,
        "fifty clients that leave in the middle of a body: nothing is stored, the bytes they held come back", "";
    n39_calls_of_all_kinds: Advice,
        "a wrong path, no `te`, an unknown encoding, no message, 200,000 empty ones: a status each, and the connection lives", "";
    n40_the_wrong_door: Advice,
        "gRPC at the HTTP port: 404, as UNIMPLEMENTED; HTTP/1.1 and TLS at the gRPC port: closed, no flood in the log \
         (ports with TLS: pending)", "";
    n41_bombs_of_headers: Advice, "10,000 headers, one of 1 MB: 431; a line feed in one: 400", "";
    n42_tricks_with_paths: Advice,
        "`/v1/traces/`, `/v1/traces?x=1`: 200; `//v1/traces`, `/v1/trace`, `%2e%2e`: 404", "";
    n43_a_burst_above_the_cap: Advice,
        "100 connections with ten times the cap on bytes in flight: 200 or 503 with `Retry-After`, memory stays, every \
         acknowledged span is found; a journal that is locked: 503, and 200 afterwards (a full disk: pending)", "";
}

fn noise(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Sends bytes as they are and reads what comes back; nothing if the door hangs up.
fn raw(house: &House, bytes: &[u8]) -> Option<Answer> {
    let mut stream = http::connect(house.0.otlp_http).unwrap();
    // The door may hang up before it has everything.
    let _ = stream.write_all(bytes);
    http::read_answer(&stream).ok()
}

fn n25_what_is_no_request() {
    let house = House::new(&[]);
    let good = wire::good(Signal::Traces, 3);
    let logs = field(1, &field(2, &[7; 40]));
    for body in [&noise(4_000)[..], &[0; 32], b"{}", b"this is no protobuf", &good[..good.len() - 3], &logs] {
        house.refuses(body);
    }
    assert_eq!(house.counter("journal_position"), 0);
    house.lives_on();
}

fn n26_lengths_that_lie() {
    let house = House::new(&[]);
    let huge = [0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f];
    for body in [&huge[..], &[0x0a, 5, 1], &[0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]] {
        house.refuses(body);
    }
    house.lives_on();
}

fn n27_messages_of_tomorrow() {
    let house = House::new(&[]);
    let mut story = Story::default();
    let run = story.start("merged");
    let span = story.edit(&run).encode_to_vec();
    let resource = story.request().resource_spans[0].resource.as_ref().unwrap().encode_to_vec();
    // A resource in two parts, a status twice, and a oneof member that is not there yet.
    let (first, second) = (field(1, &resource), field(1, &wire::unknown_fields()));
    let value = [field(1, b"future"), field(2, &field(99, b"new"))].concat();
    let span = [span, field(15, &[]), field(15, &field(2, b"twice")), field(9, &value)].concat();
    let group = [first, second, field(2, &field(2, &span)), wire::unknown_fields()].concat();
    assert_eq!(house.post_traces(&[], &field(1, &group)).body, b"");
    assert_eq!(house.function("merged")["invocations"], 1);
    house.lives_on();
}

fn n28_bombs() {
    /// The limit of 64 MiB, with room for growing into it and for the process itself.
    const MEMORY: u64 = 384 << 20;
    let house = House::new(&[]);
    for (name, with_zstd) in [("gzip", false), ("zstd", true)] {
        let bomb = wire::bomb(with_zstd, 256);
        check_protobuf_status(&house.post_traces(&[("content-encoding", name)], &bomb), 413, "inflated");
        let call = house.call(Signal::Traces, &[("grpc-encoding", name)], &rpc::flagged(1, &bomb));
        assert_eq!(call.code(), Code::ResourceExhausted);
        let nested = wire::gzip(&bomb);
        assert_eq!(house.post_traces(&[GZIP], &nested).status, 400);
    }
    let members = wire::gzip(&[b' '; 1 << 16]).repeat(2_000);
    check_protobuf_status(&house.post_traces(&[GZIP], &members), 413, "inflated");
    let mut window = zstd::Encoder::new(Vec::new(), 1).unwrap();
    window.window_log(27).unwrap();
    window.write_all(&[7; 1000]).unwrap();
    let window = window.finish().unwrap();
    check_protobuf_status(&house.post_traces(&[("content-encoding", "zstd")], &window), 400, "zstd");
    assert!(house.peak_memory().is_none_or(|bytes| bytes < MEMORY), "{:?} bytes", house.peak_memory());
    house.lives_on();
}

fn n29_broken_gzip() {
    let house = House::new(&[]);
    let good = wire::gzip(&wire::good(Signal::Traces, 10));
    let mut wrong_sum = good.clone();
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    for broken in [&good[..10], &good[..good.len() / 2], &wrong_sum, &[&good[..], b"garbage"].concat()] {
        check_protobuf_status(&house.post_traces(&[GZIP], broken), 400, "gzip");
        let call = house.call(Signal::Traces, &[("grpc-encoding", "gzip")], &rpc::flagged(1, broken));
        assert_eq!(call.code(), Code::Internal);
    }
    assert_eq!(house.counter("spans_received"), 0);
    house.lives_on();
}

fn n30_encodings_that_lie() {
    let house = House::new(&[]);
    let body = wire::good(Signal::Traces, 1);
    check_protobuf_status(&house.post_traces(&[GZIP], &body), 400, "gzip");
    check_protobuf_status(&house.post_traces(&[], &wire::gzip(&body)), 400, "traces request");
    house.lives_on();
}

fn n31_names_of_encodings() {
    let house = House::new(&[]);
    let body = wire::good(Signal::Traces, 1);
    let packed = wire::gzip(&body);
    for (name, body, status) in [
        ("br", &body, 415),
        ("gzip, gzip", &packed, 415),
        ("GZIP", &packed, 200),
        ("identity", &body, 200),
        ("", &body, 200),
    ] {
        assert_eq!(house.post_traces(&[("content-encoding", name)], body).status, status, "{name}");
    }
    house.lives_on();
}

fn n32_types_of_all_kinds() {
    let house = House::new(&[]);
    check_json_status(&house.post("/v1/traces", &[], b""), 415, "Content-Type");
    check_json_status(&house.post("/v1/traces", &[("content-type", "text/plain")], b""), 415, "Content-Type");
    check_json_status(&house.post("/v1/traces", &[("content-type", "jsön")], b""), 415, "Content-Type");
    check_json_status(&house.post("/v1/traces", &[JSON, PROTOBUF], b""), 400, "more than once");
    let answer = house.post("/v1/traces", &[("content-type", "application/x-protobuf; x=1")], b"");
    assert_eq!(answer.status, 200);
    house.lives_on();
}

fn n33_types_that_lie() {
    let house = House::new(&[]);
    check_protobuf_status(&house.post_traces(&[], wire::good_json(Signal::Traces, 1).as_bytes()), 400, "traces");
    check_json_status(&house.post_json(wire::good(Signal::Traces, 1)), 400, "JSON");
    house.lives_on();
}

fn n34_lengths_of_bodies() {
    let house = House::new(&[]);
    assert_eq!(house.post_traces(&[], b"").status, 200);
    check_json_status(&house.post_json(b""), 400, "EOF");
    let kind = "content-type: application/x-protobuf\r\n";
    let answer = raw(&house, format!("POST /v1/traces HTTP/1.0\r\n{kind}\r\n").as_bytes()).unwrap();
    assert_eq!(answer.status, 200);
    let twice =
        format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\n{kind}content-length: 3\r\ncontent-length: 5\r\n\r\nabcde");
    assert_eq!(raw(&house, twice.as_bytes()).map(|answer| answer.status), Some(400));
    let both = "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let mut stream = http::connect(house.0.otlp_http).unwrap();
    stream.write_all(format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\n{kind}{both}").as_bytes()).unwrap();
    // The body ends with its chunks, so what would hide behind five bytes is a request of its own.
    assert_eq!(http::read_answer(&stream).unwrap().status, 200);
    house.lives_on();
}

fn n35_chunks_of_all_kinds() {
    let house = House::new(&["--otlp-max-request", "64KiB"]);
    let head = http::head(house.0.otlp_http, "POST", "/v1/traces", &[PROTOBUF, ("transfer-encoding", "chunked")]);
    let body = wire::traces_of_bytes(20_000);
    let bytes: Vec<u8> = body.iter().flat_map(|byte| [b"1\r\n", &[*byte][..], b"\r\n"].concat()).collect();
    let answer = raw(&house, &[head.as_bytes(), &bytes, b"0\r\n\r\n"].concat()).unwrap();
    assert_eq!(answer.status, 200, "{}", answer.text());
    let endless = [
        head.as_bytes(),
        &b"400\r\n".iter().copied().chain([b' '; 1024]).chain(*b"\r\n").collect::<Vec<_>>().repeat(100),
    ]
    .concat();
    check_protobuf_status(&raw(&house, &endless).unwrap(), 413, "limit");
    for bad in ["xyz\r\nabc\r\n0\r\n\r\n", "-1\r\n\r\n", "ffffffffffffffffff\r\n"] {
        let answer = raw(&house, &[head.as_bytes(), bad.as_bytes()].concat());
        assert!(answer.is_none_or(|answer| answer.status == 400), "{bad:?}");
    }
    let trailer = format!("0\r\nx: {}\r\n\r\n", "y".repeat(1 << 20));
    let answer = raw(&house, &[head.as_bytes(), trailer.as_bytes()].concat());
    assert!(answer.is_none_or(|answer| [200, 400].contains(&answer.status)));
    house.lives_on();
}

fn n36_very_many_silent_connections() {
    let house = House::new(&["--otlp-max-connections", "32", "--otlp-header-timeout", "300ms"]);
    let silent: Vec<TcpStream> = (0..200).map(|_| http::connect(house.0.otlp_http).unwrap()).collect();
    assert_eq!(house.post_traces(&[], &wire::good(Signal::Traces, 1)).status, 200);
    for mut stream in silent {
        assert_eq!(stream.read(&mut [0; 10]).unwrap_or_default(), 0);
    }
    let status = house.status();
    assert!(status["connections_timed_out"].as_u64() >= Some(150), "{status}");
    assert!(status["connections_full"].as_u64() >= Some(1), "{status}");
    house.lives_on();
}

/// A frame of HTTP/2.
fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

fn n37_abuse_of_http2() {
    const DATA: u8 = 0;
    const HEADERS: u8 = 1;
    const RESET: u8 = 3;
    const SETTINGS: u8 = 4;
    const PING: u8 = 6;
    const CONTINUATION: u8 = 9;
    const END_HEADERS: u8 = 4;
    let house = House::new(&[]);
    // Indexed fields of the static table: POST, http, /.
    let post = [0x83, 0x86, 0x84];
    let resets = (0..5_000).flat_map(|at| {
        let stream = 2 * at + 1;
        [frame(HEADERS, END_HEADERS, stream, &post), frame(RESET, 0, stream, &[0, 0, 0, 8])].concat()
    });
    let begun = frame(HEADERS, 0, 1, &post);
    // A literal field without an index, so long that it needs many frames.
    let literal = [&[0x00, 1, b'x', 0x7f, 0xe1, 0xff, 0x7f][..], &[b'y'; 16_000]].concat();
    for flood in [
        resets.collect(),
        [begun.clone(), frame(CONTINUATION, 0, 1, &[]).repeat(50_000)].concat(),
        [begun, frame(CONTINUATION, 0, 1, &literal).repeat(70)].concat(),
        frame(PING, 0, 0, &[7; 8]).repeat(20_000),
        frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 1]).repeat(20_000),
        frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]),
        frame(DATA, 0, 9, &[0; 16_000]).repeat(50),
    ] {
        for address in [house.0.otlp_grpc, house.0.otlp_http] {
            let mut stream = http::connect(address).unwrap();
            let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(SETTINGS, 0, 0, &[])].concat();
            // The door may hang up on it at any time.
            let _ = stream.write_all(&hello).and_then(|()| stream.write_all(&flood));
        }
    }
    house.lives_on();
}

fn n38_clients_that_hang_up() {
    let house = House::new(&["--otlp-max-request", "64KiB", "--otlp-max-in-flight", "64KiB"]);
    let body = wire::traces_of_bytes(60_000);
    for _ in 0..50 {
        drop(house.half(house.0.otlp_http, &[("content-length", "60000")], &body[..59_000]));
    }
    wait_until("the bytes come back", DEADLINE, || (house.post_traces(&[], &body).status == 200).then_some(()));
    assert_eq!(house.counter("spans_received"), 1);
    house.lives_on();
}

fn n39_calls_of_all_kinds() {
    let house = House::new(&[]);
    let connection = Connection::open(house.0.otlp_grpc);
    let path = Signal::Traces.grpc_path();
    let good = rpc::framed(&wire::good(Signal::Traces, 1));
    for (path, headers, body, code) in [
        ("/wrong.Service/Export", &[][..], &good, Code::Unimplemented),
        (path, &[("te", "")], &good, Code::Ok),
        (path, &[("grpc-encoding", "brotli")], &good, Code::Unimplemented),
        (path, &[], &vec![], Code::Internal),
        (path, &[], &vec![0, 0, 0, 0, 0], Code::Ok),
        (path, &[], &good[..7].to_vec(), Code::Internal),
        (path, &[], &rpc::flagged(5, b""), Code::Internal),
        (path, &[], &vec![0; 1 << 20], Code::Internal),
    ] {
        assert_eq!(connection.call(path, headers, body).code(), code, "{path} {headers:?}");
    }
    assert_eq!(connection.call(path, &[], &good).message(), b"");
    house.lives_on();
}

fn n40_the_wrong_door() {
    let house = House::new(&[]);
    let mut lost = Grpc::connect(house.0.otlp_http);
    let status = lost.export(Story::parse("lost").request()).unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status}");
    // The first bytes of a TLS handshake.
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &noise(507)].concat();
    let old = http::head(house.0.otlp_grpc, "POST", "/v1/traces", &[PROTOBUF]);
    for _ in 0..50 {
        for address in [house.0.otlp_grpc, house.0.otlp_http] {
            for bytes in [&hello[..], old.as_bytes()] {
                let mut stream = http::connect(address).unwrap();
                let _ = stream.write_all(bytes);
                // Closed, or answered with a refusal; a wait for it would fail by its time-out.
                let mut answer = Vec::new();
                let _ = stream.read_to_end(&mut answer);
            }
        }
    }
    let lines = house.0.log().lines().count();
    assert!(lines < 50, "{lines} lines were logged:\n{}", house.0.log());
    house.lives_on();
}

fn n41_bombs_of_headers() {
    let house = House::new(&[]);
    let many: String = (0..10_000).map(|at| format!("x-{at}: y\r\n")).collect();
    let long = format!("x: {}\r\n", "y".repeat(1 << 20));
    for (headers, status) in [(many.as_str(), 431), (&long, 431), ("x: a\nb\r\n", 400), ("x\0: a\r\n", 400)] {
        let text = format!("POST /v1/traces HTTP/1.1\r\nhost: x\r\n{headers}\r\n");
        let answer = raw(&house, text.as_bytes());
        assert!(answer.is_none_or(|answer| answer.status == status), "{headers:.20}");
    }
    house.lives_on();
}

fn n42_tricks_with_paths() {
    let house = House::new(&[]);
    for (path, status) in [
        ("/v1/traces/", 200),
        ("/v1/traces?x=1", 200),
        ("//v1/traces", 404),
        ("/v1/trace", 404),
        ("/v1/%2e%2e/v1/traces", 404),
        ("/v1/../v1/traces", 404),
        ("/V1/TRACES", 404),
    ] {
        assert_eq!(house.post(path, &[JSON], b"{}").status, status, "{path}");
    }
    house.lives_on();
}

fn n43_a_burst_above_the_cap() {
    const MEMORY: u64 = 256 << 20;
    let house = House::new(&["--otlp-max-request", "2MiB", "--otlp-max-in-flight", "2MiB"]);
    let accepted: u64 = thread::scope(|scope| {
        let senders: Vec<_> = (0..100)
            .map(|_| {
                scope.spawn(|| {
                    let body = wire::traces_of_bytes(200 << 10);
                    let answer = house.post_traces(&[], &body);
                    assert!([200, 503].contains(&answer.status), "{}", answer.text());
                    assert!(answer.status == 200 || answer.head.contains("retry-after: 1\r\n"), "{}", answer.head);
                    u64::from(answer.status == 200)
                })
            })
            .collect();
        senders.into_iter().map(|sender| sender.join().unwrap()).sum()
    });
    let status = house.0.caught_up();
    assert!(accepted > 0);
    assert_eq!((&status["spans_received"], &status["spans_analysed"]), (&accepted.into(), &accepted.into()));
    assert_eq!(status["requests_overloaded"], 100 - accepted);
    assert!(house.peak_memory().is_none_or(|bytes| bytes < MEMORY), "{:?} bytes", house.peak_memory());

    // Somebody else writes to the journal and does not end.
    let segments = std::fs::read_dir(house.0.data().join("journal")).unwrap().map(|entry| entry.unwrap().path());
    let is_segment = |path: &std::path::PathBuf| path.extension().is_some_and(|extension| extension == "db");
    let locks: Vec<_> = segments.filter(is_segment).map(|path| rusqlite::Connection::open(path).unwrap()).collect();
    locks.iter().for_each(|lock| lock.execute_batch("BEGIN IMMEDIATE").unwrap());
    let answer = house.post_traces(&[], &wire::good(Signal::Traces, 1));
    assert_eq!(answer.status, 503, "{}", answer.text());
    drop(locks);
    wait_until("the journal is free", DEADLINE, || {
        (house.post_traces(&[], &wire::good(Signal::Traces, 1)).status == 200).then_some(())
    });
    house.lives_on();
}
