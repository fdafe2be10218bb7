//! What takes the time, by rank: now as the live stream tells it, or in a range of time.

use leptos::prelude::*;
use loopscope_proto::v1::{Hotspot, HotspotList, RootOperation};

use crate::app::App;
use crate::client::hotspots_url;
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::parts::fetched::Answer;
use crate::parts::nothing_here;
use crate::parts::range::{self, Usual};
use crate::parts::rows::{Column, Order, Row, Rows, number, text};
use crate::url::{Range, Route};
use crate::words::functions::runs;
use crate::words::hotspots as words;

/// The page.
pub fn hotspots() -> AnyView {
    let app = App::get();
    let answer = Answer::<HotspotList>::of(range::asked(app, Usual::Live, hotspots_url));
    let order = Order::by(2, true);
    let content = move || {
        let is_live = app.range() == Range::default();
        let ready = app.named();
        let name = |id: &str| app.name_of(id, ready);
        let (shown, answered) = if is_live {
            let shown =
                app.model.with(|model| if model.ready { show(&model.hotspots, true, &name) } else { Vec::new() });
            (shown, None)
        } else {
            let shown = answer.show("The collector measured nothing.", |list| of_range(list, &order, &name));
            (shown, answer.peek(|list| list.range).flatten())
        };
        let sentence = "Where the time of the slowest requests goes, and what it buys to be faster there.";
        range::page(range::head(app, "Hotspots", sentence, Usual::Live, answered.as_ref()), shown)
    };
    patch::live(content)
}

fn of_range(list: &HotspotList, order: &Order, name: &dyn Fn(&str) -> String) -> Vec<Element> {
    let mut shown = vec![el("p", "muted").test("basis").text(words::basis(&list.basis))];
    shown.extend(show(&list.hotspots, false, name));
    if !list.roots.is_empty() {
        shown.push(order.table(roots(&list.roots)));
    }
    shown
}

fn show(list: &[Hotspot], is_live: bool, name: &dyn Fn(&str) -> String) -> Vec<Element> {
    if list.is_empty() {
        return vec![nothing_here(
            "Nothing measured in this time",
            "Hotspots appear as soon as some requests have come through.",
        )];
    }
    vec![el("ol", "cards").all(list.iter().map(|it| card(it, is_live, name)).collect())]
}

fn card(it: &Hotspot, is_live: bool, name: &dyn Fn(&str) -> String) -> Element {
    let known = it.tail_share.unwrap_or(it.share);
    let meter = format!("width:{:.1}%", known.clamp(0.0, 1.0) * 100.0);
    let of = if it.tail_share.is_some() { " of the slow traces" } else { " of all request time" };
    let share = el("div", "share")
        .child(
            el("div", "share-text")
                .child(el("strong", "").text(&format::percent(known)))
                .child(el("span", "muted").text(of)),
        )
        .child(el("div", "meter").attr("aria-hidden", "true").child(el("span", "").with("style", meter)));
    let share = match it.tail_share {
        Some(_) => share.child(el("p", "muted").text(&format!("{} of all time", format::percent(it.share)))),
        None => share,
    };
    let (tone, compared) = compared(it);
    let href = match &it.edge {
        Some(edge) => Route::edge(&edge.source, &edge.target).href(),
        None => Route::node(&it.function_id).href(),
    };
    let samples = format!(
        "{} · {} · {} sure",
        words::hotspot_cause(it),
        format::counted(it.samples, "sample", "samples"),
        format::percent(it.confidence)
    );
    let number =
        |name: &str, value: String| el("div", "").child(el("dt", "").text(name)).child(el("dd", "").text(&value));
    let mut numbers = el("dl", "card-numbers").child(number("p95 a call", format::duration(it.p95_ms)));
    // A range of the past learns nothing more.
    if is_live || it.baseline_p95_ms.is_some() {
        let baseline = it.baseline_p95_ms.map_or_else(|| "learning".into(), format::duration);
        numbers = numbers.child(number("baseline", baseline));
    }
    if let Some(calls) = it.calls_per_trace {
        numbers = numbers.child(number("calls a trace", runs(calls)));
    }
    let main = el("div", "card-main")
        .child(el("h2", "").child(link(href, &title(it, name)).attr("class", "whole")))
        .child(el("p", "muted").text(&samples))
        .all(words::what_if(it).map(|text| el("p", "card-meaning").test("what-if").text(&text)).into_iter().collect());
    el("li", "card hotspot")
        .test("hotspot-row")
        .attr("data-id", &it.function_id)
        .attr("data-cause", &it.cause)
        .child(el("span", "rank").attr("aria-hidden", "true").text(&it.rank.to_string()))
        .child(main)
        .child(share)
        .child(numbers)
        .child(el("p", &format!("compared {tone}")).text(&compared))
}

