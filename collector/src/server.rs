//! One server from start to stop: a list of starts, and the same list backwards.
//!
//! Nothing is decided here; what each part does stands in its own module. Ports are bound first, so that one that is
//! taken is told before the journal is opened, and served last: who connects early waits and then reaches a server that
//! works.

use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::{JoinError, JoinSet},
};
use tokio_util::sync::CancellationToken;

use crate::{
    alert::{self, Alerts, webhook},
    api::{self, ApiState, FoundLogs, Hosts, Identity, Live, StatusSource, TraceSpans},
    config::{Config, DataDir},
    counters::Counters,
    doors::{
        self, Admission, Limits,
        serve::{Protocols, serve},
    },
    intended::registry::Registry,
    journal::{Journal, JournalConfig, JournalError, Wanted},
    layout::{Layout, YOUNG_FOR},
    otlp::{Signal, identify, trace_view},
    pipeline::{self, Knowledge, Outlets, Pipeline, Restored},
    store::{Store, StoreError},
    view::View,
    windows::{self, WindowError, Windows},
};

/// A segment of the journal is sealed after this time, so that retention lets go of little at a time.
const SEGMENT_AGE: Duration = Duration::from_secs(15 * 60);

/// A segment of the journal is sealed at this size.
const SEGMENT_BYTES: u64 = 256 << 20;

/// How long requests that are under way may take when the server stops.
const DRAIN: Duration = Duration::from_secs(10);

/// Log records that are read for one answer; those of the request that goes beyond are still among them.
const LOGS_READ: usize = 10_000;

/// Alerts that the page lists.
const ALERTS_LISTED: usize = 200;

/// The addresses that the server listens on.
#[derive(Clone, Copy, Debug)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub otlp_grpc: SocketAddr,
    /// OTLP over HTTP.
    pub otlp_http: SocketAddr,
    /// The page and the API.
    pub ui: SocketAddr,
}

