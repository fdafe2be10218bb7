//! The scoreboard as tables.

use std::collections::BTreeMap;

use loopscope_analyzer::snapshot::Reproduction;
use serde::Serialize;

use crate::{
    chains::{self, DepthRule},
    class::{Class, Verdict},
    knobs::Context,
    score::{Hit, LoopScore, Score, quantile, share},
    suites,
    targets::Target,
    watch::{Edges, Rule},
};

/// A table with a title; the first row of cells is its head.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Table {
    /// What it shows.
    pub title: String,
    /// How to read it.
    pub note: String,
    /// Its cells, row by row.
    pub rows: Vec<Vec<String>>,
}

/// All tables of a score; `seed` is that of the draws chain by chain.
pub fn tables(score: &Score, seed: u64) -> Vec<Table> {
    vec![
        targets(&crate::targets::targets(score, seed)),
        recall_by_context(score),
        time_to_alert(score),
        rules(score),
        mix(score),
        look_alikes(score),
        growth(score),
        sampled(score),
        edges(score),
        knobs(score),
        reached(seed),
        hard(seed),
    ]
}

/// The targets as a table.
pub fn targets(targets: &[Target]) -> Table {
    let mut table = Table::new(
        "Targets",
        "What the engine has to reach, and what it reaches in this run. A target without a measurement was not run.",
        &["target", "wanted", "measured", "reached"],
    );
    for target in targets {
        let measured = target.measured.map_or("-".to_owned(), |measured| format!("{measured:.4}"));
        let reached = match target.is_reached() {
            None => "-",
            Some(true) => "yes",
            Some(false) => "NO",
        };
        table.row(&target.name, &[target.wanted.to_string(), measured, reached.to_owned()]);
    }
    table
}

/// What a loop of the mix is.
pub fn kind(found: &LoopScore) -> &'static str {
    match (found.has_runaway, found.benign) {
        (true, None) => "new",
        (true, Some(law)) if law.is_heavy() => "known, heavy-tailed",
        (true, Some(_)) => "known, bounded",
        (false, Some(law)) if law.is_heavy() => "harmless, heavy-tailed",
        (false, _) => "harmless, bounded",
    }
}

fn mix(score: &Score) -> Table {
    let mut table = Table::new(
        "The mix",
        "Harmless recursive loops with a history, a fifth of them heavy-tailed; some run away with one chain while the \
         others go on, and new loops begin. Wrong incidents after the time to learn, and while learning.",
        &[
            "loops",
            "rule",
            "number",
            "recall",
            "laps",
            "wrong",
            "wrong while learning",
            "wrong per 1,000 loops and day",
        ],
    );
    let mut kinds: BTreeMap<&str, Vec<&LoopScore>> = BTreeMap::new();
    for found in score.loops.iter().filter(|found| found.suite == suites::MIX) {
        kinds.entry(kind(found)).or_default().push(found);
    }
    for (kind, found) in kinds {
        for rule in Rule::ALL {
            let summary = Summary::of(&found, rule);
            let early: u32 = found.iter().map(|found| found.early_incidents[rule as usize]).sum();
            let cells = [
                rule.words().to_owned(),
                found.len().to_string(),
                if summary.runaways > 0 { format!("{:.3}", summary.recall()) } else { "-".to_owned() },
                both(summary.laps.clone(), 0),
                summary.wrong.to_string(),
                early.to_string(),
                summary.rate(),
            ];
            table.row(kind, &cells);
        }
    }
    table
}

fn growth(score: &Score) -> Table {
    let mut table = Table::new(
        "R",
        "Loops with one true R: the mean estimate over it, and how often the interval of 95 % held it; a look each minute.",
        &["true R", "looks", "estimate / truth", "in the interval"],
    );
    let mut by_r: BTreeMap<u32, Vec<Reproduction>> = BTreeMap::new();
    for found in score.loops.iter().filter(|found| found.suite == suites::GROWTH) {
        // Thousandths, because numbers with a point have no order.
        let Some(r) = found.r else { continue };
        by_r.entry((r * 1_000.0) as u32).or_default().extend(&found.estimates);
    }
    for (thousandths, looks) in by_r {
        let r = f64::from(thousandths) / 1_000.0;
        table.row(&format!("{r}"), &looks_at(r, &looks));
    }
    table
}

