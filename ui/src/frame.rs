//! What surrounds every page: navigation, search, the freshness pill, the theme, help, keys that work everywhere.
//!
//! `frame/search.rs` finds things by name, `frame/help.rs` lists the keys.

pub mod help;
pub mod search;

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use crate::app::{App, focus, is_typing};
use crate::pages;
use crate::parts::icon::icon;
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
        Page::Unknown => view! { <Lost /> }.into_any(),
    };
    name_the_window(app);
    view! {
        <a class="skip" href="#main">"Skip to the content"</a>
        <div class="frame" class:stale=move || app.link.get() != crate::client::Link::Connecting && app.stale()>
            <Rail />
            <header class="bar">
                <search::Search />
                <div class="bar-end">
                    <Freshness />
                    <ThemeSwitch />
                    <button
                        class="icon-button"
                        type="button"
                        title="Keys and help (?)"
                        aria-label="Keys and help"
                        on:click=move |_| app.help.set(true)
                    >
                        {icon("help")}
                    </button>
                </div>
            </header>
            <main id="main" tabindex="-1">{content}</main>
        </div>
        <Show when=move || app.help.get()>
            <help::Help />
        </Show>
    }
}

#[component]
fn Rail() -> impl IntoView {
    let app = App::get();
    let entry = move |Entry { name, sign, route, .. }: Entry| {
        let here = move || app.route.with(|at| at.same_section(&route(Range::default())));
        let open = move || if sign == "loops" { app.model.with(|model| model.open_loops()) } else { 0 };
        view! {
            <li>
                <a href=move || route(app.range()).href() aria-current=move || here().then_some("page")>
                    {icon(sign)} <span class="rail-text">{name}</span>
                    <Show when=move || { open() > 0 }>
                        <span class="rail-count" title="open loops">{open}</span>
                    </Show>
                </a>
            </li>
        }
    };
    view! {
        <nav class="rail" aria-label="Pages">
            <a class="brand" href="/map" aria-label="Loopscope: to the map">
                <svg class="logo" viewBox="0 0 32 32" aria-hidden="true">
                    <path d="M16 6a10 10 0 1 1-9.600 7.200" />
                    <path d="M4.200 7.600l1.700 6.300l6-2.200" />
                    <circle cx="16" cy="16" r="3" />
                </svg>
                <span class="rail-text">"Loopscope"</span>
            </a>
            <ul>{ENTRIES.map(entry).collect_view()}</ul>
        </nav>
    }
}

/// How fresh the data is. The number changes each second, which would be noise when read aloud: only a change of the
/// state is announced.
#[component]
fn Freshness() -> impl IntoView {
    let app = App::get();
    let state =
        move || words::freshness(app.link.get(), app.paused.get(), app.waiting.get(), app.age_ms(), app.stale());
    let kind = Memo::new(move |_| state().0);
    let announced = move || match kind.get() {
        "live" => "Live",
        "paused" => "Paused",
        "lost" => "No fresh data",
        _ => "Connecting",
    };
    let label = move || if app.paused.get() { "Go on (space)" } else { "Pause (space)" };
    view! {
        <div class=move || format!("pill {}", kind.get()) role="status" data-testid="freshness" data-state=move || kind.get()>
            <span class="pill-dot" aria-hidden="true"></span>
            <span aria-hidden="true" class="pill-text">{move || state().1}</span>
            <span class="sr">{announced}</span>
        </div>
        <button
            class="icon-button"
            type="button"
            title=label
            aria-label="Pause the picture"
            aria-pressed=move || app.paused.get().to_string()
            data-testid="pause"
            on:click=move |_| app.toggle_pause()
        >
            {move || icon(if app.paused.get() { "play" } else { "pause" })}
        </button>
    }
}

#[component]
fn ThemeSwitch() -> impl IntoView {
    let app = App::get();
    let label = move || if app.dark.get() { "To the light theme" } else { "To the dark theme" };
    view! {
        <button
            class="icon-button"
            type="button"
            title=label
            aria-label=label
            data-testid="theme"
            on:click=move |_| app.dark.update(|dark| *dark = !*dark)
        >
            {move || icon(if app.dark.get() { "sun" } else { "moon" })}
        </button>
    }
}

#[component]
fn Lost() -> impl IntoView {
    view! {
        <div class="page">
            <h1 tabindex="-1">"Nothing here"</h1>
            <p>"This address leads nowhere. " <a href="/map">"To the map"</a></p>
        </div>
    }
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
