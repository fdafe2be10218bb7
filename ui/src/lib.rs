//! The page of Loopscope: the live call graph, loops, hotspots, traces and alerts in a browser.
//!
//! Data goes one way: `client` (network) → `model` (plain state) → `scene` (shapes) → `draw` (pixels), with `app` as
//! the one place that ties them to signals, and `pages` inside the `frame` as what readers see. A page makes plain data of
//! messages, which `html` brings into the document. `url`, `format`,
//! `words`, `intent`, `snippets`, `waterfall` and `geometry` are pure and tested natively. The page computes no layout and no
//! statistics: both come from the server, so that every reader sees the same.

pub mod app;
pub mod client;
pub mod draw;
pub mod format;
pub mod frame;
pub mod geometry;
pub mod html;
pub mod intent;
pub mod model;
pub mod pages;
pub mod parts;
pub mod scene;
pub mod snippets;
pub mod testing;
pub mod url;
pub mod waterfall;
pub mod words;

use leptos::prelude::*;
use wasm_bindgen::prelude::wasm_bindgen;

/// Called by the loader once the module is there: puts the page into the body.
#[wasm_bindgen(start)]
pub fn start() {
    mount_to_body(|| {
        let app = app::App::start();
        provide_context(app);
        if app.testing {
            testing::expose(app);
        }
        view! { <frame::Frame /> }
    });
}
