//! What cannot be right in the input, with traces that show it.

use leptos::prelude::*;
use loopscope_proto::v1::{Anomaly, AnomalyExemplar, AnomalyList};

use crate::app::App;
use crate::client::ANOMALIES;
use crate::format;
use crate::parts::fetched::{Fetched, failure, fetched};
use crate::parts::short_id;
use crate::url::Route;
use crate::words;

/// How often the list is asked for while somebody reads it.
const EVERY_MS: f64 = 5_000.0;

/// The section.
pub(super) fn anomalies(app: App) -> impl IntoView {
    let round = Memo::new(move |_| (app.now.get() / EVERY_MS) as u64);
    let list = fetched::<AnomalyList>(move || Some(format!("{ANOMALIES}#{}", round.get())));
    let content = move || {
        match list.get() {
        Fetched::Loading => view! { <p class="muted">"Loading…"</p> }.into_any(),
        Fetched::Failed(why) => failure(&why, "The collector keeps none.").into_any(),
        Fetched::Ready(list) if list.anomalies.is_empty() => {
            view! { <p class="muted no-anomalies" data-testid="no-anomalies">"Nothing: all spans fit together so far."</p> }
                .into_any()
        }
        Fetched::Ready(list) => {
            view! { <ul class="anomalies">{list.anomalies.into_iter().map(row).collect_view()}</ul> }.into_any()
        }
    }
    };
    view! {
        <h2 class="section-title">"What cannot be right in the spans"</h2>
        {content}
    }
}

fn row(it: Anomaly) -> impl IntoView {
    let (title, meaning) = words::anomaly(&it.kind);
    view! {
        <li class="panel" data-testid="anomaly" data-kind=it.kind>
            <div class="anomaly-head">
                <h3>{title}</h3>
                <strong>{format::count(it.count)}</strong>
            </div>
            <p class="muted">{meaning}</p>
            <ul class="anomaly-traces">{it.exemplars.iter().map(exemplar).collect_view()}</ul>
        </li>
    }
}

fn exemplar(it: &AnomalyExemplar) -> impl IntoView + use<> {
    let route = Route::Trace { trace_id: it.trace_id.clone(), span: it.span_ids.first().cloned() };
    let spans = (it.span_ids.len() > 1).then(|| format!(" ({} spans)", it.span_ids.len()));
    view! {
        <li>
            <a class="mono" href=route.href() title=it.trace_id.clone()>{short_id(&it.trace_id)}</a>
            <span class="muted">{spans}</span>
        </li>
    }
}
