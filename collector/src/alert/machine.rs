//! Which changes of loops are worth telling: a pure state machine.
//!
//! It knows neither clocks nor storage nor messages: time and loops come in, changes go out, and the incidents it
//! was restored from are values. The same loops again give no further change.
//!
//! ```text
//!                 severity >= warning               severity rises
//!   no incident ---------------------> open ------------------------> open
//!        ^          loop.opened          |         loop.escalated
//!        +-------------------------------+
//!    closed, no alarm any more, or gone for an hour: loop.resolved
//! ```
//!
//! After a restart the engine replays its journal, so the machine sees the past again: loops that are shallow at
//! first, and loops whose incident is long resolved. Both are recognised by the last lap that an incident knows of.

use std::{collections::BTreeMap, time::Duration};

use loopscope_analyzer::{
    snapshot::{Loop, LoopId, LoopState, Severity},
    span::ArrivalTime,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::store::incidents::Incident;

/// Least severity that anybody is told of.
const ALERTING: Severity = Severity::Warning;

/// An incident is over when its loop was not seen going round for this long, even if nobody saw it close: the engine
/// forgets loops when it has too many, and the journal forgets batches.
const GONE_AFTER: Duration = Duration::from_secs(60 * 60);

/// Most incidents that are open at the same time. Loops beyond it open none until others are resolved: somebody who
/// has a thousand incidents is not helped by one more.
pub const MAX_OPEN: usize = 1_000;

/// Most resolved incidents that are remembered, so that a replay does not open them again; the oldest go first.
pub const MAX_RESOLVED: usize = 3_000;

/// What happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    /// A loop became bad enough to tell.
    Opened,
    /// It became worse.
    Escalated,
    /// It is over.
    Resolved,
}

/// A change that people have to be told.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertChange {
    /// What happened.
    pub kind: AlertKind,
    /// The incident after the change.
    pub incident: Incident,
    /// The loop as it is now; `None` when it is gone from the engine.
    pub evidence: Option<Loop>,
}

/// The latest incident of each loop.
#[derive(Clone, Debug, Default)]
pub struct AlertMachine {
    watched: BTreeMap<LoopId, Watched>,
    suppressed: usize,
}

#[derive(Clone, Debug)]
struct Watched {
    incident: Incident,
    /// When the loop was last seen going round, by our clock; `None` until the first step after a restart.
    alive_at: Option<ArrivalTime>,
}

impl AlertKind {
    /// The type of the message.
    pub fn message_type(self) -> &'static str {
        match self {
            Self::Opened => "loop.opened",
            Self::Escalated => "loop.escalated",
            Self::Resolved => "loop.resolved",
        }
    }
}

impl AlertMachine {
    /// Goes on from stored incidents, those opened first coming first.
    pub fn restore(incidents: impl IntoIterator<Item = Incident>) -> Self {
        let watched =
            incidents.into_iter().map(|incident| (incident.loop_id, Watched { incident, alive_at: None })).collect();
        let mut machine = Self { watched, suppressed: 0 };
        machine.forget_resolved();
        machine
    }

    /// Takes in all loops as they are now and says what has changed, in the order of the loops.
    ///
    /// Costs O(n log m) for n loops and m remembered incidents.
    pub fn step(&mut self, now: ArrivalTime, loops: &[Loop]) -> Vec<AlertChange> {
        self.suppressed = 0;
        let mut open = self.watched.values().filter(|watched| watched.incident.is_open()).count();
        let mut changes = Vec::new();
        for found in loops {
            let change = match self.watched.get_mut(&found.id) {
                Some(watched) if watched.incident.is_open() => watched.follow(now, found),
                before => {
                    if !is_worth_opening(found, before.as_deref()) {
                        continue;
                    }
                    if open >= MAX_OPEN {
                        self.suppressed += 1;
                        continue;
                    }
                    Some(self.open(now, found))
                }
            };
            match change.as_ref().map(|change| change.kind) {
                Some(AlertKind::Opened) => open += 1,
                Some(AlertKind::Resolved) => open -= 1,
                _ => {}
            }
            changes.extend(change);
        }
        changes.extend(self.watched.values_mut().filter_map(|watched| watched.resolve_if_gone(now)));
        self.forget_resolved();
        changes
    }

