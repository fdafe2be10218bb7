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
use crate::model::{Model, lap_edges};
use crate::parts::{Ago, Copy, icon::icon, loop_chips, nothing, sampled, stat, trace_links};
use crate::url::Route;
use crate::words;

/// The page.
#[component]
pub fn LoopDetail(
    /// Id of the loop.
    id: String,
) -> impl IntoView {
    let app = App::get();
    let known = id.clone();
    let known = Memo::new(move |_| app.model.with(|model| model.loops.contains_key(&known)));
    let wanted = StoredValue::new(id);
    view! {
        <div class="page">
            <p class="crumb"><a href="/loops">{icon("back")} "All loops"</a></p>
            {move || {
                if known.get() {
                    detail(app, wanted.get_value()).into_any()
                } else if app.model.with(|model| model.ready) {
                    view! {
                        <h1 tabindex="-1">"Unknown loop"</h1>
                        {nothing("This loop is not known", "It may be so long ago that the collector has let it go.")}
                    }
                        .into_any()
                } else {
                    view! { <h1 tabindex="-1">"Loop"</h1> }.into_any()
                }
            }}
        </div>
    }
}

fn detail(app: App, id: String) -> impl IntoView {
    let on_map = Route::loop_on_map(id.clone()).href();
    let link = Signal::derive({
        let path = Route::Loop(id.clone()).href();
        move || window().location().origin().unwrap_or_default() + &path
    });
    let row = id.clone();
    let it = Memo::new(move |_| app.model.with(|model| model.loops.get(&id).cloned().unwrap_or_default()));
    let storm = Memo::new(move |_| it.with(words::is_retry_storm));
    let asks = Memo::new(move |_| it.with(|it| it.function_ids.clone()));
    let on_map = move || {
        asks.with(|asks| match (storm.get(), asks.as_slice()) {
            // What does not go round is an edge of the map, or a node.
            (true, [source, .., target]) => Route::edge(source, target).href(),
            (true, [one]) => Route::node(one).href(),
            _ => on_map.clone(),
        })
    };
    let title = move || app.model.with(|model| it.with(|it| words::loop_title(it, |id| model.node_name(id))));
    let number = |value: fn(&Loop) -> String| move || it.with(value);
    let time = |value: fn(&Loop) -> Option<prost_types::Timestamp>| Signal::derive(move || it.with(value));
    let traces = Memo::new(move |_| it.with(|it| it.exemplar_trace_ids.clone()));
    let path = Memo::new(move |_| it.with(|it| it.path.clone()));
    let changes = Memo::new(move |_| it.with(|it| it.changes.clone()));
    view! {
        <header class="page-head loop-head" data-testid="loop-detail" data-id=row>
            <div class="chips">
                {loop_chips(Signal::derive(move || it.get()))}
                <span class="muted">{number(|it| it.environment.clone())}</span>
            </div>
            <h1 tabindex="-1">{title}</h1>
            <p class="lead" data-testid="loop-meaning">{number(words::loop_meaning)}</p>
            {sampled(number(words::sampled_laps))}
            <div class="actions">
                <a class="button primary" href=on_map>"Show on the map"</a>
                <Copy text=link label="Copy link" />
            </div>
        </header>
        <dl class="stats loop-stats">
            {move || if storm.get() { storm_numbers(it).into_any() } else { lap_numbers(it).into_any() }}
            <div class="stat"><dt>"last seen"</dt><dd><Ago time=time(|it| it.last_seen) /></dd></div>
        </dl>
        <div class="loop-body">
            {judgement::judgement(app, it)}
            <div class="loop-side">
                <Show when=move || !path.with(Vec::is_empty)>
                    <section class="panel ring-panel">
                        <h2>"One lap"</h2>
                        {move || ring::ring(app, &path.get(), it)}
                    </section>
                </Show>
                <Show when=move || !storm.get()>{money::money(it)}</Show>
            </div>
        </div>
        {cut::cut(app, it)}
        <Show when=move || !storm.get()>{intent::intent(it)}</Show>
        {laps::laps(it)}
        <div class="loop-body">
            <section class="panel">
                <h2>"Step by step"</h2>
                <ol class="steps">
                    {move || match storm.get() {
                        true => steps(app, asks.get().windows(2).map(|pair| (pair[0].clone(), pair[1].clone()))),
                        false => path.with(|path| steps(app, lap_edges(path).map(|(a, b)| (a.to_owned(), b.to_owned())))),
                    }}
                </ol>
                {move || operations(&it.with(|it| it.operations.clone()))}
            </section>
            <div class="loop-side">
                <section class="panel">
                    <h2>"What changed just before"</h2>
                    <p class="muted">"It began " <Ago time=time(|it| it.first_seen) /> "."</p>
                    {move || match changes.with(Vec::is_empty) {
                        true => view! { <p>"None of its functions got a new version in the hour before."</p> }.into_any(),
                        false => changes.with(|list| version_changes(list)).into_any(),
                    }}
                </section>
                <section class="panel">
                    <h2>"Traces that show it"</h2>
                    {move || match traces.with(Vec::is_empty) {
                        true => view! { <p class="muted">"None kept: no chain has gone round."</p> }.into_any(),
                        false => traces.with(|ids| trace_links(ids)).into_any(),
                    }}
                </section>
            </div>
        </div>
    }
}

