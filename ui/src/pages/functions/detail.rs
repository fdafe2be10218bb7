//! Everything known of one function: cold starts, what it waits for stores, time-outs, memory, throttles, versions,
//! edges and loops.

use leptos::prelude::*;
use loopscope_proto::v1::{Edge, FunctionLogs, FunctionProfile, LoopSummary, Refusals, StoreUse};

use crate::app::App;
use crate::client::{function_logs_url, function_url};
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::parts::fetched::Answer;
use crate::parts::logs;
use crate::parts::range::{self, Usual};
use crate::parts::rows::{Column, Order, Row, Rows, number, text, toned};
use crate::parts::{facts, figures, further, icon, panel};
use crate::scene::share;
use crate::url::Route;
use crate::words as say;
use crate::words::functions as words;

/// The page.
pub fn function(id: String) -> AnyView {
    let app = App::get();
    let of = id.clone();
    let asked = range::asked(app, Usual::Hour, move |range| function_url(&of, range));
    let asked_logs = range::asked(app, Usual::Hour, move |range| function_logs_url(&id, range));
    let written = Answer::<FunctionLogs>::of(asked_logs);
    let answer = Answer::<FunctionProfile>::of(asked);
    let orders = Orders { stores: Order::by(5, true), edges: Order::by(2, true) };
    let content = move || {
        let ready = app.named();
        let name = |id: &str| app.name_of(id, ready);
        let mut shown = answer.show("No function has this id: it may never have run.", |it| show(it, &orders, &name));
        if answer.peek(|_| ()).is_some() {
            shown.push(panel("Logs", "logs", "").all(written.show("No log record names it.", log_lines)));
        }
        let head = answer.peek(|it| (title(it), kind(it), it.range));
        let (title, kind, answered) = head.unwrap_or_else(|| ("Function".into(), String::new(), None));
        let back = Route::Functions(app.range()).href();
        let crumb =
            el("p", "crumb").child(el("a", "").with("href", back).child(icon::sign("back")).text("All functions"));
        let head = range::head(app, &title, &kind, Usual::Hour, answered.as_ref());
        vec![el("div", "page").child(crumb).child(head).all(shown)]
    };
    patch::live(content)
}

struct Orders {
    stores: Order,
    edges: Order,
}

fn title(it: &FunctionProfile) -> String {
    it.function.as_ref().map(|it| it.name.clone()).unwrap_or_default()
}

fn kind(it: &FunctionProfile) -> String {
    let of = it.function.as_ref().map(|it| [it.kind.replace('_', " "), it.environment.clone()]).unwrap_or_default();
    of.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join(" · ")
}

