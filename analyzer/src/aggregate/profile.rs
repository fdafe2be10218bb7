//! Everything that is known of one function, put together when somebody asks for it.
//!
//! What is made of the numbers are the detectors' pure functions; they take milliseconds, which is too long for every
//! function in every view.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Aggregate, own};
use crate::{
    detect::{cold_start, memory, state_tax, throttle, time_out},
    identity::Function,
    measured::Measured,
    record::FunctionDelta,
    snapshot::{FunctionNode, FunctionProfile, NodeId},
    span::ArrivalTime,
};

/// A time that somebody asks for: from and to, each as far as there is anything when it is not said.
pub type Asked = (Option<ArrivalTime>, Option<ArrivalTime>);

impl Aggregate {
    /// What is known of a function over some time, by any of its ids; `None` when no function has that id.
    ///
    /// The time is widened to what was counted together, and the answer says which that is.
    pub fn function_profile(&mut self, id: NodeId, asked: Asked) -> Option<FunctionProfile> {
        let id = own(&self.aliases, id);
        let now = self.now;
        let node = self.functions.get_mut(&id)?.node(now);
        let ids = [&[id][..], &node.aliases].concat();
        let (measured, from, to) = self.measured_in(asked);
        let series = self.functions.get(&id)?;
        let facts = series.facts().clone();
        let function = merged(&ids, measured).unwrap_or_else(|| nothing(&node));
        Some(FunctionProfile {
            id,
            from,
            to,
            runs: function.invocations.max(0.0),
            errors: function.errors.max(0.0),
            cold_starts: cold_start::cold_starts(&function),
            state: state_tax::state_tax(&ids, &function, measured),
            time_out: time_out::time_out(&function, &facts, measured.seconds),
            memory: function.observed.as_deref().and_then(|observed| memory::memory(observed, &facts)),
            throttles: throttle::throttles(&ids, &function, &facts, measured),
            facts,
            versions: series.versions().to_vec(),
        })
    }

    /// What was counted in the times that were asked for, and which time that is. All that is counted since the start
    /// is one such time.
    fn measured_in(&self, _asked: Asked) -> (&Measured, ArrivalTime, ArrivalTime) {
        (&self.measured, self.measured_from.unwrap_or(self.now), self.now)
    }
}

/// What was counted of a function under all of its ids.
fn merged(ids: &[NodeId], measured: &Measured) -> Option<FunctionDelta> {
    let mut found = ids.iter().filter_map(|id| measured.functions.get(id));
    let mut all = found.next()?.clone();
    found.for_each(|more| all.merge(more));
    Some(all)
}

/// A function that did nothing in the time that was asked for.
fn nothing(node: &FunctionNode) -> FunctionDelta {
    FunctionDelta::new(&Arc::new(Function {
        id: node.id,
        name: Arc::clone(&node.name),
        environment: Arc::clone(&node.environment),
        platform: Arc::clone(&node.platform),
        app: None,
        is_app: false,
        also: SmallVec::new(),
    }))
}