/// How many looks there were, how far they were off in the mean, and how often their interval held the truth.
fn looks_at(r: f64, looks: &[Reproduction]) -> [String; 3] {
    let mean = looks.iter().map(|look| look.mean / r).sum::<f64>() / looks.len() as f64;
    let held = looks.iter().filter(|look| look.low <= r && r <= look.high).count() as u64;
    let told = |number: f64| if looks.is_empty() { "-".to_owned() } else { format!("{number:.3}") };
    [looks.len().to_string(), told(mean), told(share(held, looks.len() as u64))]
}

fn sampled(score: &Score) -> Table {
    let mut table = Table::new(
        "R and counts under sampling",
        "The same loops where a part of the traces is kept, whole or not at all: in one trace (parent), or a trace for each \
         invocation (link). Invocations are those that were counted, adjusted, over those that there were.",
        &["setting", "context", "true R", "looks", "estimate / truth", "in the interval", "invocations / truth"],
    );
    let mut groups: BTreeMap<(&str, Context, u32), Vec<&LoopScore>> = BTreeMap::new();
    for found in score.loops.iter().filter(|found| found.suite == suites::SAMPLED) {
        let Some(r) = found.r else { continue };
        groups.entry((found.setting, found.context, (r * 1_000.0) as u32)).or_default().push(found);
    }
    for ((setting, context, thousandths), found) in groups {
        let r = f64::from(thousandths) / 1_000.0;
        let looks: Vec<Reproduction> = found.iter().flat_map(|found| found.estimates.iter().copied()).collect();
        let (counted, real) = found.iter().fold((0, 0), |sum, found| (sum.0 + found.counts.0, sum.1 + found.counts.1));
        let counted = format!("{:.3}", counted as f64 / real.max(1) as f64);
        let cells = [vec![context.word().to_owned(), format!("{r}")], looks_at(r, &looks).to_vec(), vec![counted]];
        table.row(setting, &cells.concat());
    }
    table
}

/// True for loops that are there for their R alone.
fn has_one_r(found: &LoopScore) -> bool {
    [suites::GROWTH, suites::SAMPLED].contains(&found.suite)
}

fn reached(seed: u64) -> Table {
    let mut table = Table::new(
        "How hard it is, chain by chain",
        "Part of the harmless chains of a class that get to so many laps, and the laps at which the engine's life table \
         is an alarm after 3,000 chains, with the part of the chains that are one.",
        &["class", "fixed 8", "fixed 16", "fixed 32", "life table, laps", "life table, wrong"],
    );
    for (class, _) in chains::REFERENCE {
        let fixed =
            chains::FIXED.map(|laps| format!("{:.5}", chains::reached(class, DepthRule::Fixed(laps), seed).share));
        let learned = chains::reached(class, DepthRule::Learned { chains: 3_000, alpha: 1e-4 }, seed);
        let cells = [fixed.to_vec(), vec![learned.laps.to_string(), format!("{:.5}", learned.share)]].concat();
        table.row(class.word(), &cells);
    }
    table
}

fn hard(seed: u64) -> Table {
    let mut table = Table::new(
        "The hard population, chain by chain",
        "400 harmless recursive loops with 1,000 chains a day each: part of the loops with a wrong alarm a day, and laps \
         until an endless chain is one.",
        &["rule", "loops with a wrong alarm a day", "laps"],
    );
    for rule in chains::rules() {
        let found = chains::hard(rule, seed);
        let laps = format!("{:.0}, {:.0}", found.laps_p50, found.laps_p90);
        table.row(&rule.words(), &[format!("{:.3}", found.false_loops), laps]);
    }
    table
}

fn is_for_looks(found: &LoopScore) -> bool {
    !found.has_runaway && !has_one_r(found) && found.suite != suites::MIX
}

fn is_plain(found: &&LoopScore) -> bool {
    found.suite == suites::CLASSES || found.suite == suites::SLOW
}

/// Contexts in which causes are told exactly.
pub fn is_exact(context: Context) -> bool {
    matches!(context, Context::Parent | Context::Link | Context::MessageId)
}

