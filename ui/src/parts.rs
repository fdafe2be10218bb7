//! Small parts that several pages are made of.
//!
//! `parts/rows.rs` is a sortable table of plain data, `parts/table.rs` one of live rows, `parts/range.rs` the choice of a
//! range of time, `parts/fetched.rs` a request with its signal, `parts/icon.rs` the signs.

pub mod fetched;
pub mod icon;
pub mod range;
pub mod rows;
pub mod table;

use std::time::Duration;

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, LoopState, Severity};
use prost_types::Timestamp;

use crate::app::App;
use crate::format;
use crate::html::{Element, el};
use crate::url::Route;
use crate::words;

/// A button that copies a text and says so.
#[component]
pub fn Copy(
    /// The text, asked for when the button is pressed.
    #[prop(into)]
    text: Signal<String>,
    /// What the button says.
    #[prop(default = "Copy")]
    label: &'static str,
) -> impl IntoView {
    let copied = RwSignal::new(false);
    let copy = move |_| {
        // The browser tells by a promise; nothing useful could be done when it fails.
        let _ = window().navigator().clipboard().write_text(&text.get_untracked());
        copied.set(true);
        set_timeout(
            move || {
                copied.try_set(false);
            },
            Duration::from_millis(1600),
        );
    };
    view! {
        <button class="button copy" type="button" on:click=copy data-testid="copy">
            <span aria-live="polite">{move || if copied.get() { "Copied ✓" } else { label }}</span>
        </button>
    }
}

/// A time, relative to now, with the exact one as its title.
#[component]
pub fn Ago(
    /// The time.
    #[prop(into)]
    time: Signal<Option<Timestamp>>,
) -> impl IntoView {
    let app = App::get();
    let text = move || {
        let millis = time.with(|time| format::millis(time.as_ref()));
        millis.map_or_else(|| "–".into(), |millis| format::ago(millis, app.now.get()))
    };
    view! { <time title=move || time.with(|time| format::moment(time.as_ref()))>{text}</time> }
}

/// The state of a loop: glyph, word, colour.
pub fn state_chip(state: LoopState) -> impl IntoView {
    let word = state.word();
    let class = format!("chip state-{word}");
    view! {
        <span class=class title=words::state_meaning(state)>
            <span aria-hidden="true">{words::state_glyph(state)}</span>
            {word}
        </span>
    }
}

/// The severity of a finding: glyph, word, colour.
pub fn severity_chip(severity: Severity) -> impl IntoView {
    let word = severity.word();
    let class = format!("chip severity-{word}");
    view! {
        <span class=class>
            <span aria-hidden="true">{words::severity_glyph(severity)}</span>
            {word}
        </span>
    }
}

/// What the detectors make of a loop: glyph, word, colour.
pub fn assessment_chip(assessment: &str) -> impl IntoView + use<> {
    let class = format!("chip assessed-{assessment}");
    view! {
        <span class=class title=words::assessment_meaning(assessment)>
            <span aria-hidden="true">{words::assessment_glyph(assessment)}</span>
            {assessment.to_owned()}
        </span>
    }
}

/// A line that says how much sampling kept; nothing while it says nothing.
pub fn sampled(words: impl Fn() -> String + Send + Sync + 'static) -> impl IntoView {
    let said = Memo::new(move |_| words());
    move || {
        let said = said.get();
        (!said.is_empty()).then(|| view! { <p class="muted sampled" data-testid="sampled">{said}</p> })
    }
}

/// All that is said of a loop in chips: assessment, state, how urgent an alarm is, and what is special about it.
pub fn loop_chips(it: Signal<Loop>) -> impl IntoView {
    let of = Memo::new(move |_| {
        it.with(|it| {
            let special = match () {
                () if words::is_retry_storm(it) => Some("retry storm"),
                () if words::is_of_operations(it) => Some("operations"),
                () => None,
            };
            let intended = it.intended.as_ref().map(|it| words::declaration_state(it).0);
            (it.assessment.clone(), it.state(), it.severity(), special, intended)
        })
    });
    move || {
        let (assessment, state, severity, special, intended) = of.get();
        view! {
            {(!assessment.is_empty() && special != Some("retry storm")).then(|| assessment_chip(&assessment))}
            {(special != Some("retry storm")).then(|| state_chip(state))}
            {(severity != Severity::Info).then(|| severity_chip(severity))}
            {special.map(|word| view! { <span class="chip">{word}</span> })}
            {intended.map(|word| match word {
                "holds" => view! { <span class="chip">"✓ intended"</span> }.into_any(),
                "broken" => view! { <span class="chip severity-warning">"✕ breaks its bound"</span> }.into_any(),
                _ => view! { <span class="chip">"declaration expired"</span> }.into_any(),
            })}
        }
    }
}

/// One number with its name.
pub fn stat(name: &'static str, value: impl Fn() -> String + Send + Sync + 'static) -> impl IntoView {
    stat_of(name, Signal::derive(value))
}

/// Not generic, so that the module holds it once.
fn stat_of(name: &'static str, value: Signal<String>) -> AnyView {
    view! {
        <div class="stat">
            <dt>{name}</dt>
            <dd>{move || value.get()}</dd>
        </div>
    }
    .into_any()
}

/// Links to traces.
pub fn trace_links(ids: &[String]) -> impl IntoView + use<> {
    let links = ids.iter().map(|id| {
        let route = Route::trace(id.clone()).href();
        view! {
            <li>
                <a class="mono" href=route data-testid="trace-link" title=id.clone()>
                    {short_id(id)}
                </a>
            </li>
        }
    });
    view! { <ul class="trace-links">{links.collect_view()}</ul> }
}

/// The first half of a long id, which is enough to recognise it.
pub fn short_id(id: &str) -> String {
    let short: String = id.chars().take(16).collect();
    if short.len() < id.len() { short + "…" } else { short }
}

/// What a page shows when it has nothing to show.
pub fn nothing(title: &'static str, text: &'static str) -> impl IntoView {
    view! {
        <div class="nothing">
            {icon::icon("ring")}
            <h2>{title}</h2>
            <p>{text}</p>
        </div>
    }
}

/// The same as plain data.
pub fn nothing_here(title: &str, text: &str) -> Element {
    el("div", "nothing").test("nothing").child(el("h2", "").text(title)).child(el("p", "").text(text))
}

/// Numbers with their names, in a row.
pub fn figures(list: Vec<(&str, String)>) -> Element {
    let one = |(name, value): (&str, String)| {
        el("div", "stat").child(el("dt", "").text(name)).child(el("dd", "").text(&value))
    };
    el("dl", "stats").test("figures").all(list.into_iter().map(one).collect())
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
        0 => line,
        1 => line.text(&format!("1 further {singular} is not listed.")),
        n => line.text(&format!("{} further {plural} are not listed.", format::count(n))),
    }
}
