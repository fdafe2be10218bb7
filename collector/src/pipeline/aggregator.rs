//! The thread of the aggregator: merges, then publishes what is known to the page, the disk and the alerts.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc::SyncSender,
    },
    time::{Duration, Instant},
};

use loopscope_analyzer::{
    aggregate::Aggregate,
    intended::{Intended, Judgement},
    linker::LoopReport,
    snapshot::{Loop, LoopId, NodeId, Severity, Snapshot},
    span::ArrivalTime,
    state::FORMAT,
};
use tokio::sync::watch;

use super::{
    ToAggregator,
    state::{EngineState, Keeper},
};
use crate::{
    alert::Alerts, counters::Counters, journal::Position, layout::Layout, store::Store, view::View, windows::Inlet,
};

/// Shortest time between two views.
const PUBLISH: Duration = Duration::from_millis(200);

/// A view that took long to make waits this many times as long, so that a large graph does not eat the machine;
/// one that people have to be told of waits only as long as the view before took.
const REST: u32 = 10;

/// Where the aggregator's findings go.
pub struct Outlets {
    /// The newest view, for the API.
    pub view: watch::Sender<Arc<View>>,
    /// Places on the map.
    pub layout: Layout,
    /// Keeps the places.
    pub store: Arc<Store>,
    /// Keeps what was measured in each minute.
    pub windows: Inlet,
    /// Told of the loops, once the journal is replayed.
    pub alerts: Alerts,
    /// Told how far the engine has come.
    pub counters: Arc<Counters>,
    /// Set once the journal is replayed.
    pub is_ready: Arc<AtomicBool>,
}

/// The aggregate with its outlets.
pub(super) struct Stage {
    aggregate: Aggregate,
    declared: watch::Receiver<Arc<Vec<Intended>>>,
    outlets: Outlets,
    /// The last position that the journal held at the start; up to here all is replay.
    replay_end: Position,
    started: Instant,
    /// When the next view is due, and when it may be made at the earliest if it is urgent.
    next: Instant,
    soonest: Instant,
    /// True when a loop has become worse than the last view says.
    is_urgent: bool,
    /// The loops of the last view that people are told of; as many as the aggregate keeps at most.
    published: HashMap<LoopId, Severity>,
    now: ArrivalTime,
    position: Position,
    /// Writes what is known at a checkpoint, and who is told that the feeder may go on.
    keeper: Option<(Keeper, SyncSender<()>)>,
    /// Minutes that the aggregate let go because they were not taken in time, as far as they are counted.
    windows_missed: u64,
}

impl Stage {
    pub(super) fn new(
        aggregate: Aggregate,
        (position, now): (Position, ArrivalTime),
        mut declared: watch::Receiver<Arc<Vec<Intended>>>,
        outlets: Outlets,
        replay_end: Position,
        keeper: Option<(Keeper, SyncSender<()>)>,
    ) -> Self {
        let started = Instant::now();
        declared.mark_changed();
        Self {
            windows_missed: aggregate.windows_dropped(),
            aggregate,
            declared,
            outlets,
            replay_end,
            started,
            next: started,
            soonest: started,
            is_urgent: false,
            published: HashMap::new(),
            now,
            position,
            keeper,
        }
    }

    fn publish(&mut self) {
        if self.declared.has_changed().unwrap_or(false) {
            let declared = self.declared.borrow_and_update().to_vec();
            self.aggregate.declare(declared);
        }
        let snapshot = self.aggregate.snapshot(self.now);
        let told = snapshot.loops.iter().filter(|found| found.severity >= Severity::Warning || is_silenced(found));
        // A loop that somebody intends is no news however bad the linker finds it.
        let severity = |found: &Loop| if is_silenced(found) { Severity::Critical } else { found.severity };
        self.published = told.map(|found| (found.id, severity(found))).collect();
        self.is_urgent = false;
        self.place(&snapshot);
        let view = View::build(&snapshot, self.outlets.layout.places());
        self.outlets.view.send_replace(Arc::new(view));
        self.outlets.counters.engine_position.set(self.position);
        // What a replay goes through has been told before; only where it ends is news.
        if self.position >= self.replay_end {
            self.outlets.is_ready.store(true, Relaxed);
            if let Err(error) = self.outlets.alerts.observe(self.now, &snapshot) {
                tracing::error!(%error, "alerts cannot be written down; trying again");
            }
        }
    }

    fn keep_windows(&mut self) {
        let closed = self.aggregate.take_closed();
        let missed = self.aggregate.windows_dropped();
        self.outlets.counters.windows_failed.add(missed - self.windows_missed);
        self.windows_missed = missed;
        if !closed.is_empty() {
            self.outlets.windows.keep(closed);
        }
    }

    fn is_news(&self, report: &LoopReport) -> bool {
        let severity = report.severity();
        severity >= Severity::Warning && self.published.get(&report.id).is_none_or(|told| *told < severity)
    }

    fn place(&mut self, snapshot: &Snapshot) {
        let functions = snapshot.functions.iter().map(|function| function.id);
        let nodes: Vec<NodeId> = functions.chain(snapshot.resources.iter().map(|resource| resource.id)).collect();
        let edges: Vec<(NodeId, NodeId, f64)> =
            snapshot.edges.iter().map(|edge| (edge.source, edge.target, edge.calls as f64)).collect();
        let layout = &mut self.outlets.layout;
        let moved: Vec<(NodeId, f64, f64)> = layout
            .update(self.started.elapsed(), &nodes, &edges)
            .into_iter()
            .filter_map(|id| layout.place(id).map(|(x, y)| (id, x, y)))
            .collect();
        if !moved.is_empty()
            && let Err(error) = self.outlets.store.save_places(&moved)
        {
            tracing::error!(%error, "places on the map cannot be kept");
        }
    }
}

