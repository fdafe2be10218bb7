//! Facts about functions that their spans do not carry: what somebody configured, and what logs, metrics or a platform
//! say of single runs. One place for all of them, whoever brings them.
//!
//! Configured facts are [`FunctionRule`]s, by patterns on names; facts of runs are [`FactRecord`]s, handed to
//! [`crate::engine::Engine::learn`] or [`crate::shard::Shard::learn`]. Spans add the few that exporters do write on
//! them: the memory of an instance, and the time that it took to start one. What adds up of facts of runs is
//! `record/observed.rs`; what is made of them is the detectors' business (`detect.rs`). Prices are `price.rs`.

use std::{cmp::Reverse, sync::Arc};

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use crate::{
    identity::Function,
    record::KeyClass,
    span::{EventTime, SpanId, TraceId},
    state::state,
};

/// Memory of a function of which nothing is known, in MiB.
pub const ASSUMED_MEMORY_MB: u32 = 512;

/// Instances of a function that may run at the same time when nothing is known: the default limit of an AWS account.
pub const ASSUMED_CONCURRENCY: u32 = 1_000;

/// Amounts of memory below this are MiB, as the semantic conventions had it up to version 1.18; others are bytes. No
/// platform has functions of 1 TiB, nor any of 1 MiB.
const LEAST_BYTES: i64 = 1 << 20;

/// Processor of a function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Architecture {
    /// 64-bit x86.
    #[default]
    X86,
    /// 64-bit ARM.
    Arm,
}

/// Where a fact comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FactSource {
    /// Somebody configured it.
    Configured,
    /// Telemetry of the function says so.
    Observed,
    /// Nobody said, so a documented default stands in; for a fact without default, it is not known.
    #[default]
    Assumed,
}

/// Where the facts about one function come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FactSources {
    /// Of its memory.
    pub memory: FactSource,
    /// Of its processor.
    pub architecture: FactSource,
    /// Of its time-out.
    pub time_out: FactSource,
    /// Of the instances that may run.
    pub concurrency: FactSource,
}

/// What is known of a function beyond its spans.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionFacts {
    /// Configured memory, MiB.
    pub memory_mb: u32,
    /// Its processor.
    pub architecture: Architecture,
    /// Longest time a run may take, milliseconds; `None` when it is not known.
    pub time_out_ms: Option<u64>,
    /// Instances that may run at the same time.
    pub concurrency: u32,
    /// Who is asked about it, or an empty text.
    pub owner: Arc<str>,
    /// The applications it belongs to.
    pub apps: Vec<Arc<str>>,
    /// True when its memory is [`ASSUMED_MEMORY_MB`] because nobody said.
    pub is_assumed: bool,
    /// Who said each of them.
    pub sources: FactSources,
}

/// What somebody said of all functions whose names have a pattern.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FunctionRule {
    /// A name; each `*` stands for any text.
    pub pattern: Arc<str>,
    /// Configured memory, MiB.
    pub memory_mb: Option<u32>,
    /// The processor.
    pub architecture: Option<Architecture>,
    /// Longest time a run may take, milliseconds.
    pub time_out_ms: Option<u64>,
    /// Instances that may run at the same time.
    pub concurrency: Option<u32>,
    /// Who is asked about them.
    pub owner: Option<Arc<str>>,
    /// The applications they belong to.
    pub apps: Option<Vec<Arc<str>>>,
}

/// What telemetry said last of how a function is configured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Told {
    pub(crate) memory_mb: Option<u32>,
    pub(crate) time_out_ms: Option<u64>,
}

/// What a log record, a metric or a platform says of a run, or of the start of an instance; all that it does not say is
/// `None` or false.
#[derive(Clone, Debug)]
pub struct FactRecord {
    /// The function: what [`crate::identity::Resource::function`] names, or [`crate::identity::function_named_by`].
    pub function: Arc<Function>,
    /// The instance that ran it (`faas.instance`). Runs of one instance are taken to be told in their order.
    pub instance: Option<Arc<str>>,
    /// When it was, by the function's clock.
    pub at: EventTime,
    /// Time to start the instance, milliseconds.
    pub init_ms: Option<f64>,
    /// Most memory that the instance has used up to the end of this run, bytes.
    pub used_memory_bytes: Option<u64>,
    /// Memory that the instance has, bytes.
    pub max_memory_bytes: Option<u64>,
    /// Time that was charged for the run, milliseconds.
    pub billed_ms: Option<f64>,
    /// Longest time a run may take, milliseconds.
    pub time_out_ms: Option<u64>,
    /// True when the run was ended because it took too long.
    pub timed_out: bool,
    /// True when no run began, because too many were running.
    pub throttled: bool,
    /// True when the run failed and no span is named that would say so too.
    pub failed: bool,
}

