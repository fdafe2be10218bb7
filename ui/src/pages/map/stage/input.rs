//! What pointer, wheel and keys do to the map.

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use web_sys::{KeyboardEvent, PointerEvent, WheelEvent};

use super::State;
use super::aim::{approach, fit, zoom, zoom_at};
use crate::geometry::Point;
use crate::scene::Direction;
use crate::scene::label::Owner;
use crate::url::Selection;

/// A pointer that moved less is a click.
const CLICK: f64 = 4.0;

/// How far beside an edge or a node a pointer may be, in pixels.
const SLACK: f64 = 7.0;

pub(super) fn place_of(event: &web_sys::MouseEvent) -> Point {
    let stage = event.current_target().and_then(|it| it.dyn_into::<web_sys::Element>().ok());
    let (left, top) = stage.map(|it| it.get_bounding_client_rect()).map_or((0.0, 0.0), |it| (it.left(), it.top()));
    Point::new(f64::from(event.client_x()) - left, f64::from(event.client_y()) - top)
}

pub(super) fn hit(state: State, at: Point) -> Option<Selection> {
    let camera = state.app.camera.get_untracked()?;
    state.app.scene.with_untracked(|scene| scene.hit(camera.to_map(at), SLACK / camera.zoom))
}

pub(super) fn hit_badge(state: State, at: Point) -> Option<String> {
    let at = state.app.camera.get_untracked()?.to_map(at);
    state.labels.with_value(|labels| {
        labels.iter().find(|label| label.area.contains(at)).and_then(|label| match &label.owner {
            Owner::Loop(id) => Some(id.clone()),
            Owner::Node(_) | Owner::Edge(..) => None,
        })
    })
}

pub(super) fn press(state: State, event: &PointerEvent) {
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

pub(super) fn drag(state: State, event: &PointerEvent) {
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

pub(super) fn release(state: State, event: &PointerEvent) {
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

pub(super) fn wheel(state: State, event: &WheelEvent) {
    event.prevent_default();
    // A line is about 16 pixels; a page is rare.
    let pixels = event.delta_y() * if event.delta_mode() == 1 { 16.0 } else { 1.0 };
    zoom_at(state, place_of(event), (-pixels * 0.0016).exp());
}

pub(super) fn key(state: State, event: &KeyboardEvent) {
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

pub(super) fn walk(state: State, direction: Direction) {
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

pub(super) fn next_loop(state: State) {
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
