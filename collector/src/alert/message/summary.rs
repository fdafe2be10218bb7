//! What people are told in words: one sentence that stands for itself in a chat, and what there is to add to it.
//!
//! It says no more than is known: a depth only where chains are seen, how sure it is where something was guessed.

use loopscope_analyzer::snapshot::{LoopClass, LoopLevel, Reason};
use loopscope_proto::v1;

use crate::{
    alert::{
        incident::Because,
        machine::{AlertChange, AlertKind},
    },
    sampled,
};

/// Most function names in a summary; the rest is counted.
const NAMES_IN_SUMMARY: usize = 6;

/// Costs of a day below this are not told, in the currency of the prices.
const LEAST_COST: f64 = 0.01;

/// From this confidence on nothing is said of doubts: it is 100 % when rounded.
const SURE: f64 = 0.995;

/// What happened to the loop of an incident.
pub(super) fn summary(change: &AlertChange, evidence: &v1::Loop) -> String {
    let place = match evidence.environment.as_str() {
        "" => String::new(),
        environment => format!(" in {environment}"),
    };
    let Deed { who, does, did, unit } = Deed::of(evidence);
    let depth = depth(evidence);
    if change.kind == AlertKind::Resolved {
        let depth = depth.map(|depth| format!(", up to {depth}")).unwrap_or_default();
        return match is_intended(evidence) {
            true => format!("Intended: {who} {does}{place}{depth}, as declared."),
            false => format!("Over: {who} {did}{place}{depth}."),
        };
    }
    let severity = match evidence.severity() {
        v1::Severity::Info => "Seen",
        v1::Severity::Warning => "Warning",
        v1::Severity::Critical => "Critical",
    };
    let rate = format!("{} a minute", counted(evidence.laps_per_minute.round().max(0.0) as u64, unit));
    let numbers = match (depth, evidence.state()) {
        (Some(depth), v1::LoopState::Growing) => format!("{depth} and getting deeper, {rate}"),
        (None, v1::LoopState::Growing) => format!("{rate} and multiplying"),
        (Some(depth), v1::LoopState::Dying) => format!("{depth} and slowing down, {rate}"),
        (None, v1::LoopState::Dying) => format!("{rate} and slowing down"),
        (Some(depth), _) => format!("{depth}, {rate}"),
        (None, _) => rate,
    };
    let more = [
        news(change),
        counts(evidence),
        doubt(evidence),
        cost(evidence),
        breach(evidence),
        sampling(evidence),
        others(change.incident.loops.len()),
    ];
    format!("{severity}: {who} {does}{place}: {numbers}.{}", more.concat())
}

/// What functions do that people are told of.
struct Deed {
    who: String,
    does: &'static str,
    did: &'static str,
    /// What is counted of it.
    unit: &'static str,
}

impl Deed {
    fn of(evidence: &v1::Loop) -> Self {
        let is = |class: LoopClass| evidence.max_depth == 0 && evidence.classes.iter().any(|it| it == class.word());
        let names = || evidence.functions.join(", ");
        if is(LoopClass::NoProgress) {
            let (does, did) = ("handles the same thing again and again", "handled the same thing again and again");
            return Self { who: names(), does, did, unit: "invocation" };
        }
        if is(LoopClass::Telemetry) {
            let (does, did) = ("exports telemetry of its own exports", "exported telemetry of its own exports");
            return Self { who: names(), does, did, unit: "export" };
        }
        let who = match evidence.level == LoopLevel::Operation.word() {
            true => format!("{} within {}", way(&evidence.operations), names()),
            false => way(&evidence.functions),
        };
        Self { who, does: "goes round and round", did: "went round and round", unit: "lap" }
    }
}

/// Laps of the deepest chain; `None` where no chain is seen, and where sampling hides how deep chains are.
fn depth(evidence: &v1::Loop) -> Option<String> {
    let is_seen = evidence.max_depth > 0 && !is_hidden(evidence);
    is_seen.then(|| format!("{} deep", counted(evidence.max_depth.into(), "lap")))
}

