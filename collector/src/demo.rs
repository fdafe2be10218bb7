//! The small function system that `loopscope demo` runs.
//!
//! Every function has an OpenTelemetry SDK of its own and exports over real sockets, half of them by gRPC and half
//! by HTTP, exactly as functions in a cloud do; only their work is made up, of timers. The demo knows nothing of the
//! collector that it exports to.
//!
//! `demo/functions.rs` lists the functions, `demo/function.rs` runs one, `demo/conventions.rs` says what their spans
//! carry, `demo/exporter.rs` sends them. `demo/story.rs` is everyday life, `demo/runaway.rs` what goes wrong.

mod conventions;
mod exporter;
mod function;
mod functions;
mod runaway;
mod story;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    config::Scenario,
    demo::{exporter::Exporters, functions::Functions},
};

/// Where the functions export to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoints {
    /// The OTLP/gRPC door, such as `http://127.0.0.1:4317`.
    pub grpc: String,
    /// The OTLP/HTTP door, such as `http://127.0.0.1:4318`, without a path.
    pub http: String,
}

/// What became of the demo.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Batches of spans that could not be delivered.
    pub batches_lost: u64,
}

/// Why the demo cannot run.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// An exporter cannot be built, for example because an endpoint is no URL.
    #[error("the demo cannot export by {transport}: {reason}")]
    Exporter {
        /// gRPC or HTTP.
        transport: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// A task has panicked.
    #[error("the demo has stopped: {0}")]
    Task(#[from] JoinError),
}

/// Plays until `shutdown`, and lets a loop loose after `loop_after`.
///
/// # Errors
/// When the exporters cannot be built, or a task panics. Spans that nobody takes are counted, not an error.
pub async fn run(
    endpoints: Endpoints,
    scenario: Scenario,
    loop_after: Duration,
    shutdown: CancellationToken,
) -> Result<Report, DemoError> {
    // Exporters start and stop by blocking, which a task must not.
    let (exporters, functions) = tokio::task::spawn_blocking(move || {
        let mut exporters = Exporters::new(endpoints)?;
        let functions = Functions::deploy(&mut exporters)?;
        Ok::<_, DemoError>((exporters, Arc::new(functions)))
    })
    .await??;

    let mut tasks = JoinSet::new();
    let mut play = |part: Part| {
        let shutdown = shutdown.clone();
        tasks.spawn(async move { shutdown.run_until_cancelled(part).await });
    };
    for part in story::parts(&functions) {
        play(part);
    }
    play(match scenario {
        Scenario::BucketLoop => Box::pin(runaway::bucket_loop(functions.clone(), loop_after)),
        Scenario::FanOutLoop => Box::pin(runaway::fan_out_loop(functions.clone(), loop_after)),
    });
    let mut ended = Ok(());
    while let Some(task) = tasks.join_next().await {
        if let Err(error) = task {
            ended = Err(error);
            shutdown.cancel();
        }
    }

    let report = tokio::task::spawn_blocking(move || {
        drop(functions);
        exporters.stop()
    })
    .await?;
    ended?;
    Ok(report)
}

/// A part of the demo that plays for ever.
type Part = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

#[cfg(test)]
mod tests;
