//! What is wrong with functions, those with most of it first. `functions/detail.rs` says everything of one.

pub mod detail;

use leptos::prelude::*;
use loopscope_proto::v1::{FunctionList, FunctionRisks};

use crate::app::App;
use crate::client::functions_url;
use crate::format;
use crate::html::{Element, patch};
use crate::parts::fetched::Answer;
use crate::parts::range::{self, Usual};
use crate::parts::rows::{Cell, Column, Order, Row, Rows, number, text, toned};
use crate::parts::{further, nothing_here};
use crate::url::{Range, Route};
use crate::words::functions as words;

/// The page.
pub fn functions() -> AnyView {
    let app = App::get();
    let answer = Answer::<FunctionList>::of(range::asked(app, Usual::Hour, functions_url));
    // The server has those with most wrong first; the number of risks keeps that order.
    let order = Order::by(1, true);
    let content = move || {
        let range = app.range();
        let shown = answer.show("The collector knows no functions.", |list| show(list, &range, &order));
        let sentence = "What is wrong with each of them: cold starts, state, time-outs, memory, throttles.";
        let answered = answer.peek(|list| list.range);
        range::page(range::head(app, "Functions", sentence, Usual::Hour, answered.flatten().as_ref()), shown)
    };
    patch::live(content)
}

const COLUMNS: [Column; 9] = [
    ("Function", false),
    ("Wrong", true),
    ("Runs", true),
    ("Errors", true),
    ("Cold", true),
    ("State", true),
    ("Time-outs a day", true),
    ("Memory free", true),
    ("Throttled", true),
];

fn show(list: &FunctionList, range: &Range, order: &Order) -> Vec<Element> {
    if list.functions.is_empty() {
        return vec![nothing_here(
            "No function ran in this time",
            "Choose a longer range, or send spans: Connect says how.",
        )];
    }
    let rows = list.functions.iter().enumerate().map(|(at, it)| Row {
        key: it.id.clone(),
        href: Route::Function { id: it.id.clone(), range: range.clone() }.href(),
        cells: cells(it, at),
    });
    let table = Rows { caption: "Functions", row: "risk-row", columns: &COLUMNS, rows: rows.collect() };
    vec![order.table(table), further(list.functions_elided, "function", "functions")]
}

fn cells(it: &FunctionRisks, at: usize) -> Vec<Cell> {
    let name = if it.environment.is_empty() { it.name.clone() } else { format!("{} · {}", it.name, it.environment) };
    let risks: Vec<&str> = it.risks.iter().map(|word| words::risk(word).0).collect();
    let errors = if it.runs > 0.0 { it.errors / it.runs } else { 0.0 };
    let has = |word: &str| it.risks.iter().any(|risk| risk == word);
    let warned = |is_wrong: bool| if is_wrong { "tone-slow" } else { "" };
    let time_outs = it.time_outs_per_day;
    let free = it.memory_headroom;
    vec![
        text(&name),
        toned(risks.join(", "), risks.len() as f64 - at as f64 / 1e6, warned(!risks.is_empty())),
        number(words::runs(it.runs), it.runs),
        toned(format::percent(errors), errors, if errors > 0.0 { "tone-err" } else { "" }),
        toned(format::percent(it.cold_share), it.cold_share, warned(has("cold_starts"))),
        toned(format::percent(it.state_share), it.state_share, warned(has("chatty_state"))),
        toned(time_outs.map_or_else(|| "–".into(), words::amount), time_outs.unwrap_or(-1.0), warned(has("time_out"))),
        toned(
            free.map_or_else(|| "–".into(), format::percent),
            free.unwrap_or(2.0),
            warned(has("memory_low") || has("memory_leak")),
        ),
        toned(format::percent(it.throttled_share), it.throttled_share, warned(has("throttled"))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::html::words;

    #[test]
    fn a_row_says_what_is_wrong_in_words() {
        Owner::new().set();
        let it = FunctionRisks {
            id: "f1".into(),
            name: "shop".into(),
            environment: "prod".into(),
            runs: 20.0,
            errors: 1.0,
            risks: vec!["time_out".into(), "chatty_state".into()],
            cold_share: 0.25,
            state_share: 0.48,
            time_outs_per_day: Some(12.0),
            ..FunctionRisks::default()
        };
        let list = FunctionList { functions: vec![it], functions_elided: 3, ..FunctionList::default() };
        let text = words(&show(&list, &Range::default(), &Order::by(1, true)));
        assert!(text.contains("shop · prod time-outs, chatty state 20 5 % 25 % 48 % 12 – 0 %"), "{text}");
        assert!(text.ends_with("3 further functions are not listed."), "{text}");
        assert!(
            words(&show(&FunctionList::default(), &Range::default(), &Order::by(1, true)))
                .starts_with("No function ran")
        );
    }
}
