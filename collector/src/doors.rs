//! The doors: OTLP over gRPC and over HTTP.
//!
//! A door reads bytes within its limits, hands them to the [`Admission`] that both share, and says the outcome in the
//! words of its protocol. It knows nothing of what the spans mean. What is admitted lies in `journal.rs`.
//!
//! - [`admission`] judges a request and makes it durable.
//! - [`budget`] bounds the bytes of all requests on their way in.
//! - [`grpc`] and [`http`] are the two doors.
//! - `body`: reads bodies within limits.
//! - `frame`: how messages stand in the body of a gRPC call.
//! - `inflate`: opens what is compressed, within limits.
//! - `answer`: the bodies of HTTP answers.
//! - `cors`: which pages may send from a browser.
//! - `patience`: bounds the time that headers take.
//! - `serve`: accepts connections, with time-outs, and lets them end; the page's port uses it too.

pub mod admission;
mod answer;
mod body;
pub mod budget;
pub mod cors;
mod frame;
pub mod grpc;
pub mod http;
mod inflate;
mod patience;
pub(crate) mod serve;

use std::{sync::Arc, time::Duration};

use crate::otlp::limits::ItemLimits;

pub use self::{admission::Admission, cors::Origin, grpc::serve_grpc, http::serve_http};

/// What one door lets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bound on the bytes of a request, plain or after it is inflated. The OTLP specification recommends 64 MiB.
    pub request_bytes: usize,
    /// Bound on the bytes of all requests on their way into the journal: four requests of the largest size at once.
    pub in_flight_bytes: usize,
    /// What is taken of one request and its items.
    pub items: ItemLimits,
    /// Bound on open connections; more wait in the listener's backlog.
    pub connections: usize,
    /// Bound on the requests that one HTTP/2 connection may have open.
    pub streams: u32,
    /// How long a client may take to send its first bytes, and to send the headers of a request.
    pub header_timeout: Duration,
    /// How long a client may take to send the body of a request.
    pub body_timeout: Duration,
    /// How long a connection may be silent between two requests.
    pub idle_timeout: Duration,
    /// Pages of which origins may send from a browser; nobody's, unless somebody says otherwise.
    pub origins: Arc<[Origin]>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request_bytes: 64 << 20,
            in_flight_bytes: 256 << 20,
            items: ItemLimits::default(),
            connections: 4096,
            streams: 256,
            header_timeout: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(75),
            origins: Arc::default(),
        }
    }
}

impl Limits {
    /// The limits of the page's port.
    pub(crate) fn of_the_page() -> Self {
        Self { connections: PAGE_CONNECTIONS, ..Self::default() }
    }
}

/// Bound on open connections to the page's port; more wait in the listener's backlog. A browser opens six.
const PAGE_CONNECTIONS: usize = 1024;

/// How long open requests may take after the shutdown began.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);
