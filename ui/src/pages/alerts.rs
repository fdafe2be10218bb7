//! What was sent to the webhooks, the newest first.

use leptos::prelude::*;
use loopscope_proto::v1::{AlertList, AlertRecord, IncidentLoop};

use crate::app::App;
use crate::client::ALERTS;
use crate::format;
use crate::parts::fetched::{Fetched, failure, fetched};
use crate::parts::{Ago, nothing, severity_chip};
use crate::url::Route;
use crate::words;

/// How often the list is asked for while somebody reads it.
const EVERY_MS: f64 = 5_000.0;

/// The page.
#[component]
pub fn Alerts() -> impl IntoView {
    let app = App::get();
    let round = Memo::new(move |_| (app.now.get() / EVERY_MS) as u64);
    let list = fetched::<AlertList>(move || Some(format!("{ALERTS}#{}", round.get())));
    let content = move || match list.get() {
        Fetched::Loading => view! { <p class="muted">"Loading…"</p> }.into_any(),
        Fetched::Failed(why) => failure(&why, "The collector keeps no alerts.").into_any(),
        Fetched::Ready(list) if list.alerts.is_empty() => {
            nothing("Nothing to tell so far", "An alert is written when a loop opens, gets worse or ends.").into_any()
        }
        Fetched::Ready(list) => {
            view! { <ul class="cards">{list.alerts.into_iter().map(row).collect_view()}</ul> }.into_any()
        }
    };
    let delivered = move || {
        app.model.with(|model| {
            let status = model.status.clone().unwrap_or_default();
            format!(
                "{} webhook messages delivered · {} waiting · {} given up",
                format::count(status.webhooks_delivered),
                format::count(status.webhooks_pending),
                format::count(status.webhooks_failed)
            )
        })
    };
    view! {
        <div class="page">
            <header class="page-head">
                <h1 tabindex="-1">"Alerts"</h1>
                <p class="muted">{delivered}</p>
            </header>
            {content}
        </div>
    }
}

fn row(record: AlertRecord) -> impl IntoView {
    let alert = record.alert.unwrap_or_default();
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
    let sent = move || match (record.delivered, record.pending, record.failed) {
        (0, 0, 0) => "no webhook".to_owned(),
        (delivered, pending, failed) => {
            let parts = [(delivered, "delivered"), (pending, "waiting"), (failed, "given up")];
            let parts = parts.into_iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}"));
            parts.collect::<Vec<_>>().join(" · ")
        }
    };
    // The incident as it is now knows loops that joined since the message was written.
    let incident = record.incident;
    let loops = incident.as_ref().map_or(data.loops, |incident| incident.loops.clone());
    let others: Vec<IncidentLoop> = loops.into_iter().filter(|other| other.id != it.id).collect();
    let because = data.because.iter().filter_map(|because| words::because(because));
    let summary = if data.summary.is_empty() { it.functions.join(" → ") } else { data.summary };
    view! {
        <li class=format!("card alert {class}") data-testid="alert-row" data-id=record.id>
            <div class="card-main">
                <div class="chips">
                    <span class="chip"><span aria-hidden="true">{glyph}</span>{word}</span>
                    {severity_chip(it.severity())}
                    {because.map(|because| view! { <span class="chip because">{because}</span> }).collect_view()}
                    <span class="muted"><Ago time=alert.timestamp /></span>
                </div>
                <h2><a class="whole" href=Route::Loop(it.id.clone()).href()>{summary}</a></h2>
                {(!others.is_empty()).then(|| belonging(others))}
                <p class="muted">
                    "incident " <span class="mono">{data.incident_id}</span> {incident.as_ref().map(words::incident_now)}
                </p>
            </div>
            <p class:failed=move || { record.failed > 0 } class="sent">{sent}</p>
        </li>
    }
}

/// The other loops of an incident.
fn belonging(others: Vec<IncidentLoop>) -> impl IntoView {
    let links = others.into_iter().map(|other| {
        let way = words::way(&other.functions);
        view! { <li><a href=Route::Loop(other.id).href()>{way}</a></li> }
    });
    view! {
        <div class="belonging" data-testid="alert-loops">
            <span class="muted">"with"</span>
            <ul>{links.collect_view()}</ul>
        </div>
    }
}
