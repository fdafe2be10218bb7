//! Loops that somebody declared as intended, and what people say of a loop: pure values and one judgement.
//!
//! A declared loop stays silent inside its bound and is loud when the bound breaks. Who keeps declarations, and how
//! they are typed, is not known here.

use std::sync::Arc;

use crate::{
    snapshot::{Assessment, Loop, LoopId, Reason, Severity},
    span::ArrivalTime,
};

/// A loop that somebody declared as intended.
#[derive(Clone, Debug, PartialEq)]
pub struct Intended {
    /// Names the declaration.
    pub id: Arc<str>,
    /// Which loop is meant.
    pub target: Target,
    /// Only its loop of level operation through these, from whichever on; empty for all its loops.
    pub operations: Vec<Arc<str>>,
    /// The environment in which it is meant; `None` for all.
    pub environment: Option<Arc<str>>,
    /// Laps of one chain that are intended; `None` when any number is.
    pub max_depth: Option<u32>,
    /// Laps a minute of all chains together that are intended; `None` when any number is.
    pub max_rate_per_minute: Option<f64>,
    /// Who is asked about it, or an empty text.
    pub owner: Arc<str>,
    /// Why it is intended, or an empty text.
    pub reason: Arc<str>,
    /// From when on it holds no more; `None` when it always does.
    pub expires: Option<ArrivalTime>,
}

/// Which loop a declaration is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The one with this id.
    Loop(LoopId),
    /// Every one that goes through these functions in this order, from whichever it is read.
    Functions(Vec<Arc<str>>),
}

/// What a declaration says of a loop.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Judgement {
    /// It does what is intended.
    Within,
    /// It does more than is intended.
    Broken(Breach),
    /// The declaration holds no more.
    Expired,
}

/// Which bound a loop broke.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Breach {
    /// A chain went round more often.
    Depth {
        /// Laps of the deepest chain.
        found: u32,
        /// Laps that are intended.
        bound: u32,
    },
    /// All chains together went round more often.
    Rate {
        /// Laps a minute.
        found: f64,
        /// Laps a minute that are intended.
        bound: f64,
    },
    /// Laps cause more than one each, and the declaration says nothing of how wide chains may be.
    Growth {
        /// Further laps that each lap causes, where there are enough to tell.
        reproduction: Option<f64>,
    },
    /// It is an alarm of which nobody sees how deep it is, and the declaration bounds nothing but the depth.
    Unseen,
}

/// A loop's declaration as it stands now.
#[derive(Clone, Debug, PartialEq)]
pub struct IntendedState {
    /// Names the declaration.
    pub id: Arc<str>,
    /// Who is asked about it, or an empty text.
    pub owner: Arc<str>,
    /// Why it is intended, or an empty text.
    pub reason: Arc<str>,
    /// Laps of one chain that are intended.
    pub max_depth: Option<u32>,
    /// Laps a minute that are intended.
    pub max_rate_per_minute: Option<f64>,
    /// From when on it holds no more.
    pub expires: Option<ArrivalTime>,
    /// What it says of the loop.
    pub judgement: Judgement,
}

/// What somebody said of a loop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be, up to this many laps of one chain.
    Expected {
        /// Laps of one chain.
        max_depth: u32,
    },
    /// It should not be, and nothing may be learned from it.
    Runaway,
    /// What was said before holds no more.
    Withdrawn,
}

/// Holds a loop against a declaration. A bound holds as long as it is not exceeded.
///
/// A depth bounds no tree: a million laps fit below a depth of twenty where each causes two. So a declaration without
/// a rate does not cover a loop that the detectors find multiplying; a rate bounds the width as well. Nor does a depth
/// alone cover an alarm whose depth nobody sees: it would always be within.
pub fn judge(intended: &Intended, found: &Loop, now: ArrivalTime) -> Judgement {
    if intended.expires.is_some_and(|expires| expires <= now) {
        return Judgement::Expired;
    }
    if let Some(bound) = intended.max_depth.filter(|bound| found.max_depth > *bound) {
        return Judgement::Broken(Breach::Depth { found: found.max_depth, bound });
    }
    if let Some(bound) = intended.max_rate_per_minute.filter(|bound| found.laps_per_minute > *bound) {
        return Judgement::Broken(Breach::Rate { found: found.laps_per_minute, bound });
    }
    let is_bare_alarm = intended.max_rate_per_minute.is_none() && found.assessment == Assessment::Alarm;
    if is_bare_alarm && found.multiplies() {
        let counted = found.flow.as_ref().map(|flow| flow.reproduction);
        return Judgement::Broken(Breach::Growth { reproduction: found.reproduction.or(counted).map(|r| r.mean) });
    }
    if is_bare_alarm && intended.max_depth.is_some() && found.hides_depth() {
        return Judgement::Broken(Breach::Unseen);
    }
    Judgement::Within
}

