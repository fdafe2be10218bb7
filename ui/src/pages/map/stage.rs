//! The three canvases of the map with pointer, wheel and keys.
//!
//! `stage/aim.rs` moves the camera, `stage/frames.rs` paints, `stage/input.rs` listens.

mod aim;
mod frames;
mod input;

use std::rc::Rc;

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::ResizeObserver;

use super::legend::Legend;
use crate::app::App;
use crate::draw::{Palette, Surface};
use crate::geometry::Point;
use crate::parts::icon::icon;
use crate::scene::label::Label;
use crate::url::Selection;
use crate::words;

/// What the stage knows beside the shared state. Copies share it.
#[derive(Clone, Copy)]
struct State {
    app: App,
    size: RwSignal<(f64, f64)>,
    hover: RwSignal<Option<Selection>>,
    lines: StoredValue<Option<Rc<Surface>>, LocalStorage>,
    moving: StoredValue<Option<Rc<Surface>>, LocalStorage>,
    bodies: StoredValue<Option<Rc<Surface>>, LocalStorage>,
    /// Where text was painted last, so that a badge can be clicked.
    labels: StoredValue<Vec<Label>>,
    palette: StoredValue<Palette>,
    /// Pointers that are down, with where they are, and whether they have moved.
    pointers: StoredValue<(Vec<(i32, Point)>, bool)>,
    visible: RwSignal<bool>,
    slow: RwSignal<bool>,
}

/// The picture.
#[component]
pub fn Stage() -> impl IntoView {
    let app = App::get();
    let state = State {
        app,
        size: RwSignal::new((0.0, 0.0)),
        hover: RwSignal::new(None),
        lines: StoredValue::new_local(None),
        moving: StoredValue::new_local(None),
        bodies: StoredValue::new_local(None),
        labels: StoredValue::new(Vec::new()),
        palette: StoredValue::new(Palette::default()),
        pointers: StoredValue::new((Vec::new(), false)),
        visible: RwSignal::new(!document().hidden()),
        slow: RwSignal::new(false),
    };
    let stage = NodeRef::<html::Div>::new();
    let [below, between, above] = [(); 3].map(|()| NodeRef::<html::Canvas>::new());
    Effect::new(move |_| {
        let Some(stage) = stage.get() else { return };
        let surface = |canvas: NodeRef<html::Canvas>| canvas.get().and_then(Surface::new).map(Rc::new);
        state.lines.set_value(surface(below));
        state.moving.set_value(surface(between));
        state.bodies.set_value(surface(above));
        observe_size(&stage, state.size);
    });
    aim::aim(state);
    frames::keep_painted(state);
    frames::keep_moving(state);
    let out_of_view = Memo::new(move |_| aim::out_of_view(state));
    let described = move || app.map_query().selection.map(|it| app.model.with(|model| describe(&it, model)));
    let over = move || if state.hover.with(Option::is_some) { "pointer" } else { "grab" };
    view! {
        <div
            class="stage"
            node_ref=stage
            tabindex="0"
            role="application"
            aria-label="Call graph. Arrow keys walk along the edges; the same graph as tables is one key away: t."
            aria-describedby="stage-selection"
            data-testid="stage"
            style:cursor=over
            on:pointerdown=move |event| input::press(state, &event)
            on:pointermove=move |event| input::drag(state, &event)
            on:pointerup=move |event| input::release(state, &event)
            on:pointercancel=move |event| input::release(state, &event)
            on:pointerleave=move |_| state.hover.set(None)
            on:wheel=move |event| input::wheel(state, &event)
            on:dblclick=move |_| aim::approach(state)
            on:keydown=move |event| input::key(state, &event)
        >
            <canvas node_ref=below aria-hidden="true"></canvas>
            <canvas node_ref=between aria-hidden="true"></canvas>
            <canvas node_ref=above aria-hidden="true"></canvas>
            <p id="stage-selection" class="sr" aria-live="polite">{described}</p>
        </div>
        <Show when=move || out_of_view.get() != 0>
            <button class="button out-of-view" type="button" data-testid="out-of-view" on:click=move |_| aim::fit(state)>
                {move || words::out_of_view(out_of_view.get())}
            </button>
        </Show>
        <div class="map-tools" role="group" aria-label="Camera">
            <button class="icon-button" type="button" title="Zoom in (+)" aria-label="Zoom in" on:click=move |_| aim::zoom(state, 1.25)>{icon("plus")}</button>
            <button class="icon-button" type="button" title="Zoom out (−)" aria-label="Zoom out" on:click=move |_| aim::zoom(state, 0.8)>{icon("minus")}</button>
            <button class="icon-button" type="button" title="Show all (0)" aria-label="Show all" data-testid="fit" on:click=move |_| aim::fit(state)>{icon("fit")}</button>
        </div>
        <Legend />
    }
}

fn describe(selection: &Selection, model: &crate::model::Model) -> String {
    match selection {
        Selection::Node(id) => {
            let loops: Vec<String> = model.loops_through(id).map(words::loop_badge).collect();
            format!("{} {}", model.node_name(id), loops.join(", "))
        }
        Selection::Edge { source, target } => format!("{} to {}", model.node_name(source), model.node_name(target)),
    }
}

fn observe_size(stage: &web_sys::HtmlElement, size: RwSignal<(f64, f64)>) {
    let element = stage.clone();
    let measure = move || (f64::from(element.client_width()), f64::from(element.client_height()));
    size.set(measure());
    let resized = Closure::<dyn FnMut()>::new(move || {
        let _ = size.try_set(measure());
    });
    if let Ok(observer) = ResizeObserver::new(resized.as_ref().unchecked_ref()) {
        observer.observe(stage);
        let kept = StoredValue::new_local(Some((observer, resized)));
        on_cleanup(move || {
            kept.try_update_value(|kept| {
                if let Some((observer, _)) = kept.take() {
                    observer.disconnect();
                }
            });
        });
    }
}
