//! The linker: joins the invocations of all shards into causal chains and finds the laps on them.
//!
//! One linker sees every invocation once, as a compact record, in any order. It keeps the causal forest as fragments
//! (`linker/fragment.rs`), so that the depth of a chain is exact whichever span came first and whichever shard or
//! trace it came from; of several causes the deepest known counts. A lap is found at every invocation that has an
//! earlier one of the same function on its path; which loop it belongs to is read from the path between the two.
//!
//! - `linker/cause.rs` hangs an invocation below what caused it, and finds the laps.
//! - `linker/awaiting.rs` keeps the causes of a batch of messages until they can be compared.
//! - `linker/join.rs` follows links, and joins what left no link by what `linker/continuation.rs` knows of it.
//! - `linker/findings.rs` is what goes on and on although no chain shows it.
//! - `linker/passage.rs` measures how long messages take over one hop and over several.
//! - `linker/joined.rs` tells which causes of a deepest chain no trace names.
//! - `linker/loops.rs` is what loops look like to the outside.

mod awaiting;
mod cause;
mod chains;
mod continuation;
mod findings;
mod fragment;
mod functions;
mod join;
mod joined;
mod loops;
mod passage;
mod path;
mod posterior;
mod renewal;

use std::collections::VecDeque;

use smallvec::SmallVec;

use crate::{
    config::Config,
    generations::Generations,
    intended::Verdict,
    record::{CALL, Delta, Entry, KeyClass, MaybeNode, Record, SpanKey, Trigger},
    records::Records,
    sampling::Sampling,
    snapshot::{LoopId, NodeId},
    span::{ArrivalTime, EventTime, TraceId},
    state::{self, state},
};
use awaiting::Awaiting;
use cause::{Way, sent_at};
use continuation::{Continuations, Offer, SLOW, Seeker};
use findings::Findings;
use fragment::{FirstOccurrence, FragmentId, Fragments};
use functions::Functions;
pub use loops::LoopReport;
use loops::Loops;
use passage::Passages;
use path::PathTable;

/// Links that wait for one span; further ones are let go.
const WAITING: usize = 4_096;

/// Invocations above one whose answer may take days that are kept with it.
const HELD: usize = path::SLOTS;

/// The linker of the engine.
pub struct Linker {
    config: Config,
    invocations: Records<Invocation>,
    /// Keys in order of arrival; the oldest goes first.
    arrivals: VecDeque<(ArrivalTime, u64)>,
    /// Spans that are not entries, with their invocations; links may name them.
    spans: Generations<Belonging>,
    /// Links whose cause is not here yet.
    waiting: Generations<SmallVec<[PendingLink; 1]>>,
    continuations: Continuations,
    awaiting: Awaiting,
    /// Old invocations whose answer may take days, in order of arrival.
    held: VecDeque<(ArrivalTime, u64)>,
    fragments: Fragments,
    functions: Functions,
    loops: Loops,
    findings: Findings,
    passages: Passages,
    /// What was said since the last output.
    verdicts: Vec<(LoopId, Verdict)>,
    delta: Delta,
}

/// What the linker has to say since it was asked last.
pub struct LinkerOutput {
    /// For the aggregate: edges between functions of different traces.
    pub delta: Delta,
    /// The loops that changed.
    pub loops: Vec<LoopReport>,
    /// Loops that were let go because there were too many.
    pub removed: Vec<LoopId>,
    /// Ids of functions that turned out to be others, each with the id that stays.
    pub aliases: Vec<(NodeId, NodeId)>,
    /// What somebody has said of loops.
    pub verdicts: Vec<(LoopId, Verdict)>,
}

/// Where an invocation stands in the forest.
struct Place {
    fragment: FragmentId,
    path: PathTable,
    function: u32,
    is_retry: bool,
}

