//! Describes what is selected on the map: a node, the edges between two nodes, or a loop.

use std::rc::Rc;

use leptos::prelude::*;
use loopscope_proto::v1::{Edge, Exemplars, Function, Resource};

use crate::app::App;
use crate::client::{edge_exemplars_url, node_exemplars_url};
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::model::{Model, slowness};
use crate::parts::fetched::Answer;
use crate::parts::{ago, icon, loop_chips, sampled, stat, stat_of, trace_links};
use crate::scene::{self, Tone, share};
use crate::url::{MapQuery, Route, Selection};
use crate::words;

/// The panel on the right.
pub(super) fn inspector(app: App, query: Memo<MapQuery>) -> AnyView {
    let url = Memo::new(move |_| {
        query.with(|query| match query.selection.as_ref()? {
            Selection::Node(id) => Some(node_exemplars_url(id)),
            Selection::Edge { source, target } => Some(edge_exemplars_url(source, target)),
        })
    });
    let answer = Answer::<Exemplars>::of(url);
    let content = move || {
        let now = app.now.get();
        let query = query.get();
        let range = app.range();
        let shown = app.model.with(|model| match (&query.selection, &query.loop_id) {
            (Some(Selection::Node(id)), _) => {
                let details = Route::Function { id: id.clone(), range }.href();
                node(model, id, &details, now)
            }
            (Some(Selection::Edge { source, target }), _) => edge(model, source, target),
            (None, Some(id)) => of_loop(model, id, now),
            (None, None) => Vec::new(),
        });
        let close = move |_: &_| {
            app.change_map(|query| {
                query.selection = None;
                query.loop_id = None;
            });
        };
        let button = el("button", "icon-button inspector-close")
            .attr("type", "button")
            .attr("aria-label", "Close")
            .attr("title", "Close (Esc)")
            .on("click", Rc::new(close))
            .child(icon::sign("close"));
        let panel = el("aside", "inspector").attr("aria-label", "What is selected").test("inspector");
        let panel = panel.child(button).all(shown);
        vec![if query.selection.is_some() { panel.child(exemplars(&answer)) } else { panel }]
    };
    patch::live(content)
}

fn head(kicker: &str, id: &str, title: Element) -> Element {
    let title = title.test("inspector-title").attr("data-id", id);
    el("header", "inspector-head").child(el("p", "kicker").text(kicker)).child(title)
}

fn node(model: &Model, id: &str, details: &str, now: f64) -> Vec<Element> {
    let function = model.functions.get(id);
    let kicker = if function.is_some() { "Function" } else { "Resource" };
    let mut shown = vec![head(kicker, id, el("h2", "").text(model.node_name(id)))];
    match function {
        Some(it) => {
            shown.extend(function_numbers(it, now));
            let more = link(details.to_owned(), "Everything about it").attr("class", "button");
            shown.push(el("p", "").child(more));
        }
        None => shown.push(el("p", "muted facts-line").text(&resource_facts(model.resources.get(id)))),
    }
    shown.extend(loops_through(model, id));
    let (calls_in, calls_out) = if function.is_some() { ("Started by", "Calls") } else { ("Used by", "Leads to") };
    shown.extend(neighbours(model, id, calls_in, false));
    shown.extend(neighbours(model, id, calls_out, true));
    shown
}

fn function_numbers(it: &Function, now: f64) -> Vec<Element> {
    let ratio = slowness(it).map(format::times).unwrap_or_default();
    let (tone, verdict) = match scene::tone(it) {
        Tone::Critical => ("tone-crit", format!("▲▲ Very slow: p95 is {ratio} its baseline")),
        Tone::Slow => ("tone-slow", format!("▲ Slow: p95 is {ratio} its baseline")),
        Tone::Fast => ("tone-fast", format!("Faster than usual: p95 is {ratio} its baseline")),
        Tone::Normal => ("muted", "As fast as usual".to_owned()),
        Tone::Untraced => {
            ("muted", "It exists and is not traced: logs or metrics tell of it, and no span does.".to_owned())
        }
        Tone::Learning | Tone::Resource => ("muted", "Still learning its baseline".to_owned()),
    };
    let environment = if it.environment.is_empty() { String::new() } else { format!(" · {}", it.environment) };
    let facts = format!("{}{environment} · last run ", it.kind.replace('_', " "));
    let part = |n: u64| format!("{} ({})", format::count(n), format::percent(share(n, it.invocations)));
    vec![
        el("p", "muted facts-line").text(&facts).child(ago(it.last_seen.as_ref(), now)),
        el("p", &format!("verdict {tone}")).text(&verdict),
        sampled(&words::sampled(it.sampling_probability)),
        el("dl", "numbers").all(vec![
            stat("rate", format::rate(it.rate_per_second)),
            stat("runs", format::count(it.invocations)),
            stat("errors", part(it.errors)),
            stat("cold starts", part(it.cold_starts)),
            stat("p50", format::duration(it.p50_ms)),
            stat("p95", format::duration(it.p95_ms)),
            stat("p95 now", format::duration_or_dash(it.current_p95_ms)),
            stat("p95 baseline", format::duration_or_dash(it.baseline_p95_ms)),
        ]),
    ]
}

