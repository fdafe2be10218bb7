//! The sends and deliveries of one resource, told apart by time alone.
//!
//! How likely which send is says `linker/posterior.rs`. It does not know which invocations there are, nor what knows an
//! id: that is `linker/continuation.rs`'s.

use std::collections::VecDeque;

use smallvec::SmallVec;

use super::{Deferred, Match, Offer, SKEW_NANOS};
use crate::{
    linker::posterior::{Candidate, Delays},
    snapshot::Losses,
    span::{ArrivalTime, EventTime},
    state::state,
};

/// Sends over one resource that are kept to be told apart by time; of more, the oldest go.
const SENDS: usize = 1_024;
/// Sends before a delivery beyond which times tell nothing.
const CROWD: usize = 64;
/// Deliveries over one resource that no send explained, and that one which comes late still may; of more, the oldest go.
const MISSED: usize = 64;
/// Sends after which older ones weigh less in how many of them are answered.
const MEMORY: f64 = 1_000.0;
/// Calls of one function that are known before their spans come; of more, the oldest go.
const EARLY: usize = 16;
/// Calls that nobody who was called has told of, before it is believed that nobody ever does.
const SILENT: f64 = 8.0;
/// Functions that one resource delivers to of which it is known whether they answer.
const RECEIVERS: usize = 16;
/// A delivery that came from elsewhere with this probability is looked at again when a send comes late.
const ELSEWHERE: f64 = 0.5;
/// Least probability with which times alone make a cause.
const ACCEPT: f64 = 0.9;

/// What is known of the deliveries of one resource.
#[derive(Default)]
pub(super) struct Resource {
    delays: Delays,
    /// In order of their ends.
    pub(super) sends: VecDeque<Offer>,
    /// How much later than they ended sends came lately, nanoseconds.
    pub(super) lag: u64,
    /// True when senders know ids that nobody else has: who knows one too is found by it, or not at all.
    pub(super) has_ids: bool,
    pub(super) last: ArrivalTime,
    /// Sends, and by function those of them that are certain to have caused an invocation of it; the older the lighter.
    sent: f64,
    answered: SmallVec<[(u32, f64); 1]>,
    /// Invocations that are known to have called a function, whose calls have not come yet; each with the function.
    early: VecDeque<(u64, u32)>,
    /// Deliveries that no send explained, each with how probable it was taken to come from elsewhere.
    missed: VecDeque<(Deferred, f64)>,
}

impl Resource {
    /// A send that is known was the cause of an invocation of `function` that began at `start`.
    pub(super) fn observe(&mut self, cause: &Offer, function: u32, start: EventTime, losses: &mut Losses) {
        if start > cause.end {
            self.delays.observe((start.0 - cause.end.0) as f64 / 1e9, 1.0);
        }
        let from = self.sends.partition_point(|send| send.end < cause.end);
        let send = self.sends.range_mut(from..).take_while(|send| send.end == cause.end);
        let mut is_here = false;
        for send in send.filter(|send| send.cause == cause.cause) {
            send.take(function, 1.0);
            is_here = true;
        }
        if is_here {
            self.answer(function, losses);
        }
    }

    /// The invocation `cause` has caused one of `function`, which it may have called by its name.
    pub(super) fn observe_call(&mut self, cause: u64, function: u32, start: EventTime, losses: &mut Losses) {
        let until = self.sends.partition_point(|send| send.end.0 <= start.0.saturating_add(SKEW_NANOS));
        let mut before = self.sends.range(..until).rev().take(CROWD);
        match before.find(|send| send.cause == cause && send.left(function) > 0.0).cloned() {
            Some(call) => self.observe(&call, function, start, losses),
            None => {
                if self.early.len() >= EARLY {
                    self.early.pop_front();
                    losses.continuations_dropped += 1;
                }
                self.early.push_back((cause, function));
            }
        }
    }

    /// Takes in a send; the deliveries that it may explain, if it comes later than they were looked at.
    pub(super) fn send(&mut self, offer: Offer, losses: &mut Losses) -> SmallVec<[Deferred; 1]> {
        let again = self.reconsider(&offer);
        if self.sent >= MEMORY {
            self.sent /= 2.0;
            self.answered.iter_mut().for_each(|(_, answered)| *answered /= 2.0);
        }
        self.sent += 1.0;
        let mut offer = offer;
        if let Some(at) = self.early.iter().position(|(cause, _)| *cause == offer.cause)
            && let Some((_, function)) = self.early.remove(at)
        {
            offer.take(function, 1.0);
            self.answer(function, losses);
        }
        // Most come in their order.
        if self.sends.back().is_none_or(|last| last.end <= offer.end) {
            self.sends.push_back(offer);
        } else {
            let place = self.sends.partition_point(|send| send.end <= offer.end);
            self.sends.insert(place, offer);
        }
        if self.sends.len() > SENDS {
            self.sends.pop_front();
            losses.continuations_dropped += 1;
        }
        again
    }

    fn reconsider(&mut self, offer: &Offer) -> SmallVec<[Deferred; 1]> {
        let mut again = SmallVec::new();
        if self.missed.is_empty() {
            return again;
        }
        let reach = self.reach();
        let Self { missed, delays, .. } = self;
        missed.retain(|(search, external)| {
            let is_near = search.seeker.start.0.saturating_sub(reach) <= offer.end.0;
            let is_it = is_near && offer.may_cause(&search.seeker);
            if is_it {
                delays.recall(*external);
                again.push(*search);
            }
            !is_it
        });
        again
    }