struct Invocation {
    fragment: FragmentId,
    /// Path from the root of `fragment` to this invocation.
    path: PathTable,
    function: u32,
    /// Key of the invocation that caused it; 0 while that is not known.
    parent: u64,
    /// How sure it is that `parent` caused it.
    confidence: f32,
    /// What part of it `parent` accounts for.
    credit: f32,
    /// True when this is a part of `parent` rather than caused by it.
    is_part: bool,
    /// True when an earlier attempt at the same run stands above it, so that it does not count on its path.
    is_retry: bool,
    /// True when its answer may take days.
    is_held: bool,
    /// True when it handled an entity that its function had not handled lately.
    makes_progress: bool,
    /// True when it ended with an error.
    failed: bool,
    /// What started it.
    trigger: Trigger,
    /// How probable it was that it was kept.
    sampling: Sampling,
    /// True when it knows an id of its cause that nobody else has.
    knows_id: bool,
    /// True when its cause is the likeliest of several, and not known by an id.
    is_guess: bool,
    /// Hash of the conversation that told its cause; 0 when something else did.
    conversation: u32,
    /// Hash of the id of the run or of the message it handles; 0 while that is not known.
    run: u64,
    start: EventTime,
    /// How long it lasted, milliseconds.
    lasted_ms: f32,
    /// How long the message waited by which `parent` caused it, milliseconds; [`CALL`] for a call.
    waited_ms: f32,
    trace_id: TraceId,
}

/// An invocation as the cause of another.
#[derive(Clone, Copy)]
struct Cause {
    invocation: u64,
    /// How sure that is.
    confidence: f32,
    /// What part of the other it accounts for.
    credit: f32,
    /// True when it is the likeliest of several, and not known by an id.
    is_guess: bool,
    /// Hash of the conversation that tells it; 0 when something else does.
    conversation: u32,
    /// When it had sent the message that caused the other; 0 for a call, which waits.
    sent: EventTime,
}

#[derive(Clone, Copy)]
struct Belonging {
    invocation: u64,
    publishes: MaybeNode,
    end: EventTime,
}

#[derive(Clone, Copy)]
struct PendingLink {
    child: u64,
    delivered_by: Option<NodeId>,
    credit: f32,
}

impl Cause {
    /// What a parent in the same trace says.
    fn certain(invocation: u64) -> Self {
        Self { invocation, confidence: 1.0, credit: 1.0, is_guess: false, conversation: 0, sent: EventTime(0) }
    }
}

impl Linker {
    /// Builds the linker.
    pub fn new(config: &Config) -> Self {
        Self {
            invocations: Records::default(),
            arrivals: VecDeque::new(),
            spans: Generations::new(config.span_capacity, config.lateness),
            waiting: Generations::new(config.span_capacity, config.lateness),
            continuations: Continuations::new(config),
            awaiting: Awaiting::default(),
            held: VecDeque::new(),
            fragments: Fragments::default(),
            functions: Functions::default(),
            loops: Loops::new(config),
            findings: Findings::new(config),
            passages: Passages::default(),
            verdicts: Vec::new(),
            delta: Delta::default(),
            config: config.clone(),
        }
    }

    /// All that it knows, as bytes. What [`Self::drain`] would hand over is not among it: drain before.
    pub fn save(&self) -> Vec<u8> {
        state::bytes_of(self)
    }

    /// Goes on where a linker with the same bounds was saved; `None` when the bytes are not one.
    pub fn load(config: &Config, bytes: &[u8]) -> Option<Self> {
        state::value_of::<Self>(bytes).filter(|linker| linker.config == *config)
    }

