//! Accepts connections and serves HTTP on them, with bounds on their number and on the time that silence may take.
//!
//! An answer may take as long as it likes: a live stream is cut neither for its age nor for the silence of its reader.

use std::{convert::Infallible, error::Error, sync::Arc, time::Duration};

use hyper::{
    Request, Response, Version,
    body::{Body, Incoming},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
    service::TowerToHyperService,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tower::{Service, service_fn};

use super::{
    DRAIN_TIMEOUT, Limits,
    patience::{Patient, Progress},
};
use crate::counters::Counters;

/// Most bytes that a connection over HTTP/1.1 reads ahead, which the budget does not know of: without a bound it is six
/// times as much, and a thousand connections that offer bodies at once hold 400 MiB. Headers must fit as well.
const READ_BYTES: usize = 64 << 10;

/// Flow-control window of a stream and of a connection: a batch of the usual size fits without a round trip.
const STREAM_WINDOW: u32 = 2 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;

/// How often a silent HTTP/2 connection is asked whether it still lives, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(60);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Which protocols a listener speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocols {
    Http2,
    Http1AndHttp2,
}

/// Serves until the shutdown, then lets open requests finish.
pub(crate) async fn serve<S, B>(
    listener: TcpListener,
    service: S,
    protocols: Protocols,
    limits: &Limits,
    counters: &Arc<Counters>,
    shutdown: CancellationToken,
) where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
    B: Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn Error + Send + Sync>>,
{
    let builder = Arc::new(builder(protocols, limits));
    let header_timeout = limits.header_timeout;
    let graceful = GracefulShutdown::new();
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    while let Some((stream, permit)) = next(&listener, &permits, counters, &mut connections, &shutdown).await {
        let (builder, watcher) = (Arc::clone(&builder), graceful.watcher());
        let progress = Arc::new(Progress::default());
        let stream_progress = Arc::clone(&progress);
        let service = TowerToHyperService::new(reporting(service.clone(), progress));
        let (shutdown, counters) = (shutdown.clone(), Arc::clone(counters));
        connections.spawn(async move {
            let _permit = permit;
            // Neither hyper nor h2 has a clock for a connection that never says a word. A look at the first byte tells,
            // where readiness may be a false alarm.
            let mut first = [0];
            let peeked = tokio::select! {
                peeked = timeout(header_timeout, stream.peek(&mut first)) => peeked,
                () = shutdown.cancelled() => return,
            };
            if peeked.is_err() {
                counters.connections_timed_out.add(1);
            }
            if let Ok(Ok(1)) = peeked {
                let stream = Patient::new(stream, header_timeout, stream_progress, Arc::clone(&counters));
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                let connection = connection.into_owned();
                if let Err(error) = watcher.watch(connection).await {
                    tracing::debug!(%error, "connection ended early");
                }
            }
        });
    }
    drop(listener);
    if timeout(DRAIN_TIMEOUT, graceful.shutdown()).await.is_err() {
        tracing::warn!(connections = connections.len(), "connections still open after the drain time are cut off");
    }
    connections.shutdown().await;
}

/// Tells the connection when a request begins and ends.
fn reporting<S, B>(
    service: S,
    progress: Arc<Progress>,
) -> impl Service<Request<Incoming>, Response = Response<B>, Error = Infallible, Future: Send> + Clone
where
    S: Service<Request<Incoming>, Response = Response<B>, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    service_fn(move |request: Request<Incoming>| {
        progress.begin();
        // On HTTP/2 requests overlap, and its pings find dead connections.
        let ends = (request.version() < Version::HTTP_2).then(|| Arc::clone(&progress));
        let answered = service.clone().call(request);
        async move {
            let response = answered.await;
            if let Some(progress) = ends {
                progress.end();
            }
            response
        }
    })
}

async fn next(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
    counters: &Counters,
    connections: &mut JoinSet<()>,
    shutdown: &CancellationToken,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let mut waits = permits.available_permits() == 0;
    loop {
        if std::mem::take(&mut waits) {
            counters.connections_full.add(1);
        }
        let accept = async {
            let permit = Arc::clone(permits).acquire_owned().await;
            (listener.accept().await, permit)
        };
        tokio::select! {
            () = shutdown.cancelled() => return None,
            Some(_ended) = connections.join_next() => {}
            (accepted, permit) = accept => match (accepted, permit) {
                (Ok((stream, _)), Ok(permit)) => {
                    // Small answers must not wait for the acknowledgement of the packet before.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "failed to set TCP_NODELAY");
                    }
                    return Some((stream, permit));
                }
                (Err(error), _) => {
                    tracing::warn!(%error, "failed to accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
                // Nobody closes the semaphore.
                (_, Err(_)) => return None,
            },
        }
    }
}

fn builder(protocols: Protocols, limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.idle_timeout).max_buf_size(READ_BYTES);
    builder
        .http2()
        .timer(TokioTimer::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(limits.streams)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    if protocols == Protocols::Http2 { builder.http2_only() } else { builder }
}
