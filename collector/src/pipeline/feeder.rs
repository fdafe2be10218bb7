//! The feeder: reads the journal in order, decodes spans, and gives each shard its own.
//!
//! It also makes time pass. While it replays, time is when the batches arrived; once it has caught up, it is the clock.

use std::{
    collections::VecDeque,
    sync::mpsc::{Receiver, SyncSender},
    time::{Duration, Instant},
};

use loopscope_analyzer::{
    engine::shard_of,
    facts::{ExceptionRecord, FactRecord},
    metric::MetricRecord,
    snapshot::Losses,
    span::{ArrivalTime, Span},
};

use super::{Mark, TICK, ToShard, state::Schedule};
use crate::{
    clock,
    counters::Counters,
    journal::{
        Position,
        tail::{Tail, TailBatch, TailEvent},
    },
    otlp::{Signal, limits::ItemLimits, logs, metrics, traces},
};

/// Bound on the spans of one message to a shard. Queues are bounded by messages, and a request may hold many spans.
const SPANS_PER_MESSAGE: usize = 4_096;

/// How long to wait before a segment that could not be read is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// Reads until the tail is stopped; the shards end when it returns.
///
/// `known` is the position up to which all was known at the start, and when; `saved` tells when a checkpoint is over,
/// and is missing when none are made.
pub(super) fn run(
    mut tail: Tail,
    shards: &[SyncSender<ToShard>],
    counters: &Counters,
    known: (Position, ArrivalTime),
    saved: Option<&Receiver<()>>,
    (limits, lateness): (ItemLimits, Duration),
) {
    let mut feeder = Feeder {
        shards,
        counters,
        limits,
        now: ArrivalTime(0),
        ticked: ArrivalTime(0),
        position: 0,
        recent: Recent { lateness, arrivals: VecDeque::new() },
    };
    let mut schedule = Schedule::new(known.0);
    let mut is_warming = known.0 > 0;
    loop {
        if is_warming && tail.position() > known.0 {
            is_warming = false;
            feeder.know(known);
        }
        if let Some(saved) = saved.filter(|_| !is_warming && schedule.is_due(feeder.position)) {
            feeder.checkpoint(saved, &mut schedule);
        }
        match tail.next_timeout(TICK) {
            Some(TailEvent::Batch(batch)) => feeder.feed(&batch),
            Some(TailEvent::Skipped { from, to }) => {
                tracing::warn!(from, to, "batches of the journal are gone before they were analysed");
                counters.batches_skipped.add(to - from);
                // Nobody must wait for them.
                feeder.position = to - 1;
            }
            Some(TailEvent::Failed(error)) => {
                tracing::error!(%error, "the journal cannot be read; trying again");
                feeder.pass_to(clock());
                std::thread::sleep(RETRY);
            }
            Some(TailEvent::Stopped) => break,
            None => feeder.pass_to(clock()),
        }
    }
    // Tells how far it came also when the last batches held no spans.
    feeder.pass_to(feeder.now);
    if let Some(saved) = saved.filter(|_| !is_warming && schedule.is_behind(feeder.position)) {
        feeder.checkpoint(saved, &mut schedule);
    }
    let left = (tail.last_position() + 1).saturating_sub(tail.position());
    if left > 0 {
        tracing::warn!(batches = left, "stopped before all of the journal was analysed; the next start goes on");
    }
}

struct Feeder<'a> {
    shards: &'a [SyncSender<ToShard>],
    counters: &'a Counters,
    limits: ItemLimits,
    /// Never goes back, whatever clocks do.
    now: ArrivalTime,
    ticked: ArrivalTime,
    position: Position,
    recent: Recent,
}

/// Where in the journal the batches begin that a shard has to have seen.
struct Recent {
    lateness: Duration,
    /// Arrival and position of a batch now and then, the oldest first.
    arrivals: VecDeque<(ArrivalTime, Position)>,
}

impl Recent {
    /// Time between the batches that are remembered, so that there are about sixty.
    fn step(&self) -> Duration {
        self.lateness / 60
    }

    fn arrived(&mut self, now: ArrivalTime, position: Position) {
        if self.arrivals.back().is_none_or(|(last, _)| now.since(*last) >= self.step()) {
            self.arrivals.push_back((now, position));
        }
        // The newest that is old enough stays, because all that came after it is needed.
        while self.arrivals.get(1).is_some_and(|(at, _)| now.since(*at) >= self.lateness) {
            self.arrivals.pop_front();
        }
    }

