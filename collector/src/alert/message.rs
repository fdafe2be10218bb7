//! An alert as a wire message. What it says in words is in `message/summary.rs`.

mod summary;

use loopscope_analyzer::span::ArrivalTime;
use loopscope_proto::v1;

use self::summary::summary;
use crate::{
    alert::{
        incident::{Incident, Member},
        machine::AlertChange,
    },
    convert,
};

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

#[cfg(test)]
mod tests {
    use loopscope_analyzer::snapshot::{LoopState, Severity};

    use super::*;
    use crate::alert::machine::{
        AlertMachine,
        tests::{found, second},
    };

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
