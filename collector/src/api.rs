//! The API and the page on one port: what is known, as JSON over HTTP, and the live stream.
//!
//! Handlers read the published [`View`], counters, and through closures the journal and the alerts; nothing here knows
//! how those are kept. All that they change is the registry of declarations and verdicts. One file serves one resource; `api/guard.rs` decides who may ask, `api/error.rs` how it
//! says no, and `convert.rs` turns the engine's values into messages.

use std::sync::Arc;

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{delete, get, post},
};
use loopscope_ui_bundle::Asset;
use tokio::sync::{Semaphore, watch};
use tower_http::{
    CompressionLevel,
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer, Predicate as _,
        predicate::{DefaultPredicate, SizeAbove},
    },
};

pub use self::{
    alerts::AlertSource,
    changes::ChangeSource,
    guard::Hosts,
    health::Ready,
    live::Live,
    range::WindowSource,
    status::StatusSource,
    traces::{Identify, Identity, TraceSource, TraceSpans},
};
use crate::{intended::registry::Registry, view::View};

mod alerts;
mod anomalies;
mod answer;
mod changes;
mod error;
mod exemplars;
mod graph;
mod guard;
mod health;
mod hotspots;
mod intended;
mod laps;
mod live;
mod loops;
mod page;
mod range;
mod status;
mod traces;
mod verdicts;

/// Error that a closure of [`ApiState`] may return; it is logged, and the reader learns only that it happened.
pub type SourceError = Box<dyn std::error::Error + Send + Sync>;

/// Bound on answers that read from disk at the same time; more of them wait, and give up after
/// [`error::BUSY_AFTER`].
const DISK_READERS: usize = 4;

/// Bound on what a changing request may send, bytes.
const REQUEST_BYTES: usize = 64 << 10;

/// Answers smaller than this are not compressed, in bytes.
const WORTH_COMPRESSING: u64 = 1_024;

/// All that the handlers read.
#[derive(Clone)]
pub struct ApiState {
    /// The newest view.
    pub view: watch::Receiver<Arc<View>>,
    /// The live stream; its [`Live::run`] must run beside the server.
    pub live: Arc<Live>,
    /// Where the status comes from.
    pub status: Arc<StatusSource>,
    /// Reads a trace from the journal.
    pub traces: TraceSource,
    /// Says which function ran a span.
    pub identify: Identify,
    /// Reads what was measured in a range of time.
    pub windows: WindowSource,
    /// Says what changed.
    pub changes: ChangeSource,
    /// Reads the newest alerts.
    pub alerts: AlertSource,
    /// What people declare and say of loops.
    pub registry: Arc<Registry>,
    /// True once the engine has caught up with the journal.
    pub ready: Ready,
    /// The names by which this server may be asked.
    pub hosts: Arc<Hosts>,
    /// The files of the page, usually `loopscope_ui_bundle::ASSETS`.
    pub assets: &'static [Asset],
}

/// What the handlers share.
#[derive(Clone)]
struct Shared {
    state: ApiState,
    disk: Arc<Semaphore>,
    page: Arc<page::Page>,
}

/// Builds the service of the page's port.
pub fn router(state: ApiState) -> Router {
    let hosts = Arc::clone(&state.hosts);
    let page = Arc::new(page::Page::new(state.assets));
    let shared = Shared { state, disk: Arc::new(Semaphore::new(DISK_READERS)), page };
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(DefaultPredicate::new().and(SizeAbove::new(WORTH_COMPRESSING)));
    let answers = Router::new()
        .route("/api/v1/graph", get(graph::get))
        .route("/api/v1/loops", get(loops::list))
        .route("/api/v1/loops/{id}", get(loops::get))
        .route("/api/v1/loops/{id}/laps", get(laps::get))
        .route("/api/v1/loops/{id}/verdict", post(verdicts::post))
        .route("/api/v1/verdicts", get(verdicts::list))
        .route("/api/v1/intended", get(intended::list).post(intended::post))
        .route("/api/v1/intended/{id}", delete(intended::delete))
        .route("/api/v1/hotspots", get(hotspots::get))
        .route("/api/v1/changes", get(changes::get))
        .route("/api/v1/anomalies", get(anomalies::get))
        .route("/api/v1/exemplars", get(exemplars::get))
        .route("/api/v1/traces/{trace_id}", get(traces::get))
        .route("/api/v1/alerts", get(alerts::get))
        .route("/api/v1/status", get(status::get))
        .layer(compression)
        .layer(DefaultBodyLimit::max(REQUEST_BYTES));
    // The stream stays outside of the compression, which would hold messages back.
    let guarded = answers
        .route("/api/v1/live", get(live::get))
        .fallback(page::get)
        .method_not_allowed_fallback(error::method_not_allowed)
        .layer(middleware::from_fn_with_state(hosts, guard::check));
    // Health is asked by machines that know this server by any address, and tells nothing.
    Router::new()
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .method_not_allowed_fallback(error::method_not_allowed)
        .merge(guarded)
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::map_response(guard::add_headers))
        .with_state(shared)
}

#[cfg(test)]
mod tests;