fn recall_by_context(score: &Score) -> Table {
    let mut cells: BTreeMap<(Class, Context), (u64, u64)> = BTreeMap::new();
    for found in score.loops.iter().filter(is_plain).filter(|found| found.ran_away) {
        let cell = cells.entry((found.class, found.context)).or_default();
        cell.0 += u64::from(found.hit(Rule::Alarm).is_some());
        cell.1 += 1;
    }
    let mut table = Table::new(
        "Recall by class and context",
        "Runaway loops that became an incident, of those that went round 20 times or made 512 invocations.",
        &["class", "parent", "link", "message id", "key only", "none"],
    );
    for class in Class::ALL.into_iter().filter(|class| cells.keys().any(|(known, _)| known == class)) {
        let row = Context::ALL.map(|context| match cells.get(&(class, context)) {
            Some((hits, all)) => format!("{hits}/{all}"),
            None => "-".to_owned(),
        });
        table.row(class.word(), &row);
    }
    table
}

fn time_to_alert(score: &Score) -> Table {
    let mut table = Table::new(
        "To the alert",
        "Median and 90th percentile over the contexts parent, link and message id, plain exporters. Laps are those that \
         had arrived, the rest is counted from the first runaway invocation on.",
        &["class", "laps", "seconds", "invocations", "US dollars"],
    );
    for class in Class::ALL {
        let hits: Vec<Hit> = score
            .loops
            .iter()
            .filter(is_plain)
            .filter(|found| found.class == class && (is_exact(found.context) || class.is_without_chain()))
            .filter_map(|found| found.hit(Rule::Alarm))
            .collect();
        if !hits.is_empty() {
            let cell = |value: fn(&Hit) -> f64, digits| both(hits.iter().map(value).collect(), digits);
            let cells = [
                cell(|hit| hit.laps, 0),
                cell(|hit| hit.seconds, 0),
                cell(|hit| hit.invocations, 0),
                cell(|hit| hit.dollars, 6),
            ];
            table.row(class.word(), &cells);
        }
    }
    table
}

fn rules(score: &Score) -> Table {
    let mut table = Table::new(
        "Rules compared",
        "The simple rules judge by the depths that the same engine has counted. Incidents of one loop within a day are \
         one.",
        &["suite", "rule", "recall", "precision", "wrong incidents per 1,000 loops and day", "laps"],
    );
    let mut suites: Vec<&str> = score.loops.iter().filter(|found| !has_one_r(found)).map(|found| found.suite).collect();
    suites.dedup();
    suites.sort_unstable();
    suites.dedup();
    for suite in suites {
        let found: Vec<&LoopScore> =
            score.loops.iter().filter(|found| found.suite == suite && found.context != Context::None).collect();
        for rule in Rule::ALL {
            let cells = Summary::of(&found, rule).cells();
            table.rows.push([vec![suite.to_owned(), rule.words().to_owned()], cells].concat());
        }
    }
    table
}

/// What a rule was worth on some loops.
#[derive(Clone, Debug)]
pub struct Summary {
    /// Runaway loops.
    pub runaways: u64,
    /// Of these, reported.
    pub hits: u64,
    /// Wrong incidents.
    pub wrong: u64,
    /// Days of harmless loops.
    pub quiet_days: f64,
    /// Laps to the alert.
    pub laps: Vec<f64>,
}

impl Summary {
    /// Adds up what a rule was worth on these loops.
    pub fn of(found: &[&LoopScore], rule: Rule) -> Self {
        let ran_away = || found.iter().filter(|found| found.ran_away);
        let hits: Vec<Hit> = ran_away().filter_map(|found| found.hit(rule)).collect();
        Self {
            runaways: ran_away().count() as u64,
            hits: hits.len() as u64,
            wrong: found.iter().map(|found| u64::from(found.wrong(rule))).sum(),
            quiet_days: found.iter().map(|found| found.quiet_days).sum(),
            laps: hits.iter().map(|hit| hit.laps).collect(),
        }
    }

    /// Part of the runaway loops that was reported.
    pub fn recall(&self) -> f64 {
        share(self.hits, self.runaways)
    }

    /// Part of the incidents that was right.
    pub fn precision(&self) -> f64 {
        share(self.hits, self.hits + self.wrong)
    }

    fn rate(&self) -> String {
        match self.quiet_days > 0.0 {
            true => format!("{:.1}", self.wrong as f64 * 1_000.0 / self.quiet_days),
            false => "-".to_owned(),
        }
    }

    fn cells(&self) -> Vec<String> {
        let rate = self.rate();
        vec![format!("{:.3}", self.recall()), format!("{:.3}", self.precision()), rate, both(self.laps.clone(), 0)]
    }
}

