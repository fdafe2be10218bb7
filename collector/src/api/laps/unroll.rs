//! Follows a chain backwards from the end of an exemplar: from each invocation to the one that caused it, over parents
//! and links, from trace to trace, and over causes that no trace names, as far as the engine has told them.
//!
//! Traces come from the journal and from outside, so causes may be missing or run in a ring, and a chain may be longer
//! than anybody wants to read: what is read and followed is bounded, and why the way back ended is said.

use std::collections::{HashMap, HashSet};

use loopscope_analyzer::{
    record::SpanKey,
    snapshot::{JoinedCause, JoinedChain},
    span::{SpanId, TraceId},
};
use loopscope_proto::v1;
use opentelemetry_proto::tonic::{
    common::v1::{KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::Span,
};

use crate::api::{
    SourceError,
    traces::{Identity, TraceSpans, tree},
};

/// Most traces that are read for one answer; each lap may be a trace of its own.
const TRACES_READ: usize = 64;

/// Most invocations that are followed back.
const INVOCATIONS: usize = 20_000;

/// Most spans above a span that are looked through for the entry of its invocation.
const CLIMB: usize = 1_000;

/// Keys of a version, the one that says most first.
const VERSION_KEYS: [&str; 2] = ["faas.version", "service.version"];

/// Keys of the size of what an invocation got.
const PAYLOAD_KEYS: [&str; 4] = [
    "messaging.message.body.size",
    "http.request.body.size",
    "messaging.message.payload_size_bytes",
    "http.request_content_length",
];

/// An invocation on the chain.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Invocation {
    pub(super) trace_id: String,
    pub(super) entry: v1::TraceSpan,
    pub(super) version: String,
    pub(super) payload_bytes: Option<u64>,
    /// True when what caused it is named by no trace, and was joined by what both sides know.
    pub(super) is_joined: bool,
}

/// A chain from its first known invocation to its last.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) invocations: Vec<Invocation>,
    /// Why it could not be followed further back; empty when its beginning was reached.
    pub(super) ended_by: &'static str,
}

/// Reads traces and follows causes.
pub(super) struct Unroller<'a> {
    read: &'a dyn Fn(TraceId) -> Result<TraceSpans, SourceError>,
    identify: &'a dyn Fn(&Resource, &Span) -> Identity,
    traces: HashMap<String, Loaded>,
    /// The causes that no trace names, by what they caused.
    joined: HashMap<SpanKey, JoinedCause>,
    is_bound_hit: bool,
}

/// A trace in memory.
#[derive(Default)]
struct Loaded {
    spans: Vec<v1::TraceSpan>,
    by_id: HashMap<String, usize>,
    /// Version by span, where it is said.
    versions: HashMap<String, String>,
}

/// A span by trace and place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    trace_id: String,
    at: usize,
}

impl<'a> Unroller<'a> {
    pub(super) fn new(
        read: &'a dyn Fn(TraceId) -> Result<TraceSpans, SourceError>,
        identify: &'a dyn Fn(&Resource, &Span) -> Identity,
    ) -> Self {
        Self { read, identify, traces: HashMap::new(), joined: HashMap::new(), is_bound_hit: false }
    }

    /// The chain that ends with the deepest known invocation of the loop; `None` when none is in the journal.
    pub(super) fn unroll(
        &mut self,
        found: &v1::Loop,
        exemplars: &[TraceId],
        joined: Option<&JoinedChain>,
    ) -> Result<Option<Chain>, SourceError> {
        let causes = joined.into_iter().flat_map(|joined| &joined.causes);
        self.joined = causes.map(|cause| (cause.effect, *cause)).collect();
        let told = match joined {
            Some(joined) => self.place_of(joined.trace_id, joined.end)?,
            None => None,
        };
        let end = match told {
            Some(place) => Some(place),
            None => self.end(found, exemplars)?,
        };
        let Some(mut place) = end else { return Ok(None) };
        let mut seen = HashSet::from([place.clone()]);
        let mut invocations = vec![self.invocation(&place)];
        let ended_by = loop {
            if invocations.len() >= INVOCATIONS {
                break "bound";
            }
            let cause = self.cause(&place, found)?;
            match cause {
                Cause::Known { entry, span, is_joined } => {
                    if let Some(last) = invocations.last_mut() {
                        last.is_joined = is_joined;
                        last.payload_bytes = last.payload_bytes.or_else(|| self.span(&span).and_then(payload));
                    }
                    if !seen.insert(entry.clone()) {
                        break "ring";
                    }
                    invocations.push(self.invocation(&entry));
                    place = entry;
                }
                Cause::None => break "",
                Cause::Missing(_) if self.is_bound_hit => break "bound",
                Cause::Missing(what) => break what,
            }
        };
        invocations.reverse();
        Ok(Some(Chain { invocations, ended_by }))
    }

