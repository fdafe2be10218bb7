//! `loopscope check`: the engine over files of spans, without a server, at the spans' own time.
//!
//! It is for pipelines that test a system before it goes out, and for a look at a capture. All spans are read first,
//! then replayed in the order of their causes, so that no lap is lost to lateness; the verdict is an exit code.
//!
//! - `input` finds files and reads spans out of them, `order` sorts them, `replay` runs the engine.
//! - `report` says which loops are tolerated, `text` writes for people.
//!
//! It opens no port, needs no data folder and reads no settings but its own flags.

mod input;
mod order;
mod replay;
mod report;
mod text;

use std::{
    io::{self, BufRead, Write},
    path::PathBuf,
    time::Duration,
};

use loopscope_analyzer::{detect::hotspot::Baseline, intended, span::ArrivalTime};

pub use self::input::{InputError, SPANS};
use self::{input::Input, report::Report};
use crate::{
    clock,
    intended::file::{self, FileError},
};

/// Clocks may run ahead of this machine's by this much; what lies further in the future is no time at all.
const FUTURE: Duration = Duration::from_secs(600);

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Files, folders, and `-` for standard input.
    pub paths: Vec<PathBuf>,
    /// How the answer is written.
    pub format: Format,
    /// Laps of one chain that are tolerated.
    pub max_depth: u32,
    /// A file of intended loops, each with a bound of its own.
    pub allow: Option<PathBuf>,
    /// Files, folders, and `-`, that the hotspots are held against; without them, they are where the time goes.
    pub baseline: Vec<PathBuf>,
}

/// How the answer is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One object `{graph, loops, hotspots, patterns, anomalies, ..}` of the API's messages.
    Json,
}

/// What the check says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// No loop is deeper than is tolerated, and nothing without laps is an alarm.
    Clean,
    /// At least one is.
    Loops,
}

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The spans cannot be read.
    #[error(transparent)]
    Input(#[from] InputError),
    /// There is a baseline and nothing to hold against it.
    #[error(
        "--baseline took the only file that is named; name the files to check before it, or after it as the last one"
    )]
    BaselineAlone,
    /// The intended loops cannot be read.
    #[error(transparent)]
    Allow(#[from] FileError),
    /// The answer cannot be written.
    #[error("the report cannot be written: {0}")]
    Output(#[from] io::Error),
}

/// Where a check reads and writes.
pub struct Streams<'a> {
    /// Standard input, for `-`.
    pub input: &'a mut dyn BufRead,
    /// Where the report goes.
    pub output: &'a mut dyn Write,
    /// Where remarks go.
    pub remarks: &'a mut dyn Write,
    /// True when the remarks are read on a terminal, so that progress can be shown in place.
    pub shows_progress: bool,
}

/// Checks the files and writes the report.
///
/// # Errors
/// When there is nothing to check, or something that cannot be read.
pub fn run(options: &Options, streams: &mut Streams<'_>) -> Result<Verdict, CheckError> {
    if options.paths.is_empty() {
        return Err(CheckError::BaselineAlone);
    }
    let baseline = read_baseline(&options.baseline, streams)?;
    let declared = options.allow.as_deref().map(file::read).transpose()?.unwrap_or_default();
    let now = clock::unix_nanos();
    let Input { spans, sources, losses, .. } = read(&options.paths, streams)?;
    let size = report::Size::of(&spans, sources);
    let steps = order::in_causal_order(spans, ArrivalTime(now).after(FUTURE));
    let mut found = replay::replay(steps, &losses, baseline.as_ref(), streams)?;
    for each in &mut found.loops {
        if let Some(state) = intended::find(&declared, each, ArrivalTime(now)) {
            state.apply(each);
        }
    }
    let report = Report::new(&found, size, options.max_depth);
    match options.format {
        Format::Text => text::write(&report, streams.output)?,
        Format::Json => {
            serde_json::to_writer_pretty(&mut *streams.output, &report.message()).map_err(io::Error::from)?;
            writeln!(streams.output)?;
        }
    }
    streams.output.flush()?;
    Ok(report.verdict())
}

/// What was measured in the files that the others are held against; `None` when there are none.
fn read_baseline(paths: &[PathBuf], streams: &mut Streams<'_>) -> Result<Option<Baseline>, CheckError> {
    if paths.is_empty() {
        return Ok(None);
    }
    let Input { spans, losses, .. } = read(paths, streams)?;
    let steps = order::in_causal_order(spans, ArrivalTime(clock::unix_nanos()).after(FUTURE));
    Ok(Some(replay::baseline(steps, &losses, streams)?))
}

/// Reads spans, and says what was not read.
fn read(paths: &[PathBuf], streams: &mut Streams<'_>) -> Result<Input, CheckError> {
    let input = input::read(paths, streams)?;
    for remark in input::remarks(&input.skipped, &input.rejected) {
        writeln!(streams.remarks, "loopscope: {remark}")?;
    }
    Ok(input)
}

impl Streams<'_> {
    /// Says in place how far the check has come; an empty text takes it away.
    fn progress(&mut self, text: &str) -> io::Result<()> {
        if !self.shows_progress {
            return Ok(());
        }
        write!(self.remarks, "\r\x1b[K{text}")?;
        self.remarks.flush()
    }
}