impl super::Stage for Stage {
    type Message = ToAggregator;

    fn take(&mut self, message: ToAggregator) {
        match message {
            ToAggregator::Delta { now, delta } => {
                self.now = self.now.max(now);
                self.aggregate.merge(self.now, delta);
                self.keep_windows();
            }
            ToAggregator::Linked { now, position, output } => {
                self.now = self.now.max(now);
                self.position = position;
                self.is_urgent |= output.loops.iter().any(|report| self.is_news(report));
                self.aggregate.link(self.now, output);
                self.keep_windows();
            }
            ToAggregator::Checkpoint { now, position, replay_from, linker } => {
                let aggregate = self.aggregate.save();
                // A start from this state writes no window again that ended before it.
                self.outlets.windows.flush();
                if let Some((keeper, goes_on)) = &self.keeper {
                    keeper.keep(EngineState { format: FORMAT, position, now: now.0, replay_from, linker, aggregate });
                    let _ = goes_on.try_send(());
                }
            }
        }
    }

    fn hand_on(&mut self) {
        self.aggregate.tick(self.now);
        self.keep_windows();
        if self.outlets.windows.is_asked() {
            let (since, measured) = self.aggregate.running();
            self.outlets.windows.show(since, measured.clone());
        }
        let begun = Instant::now();
        // Nobody is told of anything before the replay has ended.
        let is_urgent = self.is_urgent && self.position >= self.replay_end;
        if begun >= self.next || is_urgent && begun >= self.soonest {
            self.publish();
            let took = begun.elapsed();
            self.soonest = begun + took * 2;
            self.next = begun + PUBLISH.max(took * REST);
        }
    }

    /// What came too soon after the last view would stay unsaid otherwise.
    fn end(&mut self) {
        self.publish();
        if let Some((keeper, _)) = self.keeper.take() {
            keeper.end();
        }
    }
}

fn is_silenced(found: &Loop) -> bool {
    found.intended.as_ref().is_some_and(|state| state.judgement == Judgement::Within)
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{
        config::Config,
        linker::Linker,
        snapshot::{Assessment, LoopState},
        span::{EventTime, TraceId},
    };

    use Assessment::{Alarm, Suspect};
    use LoopState::{Growing, Persistent};

    use super::{super::Stage as _, *};
    use crate::layout::YOUNG_FOR;

    fn stage() -> Stage {
        let store = Arc::new(Store::in_memory().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let (windows, _) = crate::windows::open(folder.path(), &Arc::default()).unwrap();
        let outlets = Outlets {
            windows,
            view: watch::channel(Arc::default()).0,
            layout: Layout::new([].into(), YOUNG_FOR),
            alerts: Alerts::open(Arc::clone(&store), &[], "http://page", Arc::default(), Arc::default()).unwrap(),
            store,
            counters: Arc::default(),
            is_ready: Arc::default(),
        };
        let declared = crate::intended::registry::Lessons::none().declared;
        let aggregate = Aggregate::new(&Config::recommended());
        Stage::new(aggregate, (0, ArrivalTime(0)), declared, outlets, 0, None)
    }

    /// Hands a report on while the next view is not due, and says whether there was one all the same.
    fn hurries(stage: &mut Stage, assessment: Assessment, state: LoopState) -> bool {
        let report = LoopReport {
            id: LoopId(1),
            functions: vec![NodeId(1)],
            state,
            assessment,
            max_depth: 8,
            chains: 1,
            laps: 8,
            first_seen: EventTime(1),
            last_seen: EventTime(2),
            exemplars: vec![TraceId([1; 16])],
            ..LoopReport::default()
        };
        (stage.soonest, stage.next) = (Instant::now(), Instant::now() + Duration::from_secs(3600));
        let position = stage.position + 1;
        let mut output = Linker::new(&Config::recommended()).drain(ArrivalTime(1));
        output.loops.push(report);
        stage.take(ToAggregator::Linked { now: ArrivalTime(1), position, output });
        stage.hand_on();
        stage.outlets.counters.engine_position.get() == position
    }

    #[test]
    fn a_turn_for_the_worse_does_not_wait_for_the_next_view() {
        let mut stage = stage();
        let told = |stage: &Stage| stage.outlets.store.alert_history(9).unwrap().len();
        assert!(!hurries(&mut stage, Suspect, Persistent));
        assert!(hurries(&mut stage, Alarm, Persistent));
        assert_eq!(told(&stage), 1);
        assert!(!hurries(&mut stage, Alarm, Persistent));
        assert!(hurries(&mut stage, Alarm, Growing));
        assert_eq!(told(&stage), 2);
        assert!(!hurries(&mut stage, Alarm, Growing));
    }

    #[test]
    fn the_end_publishes_what_was_not_due() {
        let mut stage = stage();
        assert!(!hurries(&mut stage, Suspect, Persistent));
        stage.end();
        assert_eq!(stage.outlets.counters.engine_position.get(), stage.position);
    }
}