    /// Takes in the records of one shard, in the order in which the shard gave them.
    pub fn ingest(&mut self, now: ArrivalTime, records: Vec<Record>) {
        self.rotate(now);
        self.approach(&records);
        for record in records {
            match record {
                Record::Entry(entry) => {
                    self.enter(now, &entry);
                    let (key, start, waited_ms) = (entry.key.0, entry.start, entry.waited_ms);
                    if let Some(parent) = entry.parent.filter(|_| waited_ms >= 0.0) {
                        self.hand_over(now, parent.0, key, sent_at(start, waited_ms), 1.0);
                    }
                    let publishes = MaybeNode::default();
                    self.follow_waiting(now, key, Belonging { invocation: key, publishes, end: start });
                }
                Record::Names { function, also } => {
                    let refused = self.functions.introduce(function, &also, self.config.function_capacity);
                    self.delta.losses.functions_overflowed += refused;
                }
                Record::Cause { child, parent, waited_ms } => {
                    let start = self.invocations.get(child.0).map(|child| child.start).unwrap_or_default();
                    let sent = sent_at(start, waited_ms);
                    self.cause(now, child.0, Cause { sent, ..Cause::certain(parent.0) });
                    if sent.0 != 0 {
                        self.hand_over(now, parent.0, child.0, sent, 1.0);
                    }
                }
                Record::Same { part, whole } => self.same(now, part.0, whole.0),
                Record::Belongs { span, invocation, publishes, end } => {
                    let belonging = Belonging { invocation: invocation.0, publishes: publishes.into(), end };
                    self.spans.insert(span.0, belonging);
                    self.follow_waiting(now, span.0, belonging);
                }
                Record::Link { child, cause, delivered_by, credit } => {
                    self.link(now, PendingLink { child: child.0, delivered_by, credit }, cause.0);
                }
                Record::Answer { child, cause, over, end } => {
                    self.answer(child.0, &Offer::new(cause.0, Some(self.functions.own(over)), end));
                }
                Record::Offer { key, cause, destination, end, is_slow } => {
                    if is_entity(key.class) {
                        self.handle(now, cause.0, key.hash);
                    }
                    self.offer(now, key, Offer::new(cause.0, destination, end), is_slow);
                }
                Record::Seek { key, child, destination, start, credit, link } => {
                    if is_entity(key.class) {
                        self.handle(now, child.0, key.hash);
                    }
                    let seeker = Seeker { child: child.0, destination, start, credit, link, is_matched: false };
                    self.seek(now, key, seeker);
                }
                Record::Handled { invocation, entity } => self.handle(now, invocation.0, entity),
                Record::Export { function, trace_id, start } => self.export(now, function, trace_id, start),
                Record::Operation(lap) => self.loops.operation_lap(now, &lap),
            }
        }
        self.hang_ready(now);
    }

    /// Lets the memory come near that the records need.
    fn approach(&self, records: &[Record]) {
        let entries = records.iter().filter_map(|record| match record {
            Record::Entry(entry) => Some(entry.key.0),
            _ => None,
        });
        let spans = records.iter().filter_map(|record| match record {
            Record::Belongs { span, .. } => Some(span.0),
            _ => None,
        });
        let keys = records.iter().filter_map(|record| match record {
            Record::Offer { key, .. } | Record::Seek { key, .. } if key.class != KeyClass::Time => Some(key.hash),
            _ => None,
        });
        self.invocations.approach(entries);
        self.spans.approach(spans);
        self.continuations.approach(keys);
    }

    /// Does what is due at `now`: lets old invocations go, and closes loops that are over.
    pub fn tick(&mut self, now: ArrivalTime) {
        self.rotate(now);
        self.hang_due(now, now);
        self.decide(now, now);
        self.judge_entities(now, now);
        self.loops.tick(now);
        self.findings.tick(now);
        self.look_at_passages(now);
    }

    /// Takes in what somebody says of a loop, in place of what was said of it before.
    pub fn teach(&mut self, loop_id: LoopId, verdict: Verdict) {
        self.loops.teach(loop_id, verdict);
        self.verdicts.push((loop_id, verdict));
        self.findings.touch(loop_id);
    }

