//! The map as tables: the same functions, resources and edges as in the picture, with all their numbers.

use leptos::prelude::*;
use loopscope_proto::v1::{Edge, Function, Resource};

use crate::app::App;
use crate::format;
use crate::html::{el, patch};
use crate::model::{Model, slowness};
use crate::parts::rows::{Column, Order, Row, Rows, number, text, toned};
use crate::scene::{self, Tone, share};
use crate::url::Route;

/// The three tables.
pub fn tables(app: App) -> AnyView {
    let orders = [Order::by(3, true), Order::by(2, true), Order::by(0, false)];
    let content = move || {
        let tables = app.model.with(|model| [functions(model), edges(model), resources(model)]);
        let tables = tables.into_iter().zip(&orders).map(|(table, order)| order.table(table));
        vec![el("div", "tables").all(tables.collect())]
    };
    patch::live(content)
}

const FUNCTION_COLUMNS: [Column; 11] = [
    ("Name", false),
    ("Environment", false),
    ("Kind", false),
    ("Rate", true),
    ("Runs", true),
    ("Errors", true),
    ("Cold", true),
    ("p50", true),
    ("p95", true),
    ("Now", true),
    ("Loops", false),
];

fn functions(model: &Model) -> Rows {
    let row = |it: &Function| {
        let (errors, cold) = (share(it.errors, it.invocations), share(it.cold_starts, it.invocations));
        let tone = match scene::tone(it) {
            Tone::Slow => "tone-slow",
            Tone::Critical => "tone-crit",
            _ => "",
        };
        Row {
            key: it.id.clone(),
            href: Route::node(&it.id).as_table().href(),
            cells: vec![
                text(&it.name),
                text(&it.environment),
                text(&it.kind.replace('_', " ")),
                number(format::rate(it.rate_per_second), it.rate_per_second),
                number(format::count(it.invocations), it.invocations as f64),
                toned(format::percent(errors), errors, if it.errors > 0 { "tone-err" } else { "" }),
                number(format::percent(cold), cold),
                number(format::duration(it.p50_ms), it.p50_ms),
                number(format::duration(it.p95_ms), it.p95_ms),
                toned(compared(it), slowness(it).unwrap_or_default(), tone),
                text(&loops(model, &it.id)),
            ],
        }
    };
    let rows = model.functions.values().map(row).collect();
    Rows { caption: "Functions", row: "function-row", columns: &FUNCTION_COLUMNS, rows }
}

const EDGE_COLUMNS: [Column; 8] = [
    ("From → to", false),
    ("Kind", false),
    ("Rate", true),
    ("Calls", true),
    ("Errors", true),
    ("p50", true),
    ("p95", true),
    ("Gap p95", true),
];

fn edges(model: &Model) -> Rows {
    let row = |it: &Edge| {
        let errors = share(it.errors, it.calls);
        Row {
            key: format!("{}~{}~{}", it.source, it.target, it.kind),
            href: Route::edge(&it.source, &it.target).as_table().href(),
            cells: vec![
                text(&format!("{} → {}", model.node_name(&it.source), model.node_name(&it.target))),
                text(&it.kind),
                number(format::rate(it.rate_per_second), it.rate_per_second),
                number(format::count(it.calls), it.calls as f64),
                toned(format::percent(errors), errors, if it.errors > 0 { "tone-err" } else { "" }),
                number(format::duration(it.p50_ms), it.p50_ms),
                number(format::duration(it.p95_ms), it.p95_ms),
                number(format::duration_or_dash(it.gap_p95_ms), it.gap_p95_ms.unwrap_or(-1.0)),
            ],
        }
    };
    let rows = model.edges.values().map(row).collect();
    Rows { caption: "Edges", row: "edge-row", columns: &EDGE_COLUMNS, rows }
}

const RESOURCE_COLUMNS: [Column; 4] = [("Name", false), ("Kind", false), ("System", false), ("Loops", false)];

fn resources(model: &Model) -> Rows {
    let row = |it: &Resource| Row {
        key: it.id.clone(),
        href: Route::node(&it.id).as_table().href(),
        cells: vec![text(&it.name), text(&it.kind), text(&it.system.replace('_', " ")), text(&loops(model, &it.id))],
    };
    let rows = model.resources.values().map(row).collect();
    Rows { caption: "Resources", row: "resource-row", columns: &RESOURCE_COLUMNS, rows }
}

fn loops(model: &Model, id: &str) -> String {
    match model.loops_through(id).count() {
        0 => String::new(),
        n => format!("↻ {n}"),
    }
}

fn compared(it: &Function) -> String {
    let now = it.current_p95_ms.map_or_else(|| "–".into(), format::duration);
    match (scene::tone(it), slowness(it)) {
        (Tone::Slow, Some(ratio)) => format!("▲ {now} ({})", format::times(ratio)),
        (Tone::Critical, Some(ratio)) => format!("▲▲ {now} ({})", format::times(ratio)),
        _ => now,
    }
}
