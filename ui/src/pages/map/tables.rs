//! The map as tables: the same functions, resources and edges as in the picture, with all their numbers.

use std::cmp::Ordering;

use leptos::prelude::*;
use loopscope_proto::v1::{Edge, Function, Resource};

use crate::app::App;
use crate::format;
use crate::model::{Model, slowness};
use crate::parts::table::{Column, Table, plain, table};
use crate::scene::{self, Tone, share};
use crate::url::Route;

/// Parts the ends and the kind of an edge in its key; no id and no kind holds it.
const SEPARATOR: char = '\u{1f}';

/// The three tables.
#[component]
pub fn Tables() -> impl IntoView {
    let app = App::get();
    let functions = Memo::new(move |_| app.model.with(|model| model.functions.keys().cloned().collect::<Vec<_>>()));
    let resources = Memo::new(move |_| app.model.with(|model| model.resources.keys().cloned().collect::<Vec<_>>()));
    let edges = Memo::new(move |_| {
        let key =
            |(source, target, kind): &(String, String, String)| format!("{source}{SEPARATOR}{target}{SEPARATOR}{kind}");
        app.model.with(|model| model.edges.keys().map(key).collect::<Vec<_>>())
    });
    view! {
        <div class="tables">
            {table(&FUNCTIONS, functions)} {table(&EDGES, edges)} {table(&RESOURCES, resources)}
        </div>
    }
}

static FUNCTIONS: Table<Function> = Table {
    caption: "Functions",
    columns: &FUNCTION_COLUMNS,
    sorted_by: 3,
    get: |model, key| model.functions.get(key),
    href: |it| Route::node(&it.id).as_table().href(),
    id: |it| it.id.clone(),
    row: "function-row",
};

static FUNCTION_COLUMNS: [Column<Function>; 11] = [
    text("Name", |_, it: &Function| it.name.clone()),
    text("Environment", |_, it| it.environment.clone()),
    text("Kind", |_, it| it.kind.replace('_', " ")),
    number("Rate", |_, it| format::rate(it.rate_per_second), |_, a, b| a.rate_per_second.total_cmp(&b.rate_per_second)),
    number("Runs", |_, it| format::count(it.invocations), |_, a, b| a.invocations.cmp(&b.invocations)),
    Column {
        class: |it| if it.errors > 0 { "tone-err" } else { "" },
        ..number(
            "Errors",
            |_, it: &Function| format::percent(share(it.errors, it.invocations)),
            |_, a, b| share(a.errors, a.invocations).total_cmp(&share(b.errors, b.invocations)),
        )
    },
    number(
        "Cold",
        |_, it| format::percent(share(it.cold_starts, it.invocations)),
        |_, a, b| share(a.cold_starts, a.invocations).total_cmp(&share(b.cold_starts, b.invocations)),
    ),
    number("p50", |_, it| format::duration(it.p50_ms), |_, a, b| a.p50_ms.total_cmp(&b.p50_ms)),
    number("p95", |_, it| format::duration(it.p95_ms), |_, a, b| a.p95_ms.total_cmp(&b.p95_ms)),
    Column {
        class: |it| match scene::tone(it) {
            Tone::Slow => "tone-slow",
            Tone::Critical => "tone-crit",
            _ => "",
        },
        ..number("Now", compared, |_, a, b| slowness(a).unwrap_or_default().total_cmp(&slowness(b).unwrap_or_default()))
    },
    text("Loops", |model, it| match model.loops_through(&it.id).count() {
        0 => String::new(),
        n => format!("↻ {n}"),
    }),
];

static EDGES: Table<Edge> = Table {
    caption: "Edges",
    columns: &EDGE_COLUMNS,
    sorted_by: 2,
    get: |model, key| {
        let mut parts = key.split(SEPARATOR).map(str::to_owned);
        model.edges.get(&(parts.next()?, parts.next()?, parts.next()?))
    },
    href: |it| Route::edge(&it.source, &it.target).as_table().href(),
    id: |it| format!("{}~{}", it.source, it.target),
    row: "edge-row",
};

static EDGE_COLUMNS: [Column<Edge>; 8] = [
    text("From → to", |model, it: &Edge| {
        format!("{} → {}", model.node_name(&it.source), model.node_name(&it.target))
    }),
    text("Kind", |_, it| it.kind.clone()),
    number("Rate", |_, it| format::rate(it.rate_per_second), |_, a, b| a.rate_per_second.total_cmp(&b.rate_per_second)),
    number("Calls", |_, it| format::count(it.calls), |_, a, b| a.calls.cmp(&b.calls)),
    Column {
        class: |it| if it.errors > 0 { "tone-err" } else { "" },
        ..number(
            "Errors",
            |_, it: &Edge| format::percent(share(it.errors, it.calls)),
            |_, a, b| share(a.errors, a.calls).total_cmp(&share(b.errors, b.calls)),
        )
    },
    number("p50", |_, it| format::duration(it.p50_ms), |_, a, b| a.p50_ms.total_cmp(&b.p50_ms)),
    number("p95", |_, it| format::duration(it.p95_ms), |_, a, b| a.p95_ms.total_cmp(&b.p95_ms)),
    number(
        "Gap p95",
        |_, it| format::duration_or_dash(it.gap_p95_ms),
        |_, a, b| a.gap_p95_ms.unwrap_or(-1.0).total_cmp(&b.gap_p95_ms.unwrap_or(-1.0)),
    ),
];

static RESOURCES: Table<Resource> = Table {
    caption: "Resources",
    columns: &RESOURCE_COLUMNS,
    sorted_by: 0,
    get: |model, key| model.resources.get(key),
    href: |it| Route::node(&it.id).as_table().href(),
    id: |it| it.id.clone(),
    row: "resource-row",
};

static RESOURCE_COLUMNS: [Column<Resource>; 4] = [
    text("Name", |_, it: &Resource| it.name.clone()),
    text("Kind", |_, it| it.kind.clone()),
    text("System", |_, it| it.system.replace('_', " ")),
    text("Loops", |model, it| match model.loops_through(&it.id).count() {
        0 => String::new(),
        n => format!("↻ {n}"),
    }),
];

const fn text<T>(title: &'static str, text: fn(&Model, &T) -> String) -> Column<T> {
    Column { title, numeric: false, text, order: None, class: plain }
}

const fn number<T>(
    title: &'static str,
    text: fn(&Model, &T) -> String,
    order: fn(&Model, &T, &T) -> Ordering,
) -> Column<T> {
    Column { title, numeric: true, text, order: Some(order), class: plain }
}

fn compared(_: &Model, it: &Function) -> String {
    let now = it.current_p95_ms.map_or_else(|| "–".into(), format::duration);
    match (scene::tone(it), slowness(it)) {
        (Tone::Slow, Some(ratio)) => format!("▲ {now} ({})", format::times(ratio)),
        (Tone::Critical, Some(ratio)) => format!("▲▲ {now} ({})", format::times(ratio)),
        _ => now,
    }
}
