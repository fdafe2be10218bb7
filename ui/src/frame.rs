//! What surrounds every page: navigation, search, the freshness pill, the theme, help, keys that work everywhere.
//!
//! `frame/search.rs` finds things by name, `frame/help.rs` lists the keys.

pub mod help;
pub mod search;

use std::rc::Rc;

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use crate::app::{App, focus, is_typing};
use crate::html::{Element, el, link, patch};
use crate::pages;
use crate::parts::icon;
use crate::url::{MapQuery, MapView, Range, Route};
use crate::words;

/// One entry of the navigation.
struct Entry {
    /// The key that leads there, after `g`.
    key: &'static str,
    name: &'static str,
    sign: &'static str,
    /// The range of time is for pages that have one.
    route: fn(Range) -> Route,
}

const ENTRIES: [Entry; 10] = [
    Entry { key: "m", name: "Map", sign: "map", route: |_| Route::Map(MapQuery::default()) },
    Entry { key: "l", name: "Loops", sign: "loops", route: |_| Route::Loops },
    Entry { key: "h", name: "Hotspots", sign: "hotspots", route: Route::Hotspots },
    Entry { key: "f", name: "Functions", sign: "functions", route: Route::Functions },
    Entry { key: "e", name: "Changes", sign: "changes", route: Route::Changes },
    Entry { key: "p", name: "Patterns", sign: "patterns", route: Route::Patterns },
    Entry { key: "o", name: "Cost", sign: "cost", route: Route::Cost },
    Entry { key: "t", name: "Traces", sign: "traces", route: |_| Route::Traces },
    Entry { key: "a", name: "Alerts", sign: "alerts", route: |_| Route::Alerts },
    Entry { key: "c", name: "Connect", sign: "connect", route: |_| Route::Connect },
];

/// What decides which page is shown; what only changes a page is not part of it.
#[derive(Clone, PartialEq)]
enum Page {
    Map,
    Loops,
    Loop(String),
    Hotspots,
    Functions,
    Function(String),
    Changes,
    Patterns,
    Cost,
    Traces,
    Trace(String),
    Alerts,
    Connect,
    Unknown,
}

/// The whole window.
#[component]
pub fn Frame() -> impl IntoView {
    let app = App::get();
    listen_to_keys(app);
    let page = Memo::new(move |_| {
        app.route.with(|route| match route {
            Route::Map(_) => Page::Map,
            Route::Loops => Page::Loops,
            Route::Loop(id) => Page::Loop(id.clone()),
            Route::Hotspots(_) => Page::Hotspots,
            Route::Functions(_) => Page::Functions,
            Route::Function { id, .. } => Page::Function(id.clone()),
            Route::Changes(_) => Page::Changes,
            Route::Patterns(_) => Page::Patterns,
            Route::Cost(_) => Page::Cost,
            Route::Traces => Page::Traces,
            Route::Trace { trace_id, .. } => Page::Trace(trace_id.clone()),
            Route::Alerts => Page::Alerts,
            Route::Connect => Page::Connect,
            Route::Unknown(_) => Page::Unknown,
        })
    });
    let content = move || match page.get() {
        Page::Map => view! { <pages::map::Map /> }.into_any(),
        Page::Loops => pages::loops::loops(),
        Page::Loop(id) => pages::loop_detail::loop_detail(id),
        Page::Hotspots => pages::hotspots::hotspots(),
        Page::Functions => pages::functions::functions(),
        Page::Function(id) => pages::functions::detail::function(id),
        Page::Changes => pages::changes::changes(),
        Page::Patterns => pages::patterns::patterns(),
        Page::Cost => pages::cost::cost(),
        Page::Traces => pages::traces::traces(),
        Page::Trace(id) => pages::trace::trace(id),
        Page::Alerts => pages::alerts::alerts(),
        Page::Connect => pages::connect::connect(),
        Page::Unknown => patch::live(lost),
    };
    name_the_window(app);
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <div class="frame" class:stale=move || app.link.get() != crate::client::Link::Connecting && app.stale()>
            {patch::live(move || vec![rail(app)])}
            <header class="bar">
                {search::search(app)}
                {patch::live(move || vec![el("div", "bar-end").all(bar_end(app))])}
            </header>
            <main id="main" tabindex="-1">{content}</main>
        </div>
        {patch::live(move || if app.help.get() { help::help(app) } else { Vec::new() })}
    }
}

