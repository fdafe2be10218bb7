//! Somebody who is told of alerts: records what comes and checks who signed it.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{
    Router,
    body::Bytes,
    http::{HeaderMap, StatusCode},
    routing::post,
};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Runtime,
};

use super::wait_until;

/// Signs the messages.
pub(crate) const SECRET: &str = "whsec_bG9vcHMgYXJlIGZvdW5kIHdoaWxlIHRoZXkgYXJlIGNoZWFw";

/// A receiver at an address of its own.
pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    runtime: Runtime,
    /// Holds the address while nobody listens there.
    closed: Option<TcpSocket>,
    received: Arc<Mutex<Vec<Received>>>,
}

/// One message.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    /// The `webhook-id`: the same over all attempts.
    pub(crate) id: String,
    pub(crate) body: Value,
}

impl Receiver {
    /// Takes an address, and refuses connections until it is opened.
    pub(crate) fn closed() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(([127, 0, 0, 1], 0).into()).unwrap();
        Self { address: socket.local_addr().unwrap(), runtime, closed: Some(socket), received: Arc::default() }
    }

    /// Takes an address and listens.
    pub(crate) fn open() -> Self {
        let mut receiver = Self::closed();
        receiver.listen();
        receiver
    }

    /// Begins to listen.
    pub(crate) fn listen(&mut self) {
        let socket = self.closed.take().unwrap();
        let received = Arc::clone(&self.received);
        let app = Router::new().route(
            "/hook",
            post(async move |headers: HeaderMap, body: Bytes| {
                // A message that is not rightly signed is not answered well, so it never counts as received.
                let Some(message) = verified(&headers, &body) else { return StatusCode::UNAUTHORIZED };
                received.lock().unwrap().push(message);
                StatusCode::NO_CONTENT
            }),
        );
        let _context = self.runtime.enter();
        let listener: TcpListener = socket.listen(64).unwrap();
        self.runtime.spawn(async move { axum::serve(listener, app).await });
    }

    /// Its URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    /// All messages so far, in the order of their arrival.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Types of all messages so far.
    pub(crate) fn types(&self) -> Vec<String> {
        self.received().iter().map(|message| message.body["type"].as_str().unwrap().to_owned()).collect()
    }

    /// Waits for a message of this type about a loop of these functions.
    #[track_caller]
    pub(crate) fn message(&self, kind: &str, functions: &[&str], deadline: Duration) -> Received {
        let is_it = |message: &Received| {
            message.body["type"] == kind && message.body["data"]["loop"]["functions"] == serde_json::json!(functions)
        };
        wait_until(&format!("{kind} of {functions:?} was received"), deadline, || {
            self.received().into_iter().find(is_it)
        })
    }
}

fn verified(headers: &HeaderMap, body: &[u8]) -> Option<Received> {
    standardwebhooks::Webhook::new(SECRET).unwrap().verify(body, headers).ok()?;
    let id = headers.get("webhook-id")?.to_str().ok()?.to_owned();
    Some(Received { id, body: serde_json::from_slice(body).ok()? })
}
