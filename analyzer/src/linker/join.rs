//! Follows links across traces, and joins what left no link by what both sides know.

use smallvec::SmallVec;

use super::{
    Belonging, Cause, Linker, PendingLink, WAITING,
    continuation::{Match, Offer, Seeker},
};
use crate::{
    record::{AttemptDelta, AttemptKey, Call, EdgeKey, Key, KeyClass, MaybeNode},
    snapshot::{EdgeKind, NodeId},
    span::{ArrivalTime, EventTime},
    window::millis,
};

impl Linker {
    /// A link says that the span `cause` caused an invocation.
    pub(super) fn link(&mut self, now: ArrivalTime, link: PendingLink, cause: u64) {
        let known = self.spans.get(cause).copied().or_else(|| match self.invocations.get(cause) {
            Some(own) => Some(Belonging { invocation: cause, publishes: MaybeNode::default(), end: own.start }),
            None => self.continuations.slow(cause).map(|offer| Belonging {
                invocation: offer.cause,
                publishes: offer.destination.into(),
                end: offer.end,
            }),
        });
        match known {
            Some(belonging) => self.follow(now, link, belonging),
            None => {
                self.await_cause(now, link.child, link.credit);
                match self.waiting.get_mut(cause) {
                    Some(links) if links.len() < WAITING => links.push(link),
                    Some(_) => self.delta.losses.links_dropped += 1,
                    None => self.waiting.insert(cause, SmallVec::from_slice(&[link])),
                }
            }
        }
    }

    /// Follows the links that waited for a span.
    pub(super) fn follow_waiting(&mut self, now: ArrivalTime, span: u64, belonging: Belonging) {
        for link in self.waiting.remove(span).unwrap_or_default() {
            self.follow(now, link, belonging);
        }
    }

    /// Follows a link from the causing span to the invocation that it caused.
    fn follow(&mut self, now: ArrivalTime, link: PendingLink, cause: Belonging) {
        if link.child == cause.invocation {
            return;
        }
        let offer = Offer::new(cause.invocation, cause.publishes.get(), cause.end);
        let seeker = Seeker {
            child: link.child,
            destination: link.delivered_by,
            start: self.invocations.get(link.child).map_or(cause.end, |child| child.start),
            credit: link.credit,
            link: 0,
            is_matched: true,
        };
        self.count_message(&seeker, &offer, EdgeKind::Message, 1.0);
        self.observe(&seeker, &offer);
        if offer.destination.is_none()
            && let Some(child) = self.invocations.get(self.whole(link.child))
            && let Some(node) = self.functions.node(child.function)
        {
            self.continuations.observe_call(
                node,
                cause.invocation,
                child.function,
                child.start,
                &mut self.delta.losses,
            );
        }
        let certain = Cause::certain(cause.invocation);
        self.cause(now, link.child, Cause { credit: link.credit, sent: cause.end, ..certain });
        self.hand_over(now, cause.invocation, link.child, cause.end, link.credit);
    }

    /// An outbound span offers what it knows of what it caused.
    pub(super) fn offer(&mut self, now: ArrivalTime, key: Key, mut offer: Offer, is_slow: bool) {
        offer.destination = offer.destination.map(|node| self.functions.own(node));
        if is_slow {
            self.hold(offer.cause);
        }
        let seekers = self.continuations.offer(now, key, offer.clone(), is_slow, &mut self.delta.losses);
        for seeker in seekers {
            self.join(now, key.class, &seeker, &offer);
        }
    }

    /// It is certain which invocation an offer caused.
    pub(super) fn answer(&mut self, child: u64, offer: &Offer) {
        let child = self.whole(child);
        if let Some(child) = self.invocations.get(child)
            && let Some(node) = offer.destination
        {
            self.continuations.observe(node, offer, child.function, child.start, &mut self.delta.losses);
        }
    }