fn look_alikes(score: &Score) -> Table {
    let mut table = Table::new(
        "What only looks like it",
        "Scenarios, over all contexts and knobs, with an incident and with a suspicion; without a history of their own. \
         A control never goes round.",
        &["class", "kind", "scenarios", "incident", "suspicion", "fixed 8", "fixed 16", "cycle in the graph"],
    );
    for class in Class::ALL.into_iter().filter(|class| class.verdict() != Verdict::Runaway) {
        let found: Vec<&LoopScore> =
            score.loops.iter().filter(|found| found.class == class && is_for_looks(found)).collect();
        if found.is_empty() {
            continue;
        }
        let count = |rule| found.iter().filter(|found| found.wrong(rule) > 0).count().to_string();
        let kind = if class.verdict() == Verdict::Control { "control" } else { "bounded" };
        let counts = [Rule::Alarm, Rule::Suspect, Rule::Fixed8, Rule::Fixed16, Rule::Cycle].map(count);
        table.row(class.word(), &[vec![kind.to_owned(), found.len().to_string()], counts.to_vec()].concat());
    }
    table
}

fn edges(score: &Score) -> Table {
    let mut table = Table::new(
        "Causes",
        "Invocation by invocation: precision is the share of found causes that are true, recall the share of true causes \
         that were found, where both sides were exported.",
        &["setting", "context", "found", "precision", "recall", "precision from confidence 0.9 on"],
    );
    let mut sums: BTreeMap<(&str, Context), Edges> = BTreeMap::new();
    for ((setting, context, _), edges) in &score.edges {
        sums.entry((setting, *context)).or_default().add(edges);
    }
    for ((setting, context), edges) in sums.into_iter().filter(|(_, edges)| *edges != Edges::default()) {
        let found = (edges.right + edges.wrong).to_string();
        let share = |part: f64| format!("{part:.4}");
        let shares = [edges.precision(), edges.recall(), edges.sure_precision()].map(share);
        table.row(setting, &[vec![context.word().to_owned(), found], shares.to_vec()].concat());
    }
    table
}

fn knobs(score: &Score) -> Table {
    let mut table = Table::new(
        "Under other knobs",
        "Recall of runaway loops, laps and seconds to the alert, the share of loops under one id, the share whose depth is \
         exact, and the mean error of the depth.",
        &["setting", "context", "runaways", "recall", "laps", "seconds", "one id", "exact depth", "depth error"],
    );
    let mut groups: BTreeMap<(&str, Context), Vec<&LoopScore>> = BTreeMap::new();
    for found in score.loops.iter().filter(|found| found.ran_away && found.suite != suites::SLOW) {
        if found.context != Context::None {
            groups.entry((found.setting, found.context)).or_default().push(found);
        }
    }
    for ((setting, context), found) in groups {
        let hits: Vec<Hit> = found.iter().filter_map(|found| found.hit(Rule::Alarm)).collect();
        let cells = [
            context.word().to_owned(),
            found.len().to_string(),
            format!("{:.3}", share(hits.len() as u64, found.len() as u64)),
            both(hits.iter().map(|hit| hit.laps).collect(), 0),
            both(hits.iter().map(|hit| hit.seconds).collect(), 0),
            format!("{:.3}", one_id(&found)),
            format!(
                "{:.3}",
                share(found.iter().filter(|found| found.depth_error() == 0.0).count() as u64, found.len() as u64)
            ),
            format!("{:.3}", found.iter().map(|found| found.depth_error()).sum::<f64>() / found.len().max(1) as f64),
        ];
        table.row(setting, &cells);
    }
    table
}

