//! What became slower or faster, or fails more often, the newest first.

use leptos::prelude::*;
use loopscope_proto::v1::{Change, ChangeList, Level, TimeRange};

use crate::app::App;
use crate::client::changes_url;
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::parts::fetched::Answer;
use crate::parts::nothing_here;
use crate::parts::range::{self, Usual};
use crate::url::{Range, Route};
use crate::words::changes as words;

/// The page.
pub fn changes() -> AnyView {
    let app = App::get();
    let answer = Answer::<ChangeList>::of(range::asked(app, Usual::Hour, changes_url));
    let content = move || {
        let range = app.range();
        let now = app.now.get();
        let shown = answer.show("The collector watches no series.", |list| show(list, &range, now));
        let sentence = "What became slower, faster, or fails more often than in the day before, the newest first.";
        let answered = answer.peek(|list| TimeRange { from: list.from, to: list.to, seen_seconds: f64::INFINITY });
        range::page(range::head(app, "Changes", sentence, Usual::Hour, answered.as_ref()), shown)
    };
    patch::live(content)
}

fn show(list: &ChangeList, range: &Range, now: f64) -> Vec<Element> {
    if list.changes.is_empty() {
        return vec![nothing_here(
            "Nothing changed in this time",
            "A series is watched once it has 500 values over half an hour; what changes then and matters is told here.",
        )];
    }
    let count = |worse: bool| list.changes.iter().filter(|it| words::is_regression(it) == worse).count() as u64;
    let summary = format!(
        "{} · {}",
        format::counted(count(true), "regression", "regressions"),
        format::counted(count(false), "improvement", "improvements")
    );
    let cards = list.changes.iter().map(|it| card(it, range, now)).collect();
    vec![el("p", "muted").text(&summary), el("ul", "cards").all(cards)]
}

fn card(it: &Change, range: &Range, now: f64) -> Element {
    let (glyph, word, tone) = words::direction(it);
    let of_edge = it.edge.is_some();
    let (title, href) = match &it.edge {
        Some(edge) => (format!("{} → {}", it.function, it.target), Route::edge(&edge.source, &edge.target).href()),
        None => (it.function.clone(), Route::Function { id: it.function_id.clone(), range: range.clone() }.href()),
    };
    let lasts = match (&it.until, &it.settled_at) {
        (Some(until), _) => format!("until {}", format::moment(Some(until))),
        (None, Some(_)) => "and is the usual now".to_owned(),
        (None, None) => "and lasts".to_owned(),
    };
    let ago = format::millis(it.since.as_ref()).map(|since| format::ago(since, now)).unwrap_or_default();
    let when = format!("Since {} ({ago}) {lasts}.", format::moment(it.since.as_ref()));
    let chip = el("span", if words::is_regression(it) { "chip severity-critical" } else { "chip" })
        .child(el("span", "").attr("aria-hidden", "true").text(glyph))
        .text(&format!(" {word}"));
    let main = el("div", "card-main")
        .child(el("div", "chips").child(chip).child(el("span", "muted").text(words::aspect(&it.aspect, of_edge))))
        .child(el("h2", "").child(link(href, &title)))
        .child(el("p", "card-meaning").text(&when))
        .all(words::version_before(it).map(|text| el("p", "card-meaning").text(&text)).into_iter().collect());
    let number =
        |name: &str, value: String| el("div", "").child(el("dt", "").text(name)).child(el("dd", "").text(&value));
    let samples = |it: Option<&Level>| format::count(it.map_or(0, |it| it.samples));
    let numbers = el("dl", "card-numbers")
        .child(number("before", words::level(it.before.as_ref())))
        .child(number("after", words::level(it.after.as_ref())))
        .child(number("sure", format::percent(it.confidence)))
        .child(number("values", samples(it.after.as_ref())));
    el("li", "card")
        .test("change-row")
        .attr("data-direction", &it.direction)
        .attr("data-aspect", &it.aspect)
        .child(main)
        .child(numbers)
        .child(el("p", &format!("compared {tone}")).text(&words::by_how_much(it)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use loopscope_proto::v1::EdgeRef;
    use prost_types::Timestamp;

    #[test]
    fn a_change_says_by_how_much_and_after_what() {
        let at = |seconds| Some(Timestamp { seconds, nanos: 0 });
        let level = |p95_ms| Some(Level { samples: 900, p95_ms: Some(p95_ms), p50_ms: Some(1.0), share: None });
        let it = Change {
            function: "shop".into(),
            function_id: "f1".into(),
            edge: Some(EdgeRef { source: "f1".into(), target: "f2".into() }),
            target: "bank".into(),
            aspect: "gap".into(),
            direction: "regression".into(),
            since: at(1_795_402_800),
            before: level(12.0),
            after: level(48.0),
            confidence: 0.98,
            version: "7".into(),
            version_first_seen: at(1_795_402_680),
            ..Change::default()
        };
        let list = ChangeList { changes: vec![it.clone()], ..ChangeList::default() };
        let now = 1_795_402_920_000.0;
        let text = crate::html::words(&show(&list, &Range::default(), now));
        for part in [
            "1 regression · 0 improvements",
            "▲ slower waiting between caller and callee shop → bank Since 2026-11-23 03:00:00 UTC (2 m ago) and lasts.",
            "Version 7 was first seen 2 m before.",
            "before 12 ms after 48 ms sure 98 % values 900 4× at p95",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let settled = Change { settled_at: at(1_795_489_200), ..it };
        let list = ChangeList { changes: vec![settled], ..ChangeList::default() };
        let text = crate::html::words(&show(&list, &Range::default(), now));
        assert!(text.contains("and is the usual now."), "{text}");
        assert!(
            crate::html::words(&show(&ChangeList::default(), &Range::default(), now)).starts_with("Nothing changed")
        );
    }
}
