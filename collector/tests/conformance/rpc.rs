//! gRPC by hand over HTTP/2: a call may be as wrong as a test wants it.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::UnsyncBoxBody};
use hyper::body::Frame;
use hyper::client::conn::http2::{SendRequest, handshake};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};
use tokio_stream::StreamExt as _;
use tonic::{Code, Status};

use super::support::DEADLINE;

/// What came back.
#[derive(Debug)]
pub(crate) struct Rpc {
    /// The status of HTTP.
    pub(crate) http: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The status of gRPC, from the trailers or the headers.
    pub(crate) status: Option<Status>,
}

impl Rpc {
    /// The code of gRPC.
    #[track_caller]
    pub(crate) fn code(&self) -> Code {
        self.status.as_ref().unwrap_or_else(|| panic!("no status in {self:?}")).code()
    }

    /// The message of a success.
    #[track_caller]
    pub(crate) fn message(&self) -> &[u8] {
        assert_eq!(self.code(), Code::Ok, "{:?}", self.status);
        let (flag, length) = (self.body[0], u32::from_be_bytes(self.body[1..5].try_into().unwrap()));
        assert_eq!((flag, length as usize), (0, self.body.len() - 5));
        &self.body[5..]
    }
}

type CallBody = UnsyncBoxBody<Bytes, Infallible>;

/// A connection that stays open between calls.
pub(crate) struct Connection {
    runtime: Runtime,
    sender: SendRequest<CallBody>,
    address: SocketAddr,
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (sender, connection) = handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender
        });
        Self { runtime, sender, address }
    }

    /// Sends many calls at once and waits for all.
    #[track_caller]
    pub(crate) fn calls(&self, path: &str, headers: &[(&str, &str)], bodies: &[Vec<u8>]) -> Vec<Rpc> {
        let tasks: Vec<_> = bodies
            .iter()
            .map(|body| {
                let body = Full::new(Bytes::copy_from_slice(body)).boxed_unsync();
                let call = one(self.sender.clone(), self.address, path, headers, body);
                self.runtime.spawn(call)
            })
            .collect();
        self.runtime.block_on(async {
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(timeout(DEADLINE, task).await.expect("an answer in time").unwrap());
            }
            answers
        })
    }

    #[track_caller]
    pub(crate) fn call(&self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Rpc {
        self.calls(path, headers, &[body.to_vec()]).remove(0)
    }
}

impl Connection {
    /// Sends a call whose body does not end.
    #[track_caller]
    pub(crate) fn stalled(&self, path: &str, headers: &[(&str, &str)], part: &[u8]) -> Rpc {
        let part = tokio_stream::once(Ok(Frame::data(Bytes::copy_from_slice(part))));
        let body = StreamBody::new(part.chain(tokio_stream::pending())).boxed_unsync();
        let call = one(self.sender.clone(), self.address, path, headers, body);
        self.runtime.block_on(async { timeout(DEADLINE, call).await.expect("an answer in time") })
    }
}

/// One call on a connection of its own.
#[track_caller]
pub(crate) fn call(address: SocketAddr, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Rpc {
    Connection::open(address).call(path, headers, body)
}

/// A message as it stands in a body, not compressed.
pub(crate) fn framed(message: &[u8]) -> Vec<u8> {
    flagged(0, message)
}

/// A message with this flag before it.
pub(crate) fn flagged(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &u32::try_from(message.len()).unwrap().to_be_bytes(), message].concat()
}

/// When a client that got this status may come again; `None` when it must not.
pub(crate) fn retry_info(status: &Status) -> Option<Duration> {
    tonic_types::StatusExt::get_details_retry_info(status).and_then(|info| info.retry_delay)
}

fn one(
    mut sender: SendRequest<CallBody>,
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: CallBody,
) -> impl Future<Output = Rpc> + Send + 'static {
    let mut request = Request::post(format!("http://{address}{path}"));
    let given = |name: &str| headers.iter().any(|(known, _)| *known == name);
    for (name, value) in [("content-type", "application/grpc"), ("te", "trailers")] {
        if !given(name) {
            request = request.header(name, value);
        }
    }
    // An empty value leaves a header out.
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        request = request.header(*name, *value);
    }
    let request = request.body(body).unwrap();
    async move {
        let response = sender.send_request(request).await.unwrap();
        let (head, body) = response.into_parts();
        let collected = body.collect().await.unwrap();
        let trailers = collected.trailers().cloned().unwrap_or_default();
        let status = Status::from_header_map(&trailers).or_else(|| Status::from_header_map(&head.headers));
        Rpc { http: head.status.as_u16(), headers: head.headers, body: collected.to_bytes(), status }
    }
}
