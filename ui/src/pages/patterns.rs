//! What the system is made of: pipelines, fan-outs and fan-ins, decorators, event handlers, routers, functions that do not
//! run, and what each function is like.

use leptos::prelude::*;
use loopscope_proto::v1::{
    DeadFunction, Decorator, EventHandler, FanIn, FanOut, FunctionKind, PatternNode, PatternReport, Pipeline,
    PipelineStage, Router,
};

use crate::app::App;
use crate::client::patterns_url;
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::parts::fetched::Answer;
use crate::parts::nothing_here;
use crate::parts::range::{self, Usual};
use crate::parts::rows::{Cell, Column, Order, Row, Rows, number, text};
use crate::url::{Range, Route};
use crate::words::functions::runs;
use crate::words::patterns as words;

/// The page.
pub fn patterns() -> AnyView {
    let app = App::get();
    let answer = Answer::<PatternReport>::of(range::asked(app, Usual::Hour, patterns_url));
    let order = Order::by(3, true);
    let content = move || {
        let range = app.range();
        let shown = answer.show("The collector knows no patterns.", |it| show(it, &range, &order));
        let sentence = "What functions make together, as seen in what they did.";
        let answered = answer.peek(|it| it.range).flatten();
        range::page(range::head(app, "Patterns", sentence, Usual::Hour, answered.as_ref()), shown)
    };
    patch::live(content)
}

fn show(it: &PatternReport, range: &Range, order: &Order) -> Vec<Element> {
    let currency = &it.currency;
    let mut shown = Vec::new();
    let mut section = |title: &str, meaning: &str, cards: Vec<Element>| {
        if !cards.is_empty() {
            let count = el("span", "count").text(&format!(" {}", cards.len()));
            shown.push(el("h2", "section-title").text(title).child(count));
            shown.push(el("p", "muted").text(meaning));
            shown.push(el("ul", "cards").all(cards));
        }
    };
    section(
        "Pipelines",
        "Functions in a row, each of which sends to the next alone.",
        it.pipelines.iter().map(|it| pipeline(it, range)).collect(),
    );
    section(
        "Fan-outs",
        "Functions whose runs cause three or more over one edge.",
        it.fan_outs.iter().map(|it| fan_out(it, range)).collect(),
    );
    section(
        "Fan-ins",
        "Functions that bring together what several sent.",
        it.fan_ins.iter().map(|it| fan_in(it, range)).collect(),
    );
    section(
        "Routers",
        "Functions that send each request one of several ways.",
        it.routers.iter().map(|it| router(it, range)).collect(),
    );
    section(
        "Decorators",
        "Functions that do little but call one other for one caller, and wait for it.",
        it.decorators.iter().map(|it| decorator(it, currency, range)).collect(),
    );
    section(
        "Event handlers",
        "Functions that messages or changes of stores start, and nobody calls.",
        it.event_handlers.iter().map(|it| event_handler(it, range)).collect(),
    );
    section("Dead functions", "Known, and not run for a week.", it.dead.iter().map(dead).collect());
    if shown.is_empty() {
        shown.push(nothing_here(
            "No pattern in this time",
            "Choose a longer range: a pattern needs some runs to be told from chance.",
        ));
    }
    if !it.kinds.is_empty() {
        shown.push(order.table(kinds(&it.kinds, range)));
    }
    if it.dropped > 0 {
        let text = format!(
            "For {} there was no room to count.",
            format::counted(it.dropped, "message or chain", "messages and chains")
        );
        shown.push(el("p", "muted").text(&text));
    }
    shown
}

/// Leads to a function, or to a resource on the map.
fn node(it: Option<&PatternNode>, is_function: bool, range: &Range) -> Element {
    let (id, name) = it.map(|it| (it.id.clone(), it.name.as_str())).unwrap_or_default();
    let route = if is_function { Route::Function { id, range: range.clone() } } else { Route::node(id) };
    link(route.href(), name)
}

fn arrow() -> Element {
    el("span", "arrow").text(" → ")
}

/// Nodes with arrows between them.
fn chain(nodes: Vec<Element>) -> Element {
    let mut title = el("h2", "");
    for (at, node) in nodes.into_iter().enumerate() {
        title = if at > 0 { title.child(arrow()).child(node) } else { title.child(node) };
    }
    title
}

/// Several nodes on a line.
fn several(word: &str, nodes: Vec<Element>) -> Element {
    let mut line = el("p", "muted").text(word);
    for (at, node) in nodes.into_iter().enumerate() {
        line = if at > 0 { line.text(", ").child(node) } else { line.child(node) };
    }
    line
}

