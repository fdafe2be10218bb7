//! How to send spans, and what has come so far. `connect/anomalies.rs` lists what cannot be right in it.

mod anomalies;

use leptos::prelude::*;

use crate::app::App;
use crate::format;
use crate::parts::{Copy, stat};
use crate::snippets::{self, Snippet};
use crate::words;

/// The page.
#[component]
pub fn Connect() -> impl IntoView {
    let app = App::get();
    let status = Memo::new(move |_| app.model.with(|model| model.status.clone().unwrap_or_default()));
    let number = |value: fn(&loopscope_proto::v1::Status) -> String| move || status.with(value);
    view! {
        <div class="page">
            <header class="page-head">
                <h1 tabindex="-1">"Connect"</h1>
                <p class="lead">"Point any OpenTelemetry exporter here. Nothing else is needed."</p>
            </header>
            <Doors />
            <Snippets />
            <h2 class="section-title">"What has come so far"</h2>
            <dl class="stats" data-testid="counters">
                {stat("spans", number(|it| format::count(it.spans_received)))}
                {stat("log records", number(|it| format::count(it.log_records_received)))}
                {stat("metric points", number(|it| format::count(it.data_points_received)))}
                {stat("spans refused", number(|it| format::count(it.spans_rejected)))}
                {stat("requests unreadable", number(|it| format::count(it.requests_refused)))}
                {stat("requests sent away", number(|it| format::count(it.requests_overloaded)))}
                {stat("batches to analyse", number(|it| format::count(it.engine_lag_batches)))}
                {stat("journal", number(|it| format::bytes(it.journal_bytes)))}
            </dl>
            <Losses />
            {anomalies::anomalies(app)}
            <p class="muted">"Loopscope " {number(|it| it.version.clone())}</p>
        </div>
    }
}

/// What a bound has cost so far; nothing is let go unsaid.
#[component]
fn Losses() -> impl IntoView {
    let app = App::get();
    let losses =
        Memo::new(move |_| app.model.with(|model| model.status.as_ref().map(words::losses).unwrap_or_default()));
    view! {
        <h2 class="section-title">"What had to be let go"</h2>
        <Show when=move || losses.with(Vec::is_empty)>
            <p class="muted" data-testid="no-losses">"Nothing: every bound was wide enough so far."</p>
        </Show>
        <dl class="stats" data-testid="losses">
            <For each=move || losses.get() key=|loss| *loss let:loss>
                {stat(loss.0, move || format::count(loss.1))}
            </For>
        </dl>
    }
}

/// The addresses of the two doors.
#[component]
pub fn Doors() -> impl IntoView {
    let doors = doors();
    let door = |name: &'static str, port: &'static str, take: fn(&(String, String)) -> String| {
        let url = Signal::derive(move || doors.with(take));
        view! {
            <div class="door">
                <span class="door-name">{name} <span class="muted">{port}</span></span>
                <code data-testid="endpoint">{move || url.get()}</code>
                <Copy text=url />
            </div>
        }
    };
    view! {
        <div class="doors">
            {door("OTLP over HTTP", "protobuf and JSON", |it| it.1.clone())}
            {door("OTLP over gRPC", "protobuf", |it| it.0.clone())}
        </div>
    }
}

/// What to run, one tab for each way.
#[component]
pub fn Snippets() -> impl IntoView {
    let doors = doors();
    let at = RwSignal::new(0_usize);
    let list = Memo::new(move |_| doors.with(|(grpc, http)| snippets::all(grpc, http, &host())));
    let n = list.with_untracked(Vec::len);
    let titles: Vec<&'static str> = list.with_untracked(|list| list.iter().map(|it| it.title).collect());
    let shown = move |take: fn(&Snippet) -> String| list.with(|list| list.get(at.get()).map(take).unwrap_or_default());
    let key = move |event: web_sys::KeyboardEvent| {
        let step = match event.key().as_str() {
            "ArrowRight" => 1,
            "ArrowLeft" => n - 1,
            _ => return,
        };
        at.update(|at| *at = (*at + step) % n);
        crate::app::focus(&format!("#tab-{}", at.get_untracked()));
    };
    let tab = move |(which, title): (usize, &'static str)| {
        view! {
            <button
                id=format!("tab-{which}")
                type="button"
                role="tab"
                aria-controls="snippet"
                aria-selected=move || (at.get() == which).to_string()
                tabindex=move || if at.get() == which { "0" } else { "-1" }
                on:click=move |_| at.set(which)
            >
                {title}
            </button>
        }
    };
    view! {
        <section class="snippets">
            <div class="tabs" role="tablist" aria-label="Ways to send spans" on:keydown=key>
                {titles.into_iter().enumerate().map(tab).collect_view()}
            </div>
            <div id="snippet" role="tabpanel" aria-labelledby=move || format!("tab-{}", at.get())>
                <div class="snippet-head">
                    <p class="muted">{move || shown(|it| it.purpose.to_owned())}</p>
                    <Copy text=Signal::derive(move || shown(|it| it.text.clone())) />
                </div>
                <pre tabindex="0" data-testid="snippet"><code>{move || shown(|it| it.text.clone())}</code></pre>
            </div>
        </section>
    }
}

/// The URLs of the doors as others reach them: gRPC, HTTP.
fn doors() -> Memo<(String, String)> {
    let app = App::get();
    Memo::new(move |_| {
        app.model.with(|model| {
            let (grpc, http) =
                model.status.as_ref().map(|it| (it.otlp_grpc.clone(), it.otlp_http.clone())).unwrap_or_default();
            (snippets::endpoint(&grpc, &host(), 4317), snippets::endpoint(&http, &host(), 4318))
        })
    })
}

fn host() -> String {
    window().location().hostname().ok().filter(|it| !it.is_empty()).unwrap_or_else(|| "localhost".into())
}
