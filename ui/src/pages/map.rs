//! The map: the call graph as a picture, or the same as tables, with an inspector beside it.
//!
//! `map/stage.rs` holds the canvases and the pointer, `map/inspector.rs` describes what is selected, `map/tables.rs` is
//! the twin in tables, `map/empty.rs` is what stands there before the first span.

pub mod empty;
pub mod inspector;
pub mod legend;
pub mod stage;
pub mod tables;

use leptos::prelude::*;

use crate::app::App;
use crate::client::Link;
use crate::format;
use crate::url::MapView;

/// The page.
#[component]
pub fn Map() -> impl IntoView {
    let app = App::get();
    let query = Memo::new(move |_| app.map_query());
    let view = Memo::new(move |_| query.with(|query| query.view));
    let blank = Memo::new(move |_| app.model.with(|model| (model.ready, model.is_empty())));
    let inspected = Memo::new(move |_| query.with(|query| query.selection.is_some() || query.loop_id.is_some()));
    let summary = move || {
        app.model.with(|model| {
            let counted = |n: usize, one: &str, many: &str| format::counted(n as u64, one, many);
            [
                counted(model.functions.len(), "function", "functions"),
                counted(model.resources.len(), "resource", "resources"),
                counted(model.loops.len(), "loop", "loops"),
            ]
            .join(" · ")
        })
    };
    let content = move || match (blank.get(), view.get()) {
        ((false, _), _) => view! { <Waiting /> }.into_any(),
        ((true, true), _) => empty::empty(app),
        ((true, false), MapView::Graph) => view! { <stage::Stage /> }.into_any(),
        ((true, false), MapView::Table) => tables::tables(app),
    };
    let switch = move |to: MapView, name: &'static str| {
        view! {
            <button
                type="button"
                aria-pressed=move || (view.get() == to).to_string()
                data-testid=format!("view-{}", name.to_lowercase())
                on:click=move |_| app.change_map(|query| query.view = to)
            >
                {name}
            </button>
        }
    };
    view! {
        <div class="map" class:inspected=move || inspected.get() class:as-table=move || view.get() == MapView::Table>
            <div class="map-head" class:blank=move || blank.get() != (true, false)>
                <h1 tabindex="-1">"Map"</h1>
                <p class="muted" data-testid="summary">{summary}</p>
                <div class="switch" role="group" aria-label="Form of the map">
                    {switch(MapView::Graph, "Graph")} {switch(MapView::Table, "Table")}
                </div>
            </div>
            <div class="map-body">{content}</div>
            <Show when=move || inspected.get() && blank.get() == (true, false)>
                {inspector::inspector(app, query)}
            </Show>
        </div>
    }
}

/// Before the first snapshot. It comes within a moment, so nothing is shown at first.
#[component]
fn Waiting() -> impl IntoView {
    let app = App::get();
    let lost = move || app.link.get() == Link::Lost;
    view! {
        <div class="waiting">
            <Show when=lost>
                <p role="alert">"The collector does not answer. Trying again…"</p>
            </Show>
        </div>
    }
}