fn card(test: &str, title: Element, lines: Vec<Element>, count: f64, confidence: f64) -> Element {
    let number =
        |value: String, name: &str| el("div", "").child(el("dt", "").text(name)).child(el("dd", "").text(&value));
    el("li", "card").test(test).child(el("div", "card-main").child(title).all(lines)).child(
        el("dl", "card-numbers").child(number(runs(count), "runs")).child(number(format::percent(confidence), "sure")),
    )
}

fn says(text: &str) -> Element {
    el("p", "card-meaning").text(text)
}

fn pipeline(it: &Pipeline, range: &Range) -> Element {
    let ends = it.stages.iter().map(|stage| node(stage.function.as_ref(), true, range));
    let stages = it.stages.iter().enumerate().map(|(at, it_)| stage(it_, at == it.slowest_stage as usize, range));
    let lines = vec![says(&words::end_to_end(it.end_to_end.as_ref())), el("ol", "stages").all(stages.collect())];
    card("pipeline", chain(ends.collect()), lines, it.runs as f64, it.confidence)
}

fn stage(it: &PipelineStage, is_slowest: bool, range: &Range) -> Element {
    let mut line = el("li", if is_slowest { "slowest" } else { "" });
    if let Some(over) = &it.over {
        line = line.child(node(Some(over), false, range)).child(arrow());
    }
    let wait =
        if it.wait_mean_ms > 0.0 { format!("waits {}, ", format::duration(it.wait_mean_ms)) } else { String::new() };
    let times =
        format!(" {wait}takes {} in the mean, p95 {}", format::duration(it.mean_ms), format::duration(it.p95_ms));
    let line = line.child(node(it.function.as_ref(), true, range)).child(el("span", "muted").text(&times));
    if is_slowest { line.child(el("span", "chip severity-warning").text("▲ slowest")) } else { line }
}

fn fan_out(it: &FanOut, range: &Range) -> Element {
    let target_runs = it.children.iter().any(|child| Some(&child.id) == it.target.as_ref().map(|it| &it.id));
    let ends = vec![node(it.function.as_ref(), true, range), node(it.target.as_ref(), target_runs, range)];
    let mut lines = vec![says(&words::fan_out(it))];
    lines.extend(words::straggler(it.straggler.as_ref(), "The slowest of a run").map(|text| says(&text)));
    if !target_runs {
        lines.push(several("run by ", it.children.iter().map(|it| node(Some(it), true, range)).collect()));
    }
    card("fan-out", chain(ends), lines, it.runs as f64, it.confidence)
}

fn fan_in(it: &FanIn, range: &Range) -> Element {
    let mut lines = vec![says(&words::fan_in(it))];
    lines.extend(
        words::straggler(it.straggler.as_ref(), "The message that waits longest for a run").map(|text| says(&text)),
    );
    lines.push(several("from ", it.producers.iter().map(|it| node(Some(it), true, range)).collect()));
    card("fan-in", chain(vec![node(it.function.as_ref(), true, range)]), lines, it.runs as f64, it.confidence)
}

fn router(it: &Router, range: &Range) -> Element {
    let ways = it.routes.iter().map(|way| {
        let share = el("span", "muted").text(&format!(" {}", format::percent(way.share)));
        el("li", "").child(node(way.target.as_ref(), false, range)).child(share)
    });
    let lines = vec![says(&words::router(it)), el("ul", "plain").all(ways.collect())];
    card("router", chain(vec![node(it.function.as_ref(), true, range)]), lines, it.runs as f64, it.confidence)
}

fn decorator(it: &Decorator, currency: &str, range: &Range) -> Element {
    let ends = [&it.caller, &it.function, &it.callee].map(|it| node(it.as_ref(), true, range));
    card("decorator", chain(ends.into()), vec![says(&words::decorator(it, currency))], it.runs as f64, it.confidence)
}

fn event_handler(it: &EventHandler, range: &Range) -> Element {
    let mut lines = vec![says(&words::event_handler(it))];
    if !it.sources.is_empty() {
        let sources = it.sources.iter().map(|source| node(source.resource.as_ref(), false, range));
        lines.push(several("from ", sources.collect()));
    }
    card("event-handler", chain(vec![node(it.function.as_ref(), true, range)]), lines, it.runs as f64, it.confidence)
}

