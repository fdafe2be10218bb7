//! Describes what is selected on the map: a node, the edges between two nodes, or a loop.

use leptos::prelude::*;
use loopscope_proto::v1::{Edge, Exemplars, Function, Loop};

use crate::app::App;
use crate::client::{edge_exemplars_url, node_exemplars_url};
use crate::format;
use crate::model::{Model, slowness};
use crate::parts::fetched::{Fetched, failure, fetched};
use crate::parts::{Ago, icon::icon, loop_chips, sampled, stat, trace_links};
use crate::scene::{self, Tone, share};
use crate::url::{MapQuery, Route, Selection};
use crate::words;

/// The panel on the right.
#[component]
pub fn Inspector(
    /// What the map shows.
    query: Memo<MapQuery>,
) -> impl IntoView {
    let app = App::get();
    let selection = Memo::new(move |_| query.with(|query| query.selection.clone()));
    let loop_id = Memo::new(move |_| query.with(|query| query.loop_id.clone()));
    let content = move || match (selection.get(), loop_id.get()) {
        (Some(Selection::Node(id)), _) => node(app, id).into_any(),
        (Some(Selection::Edge { source, target }), _) => edge(app, source, target).into_any(),
        (None, Some(id)) => of_loop(app, id).into_any(),
        (None, None) => ().into_any(),
    };
    let close = move |_| {
        app.change_map(|query| {
            query.selection = None;
            query.loop_id = None;
        });
    };
    view! {
        <aside class="inspector" aria-label="What is selected" data-testid="inspector">
            <button class="icon-button inspector-close" type="button" aria-label="Close" title="Close (Esc)" on:click=close>
                {icon("close")}
            </button>
            {content}
        </aside>
    }
}

fn node(app: App, id: String) -> impl IntoView {
    let known = id.clone();
    let is_function = Memo::new(move |_| app.model.with(|model| model.functions.contains_key(&known)));
    let url = node_exemplars_url(&id);
    let title_id = id.clone();
    let title = move || app.model.with(|model| model.node_name(&title_id).to_owned());
    let numbers_id = id.clone();
    let numbers = move || match is_function.get() {
        true => function_numbers(app, numbers_id.clone()).into_any(),
        false => resource_facts(app, &numbers_id).into_any(),
    };
    view! {
        <header class="inspector-head">
            <p class="kicker">{move || if is_function.get() { "Function" } else { "Resource" }}</p>
            <h2 data-testid="inspector-title" data-id=id.clone()>{title}</h2>
        </header>
        {numbers}
        {loops_through(app, id.clone())}
        {neighbours(app, id, is_function)}
        {exemplars(url)}
    }
}

fn function_numbers(app: App, id: String) -> impl IntoView {
    let it = Memo::new(move |_| app.model.with(|model| model.functions.get(&id).cloned().unwrap_or_default()));
    let number = |value: fn(&Function) -> String| move || it.with(value);
    let verdict = move || {
        it.with(|it| {
            let ratio = slowness(it).map(format::times).unwrap_or_default();
            match scene::tone(it) {
                Tone::Critical => ("tone-crit", format!("▲▲ Very slow: p95 is {ratio} its baseline")),
                Tone::Slow => ("tone-slow", format!("▲ Slow: p95 is {ratio} its baseline")),
                Tone::Fast => ("tone-fast", format!("Faster than usual: p95 is {ratio} its baseline")),
                Tone::Normal => ("muted", "As fast as usual".to_owned()),
                Tone::Learning | Tone::Resource => ("muted", "Still learning its baseline".to_owned()),
            }
        })
    };
    view! {
        <p class="muted facts-line">
            {number(|it| it.kind.replace('_', " "))}
            {move || it.with(|it| (!it.environment.is_empty()).then(|| format!(" · {}", it.environment)))}
            " · last run " <Ago time=Signal::derive(move || it.with(|it| it.last_seen)) />
        </p>
        <p class=move || format!("verdict {}", verdict().0)>{move || verdict().1}</p>
        {sampled(number(|it| words::sampled(it.sampling_probability)))}
        <dl class="numbers">
            {stat("rate", number(|it| format::rate(it.rate_per_second)))}
            {stat("runs", number(|it| format::count(it.invocations)))}
            {stat("errors", number(|it| format!("{} ({})", format::count(it.errors), format::percent(share(it.errors, it.invocations)))))}
            {stat("cold starts", number(|it| format!("{} ({})", format::count(it.cold_starts), format::percent(share(it.cold_starts, it.invocations)))))}
            {stat("p50", number(|it| format::duration(it.p50_ms)))}
            {stat("p95", number(|it| format::duration(it.p95_ms)))}
            {stat("p95 now", number(|it| format::duration_or_dash(it.current_p95_ms)))}
            {stat("p95 baseline", number(|it| format::duration_or_dash(it.baseline_p95_ms)))}
        </dl>
    }
}

