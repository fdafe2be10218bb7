//! The report for people, on a terminal or in the log of a pipeline. What it says of loops is in `text/loops.rs`, of
//! hotspots in `text/hotspots.rs`, and of patterns in `text/patterns.rs`.

mod hotspots;
mod loops;
mod patterns;

use std::{
    io::{self, Write},
    time::Duration,
};

use loopscope_analyzer::snapshot::{Anomaly, Loop};

use super::{
    input::files,
    report::{Judgement, Report, fails_without_depth},
};
use crate::{convert, sampled};

/// Places that are shown of one anomaly.
const PLACES: usize = 3;

/// Writes all of the report; the verdict stands at the end, where the eye of a reader of logs is.
pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    write_size(report, out)?;
    loops::write(report, out)?;
    hotspots::write(report.snapshot, out)?;
    patterns::write(&report.snapshot.patterns, out)?;
    write_anomalies(&report.snapshot.anomalies, out)?;
    write_verdict(report, out)
}

fn write_size(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let size = &report.size;
    let time = |at| convert::event_time(at).map(|time| time.to_string());
    let times = match (size.first.and_then(time), size.last.and_then(time)) {
        (Some(first), Some(last)) => format!(", {first} to {last}"),
        _ => String::new(),
    };
    let snapshot = report.snapshot;
    let calls: u64 = snapshot.edges.iter().map(|edge| edge.calls).sum();
    let invocations: u64 = snapshot.functions.iter().map(|function| function.invocations).sum();
    let twice = usize::try_from(snapshot.losses.duplicates).unwrap_or(usize::MAX);
    let spans = count(size.spans.saturating_sub(twice), "span");
    writeln!(out, "{spans} in {}, {}{times}", count(size.traces, "trace"), files(size.sources))?;
    writeln!(
        out,
        "{}, {}, {}, {invocations} invocations, {calls} calls",
        count(snapshot.functions.len(), "function"),
        count(snapshot.resources.len(), "resource"),
        count(snapshot.edges.len(), "edge"),
    )?;
    let seen = snapshot.functions.iter().map(|node| node.invocations as f64 * node.sampling_probability.unwrap_or(1.0));
    let seen: f64 = seen.sum();
    let part = Some(seen / invocations as f64)
        .filter(|_| snapshot.functions.iter().any(|node| node.sampling_probability.is_some()));
    write_line("", sampled::kept("invocations", part), out)
}

fn write_anomalies(anomalies: &[Anomaly], out: &mut dyn Write) -> io::Result<()> {
    if anomalies.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nAnomalies: what cannot be right in the input")?;
    for anomaly in anomalies {
        writeln!(out, "  {:>6}  {}", anomaly.count, anomaly.kind.word())?;
        for place in anomaly.exemplars.iter().take(PLACES) {
            let spans: Vec<String> = place.spans.iter().map(ToString::to_string).collect();
            writeln!(out, "          trace {}, span {}", place.trace_id, spans.join(" -> "))?;
        }
    }
    Ok(())
}

fn write_verdict(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let judged = |wanted: fn(&Judgement) -> bool| report.judgements.iter().filter(|each| wanted(each)).count();
    let tolerated = judged(|each| matches!(each, Judgement::Tolerated | Judgement::Intended));
    let latent = judged(|each| *each == Judgement::Latent);
    let failing = report.snapshot.loops.iter().zip(&report.judgements).filter(|(_, judgement)| judgement.fails());
    let (others, deep): (Vec<&Loop>, Vec<&Loop>) =
        failing.map(|(found, _)| found).partition(|found| fails_without_depth(found));
    let verdict = match (deep.len(), others.len()) {
        (0, 0) => "clean".to_owned(),
        (deep, 0) => format!("{} too deep", count(deep, "loop")),
        (0, others) => count(others, "alarm"),
        (deep, others) => format!("{} too deep and {}", count(deep, "loop"), count(others, "other alarm")),
    };
    writeln!(out, "\n{verdict} ({tolerated} tolerated, {latent} latent)")
}

fn write_line(indent: &str, said: Option<String>, out: &mut dyn Write) -> io::Result<()> {
    said.map_or(Ok(()), |said| writeln!(out, "{indent}{said}"))
}

/// A cycle as people read it: back to where it began.
fn cycle<T: AsRef<str>>(names: &[T]) -> String {
    let names: Vec<&str> = names.iter().chain(names.first()).map(named).collect();
    names.join(" -> ")
}

/// A name; some spans have none.
fn named<T: AsRef<str>>(name: &T) -> &str {
    if name.as_ref().is_empty() { "(no name)" } else { name.as_ref() }
}

fn count<T: Copy + std::fmt::Display + PartialEq + From<u8>>(number: T, word: &str) -> String {
    if number == T::from(1) { format!("{number} {word}") } else { format!("{number} {word}s") }
}

fn milliseconds(ms: f64) -> String {
    let rounded = Duration::try_from_secs_f64(ms / 1e3).unwrap_or_default();
    let unit = if ms >= 1_000.0 { Duration::from_millis(10) } else { Duration::from_micros(10) };
    let rounded =
        Duration::from_nanos(u64::try_from(rounded.as_nanos() / unit.as_nanos() * unit.as_nanos()).unwrap_or(u64::MAX));
    format!("{rounded:?}")
}
