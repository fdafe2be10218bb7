//! Where traces are looked up: by id, or from those that loops left as evidence.

use std::rc::Rc;

use leptos::prelude::*;
use loopscope_proto::v1::Loop;
use wasm_bindgen::JsCast;
use web_sys::{Event, HtmlInputElement};

use crate::app::App;
use crate::html::{Element, el, link, patch};
use crate::model::Model;
use crate::parts::{nothing_here, trace_links};
use crate::url::Route;
use crate::words;

/// The page.
pub fn traces() -> AnyView {
    let app = App::get();
    let wrong = RwSignal::new(false);
    let content = move || {
        let head = el("header", "page-head").child(el("h1", "").attr("tabindex", "-1").text("Traces")).child(
            el("p", "muted").text("Open one by its id, or from a node, an edge or a loop that it shows at work."),
        );
        let groups = app.model.with(groups);
        let page = el("div", "page")
            .child(head)
            .child(form(app, wrong))
            .child(el("h2", "section-title").text("Evidence of loops"));
        let none = "Loops keep the traces that show them. Other traces hang on nodes and edges of the map.";
        vec![match groups.is_empty() {
            true => page.child(nothing_here("No traces kept yet", none)),
            false => page.child(el("div", "groups").all(groups)),
        }]
    };
    patch::live(content)
}

fn form(app: App, wrong: RwSignal<bool>) -> Element {
    let open = move |event: &Event| {
        event.prevent_default();
        let input = document().get_element_by_id("trace-id").and_then(|it| it.dyn_into::<HtmlInputElement>().ok());
        let wanted = input.map(|it| it.value().trim().to_lowercase()).unwrap_or_default();
        let fits = wanted.len() == 32 && wanted.bytes().all(|it| it.is_ascii_hexdigit());
        wrong.set(!fits);
        if fits {
            app.go(Route::trace(wanted));
        }
    };
    let input = el("input", "mono")
        .attr("id", "trace-id")
        .attr("placeholder", "32 hexadecimal digits")
        .attr("autocomplete", "off")
        .attr("spellcheck", "false")
        .attr("aria-describedby", "trace-id-error")
        .with("aria-invalid", wrong.get().to_string());
    let said = if wrong.get() { "A trace id has 32 hexadecimal digits." } else { "" };
    el("form", "lookup")
        .on("submit", Rc::new(open))
        .child(el("label", "").attr("for", "trace-id").text("Trace id"))
        .child(input)
        .child(el("button", "button primary").attr("type", "submit").text("Open"))
        .child(el("p", "failure").attr("id", "trace-id-error").attr("role", "alert").text(said))
}

fn groups(model: &Model) -> Vec<Element> {
    let shown = model.ranked_loops().into_iter().filter(|it| !it.exemplar_trace_ids.is_empty());
    let group = |it: &Loop| {
        let title = words::loop_title(it, |id| model.node_name(id));
        el("section", "panel")
            .key(&it.id)
            .child(el("h2", "").child(link(Route::Loop(it.id.clone()).href(), &title)))
            .child(trace_links(&it.exemplar_trace_ids))
    };
    shown.map(group).collect()
}
