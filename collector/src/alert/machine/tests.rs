//! The machine, step by step and with any sequence of steps.

use loopscope_analyzer::{
    intended::{Breach, IntendedState, Judgement},
    price::LoopCost,
    snapshot::{LoopClass, LoopLevel, LoopState, NodeId, Severity},
    span::EventTime,
};
use proptest::prelude::*;

use super::*;
use crate::alert::incident::MAX_LOOPS;

pub(crate) fn second(at: u64) -> ArrivalTime {
    ArrivalTime(at * 1_000_000_000)
}

/// A loop whose last lap began at the second that has the number of its laps.
pub(crate) fn found(id: u128, state: LoopState, severity: Severity, laps: u64) -> Loop {
    Loop {
        id: LoopId(id),
        level: LoopLevel::Function,
        operations: Vec::new(),
        // Loops of other numbers have nothing in common.
        functions: vec![NodeId(u64::try_from(id).unwrap())],
        names: vec!["thumbnail".into()],
        environment: "prod".into(),
        path: vec![NodeId(1), NodeId(2)],
        state,
        severity,
        confidence: 1.0,
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
                [ref change] => change.kind.message_type().unwrap().trim_start_matches("loop."),
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

const HOUR: u64 = 3_600;

#[test]
fn a_loop_that_comes_back_within_a_day_is_the_same_incident() {
    let mut machine = AlertMachine::default();
    let first = machine.step(second(1), &[found(1, Growing, Critical, 16)]);
    machine.step(second(2), &[found(1, Closed, Critical, 20)]);
    assert!(machine.step(second(3), &[found(1, Dying, Critical, 20)]).is_empty(), "no new lap, no news");
    let mut restored = AlertMachine::restore(incidents(&machine));
    let again = restored.step(second(24 * HOUR + 1), &[found(1, Growing, Warning, 21)]);
    assert_eq!((again[0].kind, again[0].incident.severity), (AlertKind::Reopened, Warning));
    assert_eq!((&again[0].incident.id, again[0].incident.reopened), (&first[0].incident.id, 1));
    assert_ne!(super::super::message::id(&again[0]), super::super::message::id(&first[0]));

    let late = machine.step(second(24 * HOUR + 2), &[found(1, Growing, Warning, 21)]);
    assert_eq!(late[0].kind, AlertKind::Opened);
    assert_ne!(late[0].incident.id, first[0].incident.id);
}

/// A loop through functions.
fn through(id: u128, functions: &[u64], severity: Severity, laps: u64) -> Loop {
    Loop { functions: functions.iter().copied().map(NodeId).collect(), ..found(id, Persistent, severity, laps) }
}

fn incidents(machine: &AlertMachine) -> Vec<Incident> {
    machine.watched.values().map(|watched| watched.incident.clone()).collect()
}

/// Kinds of the changes of a step, with the loops of their incidents.
fn news(changes: &[AlertChange]) -> Vec<(AlertKind, Vec<u128>)> {
    let loops = |change: &AlertChange| change.incident.loops.iter().map(|member| member.id.0).collect();
    changes.iter().map(|change| (change.kind, loops(change))).collect()
}

#[test]
fn a_loop_of_the_same_functions_joins_and_the_incident_is_as_bad_as_the_worst() {
    use AlertKind::{Escalated, Joined, Opened, Resolved};
    let mut machine = AlertMachine::default();
    let ab = |severity, laps| through(1, &[1, 2], severity, laps);
    let abc = |severity, laps| through(2, &[1, 2, 3], severity, laps);
    let other = through(3, &[3, 4], Warning, 18);
    assert_eq!(news(&machine.step(second(1), &[ab(Warning, 18)])), [(Opened, vec![1])]);
    let changes = machine.step(second(2), &[ab(Warning, 19), abc(Warning, 18), other.clone()]);
    assert_eq!(news(&changes), [(Joined, vec![1, 2]), (Opened, vec![3])]);
    assert_eq!(machine.step(second(2), &[ab(Warning, 19), abc(Warning, 18), other]), []);

    // All of it is still so after a restart.
    let mut machine = AlertMachine::restore(incidents(&machine));
    let changes = machine.step(second(3), &[abc(Critical, 20), ab(Warning, 19)]);
    assert_eq!(news(&changes), [(Escalated, vec![1, 2])]);
    assert_eq!((changes[0].evidence.as_ref().unwrap().id, changes[0].incident.severity), (LoopId(2), Critical));
    let closed = |found: Loop| Loop { state: Closed, ..found };
    assert_eq!(machine.step(second(4), &[abc(Critical, 20), closed(ab(Warning, 19))]), []);
    let changes = machine.step(second(5), &[closed(abc(Critical, 20)), closed(ab(Warning, 19))]);
    assert_eq!(news(&changes), [(Resolved, vec![1, 2])]);
    // Whichever of them begins again opens it again.
    assert_eq!(news(&machine.step(second(6), &[ab(Warning, 20)])), [(AlertKind::Reopened, vec![1, 2])]);
}

#[test]
fn loops_that_come_together_are_told_together() {
    let mut machine = AlertMachine::default();
    let loops: Vec<Loop> = (0..MAX_LOOPS as u128 + 3).map(|id| through(id, &[1, 2], Warning, 18)).collect();
    let changes = machine.step(second(1), &loops);
    assert_eq!((changes.len(), changes[0].kind), (1, AlertKind::Opened));
    assert_eq!(changes[0].incident.loops.len(), MAX_LOOPS, "further ones belong to it, and are not listed");
    assert_eq!(machine.step(second(2), &loops), []);
}

#[test]
fn what_goes_no_way_round_and_what_breaks_a_bound_join_nothing() {
    let mut machine = AlertMachine::default();
    machine.step(second(1), &[through(1, &[1], Warning, 18)]);
    let stalled = Loop { classes: vec![LoopClass::NoProgress], ..through(2, &[1], Warning, 0) };
    let breach = Judgement::Broken(Breach::Depth { found: 21, bound: 20 });
    let broken = Loop { intended: Some(intended(breach)), ..through(3, &[1], Warning, 21) };
    let changes = machine.step(second(2), &[stalled, broken]);
    assert_eq!(news(&changes), [(AlertKind::Opened, vec![2]), (AlertKind::Opened, vec![3])]);
}

#[test]
fn people_are_told_again_and_why() {
    use Because::{Cost, Growing as Grows, Severity as Rises, StillOpen};
    let costs = |next_24h| Some(LoopCost { next_24h, ..cost() });
    let at = |state, severity, next_24h| Loop { cost: costs(next_24h), ..found(1, state, severity, 18) };
    let mut machine = AlertMachine::default();
    let mut told = Vec::new();
    for (time, it) in [
        (0, at(Persistent, Warning, 0.2)),
        (10, at(Persistent, Warning, 9.0)),
        (20, at(Persistent, Critical, 11.0)),
        (30, at(Growing, Critical, 12.0)),
        (40, at(Persistent, Critical, 109.0)),
        (50, at(Growing, Critical, 120.0)),
        (60, at(Growing, Critical, 12.0)),
        (70, at(Growing, Critical, 130.0)),
        (50 + 4 * HOUR - 1, at(Persistent, Critical, 1.0)),
        (50 + 4 * HOUR, at(Persistent, Critical, 1.0)),
        (50 + 4 * HOUR + 1, at(Growing, Critical, 1.0)),
        (50 + 8 * HOUR, at(Growing, Critical, 1.0)),
        (50 + 8 * HOUR + 1, at(Growing, Critical, 1.0)),
    ] {
        // Each step is the first after a restart.
        machine = AlertMachine::restore(incidents(&machine));
        told.extend(machine.step(second(time), &[it]).into_iter().map(|change| (time, change.kind, change.because)));
    }
    use AlertKind::{Escalated, Opened, Reminded};
    let expected = [
        (0, Opened, vec![]),
        (20, Escalated, vec![Rises, Cost]),
        (30, Escalated, vec![Grows]),
        (50, Escalated, vec![Cost]),
        (50 + 4 * HOUR, Reminded, vec![StillOpen]),
        (50 + 4 * HOUR + 1, Escalated, vec![Grows]),
        (50 + 8 * HOUR + 1, Reminded, vec![StillOpen]),
    ];
    assert_eq!(told, expected);
    assert_eq!(incidents(&machine)[0].told.messages, 7);
}

fn cost() -> LoopCost {
    LoopCost {
        so_far: 0.0,
        per_hour: 0.0,
        next_24h: 0.0,
        concurrency_share: 0.0,
        seconds_to_saturation: None,
        currency: "USD".into(),
        is_assumed: false,
    }
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
    let mut restored = AlertMachine::restore(incidents(&machine));
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
    assert!(!machine.by_loop.contains_key(&LoopId(0)));
    assert_eq!(machine.by_loop.len(), MAX_RESOLVED);
}

fn any_loop() -> impl Strategy<Value = Loop> {
    let states = prop::sample::select(vec![LoopState::Unknown, Latent, Growing, Persistent, Dying, Closed]);
    // Some of them share functions.
    (0..5_u128, states, prop::sample::select(vec![Info, Warning, Critical]), 0..40_u64).prop_map(
        |(id, state, severity, laps)| {
            let first = u64::try_from(id).unwrap();
            Loop {
                functions: vec![NodeId(first), NodeId(first + 1), NodeId(first + 2)],
                ..found(id, state, severity, laps)
            }
        },
    )
}

proptest! {
    #[test]
    fn changes_of_an_incident_take_turns(steps in prop::collection::vec((any_loop(), 0..20_000_u64), 0..60)) {
        let mut machine = AlertMachine::default();
        let mut known: BTreeMap<String, Incident> = BTreeMap::new();
        let mut messages = std::collections::BTreeSet::new();
        let mut now = 0;
        for (found, later) in steps {
            now += later;
            for change in machine.step(second(now), std::slice::from_ref(&found)) {
                let AlertChange { kind, because, incident, evidence } = &change;
                prop_assert!(*kind == AlertKind::Resolved || evidence.is_some());
                prop_assert_eq!(because.is_empty(), !matches!(kind, AlertKind::Escalated | AlertKind::Reminded));
                prop_assert!(kind.message_type().is_none() || messages.insert(super::super::message::id(&change)));
                let before = known.insert(incident.id.clone(), incident.clone());
                prop_assert_eq!(incident.is_open(), *kind != AlertKind::Resolved);
                match kind {
                    AlertKind::Opened => prop_assert!(incident.severity >= Warning && before.is_none()),
                    AlertKind::Reopened => prop_assert!(before.is_some_and(|before| !before.is_open())),
                    _ => prop_assert!(before.is_some_and(|before| before.is_open())),
                }
            }
            prop_assert_eq!(machine.step(second(now), &[found]), []);
            let open: Vec<LoopId> = incidents(&machine)
                .iter()
                .filter(|incident| incident.is_open())
                .flat_map(|incident| incident.loops.iter().map(|member| member.id))
                .collect();
            let each: std::collections::BTreeSet<&LoopId> = open.iter().collect();
            prop_assert_eq!(each.len(), open.len(), "a loop has one open incident at most");
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
        let mut restored = AlertMachine::restore(incidents(&machine));
        for found in &history {
            prop_assert_eq!(restored.step(second(1_000), std::slice::from_ref(found)), []);
        }
    }
}

fn intended(judgement: Judgement) -> IntendedState {
    IntendedState {
        id: "one".into(),
        owner: "media".into(),
        reason: "".into(),
        max_depth: Some(20),
        max_rate_per_minute: None,
        expires: None,
        judgement,
    }
}

/// Steps of one declared loop: the time, its severity, laps, and what the declaration says.
#[track_caller]
fn check_declared(steps: &[(u64, Severity, u64, Option<Judgement>)], expected: &[(u64, AlertKind)]) {
    let mut machine = AlertMachine::default();
    let mut kinds = Vec::new();
    for (at, severity, laps, judgement) in steps {
        let mut found = found(1, Growing, *severity, *laps);
        found.intended = judgement.map(intended);
        kinds.extend(machine.step(second(*at), &[found]).iter().map(|change| (*at, change.kind)));
    }
    assert_eq!(kinds, expected);
}

const BREACH: Judgement = Judgement::Broken(Breach::Depth { found: 21, bound: 20 });

#[test]
fn a_declaration_ends_an_incident_and_its_breach_opens_it_again() {
    use Judgement::{Expired, Within};
    check_declared(
        &[
            (1, Critical, 16, None),
            (2, Info, 17, Some(Within)),
            (3, Info, 18, Some(Within)),
            (4, Critical, 21, Some(BREACH)),
            (5, Critical, 22, Some(Expired)),
        ],
        &[(1, AlertKind::Opened), (2, AlertKind::Resolved), (4, AlertKind::Reopened)],
    );
}

#[test]
fn a_member_that_breaks_a_declared_bound_is_told_once() {
    let worst = through(1, &[1, 2], Critical, 30);
    let declared = |laps, judgement| {
        let severity = if judgement == BREACH { Warning } else { Info };
        Loop { intended: Some(intended(judgement)), ..through(2, &[1, 2, 3], severity, laps) }
    };
    let mut machine = AlertMachine::default();
    machine.step(second(1), &[worst.clone(), through(2, &[1, 2, 3], Warning, 18)]);
    assert_eq!(machine.step(second(2), &[worst.clone(), declared(19, Judgement::Within)]), []);
    let told = machine.step(second(3), &[worst.clone(), declared(21, BREACH)]);
    assert_eq!(news(&told), [(AlertKind::Escalated, vec![1, 2])]);
    assert_eq!(told[0].because, [Because::BrokenBound]);
    let evidence = told[0].evidence.as_ref().map(|it| it.id);
    assert_eq!((told[0].incident.severity, evidence), (Critical, Some(LoopId(2))), "its owner has to know which");
    let mut machine = AlertMachine::restore(incidents(&machine));
    assert_eq!(machine.step(second(4), &[worst.clone(), declared(22, Judgement::Within)]), []);
    assert_eq!(machine.step(second(5), &[worst, declared(23, BREACH)]), [], "they know");
}

#[test]
fn a_restart_within_the_bound_does_not_end_what_breaks_it_now_and_then() {
    let step =
        |severity, laps, judgement| [Loop { intended: Some(intended(judgement)), ..found(1, Growing, severity, laps) }];
    let mut machine = AlertMachine::default();
    assert_eq!(machine.step(second(0), &step(Warning, 21, BREACH)).len(), 1);
    let mut machine = AlertMachine::restore(incidents(&machine));
    assert_eq!(machine.step(second(60), &step(Info, 22, Judgement::Within)), []);
    assert_eq!(machine.step(second(120), &step(Warning, 23, BREACH)), []);
    let mut machine = AlertMachine::restore(incidents(&machine));
    assert_eq!(machine.step(second(200), &step(Info, 24, Judgement::Within)), []);
    let over = machine.step(second(200 + 900), &step(Info, 25, Judgement::Within));
    assert_eq!(over[0].kind, AlertKind::Resolved, "it held for long enough");
}

#[test]
fn a_bound_that_breaks_now_and_then_is_one_incident() {
    use Judgement::Within;
    check_declared(
        &[
            (0, Warning, 21, Some(BREACH)),
            (60, Info, 22, Some(Within)),
            (120, Warning, 23, Some(BREACH)),
            (120 + 899, Info, 24, Some(Within)),
            (120 + 900, Info, 25, Some(Within)),
        ],
        &[(0, AlertKind::Opened), (1_020, AlertKind::Resolved)],
    );
}