/// A log record that tells of an exception, or a platform that says of a run that it failed: by what the run is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExceptionRecord {
    /// By the span that wrote the record: its invocation has failed.
    Span {
        /// The trace of the span.
        trace_id: TraceId,
        /// The span.
        span_id: SpanId,
    },
    /// By its id, where no span is named.
    Run {
        /// Its id.
        run: RunId,
        /// When it was; zero when nothing says so. A run that is tried again keeps its id.
        at: EventTime,
    },
    /// By the instance that ran it: the only run that was there at the time.
    Instance {
        /// The instance.
        instance: InstanceId,
        /// When it was.
        at: EventTime,
    },
}

/// Names a run in spans and logs: a hash of its id (`faas.invocation_id`), never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(pub(crate) u64);

impl RunId {
    /// That of the run with this id.
    pub fn of(id: &str) -> Self {
        Self(xxh3_64_with_seed(id.as_bytes(), KeyClass::Request as u64).max(1))
    }
}

/// Names an instance in spans and logs: a hash of its id (`faas.instance`), never zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InstanceId(pub(crate) u32);

impl InstanceId {
    /// That of the instance with this id.
    pub fn of(id: &str) -> Self {
        Self((xxh3_64(id.as_bytes()) as u32).max(1))
    }
}

impl Architecture {
    /// The word for people, as clouds spell it.
    pub fn word(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm => "arm64",
        }
    }
}

impl FactSource {
    /// The lower-case word for people.
    pub fn word(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Observed => "observed",
            Self::Assumed => "assumed",
        }
    }
}

impl Default for FunctionFacts {
    fn default() -> Self {
        Self {
            memory_mb: ASSUMED_MEMORY_MB,
            architecture: Architecture::X86,
            time_out_ms: None,
            concurrency: ASSUMED_CONCURRENCY,
            owner: "".into(),
            apps: Vec::new(),
            is_assumed: true,
            sources: FactSources::default(),
        }
    }
}

impl FunctionFacts {
    /// What the rules say of a function. Of several rules that fit, the one with the longest pattern says each fact
    /// that it holds, and the others the rest.
    pub fn of(name: &str, rules: &[FunctionRule]) -> Self {
        Self::with(name, rules, Told::default())
    }

    /// The same where telemetry said something too: it knows better than a pattern that fits many functions, and less
    /// than a rule for this one.
    pub(crate) fn with(name: &str, rules: &[FunctionRule], told: Told) -> Self {
        let mut fitting: Vec<&FunctionRule> = rules.iter().filter(|rule| fits(&rule.pattern, name)).collect();
        fitting.sort_by_key(|rule| {
            (Reverse(rule.pattern.len() - rule.pattern.matches('*').count()), Arc::clone(&rule.pattern))
        });
        let own: Vec<&FunctionRule> = fitting.iter().copied().filter(|rule| &*rule.pattern == name).collect();
        let (memory_mb, memory) = chosen(
            own.iter().find_map(|rule| rule.memory_mb),
            told.memory_mb,
            fitting.iter().find_map(|rule| rule.memory_mb),
        );
        let (time_out_ms, time_out) = chosen(
            own.iter().find_map(|rule| rule.time_out_ms),
            told.time_out_ms,
            fitting.iter().find_map(|rule| rule.time_out_ms),
        );
        let (architecture, said) = chosen(None, None, fitting.iter().find_map(|rule| rule.architecture));
        let (concurrency, limited) = chosen(None, None, fitting.iter().find_map(|rule| rule.concurrency));
        let assumed = Self::default();
        Self {
            memory_mb: memory_mb.unwrap_or(assumed.memory_mb),
            architecture: architecture.unwrap_or_default(),
            time_out_ms,
            concurrency: concurrency.unwrap_or(assumed.concurrency),
            owner: fitting.iter().find_map(|rule| rule.owner.clone()).unwrap_or(assumed.owner),
            apps: fitting.iter().find_map(|rule| rule.apps.clone()).unwrap_or_default(),
            is_assumed: memory == FactSource::Assumed,
            sources: FactSources { memory, architecture: said, time_out, concurrency: limited },
        }
    }
}

impl Told {
    /// Takes in what was said later.
    pub(crate) fn update(&mut self, newer: Self) {
        self.memory_mb = newer.memory_mb.or(self.memory_mb);
        self.time_out_ms = newer.time_out_ms.or(self.time_out_ms);
    }
}

