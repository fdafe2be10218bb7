//! Joins causes with what they caused where no parent and no link says so.
//!
//! Both sides of a cause may know the same thing: the id of a message, of a run, of a version of an object. The outbound
//! side offers it, the inbound side seeks it, and whichever comes second finds the other. Keys that others may know too,
//! and the mere use of the same resource, are decided a little later, when all who may have been it are likely here.
//! What a match means for chains is `linker/join.rs`'s.

mod resource;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::{
    config::Config,
    generations::Generations,
    record::{Key, KeyClass},
    snapshot::{Losses, NodeId},
    span::{ArrivalTime, EventTime},
    state::state,
};
use resource::Resource;

/// Offers that are kept for one key, and seekers; of more, the oldest go.
const PER_KEY: usize = 64;
/// Offers whose answer may take days.
const SLOW_CAPACITY: usize = 250_000;
/// How long an answer may take where it is slow.
pub(super) const SLOW: Duration = Duration::from_secs(72 * 3_600);
/// The longest that a decision waits for spans that are exported late.
const PATIENCE: Duration = Duration::from_secs(300);
/// Least confidence with which a key that others know too makes a cause.
const ACCEPT_SHARED: f32 = 0.5;
/// Writers of an object that may have been it: those that wrote so long before, nanoseconds.
const RIVALS_NANOS: u64 = 60_000_000_000;
/// What clocks disagree, and what an answer to a sender takes longer than the delivery, nanoseconds.
const SKEW_NANOS: u64 = 400_000_000;

/// What is offered and sought.
pub(super) struct Continuations {
    offers: Generations<SmallVec<[Offer; 1]>>,
    slow_offers: Generations<SmallVec<[Offer; 1]>>,
    seekers: Generations<SmallVec<[Seeker; 1]>>,
    resources: FxHashMap<NodeId, Resource>,
    deferred: BTreeMap<(ArrivalTime, u64), Deferred>,
    ready: VecDeque<Deferred>,
    sequence: u64,
    settle: Duration,
    deferred_capacity: usize,
    resource_capacity: usize,
}

/// An outbound span that may have caused something.
#[derive(Clone, Debug)]
pub(super) struct Offer {
    /// Key of the invocation it belongs to.
    pub(super) cause: u64,
    /// The resource that it publishes to or writes.
    pub(super) destination: Option<NodeId>,
    /// When it ended.
    pub(super) end: EventTime,
    /// Functions that it may have caused already, each with how probable it is that it has not.
    left: SmallVec<[(u32, f32); 1]>,
}

/// An invocation that seeks its cause.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seeker {
    /// Key of the invocation.
    pub(super) child: u64,
    /// The resource that delivered what it handles.
    pub(super) destination: Option<NodeId>,
    /// When it began to handle it.
    pub(super) start: EventTime,
    /// What part of the invocation the cause accounts for.
    pub(super) credit: f32,
    /// Key of the span that a link to the same cause names; 0 without one.
    pub(super) link: u64,
    pub(super) is_matched: bool,
}

/// A search that is decided later.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deferred {
    /// Who seeks.
    pub(super) seeker: Seeker,
    /// What it knows.
    pub(super) key: Key,
}

/// A cause that was found.
#[derive(Clone, Debug)]
pub(super) struct Match {
    /// Who caused.
    pub(super) offer: Offer,
    /// How sure that is.
    pub(super) confidence: f32,
}

impl Offer {
    pub(super) fn new(cause: u64, destination: Option<NodeId>, end: EventTime) -> Self {
        Self { cause, destination, end, left: SmallVec::new() }
    }

    /// How probable it is that it has not caused an invocation of the function already.
    fn left(&self, function: u32) -> f32 {
        self.left.iter().find(|(known, _)| *known == function).map_or(1.0, |(_, left)| *left)
    }

    /// It has caused an invocation of the function with this probability.
    fn take(&mut self, function: u32, probability: f64) {
        let left = (1.0 - probability) as f32;
        match self.left.iter_mut().find(|(known, _)| *known == function) {
            Some((_, known)) => *known *= left,
            None => self.left.push((function, left)),
        }
    }