fn show(it: &FunctionProfile, orders: &Orders, name: &dyn Fn(&str) -> String) -> Vec<Element> {
    let function = it.function.clone().unwrap_or_default();
    let cold = it.cold_starts.unwrap_or_default();
    let time_out = it.time_out.clone().unwrap_or_default();
    let throttles = it.throttles.clone().unwrap_or_default();
    let state = it.state.clone().unwrap_or_default();
    let on_map = link(Route::node(&function.id).href(), "On the map").attr("class", "button");
    let mut shown = vec![
        if it.is_past {
            el("p", "muted").text("It ran in this time, and is not on the map any more.")
        } else {
            el("p", "actions map-link").child(on_map)
        },
        figures(vec![
            ("runs", words::runs(it.runs)),
            ("errors", format::percent(if it.runs > 0.0 { it.errors / it.runs } else { 0.0 })),
            ("cold", format::percent(cold.share)),
            ("p99", format::duration(time_out.p99_ms)),
            ("longest run", format::duration(time_out.max_ms)),
            ("waits for stores", format::percent(state.share)),
        ]),
    ];
    if function.is_untraced {
        let text = "It exists and is not traced: logs or metrics tell of it, and no span does. Add an OpenTelemetry SDK or \
                    layer to it.";
        shown.insert(0, el("p", "verdict muted").test("untraced").text(text));
    }
    if function.is_unnamed {
        let text = "Its exporter gives it no name, so each of its processes or machines stands alone. Set \
                    OTEL_SERVICE_NAME where it runs.";
        shown.insert(0, el("p", "verdict muted").test("unnamed").text(text));
    }
    if it.failures_in_logs > 0 {
        shown.push(
            el("p", "verdict muted").test("failures-in-logs").text(&words::failures_in_logs(it.failures_in_logs)),
        );
    }
    let mut panels = vec![
        panel("Cold starts", "cold-starts", &words::cold_starts(&cold)).child(facts(vec![
            ("Cold runs", words::runs(cold.count)),
            ("Start before the run, median", format::duration_or_dash(cold.init_p50_ms)),
            ("Start, 95th percentile", format::duration_or_dash(cold.init_p95_ms)),
            ("Cold run, median", format::duration_or_dash(cold.cold_p50_ms)),
            ("Warm run, median", format::duration_or_dash(cold.warm_p50_ms)),
        ])),
        panel("Time-out", "time-out", &words::time_out(&time_out)).child(facts(vec![
            ("Limit", format::duration_or_dash(time_out.limit_ms)),
            ("99th percentile", format::duration(time_out.p99_ms)),
            ("99.9th percentile", format::duration(time_out.p999_ms)),
            ("Timed out", words::runs(time_out.seen)),
            ("Expected a day", time_out.expected_per_day.map_or_else(|| "–".into(), words::amount)),
        ])),
        panel("Metrics", "metrics", &words::metrics(it.metrics.as_ref()))
            .all(it.metrics.iter().map(|it| facts(words::reported(it))).collect()),
        panel("Memory", "memory", &words::memory(it.memory.as_ref())),
        panel("Throttles and concurrency", "throttles", &words::throttles(&throttles))
            .all(refusals("Refused to", &throttles.callers))
            .all(refusals("Refused by", &throttles.refused_by)),
        panel("Facts", "facts", "What spans do not carry, and who said it.")
            .child(facts(it.facts.as_ref().map(words::facts).unwrap_or_default())),
        panel("Versions", "versions", if it.versions.is_empty() { "No span names a version." } else { "" })
            .child(facts_of_versions(it)),
    ];
    if !it.loops.is_empty() {
        panels.push(panel("Loops", "loops", "").child(el("ul", "plain").all(it.loops.iter().map(one_loop).collect())));
    }
    shown.push(el("div", "panels").all(panels));
    shown.push(panel("State", "state", &words::state(&state)));
    if !state.stores.is_empty() {
        shown.push(orders.stores.table(stores(&state.stores)));
    }
    shown.push(orders.edges.table(edges(&it.edges, name)));
    shown.push(further(it.edges_elided, "edge", "edges"));
    shown
}

fn log_lines(it: &FunctionLogs) -> Vec<Element> {
    if it.logs.is_empty() {
        return vec![el("p", "muted").text("No log record of this time names it.")];
    }
    let mut shown = vec![el("ul", "logs").all(it.logs.iter().map(|log| logs::line(log, true)).collect())];
    if it.truncated {
        shown.push(el("p", "muted").text("There are more: choose a shorter time."));
    }
    shown
}

fn facts_of_versions(it: &FunctionProfile) -> Element {
    let line = |version: &loopscope_proto::v1::FunctionVersion| {
        let seen = format!("first seen {}", format::moment(version.first_seen.as_ref()));
        el("li", "")
            .child(el("strong", "mono").text(&version.version))
            .child(el("span", "muted").text(&format!(" {seen}")))
    };
    el("ul", "plain").all(it.versions.iter().rev().map(line).collect())
}

fn refusals(title: &str, list: &[Refusals]) -> Vec<Element> {
    let line = |it: &Refusals| {
        let text = format!(" {} of {}", words::runs(it.count), words::runs(it.calls));
        el("li", "").child(link(Route::node(&it.node_id).href(), &it.node)).child(el("span", "muted").text(&text))
    };
    if list.is_empty() {
        return Vec::new();
    }
    vec![el("h3", "").text(title), el("ul", "plain").all(list.iter().map(line).collect())]
}

fn one_loop(it: &LoopSummary) -> Element {
    let text = match &it.retry_storm {
        Some(storm) => format!(" retry storm, {} attempts a request", words::amount(storm.attempts_per_request)),
        None => format!(" {}, {}", it.state().word(), format::counted(it.max_depth.into(), "lap deep", "laps deep")),
    };
    el("li", "")
        .child(link(Route::Loop(it.id.clone()).href(), &say::way(&it.functions)))
        .child(el("span", "muted").text(&text))
}

