//! G1-G15: what holds on the gRPC door.

use std::{
    io::{Read as _, Write as _},
    time::Duration,
};

use prost::Message as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::{
    house::House,
    rpc::{self, Connection},
    support::{DEADLINE, http, otlp::Story, wait_until},
    wire::{self, Signal},
};

items! {
    g01_all_three_services_export: Must, "unary `Export` of the three services: OK", "";
    g02_a_message_over_the_limit_is_refused_for_good: Must,
        "a message of the limit: OK; one byte more: RESOURCE_EXHAUSTED without RetryInfo",
        "tonic, as Rotel uses it: OUT_OF_RANGE, which SDKs send again for ever";
    g03_an_inflated_message_over_the_limit_is_refused: Must,
        "a message that inflates to one byte more than the limit: RESOURCE_EXHAUSTED, memory bounded", "";
    g04_the_limit_can_be_set: Should,
        "5 MiB pass by default (the limit is 64 MiB); a flag moves it, and bytes in flight have a cap of their own",
        "Rotel and tonic: 4 MiB";
    g05_what_is_no_protobuf_is_refused_for_good: Should,
        "a message that is no protobuf: INVALID_ARGUMENT with `BadRequest`", "tonic: INTERNAL";
    g06_overload_says_when_to_come_again: Should,
        "more bytes in flight than the cap: UNAVAILABLE with `RetryInfo`", "";
    g07_too_large_has_no_retry_info: Must,
        "RESOURCE_EXHAUSTED never has `RetryInfo`, plain, gzip or zstd", "";
    g08_permanent_faults_are_not_retried: Must,
        "every fault that stays has a code that clients do not retry", "Rotel: CANCELLED after a panic";
    g09_many_calls_on_one_connection: Should, "200 calls at once on one connection: all answered", "";
    g10_encodings_are_negotiated: Advice,
        "zstd and deflate are accepted; snappy is UNIMPLEMENTED with `grpc-accept-encoding`",
        "Collector: gzip, snappy, zstd. Rotel: gzip";
    g11_broken_frames_leave_the_connection_alive: Advice,
        "a compressed flag without an encoding, flag 5, a short frame, no body, corrupt gzip: INTERNAL with a message, and \
         the next call on the connection works", "";
    g12_an_expired_time_out_is_said_exactly: Advice,
        "`grpc-timeout: 1n` on a call whose body does not end: DEADLINE_EXCEEDED", "tonic: CANCELLED";
    g13_two_messages_are_both_kept: Advice,
        "two messages in a unary call: both are kept", "tonic: the first only";
    g14_other_protocols_are_turned_away: Advice,
        "HTTP/1.1: closed at once; another content type: 415", "tonic: any content type is taken for gRPC";
    g15_streams_can_be_bounded: Advice,
        "the requests that one connection may have open are announced as a flag says, and more of them wait; silent \
         connections are asked by pings", "";
}

const LIMIT: usize = 64 << 10;
const SMALL: [&str; 2] = ["--otlp-max-request", "64KiB"];

fn g01_all_three_services_export() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        let call = house.call(signal, &[], &rpc::framed(&wire::good(signal, 3)));
        assert_eq!((call.http, call.message()), (200, &b""[..]));
        assert_eq!(call.headers["content-type"], "application/grpc");
        assert_eq!(house.counter(signal.received()), 3);
    }
    house.lives_on();
}

#[track_caller]
fn too_large(call: &rpc::Rpc) {
    let status = call.status.as_ref().unwrap();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("smaller batches"), "{status}");
    assert_eq!(rpc::retry_info(status), None);
}

fn g02_a_message_over_the_limit_is_refused_for_good() {
    let house = House::new(&SMALL);
    let of_bytes = |bytes| house.call(Signal::Traces, &[], &rpc::framed(&wire::traces_of_bytes(bytes)));
    assert_eq!(of_bytes(LIMIT).message(), b"");
    too_large(&of_bytes(LIMIT + 1));
    too_large(&of_bytes(40 * LIMIT));
    assert_eq!(house.counter("requests_too_large"), 2);
    house.lives_on();
}