fn resource_facts(app: App, id: &str) -> impl IntoView + use<> {
    let facts = app.model.with_untracked(|model| {
        let it = model.resources.get(id);
        it.map_or_else(
            || "It is not on the map any more.".to_owned(),
            |it| {
                [it.kind.clone(), it.system.replace('_', " ")]
                    .into_iter()
                    .filter(|it| !it.is_empty())
                    .collect::<Vec<_>>()
                    .join(" · ")
            },
        )
    });
    view! { <p class="muted facts-line">{facts}</p> }
}

fn loops_through(app: App, id: String) -> impl IntoView {
    let loops = Memo::new(move |_| {
        app.model.with(|model| {
            let line =
                |it: &Loop| (it.id.clone(), words::loop_title(it, |id| model.node_name(id)), words::loop_badge(it));
            model.loops_through(&id).map(line).collect::<Vec<_>>()
        })
    });
    let items = move || {
        let item = |(id, title, badge): (String, String, String)| {
            view! {
                <li>
                    <a href=Route::loop_on_map(id).href()>{title}</a>
                    <span class="loop-badge">{badge}</span>
                </li>
            }
        };
        loops.get().into_iter().map(item).collect_view()
    };
    view! {
        <Show when=move || !loops.with(Vec::is_empty)>
            <section>
                <h3>"Loops"</h3>
                <ul class="loop-lines">{items}</ul>
            </section>
        </Show>
    }
}

fn neighbours(app: App, id: String, is_function: Memo<bool>) -> impl IntoView {
    let lines = move |id: String, out: bool| {
        Memo::new(move |_| {
            app.model.with(|model| {
                let edges = model.edges.values().filter(|edge| if out { edge.source == id } else { edge.target == id });
                let mut lines: Vec<_> = edges
                    .map(|edge| {
                        let other = if out { &edge.target } else { &edge.source };
                        (
                            Route::edge(&edge.source, &edge.target).href(),
                            model.node_name(other).to_owned(),
                            edge_line(edge),
                        )
                    })
                    .collect();
                lines.sort();
                lines
            })
        })
    };
    let (inward, outward) = (lines(id.clone(), false), lines(id, true));
    let list = |title: &'static str, lines: Memo<Vec<(String, String, String)>>| {
        let items = move || {
            let item = |(href, name, numbers): (String, String, String)| {
                view! { <li><a href=href>{name}</a><span class="muted">{numbers}</span></li> }
            };
            lines.get().into_iter().map(item).collect_view()
        };
        view! {
            <Show when=move || !lines.with(Vec::is_empty)>
                <section>
                    <h3>{title}</h3>
                    <ul class="edge-lines">{items}</ul>
                </section>
            </Show>
        }
    };
    let (calls_in, calls_out) =
        if is_function.get_untracked() { ("Started by", "Calls") } else { ("Used by", "Leads to") };
    view! { {list(calls_in, inward)} {list(calls_out, outward)} }
}

fn edge_line(edge: &Edge) -> String {
    format!("{} · {}", edge.kind, format::rate(edge.rate_per_second))
}