    /// Does what is due when no span comes any more: decides whatever waited for others.
    pub fn finish(&mut self, now: ArrivalTime) {
        self.hang_due(now, ArrivalTime(u64::MAX));
        self.decide(now, ArrivalTime(u64::MAX));
        self.judge_entities(now, ArrivalTime(u64::MAX));
        self.look_at_passages(ArrivalTime(u64::MAX));
    }

    /// Hands over what has changed since the last call.
    pub fn drain(&mut self, now: ArrivalTime) -> LinkerOutput {
        let mut removed = self.loops.take_removed();
        removed.extend(self.findings.take_removed());
        self.delta.losses.loops_overflowed += removed.len() as u64;
        let aliases = self.functions.take_learned();
        self.note_joined();
        let mut loops = self.loops.drain(now);
        loops.extend(self.findings.drain(now).into_iter().map(|report| self.loops.overrule(report)));
        let verdicts = std::mem::take(&mut self.verdicts);
        LinkerOutput { aliases, delta: self.delta.take(), loops, removed, verdicts }
    }

    /// The invocation that caused the one with this entry span, and how sure that is from 0 to 1, while both are kept;
    /// for tools that compare chains with what they know to be true.
    pub fn cause_of(&self, entry: SpanKey) -> Option<(SpanKey, f32)> {
        let invocation = self.invocations.get(self.whole(entry.0))?;
        (invocation.parent != 0).then(|| (SpanKey(self.whole(invocation.parent)), invocation.confidence))
    }

    fn rotate(&mut self, now: ArrivalTime) {
        if let Some(dropped) = self.spans.rotate(now) {
            self.delta.losses.count_dropped(&dropped);
        }
        if let Some(dropped) = self.waiting.rotate(now) {
            self.delta.losses.count_dropped(&dropped);
        }
        self.continuations.rotate(now, &mut self.delta.losses);
        while let Some((arrived, key)) = self.arrivals.front().copied() {
            let age = now.since(arrived);
            let is_full = self.invocations.len() - self.held.len() > self.config.invocation_capacity;
            if age < self.config.lateness && !is_full {
                break;
            }
            if is_full && age < self.config.lateness {
                self.delta.losses.count_evicted(1, age);
            }
            self.arrivals.pop_front();
            if self.invocations.get(key).is_some_and(|invocation| invocation.is_held) {
                self.held.push_back((arrived, key));
            } else {
                self.forget(key);
            }
        }
        while let Some((arrived, key)) = self.held.front().copied() {
            let is_full = self.held.len() > self.config.invocation_capacity;
            if now.since(arrived) < SLOW && !is_full {
                break;
            }
            self.delta.losses.continuations_dropped += u64::from(is_full);
            self.held.pop_front();
            self.forget(key);
        }
    }

    fn forget(&mut self, key: u64) {
        if let Some(invocation) = self.invocations.remove(key) {
            self.fragments.release(invocation.fragment);
        }
    }

    fn enter(&mut self, now: ArrivalTime, entry: &Entry) {
        let (key, parent) = (entry.key.0, entry.parent.map(|parent| parent.0));
        let (function, evicted) = self.functions.index(now, entry.function, self.config.function_capacity);
        self.delta.losses.functions_overflowed += evicted;
        let above = parent.and_then(|parent| self.invocations.get(parent));
        let (top, above) = match above.map(|above| (above.fragment, above.path.clone())) {
            None => (self.fragments.add(), PathTable::default()),
            Some((fragment, path)) => {
                let (top, offset) = self.fragments.find(fragment);
                self.fragments.refer(top);
                (top, offset.then(&path))
            }
        };
        let is_retry = self.is_retry(&above, function, entry.run, parent.unwrap_or(0));
        let path = if is_retry { above.clone() } else { above.then(&PathTable::of(function)) };
        self.delta.losses.paths_trimmed += u64::from(path.is_trimmed() && !above.is_trimmed());
        if entry.is_open {
            self.seek_caller(now, key, function, entry.start);
        }
        self.keep(now, entry, Place { fragment: top, path, function, is_retry });
        if !is_retry {
            self.occur(now, top, &above, FirstOccurrence { function, route: 0, invocation: key, times: 1 });
        }
    }

