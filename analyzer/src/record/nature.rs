//! How the runs of a function begin and where they live: what tells a function from a service.

use super::{Instances, Trigger};
use crate::state::state;

/// How the runs of a function begin, and on what they run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Nature {
    /// Runs that requests started, or of which nothing is said; those that sampling left out included, as in all of these.
    pub(crate) by_request: f64,
    /// Runs that messages started.
    pub(crate) by_queue: f64,
    /// Runs that changes of what a store holds started.
    pub(crate) by_store: f64,
    /// Runs that a schedule started.
    pub(crate) by_schedule: f64,
    /// Runs that handled messages.
    pub(crate) deliveries: f64,
    /// Messages that these handled.
    pub(crate) messages: f64,
    /// Runs whose spans have attributes that only functions have.
    pub(crate) faas: f64,
    /// Runs of an instance that had run before.
    pub(crate) again: f64,
    /// Of these, runs that began before another of the same instance was over.
    pub(crate) overlapping: f64,
    pub(crate) instances: Instances,
}

impl Nature {
    /// Runs of which it is known how they began.
    pub(crate) fn runs(&self) -> f64 {
        self.by_request + self.by_queue + self.by_store + self.by_schedule
    }

    /// Counts what started a run that stands for `weight` of them.
    pub(crate) fn begin(&mut self, trigger: Trigger, weight: f64) {
        *match trigger {
            Trigger::Request => &mut self.by_request,
            Trigger::Queue => &mut self.by_queue,
            Trigger::Store => &mut self.by_store,
            Trigger::Schedule => &mut self.by_schedule,
        } += weight;
    }

    /// Adds what was counted elsewhere, or later.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.by_request += other.by_request;
        self.by_queue += other.by_queue;
        self.by_store += other.by_store;
        self.by_schedule += other.by_schedule;
        self.deliveries += other.deliveries;
        self.messages += other.messages;
        self.faas += other.faas;
        self.again += other.again;
        self.overlapping += other.overlapping;
        self.instances.merge(&other.instances);
    }
}

state!(Nature {
    by_request,
    by_queue,
    by_store,
    by_schedule,
    deliveries,
    messages,
    faas,
    again,
    overlapping,
    instances
});