fn g03_an_inflated_message_over_the_limit_is_refused() {
    let house = House::new(&SMALL);
    let packed = |bytes| {
        let message = rpc::flagged(1, &wire::gzip(&wire::traces_of_bytes(bytes)));
        house.call(Signal::Traces, &[("grpc-encoding", "gzip")], &message)
    };
    assert_eq!(packed(LIMIT).message(), b"");
    too_large(&packed(LIMIT + 1));
    for (name, with_zstd) in [("gzip", false), ("zstd", true)] {
        let bomb = wire::bomb(with_zstd, 100);
        let kept = bomb.len().min(LIMIT);
        let headers = [("grpc-encoding", name)];
        too_large(&house.call(Signal::Traces, &headers, &rpc::flagged(1, &bomb[..kept])));
    }
    house.lives_on();
}

fn g04_the_limit_can_be_set() {
    let house = House::new(&[]);
    let large = rpc::framed(&wire::traces_of_bytes(5 << 20));
    assert_eq!(house.call(Signal::Traces, &[], &large).message(), b"");
    house.lives_on();
    let house = House::new(&["--otlp-max-request", "1MiB", "--otlp-max-in-flight", "1MiB"]);
    too_large(&house.call(Signal::Traces, &[], &large));
    house.lives_on();
}

fn g05_what_is_no_protobuf_is_refused_for_good() {
    let house = House::new(&[]);
    for signal in Signal::ALL {
        let call = house.call(signal, &[], &rpc::framed(&[0xff; 32]));
        let status = call.status.unwrap();
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        assert!(status.message().contains("check that the exporter sends it to the right path"), "{status}");
        let violations = status.get_details_bad_request().expect("a BadRequest").field_violations;
        assert_eq!(violations[0].field, "body");
    }
    assert_eq!(house.counter("requests_refused"), 3);
    house.lives_on();
}

fn g06_overload_says_when_to_come_again() {
    let house = House::new(&["--otlp-max-request", "64KiB", "--otlp-max-in-flight", "64KiB"]);
    let body = rpc::framed(&wire::traces_of_bytes(20_000));
    let (held, status) = house.crowded(|| {
        let status = house.call(Signal::Traces, &[], &body).status.unwrap();
        (status.code() != Code::Ok).then_some(status)
    });
    assert_eq!(status.code(), Code::Unavailable, "{status}");
    assert_eq!(rpc::retry_info(&status), Some(Duration::from_secs(1)));
    assert!(house.counter("requests_overloaded") >= 1);
    drop(held);
    wait_until("the bytes come back", DEADLINE, || {
        (house.call(Signal::Traces, &[], &body).code() == Code::Ok).then_some(())
    });
    house.lives_on();
}

fn g07_too_large_has_no_retry_info() {
    let house = House::new(&SMALL);
    let body = wire::traces_of_bytes(LIMIT + 1);
    too_large(&house.call(Signal::Traces, &[], &rpc::framed(&body)));
    for (name, packed) in [("gzip", wire::gzip(&body)), ("zstd", wire::zstd(&body)), ("deflate", wire::deflate(&body))]
    {
        too_large(&house.call(Signal::Traces, &[("grpc-encoding", name)], &rpc::flagged(1, &packed)));
    }
    house.lives_on();
}

