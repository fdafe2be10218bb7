//! The thread of one shard.

use std::sync::mpsc::SyncSender;

use loopscope_analyzer::{shard::Shard, span::ArrivalTime, windows::Length};

use super::{Mark, ToAggregator, ToLinker, ToShard};
use crate::journal::Position;

/// One shard with those it reports to.
pub(super) struct Stage {
    number: usize,
    shard: Shard,
    linker: SyncSender<ToLinker>,
    aggregator: SyncSender<ToAggregator>,
    now: ArrivalTime,
    position: Position,
    /// How far all that was counted has been handed on.
    counted: Position,
    /// True when a tick has passed since then.
    is_ticked: bool,
    /// True while it is fed what was known before: what it says of it is dropped.
    is_warming: bool,
}

impl Stage {
    pub(super) fn new(
        number: usize,
        shard: Shard,
        is_warming: bool,
        linker: SyncSender<ToLinker>,
        aggregator: SyncSender<ToAggregator>,
    ) -> Self {
        Self {
            number,
            shard,
            linker,
            aggregator,
            now: ArrivalTime(0),
            position: 0,
            counted: 0,
            is_ticked: false,
            is_warming,
        }
    }

    /// Hands on all that has gathered, with the first batch to see again when it is for a checkpoint.
    fn tell(&mut self, checkpoint: Option<Position>) {
        self.tell_counts();
        self.tell_records(checkpoint);
    }

    /// The counts go first: when the linker passes this position on, the counts up to it have arrived. A receiver is gone
    /// only when the process ends or a thread has panicked, which is told where the thread is joined.
    fn tell_counts(&mut self) {
        (self.counted, self.is_ticked) = (self.position, false);
        let delta = self.shard.take_delta();
        if !self.is_warming && !delta.is_empty() {
            let _ = self.aggregator.send(ToAggregator::Delta { now: self.now, delta });
        }
    }

    fn tell_records(&mut self, checkpoint: Option<Position>) {
        let records = self.shard.take_records();
        if !self.is_warming {
            let (now, position) = (self.now, self.counted);
            let _ = self.linker.send(ToLinker { now, shard: self.number, position, records, checkpoint });
        }
    }
}

impl super::Stage for Stage {
    type Message = ToShard;

    fn take(&mut self, message: ToShard) {
        // What was counted belongs to the minute that it came in; in a replay the next batch may be hours later.
        if !Length::Minute.around(self.now).holds(message.now) {
            self.tell_counts();
        }
        (self.now, self.position) = (message.now, message.position);
        self.shard.count(&message.losses);
        self.shard.ingest(message.now, message.spans);
        self.shard.learn(message.facts);
        self.shard.measure(message.now, message.metrics);
        self.shard.fail(message.now, message.exceptions);
        if message.is_tick {
            self.shard.tick(message.now);
            self.is_ticked = true;
        }
        match message.mark {
            Some(Mark::Known) => {
                self.tell(None);
                self.is_warming = false;
            }
            Some(Mark::Checkpoint { replay_from }) => self.tell(Some(replay_from)),
            None => {}
        }
    }

    /// What happened goes on at once, what was counted when it is due.
    fn hand_on(&mut self) {
        if self.is_ticked || self.shard.is_due() {
            self.tell_counts();
        }
        self.tell_records(None);
    }

    fn end(&mut self) {
        self.tell(None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::sync_channel;

    use loopscope_analyzer::{
        aggregate::Aggregate,
        attribute::{Attributes, Value},
        config::Config,
        identity::Resource,
        snapshot::Losses,
        span::{EventTime, Span, SpanId, SpanKind, TraceId},
    };

    use super::{super::Stage as _, *};

    const MINUTE: u64 = 60_000_000_000;
    const START: u64 = 1_700_000_000_000_000_000 / MINUTE * MINUTE;

    fn message(minute: u64, number: u64, is_tick: bool) -> ToShard {
        let mut attributes = Attributes::default();
        attributes.insert("service.name", Value::Text("f".into()));
        let now = START + minute * MINUTE;
        let span = Span {
            trace_id: TraceId(u128::from(number).to_be_bytes()),
            span_id: SpanId(number.to_be_bytes()),
            parent_span_id: None,
            kind: SpanKind::Server,
            name: "handle".into(),
            start: EventTime(now),
            end: EventTime(now + 1_000_000),
            error: false,
            resource: Resource::new(attributes),
            attributes: Attributes::default(),
            links: Vec::new(),
            sampling: None,
        };
        let spans = if is_tick { Vec::new() } else { vec![span] };
        let facts = Vec::new();
        ToShard {
            now: ArrivalTime(now),
            position: number,
            spans,
            facts,
            metrics: Vec::new(),
            exceptions: Vec::new(),
            losses: Losses::default(),
            is_tick,
            mark: None,
        }
    }

    #[test]
    fn a_replay_counts_each_batch_in_its_own_minute() {
        let (linker, _records) = sync_channel(64);
        let (aggregator, counts) = sync_channel(64);
        let mut stage = Stage::new(0, Shard::new(&Config::recommended(), 1), false, linker, aggregator);
        // All of it comes at once, as it does from a journal; the function is new in the first batch alone.
        for (minute, number, is_tick) in
            [(0, 1, false), (0, 2, false), (7, 3, true), (7, 3, false), (52, 4, true), (52, 4, false)]
        {
            stage.take(message(minute, number, is_tick));
        }
        stage.end();
        drop(stage);
        let mut aggregate = Aggregate::new(&Config::recommended());
        let mut runs = Vec::new();
        for told in counts {
            let ToAggregator::Delta { now, delta } = told else { panic!("a shard sends counts alone") };
            aggregate.merge(now, delta);
            runs.extend(aggregate.take_closed().into_iter().map(|window| window.start.0));
        }
        let minutes: Vec<u64> = runs.into_iter().map(|start| (start - START) / MINUTE).collect();
        assert_eq!((minutes, (aggregate.running().0.0 - START) / MINUTE), (vec![0, 7], 52));
    }
}