    /// The deepest entry of a function of the loop in the first exemplar that is still there.
    fn end(&mut self, found: &v1::Loop, exemplars: &[TraceId]) -> Result<Option<Place>, SourceError> {
        for trace_id in exemplars {
            let loaded = self.load(&trace_id.to_string())?;
            let entries = loaded.spans.iter().enumerate().filter(|(_, span)| span.entry);
            let ours = entries.filter(|(_, span)| found.function_ids.contains(&span.function_id));
            let deepest = ours.max_by_key(|(_, span)| (span.lap, start_nanos(span)));
            if let Some((at, _)) = deepest {
                return Ok(Some(Place { trace_id: trace_id.to_string(), at }));
            }
        }
        Ok(None)
    }

    /// What caused an invocation. Of several causes one of a function of the loop counts first, then the latest.
    fn cause(&mut self, place: &Place, found: &v1::Loop) -> Result<Cause, SourceError> {
        let Some(entry) = self.span(place) else { return Ok(Cause::Missing("parent_missing")) };
        let parent = Some(entry.parent_span_id.clone()).filter(|parent| !parent.is_empty());
        let links = self.links(place);
        let mut causes = Vec::new();
        if let Some(parent) = &parent {
            causes.extend(self.known_cause(&place.trace_id, parent)?);
        }
        for link in &links {
            causes.extend(self.known_cause(&link.trace_id, &link.span_id)?);
        }
        let mut causes: Vec<(Place, Place, bool)> =
            causes.into_iter().map(|(entry, span)| (entry, span, false)).collect();
        causes.extend(self.joined_cause(place)?.map(|entry| (entry.clone(), entry, true)));
        causes.retain(|(cause, ..)| cause != place);
        let best = causes.into_iter().max_by_key(|(cause, _, is_joined)| {
            let span = self.span(cause);
            let is_ours = span.is_some_and(|span| found.function_ids.contains(&span.function_id));
            (is_ours, span.map(start_nanos), !is_joined)
        });
        Ok(match best {
            Some((entry, span, is_joined)) => Cause::Known { entry, span, is_joined },
            None if self.joined_to(place).is_some() => Cause::Missing("cause_missing"),
            None if !links.is_empty() => Cause::Missing("link_missing"),
            None if parent.is_some() => Cause::Missing("parent_missing"),
            None => Cause::None,
        })
    }

    /// The entry of the invocation that a span belongs to, with the span.
    fn known_cause(&mut self, trace_id: &str, span_id: &str) -> Result<Option<(Place, Place)>, SourceError> {
        let loaded = self.load(trace_id)?;
        let Some(span_at) = loaded.by_id.get(span_id).copied() else { return Ok(None) };
        let place = |at| Place { trace_id: trace_id.to_owned(), at };
        let mut at = span_at;
        for _ in 0..CLIMB {
            if loaded.spans[at].entry {
                return Ok(Some((place(at), place(span_at))));
            }
            match loaded.by_id.get(&loaded.spans[at].parent_span_id) {
                Some(parent) => at = *parent,
                // The entry never came; its topmost span stands for it.
                None => return Ok(Some((place(at), place(span_at)))),
            }
        }
        Ok(None)
    }

    /// The entry of the invocation that caused another, where no trace says so.
    fn joined_cause(&mut self, place: &Place) -> Result<Option<Place>, SourceError> {
        match self.joined_to(place) {
            Some(joined) => self.place_of(joined.trace_id, joined.cause),
            None => Ok(None),
        }
    }

    fn joined_to(&self, place: &Place) -> Option<JoinedCause> {
        let span = self.span(place).filter(|_| !self.joined.is_empty())?;
        self.joined.get(&key_of(&place.trace_id, &span.span_id)?).copied()
    }

