//! The report for people, on a terminal or in the log of a pipeline.

use std::{
    io::{self, Write},
    time::Duration,
};

use loopscope_analyzer::snapshot::{Anomaly, Loop, LoopLevel, Severity, Snapshot};

use super::{
    input::files,
    report::{Judgement, Report},
};
use crate::{convert, sampled};

/// Traces that are shown of one loop.
const TRACES: usize = 3;

/// Latent loops that are listed; further ones are only counted.
const LATENT: usize = 10;

/// Cycles of operations within loops of functions that are listed; further ones are only counted.
const COVERED: usize = 10;

/// Hotspots that are listed.
const HOTSPOTS: usize = 5;

/// Places that are shown of one anomaly.
const PLACES: usize = 3;

/// Before the lines of a loop.
const INDENT: &str = "        ";

/// Writes all of the report; the verdict stands at the end, where the eye of a reader of logs is.
pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    write_size(report, out)?;
    write_loops(report, out)?;
    write_hotspots(report.snapshot, out)?;
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

fn write_loops(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let judged = || report.snapshot.loops.iter().zip(&report.judgements);
    let list = |wanted: Judgement| -> Vec<&Loop> {
        judged().filter(|(_, judgement)| **judgement == wanted).map(|(found, _)| found).collect()
    };
    let (latent, covered) = (list(Judgement::Latent), list(Judgement::Covered));
    let storms = list(Judgement::Finding);
    let is_plain =
        |judgement: &Judgement| !matches!(judgement, Judgement::Latent | Judgement::Covered | Judgement::Finding);
    let others = judged().filter(|(_, judgement)| is_plain(judgement));
    for (place, (found, judgement)) in others.enumerate() {
        if place == 0 {
            writeln!(out, "\nLoops")?;
        }
        write_loop(found, *judgement, report.max_depth, out)?;
    }
    if !covered.is_empty() {
        writeln!(out, "\nOperations that begin again within these loops")?;
    }
    for found in covered.iter().take(COVERED) {
        writeln!(out, "  depth {:>3}  {}", found.max_depth, cycle(&found.operations))?;
    }
    write_more(covered.len(), COVERED, out)?;
    write_storms(&storms, out)?;
    if !latent.is_empty() {
        writeln!(out, "\nLatent loops: cycles in the graph that nothing went round")?;
    }
    for found in latent.iter().take(LATENT) {
        writeln!(out, "  {}", cycle(&found.names))?;
    }
    write_more(latent.len(), LATENT, out)
}

fn write_storms(storms: &[&Loop], out: &mut dyn Write) -> io::Result<()> {
    let storms = storms.iter().filter_map(|found| Some((found, found.retry_storm?)));
    for (place, (found, storm)) in storms.enumerate() {
        if place == 0 {
            writeln!(out, "\nRetry storms: requests that fail and are tried again")?;
        }
        let operations: Vec<&str> = found.operations.iter().map(named).collect();
        let operation = if operations.is_empty() { String::new() } else { format!(": {}", operations.join(", ")) };
        writeln!(out, "  {}{operation}", found.names.join(" -> "))?;
        let layers = if storm.amplification > storm.attempts_per_request {
            format!(", {:.1} with the layers below", storm.amplification)
        } else {
            String::new()
        };
        writeln!(
            out,
            "        {:.1} attempts a request{layers}; {} of {} tried again",
            storm.attempts_per_request,
            storm.retried,
            count(storm.requests, "request"),
        )?;
        write_traces(found, out)?;
    }
    Ok(())
}

fn write_traces(found: &Loop, out: &mut dyn Write) -> io::Result<()> {
    let traces: Vec<String> = found.exemplars.iter().take(TRACES).map(ToString::to_string).collect();
    if traces.is_empty() { Ok(()) } else { writeln!(out, "        trace {}", traces.join(", ")) }
}

fn write_more(all: usize, listed: usize, out: &mut dyn Write) -> io::Result<()> {
    if all > listed {
        writeln!(out, "  and {} more (--format json lists all)", all - listed)?;
    }
    Ok(())
}

