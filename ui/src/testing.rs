//! A door for browser tests: `window.__loopscope` tells where things are, so that tests can click them.
//!
//! It is there only when the URL says `?testing=1`, it reads and never changes anything, and its places are CSS pixels
//! of the page.

use js_sys::{Array, Object, Reflect};
use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

use crate::app::App;
use crate::geometry::Point;

/// Puts the door into the window.
pub fn expose(app: App) {
    let door = Object::new();
    let ready = Closure::<dyn Fn() -> bool>::new(move || app.model.with_untracked(|model| model.ready));
    let node = Closure::<dyn Fn(String) -> JsValue>::new(move |id: String| node_at(app, &id));
    let nodes = Closure::<dyn Fn() -> JsValue>::new(move || {
        app.scene.with_untracked(|scene| scene.nodes.iter().map(|it| node_at(app, &it.id)).collect::<Array>().into())
    });
    let edges = Closure::<dyn Fn() -> JsValue>::new(move || edges_at(app));
    let loops = Closure::<dyn Fn() -> JsValue>::new(move || loops_at(app));
    let camera = Closure::<dyn Fn() -> JsValue>::new(move || camera_of(app));
    set(&door, "ready", &ready.into_js_value());
    set(&door, "node", &node.into_js_value());
    set(&door, "nodes", &nodes.into_js_value());
    set(&door, "edges", &edges.into_js_value());
    set(&door, "loops", &loops.into_js_value());
    set(&door, "camera", &camera.into_js_value());
    let _ = Reflect::set(&window(), &"__loopscope".into(), &door);
}

fn node_at(app: App, id: &str) -> JsValue {
    app.scene.with_untracked(|scene| {
        let Some(node) = scene.node(id) else { return JsValue::NULL };
        let place = object_at(app, node.centre);
        set(&place, "id", &node.id.as_str().into());
        set(&place, "name", &node.name.as_str().into());
        set(&place, "r", &(node.radius * zoom(app)).into());
        set(&place, "tone", &node.tone.word().into());
        place.into()
    })
}

fn edges_at(app: App) -> JsValue {
    app.scene.with_untracked(|scene| {
        let edges = scene.edges.iter().map(|edge| {
            let place = object_at(app, edge.curve.at(0.5));
            set(&place, "source", &edge.source.as_str().into());
            set(&place, "target", &edge.target.as_str().into());
            set(&place, "rate", &edge.rate.into());
            place
        });
        edges.collect::<Array>().into()
    })
}

fn loops_at(app: App) -> JsValue {
    app.scene.with_untracked(|scene| {
        let loops = scene.loops.iter().map(|it| {
            let place = object_at(app, it.anchor);
            set(&place, "id", &it.id.as_str().into());
            set(&place, "badge", &it.badge.as_str().into());
            set(&place, "path", &it.path.iter().map(|id| JsValue::from(id.as_str())).collect::<Array>());
            place
        });
        loops.collect::<Array>().into()
    })
}

fn camera_of(app: App) -> JsValue {
    let Some(camera) = app.camera.get_untracked() else { return JsValue::NULL };
    let object = Object::new();
    set(&object, "x", &camera.corner.x.into());
    set(&object, "y", &camera.corner.y.into());
    set(&object, "zoom", &camera.zoom.into());
    object.into()
}

fn zoom(app: App) -> f64 {
    app.camera.get_untracked().map_or(1.0, |camera| camera.zoom)
}

fn object_at(app: App, place: Point) -> Object {
    let view = app.camera.get_untracked().map_or(place, |camera| camera.to_view(place));
    let stage = document().query_selector("[data-testid=stage]").ok().flatten();
    let (left, top) = stage.map(|it| it.get_bounding_client_rect()).map_or((0.0, 0.0), |it| (it.left(), it.top()));
    let object = Object::new();
    set(&object, "x", &(left + view.x).into());
    set(&object, "y", &(top + view.y).into());
    object
}

fn set(object: &Object, name: &str, value: &JsValue) {
    let _ = Reflect::set(object, &name.into(), value);
}
