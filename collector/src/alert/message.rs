//! An alert in words and as a wire message.

use loopscope_analyzer::{snapshot::LoopLevel, span::ArrivalTime};
use loopscope_proto::v1;

use crate::{
    alert::{
        incident::{Because, Incident, Member},
        machine::{AlertChange, AlertKind},
    },
    convert, sampled,
};

/// Most function names in a summary; the rest is counted.
const NAMES_IN_SUMMARY: usize = 6;

/// Costs of a day below this are not told, in the currency of the prices.
const LEAST_COST: f64 = 0.01;

/// The message about a change.
///
/// `page` is where people reach the page, without a slash at the end; `evidence` is the loop as it is now, or as it
/// was seen last. `None` when nobody is told of such a change.
pub fn build(now: ArrivalTime, change: &AlertChange, evidence: v1::Loop, page: &str) -> Option<v1::Alert> {
    let kind = change.kind.message_type()?;
    Some(v1::Alert {
        r#type: kind.to_owned(),
        timestamp: Some(convert::arrival_time(now)),
        data: Some(v1::AlertData {
            incident_id: change.incident.id.clone(),
            summary: summary(change, &evidence),
            url: format!("{page}/loops/{}", evidence.id),
            r#loop: Some(evidence),
            because: change.because.iter().map(|because| because.word().to_owned()).collect(),
            loops: change.incident.loops.iter().map(loop_of).collect(),
        }),
    })
}

/// An incident as it is now.
pub fn incident(incident: &Incident) -> v1::Incident {
    v1::Incident {
        id: incident.id.clone(),
        opened_at: Some(convert::arrival_time(incident.opened_at)),
        closed_at: incident.closed_at.map(convert::arrival_time),
        severity: convert::severity(incident.severity).into(),
        reopened: incident.reopened,
        loops: incident.loops.iter().map(loop_of).collect(),
    }
}

fn loop_of(member: &Member) -> v1::IncidentLoop {
    v1::IncidentLoop { id: member.id.to_string(), functions: member.names.iter().map(ToString::to_string).collect() }
}

/// Identity of the message about a change: the same whenever it is built again, so that nothing is told twice.
pub fn id(change: &AlertChange) -> String {
    let incident = change.incident.id.trim_start_matches("inc_");
    format!("msg_{incident}_{}", change.incident.told.messages)
}

/// One sentence that stands for itself in a chat, and what is new about it.
fn summary(change: &AlertChange, evidence: &v1::Loop) -> String {
    let is_of_operations = evidence.level == LoopLevel::Operation.word();
    let way = if is_of_operations {
        format!("{} within {}", way(&evidence.operations), evidence.functions.join(", "))
    } else {
        way(&evidence.functions)
    };
    let place = match evidence.environment.as_str() {
        "" => String::new(),
        environment => format!(" in {environment}"),
    };
    let depth = laps(evidence.max_depth.into());
    if change.kind == AlertKind::Resolved && is_intended(evidence) {
        return format!("Intended: {way} goes round and round{place}, up to {depth} deep, as declared.");
    }
    if change.kind == AlertKind::Resolved {
        return format!("Over: {way} went round and round{place}, up to {depth} deep.");
    }
    let severity = match evidence.severity() {
        v1::Severity::Info => "Seen",
        v1::Severity::Warning => "Warning",
        v1::Severity::Critical => "Critical",
    };
    let behaviour = match evidence.state() {
        v1::LoopState::Growing => " and getting deeper",
        v1::LoopState::Dying => " and slowing down",
        _ => "",
    };
    let rate = laps(evidence.laps_per_minute.round().max(0.0) as u64);
    let (news, others) = (news(change), others(change.incident.loops.len()));
    let (cost, breach, sampling) = (cost(evidence), breach(evidence), sampling(evidence));
    format!(
        "{severity}: {way} goes round and round{place}: {depth} deep{behaviour}, {rate} a minute.{news}{cost}{breach}{sampling}{others}"
    )
}

/// Why it is told again.
fn news(change: &AlertChange) -> String {
    if change.kind == AlertKind::Reopened {
        return " It was over, and has begun again.".to_owned();
    }
    let news = change.because.iter().map(|because| match because {
        // The first word says it.
        Because::Severity => "",
        Because::Growing => " Its laps multiply now.",
        Because::Cost => " It costs at least ten times what was told before.",
        Because::StillOpen => " It still goes on.",
    });
    news.collect()
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
    evidence.sampling_probability.map_or_else(String::new, |kept| {
        format!(" Traces are sampled: {} laps was kept, and the numbers are adjusted.", sampled::one_in(kept))
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

fn laps(count: u64) -> String {
    format!("{count} {}", if count == 1 { "lap" } else { "laps" })
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
    use crate::alert::machine::{
        AlertMachine,
        tests::{found, second},
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
    fn the_body_is_what_the_schema_says() {
        let loops = [found(1, LoopState::Growing, Severity::Warning, 8)];
        let change = &AlertMachine::default().step(second(1), &loops)[0];
        let alert = build(second(1), change, convert::loop_(&loops[0]), "http://127.0.0.1:4319").unwrap();
        let json = serde_json::to_value(&alert).unwrap();
        assert_eq!(json["type"], "loop.opened");
        assert_eq!(json["timestamp"], "1970-01-01T00:00:01Z");
        assert_eq!(json["data"]["incident_id"], change.incident.id);
        assert_eq!(json["data"]["loop"]["max_depth"], 8);
        assert_eq!(json["data"]["url"], "http://127.0.0.1:4319/loops/00000000000000000000000000000001");
        assert_eq!(json["data"]["loops"][0]["functions"], serde_json::json!(["thumbnail"]));
        assert_eq!(json["data"]["because"], serde_json::json!([]));
        assert!(!id(change).contains('.'), "a full stop would make the signed text ambiguous");
    }
}
