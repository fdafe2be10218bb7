//! Runs the corpus and prints the scoreboard.

use std::{process::ExitCode, time::Instant};

use clap::{Parser, ValueEnum};
use loopscope_analyzer::config::Config;
use loopscope_corpus::{
    class::Class,
    performance,
    report::{self, Table},
    score::Score,
    suites::{self, Job, Size},
    targets::{self, Target},
    watch,
    world::World,
};
use rayon::prelude::*;
use serde_json::json;

/// Runs the labelled corpus through the engine and prints what it found, what it missed and what it made up.
#[derive(Parser)]
struct Options {
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Only what fits into two minutes.
    #[arg(long)]
    smoke: bool,
    /// Only these classes, separated by commas.
    #[arg(long, value_delimiter = ',', value_parser = class)]
    classes: Vec<Class>,
    /// Which of the two corpora is run.
    #[arg(long, value_enum, default_value_t = Corpus::All)]
    corpus: Corpus,
    /// Only these suites, separated by commas.
    #[arg(long, value_delimiter = ',')]
    suites: Vec<String>,
    /// After the tables, every missed loop and every wrong incident.
    #[arg(long)]
    mistakes: bool,
    /// How the tables are written.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Corpus {
    /// Both.
    All,
    /// Functions that run away.
    Loops,
    /// Where the time and the money go.
    Performance,
}

#[derive(Clone, Copy, PartialEq, ValueEnum)]
enum Format {
    Text,
    Json,
    Markdown,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut targets = Vec::new();
    if options.corpus != Corpus::Performance {
        targets.extend(loops(&options));
    }
    if options.corpus != Corpus::Loops && options.classes.is_empty() {
        targets.extend(places(&options));
    }
    let mut is_reached = true;
    for target in targets.iter().filter(|target| target.is_missed()) {
        eprintln!("not reached: {}", target.name);
        is_reached = false;
    }
    if is_reached { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

impl Options {
    fn size(&self) -> Size {
        if self.smoke { Size::Smoke } else { Size::Full }
    }

    fn wants(&self, suite: &str) -> bool {
        self.suites.is_empty() || self.suites.iter().any(|wanted| wanted == suite)
    }
}

/// Runs the functions that run away.
fn loops(options: &Options) -> Vec<Target> {
    let classes = if options.classes.is_empty() { Class::ALL.to_vec() } else { options.classes.clone() };
    let start = Instant::now();
    let is_wanted = |job: &Job| options.wants(job.suite);
    let jobs: Vec<Job> = suites::jobs(options.seed, options.size(), &classes).filter(is_wanted).collect();
    let worlds = jobs.len();
    if worlds == 0 {
        return Vec::new();
    }
    // One at a time for each processor, the long ones first; the scores are put together in the order of the jobs.
    let scores: Vec<Score> = jobs.into_par_iter().with_max_len(1).map(scored).collect();
    let mut score = Score::default();
    scores.into_iter().for_each(|part| score.merge(part));
    let targets = targets::targets(&score, options.seed);
    print(options, Corpus::Loops, &targets, &report::tables(&score, options.seed));
    if options.mistakes {
        println!("{}", report::mistakes(&score));
    }
    eprintln!(
        "{worlds} worlds, {} spans, {:.1} s, {:.1} s in the engine on all processors together",
        score.spans,
        start.elapsed().as_secs_f64(),
        score.engine_seconds
    );
    targets
}

/// Runs the systems of which is known where their time and money goes.
fn places(options: &Options) -> Vec<Target> {
    use performance::{report, score::Score, suites, targets};
    let start = Instant::now();
    let is_wanted = |job: &suites::Job| options.wants(job.suite());
    let jobs: Vec<_> = suites::jobs(options.seed, options.size()).into_iter().filter(is_wanted).collect();
    let worlds = jobs.len();
    if worlds == 0 {
        return Vec::new();
    }
    let scores: Vec<Score> = jobs.into_par_iter().with_max_len(1).map(suites::Job::run).collect();
    let mut score = Score::default();
    scores.into_iter().for_each(|part| score.merge(part));
    let targets = targets::targets(&score);
    print(options, Corpus::Performance, &targets, &report::tables(&score));
    if options.mistakes {
        println!("{}", report::mistakes(&score));
    }
    eprintln!("{worlds} systems, {} spans, {:.1} s", score.spans, start.elapsed().as_secs_f64());
    targets
}

/// What the engine made of one world.
fn scored(job: Job) -> Score {
    let context = job.plan.knobs.context;
    let outcome = watch::run(World::new(job.plan), &Config::recommended());
    let mut score = Score::default();
    score.add(job.suite, job.setting, context, &outcome);
    score
}

fn print(options: &Options, corpus: Corpus, targets: &[Target], tables: &[Table]) {
    match options.format {
        Format::Text => tables.iter().for_each(|table| println!("{}", table.text())),
        Format::Markdown => {
            let size = if options.smoke { " --smoke" } else { "" };
            let seed = options.seed;
            let (name, preface): (_, fn(&str) -> String) = match corpus {
                Corpus::Performance => ("performance", performance::report::preface),
                _ => ("loops", report::preface),
            };
            let program = "cargo run --release -p loopscope-corpus --";
            let command = format!("{program} --corpus {name} --seed {seed}{size} --format markdown");
            print!("{}", preface(&command));
            tables.iter().for_each(|table| print!("\n{}", table.markdown()));
        }
        Format::Json => {
            let targets: Vec<_> = targets
                .iter()
                .map(|target| {
                    json!({
                        "name": target.name,
                        "wanted": target.wanted.to_string(),
                        "measured": target.measured,
                        "reached": target.is_reached(),
                    })
                })
                .collect();
            println!(
                "{:#}",
                json!({"seed": options.seed, "smoke": options.smoke, "targets": targets, "tables": tables})
            );
        }
    }
}

fn class(word: &str) -> Result<Class, String> {
    Class::named(word).ok_or_else(|| {
        let known: Vec<&str> = Class::ALL.iter().map(|class| class.word()).collect();
        format!("no such class; there are {}", known.join(", "))
    })
}
