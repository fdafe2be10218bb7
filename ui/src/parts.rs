//! Small parts that several pages are made of, as plain data.
//!
//! `parts/rows.rs` is the sortable table, `parts/range.rs` the choice of a range of time, `parts/fetched.rs` a request with
//! its signal, `parts/icon.rs` the signs, `parts/logs.rs` a log record in a line.

pub mod fetched;
pub mod icon;
pub mod logs;
pub mod range;
pub mod rows;

use std::rc::Rc;
use std::time::Duration;

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, LoopState, Severity};
use prost_types::Timestamp;
use wasm_bindgen::JsCast;

use crate::format;
use crate::html::{Element, el, link};
use crate::url::Route;
use crate::words;

/// How long a button says that it has copied.
const COPIED: Duration = Duration::from_millis(1600);

/// A button that copies a text and says so.
pub fn copy(text: String, label: &'static str) -> Element {
    let press = move |event: &web_sys::Event| {
        // What it says for a moment is put past the tables of what is shown, which never change the label of a button.
        // The browser tells by a promise; nothing useful could be done when it fails.
        let _ = window().navigator().clipboard().write_text(&text);
        let target = event.current_target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
        let Some(said) = target.and_then(|it| it.first_element_child()) else { return };
        said.set_text_content(Some("Copied ✓"));
        set_timeout(move || said.set_text_content(Some(label)), COPIED);
    };
    el("button", "button copy")
        .attr("type", "button")
        .test("copy")
        .on("click", Rc::new(press))
        .child(el("span", "").attr("aria-live", "polite").text(label))
}

/// A time, relative to now, with the exact one as its title.
pub fn ago(time: Option<&Timestamp>, now: f64) -> Element {
    let text = format::millis(time).map_or_else(|| "–".into(), |millis| format::ago(millis, now));
    el("time", "").with("title", format::moment(time)).text(&text)
}

fn chip(class: &str, glyph: &str, word: &str) -> Element {
    let chip = el("span", &format!("chip {class}"));
    let chip = if glyph.is_empty() { chip } else { chip.child(el("span", "").attr("aria-hidden", "true").text(glyph)) };
    chip.text(word)
}

/// The state of a loop: glyph, word, colour.
pub fn state_chip(state: LoopState) -> Element {
    let word = state.word();
    chip(&format!("state-{word}"), words::state_glyph(state), &word).attr("title", words::state_meaning(state))
}

/// The severity of a finding: glyph, word, colour.
pub fn severity_chip(severity: Severity) -> Element {
    let word = severity.word();
    chip(&format!("severity-{word}"), words::severity_glyph(severity), &word)
}

/// What the detectors make of a loop: glyph, word, colour.
pub fn assessment_chip(assessment: &str) -> Element {
    chip(&format!("assessed-{assessment}"), words::assessment_glyph(assessment), assessment)
        .attr("title", words::assessment_meaning(assessment))
}

/// A line that says how much sampling kept; empty while it says nothing.
pub fn sampled(words: &str) -> Element {
    if words.is_empty() {
        el("span", "").attr("hidden", "")
    } else {
        el("p", "muted sampled").test("sampled").text(words)
    }
}

/// All that is said of a loop in chips: assessment, state, how urgent an alarm is, and what is special about it.
pub fn loop_chips(it: &Loop) -> Element {
    let is_storm = words::is_retry_storm(it);
    let mut chips = Vec::new();
    if !is_storm && !it.assessment.is_empty() {
        chips.push(assessment_chip(&it.assessment));
    }
    if !is_storm {
        chips.push(state_chip(it.state()));
    }
    if it.severity() != Severity::Info {
        chips.push(severity_chip(it.severity()));
    }
    if is_storm {
        chips.push(chip("", "", "retry storm"));
    } else if words::is_of_operations(it) {
        chips.push(chip("", "", "operations"));
    }
    match it.intended.as_ref().map(|it| words::declaration_state(it).0) {
        Some("holds") => chips.push(chip("", "", "✓ intended")),
        Some("broken") => chips.push(chip("severity-warning", "", "✕ breaks its bound")),
        Some(_) => chips.push(chip("", "", "declaration expired")),
        None => {}
    }
    el("div", "chips").all(chips).child(el("span", "muted").text(&it.environment))
}

/// One number with its name.
pub fn stat(name: &str, value: String) -> Element {
    let value = el("dd", "").text(&value);
    stat_of(name, value)
}

/// The same for more than a text.
pub fn stat_of(name: &str, value: Element) -> Element {
    el("div", "stat").child(el("dt", "").text(name)).child(value)
}

/// Links to traces.
pub fn trace_links(ids: &[String]) -> Element {
    let line = |id: &String| {
        let link = link(Route::trace(id.clone()).href(), &short_id(id));
        el("li", "").child(link.attr("class", "mono").test("trace-link").attr("title", id))
    };
    el("ul", "trace-links").all(ids.iter().map(line).collect())
}

/// The first half of a long id, which is enough to recognise it.
pub fn short_id(id: &str) -> String {
    let short: String = id.chars().take(16).collect();
    if short.len() < id.len() { short + "…" } else { short }
}

/// What a page shows when it has nothing to show.
pub fn nothing_here(title: &str, text: &str) -> Element {
    el("div", "nothing")
        .test("nothing")
        .child(icon::sign("ring"))
        .child(el("h2", "").text(title))
        .child(el("p", "").text(text))
}

/// Numbers with their names, in a row.
pub fn figures(list: Vec<(&str, String)>) -> Element {
    el("dl", "stats").test("figures").all(list.into_iter().map(|(name, value)| stat(name, value)).collect())
}

/// Names and what belongs to them, one below the other.
pub fn facts(list: Vec<(&str, String)>) -> Element {
    let one =
        |(name, value): (&str, String)| el("div", "").child(el("dt", "").text(name)).child(el("dd", "").text(&value));
    el("dl", "facts").all(list.into_iter().map(one).collect())
}

/// A part of a page with a heading and a sentence, which may be empty.
pub fn panel(title: &str, test: &str, sentence: &str) -> Element {
    let panel = el("section", "panel").test(test).child(el("h2", "").text(title));
    if sentence.is_empty() { panel } else { panel.child(el("p", "panel-says").text(sentence)) }
}

/// How much of a list is not shown; an empty line where all is.
pub fn further(count: u64, singular: &str, plural: &str) -> Element {
    let line = el("p", "muted");
    match count {
        0 => line.attr("hidden", ""),
        1 => line.text(&format!("1 further {singular} is not listed.")),
        n => line.text(&format!("{} further {plural} are not listed.", format::count(n))),
    }
}