    fn keep(&mut self, now: ArrivalTime, entry: &Entry, place: Place) {
        let Entry { key, parent, start, lasted_ms, waited_ms, trace_id, run, trigger, failed, sampling, .. } = *entry;
        let Place { fragment, path, function, is_retry } = place;
        let parent = parent.map(|parent| parent.0).filter(|parent| self.invocations.contains(*parent)).unwrap_or(0);
        let invocation = Invocation {
            fragment,
            path,
            function,
            parent,
            confidence: 1.0,
            credit: 1.0,
            is_part: false,
            is_retry,
            is_held: false,
            makes_progress: false,
            failed,
            trigger,
            sampling,
            knows_id: run != 0,
            is_guess: false,
            conversation: 0,
            run,
            start,
            lasted_ms,
            waited_ms: if parent == 0 { CALL } else { waited_ms },
            trace_id,
        };
        if let Some(before) = self.invocations.insert(key.0, invocation) {
            self.fragments.release(before.fragment);
        }
        self.arrivals.push_back((now, key.0));
    }

    /// An invocation stands below `path`: it is the first of its function there, or it ends a lap.
    fn occur(&mut self, now: ArrivalTime, top: FragmentId, path: &PathTable, occurrence: FirstOccurrence) {
        let Some(invocation) = self.invocations.get(occurrence.invocation) else { return };
        let (parent, cause) = (invocation.parent, invocation.cause());
        match path.count(occurrence.function) {
            0 => {
                let route = self
                    .look_back(parent, None, Way::START)
                    .functions
                    .iter()
                    .fold(0, |hash, function| xxhash_rust::xxh3::xxh3_64_with_seed(&function.to_le_bytes(), hash));
                let is_kept = self.fragments.remember_open(top, FirstOccurrence { route, ..occurrence });
                self.delta.losses.openings_dropped += u64::from(!is_kept);
            }
            count => {
                self.lap(now, top, &occurrence, cause, count + 1);
            }
        }
    }
}

/// True for keys that say what is handled, rather than which change of it.
fn is_entity(class: KeyClass) -> bool {
    matches!(class, KeyClass::Object | KeyClass::Conversation)
}

state!(Linker { config, invocations, arrivals, spans, waiting, continuations, awaiting, held, fragments, functions, loops, findings } else { delta, passages, verdicts });
state!(Invocation {
    fragment,
    path,
    function,
    parent,
    confidence,
    credit,
    is_part,
    is_retry,
    is_held,
    makes_progress,
    failed,
    trigger,
    sampling,
    knows_id,
    is_guess,
    conversation,
    run,
    start,
    lasted_ms,
    waited_ms,
    trace_id
});
state!(Cause { invocation, confidence, credit, is_guess, conversation, sent });
state!(Belonging { invocation, publishes, end });
state!(PendingLink { child, delivered_by, credit });

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fixture::{SECOND, START, Story},
        shard::Shard,
    };

    #[test]
    fn what_is_old_is_let_go_wholly() {
        let config = Config::recommended();
        let (mut shard, mut linker) = (Shard::new(&config, 1), Linker::new(&config));
        for order in [false, true] {
            let mut spans = Story::parse("a ~> b ~> a -> c -> a\nd").spans;
            if order {
                spans.reverse();
            }
            shard.ingest(START, spans);
            linker.ingest(START, shard.take_records());
            shard = Shard::new(&config, 1);
        }
        assert!(linker.fragments.len() > 0);
        linker.tick(ArrivalTime(START.0 + 601 * SECOND));
        assert_eq!((linker.fragments.len(), linker.invocations.len(), linker.arrivals.len()), (0, 0, 0));
    }
}
