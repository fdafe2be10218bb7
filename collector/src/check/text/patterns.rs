//! What the report for people says of the patterns that functions make.

use std::io::{self, Write};

use loopscope_analyzer::snapshot::{
    Decorator, EventHandler, FanIn, FanOut, FunctionKind, Likeness, NamedNode, Patterns, Pipeline, Router, Straggler,
};

use super::{count, milliseconds, named};

/// Patterns of one kind that are listed; further ones are only counted.
const LISTED: usize = 5;

/// Functions of one likeness that are named; further ones are only counted.
const NAMED: usize = 5;

/// Writes all patterns, and what functions are like.
pub(super) fn write(found: &Patterns, out: &mut dyn Write) -> io::Result<()> {
    let groups =
        [decorators(found), handlers(found), pipelines(found), fan_outs(found), fan_ins(found), routers(found)];
    let dead = dead(found);
    if groups.iter().all(Vec::is_empty) && dead.is_empty() && found.kinds.is_empty() {
        return Ok(());
    }
    writeln!(out, "\nPatterns")?;
    for (kind, lines) in KINDS.iter().zip(groups.iter().chain([&dead])) {
        for line in lines.iter().take(LISTED) {
            writeln!(out, "  {kind:<13}  {line}")?;
        }
        if let Some(more) = lines.len().checked_sub(LISTED).filter(|more| *more > 0) {
            writeln!(out, "  {kind:<13}  and {more} more")?;
        }
    }
    for (word, likeness) in [("functions", Likeness::Faas), ("services", Likeness::Service)] {
        let alike: Vec<&FunctionKind> = found.kinds.iter().filter(|kind| kind.likeness == likeness).collect();
        if !alike.is_empty() {
            let names: Vec<&str> = alike.iter().take(NAMED).map(|kind| name(&kind.function)).collect();
            let more = if alike.len() > NAMED { " and more" } else { "" };
            writeln!(out, "  {} like {word}: {}{more}", alike.len(), names.join(", "))?;
        }
    }
    Ok(())
}

/// In the order in which they are written.
const KINDS: [&str; 7] = ["decorator", "event handler", "pipeline", "fan-out", "fan-in", "router", "dead"];

fn decorators(found: &Patterns) -> Vec<String> {
    let line = |it: &Decorator| {
        let way = format!("{} -> {} -> {}", name(&it.caller), name(&it.function), name(&it.callee));
        let waits = percent(it.waiting_share);
        format!(
            "{way}: waits {waits} of its time, {} in all{}",
            milliseconds(it.waiting_ms),
            sure(it.runs, it.confidence)
        )
    };
    found.decorators.iter().map(line).collect()
}

fn handlers(found: &Patterns) -> Vec<String> {
    let line = |it: &EventHandler| {
        let sources: Vec<&str> = it.sources.iter().map(|source| name(&source.resource)).collect();
        let of = if sources.is_empty() { String::new() } else { format!(" of {}", sources.join(", ")) };
        format!("{}: {}{of}{}", name(&it.function), it.trigger, sure(it.runs, it.confidence))
    };
    found.event_handlers.iter().map(line).collect()
}

fn pipelines(found: &Patterns) -> Vec<String> {
    let line = |it: &Pipeline| {
        let stages: Vec<&str> = it.stages.iter().map(|stage| name(&stage.function)).collect();
        let time = it.end_to_end.map_or(String::new(), |end| {
            let (p50, p95) = (milliseconds(end.p50_ms), milliseconds(end.p95_ms));
            format!(": p50 {p50}, p95 {p95} from end to end, waiting {} of it", percent(end.queue_share))
        });
        let slowest = it.stages.get(it.slowest).map_or("", |stage| name(&stage.function));
        format!("{}{time}; the slowest is {slowest}{}", stages.join(" ~> "), sure(it.runs, it.confidence))
    };
    found.pipelines.iter().map(line).collect()
}

fn fan_outs(found: &Patterns) -> Vec<String> {
    let line = |it: &FanOut| {
        let each = format!("{:.1} for each run", it.children_per_run);
        let at_once = it.parallelism.map_or(String::new(), |at_once| format!(", {at_once:.1} at a time"));
        let last = straggler(it.straggler);
        format!("{} -> {}: {each}{at_once}{last}{}", name(&it.function), name(&it.target), sure(it.runs, it.confidence))
    };
    found.fan_outs.iter().map(line).collect()
}