    /// The span of a trace that has this key.
    fn place_of(&mut self, trace_id: TraceId, key: SpanKey) -> Result<Option<Place>, SourceError> {
        let trace_id = trace_id.to_string();
        let spans = &self.load(&trace_id)?.spans;
        let at = spans.iter().position(|span| key_of(&trace_id, &span.span_id) == Some(key));
        Ok(at.map(|at| Place { trace_id, at }))
    }

    /// Links of the entry and of what belongs to its invocation.
    fn links(&self, place: &Place) -> Vec<v1::SpanRef> {
        let Some(loaded) = self.traces.get(&place.trace_id) else { return Vec::new() };
        let parts = parts(&loaded.spans, place.at);
        parts.flat_map(|span| span.links.iter().cloned()).collect()
    }

    fn span(&self, place: &Place) -> Option<&v1::TraceSpan> {
        self.traces.get(&place.trace_id)?.spans.get(place.at)
    }

    fn invocation(&self, place: &Place) -> Invocation {
        let loaded = self.traces.get(&place.trace_id);
        let entry = self.span(place).cloned().unwrap_or_default();
        let inbound = loaded.into_iter().flat_map(|loaded| parts(&loaded.spans, place.at));
        let inbound = inbound.filter(|span| matches!(span.kind.as_str(), "server" | "consumer" | "unspecified"));
        Invocation {
            trace_id: place.trace_id.clone(),
            version: loaded.and_then(|loaded| loaded.versions.get(&entry.span_id)).cloned().unwrap_or_default(),
            payload_bytes: inbound.filter_map(payload).max(),
            is_joined: false,
            entry,
        }
    }

    fn load(&mut self, trace_id: &str) -> Result<&Loaded, SourceError> {
        let is_known = self.traces.contains_key(trace_id);
        if !is_known && self.traces.len() >= TRACES_READ {
            self.is_bound_hit = true;
            return Ok(self.traces.entry(String::new()).or_default());
        }
        if !is_known {
            let loaded = match TraceId::from_hex(trace_id) {
                Some(id) => Loaded::new(id, &(self.read)(id)?, self.identify),
                None => Loaded::default(),
            };
            self.traces.insert(trace_id.to_owned(), loaded);
        }
        Ok(self.traces.entry(trace_id.to_owned()).or_default())
    }
}

/// What caused an invocation.
enum Cause {
    /// The entry of an invocation, and the span of it that did; the entry again where no trace names either.
    Known { entry: Place, span: Place, is_joined: bool },
    /// Nothing: it is where the chain began.
    None,
    /// Something that is not in the journal.
    Missing(&'static str),
}

impl Loaded {
    fn new(id: TraceId, trace: &TraceSpans, identify: &dyn Fn(&Resource, &Span) -> Identity) -> Self {
        let spans = tree::build(id, &trace.spans, identify).spans;
        let by_id = spans.iter().enumerate().map(|(at, span)| (span.span_id.clone(), at)).collect();
        let version = |(resource, span): &(std::sync::Arc<Resource>, Span)| {
            let said = version_in(&span.attributes).or_else(|| version_in(&resource.attributes))?;
            let id = loopscope_analyzer::span::SpanId::from_wire(&span.span_id)?;
            Some((id.to_string(), said))
        };
        Self { spans, by_id, versions: trace.spans.iter().filter_map(version).collect() }
    }
}

/// The spans of the invocation whose entry stands at `at`: those below it, up to what enters or leaves a function.
/// Children come after their parents.
fn parts(spans: &[v1::TraceSpan], at: usize) -> impl Iterator<Item = &v1::TraceSpan> {
    let top = spans.get(at);
    let mut inside: HashSet<&str> = top.map(|span| span.span_id.as_str()).into_iter().collect();
    let level = top.map_or(0, |span| span.level);
    let below = spans.get(at + 1..).unwrap_or_default().iter().take_while(move |span| span.level > level);
    let below = below.filter(move |span| {
        let is_part = inside.contains(span.parent_span_id.as_str())
            && !span.entry
            && !matches!(span.kind.as_str(), "client" | "producer");
        if is_part {
            inside.insert(span.span_id.as_str());
        }
        is_part
    });
    top.into_iter().chain(below)
}

/// How the engine names a span.
fn key_of(trace_id: &str, span_id: &str) -> Option<SpanKey> {
    Some(SpanKey::new(TraceId::from_hex(trace_id)?, SpanId::from_hex(span_id)?))
}

fn payload(span: &v1::TraceSpan) -> Option<u64> {
    let said = |key: &&str| span.attributes.iter().find(|attribute| attribute.key == **key);
    PAYLOAD_KEYS.iter().find_map(said)?.value.parse().ok()
}

fn version_in(attributes: &[KeyValue]) -> Option<String> {
    VERSION_KEYS.iter().find_map(|key| {
        let value = attributes.iter().find(|attribute| attribute.key == *key)?.value.as_ref()?;
        match value.value.as_ref()? {
            Value::StringValue(text) if !text.is_empty() => Some(text.clone()),
            _ => None,
        }
    })
}

/// Nanoseconds since 1970, to compare.
pub(super) fn start_nanos(span: &v1::TraceSpan) -> i128 {
    span.start.as_ref().map_or(0, |start| i128::from(start.seconds) * 1_000_000_000 + i128::from(start.nanos))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, sync::Arc};

