//! The scoreboard of where time and money go, as tables.

use std::collections::BTreeMap;

use crate::{
    performance::{
        fault::Kind,
        hotspots::FaultScore,
        patterns::Pattern,
        regressions::Told,
        risks::RISKS,
        score::Score,
        targets::{self, WITHIN, found_of, found_within, risk_of, slowdowns},
    },
    report::{self, Table},
    score::quantile,
};

/// All tables of what was run.
pub fn tables(score: &Score) -> Vec<Table> {
    let mut tables = vec![
        report::targets(&targets::targets(score)),
        faults(score),
        what_ifs(score),
        drawn(score),
        delays(score),
        changes(score),
        patterns(score),
        risks(score),
        costs(score),
    ];
    // What was not run has a head and nothing below.
    tables.retain(|table| table.rows.len() > 1);
    tables
}

fn faults(score: &Score) -> Table {
    let mut table = Table::new(
        "Places that became slower",
        "One fault in each system, against the time before it: how often the place to blame is ranked first, within the \
         first two, and within the first five of all places where time can go. Own code, gaps and leaks are injected \
         where at least 2 % of the time of some root goes.",
        &["fault", "systems", "places, least", "places, median", "first", "first two", "first five", "not listed"],
    );
    for kind in Kind::ALL {
        let found: Vec<&FaultScore> = score.faults.iter().filter(|found| found.kind.words() == kind.words()).collect();
        table.row_of_faults(&kind.words(), &found);
    }
    let all: Vec<&FaultScore> = score.faults.iter().collect();
    table.row_of_faults("all", &all);
    table
}

impl Table {
    fn row_of_faults(&mut self, words: &str, found: &[&FaultScore]) {
        if found.is_empty() {
            return;
        }
        let mut places: Vec<usize> = found.iter().map(|found| found.candidates).collect();
        places.sort_unstable();
        let part = |ranks| format!("{:.3}", found_within(found, ranks));
        let cells = [
            found.len().to_string(),
            places[0].to_string(),
            places[places.len() / 2].to_string(),
            part(1),
            part(WITHIN),
            part(5),
            found.iter().filter(|found| found.rank.is_none()).count().to_string(),
        ];
        self.row(words, &cells);
    }
}

fn what_ifs(score: &Score) -> Table {
    let mut table = Table::new(
        "What a faster place buys",
        "For each root of some systems, what the engine says that the 95th percentile falls by when a place takes 10 % and \
         50 % less, from the requests that it saw: against how far it falls, in the mean over 1,500 of them, when 60,000 \
         others are run again with that place faster. Kendall's tau-b over all places that requests of the root wait for; \
         and the same between two halves of what was run again, which says how much of the order is not by chance.",
        &["system", "root", "requests", "places", "tau, 10 %", "tau, 50 %", "halves, 10 %", "halves, 50 %"],
    );
    for found in &score.what_ifs {
        let tau = |tau: Option<f64>| tau.map_or("-".to_owned(), |tau| format!("{tau:.3}"));
        let cells = [
            found.root.clone(),
            found.requests.to_string(),
            found.places.to_string(),
            tau(found.tau[0]),
            tau(found.tau[1]),
            tau(found.halves[0]),
            tau(found.halves[1]),
        ];
        table.row(&format!("{} functions", found.size), &cells);
    }
    table
}

fn drawn(score: &Score) -> Table {
    let mut table = Table::new(
        "Series that do not change",
        "Only the counts of windows are drawn, for functions that run 10 to 2,000 times a minute: how often the sums over \
         windows are full, before anybody looks into it. After half an hour of baseline, and in waves, they are harder.",
        &["windows", "series", "days", "taken for slower, a day", "taken for faster, a day"],
    );
    for drawn in &score.drawn {
        let faster = f64::from(drawn.alarms.improvements) / f64::from(drawn.days);
        let slower = format!("{:.2}", drawn.regressions_a_day());
        let cells = [drawn.series.to_string(), drawn.days.to_string(), slower, format!("{faster:.2}")];
        table.row(drawn.words, &cells);
    }
    table
}

fn delays(score: &Score) -> Table {
    let mut table = Table::new(
        "How soon",
        "Windows of a minute until the sums are full, where 10,000 series share one false alarm a day.",
        &["times slower", "runs a minute", "windows, median and 90th percentile", "found within a day"],
    );
    for (factor, rate, delays) in &score.delays {
        let windows = format!("{}, {}", delays.median, delays.p90);
        table.row(&factor.to_string(), &[rate.to_string(), windows, format!("{:.2}", delays.found)]);
    }
    table
}

fn changes(score: &Score) -> Table {
    let mut table = Table::new(
        "A hundred functions, span by span",
        "Thirty runs a minute each, more by day than by night; every tenth becomes slower once, half of these with a new \
         version five minutes before.",
        &["times slower", "functions", "told", "minutes, median and 90th percentile", "new versions", "named"],
    );
    let mut by_factor: BTreeMap<String, Vec<&Told>> = BTreeMap::new();
    for told in slowdowns(score) {
        by_factor.entry(told.slowdown.factor.to_string()).or_default().push(told);
    }
    for (factor, told) in by_factor {
        let minutes: Vec<f64> = told.iter().filter_map(|told| told.minutes).collect();
        let at = |part| quantile(minutes.clone(), part).map_or("-".to_owned(), |minutes| format!("{minutes:.0}"));
        let count = |is_so: fn(&Told) -> bool| told.iter().filter(|told| is_so(told)).count().to_string();
        let cells = [
            told.len().to_string(),
            minutes.len().to_string(),
            format!("{}, {}", at(0.5), at(0.9)),
            count(|told| told.slowdown.is_deployed),
            count(|told| told.version == Some(true)),
        ];
        table.row(&factor, &cells);
    }
    table
}