fn resource_facts(it: Option<&Resource>) -> String {
    let Some(it) = it else { return "It is not on the map any more.".to_owned() };
    let facts = [it.kind.clone(), it.system.replace('_', " ")];
    facts.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" · ")
}

fn section(title: &str, list: Element) -> Element {
    el("section", "").child(el("h3", "").text(title)).child(list)
}

fn loops_through(model: &Model, id: &str) -> Option<Element> {
    let lines: Vec<Element> = model
        .loops_through(id)
        .map(|it| {
            let title = words::loop_title(it, |id| model.node_name(id));
            el("li", "")
                .child(link(Route::loop_on_map(&it.id).href(), &title))
                .child(el("span", "loop-badge").text(&words::loop_badge(it)))
        })
        .collect();
    (!lines.is_empty()).then(|| section("Loops", el("ul", "loop-lines").all(lines)))
}

fn neighbours(model: &Model, id: &str, title: &str, out: bool) -> Option<Element> {
    let edges = model.edges.values().filter(|edge| if out { edge.source == id } else { edge.target == id });
    let mut edges: Vec<(&str, &Edge)> =
        edges.map(|edge| (model.node_name(if out { &edge.target } else { &edge.source }), edge)).collect();
    edges.sort_by_key(|(name, edge)| (*name, edge.kind.as_str()));
    let line = |(name, edge): (&str, &Edge)| {
        let numbers = format!("{} · {}", edge.kind, format::rate(edge.rate_per_second));
        el("li", "")
            .child(link(Route::edge(&edge.source, &edge.target).href(), name))
            .child(el("span", "muted").text(&numbers))
    };
    let lines: Vec<Element> = edges.into_iter().map(line).collect();
    (!lines.is_empty()).then(|| section(title, el("ul", "edge-lines").all(lines)))
}

fn edge(model: &Model, source: &str, target: &str) -> Vec<Element> {
    let end = |id: &str| link(Route::node(id).href(), model.node_name(id));
    let title = el("h2", "").child(end(source)).child(el("span", "arrow").text(" → ")).child(end(target));
    let mut shown = vec![head("Edge", &format!("{source}~{target}"), title)];
    let kinds: Vec<Element> = model.edges_between(source, target).map(edge_numbers).collect();
    if kinds.is_empty() {
        shown.push(el("p", "muted").text("Nothing has passed here so far."));
    }
    shown.extend(kinds);
    if source != target && model.edges_between(target, source).next().is_some() {
        shown.push(el("p", "").child(link(Route::edge(target, source).href(), "The way back")));
    }
    shown
}

fn edge_numbers(it: &Edge) -> Element {
    let errors = format!("{} ({})", format::count(it.errors), format::percent(share(it.errors, it.calls)));
    let numbers = el("dl", "numbers").all(vec![
        stat("rate", format::rate(it.rate_per_second)),
        stat("calls", format::count(it.calls)),
        stat("errors", errors),
        stat("gap p95", format::duration_or_dash(it.gap_p95_ms)),
        stat("p50", format::duration(it.p50_ms)),
        stat("p95", format::duration(it.p95_ms)),
    ]);
    el("section", "")
        .child(el("h3", "").text(&it.kind))
        .child(sampled(&words::sampled(it.sampling_probability)))
        .child(numbers)
}

fn exemplars(answer: &Answer<Exemplars>) -> Element {
    let content = answer.show("None kept.", |it| match it.trace_ids.is_empty() {
        true => vec![el("p", "muted").text("None kept.")],
        false => vec![trace_links(&it.trace_ids)],
    });
    el("section", "").test("exemplars").child(el("h3", "").text("Traces")).all(content)
}

fn of_loop(model: &Model, id: &str, now: f64) -> Vec<Element> {
    let Some(it) = model.loops.get(id) else {
        return vec![head("Loop", id, el("h2", "").text("This loop is not known any more"))];
    };
    let title = el("h2", "").text(&words::loop_title(it, |id| model.node_name(id)));
    let open = link(Route::Loop(id.to_owned()).href(), "Open the loop").attr("class", "button primary");
    let traces = match it.exemplar_trace_ids.is_empty() {
        true => el("p", "muted").text("None kept."),
        false => trace_links(&it.exemplar_trace_ids),
    };
    vec![
        head("Loop", id, title).child(loop_chips(it)),
        el("p", "lead").text(&words::loop_meaning(it)),
        sampled(&words::sampled_laps(it)),
        el("dl", "numbers").all(vec![
            stat("laps deep", format::count(it.max_depth.into())),
            stat("alarm at", words::alarm_depth(it)),
            stat("R", words::mean_ratio(it)),
            stat("next 24 h", words::next_day(it.cost.as_ref())),
            stat("now", format::per_minute(it.laps_per_minute)),
            stat("lap time", format::duration_or_dash(it.lap_p50_ms)),
            stat("chains", format::count(it.chains)),
            stat_of("last lap", el("dd", "").child(ago(it.last_seen.as_ref(), now))),
        ]),
        el("p", "").child(open),
        section("Traces that show it", traces),
    ]
}
