//! What an open invocation knows of its cause and of what it sends, as far as it is needed to see loops in counts alone.
//!
//! Only invocations whose cause no parent, no link and no id tells are counted, by the place that they were delivered
//! from: the others are joined one by one, which is better. Where traces are sampled, a link or an id names a cause that
//! may not have been kept, so invocations are counted all the same: what is kept of them sends on as all do.

use smallvec::SmallVec;

use super::{SpanRecord, clue::Clues};
use crate::{
    record::{Delta, FlowKey, KeyClass},
    sampling::Sampling,
    snapshot::NodeId,
};

/// Places that one invocation sends to that are told apart.
const PLACES: usize = 8;

/// The cause of an invocation, as far as it is known, and what it sends.
#[derive(Default)]
pub(super) struct Flow {
    /// Where it was delivered from.
    via: Option<NodeId>,
    /// Messages that it handles.
    messages: u32,
    /// True when something better than the place tells its cause.
    pub(super) is_known: bool,
    sent: SmallVec<[(NodeId, u32); 1]>,
    /// Messages and calls to further places, which are not told apart.
    elsewhere: u32,
    /// How probable it was that its entry span was kept.
    sampling: Sampling,
}

impl Flow {
    /// What the entry span of an invocation says; `is_caused` when its parent is known.
    pub(super) fn of(entry: &SpanRecord, is_caused: bool) -> Self {
        let via = entry.is_open.then_some(entry.function.id);
        Self { via, is_known: is_caused, sampling: entry.sampling, ..Self::default() }
    }

    /// One of its spans knows this, and was delivered by that.
    pub(super) fn see(&mut self, clues: &Clues, is_outbound: bool, delivered_by: Option<NodeId>) {
        let is_told = |class| matches!(class, KeyClass::Time | KeyClass::Conversation);
        let messages = clues.messages();
        let mut places = clues.keys.iter().filter(|known| known.key.class == KeyClass::Time);
        if is_outbound {
            // Who knows the id of the run that it starts is joined with it.
            let knows_run = clues.keys.iter().any(|known| known.key.class == KeyClass::Request);
            places
                .filter(|known| !(known.is_call && knows_run))
                .filter_map(|known| known.over)
                .for_each(|over| self.send(over, messages));
            return;
        }
        let names_cause = !clues.links.is_empty()
            || clues.keys.iter().any(|known| !is_told(known.key.class) && known.key.class != KeyClass::Request);
        self.is_known |= names_cause && !self.sampling.is_sampled();
        if let Some(over) = places.find_map(|known| known.over).or(delivered_by.filter(|_| names_cause)) {
            self.via = Some(over);
            self.messages = self.messages.saturating_add(messages);
        }
    }

    /// It takes in what was taken for another invocation.
    pub(super) fn absorb(&mut self, part: Self) {
        self.is_known |= part.is_known;
        if self.via.is_none() {
            (self.via, self.messages) = (part.via, part.messages);
        } else if self.via == part.via {
            self.messages = self.messages.saturating_add(part.messages);
        }
        part.sent.into_iter().for_each(|(over, sent)| self.send(over, sent));
        self.elsewhere = self.elsewhere.saturating_add(part.elsewhere);
    }

    /// Counts an invocation of `function` that is over.
    pub(super) fn settle(&self, function: NodeId, delta: &mut Delta) {
        if let (false, Some(via)) = (self.is_known, self.via) {
            let key = FlowKey { function, via };
            let counts = delta.flows.entry(key).or_default();
            let dropped = counts.count(self.messages.max(1), &self.sent, self.sampling);
            delta.losses.edges_overflowed += dropped + u64::from(self.elsewhere);
        }
    }

    fn send(&mut self, over: NodeId, messages: u32) {
        if let Some((_, sent)) = self.sent.iter_mut().find(|(known, _)| *known == over) {
            *sent = sent.saturating_add(messages);
        } else if self.sent.len() < PLACES {
            self.sent.push((over, messages));
        } else {
            self.elsewhere = self.elsewhere.saturating_add(messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn flow(via: u64, messages: u32, sent: &[(u64, u32)]) -> Flow {
        let mut flow = Flow { via: Some(NodeId(via)), messages, ..Flow::default() };
        sent.iter().for_each(|(over, sent)| flow.send(NodeId(*over), *sent));
        flow
    }

    #[test]
    fn a_part_brings_all_that_it_handles_and_sends() {
        let mut whole = flow(1, 3, &[(5, 2)]);
        whole.absorb(flow(1, 4, &[(5, 3_000), (6, 1)]));
        whole.absorb(flow(2, 9, &[]));
        assert_eq!((whole.messages, whole.sent.as_slice()), (7, &[(NodeId(5), 3_002), (NodeId(6), 1)][..]));
    }

    #[test]
    fn what_is_not_told_apart_is_counted() {
        let places: Vec<(u64, u32)> = (0..PLACES as u64 + 2).map(|at| (10 + at, 5)).collect();
        let mut delta = Delta::default();
        flow(1, 1, &places).settle(NodeId(3), &mut delta);
        assert_eq!(delta.losses.edges_overflowed, 10);
    }
}
