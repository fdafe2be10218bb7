//! What the report for people says of loops, and of findings that are none.

use std::io::{self, Write};

use loopscope_analyzer::snapshot::{Flow, Loop, LoopClass, LoopLevel, Severity};

use super::{count, cycle, milliseconds, named, write_line};
use crate::{
    alert::incident::is_cycle,
    check::report::{Judgement, Report},
    convert, sampled,
};

/// Traces that are shown of one loop.
const TRACES: usize = 3;

/// Latent loops that are listed; further ones are only counted.
const LATENT: usize = 10;

/// Cycles of operations within loops of functions that are listed; further ones are only counted.
const COVERED: usize = 10;

/// Before the lines of a loop.
const INDENT: &str = "        ";

/// Writes all loops and findings, those that fail first of their kind.
pub(super) fn write(report: &Report<'_>, out: &mut dyn Write) -> io::Result<()> {
    let judged = || report.snapshot.loops.iter().zip(&report.judgements);
    let list = |wanted: Judgement| -> Vec<&Loop> {
        judged().filter(|(_, judgement)| **judgement == wanted).map(|(found, _)| found).collect()
    };
    let is_plain =
        |judgement: &Judgement| !matches!(judgement, Judgement::Latent | Judgement::Covered | Judgement::Finding);
    let (loops, alarms): (Vec<_>, Vec<_>) =
        judged().filter(|(_, judgement)| is_plain(judgement)).partition(|(found, _)| is_cycle(found));
    let (storms, others): (Vec<&Loop>, Vec<&Loop>) =
        list(Judgement::Finding).into_iter().partition(|found| found.retry_storm.is_some());
    let others: Vec<_> = others.into_iter().map(|found| (found, &Judgement::Finding)).collect();
    write_all("Loops", &loops, report.max_depth, out)?;
    write_covered(&list(Judgement::Covered), out)?;
    write_all("Alarms that are no loops", &alarms, report.max_depth, out)?;
    write_storms(&storms, out)?;
    write_all("Other findings", &others, report.max_depth, out)?;
    write_latent(&list(Judgement::Latent), out)
}

fn write_all(title: &str, judged: &[(&Loop, &Judgement)], max_depth: u32, out: &mut dyn Write) -> io::Result<()> {
    if !judged.is_empty() {
        writeln!(out, "\n{title}")?;
    }
    judged.iter().try_for_each(|(found, judgement)| write_loop(found, **judgement, max_depth, out))
}

fn write_covered(covered: &[&Loop], out: &mut dyn Write) -> io::Result<()> {
    if !covered.is_empty() {
        writeln!(out, "\nOperations that begin again within these loops")?;
    }
    for found in covered.iter().take(COVERED) {
        writeln!(out, "  depth {:>3}  {}", found.max_depth, cycle(&found.operations))?;
    }
    write_more(covered.len(), COVERED, out)
}

fn write_latent(latent: &[&Loop], out: &mut dyn Write) -> io::Result<()> {
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
    let names = match found.level {
        LoopLevel::Operation => cycle(&found.operations),
        LoopLevel::Function if is_cycle(found) => cycle(&found.names),
        LoopLevel::Function => found.names.join(", "),
    };
    let environment = if found.environment.is_empty() { String::new() } else { format!(" ({})", found.environment) };
    writeln!(out, "  {mark}  {names}{environment}")?;
    let severity = match found.severity {
        Severity::Info => "info",
        Severity::Warning => "warning",
        Severity::Critical => "critical",
    };
    let state = convert::loop_(found);
    writeln!(out, "{INDENT}{}, {}, {severity}", extent(found), state.state().word())?;
    write_line(INDENT, found.flow.as_ref().map(by_count), out)?;
    match found.level {
        LoopLevel::Operation => writeln!(out, "        in {}", found.names.join(", "))?,
        LoopLevel::Function if !found.operations.is_empty() => {
            let operations: Vec<&str> = found.operations.iter().map(named).collect();
            writeln!(out, "        through {}", operations.join(", "))?;
        }
        LoopLevel::Function => {}
    }
    write_line(INDENT, sampled::kept("laps", found.sampling_probability), out)?;
    write_line(INDENT, sampled::hidden_depth(found), out)?;
    write_line(INDENT, why(found, judgement, max_depth), out)?;
    write_traces(found, out)?;
    writeln!(out, "        id {}", found.id)
}

