//! The scoreboard of where time and money go, as tables.

use crate::{
    performance::{
        fault::Kind,
        hotspots::FaultScore,
        score::Score,
        targets::{self, WITHIN, found_within},
    },
    report::{self, Table},
};

/// All tables of what was run.
pub fn tables(score: &Score) -> Vec<Table> {
    if score.is_empty() {
        return Vec::new();
    }
    vec![report::targets(&targets::targets(score)), faults(score)]
}

fn faults(score: &Score) -> Table {
    let mut table = Table::new(
        "Places that became slower",
        "One fault in each system, against the time before it: how often the place to blame is ranked first, within the \
         first two, and within the first five of all places where time can go.",
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

/// What stands above the tables in a document.
pub fn preface(command: &str) -> String {
    format!(
        "# Where the time and the money go: the scoreboard\n\n\
         How well the engine tells which place is slow and what that costs, measured on labelled systems of functions in \
         virtual\ntime. This page is what\n\n\
         ```console\n{command}\n```\n\n\
         printed; `analyzer/corpus/src/performance` holds the systems. The same seed gives the same spans, labels and \
         numbers on\nevery machine. The loops stand in [the scoreboard](scoreboard.md).\n"
    )
}

/// Every place that was ranked too low, a line each.
pub fn mistakes(score: &Score) -> String {
    let is_low = |found: &&FaultScore| found.rank.is_none_or(|rank| rank > WITHIN);
    let line = |found: &FaultScore| {
        let rank = found.rank.map_or("not listed".to_owned(), |rank| format!("rank {rank}"));
        let (culprit, first) = &found.words;
        let what = format!("{} | {culprit}, {:.1} % | {rank}", found.kind.words(), found.share * 100.0);
        format!("hotspot | seed {}, {} functions | {what} | first: {}", found.seed, found.size, first.join("; "))
    };
    score.faults.iter().filter(is_low).map(line).collect::<Vec<_>>().join("\n")
}
