//! When something is painted: once for all changes of a frame, and in each frame while particles run.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::closure::Closure;

use super::State;
use crate::app::media;
use crate::draw::{self, Palette, View, motion};
use crate::scene::Scene;

/// Frames in a row that took too long before the particles rest for this visit.
const SLOW_FRAMES: u32 = 40;

/// A frame that took longer is slow, in milliseconds.
const SLOW_FRAME_MS: f64 = 90.0;

/// A step of the animation, which asks for the next one itself.
type Step = Rc<RefCell<Option<Closure<dyn FnMut(f64)>>>>;

/// Paints once for all changes of a frame.
pub(super) fn keep_painted(state: State) {
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

pub(super) fn paint(state: State) {
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

pub(super) fn with_view(state: State, then: impl FnOnce(&Scene, &View)) {
    let Some(Some(camera)) = state.app.camera.try_get_untracked() else { return };
    let query = untrack(|| state.app.map_query());
    let hover = state.hover.get_untracked();
    let view =
        View { camera, selection: query.selection.as_ref(), hover: hover.as_ref(), loop_id: query.loop_id.as_deref() };
    state.app.scene.with_untracked(|scene| then(scene, &view));
}

/// Lets particles run while there is something to see and nobody minds.
pub(super) fn keep_moving(state: State) {
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

pub(super) fn run_frames(state: State, lively: Memo<bool>, running: Rc<Cell<bool>>) {
    let step = Step::default();
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

pub(super) fn request_frame(step: &Step) {
    if let Some(step) = step.borrow().as_ref() {
        let _ = window().request_animation_frame(step.as_ref().unchecked_ref());
    }
}