fn fan_ins(found: &Patterns) -> Vec<String> {
    let line = |it: &FanIn| {
        let producers: Vec<&str> = it.producers.iter().take(NAMED).map(name).collect();
        let from = if producers.is_empty() { "(nobody seen)".to_owned() } else { producers.join(", ") };
        let more = if it.producers.len() > NAMED { " and more" } else { "" };
        let each = format!("{:.1} messages for each run", it.messages_per_run);
        let last = straggler(it.straggler);
        format!("{from}{more} -> {}: {each}{last}{}", name(&it.function), sure(it.runs, it.confidence))
    };
    found.fan_ins.iter().map(line).collect()
}

fn routers(found: &Patterns) -> Vec<String> {
    let line = |it: &Router| {
        let ways = it.routes.iter().take(NAMED).map(|way| format!("{} {}", name(&way.target), percent(way.share)));
        let more = if it.routes.len() > NAMED { " and more" } else { "" };
        let ways: Vec<String> = ways.collect();
        format!("{} -> {}{more}{}", name(&it.function), ways.join(", "), sure(it.runs, it.confidence))
    };
    found.routers.iter().map(line).collect()
}

fn dead(found: &Patterns) -> Vec<String> {
    found.dead.iter().map(|it| format!("{}: no run for {}", named(&it.name), count(it.quiet_days, "day"))).collect()
}

fn straggler(found: Option<Straggler>) -> String {
    found.map_or(String::new(), |last| format!(", the slowest takes {:.1} times as long", last.ratio))
}

fn sure(runs: u64, confidence: f64) -> String {
    format!(" ({}, {} sure)", count(runs, "run"), percent(confidence))
}

fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

fn name(node: &NamedNode) -> &str {
    named(&node.name)
}

#[cfg(test)]
mod tests {
    use expect_test::expect;
    use loopscope_analyzer::snapshot::{DeadFunction, EndToEnd, NodeId, PipelineStage};

    use super::*;

    fn node(id: u64, name: &str) -> NamedNode {
        NamedNode { id: NodeId(id), name: name.into() }
    }

    #[test]
    fn patterns_are_lines_and_few_of_each() {
        let decorator = |at: u64| Decorator {
            function: node(at, "auth"),
            caller: node(98, "gate"),
            callee: node(99, "api"),
            runs: 14,
            calls_per_run: 1.0,
            self_share: 0.1,
            waiting_share: 0.9,
            waiting_ms: 1_260.0,
            waiting_cost_per_day: None,
            confidence: 0.512,
        };
        let stage = |id, name| PipelineStage {
            function: node(id, name),
            over: None,
            mean_ms: 5.0,
            wait_mean_ms: 1.0,
            p95_ms: 6.0,
        };
        let end_to_end = Some(EndToEnd { p50_ms: 107.0, p95_ms: 120.0, queue_share: 0.4, chains: 7 });
        let stages = vec![stage(1, "take"), stage(2, "cut"), stage(3, "store")];
        let found = Patterns {
            decorators: (0..7).map(decorator).collect(),
            pipelines: vec![Pipeline { stages, end_to_end, slowest: 1, runs: 1, confidence: 0.05 }],
            dead: vec![DeadFunction { id: None, name: "old".into(), is_configured: true, quiet_days: 9, edges: 0 }],
            ..Patterns::default()
        };
        let mut text = Vec::new();
        write(&found, &mut text).unwrap();
        expect![[r#"

            Patterns
              decorator      gate -> auth -> api: waits 90 % of its time, 1.26s in all (14 runs, 51 % sure)
              decorator      gate -> auth -> api: waits 90 % of its time, 1.26s in all (14 runs, 51 % sure)
              decorator      gate -> auth -> api: waits 90 % of its time, 1.26s in all (14 runs, 51 % sure)
              decorator      gate -> auth -> api: waits 90 % of its time, 1.26s in all (14 runs, 51 % sure)
              decorator      gate -> auth -> api: waits 90 % of its time, 1.26s in all (14 runs, 51 % sure)
              decorator      and 2 more
              pipeline       take ~> cut ~> store: p50 107ms, p95 120ms from end to end, waiting 40 % of it; the slowest is cut (1 run, 5 % sure)
              dead           old: no run for 9 days
        "#]].assert_eq(&String::from_utf8(text).unwrap());
        let mut text = Vec::new();
        write(&Patterns::default(), &mut text).unwrap();
        assert!(text.is_empty());
    }
}
