//! From loops to messages: who is told what, once.
//!
//! `alert/incident.rs` is what people are told of, `alert/machine.rs` decides what changed, `alert/message.rs` says it
//! in words, `alert/outbox.rs` makes change and messages durable in one transaction, `alert/webhook.rs` delivers them.
//! The engine's loops come in as values; what makes a loop bad is decided there, not here.

pub mod incident;
pub mod machine;
pub mod message;
pub mod outbox;
pub mod webhook;

use std::{collections::HashMap, sync::Arc};

use loopscope_analyzer::{snapshot::Snapshot, span::ArrivalTime};
use loopscope_proto::v1;
use tokio::sync::Notify;

use crate::{
    alert::{machine::AlertMachine, outbox::Addressing},
    config::WebhookTarget,
    counters::Counters,
    store::{self, Store, StoreError, incidents},
    view::loop_message,
};

/// The newest alerts with what became of their messages and of their incidents, the newest first.
///
/// # Errors
/// When they cannot be read.
pub fn history(store: &Store, limit: usize) -> Result<v1::AlertList, StoreError> {
    let mut alerts = store.alert_history(limit)?;
    let mut known: HashMap<String, Option<v1::Incident>> = HashMap::new();
    store.read(|connection| {
        for record in &mut alerts {
            let data = record.alert.as_ref().and_then(|alert| alert.data.as_ref());
            let Some(id) = data.map(|data| data.incident_id.as_str()) else { continue };
            let incident = match known.get(id) {
                Some(incident) => incident.clone(),
                None => incidents::get(connection, id)?.as_ref().map(message::incident),
            };
            known.insert(id.to_owned(), incident.clone());
            record.incident = incident;
        }
        Ok(())
    })?;
    Ok(v1::AlertList { alerts })
}

/// Watches the loops and writes down what people have to be told.
#[derive(Debug)]
pub struct Alerts {
    machine: AlertMachine,
    store: Arc<Store>,
    addressing: Addressing,
    counters: Arc<Counters>,
    wake: Arc<Notify>,
}

impl Alerts {
    /// Goes on where the stored incidents stand.
    ///
    /// `page` is where people reach the page, without a slash at the end. `wake` is notified when messages are
    /// waiting: hand the same to [`webhook::Delivery`].
    ///
    /// # Errors
    /// When the incidents cannot be read.
    pub fn open(
        store: Arc<Store>,
        targets: &[WebhookTarget],
        page: &str,
        counters: Arc<Counters>,
        wake: Arc<Notify>,
    ) -> Result<Self, StoreError> {
        let machine = AlertMachine::restore(store.read(incidents::load)?);
        let targets = targets.iter().map(|target| target.url().to_string()).collect();
        Ok(Self { machine, store, addressing: Addressing { page: page.to_owned(), targets }, counters, wake })
    }

    /// Looks at the loops as they are now and writes down what changed; returns how many changes there were. People get
    /// the evidence that readers of the API see. Blocks on the disk when there is a change, and only then.
    ///
    /// # Errors
    /// When the changes cannot be written. Nothing is lost then: the next call finds them again.
    pub fn observe(&mut self, now: ArrivalTime, snapshot: &Snapshot) -> Result<usize, StoreError> {
        let mut next = self.machine.clone();
        let changes = next.step(now, &snapshot.loops);
        self.counters.incidents_suppressed.set(next.suppressed() as u64);
        if !changes.is_empty() {
            match outbox::record(&self.store, now, &changes, |found| loop_message(snapshot, found), &self.addressing) {
                Ok(given_up) => self.counters.webhooks_failed.add(given_up),
                Err(error) => {
                    // Only the store knows whether a commit that failed has happened after all.
                    if let Ok(stored) = self.store.read(incidents::load) {
                        self.machine = AlertMachine::restore(stored);
                    }
                    return Err(error);
                }
            }
            if let Ok(pending) = self.store.read(store::outbox::count_pending) {
                self.counters.webhooks_pending.set(pending);
            }
            self.wake.notify_waiters();
        }
        self.machine = next;
        Ok(changes.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::machine::tests::{found, second};
    use loopscope_analyzer::snapshot::{Loop, LoopState, Severity};

    fn only(found: Loop) -> Snapshot {
        Snapshot { loops: vec![found], ..Snapshot::default() }
    }

    fn alerts(store: &Arc<Store>) -> Alerts {
        let targets = [WebhookTarget::parse("http://127.0.0.1:9/hook").unwrap()];
        Alerts::open(store.clone(), &targets, "http://page", Arc::default(), Arc::default()).unwrap()
    }

    fn told(store: &Store) -> Vec<String> {
        let records = store.alert_history(100).unwrap();
        records.into_iter().rev().filter_map(|record| Some(record.alert?.r#type)).collect()
    }

    #[test]
    fn a_restart_in_the_middle_of_an_incident_tells_nothing_twice() {
        let store = Arc::new(Store::in_memory().unwrap());
        let mut before = alerts(&store);
        before.observe(second(1), &only(found(1, LoopState::Growing, Severity::Warning, 8))).unwrap();
        before.observe(second(2), &only(found(1, LoopState::Growing, Severity::Critical, 16))).unwrap();
        drop(before);

        let mut after = alerts(&store);
        for (at, severity, laps) in [(3, Severity::Info, 2), (4, Severity::Warning, 9), (5, Severity::Critical, 17)] {
            assert_eq!(after.observe(second(at), &only(found(1, LoopState::Growing, severity, laps))).unwrap(), 0);
        }
        after.observe(second(6), &only(found(1, LoopState::Closed, Severity::Critical, 18))).unwrap();
        assert_eq!(told(&store), ["loop.opened", "loop.escalated", "loop.resolved"]);
    }

    #[test]
    fn a_change_that_cannot_be_written_is_found_again() {
        let store = Arc::new(Store::in_memory().unwrap());
        let mut alerts = alerts(&store);
        let loops = only(found(1, LoopState::Growing, Severity::Critical, 16));
        store.read(|c| Ok(c.pragma_update(None, "query_only", true)?)).unwrap();
        assert!(alerts.observe(second(1), &loops).is_err());
        assert!(told(&store).is_empty());
        store.read(|c| Ok(c.pragma_update(None, "query_only", false)?)).unwrap();
        assert_eq!(alerts.observe(second(2), &loops).unwrap(), 1);
        assert_eq!(alerts.observe(second(3), &loops).unwrap(), 0);
        assert_eq!(told(&store), ["loop.opened"]);
    }
}