    use loopscope_analyzer::snapshot::NodeId;
    use opentelemetry_proto::tonic::{common::v1::AnyValue, trace::v1::span::Link};

    use super::*;

    /// Spans by the number of their trace.
    #[derive(Default)]
    struct Journal(BTreeMap<u8, Vec<(Arc<Resource>, Span)>>);

    impl Journal {
        fn add(&mut self, trace: u8, id: u8, parent: u8, kind: i32, links: &[(u8, u8)]) -> &mut Span {
            let parent_span_id = if parent == 0 { Vec::new() } else { vec![parent; 8] };
            let links = links.iter().map(|(trace, span)| Link {
                trace_id: vec![*trace; 16],
                span_id: vec![*span; 8],
                ..Default::default()
            });
            let span = Span {
                trace_id: vec![trace; 16],
                span_id: vec![id; 8],
                parent_span_id,
                kind,
                start_time_unix_nano: u64::from(trace) * 1_000_000_000,
                links: links.collect(),
                ..Default::default()
            };
            let spans = self.0.entry(trace).or_default();
            spans.push((Arc::default(), span));
            &mut spans.last_mut().unwrap().1
        }

        /// What a queue triggers: the links stand on a consumer below the server span. It sends on by span 3.
        fn handle(&mut self, trace: u8, causes: &[(u8, u8)]) {
            self.add(trace, 1, 0, 2, &[]);
            self.add(trace, 2, 1, 5, causes);
            self.add(trace, 3, 1, 4, &[]);
        }

        fn unroll(&self, from: u8) -> (Vec<u8>, &'static str) {
            let (traces, ended_by, _) = self.unroll_joined(from, None);
            (traces, ended_by)
        }

        /// The traces of the chain, why it ended, and which of its causes no trace names.
        fn unroll_joined(&self, from: u8, joined: Option<&JoinedChain>) -> (Vec<u8>, &'static str, Vec<bool>) {
            let read = |id: TraceId| {
                Ok(TraceSpans { spans: self.0.get(&id.0[0]).cloned().unwrap_or_default(), truncated: false })
            };
            let identify = |_: &Resource, _: &Span| Identity::of(NodeId(15), "f".into());
            let found = v1::Loop { function_ids: vec![NodeId(15).to_string()], ..Default::default() };
            let chain =
                Unroller::new(&read, &identify).unroll(&found, &[TraceId([from; 16])], joined).unwrap().unwrap();
            let traces = chain.invocations.iter().map(|run| TraceId::from_hex(&run.trace_id).unwrap().0[0]);
            let is_joined = chain.invocations.iter().map(|run| run.is_joined).collect();
            (traces.collect(), chain.ended_by, is_joined)
        }
    }

    #[test]
    fn links_are_followed_from_trace_to_trace() {
        let mut journal = Journal::default();
        journal.handle(1, &[]);
        for trace in 2..=5 {
            journal.handle(trace, &[(trace - 1, 3)]);
        }
        assert_eq!(journal.unroll(5), (vec![1, 2, 3, 4, 5], ""));
    }