fn patterns(score: &Score) -> Table {
    let mut table = Table::new(
        "Patterns",
        "Planted among what looks like them: wrappers that do work of their own, call twice, not always or for two; handlers \
         that are called as well; two stages; two branches; five callees once each; two producers; calls that are \
         optional; functions that rest.",
        &["pattern", "planted", "found", "made up", "precision", "recall"],
    );
    for pattern in Pattern::ALL {
        let Some(found) = found_of(score, pattern) else { continue };
        let cells = [
            found.planted.to_string(),
            found.right.to_string(),
            found.wrong.to_string(),
            format!("{:.3}", found.precision()),
            format!("{:.3}", found.recall()),
        ];
        table.row(pattern.words(), &cells);
    }
    table
}

fn risks(score: &Score) -> Table {
    let mut table = Table::new(
        "Functions at risk",
        "Two hours of functions at one risk each, and of as many that are easily taken for it. Time-outs: three to a hundred \
         runs a day that take longer than they may, half of them without a span; tails that end before the limit (less than \
         one run in three days), runs that give up by themselves, fail because somebody else is slow, or start slowly. \
         Leaks: memory that grows by 0.1 to 0.8 % a run; high-water marks, caches that fill, large requests. Throttles: 2 to \
         30 % of the calls refused; runs that fail, that a table refuses something, that callers give up, and one call \
         in 300. Cold starts: 10 to 50 % of the runs, 4 to 15 times as long as one; rare ones, quick ones, and slow runs for \
         another reason. Chatty state: 12 to 50 uses in a row; at once, fewer, in one run of 100, and of no store.",
        &["risk", "at risk", "look like it", "found", "made up", "precision", "recall"],
    );
    for risk in RISKS {
        let Some((found, look_alikes)) = risk_of(score, risk) else { continue };
        let cells = [
            found.planted.to_string(),
            look_alikes.to_string(),
            found.right.to_string(),
            found.wrong.to_string(),
            format!("{:.3}", found.precision()),
            format!("{:.3}", found.recall()),
        ];
        table.row(&risk.word().replace('_', " "), &cells);
    }
    table
}

fn costs(score: &Score) -> Table {
    let mut table = Table::new(
        "Cost",
        "Systems on four platforms, charged run by run by a ledger of their own at the built-in list prices.",
        &["functions", "runs", "billed, US dollars", "off in total", "off for a function, largest"],
    );
    for cost in &score.costs {
        let largest = cost.errors.iter().copied().fold(0.0, f64::max);
        let cells = [
            cost.runs.to_string(),
            format!("{:.6}", cost.billed),
            format!("{:.6} %", cost.total_error * 100.0),
            format!("{:.6} %", largest * 100.0),
        ];
        table.row(&cost.functions.to_string(), &cells);
    }
    table
}

/// What stands above the tables in a document.
pub fn preface(command: &str) -> String {
    format!(
        "# Where the time and the money go: the scoreboard\n\n\
         How well the engine tells which place is slow, what became slower, what a system is made of and what it costs:\n\
         measured on labelled systems of functions in virtual time. This page is what\n\n\
         ```console\n{command}\n```\n\n\
         printed; `analyzer/corpus/src/performance` holds the systems. The same seed gives the same spans, labels and \
         numbers on\nevery machine. The loops stand in [the scoreboard](scoreboard.md).\n\n\
         - **Systems.** 20 to 200 functions below a few roots, in sequence and in parallel branches, with stores, queues \
         and\n  topics. Own work is lognormal with sigma 0.6, waits with 0.5. Exports arrive late, 3 % of them twice; in \
         half of the\n  systems clocks are off by up to 20 ms, in half of them messages begin new traces that link back, \
         and in half of them an\n  instance starts before its first run rather than within it.\n\
         - **Places.** A function's own code, its cold starts, the gap of each edge, the wait of each function for each \
         store and\n  queue, and of messages in each queue.\n\
         - **Truth.** All draws of a run come from the number of its request and its path, so that the same requests can be \
         run\n  again with one place faster and nothing else changed.\n"
    )
}

/// Every place that was ranked too low and everything else that was missed or made up, a line each.
pub fn mistakes(score: &Score) -> String {
    let is_low = |found: &&FaultScore| found.rank.is_none_or(|rank| rank > WITHIN);
    let line = |found: &FaultScore| {
        let rank = found.rank.map_or("not listed".to_owned(), |rank| format!("rank {rank}"));
        let (culprit, first) = &found.words;
        let what = format!("{} | {culprit}, {:.1} % | {rank}", found.kind.words(), found.share * 100.0);
        format!("hotspot | seed {}, {} functions | {what} | first: {}", found.seed, found.size, first.join("; "))
    };
    let mut lines: Vec<String> = score.faults.iter().filter(is_low).map(line).collect();
    for change in &score.changes {
        lines.extend(change.wrong.iter().map(|wrong| format!("false regression | {wrong}")));
        let missed = change.slowdowns.iter().filter(|told| told.minutes.is_none());
        lines.extend(missed.map(|told| format!("missed regression | {:?}", told.slowdown)));
    }
    lines.extend(score.patterns.iter().flat_map(|part| part.mistakes.iter().map(|line| format!("pattern | {line}"))));
    lines.extend(score.risks.iter().flat_map(|part| part.mistakes.iter().map(|line| format!("risk | {line}"))));
    lines.extend(score.costs.iter().map(|cost| format!("cost | seed {} | {}", cost.seed, cost.worst)));
    lines.join("\n")
}
