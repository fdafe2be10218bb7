//! What the engine has to reach, as numbers.
//!
//! A target that is not reached is shown as such; none is dropped or loosened to pass.

use std::fmt;

use crate::{
    chains,
    class::{Class, Verdict},
    knobs::Context,
    report::{Summary, kind, one_id},
    score::{LoopScore, Score, quantile, share},
    suites,
    watch::{Edges, Rule},
};

/// One number that the engine has to reach.
#[derive(Clone, Debug)]
pub struct Target {
    /// What is measured.
    pub name: String,
    /// Where it has to lie.
    pub wanted: Wanted,
    /// Where it lies; `None` when nothing of it was run.
    pub measured: Option<f64>,
}

/// Where a number has to lie.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Wanted {
    /// This or more.
    AtLeast(f64),
    /// This or less.
    AtMost(f64),
    /// Between the two.
    Between(f64, f64),
}

impl Target {
    /// A target with what was measured of it.
    pub fn new(name: &str, wanted: Wanted, measured: Option<f64>) -> Self {
        Self { name: name.to_owned(), wanted, measured }
    }

    /// Whether it is reached; `None` when it was not measured.
    pub fn is_reached(&self) -> Option<bool> {
        self.measured.map(|measured| match self.wanted {
            Wanted::AtLeast(least) => measured >= least,
            Wanted::AtMost(most) => measured <= most,
            Wanted::Between(low, high) => (low..=high).contains(&measured),
        })
    }

    /// True when it was measured and not reached.
    pub fn is_missed(&self) -> bool {
        self.is_reached() == Some(false)
    }
}

impl fmt::Display for Wanted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtLeast(least) => write!(f, "at least {least}"),
            Self::AtMost(most) => write!(f, "at most {most}"),
            Self::Between(low, high) => write!(f, "{low} to {high}"),
        }
    }
}

/// All targets, as far as they were measured.
pub fn targets(score: &Score, seed: u64) -> Vec<Target> {
    let mut targets = Vec::new();
    recall(score, &mut targets);
    history(score, &mut targets);
    laps(score, &mut targets);
    rest(score, &mut targets);
    edges(score, &mut targets);
    let deviation = chains::largest_deviation(seed);
    targets.push(Target::new(
        "deviation of the fixed depths from the reference",
        Wanted::AtMost(0.02),
        Some(deviation),
    ));
    targets
}

/// Worlds whose telemetry is whole, or nearly, and tells all causes: a parent is one of the messages of a batch.
fn is_nearly_whole(found: &LoopScore) -> bool {
    let is_suite = [suites::CLASSES, suites::KNOBS, suites::SLOW, suites::DENSE].contains(&found.suite);
    let tells_all = found.context != Context::Parent || found.setting != suites::BATCH;
    is_suite && tells_all && !["loss 10 %", "sampling 0.5", "sampling 0.1"].contains(&found.setting)
}

fn recall(score: &Score, targets: &mut Vec<Target>) {
    let contexts =
        [(Context::Parent, 0.99), (Context::Link, 0.99), (Context::MessageId, 0.99), (Context::KeyOnly, 0.9)];
    for (context, least) in contexts {
        let found = select(score, |found| is_nearly_whole(found) && found.ran_away && found.context == context);
        let recall = (!found.is_empty()).then(|| Summary::of(&found, Rule::Alarm).recall());
        targets.push(Target::new(&format!("recall, {}", context.word()), Wanted::AtLeast(least), recall));
    }
    let without_chain = select(score, |found| found.class.is_without_chain() && found.ran_away);
    let recall = (!without_chain.is_empty()).then(|| Summary::of(&without_chain, Rule::Alarm).recall());
    targets.push(Target::new("recall of what no chain shows", Wanted::AtLeast(0.9), recall));
}

fn history(score: &Score, targets: &mut Vec<Target>) {
    let found = select(score, |found| found.suite == suites::MIX);
    let summary = (!found.is_empty()).then(|| Summary::of(&found, Rule::Alarm));
    let precision = summary.as_ref().map(Summary::precision);
    targets.push(Target::new("precision after the history of the mix", Wanted::AtLeast(0.95), precision));
    let rate = summary.map(|summary| summary.wrong as f64 / summary.quiet_days.max(f64::MIN_POSITIVE));
    targets.push(Target::new("wrong incidents of the mix per loop and day", Wanted::AtMost(0.01), rate));
}