fn g08_permanent_faults_are_not_retried() {
    let house = House::new(&SMALL);
    let good = wire::good(Signal::Traces, 1);
    let large = rpc::framed(&wire::traces_of_bytes(LIMIT + 1));
    let path = Signal::Traces.grpc_path();
    let gzip = [("grpc-encoding", "gzip")];
    for (what, path, headers, body) in [
        ("no protobuf", path, &[][..], rpc::framed(b"no protobuf")),
        ("too large", path, &[], large),
        ("no gzip", path, &gzip, rpc::flagged(1, b"no gzip")),
        ("no encoding", path, &[], rpc::flagged(1, &good)),
        ("unknown encoding", path, &[("grpc-encoding", "lz4")], rpc::flagged(1, &good)),
        ("bad flag", path, &[], rpc::flagged(7, &good)),
        ("no message", path, &[], vec![]),
        ("half a message", path, &[], rpc::framed(&good)[..9].to_vec()),
        ("unknown method", "/a.b/C", &[], rpc::framed(&good)),
    ] {
        let code = rpc::call(house.0.otlp_grpc, path, headers, &body).code();
        let stays = [Code::InvalidArgument, Code::ResourceExhausted, Code::Internal, Code::Unimplemented];
        assert!(stays.contains(&code), "{what}: {code:?}");
    }
    house.lives_on();
}

fn g09_many_calls_on_one_connection() {
    let house = House::new(&[]);
    let connection = Connection::open(house.0.otlp_grpc);
    let bodies: Vec<_> = (0..200).map(|_| rpc::framed(&wire::good(Signal::Traces, 1))).collect();
    for call in connection.calls(Signal::Traces.grpc_path(), &[], &bodies) {
        assert_eq!(call.message(), b"");
    }
    assert_eq!(house.counter("spans_received"), 200);
    house.lives_on();
}

fn g10_encodings_are_negotiated() {
    let house = House::new(&[]);
    let body = wire::good(Signal::Traces, 2);
    for (name, packed) in [("zstd", wire::zstd(&body)), ("deflate", wire::deflate(&body)), ("gzip", wire::gzip(&body))]
    {
        let call = house.call(Signal::Traces, &[("grpc-encoding", name)], &rpc::flagged(1, &packed));
        assert_eq!(call.message(), b"", "{name}");
    }
    let call = house.call(Signal::Traces, &[("grpc-encoding", "identity")], &rpc::framed(&body));
    assert_eq!(call.message(), b"");
    let call = house.call(Signal::Traces, &[("grpc-encoding", "snappy")], &rpc::flagged(1, &body));
    assert_eq!(call.code(), Code::Unimplemented);
    let accepted = call.headers["grpc-accept-encoding"].to_str().unwrap();
    assert!(["gzip", "zstd", "deflate", "identity"].iter().all(|name| accepted.contains(name)), "{accepted}");
    assert_eq!(house.counter("spans_received"), 8);
    house.lives_on();
}

fn g11_broken_frames_leave_the_connection_alive() {
    let house = House::new(&[]);
    let connection = Connection::open(house.0.otlp_grpc);
    let path = Signal::Traces.grpc_path();
    let good = wire::good(Signal::Traces, 1);
    let gzip = [("grpc-encoding", "gzip")];
    let mut wrong_sum = wire::gzip(&good);
    let at = wrong_sum.len() - 6;
    wrong_sum[at] ^= 1;
    for (what, headers, body) in [
        ("a flag without an encoding", &[][..], rpc::flagged(1, &good)),
        ("flag 5", &[], rpc::flagged(5, &good)),
        ("a short frame", &[], rpc::framed(&good)[..9].to_vec()),
        ("a short prefix", &[], vec![0, 0]),
        ("no body", &[], vec![]),
        ("no gzip", &gzip, rpc::flagged(1, b"no gzip")),
        ("truncated gzip", &gzip, rpc::flagged(1, &wire::gzip(&good)[..12])),
        ("gzip with a wrong sum", &gzip, rpc::flagged(1, &wrong_sum)),
    ] {
        let call = connection.call(path, headers, &body);
        let status = call.status.unwrap_or_else(|| panic!("{what}: no status"));
        assert_eq!(status.code(), Code::Internal, "{what}: {status}");
        assert!(!status.message().is_empty(), "{what}");
        assert_eq!(connection.call(path, &[], &rpc::framed(&good)).message(), b"", "after {what}");
    }
    house.lives_on();
}