fn rail(app: App) -> Element {
    let range = app.range();
    let open = app.model.with(|model| model.open_loops());
    let entry = |Entry { name, sign, route, .. }: &Entry| {
        let route = route(range.clone());
        let link = el("a", "").with("href", route.href());
        let link = if app.route.with(|at| at.same_section(&route)) { link.attr("aria-current", "page") } else { link };
        let link = link.child(icon::sign(sign)).child(el("span", "rail-text").text(name));
        let count = el("span", "rail-count").attr("title", "open loops").text(&open.to_string());
        el("li", "").child(if *sign == "loops" && open > 0 { link.child(count) } else { link })
    };
    let path = |d: &str| el("path", "").attr("d", d);
    let logo = el("svg", "logo")
        .attr("viewBox", "0 0 32 32")
        .attr("aria-hidden", "true")
        .child(path("M16 6a10 10 0 1 1-9.600 7.200"))
        .child(path("M4.200 7.600l1.700 6.300l6-2.200"))
        .child(el("circle", "").attr("cx", "16").attr("cy", "16").attr("r", "3"));
    let brand = el("a", "brand")
        .attr("href", "/map")
        .attr("aria-label", "Loopscope: to the map")
        .child(logo)
        .child(el("span", "rail-text").text("Loopscope"));
    el("nav", "rail")
        .attr("aria-label", "Pages")
        .child(brand)
        .child(el("ul", "").all(ENTRIES.iter().map(entry).collect()))
}

/// How fresh the data is, and the switches. The age changes each second, which would be noise when read aloud: only a
/// change of the state is announced.
fn bar_end(app: App) -> Vec<Element> {
    let paused = app.paused.get();
    let (kind, text) = words::freshness(app.link.get(), paused, app.waiting.get(), app.age_ms(), app.stale());
    let announced = match kind {
        "live" => "Live",
        "paused" => "Paused",
        "lost" => "No fresh data",
        _ => "Connecting",
    };
    let pill = el("div", &format!("pill {kind}"))
        .attr("role", "status")
        .test("freshness")
        .attr("data-state", kind)
        .child(el("span", "pill-dot").attr("aria-hidden", "true"))
        .child(el("span", "pill-text").attr("aria-hidden", "true").text(&text))
        .child(el("span", "sr").text(announced));
    let button = |title: &str, label: &str, sign: &str| {
        el("button", "icon-button")
            .attr("type", "button")
            .attr("title", title)
            .attr("aria-label", label)
            .child(icon::sign(sign))
    };
    let (title, sign) = if paused { ("Go on (space)", "play") } else { ("Pause (space)", "pause") };
    let pause = button(title, "Pause the picture", sign)
        .with("aria-pressed", paused.to_string())
        .test("pause")
        .on("click", Rc::new(move |_| app.toggle_pause()));
    let (title, sign) = if app.dark.get() { ("To the light theme", "sun") } else { ("To the dark theme", "moon") };
    let theme =
        button(title, title, sign).test("theme").on("click", Rc::new(move |_| app.dark.update(|it| *it = !*it)));
    let help = button("Keys and help (?)", "Keys and help", "help").on("click", Rc::new(move |_| app.help.set(true)));
    vec![pill, pause, theme, help]
}

fn lost() -> Vec<Element> {
    let text = el("p", "").text("This address leads nowhere. ").child(link("/map".to_owned(), "To the map"));
    let heading = el("h1", "").attr("tabindex", "-1").text("Nothing here");
    vec![el("div", "page").child(heading).child(text)]
}

fn name_the_window(app: App) {
    Effect::new(move |_| {
        let open = app.model.with(|model| model.open_loops());
        let count = if open > 0 { format!("({open}) ") } else { String::new() };
        let entry = ENTRIES.iter().find(|entry| app.route.with(|at| at.same_section(&(entry.route)(Range::default()))));
        document().set_title(&format!("{count}{} · Loopscope", entry.map_or("Lost", |entry| entry.name)));
    });
}

fn listen_to_keys(app: App) {
    let after_g = StoredValue::new(false);
    let handle = window_event_listener(leptos::ev::keydown, move |event: KeyboardEvent| {
        if event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let key = event.key();
        if key == "Escape" && !event.default_prevented() {
            return escape(app);
        }
        if is_typing(&event) {
            return;
        }
        if after_g.get_value() {
            after_g.set_value(false);
            if let Some(entry) = ENTRIES.iter().find(|entry| entry.key == key) {
                event.prevent_default();
                return app.go((entry.route)(untrack(|| app.range())));
            }
        }
        match key.as_str() {
            "g" => after_g.set_value(true),
            "/" => {
                event.prevent_default();
                app.search_calls.update(|n| *n += 1);
            }
            "?" => app.help.update(|open| *open = !*open),
            " " if !on_a_button(&event) => {
                event.prevent_default();
                app.toggle_pause();
            }
            "t" if app.route.with_untracked(|route| matches!(route, Route::Map(_))) => app.change_map(|query| {
                query.view = if query.view == MapView::Graph { MapView::Table } else { MapView::Graph };
            }),
            _ => {}
        }
    });
    on_cleanup(move || handle.remove());
}

/// One level up: help, then what is selected, then the loop that is lit.
fn escape(app: App) {
    if app.help.get_untracked() {
        app.help.set(false);
    } else if app.route.with_untracked(|route| matches!(route, Route::Map(_))) {
        app.change_map(|query| {
            if query.selection.take().is_none() {
                query.loop_id = None;
            }
        });
        focus("[data-testid=stage]");
    }
}

fn on_a_button(event: &KeyboardEvent) -> bool {
    use wasm_bindgen::JsCast;
    let element = event.target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
    element.is_some_and(|it| matches!(it.tag_name().as_str(), "BUTTON" | "A" | "SUMMARY"))
}
