//! Finds functions, resources, loops and traces by what the reader writes.

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use crate::app::{App, focus};
use crate::model::Model;
use crate::parts::icon::icon;
use crate::url::Route;
use crate::words;

/// Results shown at most.
const MAX_RESULTS: usize = 8;

#[derive(Clone, PartialEq)]
struct Found {
    title: String,
    kind: String,
    route: Route,
    node: Option<String>,
}

/// The field with its list of results.
#[component]
pub fn Search() -> impl IntoView {
    let app = App::get();
    let text = RwSignal::new(String::new());
    let open = RwSignal::new(false);
    let at = RwSignal::new(0_usize);
    let found = Memo::new(move |_| match (open.get(), text.get()) {
        (true, text) if !text.trim().is_empty() => app.model.with_untracked(|model| find(model, text.trim())),
        _ => vec![],
    });
    Effect::new(move |_| {
        if app.search_calls.get() > 0 {
            focus("#search");
        }
    });
    let choose = move |it: Found| {
        open.set(false);
        text.set(String::new());
        app.go(it.route);
        app.look_at(it.node);
    };
    let key = move |event: KeyboardEvent| match event.key().as_str() {
        "ArrowDown" | "ArrowUp" => {
            event.prevent_default();
            let n = found.with(Vec::len).max(1);
            at.update(|at| *at = if event.key() == "ArrowDown" { (*at + 1) % n } else { (*at + n - 1) % n });
        }
        "Enter" => {
            if let Some(it) = found.with(|found| found.get(at.get()).cloned()) {
                choose(it);
            }
        }
        "Escape" => {
            event.prevent_default();
            open.set(false);
            focus("main");
        }
        _ => {}
    };
    let items = move || {
        let item = |(n, it): (usize, Found)| {
            let chosen = it.clone();
            view! {
                <li
                    id=format!("result-{n}")
                    role="option"
                    aria-selected=move || (at.get() == n).to_string()
                    on:mousedown=move |event| {
                        event.prevent_default();
                        choose(chosen.clone());
                    }
                >
                    <span class="result-title">{it.title}</span>
                    <span class="muted">{it.kind}</span>
                </li>
            }
        };
        found.get().into_iter().enumerate().map(item).collect_view()
    };
    let expanded = move || found.with(|found| !found.is_empty());
    view! {
        <div class="search" role="search">
            {icon("search")}
            <input
                id="search"
                type="search"
                role="combobox"
                placeholder="Search functions, queues, loops, trace ids"
                aria-label="Search"
                autocomplete="off"
                spellcheck="false"
                aria-controls="results"
                aria-expanded=move || expanded().to_string()
                aria-activedescendant=move || expanded().then(|| format!("result-{}", at.get()))
                prop:value=text
                on:input=move |event| {
                    text.set(event_target_value(&event));
                    at.set(0);
                    open.set(true);
                }
                on:blur=move |_| open.set(false)
                on:keydown=key
            />
            <kbd aria-hidden="true">"/"</kbd>
            <ul id="results" role="listbox" aria-label="Results" class:closed=move || !expanded()>{items}</ul>
        </div>
    }
}

fn find(model: &Model, text: &str) -> Vec<Found> {
    let wanted = text.to_lowercase();
    let mut found = Vec::new();
    if text.len() == 32 && text.bytes().all(|it| it.is_ascii_hexdigit()) {
        let route = Route::trace(wanted.clone());
        found.push(Found { title: text.into(), kind: "trace".into(), route, node: None });
    }
    let fits = |name: &str| name.to_lowercase().contains(&wanted);
    for it in model.functions.values().filter(|it| fits(&it.name) || it.id == wanted) {
        let kind =
            if it.environment.is_empty() { "function".into() } else { format!("function · {}", it.environment) };
        found.push(Found { title: it.name.clone(), kind, route: Route::node(&it.id), node: Some(it.id.clone()) });
    }
    for it in model.resources.values().filter(|it| fits(&it.name) || it.id == wanted) {
        let (title, kind) = (it.name.clone(), it.kind.clone());
        found.push(Found { title, kind, route: Route::node(&it.id), node: Some(it.id.clone()) });
    }
    for it in model.ranked_loops() {
        let title = words::loop_title(it, |id| model.node_name(id));
        if fits(&title) || it.id == wanted {
            found.push(Found { title, kind: "loop".into(), route: Route::Loop(it.id.clone()), node: None });
        }
    }
    // Names that begin with it come first; the order is otherwise kept.
    found.sort_by_key(|it| !it.title.to_lowercase().starts_with(&wanted));
    found.truncate(MAX_RESULTS);
    found
}