fn laps(score: &Score, targets: &mut Vec<Target>) {
    let is_multiplying = |class| matches!(class, Class::FanOutSlow | Class::FanOutTwo | Class::FanOutFive);
    let new = select(score, |found| {
        let is_new = found.has_runaway && found.benign.is_none();
        is_new && found.setting == "plain" && found.context != Context::None && !is_multiplying(found.class)
    });
    targets.push(Target::new("laps to the alert, new loops, median", Wanted::AtMost(18.0), median_laps(&new)));
    let known = select(score, |found| found.suite == suites::MIX && kind(found) == "known, bounded");
    targets.push(Target::new(
        "laps to the alert, known bounded loops, median",
        Wanted::AtMost(14.0),
        median_laps(&known),
    ));
    let multiplying =
        select(score, |found| matches!(found.class, Class::FanOutTwo | Class::FanOutFive) && found.ran_away);
    let exact: Vec<&LoopScore> = multiplying
        .into_iter()
        .filter(|found| found.setting == "plain" && crate::report::is_exact(found.context))
        .collect();
    // What was not reported counts as never.
    let arrived = exact.iter().map(|found| found.hit(Rule::Alarm).map_or(f64::INFINITY, |hit| hit.arrived)).collect();
    targets.push(Target::new(
        "invocations that had arrived at the alert, R of 2 and more, median",
        Wanted::AtMost(300.0),
        quantile(arrived, 0.5),
    ));
}

fn rest(score: &Score, targets: &mut Vec<Target>) {
    let reported = select(score, |found| found.ids > 0);
    let one = (!reported.is_empty()).then(|| one_id(&reported));
    targets.push(Target::new("loops under one id", Wanted::AtLeast(0.99), one));
    let controls = select(score, |found| found.class.verdict() == Verdict::Control);
    let suspicious = controls.iter().filter(|found| found.wrong(Rule::Suspect) > 0).count() as f64;
    let measured = (!controls.is_empty()).then_some(suspicious);
    targets.push(Target::new("controls with a suspicion", Wanted::AtMost(0.0), measured));
    let background = score.background_incidents as f64;
    targets.push(Target::new("unremarkable functions with a suspicion", Wanted::AtMost(0.0), Some(background)));
    let looks = || {
        let of_growth = score.loops.iter().filter(|found| found.suite == suites::GROWTH);
        of_growth
            .filter_map(|found| Some((found.r?, &found.estimates)))
            .flat_map(|(r, looks)| looks.iter().map(move |look| (look.low..=look.high).contains(&r)))
    };
    let held = looks().filter(|held| *held).count() as u64;
    let all = looks().count() as u64;
    targets.push(Target::new(
        "coverage of the interval of R",
        Wanted::Between(0.90, 0.97),
        (all > 0).then(|| share(held, all)),
    ));
}

fn edges(score: &Score, targets: &mut Vec<Target>) {
    for context in [Context::Parent, Context::Link, Context::MessageId] {
        let sum = edges_in(score, context);
        let precision = (sum != Edges::default()).then(|| sum.precision());
        let recall = (sum != Edges::default()).then(|| sum.recall());
        let name = |what| format!("{what} of causes, {}", context.word());
        targets.push(Target::new(&name("precision"), Wanted::AtLeast(0.99), precision));
        targets.push(Target::new(&name("recall"), Wanted::AtLeast(0.99), recall));
    }
    let keys = edges_in(score, Context::KeyOnly);
    let precision = (keys.surely_right + keys.surely_wrong > 0).then(|| keys.sure_precision());
    targets.push(Target::new(
        "precision of causes of confidence 0.9 and more, key only",
        Wanted::AtLeast(0.95),
        precision,
    ));
}

fn edges_in(score: &Score, context: Context) -> Edges {
    let mut sum = Edges::default();
    score.edges.iter().filter(|((_, known, _), _)| *known == context).for_each(|(_, edges)| sum.add(edges));
    sum
}

fn median_laps(found: &[&LoopScore]) -> Option<f64> {
    quantile(found.iter().filter_map(|found| Some(found.hit(Rule::Alarm)?.laps)).collect(), 0.5)
}

fn select(score: &Score, is_wanted: impl Fn(&LoopScore) -> bool) -> Vec<&LoopScore> {
    score.loops.iter().filter(|found| is_wanted(found)).collect()
}
