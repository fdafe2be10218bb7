//! The three canvases of the map with pointer, wheel and keys.
//!
//! Painting happens in frames of the browser and only when something changed; the camera moves only when somebody asks.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use leptos::html;
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;
use web_sys::{KeyboardEvent, PointerEvent, ResizeObserver, WheelEvent};

use super::legend::Legend;
use crate::app::{App, media};
use crate::draw::{self, Palette, Surface, View, motion};
use crate::geometry::{Camera, Point, Rect};
use crate::parts::icon::icon;
use crate::scene::label::{Label, Owner};
use crate::scene::{Direction, NodeShape, Scene};
use crate::url::Selection;
use crate::words;

/// Space around the graph when all of it is shown, in map units.
const MARGIN: f64 = 46.0;

/// A graph of few nodes is not blown up beyond this.
const MAX_FIT: f64 = 1.15;

/// On a small screen the first picture rather shows a part than everything too small to read.
const MIN_FIT: f64 = 0.5;

/// Space around a loop that somebody came to see, in map units: its surroundings belong to it.
const LOOP_MARGIN: f64 = 170.0;

/// A pointer that moved less is a click.
const CLICK: f64 = 4.0;

/// How far beside an edge or a node a pointer may be, in pixels.
const SLACK: f64 = 7.0;

/// Frames in a row that took too long before the particles rest for this visit.
const SLOW_FRAMES: u32 = 40;

/// A frame that took longer is slow, in milliseconds.
const SLOW_FRAME_MS: f64 = 90.0;

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
    aim(state);
    keep_painted(state);
    keep_moving(state);
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
            on:pointerdown=move |event| press(state, &event)
            on:pointermove=move |event| drag(state, &event)
            on:pointerup=move |event| release(state, &event)
            on:pointercancel=move |event| release(state, &event)
            on:pointerleave=move |_| state.hover.set(None)
            on:wheel=move |event| wheel(state, &event)
            on:dblclick=move |_| approach(state)
            on:keydown=move |event| key(state, &event)
        >
            <canvas node_ref=below aria-hidden="true"></canvas>
            <canvas node_ref=between aria-hidden="true"></canvas>
            <canvas node_ref=above aria-hidden="true"></canvas>
            <p id="stage-selection" class="sr" aria-live="polite">{described}</p>
        </div>
        <div class="map-tools" role="group" aria-label="Camera">
            <button class="icon-button" type="button" title="Zoom in (+)" aria-label="Zoom in" on:click=move |_| zoom(state, 1.25)>{icon("plus")}</button>
            <button class="icon-button" type="button" title="Zoom out (−)" aria-label="Zoom out" on:click=move |_| zoom(state, 0.8)>{icon("minus")}</button>
            <button class="icon-button" type="button" title="Show all (0)" aria-label="Show all" data-testid="fit" on:click=move |_| fit(state)>{icon("fit")}</button>
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

/// The first picture shows everything; afterwards the camera answers only to the reader.
fn aim(state: State) {
    let wanted = untrack(move || state.app.map_query());
    let mut came_for_loop = wanted.loop_id.filter(|_| wanted.selection.is_none());
    Effect::new(move |_| {
        let seen = state.size.get().0 > 0.0 && state.app.scene.with(|scene| !scene.nodes.is_empty());
        if !seen {
            return;
        }
        if state.app.camera.with_untracked(Option::is_none) {
            fit(state);
            show_some(state);
        }
        if let Some(id) = came_for_loop.take() {
            fit_loop(state, &id);
        }
    });
    // Somebody chose a node in a list: it comes to the middle. The first run only learns the number.
    Effect::new(move |before: Option<u32>| {
        let (calls, node) = state.app.look_at.get();
        if before != Some(calls)
            && let Some(place) =
                node.and_then(|id| state.app.scene.with_untracked(|scene| scene.node(&id).map(|it| it.centre)))
        {
            let size = state.size.get_untracked();
            state.app.camera.update(|camera| *camera = camera.map(|camera| camera.centred(place, size)));
        }
        calls
    });
    // The inspector takes room: what it describes must not slip out of sight.
    Effect::new(move |_| {
        let (size, query) = (state.size.get(), state.app.map_query());
        let Some(Selection::Node(id)) = query.selection else { return };
        let place = state.app.scene.with_untracked(|scene| scene.node(&id).map(|it| it.centre));
        if let (Some(place), Some(camera)) = (place, state.app.camera.get_untracked()) {
            let moved = camera.revealing(place, size, 60.0);
            if moved != camera && size.0 > 0.0 {
                state.app.camera.set(Some(moved));
            }
        }
    });
}