    /// How long before a delivery its send may lie, nanoseconds.
    fn reach(&self) -> u64 {
        (self.delays.reach() * 1e9) as u64
    }

    /// A send is certain to have caused an invocation of the function.
    fn answer(&mut self, function: u32, losses: &mut Losses) {
        if let Some((_, answered)) = self.answered.iter_mut().find(|(known, _)| *known == function) {
            *answered += 1.0;
        } else if self.answered.len() < RECEIVERS {
            self.answered.push((function, 1.0));
        } else {
            losses.continuations_dropped += 1;
        }
    }

    /// How probable it is that an invocation of the function, if a send has caused one, does not say so by itself.
    fn unanswered(&self, function: u32) -> f64 {
        let answered =
            self.answered.iter().find(|(known, _)| *known == function).map_or(0.0, |(_, answered)| *answered);
        1.0 - (answered / (self.sent + 1.0)).min(1.0)
    }

    fn miss(&mut self, search: &Deferred, external: f64, losses: &mut Losses) {
        if self.missed.len() >= MISSED {
            let gone = self.missed.pop_front();
            // Of a delivery that is older than any send takes nobody expects that it is explained.
            let since = search.seeker.start.0.saturating_sub(self.reach());
            losses.continuations_dropped += u64::from(gone.is_some_and(|(gone, _)| gone.seeker.start.0 >= since));
        }
        self.missed.push_back((*search, external));
    }

    pub(super) fn decide(&mut self, search: &Deferred, function: u32, losses: &mut Losses) -> Option<Match> {
        let seeker = &search.seeker;
        if search.is_of_call() {
            self.delays.expect_calls(self.sent >= SILENT && self.unanswered(function) >= ACCEPT);
        }
        let reach = self.reach();
        let from = self.sends.partition_point(|send| send.end.0 < seeker.start.0.saturating_sub(reach));
        let latest = seeker.start.0.saturating_add(SKEW_NANOS);
        let near: SmallVec<[usize; 8]> = (from..self.sends.len())
            .take_while(|place| self.sends[*place].end.0 <= latest)
            .filter(|place| self.sends[*place].cause != seeker.child && self.sends[*place].left(function) > 0.0)
            .take(CROWD + 1)
            .collect();
        if near.len() > CROWD {
            return None;
        }
        let unanswered = self.unanswered(function);
        let candidate = |place: &usize| Candidate {
            delay: (seeker.start.0 as f64 - self.sends[*place].end.0 as f64) / 1e9,
            left: f64::from(self.sends[*place].left(function)) * unanswered,
        };
        let candidates: SmallVec<[Candidate; 8]> = near.iter().map(candidate).collect();
        let verdict = self.delays.judge(seeker.start, &candidates);
        // Where most receivers say who sent, one that does not came from elsewhere.
        let may_guess = unanswered >= ELSEWHERE;
        let accepted = verdict.best.filter(|best| may_guess && verdict.each[*best] >= ACCEPT);
        for (at, (place, probability)) in near.iter().zip(&verdict.each).enumerate() {
            self.sends[*place].take(function, if accepted == Some(at) { 1.0 } else { *probability });
        }
        if accepted.is_none() && verdict.external >= ELSEWHERE {
            self.miss(search, verdict.external, losses);
        }
        let offer = self.sends.get(*near.get(accepted?)?)?.clone();
        Some(Match { offer, confidence: verdict.each[accepted?] as f32 })
    }
}

state!(Resource { delays, sends, lag, has_ids, last, sent, answered, early, missed });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        linker::continuation::{Continuations, Seeker},
        record::{Key, KeyClass},
        snapshot::NodeId,
    };

    #[test]
    fn who_names_its_sender_otherwise_is_hardly_ever_one_that_does_not() {
        let mut continuations = Continuations::new(&Config::recommended());
        let (queue, mut losses) = (NodeId(7), Losses::default());
        let key = Key { class: KeyClass::Time, hash: 1 };
        for at in 1..=50 {
            let offer = Offer::new(at, Some(queue), EventTime(at * 1_000_000_000));
            continuations.offer(ArrivalTime(at * 1_000_000_000), key, offer.clone(), false, &mut losses);
            continuations.observe(queue, &offer, 3, EventTime(offer.end.0 + 1_000_000), &mut losses);
        }
        let resource = &continuations.resources[&queue];
        assert!(resource.unanswered(3) < 0.05);
        assert_eq!(resource.unanswered(4), 1.0, "another function that it delivers to says nothing");
    }

    #[test]
    fn what_is_let_go_of_one_resource_is_counted() {
        let mut losses = Losses::default();
        let mut resource = Resource::default();
        (0..RECEIVERS as u32 + 2).for_each(|function| resource.answer(function, &mut losses));
        assert_eq!(losses.continuations_dropped, 2);
        let search = |start: u64| Deferred {
            seeker: Seeker {
                child: start,
                destination: Some(NodeId(7)),
                start: EventTime(start),
                credit: 1.0,
                link: 0,
                is_matched: false,
            },
            key: Key { class: KeyClass::Time, hash: 1 },
        };
        (0..MISSED as u64 + 3).for_each(|at| resource.miss(&search(1_000_000_000 + at), 0.9, &mut losses));
        assert_eq!(losses.continuations_dropped, 5);
        resource.miss(&search(1 << 60), 0.9, &mut losses);
        assert_eq!(losses.continuations_dropped, 5, "it is too old to be explained");
    }
}
