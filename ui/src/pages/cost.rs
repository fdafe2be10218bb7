//! What functions cost, where it goes, and whether they belong in functions. `cost/fit.rs` is the comparison with
//! containers and what is assumed.

mod fit;

use leptos::prelude::*;
use loopscope_proto::v1::{CostReport, Costs, EdgeCost, FunctionCost, GroupCost, LoopShare, PipelineCost, TriggerCost};

use crate::app::App;
use crate::client::cost_url;
use crate::format;
use crate::html::{Element, el, patch};
use crate::parts::fetched::Answer;
use crate::parts::range::{self, Usual};
use crate::parts::rows::{Cell, Column, Order, Row, Rows, number, text, toned};
use crate::parts::{figures, nothing_here};
use crate::url::{Range, Route};
use crate::words as say;
use crate::words::cost::{self as words, fine_money};
use crate::words::functions::{amount, runs};

/// The page.
pub fn cost() -> AnyView {
    let app = App::get();
    let answer = Answer::<CostReport>::of(range::asked(app, Usual::Hour, cost_url));
    let orders = Orders::default();
    let content = move || {
        let range = app.range();
        let ready = app.named();
        let name = |id: &str| app.name_of(id, ready);
        let shown = answer.show("The collector knows no costs.", |it| show(it, &range, &orders, &name));
        let sentence = "List prices of what ran, and whether it belongs in functions.";
        let answered = answer.peek(|it| it.range).flatten();
        range::page(range::head(app, "Cost", sentence, Usual::Hour, answered.as_ref()), shown)
    };
    patch::live(content)
}

/// The orders of the tables.
struct Orders {
    functions: Order,
    triggers: Order,
    pipelines: Order,
    groups: [Order; 3],
    edges: Order,
    loops: Order,
}

impl Default for Orders {
    fn default() -> Self {
        let by = |column| Order::by(column, true);
        Self {
            functions: by(2),
            triggers: by(2),
            pipelines: by(1),
            groups: [by(2), by(2), by(2)],
            edges: by(3),
            loops: by(1),
        }
    }
}

fn show(it: &CostReport, range: &Range, orders: &Orders, name: &dyn Fn(&str) -> String) -> Vec<Element> {
    if it.currency.is_empty() {
        return vec![nothing_here("No prices", "The configuration says that nothing is priced, so no cost is known.")];
    }
    if it.functions.is_empty() {
        return vec![nothing_here(
            "Nothing ran in this time",
            "Choose a longer range, or send spans: Connect says how.",
        )];
    }
    let total = it.total.unwrap_or_default();
    let mut shown = vec![summary(it, &total)];
    if it.assumed > 0.0 {
        let text = format!(
            "{} of it rests on assumed memory, or on prices of another platform: say more in the configuration.",
            format::percent(it.assumed / total.total.max(f64::MIN_POSITIVE))
        );
        shown.push(el("p", "notice").test("assumed").text(&text));
    }
    shown.push(orders.functions.table(functions(it, range)));
    shown.extend(fit::section(it, range));
    shown.push(orders.triggers.table(triggers(it)));
    if !it.pipelines.is_empty() {
        shown.push(orders.pipelines.table(pipelines(it)));
    }
    let groups = [
        ("By owner", "owner-row", &it.owners),
        ("By application", "app-row", &it.apps),
        ("By environment", "environment-row", &it.environments),
    ];
    for ((caption, row, list), order) in groups.into_iter().zip(&orders.groups) {
        if !list.is_empty() {
            shown.push(order.table(group(caption, row, list, &it.currency)));
        }
    }
    if !it.edges.is_empty() {
        shown.push(orders.edges.table(edges(it, name)));
    }
    if !it.loops.is_empty() {
        shown.push(orders.loops.table(loops(&it.loops)));
    }
    shown.push(fit::assumptions(it));
    shown
}

fn summary(it: &CostReport, total: &Costs) -> Element {
    let money = |amount: f64| fine_money(amount, &it.currency);
    let part = |amount: f64| {
        let share = if total.total > 0.0 { amount / total.total } else { 0.0 };
        format!("{} · {}", money(amount), format::percent(share))
    };
    figures(vec![
        ("in this time", money(total.total)),
        ("a month at this pace", say::money(it.per_month, &it.currency)),
        ("time of runs", part(total.time)),
        ("runs, whatever they take", part(total.requests)),
        ("resources they use", part(total.calls)),
        ("of the time: waiting for anything", part(total.waiting)),
        ("of that: billed twice", part(total.double_billed)),
        ("of the time: cold", part(total.cold)),
    ])
}