    fn first(&self) -> Position {
        self.arrivals.front().map_or(1, |(_, position)| *position)
    }
}

impl Feeder<'_> {
    /// Says that all up to this position was known before.
    fn know(&mut self, (position, now): (Position, ArrivalTime)) {
        self.position = self.position.max(position);
        self.pass_to(now);
        self.mark(Mark::Known);
    }

    /// Has all that is known saved, and stands still until it is.
    fn checkpoint(&mut self, saved: &Receiver<()>, schedule: &mut Schedule) {
        let started = Instant::now();
        self.pass_to(self.now);
        self.mark(Mark::Checkpoint { replay_from: self.recent.first() });
        // Whatever went on meanwhile would be in what is saved, and then come again. An error means that the aggregator
        // is gone, which is told where its thread is joined.
        let _ = saved.recv();
        schedule.done(self.position, started.elapsed());
    }

    fn mark(&self, mark: Mark) {
        for shard in 0..self.shards.len() {
            self.give(shard, ToShard { mark: Some(mark), ..self.message() });
        }
    }

    fn feed(&mut self, batch: &TailBatch) {
        let arrived = ArrivalTime(batch.received_unix_nanos);
        if arrived.0.saturating_sub(self.ticked.0) >= clock::nanos(TICK) {
            self.pass_to(arrived);
        }
        self.now = self.now.max(arrived);
        self.recent.arrived(self.now, batch.position);
        match batch.signal {
            Signal::Traces => self.decode(batch),
            Signal::Logs => self.learn(batch),
            Signal::Metrics => self.measure(batch),
        }
        // Only now: what went out before must not say that all of the batch has been passed.
        self.position = batch.position;
    }

    fn decode(&mut self, batch: &TailBatch) {
        match traces::spans(&batch.body, &self.limits.of(batch.items)) {
            Ok(decoded) => {
                self.counters.attributes_dropped.add(decoded.attributes_dropped);
                self.counters.texts_cut.add(decoded.texts_cut);
                let losses = Losses {
                    links_dropped: decoded.links_dropped,
                    mended: decoded.parents_dropped,
                    ..Losses::default()
                };
                self.distribute(batch.position, decoded.spans, losses);
            }
            Err(error) => {
                tracing::error!(position = batch.position, %error, "a batch of the journal cannot be decoded")
            }
        }
    }

    /// Tells the shards what log records say of functions; one shard hears all that is said of one of them, in its order.
    fn learn(&mut self, batch: &TailBatch) {
        let told = match logs::said(&batch.body, &self.limits.of(batch.items)) {
            Ok(told) if told.facts.is_empty() && told.exceptions.is_empty() => return,
            Ok(told) => told,
            Err(error) => return tracing::error!(position = batch.position, %error, "log records cannot be decoded"),
        };
        let mut parts: Vec<Vec<FactRecord>> = self.shards.iter().map(|_| Vec::new()).collect();
        let shards = parts.len();
        told.facts.into_iter().for_each(|fact| parts[(fact.function.id.0 % shards as u64) as usize].push(fact));
        let mut failed: Vec<Vec<ExceptionRecord>> = self.shards.iter().map(|_| Vec::new()).collect();
        let mut losses = Losses::default();
        for exception in told.exceptions {
            if let ExceptionRecord::Span { trace_id, .. } = exception {
                failed[shard_of(trace_id, shards)].push(exception);
            } else {
                // Whichever shard has the run finds it; that it was told is counted once.
                losses.exceptions_without_span += 1;
                failed.iter_mut().for_each(|of_shard| of_shard.push(exception));
            }
        }
        self.position = batch.position;
        for (shard, (facts, exceptions)) in parts.into_iter().zip(failed).enumerate() {
            let losses = std::mem::take(&mut losses);
            self.give(shard, ToShard { facts, exceptions, losses, ..self.message() });
        }
    }

    /// The same for points of metrics: all points of one stream go to the same shard.
    fn measure(&mut self, batch: &TailBatch) {
        let points = match metrics::records(&batch.body, &self.limits.of(batch.items)) {
            Ok(points) if points.is_empty() => return,
            Ok(points) => points,
            Err(error) => return tracing::error!(position = batch.position, %error, "metrics cannot be decoded"),
        };
        self.counters.metric_points_read.add(points.len() as u64);
        let mut parts: Vec<Vec<MetricRecord>> = self.shards.iter().map(|_| Vec::new()).collect();
        let shards = parts.len();
        points.into_iter().for_each(|point| parts[(point.function.id.0 % shards as u64) as usize].push(point));
        self.position = batch.position;
        for (shard, metrics) in parts.into_iter().enumerate() {
            self.give(shard, ToShard { metrics, ..self.message() });
        }
    }

    /// Sends each shard its spans; only the last message to each says that the position has been passed.
    fn distribute(&mut self, position: Position, spans: Vec<Span>, losses: Losses) {
        let mut parts: Vec<Vec<Span>> = self.shards.iter().map(|_| Vec::new()).collect();
        for span in spans {
            let number = shard_of(span.trace_id, self.shards.len());
            if parts[number].len() == SPANS_PER_MESSAGE {
                let full = std::mem::take(&mut parts[number]);
                self.send(number, full, Losses::default(), false);
            }
            parts[number].push(span);
        }
        self.position = position;
        let mut losses = Some(losses);
        for (number, spans) in parts.into_iter().enumerate() {
            let losses = losses.take().unwrap_or_default();
            self.send(number, spans, losses, false);
        }
    }

    /// Lets time pass for all shards.
    fn pass_to(&mut self, now: ArrivalTime) {
        self.now = self.now.max(now);
        self.ticked = self.now;
        for number in 0..self.shards.len() {
            self.send(number, Vec::new(), Losses::default(), true);
        }
    }

    fn send(&self, shard: usize, spans: Vec<Span>, losses: Losses, is_tick: bool) {
        self.give(shard, ToShard { spans, losses, is_tick, ..self.message() });
    }

    /// A message that says nothing but how far the feeder is.
    fn message(&self) -> ToShard {
        ToShard {
            now: self.now,
            position: self.position,
            spans: Vec::new(),
            facts: Vec::new(),
            metrics: Vec::new(),
            exceptions: Vec::new(),
            losses: Losses::default(),
            is_tick: false,
            mark: None,
        }
    }

    fn give(&self, shard: usize, message: ToShard) {
        if self.shards[shard].send(message).is_err() {
            tracing::error!(shard, "a shard is gone; its spans are not analysed");
        }
    }
}

