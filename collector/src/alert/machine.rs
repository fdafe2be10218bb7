//! Which changes of loops are worth telling: a pure state machine.
//!
//! It knows neither clocks nor storage nor messages: time and loops come in, changes go out, and the incidents it
//! was restored from are values. The same loops again give no further change. When loops are one incident, and when
//! people are told again, is said in `incident.rs`.
//!
//! ```text
//!                 severity >= warning               severity rises, laps multiply, costs ten times as much
//!   no incident ---------------------> open ------------------------> open   (or a declared bound breaks)
//!                    loop.opened       ^ |        loop.escalated
//!                                      | |   closed, no alarm any more, or gone for an hour
//!             within a day: the same   | |        loop.resolved
//!             incident, loop.reopened  | v                    four hours after the last message: loop.reminder
//!                                     over
//! ```
//!
//! A bad loop that shares at least half of its functions with one of an open incident joins that, silently unless it is
//! worse. An incident is as bad as its worst loop, and over when all its loops are.
//!
//! After a restart the engine replays its journal, so the machine sees the past again: loops that are shallow at
//! first, and loops whose incident is long resolved. Both are recognised by the last lap that an incident knows of.

mod step;

use std::{collections::BTreeMap, time::Duration};

use loopscope_analyzer::{
    snapshot::{Loop, LoopId},
    span::ArrivalTime,
};
use xxhash_rust::xxh3::xxh3_64;

use crate::alert::incident::{Because, Incident};

/// An incident is over when none of its loops was seen going round for this long, even if nobody saw it close: the
/// engine forgets loops when it has too many, and the journal forgets batches.
const GONE_AFTER: Duration = Duration::from_secs(60 * 60);

/// An incident that begins again this soon after it was over is the same one: what was stopped for a night comes back
/// with the next day's traffic.
const REOPEN_WITHIN: Duration = Duration::from_secs(24 * 60 * 60);

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
    /// It was over, and began again.
    Reopened,
    /// Another loop turned out to belong to it. Nobody is told of that alone.
    Joined,
    /// It became worse.
    Escalated,
    /// It goes on, and people were told long ago.
    Reminded,
    /// It is over.
    Resolved,
}

/// A change that has to be kept, and that people have to be told unless it says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertChange {
    /// What happened.
    pub kind: AlertKind,
    /// Why people are told again; empty for all but what escalated and what they are reminded of.
    pub because: Vec<Because>,
    /// The incident after the change.
    pub incident: Incident,
    /// The worst of its loops as it is now, or the one that broke a bound; `None` when all are gone from the engine.
    pub evidence: Option<Loop>,
}

/// The latest incident of each loop.
#[derive(Clone, Debug, Default)]
pub struct AlertMachine {
    watched: BTreeMap<u64, Watched>,
    /// The incident of each loop: the open one that it belongs to, or else the last.
    by_loop: BTreeMap<LoopId, u64>,
    next: u64,
    suppressed: usize,
}

#[derive(Clone, Debug)]
struct Watched {
    incident: Incident,
    /// When a loop of it was last seen going round, by our clock; `None` until the first step after a restart.
    alive_at: Option<ArrivalTime>,
    /// When a loop of it was last seen breaking a declared bound. A rate may do so now and then, and that is one
    /// incident; all other alarms are held by the engine itself. After a restart it is the first sight, because how
    /// long the bound had held is not known.
    broken_at: Option<ArrivalTime>,
}

impl AlertKind {
    /// The type of the message; `None` when there is none.
    pub fn message_type(self) -> Option<&'static str> {
        match self {
            Self::Opened => Some("loop.opened"),
            Self::Reopened => Some("loop.reopened"),
            Self::Joined => None,
            Self::Escalated => Some("loop.escalated"),
            Self::Reminded => Some("loop.reminder"),
            Self::Resolved => Some("loop.resolved"),
        }
    }
}

impl AlertMachine {
    /// Goes on from stored incidents, in any order.
    pub fn restore(incidents: impl IntoIterator<Item = Incident>) -> Self {
        let mut incidents: Vec<Incident> = incidents.into_iter().collect();
        // What comes later counts for a loop that several have: an open one, or else the one that was over last.
        incidents.sort_by_key(|incident| (incident.is_open(), incident.closed_at, incident.opened_at));
        let mut machine = Self::default();
        for incident in incidents {
            machine.add(Watched { incident, alive_at: None, broken_at: None });
        }
        machine.forget_resolved();
        machine
    }

    /// Bad loops of the last step that opened no incident because [`MAX_OPEN`] others are open.
    pub fn suppressed(&self) -> usize {
        self.suppressed
    }

    fn add(&mut self, watched: Watched) -> u64 {
        let key = self.next;
        self.next += 1;
        self.by_loop.extend(watched.incident.loops.iter().map(|member| (member.id, key)));
        self.watched.insert(key, watched);
        key
    }

    fn open_count(&self) -> usize {
        self.watched.values().filter(|watched| watched.incident.is_open()).count()
    }

    fn forget_resolved(&mut self) {
        let mut closed: Vec<(ArrivalTime, u64)> = self
            .watched
            .iter()
            .filter_map(|(key, watched)| watched.incident.closed_at.map(|closed_at| (closed_at, *key)))
            .collect();
        let Some(excess) = closed.len().checked_sub(MAX_RESOLVED).filter(|excess| *excess > 0) else { return };
        closed.select_nth_unstable(excess - 1);
        for (_, key) in &closed[..excess] {
            self.watched.remove(key);
        }
        self.by_loop.retain(|_, key| self.watched.contains_key(key));
    }
}

fn incident_id(loop_id: LoopId, now: ArrivalTime) -> String {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(&loop_id.0.to_be_bytes());
    bytes[16..].copy_from_slice(&now.0.to_be_bytes());
    format!("inc_{:016x}", xxh3_64(&bytes))
}

#[cfg(test)]
pub(crate) mod tests;