    fn is_for(&self, seeker: &Seeker) -> bool {
        self.cause != seeker.child && self.destination.zip(seeker.destination).is_none_or(|(one, other)| one == other)
    }

    /// True when it came before the seeker, as far as clocks agree.
    fn may_cause(&self, seeker: &Seeker) -> bool {
        self.is_for(seeker) && self.end.0 <= seeker.start.0.saturating_add(SKEW_NANOS)
    }
}

impl Deferred {
    /// True when it is whoever invokes the function by its name that is sought: the place is the function itself.
    fn is_of_call(&self) -> bool {
        self.seeker.destination.is_some_and(|node| node.0 == self.key.hash)
    }
}

impl Continuations {
    pub(super) fn new(config: &Config) -> Self {
        Self {
            offers: Generations::new(config.invocation_capacity, config.lateness),
            slow_offers: Generations::new(SLOW_CAPACITY, SLOW),
            seekers: Generations::new(config.invocation_capacity, config.lateness),
            resources: FxHashMap::default(),
            deferred: BTreeMap::new(),
            ready: VecDeque::new(),
            sequence: 0,
            settle: config.settle,
            deferred_capacity: config.invocation_capacity,
            resource_capacity: config.function_capacity,
        }
    }

    pub(super) fn rotate(&mut self, now: ArrivalTime, losses: &mut Losses) {
        for offers in [self.offers.rotate(now), self.slow_offers.rotate(now)].into_iter().flatten() {
            if offers.youngest_age.is_some() {
                losses.continuations_dropped += offers.records.len() as u64;
            }
        }
        if let Some(seekers) = self.seekers.rotate(now)
            && seekers.youngest_age.is_some()
        {
            losses.continuations_dropped += seekers.records.len() as u64;
        }
    }

    /// See [`crate::records::Records::approach`].
    pub(super) fn approach(&self, keys: impl Iterator<Item = u64> + Clone) {
        self.offers.approach(keys.clone());
        self.seekers.approach(keys);
    }

    /// Takes in an offer; those who sought it by a key that nobody else knows.
    pub(super) fn offer(
        &mut self,
        now: ArrivalTime,
        key: Key,
        offer: Offer,
        is_slow: bool,
        losses: &mut Losses,
    ) -> SmallVec<[Seeker; 1]> {
        if let Some(node) = offer.destination {
            let resource = self.resource(now, node, losses);
            let lag = now.0.saturating_sub(offer.end.0);
            resource.lag = lag.max(resource.lag - resource.lag / 64);
            resource.has_ids |= key.class.is_unique();
            if key.class == KeyClass::Time {
                let missed = resource.send(offer, losses);
                missed.into_iter().for_each(|search| self.wait(now.after(self.settle), search, losses));
                return SmallVec::new();
            }
        }
        if !key.class.is_unique() {
            self.reconsider(now, key, &offer, losses);
        }
        let offers = if is_slow { &mut self.slow_offers } else { &mut self.offers };
        match offers.get_mut(key.hash) {
            Some(known) if known.iter().any(|known| (known.cause, known.end) == (offer.cause, offer.end)) => {}
            Some(known) => {
                if known.len() >= PER_KEY {
                    known.remove(0);
                    losses.continuations_dropped += 1;
                }
                known.push(offer.clone());
            }
            None => offers.insert(key.hash, SmallVec::from_iter([offer.clone()])),
        }
        if !key.class.is_unique() {
            return SmallVec::new();
        }
        let Some(seekers) = self.seekers.get_mut(key.hash) else { return SmallVec::new() };
        let mut found = SmallVec::new();
        for seeker in seekers.iter_mut().filter(|seeker| !seeker.is_matched && offer.is_for(seeker)) {
            seeker.is_matched = true;
            found.push(*seeker);
        }
        found
    }