const FUNCTION_COLUMNS: [Column; 9] = [
    ("Function", false),
    ("Belongs here?", false),
    ("Cost", true),
    ("Of all", true),
    ("Runs", true),
    ("Mean", true),
    ("Waiting", true),
    ("Billed twice", true),
    ("Cold", true),
];

fn functions(it: &CostReport, range: &Range) -> Rows {
    let all = it.total.map_or(0.0, |total| total.total).max(f64::MIN_POSITIVE);
    let row = |function: &FunctionCost| {
        let costs = function.costs.unwrap_or_default();
        let verdict = function.verdicts.first().map(|verdict| verdict.fit.as_str());
        let verdict =
            verdict.map_or(("–", ""), |word| (words::fit(word), if word == "fits" { "" } else { "tone-slow" }));
        let of_time = |part: f64| {
            let share = if costs.time > 0.0 { part / costs.time } else { 0.0 };
            number(format::percent(share), share)
        };
        let name = with_environment(&function.name, &function.environment);
        let mark = if function.is_assumed { " *" } else { "" };
        Row {
            key: function.id.clone(),
            href: Route::Function { id: function.id.clone(), range: range.clone() }.href(),
            cells: vec![
                text(&name),
                Cell { class: verdict.1, ..text(verdict.0) },
                number(format!("{}{mark}", fine_money(costs.total, &it.currency)), costs.total),
                number(format::percent(costs.total / all), costs.total / all),
                number(runs(function.requests), function.requests),
                number(format::duration(function.mean_ms), function.mean_ms),
                of_time(costs.waiting),
                of_time(costs.double_billed),
                of_time(costs.cold),
            ],
        }
    };
    let rows = it.functions.iter().map(row).collect();
    Rows { caption: "By function", row: "cost-row", columns: &FUNCTION_COLUMNS, rows }
}

fn with_environment(name: &str, environment: &str) -> String {
    if environment.is_empty() { name.to_owned() } else { format!("{name} · {environment}") }
}

const TRIGGER_COLUMNS: [Column; 5] =
    [("Trigger", false), ("Kind", false), ("Cost", true), ("Entries", true), ("Of one entry", true)];

fn triggers(it: &CostReport) -> Rows {
    let row = |trigger: &TriggerCost| {
        let one = trigger.per_entry;
        Row {
            key: trigger.id.clone(),
            href: Route::node(&trigger.id).href(),
            cells: vec![
                text(&trigger.name),
                text(words::trigger_kind(&trigger.kind)),
                number(fine_money(trigger.cost, &it.currency), trigger.cost),
                number(runs(trigger.entries), trigger.entries),
                number(one.map_or_else(|| "–".into(), |it_| fine_money(it_, &it.currency)), one.unwrap_or(-1.0)),
            ],
        }
    };
    let rows = it.triggers.iter().map(row).collect();
    Rows { caption: "By trigger, with all that followed", row: "trigger-row", columns: &TRIGGER_COLUMNS, rows }
}

const PIPELINE_COLUMNS: [Column; 5] =
    [("Pipeline", false), ("Cost", true), ("Its stages", true), ("Functions they wait for", true), ("Entries", true)];

fn pipelines(it: &CostReport) -> Rows {
    let money = |amount: f64| number(fine_money(amount, &it.currency), amount);
    let row = |pipeline: &PipelineCost| Row {
        key: pipeline.path.join("~"),
        href: pipeline.path.first().map(|id| Route::node(id).href()).unwrap_or_default(),
        cells: vec![
            text(&pipeline.functions.join(" → ")),
            money(pipeline.total),
            money(pipeline.stages),
            money(pipeline.called),
            number(runs(pipeline.entries), pipeline.entries),
        ],
    };
    let rows = it.pipelines.iter().map(row).collect();
    Rows { caption: "By pipeline", row: "pipeline-cost-row", columns: &PIPELINE_COLUMNS, rows }
}

const GROUP_COLUMNS: [Column; 5] =
    [("Name", false), ("Functions", true), ("Cost", true), ("Billed twice", true), ("Cold", true)];

fn group(caption: &'static str, row: &'static str, list: &[GroupCost], currency: &str) -> Rows {
    let one = |it: &GroupCost| {
        let costs = it.costs.unwrap_or_default();
        let money = |amount: f64| number(fine_money(amount, currency), amount);
        Row {
            key: it.name.clone(),
            href: String::new(),
            cells: vec![
                text(if it.name.is_empty() { "nobody said" } else { &it.name }),
                number(format::count(it.functions), it.functions as f64),
                money(costs.total),
                money(costs.double_billed),
                money(costs.cold),
            ],
        }
    };
    Rows { caption, row, columns: &GROUP_COLUMNS, rows: list.iter().map(one).collect() }
}

