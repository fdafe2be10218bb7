//! A server that must live through a test, and the ways to knock at its doors.

use std::{
    io::Write as _,
    net::{SocketAddr, TcpStream},
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTracePartialSuccess;
use prost::Message as _;
use serde_json::Value;
use tonic_types::pb;

use super::{
    rpc::{self, Rpc},
    support::{
        DEADLINE,
        http::{self, Answer, JSON, PROTOBUF},
        otlp::{self, Grpc, Run, Story},
        server::Server,
        wait_until,
    },
    wire::{self, Signal},
};

/// A server with both doors.
pub(crate) struct House(pub(crate) Server);

/// How a request is sent: the transport, and how it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dress {
    Protobuf,
    Json,
    Grpc,
}

/// What a door said of a request of which it kept something: rejected items and the message; `None` if it kept all.
pub(crate) type Said = Option<(i64, String)>;

impl Dress {
    pub(crate) const ALL: [Self; 3] = [Self::Protobuf, Self::Json, Self::Grpc];
}

impl House {
    pub(crate) fn new(flags: &[&str]) -> Self {
        Self(Server::start(flags))
    }

    /// Posts to the HTTP door.
    #[track_caller]
    pub(crate) fn post(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.send("POST", path, headers, body)
    }

    #[track_caller]
    pub(crate) fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        http::send(self.0.otlp_http, method, path, headers, body).unwrap()
    }

    /// Posts traces in protobuf.
    #[track_caller]
    pub(crate) fn post_traces(&self, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.post("/v1/traces", &[&[PROTOBUF], headers].concat(), body)
    }

    /// Posts traces in JSON.
    #[track_caller]
    pub(crate) fn post_json(&self, json: impl AsRef<[u8]>) -> Answer {
        self.post("/v1/traces", &[JSON], json.as_ref())
    }

    /// Calls the gRPC door with a framed body.
    #[track_caller]
    pub(crate) fn call(&self, signal: Signal, headers: &[(&str, &str)], body: &[u8]) -> Rpc {
        rpc::call(self.0.otlp_grpc, signal.grpc_path(), headers, body)
    }

    /// Sends traces in a dress.
    #[track_caller]
    pub(crate) fn export(&self, dress: Dress, story: &Story) -> Said {
        let request = story.request();
        match dress {
            Dress::Protobuf => said_in_protobuf(&self.post_traces(&[], &request.encode_to_vec())),
            Dress::Json => said_in_json(Signal::Traces, &self.post_json(serde_json::to_vec(&request).unwrap())),
            Dress::Grpc => {
                let answer = Grpc::connect(self.0.otlp_grpc).export(request).unwrap();
                answer.partial_success.map(|partial| (partial.rejected_spans, partial.error_message))
            }
        }
    }

    /// Sends bytes that are no traces to all doors, and must be told so.
    #[track_caller]
    pub(crate) fn refuses(&self, body: &[u8]) {
        check_protobuf_status(&self.post_traces(&[], body), 400, "not a valid OTLP traces request");
        let call = self.call(Signal::Traces, &[], &rpc::framed(body));
        assert_eq!(call.code(), tonic::Code::InvalidArgument, "{:?}", call.status);
    }

    /// Keeps what was sent of a story in all dresses that are new each time; what was said of each.
    #[track_caller]
    pub(crate) fn export_all(&self, mut story: impl FnMut() -> Story) -> [Said; 3] {
        Dress::ALL.map(|dress| self.export(dress, &story()))
    }

    #[track_caller]
    pub(crate) fn status(&self) -> Value {
        self.0.get_json("/api/v1/status")
    }

    /// A counter of the status.
    #[track_caller]
    pub(crate) fn counter(&self, name: &str) -> u64 {
        self.status()[name].as_u64().unwrap_or_else(|| panic!("no counter {name}"))
    }

    /// The most memory that the process has held so far, bytes; `None` where the system does not tell.
    pub(crate) fn peak_memory(&self) -> Option<u64> {
        self.0.memory("VmHWM")
    }

    /// The trace of a run, once the engine has caught up.
    #[track_caller]
    pub(crate) fn trace(&self, run: &Run) -> Value {
        self.0.get_json(&format!("/api/v1/traces/{}", run.trace()))
    }

    /// Functions of the graph, by name.
    #[track_caller]
    pub(crate) fn functions(&self) -> Vec<Value> {
        self.0.caught_up();
        self.0.get_json("/api/v1/graph")["functions"].as_array().unwrap().clone()
    }

    /// The function of this name.
    #[track_caller]
    pub(crate) fn function(&self, name: &str) -> Value {
        let functions = self.functions();
        let found = functions.iter().find(|function| function["name"] == name);
        found.unwrap_or_else(|| panic!("no function {name} in {functions:?}")).clone()
    }

    /// Opens a connection and sends the head of a request and the first part of its body.
    pub(crate) fn half(&self, address: SocketAddr, headers: &[(&str, &str)], part: &[u8]) -> TcpStream {
        let mut stream = http::connect(address).unwrap();
        let head = http::head(address, "POST", "/v1/traces", &[&[PROTOBUF], headers].concat());
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(part).unwrap();
        stream
    }

    /// Holds most of a cap of 64 KiB on bytes in flight until something else feels it; hands out who holds it.
    #[track_caller]
    pub(crate) fn crowded<T>(&self, mut ask: impl FnMut() -> Option<T>) -> (TcpStream, T) {
        wait_until("the held bytes are felt", DEADLINE, || {
            // Where the others come first, this is the one that is sent away, and has to try again.
            let held = self.half(self.0.otlp_http, &[("content-length", "60000")], &vec![0; 50_000]);
            ask().map(|felt| (held, felt))
        })
    }

    /// Both doors still work, and what they take is analysed and found again.
    #[track_caller]
    pub(crate) fn lives_on(mut self) {
        for signal in Signal::ALL {
            let answer = self.post(signal.path(), &[PROTOBUF], &wire::good(signal, 1));
            assert_eq!((answer.status, answer.body.len()), (200, 0), "{}", answer.text());
        }
        let mut story = Story::default();
        let caller = story.start("alive");
        story.call(&caller, "and-well");
        otlp::post_well(self.0.otlp_http, &story.request());
        let mut second = Story::default();
        let other = second.start("alive");
        assert_eq!(self.export(Dress::Grpc, &second), None);
        self.0.caught_up();
        for (run, spans) in [(&caller, 3), (&other, 1)] {
            assert_eq!(self.trace(run)["spans_total"], spans);
        }
        assert!(self.0.lives());
    }
}

