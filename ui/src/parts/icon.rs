//! Signs of the navigation and of buttons, as lines that take the colour of the text around them.

use leptos::prelude::*;

use crate::html::{Element, el};

/// The sign of a name; an unknown name gives an empty sign.
pub fn icon(name: &str) -> AnyView {
    view! {
        <svg class="icon" viewBox="0 0 24 24" aria-hidden="true" focusable="false">
            <path d=path(name) />
        </svg>
    }
    .into_any()
}

/// The same as plain data.
pub fn sign(name: &str) -> Element {
    el("svg", "icon")
        .attr("viewBox", "0 0 24 24")
        .attr("aria-hidden", "true")
        .attr("focusable", "false")
        .child(el("path", "").attr("d", path(name)))
}

fn path(name: &str) -> &'static str {
    match name {
        "map" => {
            "M5 6a2 2 0 1 0 4 0a2 2 0 1 0-4 0M15 9a2 2 0 1 0 4 0a2 2 0 1 0-4 0M7 18a2 2 0 1 0 4 0a2 2 0 1 0-4 0M9 6.6l6 1.8M15.4 10.4l-5 6.2M7.3 8l1.4 8"
        }
        "loops" => "M20 12a8 8 0 1 1-2.6-5.9M20 3v4h-4",
        "hotspots" => {
            "M12 3c1 3.5 5 5.5 5 10a5 5 0 0 1-10 0c0-2 1-3 2-4c.3 1.500 1 2.200 1.800 2.500C10.500 8.500 11 5.500 12 3z"
        }
        "traces" => "M4 6h9M7 11h10M10 16h8M4 11v0M4 16h2",
        "alerts" => "M6 16V11a6 6 0 0 1 12 0v5l1.500 2h-15zM10 21h4",
        "functions" => "M6 20c3 0 3-3 3.500-6l1-6c.5-3 1.500-4 4.500-4M7 11h7M15 13l5 6M20 13l-5 6",
        "changes" => "M3 16l5-5l4 3l8-9M15 5h5v5",
        "patterns" => "M4 5h5v5H4zM15 5h5v5h-5zM15 15h5v5h-5zM9 7.500h6M17.500 10v5",
        "cost" => {
            "M12 3v18M16.500 7.500c-.5-1.500-2-2.500-4.500-2.500c-5.500 0-5.500 6.500 0 7s5.500 7 0 7c-2.500 0-4.500-1-5-3"
        }
        "connect" => "M9 3v5M15 3v5M6 8h12v3a6 6 0 0 1-12 0zM12 17v4",
        "search" => "M10.500 4a6.500 6.500 0 1 0 0 13a6.500 6.500 0 1 0 0-13M15.500 15.500L20 20",
        "sun" => {
            "M12 8a4 4 0 1 0 0 8a4 4 0 1 0 0-8M12 2v2.500M12 19.500V22M2 12h2.500M19.500 12H22M4.900 4.900l1.800 1.800M17.300 17.300l1.800 1.800M19.100 4.900l-1.800 1.800M6.700 17.300l-1.800 1.800"
        }
        "moon" => "M20 14.500A8.500 8.500 0 1 1 9.500 4a7 7 0 0 0 10.500 10.500z",
        "help" => "M9 9a3 3 0 1 1 4.500 2.600c-1 .6-1.500 1.200-1.500 2.400M12 17.500v.2",
        "pause" => "M9 5v14M15 5v14",
        "play" => "M7 4.500l12 7.500l-12 7.500z",
        "plus" => "M12 5v14M5 12h14",
        "minus" => "M5 12h14",
        "fit" => "M4 9V4h5M20 9V4h-5M4 15v5h5M20 15v5h-5",
        "close" => "M6 6l12 12M18 6L6 18",
        "back" => "M15 5l-7 7l7 7",
        "ring" => "M12 4a8 8 0 1 1-7.400 5M4 4v5h5",
        _ => "",
    }
}