fn edge(app: App, source: String, target: String) -> impl IntoView {
    let url = edge_exemplars_url(&source, &target);
    let id = format!("{source}~{target}");
    let back = (source != target).then(|| (target.clone(), source.clone()));
    let back_href = back.as_ref().map(|(source, target)| Route::edge(source, target).href());
    let has_back = move || {
        back.as_ref().is_some_and(|(source, target)| {
            app.model.with(|model| model.edges_between(source, target).next().is_some())
        })
    };
    let names = {
        let (source, target) = (source.clone(), target.clone());
        Memo::new(move |_| {
            app.model.with(|model| (model.node_name(&source).to_owned(), model.node_name(&target).to_owned()))
        })
    };
    let (from, to) = (Route::node(&source).href(), Route::node(&target).href());
    let edges = Memo::new(move |_| {
        app.model.with(|model| model.edges_between(&source, &target).cloned().collect::<Vec<Edge>>())
    });
    let kinds = Memo::new(move |_| edges.with(|edges| edges.iter().map(|edge| edge.kind.clone()).collect::<Vec<_>>()));
    let one = move |at: usize, kind: String| {
        let number =
            move |value: fn(&Edge) -> String| move || edges.with(|edges| edges.get(at).map(value).unwrap_or_default());
        view! {
            <section>
                <h3>{kind}</h3>
                {sampled(number(|it| words::sampled(it.sampling_probability)))}
                <dl class="numbers">
                    {stat("rate", number(|it| format::rate(it.rate_per_second)))}
                    {stat("calls", number(|it| format::count(it.calls)))}
                    {stat("errors", number(|it| format!("{} ({})", format::count(it.errors), format::percent(share(it.errors, it.calls)))))}
                    {stat("gap p95", number(|it| format::duration_or_dash(it.gap_p95_ms)))}
                    {stat("p50", number(|it| format::duration(it.p50_ms)))}
                    {stat("p95", number(|it| format::duration(it.p95_ms)))}
                </dl>
            </section>
        }
    };
    view! {
        <header class="inspector-head">
            <p class="kicker">"Edge"</p>
            <h2 data-testid="inspector-title" data-id=id>
                <a href=from>{move || names.with(|it| it.0.clone())}</a>
                <span class="arrow">" → "</span>
                <a href=to>{move || names.with(|it| it.1.clone())}</a>
            </h2>
        </header>
        <Show when=move || kinds.with(Vec::is_empty)>
            <p class="muted">"Nothing has passed here so far."</p>
        </Show>
        {move || kinds.get().into_iter().enumerate().map(|(at, kind)| one(at, kind)).collect_view()}
        <Show when=has_back>
            <p><a href=back_href.clone()>"The way back"</a></p>
        </Show>
        {exemplars(url)}
    }
}

fn exemplars(url: String) -> impl IntoView {
    let answer = fetched::<Exemplars>(move || Some(url.clone()));
    let content = move || {
        answer.with(|answer| match answer {
            Fetched::Loading => view! { <p class="muted">"Loading…"</p> }.into_any(),
            Fetched::Failed(why) => failure(why, "None kept.").into_any(),
            Fetched::Ready(it) if it.trace_ids.is_empty() => view! { <p class="muted">"None kept."</p> }.into_any(),
            Fetched::Ready(it) => trace_links(&it.trace_ids).into_any(),
        })
    };
    view! {
        <section data-testid="exemplars">
            <h3>"Traces"</h3>
            {content}
        </section>
    }
}

fn of_loop(app: App, id: String) -> impl IntoView {
    let detail = Route::Loop(id.clone()).href();
    let row = id.clone();
    let it = Memo::new(move |_| app.model.with(|model| model.loops.get(&id).cloned()));
    let read = move |value: &dyn Fn(&Model, &Loop) -> String| {
        app.model.with(|model| it.with(|it| it.as_ref().map(|it| value(model, it)).unwrap_or_default()))
    };
    let number = move |value: fn(&Loop) -> String| move || read(&|_, it| value(it));
    let title = move || match it.with(Option::is_some) {
        true => read(&|model, it| words::loop_title(it, |id| model.node_name(id))),
        false => "This loop is not known any more".to_owned(),
    };
    let traces =
        Memo::new(move |_| it.with(|it| it.as_ref().map(|it| it.exemplar_trace_ids.clone()).unwrap_or_default()));
    let known = move || it.with(Option::is_some);
    view! {
        <header class="inspector-head">
            <p class="kicker">"Loop"</p>
            <h2 data-testid="inspector-title" data-id=row>{title}</h2>
            <Show when=known>
                <div class="chips">{loop_chips(Signal::derive(move || it.get().unwrap_or_default()))}</div>
            </Show>
        </header>
        <p class="lead">{number(words::loop_meaning)}</p>
        {sampled(number(words::sampled_laps))}
        <dl class="numbers">
            {stat("laps deep", number(|it| format::count(it.max_depth.into())))}
            {stat("alarm at", number(words::alarm_depth))}
            {stat("R", number(words::mean_ratio))}
            {stat("next 24 h", number(|it| words::next_day(it.cost.as_ref())))}
            {stat("now", number(|it| format::per_minute(it.laps_per_minute)))}
            {stat("lap time", number(|it| format::duration_or_dash(it.lap_p50_ms)))}
            {stat("chains", number(|it| format::count(it.chains)))}
            <div class="stat"><dt>"last lap"</dt><dd><Ago time=Signal::derive(move || it.with(|it| it.as_ref().and_then(|it| it.last_seen))) /></dd></div>
        </dl>
        <p><a class="button primary" href=detail>"Open the loop"</a></p>
        <section>
            <h3>"Traces that show it"</h3>
            {move || match traces.with(Vec::is_empty) {
                true => view! { <p class="muted">"None kept."</p> }.into_any(),
                false => traces.with(|ids| trace_links(ids)).into_any(),
            }}
        </section>
    }
}