fn fit(state: State) {
    let size = state.size.get_untracked();
    let bounds = state.app.scene.with_untracked(Scene::bounds);
    if let Some(bounds) = bounds {
        state.app.camera.set(Some(Camera::fit(bounds.inflate(MARGIN), size, MAX_FIT)));
    }
}

/// When everything is too small to read, the worst loop or else the first column comes near.
fn show_some(state: State) {
    let Some(camera) = state.app.camera.get_untracked().filter(|camera| camera.zoom < MIN_FIT) else { return };
    let size = state.size.get_untracked();
    let place = state.app.scene.with_untracked(|scene| {
        let worst = scene.loops.last().and_then(|it| scene.node(it.path.first()?));
        worst.or_else(|| scene.nodes.iter().min_by(|a, b| a.centre.x.total_cmp(&b.centre.x))).map(|node| node.centre)
    });
    if let Some(place) = place {
        state.app.camera.set(Some(Camera { zoom: MIN_FIT, ..camera }.centred(place, size)));
    }
}

fn fit_loop(state: State, id: &str) {
    let bounds = state.app.scene.with_untracked(|scene| {
        let it = scene.loop_shape(id)?;
        let nodes = it.path.iter().filter_map(|id| scene.node(id)).map(NodeShape::outline);
        let rails = it.rails.iter().map(|rail| Rect::around(rail.at(rail.apex()), 40.0, 40.0));
        nodes.chain(rails).reduce(Rect::union)
    });
    if let Some(bounds) = bounds {
        let size = state.size.get_untracked();
        state.app.camera.set(Some(Camera::fit(bounds.inflate(LOOP_MARGIN), size, MAX_FIT)));
    }
}

fn zoom(state: State, factor: f64) {
    let (w, h) = state.size.get_untracked();
    zoom_at(state, Point::new(w / 2.0, h / 2.0), factor);
}

fn zoom_at(state: State, at: Point, factor: f64) {
    state.app.camera.update(|camera| *camera = camera.map(|camera| camera.zoomed(at, factor)));
}

/// Shows the selected node from nearby.
fn approach(state: State) {
    let selection = untrack(move || state.app.map_query().selection);
    if let Some(Selection::Node(id)) = selection
        && let Some(place) = state.app.scene.with_untracked(|scene| scene.node(&id).map(|it| it.centre))
    {
        let size = state.size.get_untracked();
        let near = Camera { corner: place, zoom: 1.5 }.centred(place, size);
        state.app.camera.set(Some(near));
    }
}

/// Paints once for all changes of a frame.
fn keep_painted(state: State) {
    let asked = Rc::new(Cell::new(false));
    Effect::new(move |_| {
        state.app.scene.track();
        state.app.camera.track();
        state.app.route.track();
        state.hover.track();
        state.size.track();
        // The style sheet is asked only when the theme may be another one; it is set before this runs.
        state.app.dark.track();
        if asked.replace(true) {
            return;
        }
        let asked = Rc::clone(&asked);
        request_animation_frame(move || {
            asked.set(false);
            paint(state);
        });
    });
}

fn paint(state: State) {
    let surfaces = [state.lines, state.moving, state.bodies].map(|it| it.try_get_value().flatten());
    let [Some(lines), Some(moving), Some(bodies)] = surfaces else { return };
    let size = state.size.get_untracked();
    for surface in [&lines, &moving, &bodies] {
        surface.resize(size);
    }
    let palette = Palette::read();
    state.palette.set_value(palette.clone());
    with_view(state, |scene, view| {
        draw::paint_lines(&lines, scene, view, &palette);
        state.labels.set_value(draw::paint_bodies(&bodies, scene, view, &palette));
    });
}

fn with_view(state: State, then: impl FnOnce(&Scene, &View)) {
    let Some(Some(camera)) = state.app.camera.try_get_untracked() else { return };
    let query = untrack(|| state.app.map_query());
    let hover = state.hover.get_untracked();
    let view =
        View { camera, selection: query.selection.as_ref(), hover: hover.as_ref(), loop_id: query.loop_id.as_deref() };
    state.app.scene.with_untracked(|scene| then(scene, &view));
}