    /// Takes in a search by a key that nobody else knows; its cause, if that is here, and who sought the same before.
    pub(super) fn seek(
        &mut self,
        key: Key,
        mut seeker: Seeker,
        losses: &mut Losses,
    ) -> (Option<Match>, SmallVec<[Seeker; 1]>) {
        let offers = self.offers.get(key.hash).or_else(|| self.slow_offers.get(key.hash));
        let found = offers.and_then(|offers| {
            let mine = offers.iter().filter(|offer| offer.is_for(&seeker));
            // A send that was tried again may be known from two invocations: the last before the delivery was it.
            mine.max_by_key(|offer| (offer.end <= seeker.start, offer.end)).cloned()
        });
        seeker.is_matched = found.is_some();
        let before = match self.seekers.get_mut(key.hash) {
            Some(known) if known.iter().any(|known| known.child == seeker.child) => SmallVec::new(),
            Some(known) => {
                let before = known.clone();
                if known.len() >= PER_KEY {
                    known.remove(0);
                    losses.continuations_dropped += 1;
                }
                known.push(seeker);
                before
            }
            None => {
                self.seekers.insert(key.hash, SmallVec::from_slice(&[seeker]));
                SmallVec::new()
            }
        };
        (found.map(|offer| Match { offer, confidence: key.class.confidence() }), before)
    }

    /// A span whose answer may take days.
    pub(super) fn slow(&self, span: u64) -> Option<&Offer> {
        self.slow_offers.get(span)?.first()
    }

    /// Takes in a search that must be compared with others.
    pub(super) fn defer(&mut self, now: ArrivalTime, key: Key, seeker: Seeker, losses: &mut Losses) {
        let lag = seeker.destination.and_then(|node| self.resources.get(&node)).map_or(0, |resource| resource.lag);
        let due = ArrivalTime(seeker.start.0.saturating_add(lag)).min(now.after(PATIENCE)).max(now.after(self.settle));
        self.wait(due, Deferred { seeker, key }, losses);
    }

    fn wait(&mut self, due: ArrivalTime, search: Deferred, losses: &mut Losses) {
        self.sequence += 1;
        self.deferred.insert((due, self.sequence), search);
        if self.deferred.len() > self.deferred_capacity {
            self.deferred.pop_first();
            losses.continuations_dropped += 1;
        }
    }

    /// Those who sought a shared key in vain seek again, when an offer of it comes late.
    fn reconsider(&mut self, now: ArrivalTime, key: Key, offer: &Offer, losses: &mut Losses) {
        let Some(missed) = self.seekers.get_mut(key.hash) else { return };
        let mut again = SmallVec::<[Seeker; 1]>::new();
        missed.retain(|seeker| {
            let is_it = offer.may_cause(seeker);
            if is_it {
                again.push(*seeker);
            }
            !is_it
        });
        again.into_iter().for_each(|seeker| self.wait(now.after(self.settle), Deferred { seeker, key }, losses));
    }

    /// The next search whose time has come; those of one moment in the order in which they began.
    pub(super) fn next_due(&mut self, now: ArrivalTime) -> Option<Deferred> {
        if self.ready.is_empty() {
            while let Some(entry) = self.deferred.first_entry()
                && entry.key().0 <= now
            {
                self.ready.push_back(entry.remove());
            }
            let order = |one: &Deferred| (one.seeker.start, one.seeker.child, one.key.class);
            self.ready.make_contiguous().sort_unstable_by_key(order);
        }
        self.ready.pop_front()
    }

    /// The cause of an invocation of `function`, if it is clear enough.
    pub(super) fn decide(
        &mut self,
        search: &Deferred,
        function: u32,
        knows_id: bool,
        losses: &mut Losses,
    ) -> Option<Match> {
        let resource = search.seeker.destination.and_then(|node| self.resources.get(&node));
        if knows_id && resource.is_some_and(|resource| resource.has_ids) {
            return None;
        }
        match search.key.class {
            KeyClass::Time => self.resources.get_mut(&search.seeker.destination?)?.decide(search, function, losses),
            class => {
                let found = self.nearest(search, function, class);
                match &found {
                    Some(found) => self.retry(search.key, &found.offer),
                    None => self.miss(search, losses),
                }
                found
            }
        }
    }

    /// One offer of a shared key is gone, so that who sought the key next may tell the others apart now.
    fn retry(&mut self, key: Key, gone: &Offer) {
        let Some(missed) = self.seekers.get_mut(key.hash) else { return };
        let until = gone.end.0.saturating_add(RIVALS_NANOS);
        let later = (0..missed.len()).filter(|at| (gone.end.0..until).contains(&missed[*at].start.0));
        if let Some(next) = later.min_by_key(|at| missed[*at].start) {
            self.ready.push_back(Deferred { seeker: missed.remove(next), key });
        }
    }

