//! The doors: OTLP over gRPC and over HTTP.
//!
//! A door reads bytes within its limits, hands them to the [`Admission`] that both share, and says the outcome in the
//! words of its protocol. It knows nothing of what the spans mean. What is admitted lies in `journal.rs`.
//!
//! - [`admission`] judges a request and makes it durable.
//! - [`budget`] bounds the bytes of all requests on their way in.
//! - [`grpc`] and [`http`] are the two doors.
//! - `body`: reads and inflates HTTP bodies within limits.
//! - `answer`: the bodies of HTTP answers.
//! - `patience`: bounds the time that headers take.
//! - `serve`: accepts connections, with time-outs, and lets them end; the page's port uses it too.

pub mod admission;
mod answer;
mod body;
pub mod budget;
pub mod grpc;
pub mod http;
mod patience;
pub(crate) mod serve;

use std::time::Duration;

pub use self::{admission::Admission, grpc::serve_grpc, http::serve_http};

/// What one door lets in.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bound on the bytes of a request, plain or after it is inflated. The OTLP specification recommends 64 MiB.
    pub request_bytes: usize,
    /// Bound on open connections; more wait in the listener's backlog.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { request_bytes: 64 << 20, connections: 4096 }
    }
}

/// Bound on open connections to the page's port; more wait in the listener's backlog. A browser opens six.
pub(crate) const PAGE_CONNECTIONS: usize = 1024;

/// How long a client may take to send its first bytes, and to send the headers of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a connection may be silent between two requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(75);

/// How long a client may take to send the body of a request.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How long open requests may take after the shutdown began.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