/// Lets particles run while there is something to see and nobody minds.
fn keep_moving(state: State) {
    let calm = media("(prefers-reduced-motion: reduce)");
    let hidden = window_event_listener_untyped("visibilitychange", move |_| state.visible.set(!document().hidden()));
    on_cleanup(move || hidden.remove());
    let lively = Memo::new(move |_| {
        !calm
            && state.visible.get()
            && !state.slow.get()
            && !state.app.paused.get()
            && !state.app.stale()
            && state.app.scene.with(motion::is_lively)
    });
    let running = Rc::new(Cell::new(false));
    let alive = running.clone();
    Effect::new(move |_| {
        if lively.get() {
            if !running.replace(true) {
                run_frames(state, lively, Rc::clone(&running));
            }
        } else if state.app.paused.get_untracked() {
            // What was moving stands still where it is.
        } else if let Some(Some(above)) = state.moving.try_get_value() {
            above.clear();
        }
    });
    let alive = StoredValue::new_local(alive);
    on_cleanup(move || {
        alive.try_with_value(|alive| alive.set(false));
    });
}

fn run_frames(state: State, lively: Memo<bool>, running: Rc<Cell<bool>>) {
    let step: Rc<RefCell<Option<Closure<dyn FnMut(f64)>>>> = Rc::default();
    let again = Rc::clone(&step);
    let (mut last, mut slow) = (0.0, 0);
    *step.borrow_mut() = Some(Closure::new(move |now: f64| {
        let go_on = running.get() && lively.try_get_untracked() == Some(true);
        if !go_on {
            running.set(false);
            // Nothing calls this closure again, so it may go; not while it runs, though.
            let again = Rc::clone(&again);
            request_animation_frame(move || drop(again.borrow_mut().take()));
            return;
        }
        slow = if last > 0.0 && now - last > SLOW_FRAME_MS { slow + 1 } else { 0 };
        last = now;
        if slow > SLOW_FRAMES {
            state.slow.set(true);
        }
        if let Some(Some(above)) = state.moving.try_get_value() {
            state.palette.with_value(|palette| {
                with_view(state, |scene, view| motion::paint(&above, scene, view, palette, now / 1000.0));
            });
        }
        request_frame(&again);
    }));
    request_frame(&step);
}

fn request_frame(step: &Rc<RefCell<Option<Closure<dyn FnMut(f64)>>>>) {
    if let Some(step) = step.borrow().as_ref() {
        let _ = window().request_animation_frame(step.as_ref().unchecked_ref());
    }
}

fn place_of(event: &web_sys::MouseEvent) -> Point {
    let stage = event.current_target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
    let (left, top) = stage.map(|it| it.get_bounding_client_rect()).map_or((0.0, 0.0), |it| (it.left(), it.top()));
    Point::new(f64::from(event.client_x()) - left, f64::from(event.client_y()) - top)
}

fn hit(state: State, at: Point) -> Option<Selection> {
    let camera = state.app.camera.get_untracked()?;
    state.app.scene.with_untracked(|scene| scene.hit(camera.to_map(at), SLACK / camera.zoom))
}

fn hit_badge(state: State, at: Point) -> Option<String> {
    let at = state.app.camera.get_untracked()?.to_map(at);
    state.labels.with_value(|labels| {
        labels.iter().find(|label| label.area.contains(at)).and_then(|label| match &label.owner {
            Owner::Loop(id) => Some(id.clone()),
            Owner::Node(_) | Owner::Edge(..) => None,
        })
    })
}

fn press(state: State, event: &PointerEvent) {
    if event.button() != 0 {
        return;
    }
    if let Some(stage) = event.current_target().and_then(|it| it.dyn_into::<web_sys::Element>().ok()) {
        let _ = stage.set_pointer_capture(event.pointer_id());
    }
    state.pointers.update_value(|(down, moved)| {
        *moved &= !down.is_empty();
        down.push((event.pointer_id(), place_of(event)));
    });
}