fn clock() -> ArrivalTime {
    ArrivalTime(clock::unix_nanos())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        trace::v1::{ResourceSpans, ScopeSpans, Span as WireSpan},
    };
    use prost::Message as _;

    use super::*;

    #[test]
    fn a_large_batch_goes_out_in_parts_and_only_the_last_has_passed_it() {
        let count = 2 * SPANS_PER_MESSAGE + 1;
        let spans = (1..=count as u64).map(|id| WireSpan {
            trace_id: vec![7; 16],
            span_id: id.to_be_bytes().to_vec(),
            ..Default::default()
        });
        let scope_spans = vec![ScopeSpans { spans: spans.collect(), ..Default::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..Default::default() }];
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec().into();
        let (sender, messages) = sync_channel(10);
        let shards = [sender];
        let recent = Recent { lateness: Duration::from_secs(600), arrivals: VecDeque::new() };
        let mut feeder = Feeder {
            shards: &shards,
            counters: &Counters::default(),
            limits: ItemLimits::default(),
            now: ArrivalTime(1),
            ticked: ArrivalTime(1),
            position: 4,
            recent,
        };
        let items = count as u64;
        feeder.feed(&TailBatch { position: 5, received_unix_nanos: 1, signal: Signal::Traces, items, body });
        let sent: Vec<_> = messages.try_iter().map(|message| (message.spans.len(), message.position)).collect();
        assert_eq!(sent, [(SPANS_PER_MESSAGE, 4), (SPANS_PER_MESSAGE, 4), (1, 5)]);
    }

    #[test]
    fn what_shards_have_to_see_again_begins_before_the_lateness() {
        let lateness = Duration::from_secs(600);
        let mut recent = Recent { lateness, arrivals: VecDeque::new() };
        assert_eq!(recent.first(), 1);
        let at = |second: u64| ArrivalTime(second * 1_000_000_000);
        for second in 1..=5_000 {
            recent.arrived(at(second), second);
        }
        let first = recent.first();
        assert!((5_000 - 611..=5_000 - 600).contains(&first), "{first}");
        assert!(recent.arrivals.len() < 70);
        recent.arrived(at(90_000), 5_001);
        assert!(recent.first() <= 5_001 && recent.arrivals.len() <= 2);
    }
}
