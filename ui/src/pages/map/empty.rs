//! What the map shows before the first span: where to send it, and that the door is open.

use leptos::prelude::*;

use crate::app::App;
use crate::format;
use crate::pages::connect::{Doors, Snippets};

/// The invitation.
#[component]
pub fn Empty() -> impl IntoView {
    let app = App::get();
    let spans = Memo::new(move |_| app.model.with(|model| model.spans_received()));
    let text = move || match spans.get() {
        0 => "listening".to_owned(),
        _ => "received; the map appears with the first function".to_owned(),
    };
    view! {
        <div class="page empty" data-testid="empty">
            <p class="counter" role="status">
                <span class="pulse" aria-hidden="true"></span>
                <strong data-testid="span-counter">{move || format::count(spans.get())}</strong>
                " spans · "
                <span class="muted">{text}</span>
            </p>
            <h2 class="empty-title">"Send the first span"</h2>
            <p class="lead">"Loopscope draws the call graph of your functions as their spans come in, and says when they run in circles. Point any OpenTelemetry exporter at one of these addresses."</p>
            <Doors />
            <Snippets />
        </div>
    }
}
