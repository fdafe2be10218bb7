//! The API and the page on one port: what is known, as JSON over HTTP and as the same messages over gRPC, and the
//! live stream.
//!
//! Functions read the published [`View`], counters, and through closures the journal and the alerts; nothing here knows
//! how those are kept. All that they change is the registry of declarations and verdicts. One file serves one resource;
//! `api/guard.rs` decides who may ask, `api/error.rs` how it says no, and `convert.rs` turns the engine's values into
//! messages.
//!
//! # To add an endpoint
//!
//! 1. Its messages in a file of `proto/loopscope/v1`, a sentence on each field: one that asks (fields are the names in
//!    the path and the parameters of the query, which are `optional`; or the body of what changes something), and one
//!    that answers. In `api.proto` one line for the call, with a sentence.
//!    `UPDATE_GENERATED=1 cargo test -p loopscope-proto` makes the types.
//! 2. Its function in a file here: `pub(super) async fn list(shared: Shared, wanted: v1::ListThingsRequest) ->
//!    Result<v1::ThingList, ApiError>`. What reads from disk goes through [`error::read_from_disk`].
//! 3. One line in the list below. `refuses` names the statuses that its function answers beyond 400, 403 and 500.
//!
//! The route, the method of the gRPC service and the document at `/api/v1/openapi.json` follow from that line
//! (`api/endpoint.rs`, `api/grpc.rs`, `api/openapi.rs`). What a text or a number looks like beyond its type is said in
//! `proto/src/schema/format.rs`.

use std::sync::Arc;

use axum::{Router, body::Bytes, extract::DefaultBodyLimit, middleware, routing::get};
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
    traces::{FoundLogs, Identify, Identity, LogSource, TraceSource, TraceSpans},
};
use crate::{intended::registry::Registry, view::View};

mod alerts;
mod anomalies;
mod answer;
mod changes;
mod cost;
mod endpoint;
mod error;
mod exemplars;
mod function_logs;
mod functions;
mod graph;
mod grpc;
mod guard;
mod health;
mod hotspots;
mod intended;
mod laps;
mod live;
mod loops;
mod openapi;
mod page;
mod patterns;
mod range;
mod status;
mod traces;
mod verdicts;

endpoint::endpoints! {
    GET "/api/v1/graph" get_graph = graph::get(GetGraphRequest) -> Graph;
    GET "/api/v1/loops" list_loops = loops::list(ListLoopsRequest) -> LoopList;
    GET "/api/v1/loops/{id}" get_loop = loops::get(GetLoopRequest) -> Loop, refuses NOT_FOUND;
    GET "/api/v1/loops/{id}/laps" get_laps = laps::get(GetLapsRequest) -> Laps, refuses NOT_FOUND SERVICE_UNAVAILABLE;
    POST "/api/v1/loops/{loop_id}/verdict" judge_loop = verdicts::judge(Verdict) -> Verdict,
        refuses NOT_FOUND CONFLICT SERVICE_UNAVAILABLE;
    GET "/api/v1/verdicts" list_verdicts = verdicts::list(ListVerdictsRequest) -> VerdictList;
    GET "/api/v1/intended" list_intended = intended::list(ListIntendedRequest) -> IntendedList;
    POST "/api/v1/intended" declare_intended = intended::declare(Intended) -> Intended,
        refuses CONFLICT SERVICE_UNAVAILABLE;
    DELETE "/api/v1/intended/{id}" withdraw_intended = intended::withdraw(WithdrawIntendedRequest) -> IntendedList,
        refuses NOT_FOUND CONFLICT SERVICE_UNAVAILABLE;
    GET "/api/v1/hotspots" list_hotspots = hotspots::list(ListHotspotsRequest) -> HotspotList,
        refuses NOT_FOUND SERVICE_UNAVAILABLE;
    GET "/api/v1/functions" list_functions = functions::list(ListFunctionsRequest) -> FunctionList,
        refuses SERVICE_UNAVAILABLE;
    GET "/api/v1/functions/{id}" get_function = functions::get(GetFunctionRequest) -> FunctionProfile,
        refuses NOT_FOUND SERVICE_UNAVAILABLE;
    GET "/api/v1/functions/{id}/logs" get_function_logs = function_logs::get(GetFunctionLogsRequest) -> FunctionLogs,
        refuses NOT_FOUND SERVICE_UNAVAILABLE;
    GET "/api/v1/cost" get_cost = cost::get(GetCostRequest) -> CostReport, refuses SERVICE_UNAVAILABLE;
    GET "/api/v1/patterns" get_patterns = patterns::get(GetPatternsRequest) -> PatternReport,
        refuses SERVICE_UNAVAILABLE;
    GET "/api/v1/changes" list_changes = changes::list(ListChangesRequest) -> ChangeList;
    GET "/api/v1/anomalies" list_anomalies = anomalies::list(ListAnomaliesRequest) -> AnomalyList;
    GET "/api/v1/exemplars" get_exemplars = exemplars::get(GetExemplarsRequest) -> Exemplars, refuses NOT_FOUND;
    GET "/api/v1/traces/{trace_id}" get_trace = traces::get(GetTraceRequest) -> Trace,
        refuses NOT_FOUND SERVICE_UNAVAILABLE;
    GET "/api/v1/alerts" list_alerts = alerts::list(ListAlertsRequest) -> AlertList, refuses SERVICE_UNAVAILABLE;
    GET "/api/v1/status" get_status = status::get(GetStatusRequest) -> Status;
}

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
    /// Reads log records from the journal.
    pub logs: LogSource,
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
    document: Bytes,
}

impl Shared {
    /// The newest view.
    fn view(&self) -> Arc<View> {
        Arc::clone(&self.state.view.borrow())
    }
}

/// Builds the service of the page's port.
pub fn router(state: ApiState) -> Router {
    let hosts = Arc::clone(&state.hosts);
    let page = Arc::new(page::Page::new(state.assets));
    let shared =
        Shared { state, disk: Arc::new(Semaphore::new(DISK_READERS)), page, document: openapi::bytes(ENDPOINTS) };
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(DefaultPredicate::new().and(SizeAbove::new(WORTH_COMPRESSING)));
    let answers = routes()
        .route("/api/v1/openapi.json", get(openapi::get))
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
        .merge(grpc::routes(&shared))
        .merge(grpc::health_route(&shared))
        .layer(CatchPanicLayer::custom(error::panicked))
        .layer(middleware::map_response(guard::add_headers))
        .with_state(shared)
}

#[cfg(test)]
mod tests;
