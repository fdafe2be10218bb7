//! What the signs of the map mean, drawn with the same colours.

use leptos::prelude::*;

/// The legend; it can be folded away.
#[component]
pub fn Legend() -> impl IntoView {
    let node = |class: &'static str, text: &'static str| {
        view! {
            <li>
                <svg viewBox="0 0 24 24" aria-hidden="true"><circle class=class cx="12" cy="12" r="7" /></svg>
                {text}
            </li>
        }
    };
    let line = |class: &'static str, text: &'static str| {
        view! {
            <li>
                <svg viewBox="0 0 24 24" aria-hidden="true"><path class=class d="M2 12h20" /></svg>
                {text}
            </li>
        }
    };
    view! {
        <details class="legend" open=crate::app::media("(min-width: 1100px) and (min-height: 700px)")>
            <summary>"Legend"</summary>
            <ul>
                {node("key-norm", "as usual")} {node("key-slow", "slow ▲")} {node("key-crit", "very slow ▲▲")}
                {node("key-fast", "fast")} {node("key-learning", "learning")}
                {node("key-untraced", "not traced")}
                <li>
                    <svg viewBox="0 0 24 24" aria-hidden="true">
                        <circle class="key-norm" cx="12" cy="12" r="5.500" />
                        <path class="key-err" d="M12 3a9 9 0 0 1 9 9" />
                    </svg>
                    "share of errors"
                </li>
                {line("key-edge", "call")} {line("key-async", "message")}
                <li>
                    <svg viewBox="0 0 24 24" aria-hidden="true">
                        <path class="key-rail" d="M2 12h20" />
                        <path class="key-gap" d="M2 12h20" />
                        <path class="key-loop" d="M2 12h20" />
                    </svg>
                    "loop"
                </li>
            </ul>
        </details>
    }
}