impl FactRecord {
    /// What it says of how its function is configured.
    pub(crate) fn told(&self) -> Told {
        let bytes = self.max_memory_bytes.and_then(|bytes| i64::try_from(bytes).ok());
        Told { memory_mb: bytes.and_then(memory_mb), time_out_ms: self.time_out_ms }
    }

    /// A record about a function that says nothing yet.
    pub fn about(function: Arc<Function>, at: EventTime) -> Self {
        Self {
            function,
            instance: None,
            at,
            init_ms: None,
            used_memory_bytes: None,
            max_memory_bytes: None,
            billed_ms: None,
            time_out_ms: None,
            timed_out: false,
            throttled: false,
            failed: false,
        }
    }
}

/// MiB of the amount in `faas.max_memory`; `None` for what is no memory.
pub(crate) fn memory_mb(amount: i64) -> Option<u32> {
    let megabytes = if amount < LEAST_BYTES { amount } else { amount / LEAST_BYTES };
    u32::try_from(megabytes).ok().filter(|megabytes| *megabytes > 0)
}

/// The first of what is known, and who said it.
fn chosen<T>(own: Option<T>, told: Option<T>, configured: Option<T>) -> (Option<T>, FactSource) {
    if own.is_some() {
        return (own, FactSource::Configured);
    }
    if told.is_some() {
        return (told, FactSource::Observed);
    }
    let source = if configured.is_some() { FactSource::Configured } else { FactSource::Assumed };
    (configured, source)
}

/// True when the whole name has the pattern, in which each `*` stands for any text. O(length of both) for patterns
/// without `*` in the middle, and never more than one search for each part.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| name.strip_prefix(first)) else { return false };
    let parts: Vec<&str> = parts.collect();
    let Some((last, middle)) = parts.split_last() else { return rest.is_empty() };
    for part in middle {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    rest.ends_with(last)
}

state!(Told { memory_mb, time_out_ms });

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_pattern_says_most() {
        let rules = [
            FunctionRule { pattern: "*".into(), memory_mb: Some(256), owner: Some("all".into()), ..Default::default() },
            FunctionRule { pattern: "img-*-v*".into(), memory_mb: Some(2_048), ..Default::default() },
        ];
        let facts = FunctionFacts::of("img-resize-v2", &rules);
        assert_eq!((facts.memory_mb, &*facts.owner, facts.is_assumed), (2_048, "all", false));
        assert_eq!(FunctionFacts::of("mail", &rules).memory_mb, 256);
        assert_eq!(FunctionFacts::of("mail", &rules[1..]), FunctionFacts::default());
    }

    #[test]
    fn telemetry_knows_better_than_a_pattern_and_less_than_a_rule_of_its_own() {
        let rule = |pattern: &str| FunctionRule {
            pattern: pattern.into(),
            memory_mb: Some(256),
            time_out_ms: Some(3_000),
            ..Default::default()
        };
        let told = Told { memory_mb: Some(1_024), time_out_ms: None };
        let facts = FunctionFacts::with("mail", &[rule("*")], told);
        assert_eq!((facts.memory_mb, facts.sources.memory), (1_024, FactSource::Observed));
        assert_eq!((facts.time_out_ms, facts.sources.time_out), (Some(3_000), FactSource::Configured));
        let facts = FunctionFacts::with("mail", &[rule("mail"), rule("*")], told);
        assert_eq!((facts.memory_mb, facts.sources.memory), (256, FactSource::Configured));
        let facts = FunctionFacts::with("mail", &[], told);
        assert_eq!((facts.memory_mb, facts.is_assumed, facts.sources.concurrency), (1_024, false, FactSource::Assumed));
    }

    #[test]
    fn memory_is_bytes_and_was_once_megabytes() {
        assert_eq!(memory_mb(128), Some(128));
        assert_eq!(memory_mb(10_240), Some(10_240));
        assert_eq!(memory_mb(128 << 20), Some(128));
        assert_eq!(memory_mb(10 << 30), Some(10_240));
        assert_eq!((memory_mb(0), memory_mb(-5), memory_mb(i64::MAX)), (None, None, None));
    }

    #[test]
    fn patterns_match_whole_names() {
        for (pattern, name, fit) in [
            ("a", "a", true),
            ("a", "ab", false),
            ("a*", "ab", true),
            ("*b", "ab", true),
            ("a*a", "a", false),
            ("a*b*c", "axbxc", true),
            ("a*b*c", "axcxb", false),
            ("", "", true),
            ("*", "", true),
            ("**", "x", true),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
    }
}
