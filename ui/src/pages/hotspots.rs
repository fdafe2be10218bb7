//! What takes the time now, by rank.

use leptos::prelude::*;
use loopscope_proto::v1::Hotspot;

use crate::app::App;
use crate::format;
use crate::model::Model;
use crate::parts::nothing;
use crate::url::Route;
use crate::words;

/// The page.
#[component]
pub fn Hotspots() -> impl IntoView {
    let app = App::get();
    let ranks = Memo::new(move |_| app.model.with(|model| model.hotspots.len()));
    let empty = move || ranks.get() == 0 && app.model.with(|model| model.ready);
    view! {
        <div class="page">
            <header class="page-head">
                <h1 tabindex="-1">"Hotspots"</h1>
                <p class="muted">"Where the time of whole requests goes now, the largest share first."</p>
            </header>
            <Show when=empty>
                {nothing("Nothing measured in this window", "Hotspots appear as soon as some requests have come through.")}
            </Show>
            <ol class="cards">
                <For each=move || 0..ranks.get() key=|at| *at children=move |at| row(app, at) />
            </ol>
        </div>
    }
}

fn row(app: App, at: usize) -> impl IntoView {
    let it = Memo::new(move |_| app.model.with(|model| model.hotspots.get(at).cloned().unwrap_or_default()));
    let number = |value: fn(&Hotspot) -> String| move || it.with(value);
    let name = move || app.model.with(|model| it.with(|it| title(model, it)));
    let ratio = move || it.with(|it| it.baseline_p95_ms.filter(|base| *base > 0.0).map(|base| it.p95_ms / base));
    let compared = move || match ratio() {
        None => String::new(),
        Some(ratio) if ratio < 0.8 => format!("{} its baseline", format::times(ratio)),
        Some(ratio) if ratio < 1.5 => "as usual".to_owned(),
        Some(ratio) if ratio <= 3.0 => format!("▲ {} its baseline", format::times(ratio)),
        Some(ratio) => format!("▲▲ {} its baseline", format::times(ratio)),
    };
    let tone = move || match ratio() {
        Some(ratio) if ratio > 3.0 => "tone-crit",
        Some(ratio) if ratio >= 1.5 => "tone-slow",
        _ => "muted",
    };
    view! {
        <li class="card hotspot" data-testid="hotspot-row" data-id=move || it.with(|it| it.function_id.clone())>
            <span class="rank" aria-hidden="true">{number(|it| it.rank.to_string())}</span>
            <div class="card-main">
                <h2><a class="whole" href=move || it.with(href)>{name}</a></h2>
                <p class="muted">{number(|it| words::hotspot_cause(it).to_owned())} " · " {number(|it| format::counted(it.samples, "sample", "samples"))}</p>
            </div>
            <div class="share">
                <div class="share-text"><strong>{number(|it| format::percent(it.share))}</strong> <span class="muted">" of all request time"</span></div>
                <div class="meter" aria-hidden="true">
                    <span style:width=move || it.with(|it| format!("{:.1}%", it.share.clamp(0.0, 1.0) * 100.0))></span>
                </div>
            </div>
            <dl class="card-numbers">
                <div><dt>"p95 now"</dt><dd>{number(|it| format::duration(it.p95_ms))}</dd></div>
                <div><dt>"baseline"</dt><dd>{number(|it| it.baseline_p95_ms.map_or_else(|| "learning".into(), format::duration))}</dd></div>
            </dl>
            <p class=move || format!("compared {}", tone())>{compared}</p>
        </li>
    }
}

fn title(model: &Model, it: &Hotspot) -> String {
    match &it.edge {
        Some(edge) => format!("{} → {}", model.node_name(&edge.source), model.node_name(&edge.target)),
        None if it.function.is_empty() => model.node_name(&it.function_id).to_owned(),
        None => it.function.clone(),
    }
}

fn href(it: &Hotspot) -> String {
    match &it.edge {
        Some(edge) => Route::edge(&edge.source, &edge.target).href(),
        None => Route::node(&it.function_id).href(),
    }
}
