//! The list of keys, and what the signs on the map mean in a sentence each.

use leptos::prelude::*;

use crate::app::{App, focus};
use crate::parts::icon::icon;

const KEYS: [(&str, &str); 14] = [
    ("/", "search"),
    ("g then m l h t a c", "go to map, loops, hotspots, traces, alerts, connect"),
    ("g then f e p o", "go to functions, changes, patterns, cost"),
    ("Space", "pause, go on"),
    ("t", "map: graph or table"),
    ("← →", "map: to a caller, to a callee"),
    ("↑ ↓", "map: to the next node above, below"),
    ("Enter", "map: look at the selected node from nearby"),
    ("n", "map: next loop"),
    ("+ − 0", "map: zoom in, out, fit"),
    ("j k", "trace: next, previous span"),
    ("o", "trace: fold or unfold"),
    ("Esc", "one level up"),
    ("?", "this list"),
];

/// The list of keys, above everything.
#[component]
pub fn Help() -> impl IntoView {
    let app = App::get();
    request_animation_frame(|| focus(".help .icon-button"));
    let keys = KEYS.map(|(key, meaning)| {
        view! {
            <div>
                <dt><kbd>{key}</kbd></dt>
                <dd>{meaning}</dd>
            </div>
        }
    });
    view! {
        <div class="veil" on:click=move |_| app.help.set(false)></div>
        <div class="help" role="dialog" aria-modal="true" aria-labelledby="help-title">
            <header>
                <h2 id="help-title">"Keys"</h2>
                <button class="icon-button" type="button" aria-label="Close" on:click=move |_| app.help.set(false)>
                    {icon("close")}
                </button>
            </header>
            <dl>{keys.collect_view()}</dl>
            <p class="muted">
                "A loop is a cycle of functions that start each other again. A lap is one way round; depth is the laps "
                "of one causal chain. Filled nodes are slower than their own baseline."
            </p>
        </div>
    }
}
