//! Finds functions, resources, loops and traces by what the reader writes.

use std::rc::Rc;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement, KeyboardEvent};

use crate::app::{App, focus};
use crate::html::{Element, el, patch};
use crate::model::Model;
use crate::parts::icon::sign;
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

/// What the reader has written, shared with listeners.
#[derive(Clone, Copy)]
struct Search {
    app: App,
    text: RwSignal<String>,
    open: RwSignal<bool>,
    at: RwSignal<usize>,
    found: Memo<Vec<Found>>,
}

/// The field with its list of results.
pub fn search(app: App) -> AnyView {
    let text = RwSignal::new(String::new());
    let open = RwSignal::new(false);
    let found = Memo::new(move |_| match (open.get(), text.get()) {
        (true, text) if !text.trim().is_empty() => app.model.with_untracked(|model| find(model, text.trim())),
        _ => vec![],
    });
    Effect::new(move |_| {
        if app.search_calls.get() > 0 {
            focus("#search");
        }
    });
    let search = Search { app, text, open, at: RwSignal::new(0), found };
    patch::live(move || vec![search.show()])
}

fn field() -> Option<HtmlInputElement> {
    document().get_element_by_id("search")?.dyn_into().ok()
}

impl Search {
    fn choose(self, it: Found) {
        self.open.set(false);
        self.text.set(String::new());
        if let Some(field) = field() {
            field.set_value("");
        }
        self.app.go(it.route);
        self.app.look_at(it.node);
    }

    fn key(self, event: &Event) {
        let Some(pressed) = event.dyn_ref::<KeyboardEvent>().map(KeyboardEvent::key) else { return };
        match pressed.as_str() {
            "ArrowDown" | "ArrowUp" => {
                event.prevent_default();
                let n = self.found.with_untracked(Vec::len).max(1);
                self.at.update(|at| *at = if pressed == "ArrowDown" { (*at + 1) % n } else { (*at + n - 1) % n });
            }
            "Enter" => {
                let at = self.at.get_untracked();
                if let Some(it) = self.found.with_untracked(|found| found.get(at).cloned()) {
                    self.choose(it);
                }
            }
            "Escape" => {
                event.prevent_default();
                self.open.set(false);
                focus("main");
            }
            _ => {}
        }
    }

    fn show(self) -> Element {
        let write = move |_: &Event| {
            self.text.set(field().map(|it| it.value()).unwrap_or_default());
            self.at.set(0);
            self.open.set(true);
        };
        let found = self.found.get();
        let at = self.at.get();
        let mut input = el("input", "")
            .attr("id", "search")
            .attr("type", "search")
            .attr("role", "combobox")
            .attr("placeholder", "Search functions, queues, loops, trace ids")
            .attr("aria-label", "Search")
            .attr("autocomplete", "off")
            .attr("spellcheck", "false")
            .attr("aria-controls", "results")
            .with("aria-expanded", (!found.is_empty()).to_string())
            .on("input", Rc::new(write))
            .on("blur", Rc::new(move |_| self.open.set(false)))
            .on("keydown", Rc::new(move |event| self.key(event)));
        if !found.is_empty() {
            input = input.with("aria-activedescendant", format!("result-{at}"));
        }
        let list = el("ul", if found.is_empty() { "closed" } else { "" })
            .attr("id", "results")
            .attr("role", "listbox")
            .attr("aria-label", "Results");
        let items = found.into_iter().enumerate().map(|(n, it)| self.item(n, it, n == at));
        el("div", "search")
            .attr("role", "search")
            .child(sign("search"))
            .child(input)
            .child(el("kbd", "").attr("aria-hidden", "true").text("/"))
            .child(list.all(items.collect()))
    }

    fn item(self, n: usize, it: Found, is_chosen: bool) -> Element {
        let (title, kind) = (it.title.clone(), it.kind.clone());
        // Before the field loses the focus, which closes the list.
        let press = move |event: &Event| {
            event.prevent_default();
            self.choose(it.clone());
        };
        el("li", "")
            .with("id", format!("result-{n}"))
            .attr("role", "option")
            .with("aria-selected", is_chosen.to_string())
            .on("mousedown", Rc::new(press))
            .child(el("span", "result-title").text(&title))
            .child(el("span", "muted").text(&kind))
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