/// How deep and how much.
fn extent(found: &Loop) -> String {
    let is = |class| found.max_depth == 0 && found.classes.contains(&class);
    if is(LoopClass::NoProgress) {
        format!("the same thing is handled again and again, in {}", count(found.chains, "chain"))
    } else if is(LoopClass::Telemetry) {
        format!("telemetry of its own exports is exported, in {}", count(found.chains, "export"))
    } else if found.max_depth == 0 {
        format!("level {}, no chain can be followed, {:.0} laps a minute", found.level.word(), found.laps_per_minute)
    } else {
        format!(
            "level {}, depth {} in {}, {}{}",
            found.level.word(),
            found.max_depth,
            count(found.chains, "chain"),
            count(found.laps, "lap"),
            found.lap_p50_ms.map(|ms| format!(" of {} each", milliseconds(ms))).unwrap_or_default(),
        )
    }
}

fn by_count(flow: &Flow) -> String {
    let r = flow.reproduction;
    format!("by count, each invocation causes {:.2} ({:.2} to {:.2}) further ones", r.mean, r.low, r.high)
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
        Judgement::BeyondIntended => {
            let breach = convert::breach(&declared.judgement);
            Some(format!("intended{bounds}, but {breach}{}", said(&declared.owner, "; ask ")))
        }
        Judgement::Expired => Some(format!("was intended, and that has expired{}", said(&declared.owner, "; ask "))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use loopscope_analyzer::{
        intended::{self, Intended, Target},
        snapshot::{Assessment, LoopState, Reason, Reproduction, Snapshot},
        span::ArrivalTime,
    };

    use super::*;
    use crate::{alert::machine::tests::found, check::report::Size};

    fn text(loops: Vec<Loop>) -> String {
        let snapshot = Snapshot { loops, ..Snapshot::default() };
        let report = Report::new(&snapshot, Size::of(&[], 1), 0);
        let mut text = Vec::new();
        super::super::write(&report, &mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    #[track_caller]
    fn check(loops: Vec<Loop>, expected: &[&str]) {
        let text = text(loops);
        for words in expected {
            assert!(text.contains(words), "{words:?} is missing in {text}");
        }
    }

    fn alarm(reason: Reason) -> Loop {
        let found = found(1, LoopState::Persistent, Severity::Warning, 0);
        Loop { assessment: Assessment::Alarm, reasons: vec![reason], ..found }
    }

    #[test]
    fn a_runaway_that_only_counts_tell_is_marked_and_described() {
        let flow = Flow {
            reproduction: Reproduction { mean: 1.0, low: 0.94, high: 1.06 },
            laps_per_minute: 200.0,
            immigrants_per_minute: 0.0,
            hops: Vec::new(),
        };
        check(
            vec![Loop { flow: Some(flow), ..alarm(Reason::Flow) }],
            &[
                "\nLoops\n  FAIL  thumbnail -> thumbnail (prod)\n",
                "level function, no chain can be followed, 200 laps a minute, persistent, warning\n",
                "by count, each invocation causes 1.00 (0.94 to 1.06) further ones\n",
                "\n1 alarm (0 tolerated, 0 latent)\n",
            ],
        );
    }

    #[test]
    fn findings_that_are_no_loops_are_listed() {
        let entity = Loop { classes: vec![LoopClass::NoProgress], chains: 25, ..alarm(Reason::NoProgress) };
        let over = Loop { assessment: Assessment::Unremarkable, state: LoopState::Closed, ..entity.clone() };
        check(
            vec![entity],
            &[
                "\nAlarms that are no loops\n  FAIL  thumbnail (prod)\n",
                "the same thing is handled again and again, in 25 chains, persistent, warning\n",
            ],
        );
        check(vec![over], &["\nOther findings\n  ok    thumbnail (prod)\n", "\nclean (0 tolerated, 0 latent)\n"]);
        let telemetry = Loop { classes: vec![LoopClass::Telemetry], chains: 1, ..alarm(Reason::Telemetry) };
        let deep = found(2, LoopState::Persistent, Severity::Info, 3);
        check(vec![telemetry, deep], &["in 1 export, ", "\n1 loop too deep and 1 other alarm ("]);
    }

    #[test]
    fn the_bound_that_broke_is_the_one_that_is_named() {
        let mut it = Loop { max_depth: 8, state: LoopState::Growing, ..alarm(Reason::FanOut) };
        let declared = Intended {
            id: "one".into(),
            target: Target::Loop(it.id),
            operations: Vec::new(),
            environment: None,
            max_depth: Some(20),
            max_rate_per_minute: None,
            owner: "media".into(),
            reason: "".into(),
            expires: None,
        };
        it.intended = intended::find(&[declared], &it, ArrivalTime(0));
        let words = "intended up to depth 20, but its laps multiply, and no rate is declared; ask media\n";
        check(vec![it], &["  FAIL  thumbnail", words]);
    }
}