fn dead(it: &DeadFunction) -> Element {
    let whence = if it.is_configured { "The configuration names it." } else { "It ran once." };
    let text = format!(
        "Quiet for {}. {whence} {} to or from it.",
        format::counted(it.quiet_days.into(), "day", "days"),
        format::counted(it.edges.into(), "edge leads", "edges lead")
    );
    let name =
        if it.id.is_empty() { el("span", "").text(&it.name) } else { link(Route::node(&it.id).href(), &it.name) };
    el("li", "card").test("dead").child(el("div", "card-main").child(el("h2", "").child(name)).child(says(&text)))
}

const KIND_COLUMNS: [Column; 5] =
    [("Function", false), ("Is like", false), ("Sure", true), ("Runs", true), ("Because", false)];

fn kinds(list: &[FunctionKind], range: &Range) -> Rows {
    let row = |it: &FunctionKind| {
        let (id, name) = it.function.as_ref().map(|it| (it.id.clone(), it.name.clone())).unwrap_or_default();
        Row {
            key: id.clone(),
            href: Route::Function { id, range: range.clone() }.href(),
            cells: vec![
                text(&name),
                text(words::likeness(&it.likeness).0),
                number(format::percent(it.confidence), it.confidence),
                number(format::count(it.runs), it.runs as f64),
                Cell { class: "words", ..text(&words::evidence(it)) },
            ],
        }
    };
    Rows {
        caption: "FaaS-like and service-like functions",
        row: "kind-row",
        columns: &KIND_COLUMNS,
        rows: list.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopscope_proto::v1::{EndToEnd, Straggler};

    fn named(name: &str) -> Option<PatternNode> {
        Some(PatternNode { id: format!("id-{name}"), name: name.to_owned() })
    }

    fn shown(it: &PatternReport) -> String {
        Owner::new().set();
        crate::html::words(&show(it, &Range::default(), &Order::by(3, true)))
    }

    #[test]
    fn a_pipeline_shows_its_stages_and_the_slowest() {
        let stage = |name, over: Option<PatternNode>, mean_ms| PipelineStage {
            function: named(name),
            over,
            mean_ms,
            p95_ms: mean_ms * 2.0,
            wait_mean_ms: 5.0,
        };
        let it = Pipeline {
            stages: vec![
                stage("split", None, 10.0),
                stage("encode", named("chunks"), 400.0),
                stage("join", None, 20.0),
            ],
            end_to_end: Some(EndToEnd { p50_ms: 450.0, p95_ms: 900.0, queue_share: 0.02, chains: 7 }),
            slowest_stage: 1,
            runs: 7,
            confidence: 0.9,
        };
        let text = shown(&PatternReport { pipelines: vec![it], ..PatternReport::default() });
        assert!(text.contains("split → encode → join From end to end 450 ms in the median"), "{text}");
        assert!(
            text.contains("chunks → encode waits 5 ms, takes 400 ms in the mean, p95 800 ms ▲ slowest join"),
            "{text}"
        );
        assert_eq!(text.matches("slowest").count(), 1);
        assert!(text.ends_with("runs 7 sure 90 %"), "{text}");
    }

    #[test]
    fn patterns_are_told_with_who_makes_them() {
        let straggler = Some(Straggler { longest_p95_ms: 90.0, p50_ms: 30.0, ratio: 3.0, runs: 9 });
        let it = PatternReport {
            fan_outs: vec![FanOut {
                function: named("map"),
                target: named("jobs"),
                children: named("work").into_iter().collect(),
                straggler,
                ..FanOut::default()
            }],
            fan_ins: vec![FanIn {
                function: named("sum"),
                producers: named("work").into_iter().collect(),
                messages_per_run: 8.0,
                ..FanIn::default()
            }],
            decorators: vec![Decorator {
                function: named("auth"),
                caller: named("front"),
                callee: named("shop"),
                ..Decorator::default()
            }],
            dead: vec![DeadFunction {
                name: "old".into(),
                quiet_days: 9,
                is_configured: true,
                ..DeadFunction::default()
            }],
            kinds: vec![FunctionKind { function: named("map"), likeness: "faas".into(), ..FunctionKind::default() }],
            ..PatternReport::default()
        };
        let text = shown(&it);
        for part in [
            "map → jobs A run causes 0 by messages. The slowest of a run takes 90 ms",
            "run by work",
            "sum A run handles 8 messages. from work",
            "front → auth → shop",
            "old Quiet for 9 days. The configuration names it. 0 edges lead",
            "map FaaS-like 0 % 0",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(shown(&PatternReport::default()).starts_with("No pattern"));
    }
}