fn write_loop(found: &Loop, judgement: Judgement, max_depth: u32, out: &mut dyn Write) -> io::Result<()> {
    let mark = if judgement.fails() { "FAIL" } else { "ok  " };
    let names = if found.level == LoopLevel::Operation { cycle(&found.operations) } else { cycle(&found.names) };
    let environment = if found.environment.is_empty() { String::new() } else { format!(" ({})", found.environment) };
    writeln!(out, "  {mark}  {names}{environment}")?;
    let severity = match found.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let state = convert::loop_(found);
    writeln!(
        out,
        "        level {}, depth {} in {}, {}{}, {}, {severity}",
        found.level.word(),
        found.max_depth,
        count(found.chains, "chain"),
        count(found.laps, "lap"),
        found.lap_p50_ms.map(|ms| format!(" of {} each", milliseconds(ms))).unwrap_or_default(),
        state.state().word(),
    )?;
    match found.level {
        LoopLevel::Operation => writeln!(out, "        in {}", found.names.join(", "))?,
        LoopLevel::Function if !found.operations.is_empty() => {
            let operations: Vec<&str> = found.operations.iter().map(named).collect();
            writeln!(out, "        through {}", operations.join(", "))?;
        }
        LoopLevel::Function => {}
    }
    write_line(INDENT, sampled::kept("laps", found.sampling_probability), out)?;
    write_line(INDENT, sampled::hidden_depth(found.continuation_probability, found.alarm_depth.is_some()), out)?;
    write_line(INDENT, why(found, judgement, max_depth), out)?;
    write_traces(found, out)?;
    writeln!(out, "        id {}", found.id)
}

fn write_line(indent: &str, said: Option<String>, out: &mut dyn Write) -> io::Result<()> {
    said.map_or(Ok(()), |said| writeln!(out, "{indent}{said}"))
}

/// Why a loop is judged as it is, where that is not plain.
fn why(found: &Loop, judgement: Judgement, max_depth: u32) -> Option<String> {
    if judgement == Judgement::Tolerated {
        return Some(format!("tolerated by --max-depth {max_depth}"));
    }
    let declared = found.intended.as_ref()?;
    let depth = declared.max_depth.map(|depth| format!(" up to depth {depth}"));
    let rate = declared.max_rate_per_minute.map(|rate| format!(" up to {rate} laps a minute"));
    let bounds: Vec<String> = depth.into_iter().chain(rate).collect();
    let bounds = bounds.join(" and");
    let said = |text: &str, before: &str| if text.is_empty() { String::new() } else { format!("{before}{text}") };
    match judgement {
        Judgement::Intended => Some(format!("intended{bounds}{}", said(&declared.reason, ": "))),
        Judgement::BeyondIntended => Some(format!("intended only{bounds}{}", said(&declared.owner, "; ask "))),
        Judgement::Expired => Some(format!("was intended, and that has expired{}", said(&declared.owner, "; ask "))),
        _ => None,
    }
}

fn write_hotspots(snapshot: &Snapshot, out: &mut dyn Write) -> io::Result<()> {
    if snapshot.hotspots.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nHotspots")?;
    let name = |id| {
        let function = snapshot.functions.iter().find(|node| node.id == id).map(|node| &node.name);
        function.or_else(|| snapshot.resources.iter().find(|node| node.id == id).map(|node| &node.name))
    };
    for spot in snapshot.hotspots.iter().take(HOTSPOTS) {
        let target = spot.edge.and_then(|(_, target)| name(target)).map(|name| format!(" -> {name}"));
        writeln!(
            out,
            "  {:>2}. {}{}, {}: {:.0} % of the time of all roots, p95 {}, {}",
            spot.rank,
            spot.name,
            target.unwrap_or_default(),
            spot.cause.word(),
            spot.share * 100.0,
            milliseconds(spot.p95_ms),
            count(spot.samples, "time"),
        )?;
    }
    Ok(())
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
    let failing = report.judgements.iter().filter(|judgement| judgement.fails()).count();
    let judged = |wanted: fn(&Judgement) -> bool| report.judgements.iter().filter(|each| wanted(each)).count();
    let tolerated = judged(|each| matches!(each, Judgement::Tolerated | Judgement::Intended));
    let latent = judged(|each| *each == Judgement::Latent);
    let verdict = if failing == 0 { "clean".to_owned() } else { format!("{} too deep", count(failing, "loop")) };
    writeln!(out, "\n{verdict} ({tolerated} tolerated, {latent} latent)")
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