const STORE_COLUMNS: [Column; 6] = [
    ("Store", false),
    ("Use", false),
    ("Uses a run", true),
    ("Of one use", true),
    ("A run", true),
    ("Of all that waiting", true),
];

fn stores(list: &[StoreUse]) -> Rows {
    let row = |it: &StoreUse| Row {
        key: format!("{} {}", it.resource_id, it.kind),
        href: Route::node(&it.resource_id).href(),
        cells: vec![
            text(&it.resource),
            text(&it.kind),
            number(words::amount(it.calls_per_run), it.calls_per_run),
            number(format::duration(it.mean_ms), it.mean_ms),
            number(format::duration(it.mean_ms * it.calls_per_run), it.mean_ms * it.calls_per_run),
            number(format::percent(it.share), it.share),
        ],
    };
    Rows { caption: "Stores", row: "store-row", columns: &STORE_COLUMNS, rows: list.iter().map(row).collect() }
}

const EDGE_COLUMNS: [Column; 7] = [
    ("From → to", false),
    ("Kind", false),
    ("Calls", true),
    ("Errors", true),
    ("p50", true),
    ("p95", true),
    ("Gap p95", true),
];

fn edges(list: &[Edge], name: &dyn Fn(&str) -> String) -> Rows {
    let row = |it: &Edge| {
        let errors = share(it.errors, it.calls);
        Row {
            key: format!("{}~{}~{}", it.source, it.target, it.kind),
            href: Route::edge(&it.source, &it.target).href(),
            cells: vec![
                text(&format!("{} → {}", name(&it.source), name(&it.target))),
                text(&it.kind),
                number(format::count(it.calls), it.calls as f64),
                toned(format::percent(errors), errors, if errors > 0.0 { "tone-err" } else { "" }),
                number(format::duration(it.p50_ms), it.p50_ms),
                number(format::duration(it.p95_ms), it.p95_ms),
                number(format::duration_or_dash(it.gap_p95_ms), it.gap_p95_ms.unwrap_or(-1.0)),
            ],
        }
    };
    Rows {
        caption: "Edges, since the journal begins",
        row: "profile-edge-row",
        columns: &EDGE_COLUMNS,
        rows: list.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopscope_proto::v1::{Function, FunctionVersion, StateTax, Throttles};

    #[test]
    fn every_part_is_told_even_when_nothing_is_known() {
        Owner::new().set();
        let orders = Orders { stores: Order::by(5, true), edges: Order::by(2, true) };
        let name = |id: &str| id.to_uppercase();
        let empty = crate::html::words(&show(&FunctionProfile::default(), &orders, &name));
        for text in
            ["No run of this time was cold", "Nobody said what its time-out is", "Nothing tells how much memory"]
        {
            assert!(empty.contains(text), "{text}: {empty}");
        }
        let store = StoreUse {
            resource: "orders".into(),
            kind: "read".into(),
            calls_per_run: 12.0,
            mean_ms: 4.0,
            share: 1.0,
            ..StoreUse::default()
        };
        let it = FunctionProfile {
            function: Some(Function {
                name: "shop".into(),
                kind: "aws_lambda".into(),
                environment: "prod".into(),
                ..Function::default()
            }),
            runs: 20.0,
            state: Some(StateTax { share: 0.48, calls_per_run: 12.0, stores: vec![store], ..StateTax::default() }),
            throttles: Some(Throttles {
                refused_by: vec![Refusals { node: "bank".into(), count: 5.0, calls: 20.0, ..Refusals::default() }],
                ..Throttles::default()
            }),
            versions: vec![FunctionVersion { version: "41".into(), first_seen: None }],
            edges: vec![Edge {
                source: "a".into(),
                target: "b".into(),
                kind: "call".into(),
                calls: 5,
                ..Edge::default()
            }],
            ..FunctionProfile::default()
        };
        assert_eq!((title(&it).as_str(), kind(&it).as_str()), ("shop", "aws lambda · prod"));
        let text = crate::html::words(&show(&it, &orders, &name));
        for part in
            ["orders read 12 4 ms 48 ms 100 %", "Refused by bank 5 of 20", "41 first seen –", "A → B call 5 0 %"]
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
