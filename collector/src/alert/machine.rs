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
//!          closed, or gone for an hour: loop.resolved
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
        if found.state == LoopState::Closed && knows_less {
            // A replay shows the end of an earlier incident of this loop.
            return None;
        }
        incident.last_lap = incident.last_lap.max(found.last_seen);
        incident.laps = incident.laps.max(found.laps);
        let kind = match found.state {
            LoopState::Latent => return None,
            LoopState::Closed => {
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
pub(crate) mod tests {
    use loopscope_analyzer::{snapshot::NodeId, span::EventTime};
    use proptest::prelude::*;

    use super::*;

    pub(crate) fn second(at: u64) -> ArrivalTime {
        ArrivalTime(at * 1_000_000_000)
    }

    /// A loop whose last lap began at the second that has the number of its laps.
    pub(crate) fn found(id: u128, state: LoopState, severity: Severity, laps: u64) -> Loop {
        Loop {
            id: LoopId(id),
            functions: vec![NodeId(1)],
            names: vec!["thumbnail".into()],
            environment: "prod".into(),
            path: vec![NodeId(1), NodeId(2)],
            state,
            severity,
            max_depth: u32::try_from(laps).unwrap(),
            chains: 1,
            laps,
            lap_p50_ms: Some(300.0),
            laps_per_minute: 200.0,
            first_seen: EventTime(0),
            last_seen: EventTime(second(laps).0),
            exemplars: Vec::new(),
        }
    }

    use LoopState::{Closed, Dying, Growing, Latent, Persistent};
    use Severity::{Critical, Info, Warning};

    /// Runs one loop through the machine and writes what changed, `-` for nothing.
    #[track_caller]
    fn check(steps: &[(LoopState, Severity, u64)], expected: &str) {
        let mut machine = AlertMachine::default();
        let words: Vec<&str> = (1..)
            .zip(steps)
            .map(|(at, (state, severity, laps))| {
                match machine.step(second(at), &[found(1, *state, *severity, *laps)])[..] {
                    [] => "-",
                    [ref change] => change.kind.message_type().trim_start_matches("loop."),
                    ref many => panic!("{} changes of one loop", many.len()),
                }
            })
            .collect();
        assert_eq!(words.join(" "), expected);
    }

    #[test]
    fn an_incident_opens_escalates_and_ends() {
        check(
            &[
                (Growing, Info, 4),
                (Growing, Warning, 8),
                (Growing, Warning, 9),
                (Growing, Critical, 16),
                (Dying, Critical, 17),
            ],
            "- opened - escalated -",
        );
        check(&[(Growing, Critical, 16), (Closed, Critical, 16), (Closed, Critical, 16)], "opened resolved -");
    }

    #[test]
    fn info_latent_and_closed_loops_tell_nothing() {
        check(&[(Growing, Info, 4), (Latent, Warning, 0), (Latent, Critical, 0), (Closed, Critical, 20)], "- - - -");
    }

    #[test]
    fn falling_severity_is_not_told_and_rises_once() {
        check(
            &[(Growing, Critical, 16), (Persistent, Warning, 17), (Persistent, Critical, 18), (Latent, Info, 18)],
            "opened - - -",
        );
    }

    #[test]
    fn a_loop_that_comes_back_is_a_new_incident() {
        let mut machine = AlertMachine::default();
        let first = machine.step(second(1), &[found(1, Growing, Critical, 16)]);
        machine.step(second(2), &[found(1, Closed, Critical, 20)]);
        assert!(machine.step(second(3), &[found(1, Dying, Critical, 20)]).is_empty(), "no new lap, no new incident");
        let second = machine.step(second(4), &[found(1, Growing, Critical, 21)]);
        assert_eq!(second[0].kind, AlertKind::Opened);
        assert_ne!(first[0].incident.id, second[0].incident.id);
    }

    #[test]
    fn a_replay_opens_nothing_that_is_resolved_and_closes_nothing_that_is_open() {
        let mut machine = AlertMachine::default();
        let mut stored = BTreeMap::new();
        let history = [
            found(1, Growing, Critical, 16),
            found(1, Closed, Critical, 20),
            found(1, Growing, Critical, 40),
            found(2, Growing, Warning, 9),
            found(2, Closed, Warning, 10),
        ];
        for (at, found) in (1..).zip(&history) {
            for change in machine.step(second(at), std::slice::from_ref(found)) {
                stored.insert((change.incident.opened_at, change.incident.id.clone()), change.incident);
            }
        }
        let mut restored = AlertMachine::restore(stored.into_values());
        for found in &history {
            assert_eq!(restored.step(second(10), std::slice::from_ref(found)), []);
        }
        assert_eq!(restored.step(second(11), &[found(1, Closed, Critical, 41)]).len(), 1);
    }

    #[test]
    fn a_loop_that_vanishes_is_resolved_in_the_end() {
        let mut machine = AlertMachine::default();
        machine.step(second(0), &[found(1, Growing, Critical, 16)]);
        let mut restored = AlertMachine::restore(machine.watched.into_values().map(|watched| watched.incident));
        assert_eq!(restored.step(second(5_000), &[]), [], "the hour begins when the machine starts");
        assert_eq!(restored.step(second(8_599), &[]), []);
        let changes = restored.step(second(8_600), &[found(1, Latent, Info, 0)]);
        assert_eq!((changes[0].kind, &changes[0].evidence), (AlertKind::Resolved, &None));
        assert_eq!(restored.step(second(8_601), &[]), []);
    }

    #[test]
    fn too_many_incidents_are_counted_and_wait() {
        let mut machine = AlertMachine::default();
        let bad = |id: usize| found(id as u128, Growing, Critical, 16);
        let loops: Vec<Loop> = (0..MAX_OPEN + 2).map(bad).collect();
        assert_eq!(machine.step(second(1), &loops).len(), MAX_OPEN);
        assert_eq!(machine.suppressed(), 2);
        let closed = found(0, Closed, Critical, 17);
        assert_eq!(machine.step(second(2), &[closed]).len(), 1);
        let changes = machine.step(second(3), &loops[MAX_OPEN..]);
        assert_eq!((changes.len(), machine.suppressed()), (1, 1));
    }

    #[test]
    fn resolved_incidents_are_forgotten_in_the_end() {
        let mut machine = AlertMachine::default();
        for id in 0..=MAX_RESOLVED as u64 {
            machine.step(second(id), &[found(u128::from(id), Growing, Critical, 16)]);
            machine.step(second(id), &[found(u128::from(id), Closed, Critical, 16)]);
        }
        assert_eq!(machine.watched.len(), MAX_RESOLVED);
        assert!(!machine.watched.contains_key(&LoopId(0)));
    }

    fn any_loop() -> impl Strategy<Value = Loop> {
        let states = prop::sample::select(vec![LoopState::Unknown, Latent, Growing, Persistent, Dying, Closed]);
        (0..3_u128, states, prop::sample::select(vec![Info, Warning, Critical]), 0..40_u64)
            .prop_map(|(id, state, severity, laps)| found(id, state, severity, laps))
    }

    proptest! {
        #[test]
        fn changes_of_a_loop_take_turns(steps in prop::collection::vec((any_loop(), 0..3_000_u64), 0..60)) {
            let mut machine = AlertMachine::default();
            let mut open: BTreeMap<LoopId, Incident> = BTreeMap::new();
            let mut ids = std::collections::BTreeSet::new();
            let mut now = 0;
            for (found, later) in steps {
                now += later;
                for AlertChange { kind, incident, evidence } in machine.step(second(now), std::slice::from_ref(&found)) {
                    prop_assert!(kind == AlertKind::Resolved || evidence.is_some());
                    match kind {
                        AlertKind::Opened => {
                            prop_assert!(incident.severity >= Warning && incident.is_open());
                            prop_assert!(open.insert(incident.loop_id, incident.clone()).is_none());
                            prop_assert!(ids.insert(incident.id));
                        }
                        AlertKind::Escalated => {
                            let before = open.insert(incident.loop_id, incident.clone());
                            prop_assert!(before.is_some_and(|before| before.id == incident.id && before.severity < incident.severity));
                        }
                        AlertKind::Resolved => {
                            let before = open.remove(&incident.loop_id);
                            prop_assert!(before.is_some_and(|before| before.id == incident.id) && !incident.is_open());
                        }
                    }
                }
                prop_assert_eq!(machine.step(second(now), &[found]), []);
            }
        }

        #[test]
        fn a_replay_tells_nothing(laps in prop::collection::vec((0..3_u128, any::<bool>(), 1..5_u64), 1..40)) {
            // Laps grow as they do in a journal; the replay shows the very same loops to a restored machine.
            let mut total = BTreeMap::new();
            let history: Vec<Loop> = laps.into_iter().map(|(id, closed, more)| {
                let laps = total.entry(id).or_insert(0);
                *laps += more;
                let severity = if *laps >= 16 { Critical } else if *laps >= 8 { Warning } else { Info };
                found(id, if closed { Closed } else { Growing }, severity, *laps)
            }).collect();
            let mut machine = AlertMachine::default();
            let mut stored = BTreeMap::new();
            for (at, found) in (1..).zip(&history) {
                for change in machine.step(second(at), std::slice::from_ref(found)) {
                    stored.insert((change.incident.opened_at, change.incident.id.clone()), change.incident);
                }
            }
            let mut restored = AlertMachine::restore(machine.watched.into_values().map(|watched| watched.incident));
            for found in &history {
                prop_assert_eq!(restored.step(second(1_000), std::slice::from_ref(found)), []);
            }
        }
    }
}
