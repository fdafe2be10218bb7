//! What was sent to the webhooks, the newest first.

use leptos::prelude::*;
use loopscope_proto::v1::{AlertList, AlertRecord, IncidentLoop};

use crate::app::App;
use crate::client::ALERTS;
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::parts::fetched::Answer;
use crate::parts::{ago, nothing_here, severity_chip};
use crate::url::Route;
use crate::words;

/// How often the list is asked for while somebody reads it.
const EVERY_MS: f64 = 5_000.0;

/// The page.
pub fn alerts() -> AnyView {
    let app = App::get();
    let round = Memo::new(move |_| (app.now.get() / EVERY_MS) as u64);
    let answer = Answer::<AlertList>::of(Memo::new(move |_| Some(format!("{ALERTS}#{}", round.get()))));
    let content = move || {
        let now = app.now.get();
        let shown = answer.show("The collector keeps no alerts.", |list| show(list, now));
        let delivered = app.model.with(|model| {
            let status = model.status.clone().unwrap_or_default();
            format!(
                "{} webhook messages delivered · {} waiting · {} given up",
                format::count(status.webhooks_delivered),
                format::count(status.webhooks_pending),
                format::count(status.webhooks_failed)
            )
        });
        let head = el("header", "page-head")
            .child(el("h1", "").attr("tabindex", "-1").text("Alerts"))
            .child(el("p", "muted").text(&delivered));
        vec![el("div", "page").child(head).all(shown)]
    };
    patch::live(content)
}

fn show(list: &AlertList, now: f64) -> Vec<Element> {
    if list.alerts.is_empty() {
        return vec![nothing_here(
            "Nothing to tell so far",
            "An alert is written when a loop opens, gets worse or ends.",
        )];
    }
    vec![el("ul", "cards").all(list.alerts.iter().map(|record| row(record, now)).collect())]
}

fn row(record: &AlertRecord, now: f64) -> Element {
    let alert = record.alert.clone().unwrap_or_default();
    let data = alert.data.unwrap_or_default();
    let it = data.r#loop.unwrap_or_default();
    let (glyph, word, class) = match alert.r#type.as_str() {
        "loop.opened" => ("●", "opened", "alert-opened"),
        "loop.reopened" => ("↻", "reopened", "alert-opened"),
        "loop.escalated" => ("▲", "escalated", "alert-escalated"),
        "loop.reminder" => ("●", "still open", "alert-opened"),
        "loop.resolved" => ("✓", "resolved", "alert-resolved"),
        _ => ("·", "changed", ""),
    };
    // The incident as it is now knows loops that joined since the message was written.
    let incident = record.incident.as_ref();
    let loops = incident.map_or(data.loops, |incident| incident.loops.clone());
    let others: Vec<IncidentLoop> = loops.into_iter().filter(|other| other.id != it.id).collect();
    let because = data.because.iter().filter_map(|because| words::because(because));
    let because = because.map(|because| el("span", "chip because").text(because));
    let summary = if data.summary.is_empty() { it.functions.join(" → ") } else { data.summary };
    let chips = el("div", "chips")
        .child(el("span", "chip").child(el("span", "").attr("aria-hidden", "true").text(glyph)).text(word))
        .child(severity_chip(it.severity()))
        .all(because.collect())
        .child(el("span", "muted").child(ago(alert.timestamp.as_ref(), now)));
    let now_is = incident.map(words::incident_now).unwrap_or_default();
    let incident = el("p", "muted").text("incident ").child(el("span", "mono").text(&data.incident_id)).text(&now_is);
    let title = link(Route::Loop(it.id.clone()).href(), &summary).attr("class", "whole");
    let mut main = el("div", "card-main").child(chips).child(el("h2", "").child(title));
    if !others.is_empty() {
        main = main.child(belonging(&others));
    }
    el("li", &format!("card alert {class}"))
        .key(&record.id)
        .test("alert-row")
        .attr("data-id", &record.id)
        .child(main.child(incident))
        .child(el("p", if record.failed > 0 { "sent failed" } else { "sent" }).text(&sent(record)))
}

fn sent(record: &AlertRecord) -> String {
    let parts = [(record.delivered, "delivered"), (record.pending, "waiting"), (record.failed, "given up")];
    let parts: Vec<_> = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    if parts.is_empty() { "no webhook".to_owned() } else { parts.join(" · ") }
}

/// The other loops of an incident.
fn belonging(others: &[IncidentLoop]) -> Element {
    let line =
        |it: &IncidentLoop| el("li", "").child(link(Route::Loop(it.id.clone()).href(), &words::way(&it.functions)));
    el("div", "belonging")
        .test("alert-loops")
        .child(el("span", "muted").text("with"))
        .child(el("ul", "").all(others.iter().map(line).collect()))
}