    /// Bad loops of the last step that opened no incident because [`MAX_OPEN`] others are open.
    pub fn suppressed(&self) -> usize {
        self.suppressed
    }

    fn open(&mut self, now: ArrivalTime, found: &Loop) -> AlertChange {
        let incident = Incident {
            id: incident_id(found.id, now),
            loop_id: found.id,
            severity: found.severity,
            opened_at: now,
            closed_at: None,
            last_lap: found.last_seen,
            laps: found.laps,
        };
        self.watched.insert(found.id, Watched { incident: incident.clone(), alive_at: Some(now) });
        AlertChange { kind: AlertKind::Opened, incident, evidence: Some(found.clone()) }
    }

    fn forget_resolved(&mut self) {
        if self.watched.len() <= MAX_RESOLVED {
            return;
        }
        let resolved = self.watched.values().filter_map(|watched| watched.incident.closed_at);
        let mut closed: Vec<ArrivalTime> = resolved.collect();
        if closed.len() > MAX_RESOLVED {
            let excess = closed.len() - MAX_RESOLVED;
            let (_, newest_to_go, _) = closed.select_nth_unstable(excess - 1);
            let newest_to_go = *newest_to_go;
            self.watched.retain(|_, watched| watched.incident.closed_at.is_none_or(|at| at > newest_to_go));
        }
    }
}

impl Watched {
    /// Follows the loop of an open incident.
    fn follow(&mut self, now: ArrivalTime, found: &Loop) -> Option<AlertChange> {
        let incident = &mut self.incident;
        let knows_less = found.last_seen < incident.last_lap && found.laps < incident.laps;
        let is_over = found.state == LoopState::Closed || found.severity < ALERTING;
        if is_over && knows_less {
            // A replay shows the end of an earlier incident of this loop.
            return None;
        }
        incident.last_lap = incident.last_lap.max(found.last_seen);
        incident.laps = incident.laps.max(found.laps);
        let kind = match found.state {
            LoopState::Latent => return None,
            _ if is_over => {
                incident.closed_at = Some(now);
                AlertKind::Resolved
            }
            _ => {
                self.alive_at = Some(now);
                if found.severity <= incident.severity {
                    return None;
                }
                incident.severity = found.severity;
                AlertKind::Escalated
            }
        };
        Some(AlertChange { kind, incident: incident.clone(), evidence: Some(found.clone()) })
    }

    fn resolve_if_gone(&mut self, now: ArrivalTime) -> Option<AlertChange> {
        if !self.incident.is_open() {
            return None;
        }
        let alive_at = *self.alive_at.get_or_insert(now);
        if u128::from(now.0.saturating_sub(alive_at.0)) < GONE_AFTER.as_nanos() {
            return None;
        }
        self.incident.closed_at = Some(now);
        Some(AlertChange { kind: AlertKind::Resolved, incident: self.incident.clone(), evidence: None })
    }
}

/// True when the loop is bad now and has laps that its last incident does not know.
fn is_worth_opening(found: &Loop, before: Option<&Watched>) -> bool {
    let is_bad = found.severity >= ALERTING && !matches!(found.state, LoopState::Latent | LoopState::Closed);
    let has_new_laps =
        before.is_none_or(|Watched { incident, .. }| found.last_seen > incident.last_lap || found.laps > incident.laps);
    is_bad && has_new_laps
}

fn incident_id(loop_id: LoopId, now: ArrivalTime) -> String {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&loop_id.0.to_be_bytes());
    bytes[16..].copy_from_slice(&now.0.to_be_bytes());
    format!("inc_{:016x}", xxh3_64(&bytes))
}

#[cfg(test)]
pub(crate) mod tests;