    /// An invocation of a function may have been caused by whoever invokes it by name.
    pub(super) fn seek_caller(&mut self, now: ArrivalTime, child: u64, function: u32, start: EventTime) {
        let Some(node) = self.functions.node(function) else { return };
        let key = Key { class: KeyClass::Time, hash: node.0 };
        let seeker = Seeker { child, destination: Some(node), start, credit: 1.0, link: 0, is_matched: false };
        self.continuations.defer(now, key, seeker, &mut self.delta.losses);
    }

    /// An invocation seeks its cause by what it knows of it.
    pub(super) fn seek(&mut self, now: ArrivalTime, key: Key, seeker: Seeker) {
        let child = self.whole(seeker.child);
        let Some(invocation) = self.invocations.get_mut(child) else { return };
        let (function, is_caused) = (invocation.function, invocation.parent != 0);
        if !key.class.is_unique() {
            if !is_caused {
                self.continuations.defer(now, key, seeker, &mut self.delta.losses);
            }
            return;
        }
        let names_run = matches!(key.class, KeyClass::Request | KeyClass::Message) && seeker.credit >= 1.0;
        invocation.knows_id = true;
        if names_run && invocation.run == 0 {
            invocation.run = key.hash;
        }
        let (found, before) = self.continuations.seek(key, seeker, &mut self.delta.losses);
        match found {
            Some(found) => self.join(now, key.class, &seeker, &found.offer),
            // Who runs a function gives it an id as well, and few of them are heard of.
            None if key.class != KeyClass::Request => self.await_cause(now, child, seeker.credit),
            None => {}
        }
        if names_run {
            self.share_cause(now, child, function, &before);
            self.count_delivery(child, function, seeker.destination, &before);
        }
    }

    /// Decides the searches whose time comes until then.
    pub(super) fn decide(&mut self, now: ArrivalTime, until: ArrivalTime) {
        while let Some(search) = self.continuations.next_due(until) {
            let child = self.whole(search.seeker.child);
            let Some(invocation) = self.invocations.get(child) else { continue };
            let (is_caused, function, knows_id) = (invocation.parent != 0, invocation.function, invocation.knows_id);
            if is_caused || self.has_awaited_cause(child) {
                continue;
            }
            let Some(found) = self.continuations.decide(&search, function, knows_id, &mut self.delta.losses) else {
                continue;
            };
            let Match { offer, confidence } = found;
            // Both sides have drawn the resource between them, and who invokes a function by name the call.
            let (invocation, credit) = (offer.cause, search.seeker.credit);
            let conversation = search.key.conversation();
            // Whoever invokes a function by its name waits for it.
            let is_call = offer.destination.is_some() && offer.destination == self.functions.node(function);
            let sent = if is_call { EventTime(0) } else { offer.end };
            if !is_call {
                self.hand_over(now, invocation, child, sent, credit);
            }
            self.cause(now, child, Cause { invocation, confidence, credit, is_guess: true, conversation, sent });
        }
    }

    /// The offer was what caused the seeker, unless the link between the two has said so already.
    fn join(&mut self, now: ArrivalTime, class: KeyClass, seeker: &Seeker, offer: &Offer) {
        if seeker.link != 0 {
            let Some(links) = self.waiting.get_mut(seeker.link) else { return };
            let before = links.len();
            links.retain(|link| link.child != seeker.child);
            if links.len() == before {
                return;
            }
        }
        let child = self.whole(seeker.child);
        if self.invocations.get(child).is_none_or(|child| child.parent == offer.cause) {
            return;
        }
        let (confidence, credit) = (class.confidence(), seeker.credit);
        // Who knows the id of a run has called it.
        let sent = if class == KeyClass::Request { EventTime(0) } else { offer.end };
        let cause = Cause { confidence, credit, sent, ..Cause::certain(offer.cause) };
        if self.awaiting.knows(child, offer.cause) {
            self.cause(now, child, cause);
            return;
        }
        let is_drawn = class == KeyClass::Request && offer.destination.is_some();
        let kind = if class == KeyClass::Request { EdgeKind::Call } else { EdgeKind::Message };
        if !is_drawn {
            self.count_message(seeker, offer, kind, class.confidence());
        }
        self.observe(seeker, offer);
        if class != KeyClass::Request {
            self.hand_over(now, offer.cause, child, sent, credit);
        }
        self.cause(now, child, cause);
    }