const EDGE_COLUMNS: [Column; 7] = [
    ("From → to", false),
    ("Kind", false),
    ("Calls", true),
    ("All", true),
    ("Uses", true),
    ("Waiting", true),
    ("Downstream", true),
];

fn edges(it: &CostReport, name: &dyn Fn(&str) -> String) -> Rows {
    let money = |amount: f64| number(fine_money(amount, &it.currency), amount);
    let row = |edge: &EdgeCost| {
        let in_loop = if edge.is_in_loop { " ↻" } else { "" };
        Row {
            key: format!("{}~{}~{}", edge.source, edge.target, edge.kind),
            href: Route::edge(&edge.source, &edge.target).href(),
            cells: vec![
                text(&format!("{} → {}{in_loop}", name(&edge.source), name(&edge.target))),
                text(&edge.kind),
                number(runs(edge.calls), edge.calls),
                money(edge.total),
                money(edge.uses),
                money(edge.waiting),
                money(edge.downstream),
            ],
        }
    };
    let rows = it.edges.iter().map(row).collect();
    Rows { caption: "By edge", row: "edge-cost-row", columns: &EDGE_COLUMNS, rows }
}

const LOOP_COLUMNS: [Column; 4] = [("Loop", false), ("So far", true), ("An hour", true), ("Next 24 h", true)];

fn loops(list: &[LoopShare]) -> Rows {
    let row = |it: &LoopShare| {
        let cost = it.cost.clone().unwrap_or_default();
        let money = |amount: f64| toned(fine_money(amount, &cost.currency), amount, "");
        Row {
            key: it.id.clone(),
            href: Route::Loop(it.id.clone()).href(),
            cells: vec![text(&say::way(&it.functions)), money(cost.so_far), money(cost.per_hour), money(cost.next_24h)],
        }
    };
    Rows {
        caption: "By loop, over all time",
        row: "loop-cost-row",
        columns: &LOOP_COLUMNS,
        rows: list.iter().map(row).collect(),
    }
}

/// The load of a function in words, which decides between functions and containers.
fn load(it: &FunctionCost) -> String {
    let variation = match it.variation {
        Some(variation) => format!(", variation {}", amount(variation)),
        None => String::new(),
    };
    format!(
        "{} in the mean, {} in the busiest minute{variation}; {} MiB",
        format::rate(it.per_second),
        format::rate(it.peak_per_second),
        format::count(it.memory_mb.into())
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::words;

    fn shown(it: &CostReport) -> String {
        Owner::new().set();
        words(&show(it, &Range::default(), &Orders::default(), &|id| id.to_uppercase()))
    }

    #[test]
    fn a_report_without_prices_or_runs_says_so() {
        assert!(shown(&CostReport::default()).starts_with("No prices"));
        assert!(shown(&CostReport { currency: "USD".into(), ..CostReport::default() }).starts_with("Nothing ran"));
    }

    #[test]
    fn costs_are_told_by_everything_that_the_api_tells() {
        let costs = Some(Costs { total: 0.4, time: 0.2, waiting: 0.1, double_billed: 0.05, ..Costs::default() });
        let function = FunctionCost {
            id: "f".into(),
            name: "shop".into(),
            requests: 40.0,
            costs,
            is_assumed: true,
            ..FunctionCost::default()
        };
        let group = GroupCost { name: String::new(), functions: 2, costs };
        let trigger = TriggerCost {
            id: "f".into(),
            name: "shop".into(),
            kind: "request".into(),
            cost: 0.4,
            ..TriggerCost::default()
        };
        let edge = EdgeCost {
            source: "a".into(),
            target: "b".into(),
            kind: "call".into(),
            total: 0.3,
            is_in_loop: true,
            ..EdgeCost::default()
        };
        let pipeline =
            PipelineCost { functions: vec!["a".into(), "b".into(), "c".into()], total: 0.2, ..PipelineCost::default() };
        let it = CostReport {
            currency: "USD".into(),
            total: costs,
            per_month: 292.0,
            assumed: 0.2,
            functions: vec![function],
            owners: vec![group],
            triggers: vec![trigger],
            edges: vec![edge],
            pipelines: vec![pipeline],
            ..CostReport::default()
        };
        let text = shown(&it);
        for part in [
            "in this time $0.40",
            "a month at this pace $292.00",
            "of that: billed twice $0.05 · 12 %",
            "50 % of it rests on assumed memory",
            "shop – $0.40 * 100 % 40 0 ms 50 % 25 % 0 %",
            "shop asked from outside $0.40 0 –",
            "nobody said 2 $0.40 $0.05",
            "A → B ↻ call 0 $0.30",
            "a → b → c $0.20",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
}