fn is_hidden(evidence: &v1::Loop) -> bool {
    evidence.alarm_depth.is_none() && evidence.next_lap_sampling_probability.is_some()
}

/// Why it is told again.
fn news(change: &AlertChange) -> String {
    if change.kind == AlertKind::Reopened {
        return " It was over, and has begun again.".to_owned();
    }
    let news = change.because.iter().map(|because| match because {
        // The first word says it, or a sentence of its own.
        Because::Severity | Because::BrokenBound => "",
        Because::Growing => " Its laps multiply now.",
        Because::Cost => " It costs at least ten times what was told before.",
        Because::StillOpen => " It still goes on.",
    });
    news.collect()
}

/// What counts alone tell, where they are why people are told.
fn counts(evidence: &v1::Loop) -> String {
    let is_why = evidence.reasons.iter().any(|reason| reason == Reason::Flow.word());
    let flow = evidence.flow.as_ref().filter(|_| is_why || evidence.max_depth == 0);
    let Some(r) = flow.and_then(|flow| flow.reproduction.as_ref()) else { return String::new() };
    let by = if evidence.max_depth == 0 { "No chain can be followed; by" } else { "By" };
    format!(" {by} count, each invocation causes {:.2} ({:.2} to {:.2}) further ones.", r.mean, r.low, r.high)
}

/// How sure it is, where parents and links do not say it all.
fn doubt(evidence: &v1::Loop) -> String {
    // Never rounded up to what it is not.
    let sure = (evidence.confidence * 100.0).floor();
    match evidence.confidence {
        confidence if confidence >= SURE || !confidence.is_finite() => String::new(),
        _ if evidence.max_depth == 0 => format!(" That it is a loop is {sure:.0} % sure."),
        _ => format!(" Parents or links are missing: that its laps belong together is {sure:.0} % sure."),
    }
}

/// How many further loops the incident has.
fn others(loops: usize) -> String {
    match loops.saturating_sub(1) {
        0 => String::new(),
        1 => " One more loop of these functions belongs to it.".to_owned(),
        more => format!(" {more} more loops of these functions belong to it."),
    }
}

fn is_intended(evidence: &v1::Loop) -> bool {
    evidence.intended.as_ref().is_some_and(|state| !state.is_broken && !state.is_expired)
}

/// What it will cost, where that is worth a word.
fn cost(evidence: &v1::Loop) -> String {
    let Some(cost) = evidence.cost.as_ref().filter(|cost| cost.next_24h >= LEAST_COST) else { return String::new() };
    let about = if cost.is_assumed { "some " } else { "" };
    format!(" If it goes on, the next 24 hours cost {about}{:.2} {}.", cost.next_24h, cost.currency)
}

/// That what is told is adjusted, because not all was kept.
fn sampling(evidence: &v1::Loop) -> String {
    let hidden = if is_hidden(evidence) { " It hides how deep chains are." } else { "" };
    evidence.sampling_probability.map_or_else(String::new, |kept| {
        format!(" Traces are sampled: {} laps was kept, and the numbers are adjusted.{hidden}", sampled::one_in(kept))
    })
}

/// Which declared bound broke, and who is asked.
fn breach(evidence: &v1::Loop) -> String {
    let Some(state) = evidence.intended.as_ref().filter(|state| state.is_broken) else { return String::new() };
    let owner = match state.owner.as_str() {
        "" => String::new(),
        owner => format!(" by {owner}"),
    };
    format!(" It is declared as intended{owner} and broke its bound: {}.", state.breach)
}

