//! The list of keys, and what the signs on the map mean in a sentence each.

use std::rc::Rc;

use leptos::prelude::*;

use crate::app::{App, focus};
use crate::html::{Element, el};
use crate::parts::icon::sign;

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
pub fn help(app: App) -> Vec<Element> {
    request_animation_frame(|| focus(".help .icon-button"));
    let key = |(key, meaning): (&str, &str)| {
        let key = el("dt", "").child(el("kbd", "").text(key));
        el("div", "").child(key).child(el("dd", "").text(meaning))
    };
    let close = Rc::new(move |_: &_| app.help.set(false));
    let button = el("button", "icon-button")
        .attr("type", "button")
        .attr("aria-label", "Close")
        .on("click", close.clone())
        .child(sign("close"));
    let head = el("header", "").child(el("h2", "").attr("id", "help-title").text("Keys")).child(button);
    let text = "A loop is a cycle of functions that start each other again. A lap is one way round; depth is the laps of one \
                causal chain. Filled nodes are slower than their own baseline.";
    let dialog = el("div", "help")
        .attr("role", "dialog")
        .attr("aria-modal", "true")
        .attr("aria-labelledby", "help-title")
        .child(head)
        .child(el("dl", "").all(KEYS.into_iter().map(key).collect()))
        .child(el("p", "muted").text(text));
    vec![el("div", "veil").on("click", close), dialog]
}