fn drag(state: State, event: &PointerEvent) {
    let at = place_of(event);
    let mut before = None;
    state.pointers.update_value(|(down, moved)| {
        let others: Vec<Point> = down.iter().filter(|it| it.0 != event.pointer_id()).map(|it| it.1).collect();
        if let Some(pointer) = down.iter_mut().find(|it| it.0 == event.pointer_id()) {
            *moved |= pointer.1.distance(at) > CLICK;
            if *moved {
                before = Some((pointer.1, others));
                pointer.1 = at;
            }
        }
    });
    match before {
        Some((from, others)) if others.is_empty() => {
            state.app.camera.update(|camera| *camera = camera.map(|it| it.panned(at.x - from.x, at.y - from.y)));
        }
        Some((from, others)) => zoom_at(state, others[0], at.distance(others[0]) / from.distance(others[0]).max(1.0)),
        None => {
            let found = hit(state, at);
            if state.hover.with_untracked(|hover| *hover != found) {
                state.hover.set(found);
            }
        }
    }
}

fn release(state: State, event: &PointerEvent) {
    let mut clicked = false;
    state.pointers.update_value(|(down, moved)| {
        let known = down.iter().any(|it| it.0 == event.pointer_id());
        down.retain(|it| it.0 != event.pointer_id());
        clicked = known && !*moved && event.type_() == "pointerup";
        if down.is_empty() {
            *moved = false;
        }
    });
    if !clicked {
        return;
    }
    let at = place_of(event);
    match (hit_badge(state, at), hit(state, at)) {
        (Some(id), _) => state.app.change_map(|query| {
            query.selection = None;
            query.loop_id = Some(id);
        }),
        (None, Some(found)) => state.app.change_map(|query| query.selection = Some(found)),
        (None, None) => state.app.change_map(|query| {
            query.selection = None;
            query.loop_id = None;
        }),
    }
}

fn wheel(state: State, event: &WheelEvent) {
    event.prevent_default();
    // A line is about 16 pixels; a page is rare.
    let pixels = event.delta_y() * if event.delta_mode() == 1 { 16.0 } else { 1.0 };
    zoom_at(state, place_of(event), (-pixels * 0.0016).exp());
}

fn key(state: State, event: &KeyboardEvent) {
    if event.ctrl_key() || event.meta_key() || event.alt_key() {
        return;
    }
    let direction = match event.key().as_str() {
        "ArrowRight" => Some(Direction::Right),
        "ArrowLeft" => Some(Direction::Left),
        "ArrowUp" => Some(Direction::Up),
        "ArrowDown" => Some(Direction::Down),
        _ => None,
    };
    match (direction, event.key().as_str()) {
        (Some(direction), _) => walk(state, direction),
        (None, "Enter" | "f") => approach(state),
        (None, "+" | "=") => zoom(state, 1.25),
        (None, "-") => zoom(state, 0.8),
        (None, "0") => fit(state),
        (None, "n") => next_loop(state),
        _ => return,
    }
    event.prevent_default();
}

fn walk(state: State, direction: Direction) {
    let selection = untrack(|| state.app.map_query().selection);
    let next = state.app.scene.with_untracked(|scene| {
        let from = match &selection {
            Some(Selection::Node(id)) if scene.node(id).is_some() => id.as_str(),
            Some(Selection::Edge { source, target }) => {
                return Some(match direction {
                    Direction::Left | Direction::Up => source.clone(),
                    Direction::Right | Direction::Down => target.clone(),
                });
            }
            // Nothing selected: begin where the reader would, on the left.
            _ => {
                let first = scene.nodes.iter().min_by(|a, b| a.centre.x.total_cmp(&b.centre.x));
                return first.map(|node| node.id.clone());
            }
        };
        scene.step(from, direction).map(str::to_owned)
    });
    if let Some(id) = next {
        state.app.change_map(|query| query.selection = Some(Selection::Node(id)));
    }
}

fn next_loop(state: State) {
    let current = untrack(|| state.app.map_query().loop_id);
    let next = state.app.model.with_untracked(|model| {
        let loops = model.ranked_loops();
        let at = loops.iter().position(|it| Some(&it.id) == current.as_ref()).map_or(0, |at| at + 1);
        loops.get(at % loops.len().max(1)).map(|it| it.id.clone())
    });
    if next.is_some() {
        state.app.change_map(|query| {
            query.selection = None;
            query.loop_id = next;
        });
    }
}
