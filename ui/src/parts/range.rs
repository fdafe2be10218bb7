//! The choice of a range of time, which stands in the address and goes with the reader from page to page.

use std::rc::Rc;

use leptos::prelude::*;
use loopscope_proto::v1::TimeRange;
use wasm_bindgen::JsCast;

use crate::app::App;
use crate::html::{Element, el};
use crate::url::{ALL, Range};
use crate::words;

/// What is asked for by one press.
const CHOICES: [(&str, &str); 5] = [("15 min", "-15m"), ("1 h", "-1h"), ("6 h", "-6h"), ("24 h", "-24h"), ("all", ALL)];

/// How often the answer to a range that ends now is asked for again.
const EVERY_MS: f64 = 15_000.0;

/// What a page shows when nothing is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usual {
    /// What the live stream tells.
    Live,
    /// The last hour.
    Hour,
}

/// The address to ask for the range that the reader is at; it changes while the picture is not paused, so that the
/// answer is fetched again. `None` where the live stream tells it.
pub fn asked(app: App, usual: Usual, url: impl Fn(&Range) -> String + Send + Sync + 'static) -> Memo<Option<String>> {
    let round = Memo::new(move |before: Option<&u64>| match before {
        Some(before) if app.paused.get() => *before,
        _ => (app.now.get() / EVERY_MS) as u64,
    });
    Memo::new(move |_| {
        let range = app.route.with(|route| route.range().cloned())?;
        let is_live = usual == Usual::Live && range == Range::default();
        (!is_live).then(|| format!("{}#{}", url(&range), round.get()))
    })
}

/// A page of a head and what it shows.
pub fn page(head: Element, shown: Vec<Element>) -> Vec<Element> {
    vec![el("div", "page").child(head).all(shown)]
}

/// The head of a page: its heading, a sentence, and the choice.
pub fn head(app: App, title: &str, sentence: &str, usual: Usual, answered: Option<&TimeRange>) -> Element {
    let said = answered.map(words::time_range).unwrap_or_default();
    el("header", "page-head")
        .child(el("h1", "").attr("tabindex", "-1").text(title))
        .child(el("p", "muted").text(sentence))
        .child(choice(app, usual))
        .child(el("p", "muted range-said").test("range").text(&said))
}

fn choice(app: App, usual: Usual) -> Element {
    let route = app.route.get();
    let at = route.range().cloned().unwrap_or_default();
    let one = |text: &str, range: Range, is_at: bool| {
        let link = el("a", "").with("href", route.clone().at(range).href()).text(text);
        if is_at { link.attr("aria-current", "true") } else { link }
    };
    let is_usual = at == Range::default();
    let mut links = Vec::new();
    if usual == Usual::Live {
        links.push(one("now", Range::default(), is_usual));
    }
    for (text, from) in CHOICES {
        let is_hour = usual == Usual::Hour && from == "-1h";
        let range = if is_hour { Range::default() } else { Range::last(from) };
        links.push(one(text, range, at == Range::last(from) || (is_hour && is_usual)));
    }
    let is_own = at.to.is_some() || CHOICES.iter().all(|(_, from)| at != Range::last(from));
    let is_own = is_own && !is_usual;
    let own = el("details", "range-own")
        .child(el("summary", if is_own { "chosen" } else { "" }).text("from – to"))
        .child(form(app, &at));
    el("div", "range")
        .attr("role", "group")
        .attr("aria-label", "Range of time")
        .test("range-choice")
        .child(el("div", "switch").all(links))
        .child(own)
}

/// Any two times, in UTC as all times of the page.
fn form(app: App, at: &Range) -> Element {
    let field = |id: &'static str, name: &str, value: Option<&String>| {
        let value = value.map(|it| it.trim_end_matches('Z')).unwrap_or_default();
        el("label", "")
            .text(name)
            .child(el("input", "").attr("id", id).attr("type", "datetime-local").attr("step", "1").attr("value", value))
    };
    let submit = move |event: &web_sys::Event| {
        event.prevent_default();
        let range = Range { from: written("range-from"), to: written("range-to") };
        app.go(app.route.get_untracked().at(range));
    };
    el("form", "range-form")
        .on("submit", Rc::new(submit))
        .child(field("range-from", "From, UTC", at.from.as_ref()))
        .child(field("range-to", "To, UTC", at.to.as_ref()))
        .child(el("button", "button").attr("type", "submit").text("Show"))
}

fn written(id: &str) -> Option<String> {
    let input: web_sys::HtmlInputElement = document().get_element_by_id(id)?.dyn_into().ok()?;
    let value = input.value();
    // Browsers leave seconds of zero out.
    let seconds = if value.len() == 16 { ":00" } else { "" };
    (!value.is_empty()).then(|| format!("{value}{seconds}Z"))
}