/// What an answer in protobuf says was not kept.
#[track_caller]
pub(crate) fn said_in_protobuf(answer: &Answer) -> Said {
    assert_eq!(answer.status, 200, "{}", answer.text());
    wire::partial(&answer.body)
        .map(|ExportTracePartialSuccess { rejected_spans, error_message }| (rejected_spans, error_message))
}

/// What an answer in JSON says was not kept.
#[track_caller]
pub(crate) fn said_in_json(signal: Signal, answer: &Answer) -> Said {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let answer = answer.json();
    if answer == serde_json::json!({}) {
        return None;
    }
    let partial = &answer["partialSuccess"];
    let rejected = partial[signal.rejected()].as_str().unwrap_or_else(|| panic!("no count in {answer}"));
    Some((rejected.parse().unwrap(), partial["errorMessage"].as_str().unwrap().to_owned()))
}

/// The answer is a `google.rpc.Status` in JSON.
#[track_caller]
pub(crate) fn check_json_status(answer: &Answer, status: u16, text: &str) {
    let body = answer.json();
    assert_eq!(answer.status, status, "{body}");
    assert!(answer.head.contains("content-type: application/json\r\n"), "{}", answer.head);
    assert!(body["message"].as_str().unwrap().contains(text), "{text:?} is missing in {body}");
}

/// The answer is a `google.rpc.Status` in protobuf.
#[track_caller]
pub(crate) fn check_protobuf_status(answer: &Answer, status: u16, text: &str) {
    assert_eq!(answer.status, status, "{}", answer.text());
    assert!(answer.head.contains("content-type: application/x-protobuf\r\n"), "{}", answer.head);
    let body = pb::Status::decode(answer.body.as_slice()).unwrap();
    assert!(body.message.contains(text), "{text:?} is missing in {body:?}");
}
