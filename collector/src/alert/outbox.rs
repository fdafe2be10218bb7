//! A change and the messages about it, durable together.
//!
//! Incident, history and outbox change in one transaction: after a crash either all of it happened, or the machine
//! finds the change again. Delivery is in `webhook.rs`.

use loopscope_analyzer::{snapshot::Loop, span::ArrivalTime};
use loopscope_proto::v1;

use crate::{
    alert::{
        machine::{AlertChange, AlertKind},
        message,
    },
    store::{Store, StoreError, alerts, incidents, outbox},
};

/// Where messages go and where they point.
#[derive(Clone, Debug, Default)]
pub struct Addressing {
    /// Where people reach the page, without a slash at the end.
    pub page: String,
    /// The URLs of the webhook targets.
    pub targets: Vec<String>,
}

/// Writes the changes and their messages; returns how many waiting messages had to go because there were too many.
/// `describe` makes the message of a loop.
///
/// # Errors
/// Those of the store; nothing is written then.
pub fn record(
    store: &Store,
    now: ArrivalTime,
    changes: &[AlertChange],
    describe: impl Fn(&Loop) -> v1::Loop,
    addressing: &Addressing,
) -> Result<u64, StoreError> {
    let targets: Vec<&str> = addressing.targets.iter().map(String::as_str).collect();
    store.write(|transaction| {
        let mut given_up = 0;
        for change in changes {
            let evidence = match &change.evidence {
                Some(found) => describe(found),
                None => last_evidence(change, incidents::evidence(transaction, &change.incident.id)?),
            };
            incidents::save(transaction, &change.incident, &evidence)?;
            let Some(alert) = message::build(now, change, evidence, &addressing.page) else { continue };
            let body = serde_json::to_string(&alert)
                .map_err(|error| StoreError::Row { table: "alerts", reason: error.to_string() })?;
            let id = message::id(change);
            alerts::append(transaction, &id, &body, now)?;
            given_up += outbox::enqueue(transaction, &id, &body, &targets, now)?;
        }
        Ok(given_up)
    })
}

/// The loop as it was seen last, with what the change says about it.
fn last_evidence(change: &AlertChange, stored: Option<v1::Loop>) -> v1::Loop {
    let first = change.incident.loops.first().map(|member| member.id.to_string());
    let mut evidence = stored.unwrap_or_else(|| v1::Loop { id: first.unwrap_or_default(), ..Default::default() });
    if change.kind == AlertKind::Resolved {
        evidence.set_state(v1::LoopState::Closed);
        evidence.laps_per_minute = 0.0;
    }
    evidence
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::snapshot::{LoopState, Severity};

    use super::*;
    use crate::{
        alert::machine::{
            AlertMachine,
            tests::{found, second},
        },
        convert::loop_,
    };

    #[test]
    fn every_target_gets_every_change_once() {
        let store = Store::in_memory().unwrap();
        let addressing =
            Addressing { page: "http://page".into(), targets: vec!["http://a/".into(), "http://b/".into()] };
        let loops = [found(1, LoopState::Growing, Severity::Critical, 16)];
        let changes = AlertMachine::default().step(second(1), &loops);
        record(&store, second(1), &changes, loop_, &addressing).unwrap();
        record(&store, second(1), &changes, loop_, &addressing).unwrap();
        assert_eq!(store.read(outbox::count_pending).unwrap(), 2);
        assert_eq!(store.alert_history(10).unwrap().len(), 1);
        assert_eq!(store.read(incidents::load).unwrap().len(), 1);
    }

    #[test]
    fn a_loop_that_is_gone_is_told_with_its_last_evidence() {
        let store = Store::in_memory().unwrap();
        let mut machine = AlertMachine::default();
        for (at, loops) in [(0, vec![found(1, LoopState::Growing, Severity::Critical, 16)]), (4_000, vec![])] {
            let changes = machine.step(second(at), &loops);
            record(&store, second(at), &changes, loop_, &Addressing::default()).unwrap();
        }
        let newest = store.alert_history(1).unwrap().remove(0).alert.unwrap();
        assert_eq!(newest.r#type, "loop.resolved");
        let evidence = newest.data.unwrap().r#loop.unwrap();
        assert_eq!((evidence.max_depth, evidence.state()), (16, v1::LoopState::Closed));
    }
}