    #[test]
    fn causes_that_no_trace_names_are_followed_where_the_engine_tells_them() {
        let mut journal = Journal::default();
        journal.handle(1, &[]);
        journal.handle(2, &[(1, 3)]);
        journal.handle(3, &[]);
        journal.handle(4, &[]);
        let entry = |trace: u8| SpanKey::new(TraceId([trace; 16]), SpanId([1; 8]));
        let cause =
            |effect, cause| JoinedCause { effect: entry(effect), cause: entry(cause), trace_id: TraceId([cause; 16]) };
        let joined = |causes| JoinedChain { trace_id: TraceId([4; 16]), end: entry(4), causes };
        let told = joined(vec![cause(4, 3), cause(3, 2)]);
        // It begins where the engine says, whichever trace is shown.
        let expected = (vec![1, 2, 3, 4], "", vec![false, false, true, true]);
        assert_eq!(journal.unroll_joined(3, Some(&told)), expected);
        let gone = joined(vec![cause(4, 9)]);
        assert_eq!(journal.unroll_joined(4, Some(&gone)), (vec![4], "cause_missing", vec![false]));
    }

    #[test]
    fn parents_are_followed_within_a_trace_over_the_spans_between() {
        let mut journal = Journal::default();
        journal.add(1, 1, 0, 2, &[]);
        journal.add(1, 2, 1, 1, &[]);
        journal.add(1, 3, 2, 3, &[]);
        journal.add(1, 4, 3, 2, &[]);
        journal.add(1, 5, 4, 3, &[]);
        journal.add(1, 6, 5, 2, &[]);
        assert_eq!(journal.unroll(1), (vec![1, 1, 1], ""));
    }

    #[test]
    fn why_the_way_back_ended_is_said() {
        let mut journal = Journal::default();
        journal.handle(3, &[(2, 3)]);
        assert_eq!(journal.unroll(3), (vec![3], "link_missing"));
        journal.add(4, 1, 9, 2, &[]);
        assert_eq!(journal.unroll(4), (vec![4], "parent_missing"));
        journal.handle(6, &[(7, 3)]);
        journal.handle(7, &[(6, 3)]);
        assert_eq!(journal.unroll(7), (vec![6, 7], "ring"));
        for trace in 101..=200 {
            journal.handle(trace, &[(trace - 1, 3)]);
        }
        let (followed, ended_by) = journal.unroll(200);
        assert_eq!((followed.len(), ended_by), (TRACES_READ, "bound"));
    }

    #[test]
    fn of_a_batch_the_latest_is_followed() {
        let mut journal = Journal::default();
        journal.handle(1, &[]);
        journal.handle(2, &[(1, 3)]);
        journal.handle(4, &[(1, 3), (2, 3)]);
        assert_eq!(journal.unroll(4), (vec![1, 2, 4], ""));
    }

    #[test]
    fn a_version_and_a_size_are_read_from_where_they_stand() {
        let mut journal = Journal::default();
        let text = |text: &str| Some(AnyValue { value: Some(Value::StringValue(text.into())) });
        let attribute = |key: &str, value: &str| KeyValue { key: key.into(), value: text(value), ..Default::default() };
        journal.handle(1, &[]);
        journal.handle(2, &[(1, 3)]);
        journal.0.get_mut(&1).unwrap()[2].1.attributes.push(attribute("messaging.message.body.size", "77"));
        let resource = Resource { attributes: vec![attribute("faas.version", "8")], ..Default::default() };
        journal.0.get_mut(&2).unwrap()[0].0 = Arc::new(resource);
        let read = |id: TraceId| Ok(TraceSpans { spans: journal.0[&id.0[0]].clone(), truncated: false });
        let identify = |_: &Resource, _: &Span| Identity::of(NodeId(15), "f".into());
        let found = v1::Loop { function_ids: vec![NodeId(15).to_string()], ..Default::default() };
        let chain = Unroller::new(&read, &identify).unroll(&found, &[TraceId([2; 16])], None).unwrap().unwrap();
        let last = chain.invocations.last().unwrap();
        assert_eq!((last.version.as_str(), last.payload_bytes), ("8", Some(77)), "the sender knows the size");
    }
}
