//! What the map shows before the first span: where to send it, and that the door is open.

use leptos::prelude::*;

use crate::app::App;
use crate::format;
use crate::html::{el, patch};
use crate::pages::connect::ways;

/// The invitation.
pub(super) fn empty(app: App) -> AnyView {
    let spans = Memo::new(move |_| app.model.with(|model| model.spans_received()));
    let tab = RwSignal::new(0);
    let content = move || {
        let text = match spans.get() {
            0 => "listening",
            _ => "received; the map appears with the first function",
        };
        let counter = el("p", "counter")
            .attr("role", "status")
            .child(el("span", "pulse").attr("aria-hidden", "true"))
            .child(el("strong", "").test("span-counter").text(&format::count(spans.get())))
            .text(" spans · ")
            .child(el("span", "muted").text(text));
        let lead = "Loopscope draws the call graph of your functions as their spans come in, and says when they run in \
                    circles. Point any OpenTelemetry exporter at one of these addresses.";
        let page = el("div", "page empty")
            .test("empty")
            .child(counter)
            .child(el("h2", "empty-title").text("Send the first span"))
            .child(el("p", "lead").text(lead))
            .all(ways(app, tab));
        vec![page]
    };
    patch::live(content)
}