    /// Another attempt at what was tried before has the cause that the earlier one had, and none that is merely near.
    fn share_cause(&mut self, now: ArrivalTime, child: u64, function: u32, before: &[Seeker]) {
        let attempts = before.iter().map(|seeker| self.whole(seeker.child)).filter(|attempt| *attempt != child);
        let cause = attempts
            .filter_map(|attempt| self.invocations.get(attempt))
            .find_map(|attempt| (attempt.function == function && attempt.parent != 0).then(|| attempt.cause()));
        let is_caused = self.invocations.get(child).is_some_and(|child| child.parent != 0);
        if let Some(cause) = cause
            && !is_caused
        {
            self.cause(now, child, cause);
        }
    }

    /// Counts how often one message, or one request, is handled.
    fn count_delivery(&mut self, child: u64, function: u32, over: Option<NodeId>, before: &[Seeker]) {
        let attempts = before.iter().map(|seeker| self.whole(seeker.child)).filter(|attempt| *attempt != child);
        let attempts = attempts.filter_map(|attempt| self.invocations.get(attempt));
        let number = attempts.filter(|attempt| attempt.function == function).count() + 1;
        let (Some(node), Some(child)) = (self.functions.node(function), self.invocations.get(child)) else { return };
        let key = AttemptKey { function: node, operation: 0, over };
        let new = || AttemptDelta::new("".into(), child.start);
        let counted = self.delta.attempts.entry(key).or_insert_with(new);
        counted.counts.count(u32::try_from(number).unwrap_or(u32::MAX));
        counted.last_seen = counted.last_seen.max(child.start);
        if number > 1 {
            counted.exemplars.add(child.trace_id);
        }
    }

    fn observe(&mut self, seeker: &Seeker, offer: &Offer) {
        let child = self.whole(seeker.child);
        if let Some(node) = offer.destination
            && let Some(child) = self.invocations.get(child)
        {
            self.continuations.observe(node, offer, child.function, seeker.start, &mut self.delta.losses);
        }
    }

    fn count_message(&mut self, seeker: &Seeker, offer: &Offer, kind: EdgeKind, confidence: f32) {
        let (Some(sender), Some(receiver)) =
            (self.invocations.get(offer.cause), self.invocations.get(self.whole(seeker.child)))
        else {
            return;
        };
        let nodes = self.functions.node(sender.function).zip(self.functions.node(receiver.function));
        let Some((source, target)) = nodes else { return };
        let Some(key) = message_edge(source, target, offer.destination, seeker.destination, kind) else { return };
        let wait = millis(receiver.start.0.saturating_sub(offer.end.0));
        let sampling = match sender.trace_id == receiver.trace_id {
            true => receiver.sampling.least(sender.sampling),
            false => receiver.sampling.and(sender.sampling),
        };
        let trace_id = receiver.trace_id;
        let call =
            Call { duration_ms: wait, server_ms: None, error: false, throttled: false, trace_id, confidence, sampling };
        self.delta.call(key, &call);
    }
}

/// The edge that a message shows beside those that its two sides show by themselves.
fn message_edge(
    source: NodeId,
    target: NodeId,
    sent_to: Option<NodeId>,
    delivered_by: Option<NodeId>,
    kind: EdgeKind,
) -> Option<EdgeKey> {
    match (sent_to, delivered_by) {
        (Some(_), Some(_)) => None,
        (Some(node), None) => Some(EdgeKey { source: node, target, kind: EdgeKind::Deliver }),
        (None, Some(node)) => Some(EdgeKey { source, target: node, kind: EdgeKind::Publish }),
        (None, None) => Some(EdgeKey { source, target, kind }),
    }
}
