//! One loop: what it means, what to make of it, what it costs, where to cut it, and the evidence.
//!
//! One file for each panel: `judgement.rs` (assessment, R, depth), `ring.rs` (one lap as a picture), `money.rs`, `cut.rs`
//! (advice and commands), `intent.rs` (declarations and verdicts), `laps.rs` (the deepest chain).

mod cut;
mod intent;
mod judgement;
mod laps;
mod money;
mod ring;

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, RetryStorm, VersionChange};

use crate::app::App;
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::model::{Model, lap_edges};
use crate::parts::{ago, copy, icon, loop_chips, nothing_here, sampled, stat, stat_of, trace_links};
use crate::url::Route;
use crate::words;

/// The page.
pub fn loop_detail(id: String) -> AnyView {
    let app = App::get();
    let laps = laps::Panel::of(app, id.clone());
    let intent = intent::Panel::of(app, id.clone());
    let content = move || {
        let crumb =
            el("p", "crumb").child(el("a", "").attr("href", "/loops").child(icon::sign("back")).text("All loops"));
        let heading = |text: &str| el("h1", "").attr("tabindex", "-1").text(text);
        let shown = app.model.with(|model| match model.loops.get(&id) {
            Some(it) => detail(model, it, app.now.get(), &laps, &intent),
            None if model.ready => vec![
                heading("Unknown loop"),
                nothing_here("This loop is not known", "It may be so long ago that the collector has let it go."),
            ],
            None => vec![heading("Loop")],
        });
        vec![el("div", "page").child(crumb).all(shown)]
    };
    patch::live(content)
}

fn detail(model: &Model, it: &Loop, now: f64, laps: &laps::Panel, intent: &intent::Panel) -> Vec<Element> {
    let is_storm = words::is_retry_storm(it);
    let mut numbers = it.retry_storm.as_ref().map_or_else(|| lap_numbers(it), storm_numbers);
    numbers.push(stat_of("last seen", el("dd", "").child(ago(it.last_seen.as_ref(), now))));
    let mut side = el("div", "loop-side");
    if !it.path.is_empty() {
        let panel = el("section", "panel ring-panel").child(el("h2", "").text("One lap"));
        side = side.child(panel.child(ring::ring(model, it)));
    }
    side = side.all(it.cost.iter().filter(|_| !is_storm).map(money::money).collect());
    let mut shown = vec![
        head(model, it),
        el("dl", "stats loop-stats").all(numbers),
        el("div", "loop-body").child(judgement::judgement(model, it)).child(side),
    ];
    shown.extend(it.cut.as_ref().map(|advice| cut::cut(model, advice)));
    if !is_storm {
        shown.push(intent.show(it, now));
    }
    shown.extend(laps.show(it));
    shown.push(el("div", "loop-body").child(steps(model, it)).child(evidence(it, now)));
    shown
}

fn head(model: &Model, it: &Loop) -> Element {
    let on_map = match (words::is_retry_storm(it), it.function_ids.as_slice()) {
        // What does not go round is an edge of the map, or a node.
        (true, [source, .., target]) => Route::edge(source, target),
        (true, [one]) => Route::node(one),
        _ => Route::loop_on_map(&it.id),
    };
    let here = window().location().origin().unwrap_or_default() + &Route::Loop(it.id.clone()).href();
    let actions = el("div", "actions")
        .child(link(on_map.href(), "Show on the map").attr("class", "button primary"))
        .child(copy(here, "Copy link"));
    el("header", "page-head loop-head")
        .test("loop-detail")
        .attr("data-id", &it.id)
        .child(loop_chips(it))
        .child(el("h1", "").attr("tabindex", "-1").text(&words::loop_title(it, |id| model.node_name(id))))
        .child(el("p", "lead").test("loop-meaning").text(&words::loop_meaning(it)))
        .child(sampled(&words::sampled_laps(it)))
        .child(actions)
}

fn lap_numbers(it: &Loop) -> Vec<Element> {
    vec![
        stat("laps deep", format::count(it.max_depth.into())),
        stat("alarm at", words::alarm_depth(it)),
        stat("R", words::mean_ratio(it)),
        stat("now", format::per_minute(it.laps_per_minute)),
        stat("next 24 h", words::next_day(it.cost.as_ref())),
        stat("lap time, median", format::duration_or_dash(it.lap_p50_ms)),
        stat("laps of all chains", format::count(it.laps)),
    ]
}

fn storm_numbers(it: &RetryStorm) -> Vec<Element> {
    vec![
        stat("requests", format::count(it.requests)),
        stat("tried again", format::count(it.retried)),
        stat("attempts", format::count(it.attempts)),
        stat("attempts a request", format::times(it.attempts_per_request)),
        stat("at the bottom", format::times(it.amplification)),
    ]
}

/// The edges on the way, each with its numbers, and what the functions did on a lap, where spans say.
fn steps(model: &Model, it: &Loop) -> Element {
    let step = |(source, target): (&str, &str)| {
        let names = format!("{} → {}", model.node_name(source), model.node_name(target));
        el("li", "")
            .child(link(Route::edge(source, target).href(), &names))
            .child(el("span", "muted").text(&edge_numbers(model, source, target)))
    };
    let steps = match words::is_retry_storm(it) {
        true => it.function_ids.windows(2).map(|pair| step((&pair[0], &pair[1]))).collect(),
        false => lap_edges(&it.path).map(step).collect(),
    };
    let panel = el("section", "panel").child(el("h2", "").text("Step by step")).child(el("ol", "steps").all(steps));
    if it.operations.is_empty() {
        return panel;
    }
    panel
        .child(el("h3", "below").text("Operations on the way"))
        .child(el("p", "wrap").test("operations").text(&it.operations.join(" → ")))
}

/// What changed before it began, and the traces that show it.
fn evidence(it: &Loop, now: f64) -> Element {
    let version = |change: &VersionChange| {
        let text = format!(" from {} to {}, ", change.from, change.to);
        el("li", "")
            .child(link(Route::node(&change.function_id).href(), &change.function))
            .child(el("span", "").text(&text).child(ago(change.at.as_ref(), now)))
    };
    let began = el("p", "muted").text("It began ").child(ago(it.first_seen.as_ref(), now)).text(".");
    let changes = match it.changes.is_empty() {
        true => el("p", "").text("None of its functions got a new version in the hour before."),
        false => el("ul", "steps").test("version-changes").all(it.changes.iter().map(version).collect()),
    };
    let traces = match it.exemplar_trace_ids.is_empty() {
        true => el("p", "muted").text("None kept: no chain has gone round."),
        false => trace_links(&it.exemplar_trace_ids),
    };
    let panel = |title: &str| el("section", "panel").child(el("h2", "").text(title));
    el("div", "loop-side")
        .child(panel("What changed just before").child(began).child(changes))
        .child(panel("Traces that show it").child(traces))
}

fn edge_numbers(model: &Model, source: &str, target: &str) -> String {
    let numbers = model.edges_between(source, target).map(|edge| {
        format!("{} · {} · p95 {}", edge.kind, format::rate(edge.rate_per_second), format::duration(edge.p95_ms))
    });
    numbers.collect::<Vec<_>>().join(", ")
}
