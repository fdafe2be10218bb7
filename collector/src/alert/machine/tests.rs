//! The machine, step by step and with any sequence of steps.

use loopscope_analyzer::{
    intended::Judgement,
    snapshot::{LoopLevel, NodeId},
    span::EventTime,
};
use proptest::prelude::*;

use super::*;

pub(crate) fn second(at: u64) -> ArrivalTime {
    ArrivalTime(at * 1_000_000_000)
}

/// A loop whose last lap began at the second that has the number of its laps.
pub(crate) fn found(id: u128, state: LoopState, severity: Severity, laps: u64) -> Loop {
    Loop {
        id: LoopId(id),
        level: LoopLevel::Function,
        operations: Vec::new(),
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
        ..Loop::default()
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
        .map(
            |(at, (state, severity, laps))| match machine.step(second(at), &[found(1, *state, *severity, *laps)])[..] {
                [] => "-",
                [ref change] => change.kind.message_type().trim_start_matches("loop."),
                ref many => panic!("{} changes of one loop", many.len()),
            },
        )
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

#[test]
fn a_declaration_ends_an_incident_and_its_breach_opens_another() {
    let intended = |judgement| {
        Some(loopscope_analyzer::intended::IntendedState {
            id: "one".into(),
            owner: "media".into(),
            reason: "".into(),
            max_depth: Some(20),
            max_rate_per_minute: None,
            expires: None,
            judgement,
        })
    };
    let breach = loopscope_analyzer::intended::Breach::Depth { found: 21, bound: 20 };
    let mut machine = AlertMachine::default();
    let mut kinds = Vec::new();
    for (at, severity, laps, judgement) in [
        (1, Critical, 16, None),
        (2, Info, 17, Some(Judgement::Within)),
        (3, Info, 18, Some(Judgement::Within)),
        (4, Critical, 21, Some(Judgement::Broken(breach))),
        (5, Critical, 22, Some(Judgement::Expired)),
    ] {
        let mut found = found(1, Growing, severity, laps);
        found.intended = judgement.and_then(intended);
        kinds.extend(machine.step(second(at), &[found]).iter().map(|change| (at, change.kind)));
    }
    assert_eq!(kinds, [(1, AlertKind::Opened), (2, AlertKind::Resolved), (4, AlertKind::Opened)]);
}