/// How to read the tables, above them in a document; `command` made them.
pub fn preface(command: &str) -> String {
    format!(
        "# The scoreboard\n\n\
         How well the engine finds runaway loops, how fast, and how often it is wrong: measured on a corpus of labelled \
         worlds\nof functions in virtual time, never on examples that were chosen to pass. This page is what\n\n\
         ```console\n{command}\n```\n\n\
         printed; `analyzer/corpus` holds the corpus. The same seed gives the same spans, labels and numbers on every \
         machine.\n\n\
         - **Worlds.** Functions with the triggers that Azure counted in 2019, popular by a Zipf law of 1.1, durations \
         lognormal\n  with sigma 0.6, 3 % cold starts. Exports arrive late, 3 % of them twice; clocks are off by up to \
         200 ms.\n\
         - **Contexts.** A cause is told by a parent, by a link in a new trace, by an id that both sides name (message, \
         request,\n  object and version), by a key alone (destination, object, name of the function), or not at all.\n\
         - **Runaway.** Every class is injected among all look-alikes, a few at a time. A loop counts when it went round 20 \
         times or\n  made 512 invocations; chains that multiply may die out before.\n\
         - **Harmless.** How deep harmless recursion goes is invented, because nobody has published it. The last two \
         tables show,\n  chain by chain, that it is as hard as the thresholds of the detectors were derived on.\n\
         - **Incident.** A loop of severity warning or critical. It is right when more than half of the functions are \
         those of a\n  loop that runs away at that time.\n"
    )
}

/// Every loop that was missed, and every wrong incident, a line each.
pub fn mistakes(score: &Score) -> String {
    let mut lines = Vec::new();
    for found in score.loops.iter().filter(|found| !has_one_r(found)) {
        let at = format!("{} | {} | {} | {}", found.suite, found.setting, found.context.word(), found.name);
        if found.ran_away && found.hit(Rule::Alarm).is_none() {
            lines.push(format!("missed | {at} | depth found {}, true {}", found.depth.0, found.depth.1));
        }
        if found.ids > 1 {
            lines.push(format!("several ids | {at} | {}", found.ids));
        }
        for wrong in &found.mistakes {
            lines.push(format!("wrong | {at} | depth {} | {:?}", wrong.depth, wrong.reason));
        }
        if found.class.verdict() == Verdict::Control && found.wrong(Rule::Suspect) > 0 {
            lines.push(format!("suspected control | {at}"));
        }
    }
    for ((setting, context, class), edges) in &score.edges {
        if edges.wrong > 0 || edges.missed > 0 {
            let class = class.word();
            let numbers = format!(
                "{} right, {} wrong, {} missed, {} surely wrong",
                edges.right, edges.wrong, edges.missed, edges.surely_wrong
            );
            lines.push(format!("causes | {setting} | {} | {class} | {numbers}", context.word()));
        }
    }
    lines.join("\n")
}

/// Share of the reported loops that were reported under one id.
pub fn one_id(found: &[&LoopScore]) -> f64 {
    let reported = || found.iter().filter(|found| found.ids > 0);
    share(reported().filter(|found| found.ids == 1).count() as u64, reported().count() as u64)
}

/// Median and 90th percentile.
fn both(values: Vec<f64>, digits: usize) -> String {
    match (quantile(values.clone(), 0.5), quantile(values, 0.9)) {
        (Some(median), Some(p90)) => format!("{median:.digits$}, {p90:.digits$}"),
        _ => "-".to_owned(),
    }
}

impl Table {
    /// A table with a head and no rows yet.
    pub fn new(title: &str, note: &str, head: &[&str]) -> Self {
        let head = head.iter().map(|cell| (*cell).to_owned()).collect();
        Self { title: title.to_owned(), note: note.to_owned(), rows: vec![head] }
    }

    /// Adds a row.
    pub fn row(&mut self, first: &str, cells: &[String]) {
        self.rows.push(std::iter::once(first.to_owned()).chain(cells.iter().cloned()).collect());
    }

    /// The table for a terminal.
    pub fn text(&self) -> String {
        let widths = self.widths();
        let line = |row: &Vec<String>| {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        let lines: Vec<String> = self.rows.iter().map(line).collect();
        format!("{}\n{}\n", self.title, lines.join("\n"))
    }

    /// The table for a document.
    pub fn markdown(&self) -> String {
        let line = |row: &Vec<String>| format!("| {} |", row.join(" | "));
        let mut lines: Vec<String> = self.rows.iter().map(line).collect();
        let columns = self.rows.first().map_or(0, Vec::len);
        lines.insert(1, format!("|{}", "---|".repeat(columns)));
        format!("## {}\n\n{}\n\n{}\n", self.title, self.note, lines.join("\n"))
    }

    fn widths(&self) -> Vec<usize> {
        let columns = self.rows.first().map_or(0, Vec::len);
        let width = |column| self.rows.iter().filter_map(|row: &Vec<String>| row.get(column)).map(String::len).max();
        (0..columns).map(|column| width(column).unwrap_or(0)).collect()
    }
}
