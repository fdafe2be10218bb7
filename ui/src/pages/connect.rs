//! How to send spans, and what has come so far. `connect/anomalies.rs` lists what cannot be right in it.

mod anomalies;

use std::rc::Rc;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, KeyboardEvent};

use crate::app::App;
use crate::format;
use crate::html::{Element, el, patch};
use crate::parts::{copy, stat};
use crate::snippets;
use crate::words;

/// The page.
pub fn connect() -> AnyView {
    let app = App::get();
    let tab = RwSignal::new(0);
    let anomalies = anomalies::Anomalies::of(app);
    let content = move || {
        let head = el("header", "page-head")
            .child(el("h1", "").attr("tabindex", "-1").text("Connect"))
            .child(el("p", "lead").text("Point any OpenTelemetry exporter here. Nothing else is needed."));
        let status = app.model.with(|model| model.status.clone().unwrap_or_default());
        let counters = vec![
            stat("spans", format::count(status.spans_received)),
            stat("log records", format::count(status.log_records_received)),
            stat("metric points", format::count(status.data_points_received)),
            stat("spans refused", format::count(status.spans_rejected)),
            stat("requests unreadable", format::count(status.requests_refused)),
            stat("requests sent away", format::count(status.requests_overloaded)),
            stat("batches to analyse", format::count(status.engine_lag_batches)),
            stat("journal", format::bytes(status.journal_bytes)),
        ];
        let page = el("div", "page")
            .child(head)
            .all(ways(app, tab))
            .child(el("h2", "section-title").text("What has come so far"))
            .child(el("dl", "stats").test("counters").all(counters))
            .child(el("h2", "section-title").text("What had to be let go"))
            .child(losses(&words::losses(&status)))
            .all(anomalies.show())
            .child(el("p", "muted").text(&format!("Loopscope {}", status.version)));
        vec![page]
    };
    patch::live(content)
}

/// What a bound has cost so far; nothing is let go unsaid.
fn losses(list: &[(&'static str, u64)]) -> Element {
    if list.is_empty() {
        return el("p", "muted").test("no-losses").text("Nothing: every bound was wide enough so far.");
    }
    let losses = list.iter().map(|(name, count)| stat(name, format::count(*count)));
    el("dl", "stats").test("losses").all(losses.collect())
}

/// The addresses of the two doors, and what to run, one tab for each way.
pub fn ways(app: App, tab: RwSignal<usize>) -> Vec<Element> {
    let (grpc, http) = doors(app);
    let door = |name: &str, port: &str, url: &str| {
        let name = el("span", "door-name").text(&format!("{name} ")).child(el("span", "muted").text(port));
        el("div", "door")
            .child(name)
            .child(el("code", "").test("endpoint").text(url))
            .child(copy(url.to_owned(), "Copy"))
    };
    let doors = el("div", "doors").child(door("OTLP over HTTP", "protobuf and JSON", &http)).child(door(
        "OTLP over gRPC",
        "protobuf",
        &grpc,
    ));
    vec![doors, snippet_tabs(&grpc, &http, tab)]
}

fn snippet_tabs(grpc: &str, http: &str, tab: RwSignal<usize>) -> Element {
    let list = snippets::all(grpc, http, &host());
    let at = tab.get().min(list.len().saturating_sub(1));
    let n = list.len();
    let key = move |event: &Event| {
        let step = match event.dyn_ref::<KeyboardEvent>().map(KeyboardEvent::key).as_deref() {
            Some("ArrowRight") => 1,
            Some("ArrowLeft") => n - 1,
            _ => return,
        };
        tab.update(|at| *at = (*at + step) % n);
        crate::app::focus(&format!("#tab-{}", tab.get_untracked()));
    };
    let one = |(which, title): (usize, &'static str)| {
        el("button", "")
            .with("id", format!("tab-{which}"))
            .attr("type", "button")
            .attr("role", "tab")
            .attr("aria-controls", "snippet")
            .with("aria-selected", (at == which).to_string())
            .attr("tabindex", if at == which { "0" } else { "-1" })
            .on("click", Rc::new(move |_| tab.set(which)))
            .text(title)
    };
    let tabs = list.iter().map(|it| it.title).enumerate().map(one).collect();
    let (purpose, text) = list.get(at).map(|it| (it.purpose, it.text.clone())).unwrap_or_default();
    let tabs = el("div", "tabs")
        .attr("role", "tablist")
        .attr("aria-label", "Ways to send spans")
        .on("keydown", Rc::new(key))
        .all(tabs);
    let head = el("div", "snippet-head").child(el("p", "muted").text(purpose)).child(copy(text.clone(), "Copy"));
    let shown = el("pre", "").attr("tabindex", "0").test("snippet").child(el("code", "").text(&text));
    let panel = el("div", "")
        .attr("id", "snippet")
        .attr("role", "tabpanel")
        .with("aria-labelledby", format!("tab-{at}"))
        .child(head)
        .child(shown);
    el("section", "snippets").child(tabs).child(panel)
}

/// The URLs of the doors as others reach them: gRPC, HTTP.
fn doors(app: App) -> (String, String) {
    app.model.with(|model| {
        let (grpc, http) =
            model.status.as_ref().map(|it| (it.otlp_grpc.clone(), it.otlp_http.clone())).unwrap_or_default();
        (snippets::endpoint(&grpc, &host(), 4317), snippets::endpoint(&http, &host(), 4318))
    })
}

fn host() -> String {
    window().location().hostname().ok().filter(|it| !it.is_empty()).unwrap_or_else(|| "localhost".into())
}
