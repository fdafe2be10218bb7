//! The engine on threads: follows the journal, feeds the shards and the linker, publishes what they know.
//!
//! ```text
//!   journal tail -> feeder -> shard 1..N -> linker -> aggregator -> view, places, alerts
//!                                  \------ deltas -------^
//! ```
//!
//! Every queue is bounded and waits when it is full, back to the feeder, which then lags behind the journal: nothing is
//! lost, and the lag is shown. A batch counts as taken in once a view that holds it is published. What is computed is
//! the analyzer's; this is only who runs it when.

mod aggregator;
mod feeder;
mod linker;
mod shard;
mod state;

use std::{
    io,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use loopscope_analyzer::{
    aggregate::Aggregate,
    config::Config,
    facts::{ExceptionRecord, FactRecord, FunctionRule},
    linker::{Linker, LinkerOutput},
    metric::MetricRecord,
    price::PriceTable,
    record::{Delta, Record},
    shard::Shard,
    snapshot::Losses,
    span::{ArrivalTime, Span},
};

use tokio_util::sync::CancellationToken;

use self::state::Keeper;
pub use self::{
    aggregator::Outlets,
    state::{EngineState, Restored, decode, encode, restore},
};
use crate::{
    intended::registry::Lessons,
    journal::{
        Position,
        tail::{Tail, TailStop},
    },
    otlp::limits::ItemLimits,
};

/// Messages that wait at each thread; a sender waits when there are as many.
const QUEUE: usize = 64;

/// What a thread has gathered is handed on when nothing else waits, and at the latest after this; what a shard has counted
/// of things that are known, with the next tick.
const HAND_ON: Duration = Duration::from_millis(100);

/// How long the engine may go on reading what the journal holds when it is stopped. Stopping must end before the
/// patience of whatever runs the process, which is 30 s in Kubernetes.
const CATCH_UP: Duration = Duration::from_secs(10);

/// Time passes in steps of this, also when no span comes.
const TICK: Duration = Duration::from_millis(250);

/// The running threads.
pub struct Pipeline {
    stop: TailStop,
    threads: Vec<JoinHandle<()>>,
    died: CancellationToken,
}

/// What the engine has to know beyond spans.
pub struct Knowledge {
    /// What running and using resources costs.
    pub prices: PriceTable,
    /// What is known of functions.
    pub functions: Vec<FunctionRule>,
    /// What people declare and say while it runs.
    pub lessons: Lessons,
    /// What an engine before it knew; `tail` must start where that says.
    pub restored: Option<Restored>,
    /// True when what it knows is written down for the next.
    pub is_kept: bool,
}

/// To a shard: spans that are its own, or none when only time has passed.
struct ToShard {
    now: ArrivalTime,
    position: Position,
    spans: Vec<Span>,
    /// What log records say of functions.
    facts: Vec<FactRecord>,
    /// What metrics say of functions.
    metrics: Vec<MetricRecord>,
    /// Exceptions that log records tell of.
    exceptions: Vec<ExceptionRecord>,
    /// What the decoder had to mend or let go.
    losses: Losses,
    is_tick: bool,
    mark: Option<Mark>,
}

/// A place between two batches at which all threads do something.
#[derive(Clone, Copy)]
enum Mark {
    /// Up to here all was known before, and what was said is dropped.
    Known,
    /// What is known here is saved.
    Checkpoint {
        /// The first batch that shards would have to see again.
        replay_from: Position,
    },
}

/// To the linker.
struct ToLinker {
    now: ArrivalTime,
    shard: usize,
    position: Position,
    records: Vec<Record>,
    /// The first batch to see again, when this is the shard's part of a checkpoint.
    checkpoint: Option<Position>,
}

/// To the aggregator.
enum ToAggregator {
    Delta { now: ArrivalTime, delta: Delta },
    Linked { now: ArrivalTime, position: Position, output: LinkerOutput },
    Checkpoint { now: ArrivalTime, position: Position, replay_from: Position, linker: Vec<u8> },
}

/// Starts the threads.
///
/// # Errors
/// When the system gives no more threads.
pub fn start(
    config: &Config,
    limits: ItemLimits,
    shards: usize,
    tail: Tail,
    knowledge: Knowledge,
    outlets: Outlets,
) -> io::Result<Pipeline> {
    let shards = shards.max(1);
    let stop = tail.stop_handle();
    // What came before the start has been told before. Waiting for a pause instead would wait for ever under load.
    let replay_end = tail.last_position();
    let Knowledge { prices, functions, lessons, restored, is_kept } = knowledge;
    let known = restored.as_ref().map_or((0, ArrivalTime(0)), |restored| (restored.position, restored.now));
    let (linker, mut aggregate) = match restored {
        Some(Restored { linker, aggregate, .. }) => (linker, aggregate),
        None => (Linker::new(config), Aggregate::new(config)),
    };
    aggregate.set_facts(prices, functions);
    let (saved, at_feeder) = sync_channel(1);
    let (to_aggregator, at_aggregator) = sync_channel(QUEUE);
    let (to_linker, at_linker) = sync_channel(QUEUE);
    let mut to_shards = Vec::new();
    let died = CancellationToken::new();
    let mut threads = Vec::new();
    for number in 0..shards {
        let (to_shard, at_shard) = sync_channel(QUEUE);
        to_shards.push(to_shard);
        let shard = Shard::new(config, shards);
        let stage = shard::Stage::new(number, shard, known.0 > 0, to_linker.clone(), to_aggregator.clone());
        threads.push(spawn(format!("shard-{number}"), &died, move || run(stage, &at_shard))?);
    }
    drop(to_linker);
    let stage = linker::Stage::new(linker, shards, known, lessons.verdicts, to_aggregator);
    threads.push(spawn("linker".into(), &died, move || run(stage, &at_linker))?);
    let counters = Arc::clone(&outlets.counters);
    let lateness = config.lateness;
    let keeper = if is_kept {
        let keeper = Keeper::start(Arc::clone(&outlets.store), Arc::clone(&outlets.counters))?;
        Some((keeper, saved))
    } else {
        None
    };
    let stage = aggregator::Stage::new(aggregate, known, lessons.declared, outlets, replay_end, keeper);
    threads.push(spawn("aggregator".into(), &died, move || run(stage, &at_aggregator))?);
    threads.push(spawn("feeder".into(), &died, move || {
        feeder::run(tail, &to_shards, &counters, known, is_kept.then_some(&at_feeder), (limits, lateness))
    })?);
    Ok(Pipeline { stop, threads, died })
}

impl Pipeline {
    /// Cancelled when a thread has panicked: nothing is analysed any more, and nobody would be told of a loop.
    pub fn died(&self) -> CancellationToken {
        self.died.clone()
    }

    /// Reads what is left in the journal, which should be closed, as far as that takes no more than ten seconds; lets
    /// it arrive, publishes it, and waits for the threads. Blocks.
    pub fn stop(self) {
        self.stop.stop(CATCH_UP);
        for thread in self.threads.into_iter().rev() {
            let name = thread.thread().name().unwrap_or_default().to_owned();
            if thread.join().is_err() {
                tracing::error!(thread = name, "an engine thread had panicked");
            }
        }
    }
}

fn spawn(name: String, died: &CancellationToken, run: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    let alarm = Alarm(died.clone());
    thread::Builder::new().name(name).spawn(move || {
        let _alarm = alarm;
        run();
    })
}

/// Goes off when its thread panics.
struct Alarm(CancellationToken);

impl Drop for Alarm {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cancel();
        }
    }
}

/// What a thread does with its messages.
trait Stage {
    type Message;

    /// Takes in one message.
    fn take(&mut self, message: Self::Message);

    /// Hands on what has gathered.
    fn hand_on(&mut self);

    /// Does what is left to do once the senders are gone.
    fn end(&mut self) {}
}

/// Takes in what is there, hands on, and waits for more, until the senders are gone.
fn run<S: Stage>(mut stage: S, messages: &Receiver<S::Message>) {
    while let Ok(first) = messages.recv() {
        let due = Instant::now() + HAND_ON;
        stage.take(first);
        while Instant::now() < due
            && let Ok(next) = messages.try_recv()
        {
            stage.take(next);
        }
        stage.hand_on();
    }
    stage.end();
}