    /// Nobody who is here has offered the key; somebody may do so late.
    fn miss(&mut self, search: &Deferred, losses: &mut Losses) {
        match self.seekers.get_mut(search.key.hash) {
            Some(known) => {
                if known.len() >= PER_KEY {
                    known.remove(0);
                    losses.continuations_dropped += 1;
                }
                known.push(search.seeker);
            }
            None => self.seekers.insert(search.key.hash, SmallVec::from_slice(&[search.seeker])),
        }
    }

    /// An invocation of `function` that began at `start` was caused over a resource by a send that is known.
    pub(super) fn observe(
        &mut self,
        node: NodeId,
        cause: &Offer,
        function: u32,
        start: EventTime,
        losses: &mut Losses,
    ) {
        if let Some(resource) = self.resources.get_mut(&node) {
            resource.observe(cause, function, start, losses);
        }
    }

    /// An invocation of `function`, whose node is `node`, was caused by another, which may have called it by its name.
    pub(super) fn observe_call(
        &mut self,
        node: NodeId,
        cause: u64,
        function: u32,
        start: EventTime,
        losses: &mut Losses,
    ) {
        if let Some(resource) = self.resources.get_mut(&node) {
            resource.observe_call(cause, function, start, losses);
        }
    }

    /// The offer of a shared key that was made last before the search began.
    fn nearest(&mut self, search: &Deferred, function: u32, class: KeyClass) -> Option<Match> {
        let Deferred { seeker, key } = search;
        let offers = match self.slow_offers.get_mut(key.hash) {
            Some(offers) => offers,
            None => self.offers.get_mut(key.hash)?,
        };
        let is_lone = offers.len() == 1;
        let is_open = |offer: &&mut Offer| offer.may_cause(seeker) && offer.left(function) > 0.0;
        let since = seeker.start.0.saturating_sub(RIVALS_NANOS);
        let mut rivals = SmallVec::<[u64; 4]>::new();
        let mut best: Option<&mut Offer> = None;
        for offer in offers.iter_mut().filter(is_open) {
            if offer.end.0 >= since && !rivals.contains(&offer.cause) {
                rivals.push(offer.cause);
            }
            let rank = |offer: &Offer| (offer.end <= seeker.start, offer.end);
            if best.as_ref().is_none_or(|best| rank(best) < rank(offer)) {
                best = Some(offer);
            }
        }
        let is_name = matches!(class, KeyClass::Object | KeyClass::Schedule);
        let share = if is_name { rivals.len().max(1) as f32 } else { 1.0 };
        // A name that was written once is as good as a version.
        let is_fresh = is_name && is_lone;
        let confidence = if is_fresh { KeyClass::Version.confidence() } else { class.confidence() / share };
        let best = best.filter(|_| confidence >= ACCEPT_SHARED)?;
        best.take(function, 1.0);
        Some(Match { offer: best.clone(), confidence })
    }

    fn resource(&mut self, now: ArrivalTime, node: NodeId, losses: &mut Losses) -> &mut Resource {
        if self.resources.len() >= self.resource_capacity && !self.resources.contains_key(&node) {
            let mut by_age: Vec<_> = self.resources.iter().map(|(node, resource)| (resource.last, *node)).collect();
            by_age.sort_unstable();
            for (_, node) in by_age.into_iter().take(self.resource_capacity / 10 + 1) {
                let gone = self.resources.remove(&node);
                losses.continuations_dropped += gone.map_or(0, |gone| gone.sends.len() as u64);
            }
        }
        let resource = self.resources.entry(node).or_default();
        resource.last = now;
        resource
    }
}

state!(Continuations {
    offers,
    slow_offers,
    seekers,
    resources,
    deferred,
    ready,
    sequence,
    settle,
    deferred_capacity,
    resource_capacity
});
state!(Offer { cause, destination, end, left });
state!(Seeker { child, destination, start, credit, link, is_matched });
state!(Deferred { seeker, key });