fn lap_numbers(it: Memo<Loop>) -> impl IntoView {
    let number = |value: fn(&Loop) -> String| move || it.with(value);
    view! {
        {stat("laps deep", number(|it| format::count(it.max_depth.into())))}
        {stat("alarm at", number(words::alarm_depth))}
        {stat("R", number(words::mean_ratio))}
        {stat("now", number(|it| format::per_minute(it.laps_per_minute)))}
        {stat("next 24 h", number(|it| words::next_day(it.cost.as_ref())))}
        {stat("lap time, median", number(|it| format::duration_or_dash(it.lap_p50_ms)))}
        {stat("laps of all chains", number(|it| format::count(it.laps)))}
    }
}

fn storm_numbers(it: Memo<Loop>) -> impl IntoView {
    let number =
        |value: fn(&RetryStorm) -> String| move || it.with(|it| it.retry_storm.as_ref().map(value).unwrap_or_default());
    view! {
        {stat("requests", number(|it| format::count(it.requests)))}
        {stat("tried again", number(|it| format::count(it.retried)))}
        {stat("attempts", number(|it| format::count(it.attempts)))}
        {stat("attempts a request", number(|it| format::times(it.attempts_per_request)))}
        {stat("at the bottom", number(|it| format::times(it.amplification)))}
    }
}

fn version_changes(list: &[VersionChange]) -> impl IntoView + use<> {
    let line = |it: &VersionChange| {
        let href = Route::node(&it.function_id).href();
        let text = format!(" from {} to {}, ", it.from, it.to);
        view! {
            <li>
                <a href=href>{it.function.clone()}</a>
                <span>{text} <Ago time=it.at /></span>
            </li>
        }
    };
    view! { <ul class="steps" data-testid="version-changes">{list.iter().map(line).collect_view()}</ul> }
}

/// What the functions did on a lap, where spans say.
fn operations(list: &[String]) -> Option<impl IntoView + use<>> {
    let text = list.join(" → ");
    (!list.is_empty()).then(|| {
        view! {
            <h3 class="below">"Operations on the way"</h3>
            <p class="wrap" data-testid="operations">{text}</p>
        }
    })
}

/// The edges on the way, each with its numbers.
fn steps(app: App, steps: impl Iterator<Item = (String, String)>) -> AnyView {
    let step = move |(source, target): (String, String)| {
        let href = Route::edge(&source, &target).href();
        let names = app
            .model
            .with_untracked(|model| (model.node_name(&source).to_owned(), model.node_name(&target).to_owned()));
        let numbers = move || app.model.with(|model| edge_numbers(model, &source, &target));
        view! {
            <li>
                <a href=href>{names.0} <span class="arrow">" → "</span> {names.1}</a>
                <span class="muted">{numbers}</span>
            </li>
        }
    };
    steps.map(step).collect_view().into_any()
}

fn edge_numbers(model: &Model, source: &str, target: &str) -> String {
    let numbers = model.edges_between(source, target).map(|edge| {
        format!("{} · {} · p95 {}", edge.kind, format::rate(edge.rate_per_second), format::duration(edge.p95_ms))
    });
    numbers.collect::<Vec<_>>().join(", ")
}