/// How it compares with its baseline: a class and the words.
fn compared(it: &Hotspot) -> (&'static str, String) {
    match it.baseline_p95_ms.filter(|base| *base > 0.0).map(|base| it.p95_ms / base) {
        None => ("muted", String::new()),
        Some(ratio) if ratio < 0.8 => ("muted", format!("{} its baseline", format::times(ratio))),
        Some(ratio) if ratio < 1.5 => ("muted", "as usual".to_owned()),
        Some(ratio) if ratio <= 3.0 => ("tone-slow", format!("▲ {} its baseline", format::times(ratio))),
        Some(ratio) => ("tone-crit", format!("▲▲ {} its baseline", format::times(ratio))),
    }
}

fn title(it: &Hotspot, name: &dyn Fn(&str) -> String) -> String {
    match &it.edge {
        Some(edge) => format!("{} → {}", name(&edge.source), name(&edge.target)),
        None if it.function.is_empty() => name(&it.function_id),
        None => it.function.clone(),
    }
}

const ROOT_COLUMNS: [Column; 4] = [("Root operation", false), ("Looked at", true), ("Traces", true), ("p95", true)];

fn roots(list: &[RootOperation]) -> Rows {
    let row = |it: &RootOperation| Row {
        key: it.id.clone(),
        href: Route::node(&it.function_id).href(),
        cells: vec![
            text(&words::root_operation(it)),
            number(format::count(it.samples), it.samples as f64),
            number(runs(it.traces), it.traces),
            number(format::duration(it.p95_ms), it.p95_ms),
        ],
    };
    Rows {
        caption: "What begins traces",
        row: "root-row",
        columns: &ROOT_COLUMNS,
        rows: list.iter().map(row).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopscope_proto::v1::EdgeRef;

    fn shown(list: &[Hotspot]) -> String {
        crate::html::words(&show(list, true, &|id| id.to_uppercase()))
    }

    #[test]
    fn a_hotspot_says_where_why_and_what_it_buys() {
        let root = RootOperation { function: "front".into(), ..RootOperation::default() };
        let it = Hotspot {
            rank: 1,
            edge: Some(EdgeRef { source: "a".into(), target: "b".into() }),
            cause: "gap".into(),
            p95_ms: 400.0,
            baseline_p95_ms: Some(100.0),
            share: 0.2,
            tail_share: Some(0.61),
            saves_10_ms: Some(34.0),
            saves_50_ms: Some(150.0),
            calls_per_trace: Some(2.0),
            samples: 120,
            confidence: 0.91,
            root: Some(root),
            ..Hotspot::default()
        };
        let text = shown(&[it]);
        for part in [
            "1 A → B waiting between caller and callee · 120 samples · 91 % sure",
            "10 % faster here buys 34 ms at p95 of front, twice as fast 150 ms.",
            "61 % of the slow traces 20 % of all time",
            "calls a trace 2",
            "▲▲ 4× its baseline",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn sums_know_no_tail_and_no_what_if() {
        let text = shown(&[Hotspot { function: "pay".into(), share: 0.4, cause: "self".into(), ..Hotspot::default() }]);
        assert!(text.contains("40 % of all request time") && text.contains("baseline learning"), "{text}");
        assert!(!text.contains("faster here"), "{text}");
        assert!(shown(&[]).starts_with("Nothing measured"));
    }
}
