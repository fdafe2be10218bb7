//! Where the camera looks: everything until the first picture is complete, afterwards only where somebody asked it to.

use leptos::prelude::*;

use super::State;
use crate::geometry::{Camera, FirstPicture, Point, Rect};
use crate::scene::{NodeShape, Scene};
use crate::url::Selection;

/// Space around the graph when all of it is shown, in map units.
const MARGIN: f64 = 46.0;

/// A graph of few nodes is not blown up beyond this.
const MAX_FIT: f64 = 1.15;

/// On a small screen the first picture rather shows a part than everything too small to read.
const MIN_FIT: f64 = 0.5;

/// Space around a loop that somebody came to see, in map units: its surroundings belong to it.
const LOOP_MARGIN: f64 = 170.0;

/// The first picture shows everything; afterwards the camera answers only to the reader.
pub(super) fn aim(state: State) {
    let wanted = untrack(move || state.app.map_query());
    let mut came_for_loop = wanted.loop_id.filter(|_| wanted.selection.is_none());
    let mut picture = FirstPicture::default();
    Effect::new(move |_| {
        let Some(extent) = state.app.scene.with(Scene::extent).filter(|_| state.size.get().0 > 0.0) else { return };
        if picture.wants_fit(js_sys::Date::now(), extent, state.app.camera.get_untracked()) {
            fit(state);
            show_some(state);
            picture.fitted(state.app.camera.get_untracked());
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

pub(super) fn fit(state: State) {
    let size = state.size.get_untracked();
    let bounds = state.app.scene.with_untracked(Scene::bounds);
    if let Some(bounds) = bounds {
        let clear = (size.0, (size.1 - legend_height()).max(size.1 / 2.0));
        state.app.camera.set(Some(Camera::fit(bounds.inflate(MARGIN), clear, MAX_FIT)));
    }
}

/// Nodes whose centre is out of sight.
pub(super) fn out_of_view(state: State) -> usize {
    let (w, h) = state.size.get();
    let Some(camera) = state.app.camera.get().filter(|_| w > 0.0) else { return 0 };
    let is_seen = |place: Point| (0.0..=w).contains(&place.x) && (0.0..=h).contains(&place.y);
    state.app.scene.with(|scene| scene.nodes.iter().filter(|node| !is_seen(camera.to_view(node.centre))).count())
}

/// Height that the open legend takes from the bottom of the stage, in pixels.
fn legend_height() -> f64 {
    let legend = document().query_selector("details.legend[open]").ok().flatten();
    legend.map_or(0.0, |legend| f64::from(legend.client_height()))
}

/// When everything is too small to read, the worst loop or else the first column comes near.
pub(super) fn show_some(state: State) {
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

pub(super) fn fit_loop(state: State, id: &str) {
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

pub(super) fn zoom(state: State, factor: f64) {
    let (w, h) = state.size.get_untracked();
    zoom_at(state, Point::new(w / 2.0, h / 2.0), factor);
}

pub(super) fn zoom_at(state: State, at: Point, factor: f64) {
    state.app.camera.update(|camera| *camera = camera.map(|camera| camera.zoomed(at, factor)));
}

/// Shows the selected node from nearby.
pub(super) fn approach(state: State) {
    let selection = untrack(move || state.app.map_query().selection);
    if let Some(Selection::Node(id)) = selection
        && let Some(place) = state.app.scene.with_untracked(|scene| scene.node(&id).map(|it| it.centre))
    {
        let size = state.size.get_untracked();
        let near = Camera { corner: place, zoom: 1.5 }.centred(place, size);
        state.app.camera.set(Some(near));
    }
}