fn g12_an_expired_time_out_is_said_exactly() {
    let house = House::new(&[]);
    let body = rpc::framed(&wire::good(Signal::Traces, 1));
    let connection = Connection::open(house.0.otlp_grpc);
    for short in ["1n", "50m"] {
        let call = connection.stalled(Signal::Traces.grpc_path(), &[("grpc-timeout", short)], &body[..9]);
        assert_eq!(call.code(), Code::DeadlineExceeded, "{short}");
    }
    for long in ["10S", "60000m", "nonsense"] {
        assert_eq!(house.call(Signal::Traces, &[("grpc-timeout", long)], &body).message(), b"", "{long}");
    }
    house.lives_on();
}

fn g13_two_messages_are_both_kept() {
    let house = House::new(&[]);
    let two = [rpc::framed(&wire::good(Signal::Traces, 1)), rpc::framed(&wire::good(Signal::Traces, 2))].concat();
    assert_eq!(house.call(Signal::Traces, &[], &two).message(), b"");
    assert_eq!(house.counter("spans_received"), 3);
    let packed = [rpc::flagged(1, &wire::gzip(&wire::good(Signal::Traces, 4))), two].concat();
    assert_eq!(house.call(Signal::Traces, &[("grpc-encoding", "gzip")], &packed).message(), b"");
    assert_eq!(house.counter("spans_received"), 10);
    house.lives_on();
}

fn g14_other_protocols_are_turned_away() {
    let house = House::new(&[]);
    let mut old = http::connect(house.0.otlp_grpc).unwrap();
    old.write_all(http::head(house.0.otlp_grpc, "POST", "/v1/traces", &[]).as_bytes()).unwrap();
    let mut answer = Vec::new();
    // Closed, with or without a word in its own protocol, and long before the time-out.
    let _ = old.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    for kind in ["application/json", "text/plain", ""] {
        let body = Story::parse("a").request().encode_to_vec();
        let call = house.call(Signal::Traces, &[("content-type", kind)], &rpc::framed(&body));
        assert_eq!(call.http, 415, "{kind}");
    }
    house.lives_on();
}

/// The first SETTINGS frame of the server: identifiers and values.
fn settings(house: &House) -> Vec<(u16, u32)> {
    let mut stream = http::connect(house.0.otlp_grpc).unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").unwrap();
    let mut head = [0; 9];
    stream.read_exact(&mut head).unwrap();
    assert_eq!(head[3], 4, "the first frame is SETTINGS");
    let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
    stream.read_exact(&mut payload).unwrap();
    let (entries, _) = payload.as_chunks::<6>();
    let read = |[a, b, c, d, e, f]: &[u8; 6]| (u16::from_be_bytes([*a, *b]), u32::from_be_bytes([*c, *d, *e, *f]));
    entries.iter().map(read).collect()
}

fn g15_streams_can_be_bounded() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let house = House::new(&["--otlp-max-streams", "2"]);
    assert!(settings(&house).contains(&(MAX_CONCURRENT_STREAMS, 2)));
    let bodies: Vec<_> = (0..20).map(|_| rpc::framed(&wire::good(Signal::Traces, 1))).collect();
    let connection = Connection::open(house.0.otlp_grpc);
    // The first call waits for the settings of the server.
    assert_eq!(connection.call(Signal::Traces.grpc_path(), &[], &bodies[0]).message(), b"");
    for call in connection.calls(Signal::Traces.grpc_path(), &[], &bodies) {
        assert_eq!(call.message(), b"");
    }
    house.lives_on();
    let house = House::new(&[]);
    assert!(settings(&house).contains(&(MAX_CONCURRENT_STREAMS, 256)));
}