fn counted(count: u64, unit: &str) -> String {
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

/// The functions, or operations, of one lap with arrows between them, back to the first.
fn way(names: &[String]) -> String {
    let Some(first) = names.first() else { return "a loop of unknown functions".to_owned() };
    let mut stops: Vec<&str> = names.iter().take(NAMES_IN_SUMMARY).map(String::as_str).collect();
    let more = names.len().saturating_sub(NAMES_IN_SUMMARY);
    let rest = format!("{more} more");
    if more > 0 {
        stops.push(&rest);
    }
    stops.push(first);
    stops.join(" → ")
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};
    use loopscope_analyzer::snapshot::{LoopState, Severity};

    use super::*;
    use crate::{
        alert::machine::{
            AlertMachine,
            tests::{found, second},
        },
        convert,
    };

    /// A change of an incident of one loop.
    fn change(kind: AlertKind, because: &[Because]) -> AlertChange {
        let opened = AlertMachine::default().step(second(1), &[found(1, LoopState::Growing, Severity::Warning, 8)]);
        AlertChange { kind, because: because.to_vec(), ..opened[0].clone() }
    }

    #[track_caller]
    fn check(state: LoopState, severity: Severity, kind: AlertKind, expected: &Expect) {
        expected.assert_eq(&summary(&change(kind, &[]), &convert::loop_(&found(1, state, severity, 17))));
    }

    #[test]
    fn what_is_new_is_said() {
        let evidence = convert::loop_(&found(1, LoopState::Persistent, Severity::Warning, 17));
        let news = |change: &AlertChange| {
            let said = summary(change, &evidence);
            said.split_once("200 laps a minute.").unwrap().1.trim().to_owned()
        };
        assert_eq!(news(&change(AlertKind::Reopened, &[])), "It was over, and has begun again.");
        assert_eq!(news(&change(AlertKind::Reminded, &[Because::StillOpen])), "It still goes on.");
        let mut worse = change(AlertKind::Escalated, &[Because::Severity, Because::Growing, Because::Cost]);
        assert_eq!(news(&worse), "Its laps multiply now. It costs at least ten times what was told before.");
        worse.incident.loops.push(worse.incident.loops[0].clone());
        worse.because.clear();
        assert_eq!(news(&worse), "One more loop of these functions belongs to it.");
        worse.incident.loops.push(worse.incident.loops[0].clone());
        assert_eq!(news(&worse), "2 more loops of these functions belong to it.");
    }

    #[test]
    fn summaries_stand_for_themselves() {
        check(
            LoopState::Growing,
            Severity::Warning,
            AlertKind::Opened,
            &expect![
                "Warning: thumbnail → thumbnail goes round and round in prod: 17 laps deep and getting deeper, 200 laps a minute."
            ],
        );
        check(
            LoopState::Persistent,
            Severity::Critical,
            AlertKind::Escalated,
            &expect!["Critical: thumbnail → thumbnail goes round and round in prod: 17 laps deep, 200 laps a minute."],
        );
        check(
            LoopState::Closed,
            Severity::Critical,
            AlertKind::Resolved,
            &expect!["Over: thumbnail → thumbnail went round and round in prod, up to 17 laps deep."],
        );
    }

    #[test]
    fn a_summary_tells_the_cost_and_which_declared_bound_broke() {
        let mut evidence = convert::loop_(&found(1, LoopState::Growing, Severity::Warning, 21));
        let cost = v1::LoopCost { next_24h: 12.345, currency: "USD".into(), is_assumed: true, ..Default::default() };
        evidence.cost = Some(cost);
        evidence.intended = Some(v1::IntendedState {
            owner: "media".into(),
            is_broken: true,
            breach: "21 laps deep, declared are 20".into(),
            ..Default::default()
        });
        expect!["Warning: thumbnail → thumbnail goes round and round in prod: 21 laps deep and getting deeper, 200 laps a minute. If it goes on, the next 24 hours cost some 12.35 USD. It is declared as intended by media and broke its bound: 21 laps deep, declared are 20."].assert_eq(&summary(&change(AlertKind::Opened, &[]), &evidence));
        evidence.intended = None;
        evidence.cost = None;
        evidence.sampling_probability = Some(0.01);
        expect!["Warning: thumbnail → thumbnail goes round and round in prod: 21 laps deep and getting deeper, 200 laps a minute. Traces are sampled: 1 in 100 laps was kept, and the numbers are adjusted."].assert_eq(&summary(&change(AlertKind::Opened, &[]), &evidence));
        evidence.intended = Some(v1::IntendedState::default());
        expect!["Intended: thumbnail → thumbnail goes round and round in prod, up to 21 laps deep, as declared."]
            .assert_eq(&summary(&change(AlertKind::Resolved, &[]), &evidence));
    }

    #[test]
    fn operations_that_begin_again_are_named() {
        let mut evidence = convert::loop_(&found(1, LoopState::Growing, Severity::Warning, 17));
        evidence.level = "operation".into();
        evidence.operations = vec!["fetch".into(), "judge".into()];
        let said = summary(&change(AlertKind::Opened, &[]), &evidence);
        assert!(
            said.starts_with("Warning: fetch → judge → fetch within thumbnail goes round and round in prod"),
            "{said}"
        );
    }

    #[test]
    fn long_loops_are_cut() {
        let names: Vec<String> = ('a'..='i').map(String::from).collect();
        assert_eq!(way(&names), "a → b → c → d → e → f → 3 more → a");
        assert_eq!(way(&[]), "a loop of unknown functions");
    }

    #[test]
    fn what_only_counts_tell_has_no_depth() {
        let r = v1::Reproduction { mean: 1.02, low: 0.97, high: 1.08 };
        let mut evidence = convert::loop_(&found(1, LoopState::Persistent, Severity::Warning, 0));
        evidence.flow = Some(v1::Flow { reproduction: Some(r), laps_per_minute: 200.0, ..Default::default() });
        evidence.reasons = vec!["flow".into()];
        evidence.confidence = 0.8;
        let said = |evidence: &v1::Loop, kind| summary(&change(kind, &[]), evidence);
        expect!["Warning: thumbnail → thumbnail goes round and round in prod: 200 laps a minute. No chain can be followed; by count, each invocation causes 1.02 (0.97 to 1.08) further ones. That it is a loop is 80 % sure."].assert_eq(&said(&evidence, AlertKind::Opened));
        expect!["Over: thumbnail → thumbnail went round and round in prod."]
            .assert_eq(&said(&evidence, AlertKind::Resolved));
        evidence.set_state(v1::LoopState::Growing);
        assert!(said(&evidence, AlertKind::Opened).contains(": 200 laps a minute and multiplying. "));
        // Some of its chains are seen, and joined by what both sides know.
        (evidence.max_depth, evidence.laps) = (3, 5);
        let some = said(&evidence, AlertKind::Opened);
        assert!(some.contains(": 3 laps deep and getting deeper, 200 laps a minute. By count, each"), "{some}");
        assert!(some.ends_with("missing: that its laps belong together is 80 % sure."), "{some}");
    }

    #[test]
    fn no_depth_is_told_that_sampling_hides() {
        let mut evidence = convert::loop_(&found(1, LoopState::Persistent, Severity::Warning, 3));
        (evidence.sampling_probability, evidence.next_lap_sampling_probability) = (Some(0.01), Some(0.1));
        let said = |evidence: &v1::Loop| summary(&change(AlertKind::Opened, &[]), evidence);
        expect!["Warning: thumbnail → thumbnail goes round and round in prod: 200 laps a minute. Traces are sampled: 1 in 100 laps was kept, and the numbers are adjusted. It hides how deep chains are."].assert_eq(&said(&evidence));
        evidence.alarm_depth = Some(18);
        assert!(said(&evidence).contains(": 3 laps deep, 200 laps"), "within traces depth is judged");
    }

    #[test]
    fn what_is_no_cycle_is_told_as_what_it_is() {
        let mut evidence = convert::loop_(&found(1, LoopState::Persistent, Severity::Warning, 0));
        evidence.classes = vec!["no_progress".into()];
        expect!["Warning: thumbnail handles the same thing again and again in prod: 200 invocations a minute."]
            .assert_eq(&summary(&change(AlertKind::Opened, &[]), &evidence));
        evidence.classes = vec!["telemetry".into()];
        expect!["Over: thumbnail exported telemetry of its own exports in prod."]
            .assert_eq(&summary(&change(AlertKind::Resolved, &[]), &evidence));
    }
}