/// The declaration that holds for a loop, with what it says. Of several that fit, one that was not expired counts
/// first, then one by id, then the one that says the worst.
pub fn find(declared: &[Intended], found: &Loop, now: ArrivalTime) -> Option<IntendedState> {
    let fitting = declared.iter().filter(|intended| intended.is_about(found));
    let judged = fitting.map(|intended| (intended, judge(intended, found, now)));
    let rank = |(intended, judgement): &(&Intended, Judgement)| {
        let by_id = matches!(intended.target, Target::Loop(_));
        (*judgement != Judgement::Expired, by_id, matches!(judgement, Judgement::Broken(_)))
    };
    judged.max_by_key(rank).map(|(intended, judgement)| IntendedState {
        id: Arc::clone(&intended.id),
        owner: Arc::clone(&intended.owner),
        reason: Arc::clone(&intended.reason),
        max_depth: intended.max_depth,
        max_rate_per_minute: intended.max_rate_per_minute,
        expires: intended.expires,
        judgement,
    })
}

impl Intended {
    /// True when the loop is meant, whatever it does.
    pub fn is_about(&self, found: &Loop) -> bool {
        let is_there = self.environment.as_ref().is_none_or(|meant| *meant == found.environment);
        is_there
            && (self.operations.is_empty() || is_rotation(&self.operations, &found.operations))
            && match &self.target {
                Target::Loop(meant) => *meant == found.id,
                Target::Functions(meant) => is_rotation(meant, &found.names),
            }
    }
}

fn is_rotation(of: &[Arc<str>], names: &[Arc<str>]) -> bool {
    let len = of.len();
    len == names.len() && (0..len).any(|turn| (0..len).all(|at| of[(at + turn) % len] == names[at]))
}

impl IntendedState {
    /// Gives the declaration the last word on a loop that is otherwise described.
    pub fn apply(self, found: &mut Loop) {
        found.severity = self.severity(found.severity);
        if matches!(self.judgement, Judgement::Broken(_)) {
            found.assessment = Assessment::Alarm;
            if !found.reasons.contains(&Reason::BrokenBound) {
                found.reasons.push(Reason::BrokenBound);
            }
        }
        found.intended = Some(self);
    }

