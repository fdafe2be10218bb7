//! The thread of the aggregator: merges, then publishes what is known to the page, the disk and the alerts.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use loopscope_analyzer::{
    aggregate::Aggregate,
    snapshot::{NodeId, Snapshot},
    span::ArrivalTime,
};
use tokio::sync::watch;

use super::ToAggregator;
use crate::{alert::Alerts, counters::Counters, journal::Position, layout::Layout, store::Store, view::View};

/// Shortest time between two views.
const PUBLISH: Duration = Duration::from_millis(200);

/// A view that took long to make waits this many times as long, so that a large graph does not eat the machine.
const REST: u32 = 10;

/// Where the aggregator's findings go.
pub struct Outlets {
    /// The newest view, for the API.
    pub view: watch::Sender<Arc<View>>,
    /// Places on the map.
    pub layout: Layout,
    /// Keeps the places.
    pub store: Arc<Store>,
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
    outlets: Outlets,
    /// The last position that the journal held at the start; up to here all is replay.
    replay_end: Position,
    started: Instant,
    next: Instant,
    now: ArrivalTime,
    position: Position,
}

impl Stage {
    pub(super) fn new(aggregate: Aggregate, outlets: Outlets, replay_end: Position) -> Self {
        let started = Instant::now();
        Self { aggregate, outlets, replay_end, started, next: started, now: ArrivalTime(0), position: 0 }
    }

    fn publish(&mut self) {
        let snapshot = self.aggregate.snapshot(self.now);
        self.place(&snapshot);
        let view = View::build(&snapshot, self.outlets.layout.places());
        self.outlets.view.send_replace(Arc::new(view));
        self.outlets.counters.engine_position.set(self.position);
        // What a replay goes through has been told before; only where it ends is news.
        if self.position >= self.replay_end {
            self.outlets.is_ready.store(true, Relaxed);
            if let Err(error) = self.outlets.alerts.observe(self.now, &snapshot.loops) {
                tracing::error!(%error, "alerts cannot be written down; trying again");
            }
        }
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
            }
            ToAggregator::Linked { now, position, output } => {
                self.now = self.now.max(now);
                self.position = position;
                self.aggregate.link(self.now, output);
            }
        }
    }

    fn hand_on(&mut self) {
        self.aggregate.tick(self.now);
        let begun = Instant::now();
        if begun >= self.next {
            self.publish();
            self.next = begun + PUBLISH.max(begun.elapsed() * REST);
        }
    }

    /// What came too soon after the last view would stay unsaid otherwise.
    fn end(&mut self) {
        self.publish();
    }
}