/// Why a server did not start or did not go on.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// The data folder cannot be made or used.
    #[error("cannot use the data folder {}: {source}", path.display())]
    DataDir {
        /// The folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// An address is taken or not ours.
    #[error("cannot listen on {address} ({setting}): {source}; stop what listens there or choose another port")]
    Bind {
        /// The setting that names it.
        setting: &'static str,
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The journal cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// The state cannot be opened.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The windows cannot be opened.
    #[error(transparent)]
    Windows(#[from] WindowError),
    /// Webhooks cannot be sent.
    #[error(transparent)]
    Webhook(#[from] webhook::DeliveryError),
    /// The engine's threads cannot be started.
    #[error("cannot start the engine: {0}")]
    Engine(io::Error),
    /// A thread of the engine panicked.
    #[error("the engine has died, so loops would go unseen; start again, and please report what stands above")]
    EngineDied,
    /// A part stopped working.
    #[error("{part} has stopped: {source}")]
    Part {
        /// Which one.
        part: &'static str,
        /// What the system says.
        source: io::Error,
    },
    /// A part panicked.
    #[error("a part of the server has panicked: {0}")]
    Panic(JoinError),
}

/// Runs a server until `shutdown`, then drains and stops it. Calls `announce` once all ports are open, and counts in
/// `counters`.
///
/// # Errors
/// When something cannot be started, or a port stops working.
pub async fn run(
    config: Config,
    counters: Arc<Counters>,
    shutdown: CancellationToken,
    announce: impl FnOnce(&Addresses),
) -> Result<(), ServerError> {
    let data = DataFolder::prepare(&config.data_dir)?;
    let ports = Ports::bind(&config).await?;
    let addresses = ports.addresses;
    // The journal first: its lock keeps a second process away from the rest of the folder.
    let journal = Journal::open(&data.path().join("journal"), journal_config(&config), Arc::clone(&counters))?;
    let store = Arc::new(Store::open(data.path())?);
    let registry = Arc::new(Registry::open(Arc::clone(&store), config.intended.clone())?);
    let core = Core { config, addresses, counters, store, registry, journal };
    let (delivery, wake) = core.delivery()?;
    let engine = core.start_engine(wake, data.path())?;
    let live = Live::new(engine.views.clone(), core.status());
    let state = core.api_state(&engine, Arc::clone(&live));
    let limits = core.config.limits.clone();
    let admission = Admission::new(core.journal.clone(), Arc::clone(&core.counters), &limits);

    let (stop_doors, stop_rest) = (CancellationToken::new(), CancellationToken::new());
    let mut doors = Tasks::new();
    let grpc = doors::serve_grpc(ports.otlp_grpc, admission.clone(), limits.clone(), stop_doors.clone());
    doors.start("the OTLP/gRPC door", finite(grpc));
    doors
        .start("the OTLP/HTTP door", finite(doors::serve_http(ports.otlp_http, admission, limits, stop_doors.clone())));
    let mut rest = Tasks::new();
    rest.start("the page", finite(serve_page(ports.ui, state, Arc::clone(&core.counters), stop_rest.clone())));
    rest.start("webhook delivery", deliver(delivery, stop_rest.clone()));
    rest.start("the live stream", finite(live.run()));
    announce(&addresses);

    let engine_died = engine.pipeline.died();
    let ended = tokio::select! {
        () = shutdown.cancelled() => Ok(()),
        () = engine_died.cancelled() => Err(ServerError::EngineDied),
        failure = doors.failure() => Err(failure),
        failure = rest.failure() => Err(failure),
    };
    tracing::info!("stopping");
    stop_doors.cancel();
    doors.drain().await;
    // The engine reads what the doors have let in, and the page and the webhooks learn of it before they stop.
    core.stop(engine.pipeline).await;
    stop_rest.cancel();
    rest.drain().await;
    ended
}

/// What all parts share.
struct Core {
    config: Config,
    addresses: Addresses,
    counters: Arc<Counters>,
    store: Arc<Store>,
    registry: Arc<Registry>,
    journal: Journal,
}

/// The engine and what it publishes.
struct Engine {
    pipeline: Pipeline,
    views: watch::Receiver<Arc<View>>,
    is_ready: Arc<AtomicBool>,
    windows: Arc<Windows>,
}

impl Core {
    fn delivery(&self) -> Result<(webhook::Delivery, Arc<Notify>), ServerError> {
        let wake = Arc::new(Notify::new());
        let delivery = webhook::Delivery::new(
            Arc::clone(&self.store),
            self.config.webhooks.clone(),
            self.config.webhook_secret.as_ref(),
            webhook::RetryPlan::default(),
            Arc::clone(&self.counters),
            Arc::clone(&wake),
        )?;
        Ok((delivery, wake))
    }

    fn start_engine(&self, wake: Arc<Notify>, data: &Path) -> Result<Engine, ServerError> {
        let page = self.config.public_url.clone().unwrap_or_else(|| format!("http://{}", self.addresses.ui));
        let (store, counters) = (Arc::clone(&self.store), Arc::clone(&self.counters));
        let alerts = Alerts::open(store, &self.config.webhooks, &page, counters, wake)?;
        let (view, views) = watch::channel(Arc::new(View::default()));
        let is_ready = Arc::new(AtomicBool::new(false));
        let (inlet, windows) = windows::open(data, &self.counters)?;
        let outlets = Outlets {
            view,
            layout: Layout::new(self.store.load_places()?, YOUNG_FOR),
            store: Arc::clone(&self.store),
            windows: inlet,
            alerts,
            counters: Arc::clone(&self.counters),
            is_ready: Arc::clone(&is_ready),
        };
        let limits = self.config.limits.items;
        let config = self.config.engine.clone();
        let is_kept = !self.config.ephemeral;
        let restored =
            if is_kept { pipeline::restore(&config, &self.store, self.journal.last_position())? } else { None };
        let tail = self.journal.tail_from(restored.as_ref().map_or(1, Restored::replay_from));
        let knowledge = Knowledge {
            prices: self.config.prices.clone(),
            functions: self.config.functions.clone(),
            lessons: self.registry.lessons(),
            restored,
            is_kept,
        };
        let pipeline = pipeline::start(&config, limits, self.config.shards.get(), tail, knowledge, outlets)
            .map_err(ServerError::Engine)?;
        Ok(Engine { pipeline, views, is_ready, windows: Arc::new(windows) })
    }

    fn status(&self) -> Arc<StatusSource> {
        Arc::new(StatusSource {
            counters: Arc::clone(&self.counters),
            started_at: SystemTime::now(),
            otlp_grpc: self.addresses.otlp_grpc.to_string(),
            otlp_http: self.addresses.otlp_http.to_string(),
        })
    }

    fn api_state(&self, engine: &Engine, live: Arc<Live>) -> ApiState {
        let (journal, store, limits) = (self.journal.clone(), Arc::clone(&self.store), self.config.limits.items);
        let logs_journal = self.journal.clone();
        let is_ready = Arc::clone(&engine.is_ready);
        let (windows, changes) = (Arc::clone(&engine.windows), Arc::clone(&engine.windows));
        let public = self.config.public_url.as_deref().and_then(|url| url.parse::<http::Uri>().ok());
        let public_host = public.and_then(|url| url.host().map(str::to_owned));
        ApiState {
            view: engine.views.clone(),
            status: self.status(),
            live,
            traces: Arc::new(move |trace_id| {
                let found = journal.batches_of_trace(trace_id, Signal::Traces)?;
                let spans = found
                    .batches
                    .iter()
                    .flat_map(|batch| trace_view::spans_of_trace(&batch.body, batch.items, trace_id));
                let spans = spans.map(|(resource, span)| (Arc::new(resource), span)).collect();
                Ok(TraceSpans { spans, truncated: found.truncated })
            }),
            logs: Arc::new(move |query, is_wanted| {
                let wanted = Wanted { keys: &query.keys, signal: Signal::Logs, received: query.received.clone() };
                let found = logs_journal.batches_of(&wanted)?;
                let mut logs = FoundLogs { truncated: found.truncated, ..FoundLogs::default() };
                for batch in found.batches.iter().rev() {
                    if logs.records.len() >= LOGS_READ {
                        logs.truncated = true;
                        break;
                    }
                    logs.records.extend(trace_view::logs_of(&batch.body, &limits.of(batch.items), is_wanted));
                }
                Ok(logs)
            }),
            identify: Arc::new(move |resource, span| {
                let of = identify::runner_of(resource, span, &limits);
                let name = Arc::clone(&of.function.name);
                Identity { id: of.function.id, name, run: of.run, instance: of.instance }
            }),
            changes: Arc::new(move || changes.changes()),
            windows: Arc::new(move |range, now| Ok(windows.measured(range, now)?)),
            alerts: Arc::new(move || Ok(alert::history(&store, ALERTS_LISTED)?)),
            registry: Arc::clone(&self.registry),
            ready: Arc::new(move || is_ready.load(Relaxed)),
            hosts: Arc::new(Hosts::new(self.addresses.ui, public_host)),
            assets: loopscope_ui_bundle::ASSETS,
        }
    }

    async fn stop(self, pipeline: Pipeline) {
        let stopped = tokio::task::spawn_blocking(move || {
            self.journal.close();
            pipeline.stop();
        });
        if stopped.await.is_err() {
            tracing::error!("the engine had panicked when it was stopped");
        }
    }
}

/// The open ports.
struct Ports {
    otlp_grpc: TcpListener,
    otlp_http: TcpListener,
    ui: TcpListener,
    addresses: Addresses,
}

impl Ports {
    async fn bind(config: &Config) -> Result<Self, ServerError> {
        let (otlp_grpc, grpc_address) = bind("otlp_grpc", config.otlp_grpc).await?;
        let (otlp_http, http_address) = bind("otlp_http", config.otlp_http).await?;
        let (ui, ui_address) = bind("ui", config.ui).await?;
        let addresses = Addresses { otlp_grpc: grpc_address, otlp_http: http_address, ui: ui_address };
        Ok(Self { otlp_grpc, otlp_http, ui, addresses })
    }
}

async fn bind(setting: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), ServerError> {
    let wrong = |source| ServerError::Bind { setting, address, source };
    let listener = TcpListener::bind(address).await.map_err(wrong)?;
    let bound = listener.local_addr().map_err(wrong)?;
    Ok((listener, bound))
}

/// The data folder; a temporary one goes with the server.
enum DataFolder {
    Kept(PathBuf),
    Temporary(TempDir),
}

impl DataFolder {
    fn prepare(asked: &DataDir) -> Result<Self, ServerError> {
        let (path, made) = match asked {
            DataDir::Folder(path) => (path.clone(), std::fs::create_dir_all(path).map(|()| Self::Kept(path.clone()))),
            DataDir::Temporary => {
                (std::env::temp_dir(), tempfile::Builder::new().prefix("loopscope-").tempdir().map(Self::Temporary))
            }
        };
        made.map_err(|source| ServerError::DataDir { path, source })
    }

    fn path(&self) -> &Path {
        match self {
            Self::Kept(path) => path,
            Self::Temporary(folder) => folder.path(),
        }
    }
}

fn journal_config(config: &Config) -> JournalConfig {
    JournalConfig {
        retention: config.retention,
        max_disk_bytes: config.max_disk_bytes,
        segment_age: SEGMENT_AGE,
        segment_bytes: SEGMENT_BYTES,
        ephemeral: config.ephemeral,
        commit_delay: config.fault_commit_delay,
    }
}

async fn serve_page(listener: TcpListener, state: ApiState, counters: Arc<Counters>, stop: CancellationToken) {
    let limits = Limits::of_the_page();
    serve(listener, api::router(state), Protocols::Http1AndHttp2, &limits, &counters, stop).await;
}

async fn deliver(delivery: webhook::Delivery, stop: CancellationToken) -> io::Result<()> {
    delivery.run(stop).await.map_err(io::Error::other)
}

/// A task that ends by itself and cannot fail.
async fn finite(task: impl Future<Output = ()>) -> io::Result<()> {
    task.await;
    Ok(())
}

/// Running tasks that are told apart when one fails.
struct Tasks(JoinSet<Result<(), ServerError>>);

impl Tasks {
    fn new() -> Self {
        Self(JoinSet::new())
    }

    fn start(&mut self, part: &'static str, task: impl Future<Output = io::Result<()>> + Send + 'static) {
        self.0.spawn(async move { task.await.map_err(|source| ServerError::Part { part, source }) });
    }

    /// Waits for the first task that fails; tasks that end well are no failure.
    async fn failure(&mut self) -> ServerError {
        while let Some(ended) = self.0.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return error,
                Err(panic) => return ServerError::Panic(panic),
            }
        }
        std::future::pending().await
    }

    /// Waits for the tasks to end, and no longer than the deadline.
    async fn drain(mut self) {
        let ended = tokio::time::timeout(DRAIN, async { while self.0.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!(deadline = ?DRAIN, "some requests were cut off");
        }
    }
}