    /// The severity of a loop that the engine finds as severe as `found`: silent inside the bound, and at least a
    /// warning outside of it.
    pub fn severity(&self, found: Severity) -> Severity {
        match self.judgement {
            Judgement::Within => Severity::Info,
            Judgement::Broken(_) => found.max(Severity::Warning),
            Judgement::Expired => found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        config::Config,
        engine::Engine,
        fixture::{SECOND, START, Story},
        snapshot::LoopState,
    };

    fn names(text: &str) -> Vec<Arc<str>> {
        text.split_whitespace().map(Arc::from).collect()
    }

    fn intended(id: &str, target: Target) -> Intended {
        Intended {
            id: id.into(),
            target,
            operations: Vec::new(),
            environment: None,
            max_depth: Some(20),
            max_rate_per_minute: Some(60.0),
            owner: "media".into(),
            reason: "pages".into(),
            expires: Some(ArrivalTime(1_000)),
        }
    }

    fn found(way: &str, max_depth: u32, laps_per_minute: f64) -> Loop {
        let environment = "prod".into();
        Loop { id: LoopId(7), names: names(way), max_depth, laps_per_minute, environment, ..Loop::default() }
    }

    #[track_caller]
    fn check(depth: u32, rate: f64, now: u64, judgement: Judgement, severity: Severity) {
        let declared = [intended("i", Target::Functions(names("a b")))];
        let state = find(&declared, &found("b a", depth, rate), ArrivalTime(now)).unwrap();
        assert_eq!(state.judgement, judgement);
        assert_eq!(state.severity(Severity::Info), severity);
    }

    #[test]
    fn a_declared_loop_is_silent_inside_its_bound_and_loud_outside() {
        check(20, 60.0, 0, Judgement::Within, Severity::Info);
        check(21, 61.0, 0, Judgement::Broken(Breach::Depth { found: 21, bound: 20 }), Severity::Warning);
        check(20, 60.5, 999, Judgement::Broken(Breach::Rate { found: 60.5, bound: 60.0 }), Severity::Warning);
        check(99, 99.0, 1_000, Judgement::Expired, Severity::Info);
    }

    #[test]
    fn a_depth_alone_does_not_cover_a_tree() {
        let tree = |max_rate_per_minute| {
            let declared =
                Intended { max_rate_per_minute, expires: None, ..intended("i", Target::Functions(names("a"))) };
            let mut engine = Engine::new(&Config::recommended(), 1);
            engine.aggregate_mut().declare(vec![declared]);
            let mut story = Story::default();
            let mut leaves = vec![story.root("a")];
            for _ in 0..8 {
                leaves = leaves.iter().flat_map(|run| [run; 2]).map(|run| story.call(run, "a")).collect();
            }
            engine.ingest(START, story.spans);
            engine.tick(START);
            let found = engine.snapshot(START).loops.remove(0);
            (found.severity, found.intended.unwrap().judgement)
        };
        let (severity, judgement) = tree(None);
        assert_eq!(severity, Severity::Critical);
        assert!(matches!(judgement, Judgement::Broken(Breach::Growth { .. })), "{judgement:?}");
        assert_eq!(tree(Some(1e6)), (Severity::Info, Judgement::Within));
        let declared = Intended { max_rate_per_minute: None, ..intended("i", Target::Loop(LoopId(7))) };
        let growing = Loop { state: LoopState::Growing, ..found("a", 5, 0.0) };
        assert_eq!(judge(&declared, &growing, ArrivalTime(0)), Judgement::Within, "what is no alarm breaks nothing");
    }

    #[test]
    fn a_depth_alone_does_not_cover_an_alarm_whose_depth_nobody_sees() {
        let judged = |max_depth, max_rate_per_minute, found: &Loop| {
            let target = Target::Loop(LoopId(7));
            let declared = Intended { max_depth, max_rate_per_minute, expires: None, ..intended("i", target) };
            judge(&declared, found, ArrivalTime(0))
        };
        let alarm = |depth| Loop { assessment: Assessment::Alarm, ..found("a", depth, 50.0) };
        let counted = Loop { reasons: vec![Reason::Flow], ..alarm(0) };
        let sampled = Loop { laps: 9, next_lap_sampling_probability: Some(0.1), ..alarm(3) };
        let unseen = Judgement::Broken(Breach::Unseen);
        for hidden in [&counted, &sampled, &Loop { max_depth: 2, laps: 2, ..counted.clone() }] {
            assert_eq!(judged(Some(20), None, hidden), unseen, "{hidden:?}");
            assert_eq!(judged(Some(20), Some(60.0), hidden), Judgement::Within, "a rate says enough");
            assert_eq!(judged(None, None, hidden), Judgement::Within, "any number is intended");
            let quiet = Loop { assessment: Assessment::Suspect, ..hidden.clone() };
            assert_eq!(judged(Some(20), None, &quiet), Judgement::Within);
        }
        let pieces = Loop { alarm_depth: Some(18), ..sampled };
        assert_eq!(judged(Some(20), None, &pieces), Judgement::Within);
        let within_traces = |reason| Loop { is_judged_within_traces: true, reasons: vec![reason], ..pieces.clone() };
        assert_eq!(judged(Some(20), None, &within_traces(Reason::Rate)), unseen);
        assert_eq!(judged(Some(20), None, &within_traces(Reason::Depth)), Judgement::Within);
        assert_eq!(judged(Some(20), None, &alarm(3)), Judgement::Within);
    }

    #[test]
    fn silence_is_only_for_what_does_as_it_should() {
        let state = |depth, now| {
            let declared = [intended("i", Target::Loop(LoopId(7)))];
            find(&declared, &found("a", depth, 0.0), ArrivalTime(now)).unwrap()
        };
        assert_eq!(state(16, 0).severity(Severity::Critical), Severity::Info);
        assert_eq!(state(21, 0).severity(Severity::Critical), Severity::Critical);
        assert_eq!(state(16, 2_000).severity(Severity::Critical), Severity::Critical);
    }

    #[test]
    fn a_loop_is_meant_from_whichever_function_it_is_read_and_in_its_environment() {
        let declared = intended("i", Target::Functions(names("a b c")));
        for (way, is_meant) in [("a b c", true), ("b c a", true), ("c a b", true), ("c b a", false), ("a b", false)] {
            assert_eq!(declared.is_about(&found(way, 1, 0.0)), is_meant, "{way}");
        }
        let elsewhere = Intended { environment: Some("dev".into()), ..declared.clone() };
        assert!(!elsewhere.is_about(&found("a b c", 1, 0.0)));
        assert!(Intended { environment: Some("prod".into()), ..declared }.is_about(&found("a b c", 1, 0.0)));
        let narrow = Intended { operations: names("x y z"), ..intended("i", Target::Functions(names("a b c"))) };
        assert!(!narrow.is_about(&found("a b c", 1, 0.0)));
        assert!(narrow.is_about(&Loop { operations: names("y z x"), ..found("a b c", 1, 0.0) }));
        assert!(!intended("i", Target::Functions(Vec::new())).is_about(&found("a", 1, 0.0)));
    }

    #[test]
    fn what_holds_counts_before_what_has_expired_and_an_id_before_names() {
        let by_names = intended("names", Target::Functions(names("a")));
        let by_id = Intended { max_depth: Some(99), ..intended("id", Target::Loop(LoopId(7))) };
        let judged = |declared: &[Intended]| {
            let state = find(declared, &found("a", 30, 0.0), ArrivalTime(10)).unwrap();
            (state.id, state.judgement)
        };
        assert_eq!(judged(&[by_names.clone(), by_id.clone()]), ("id".into(), Judgement::Within));
        let expired = Intended { expires: Some(ArrivalTime(5)), ..by_id };
        assert_eq!(judged(&[by_names, expired.clone()]).0, "names".into());
        assert_eq!(judged(&[expired]), ("id".into(), Judgement::Expired));
        assert!(find(&[], &found("a", 30, 0.0), ArrivalTime(10)).is_none());
    }

    /// Chains of 20 laps of one loop, a while apart; after the first somebody says something of it.
    fn taught(verdict: Option<Verdict>) -> Loop {
        let mut engine = Engine::new(&Config::recommended(), 1);
        let mut now = START;
        let mut found = Loop::default();
        for chain in 0..4 {
            let mut spans = Story::parse(&format!("a{}", " -> a".repeat(20))).spans;
            for span in &mut spans {
                span.trace_id.0[0] = chain + 1;
                span.start.0 += now.0 - START.0;
                span.end.0 += now.0 - START.0;
            }
            engine.ingest(now, spans);
            for _ in 0..200 {
                now.0 += SECOND;
                engine.tick(now);
            }
            found = engine.snapshot(now).loops.remove(0);
            if let Some(verdict) = verdict {
                engine.teach(found.id, verdict);
            }
        }
        found
    }

    #[test]
    fn a_verdict_teaches_what_the_engine_would_not_learn_and_the_other_forbids() {
        let silent = taught(Some(Verdict::Expected { max_depth: 20 }));
        assert_eq!((silent.severity, silent.learned_chains), (Severity::Info, 3));
        assert!(silent.alarm_depth > taught(None).alarm_depth, "{:?}", silent.alarm_depth);
        assert_eq!(taught(None).learned_chains, 0, "each was an alarm");
        assert!(taught(Some(Verdict::Expected { max_depth: 19 })).severity > Severity::Info);
        assert_eq!(taught(Some(Verdict::Runaway)).learned_chains, 0);
        assert_eq!(taught(Some(Verdict::Withdrawn)).learned_chains, 0);
    }
}
