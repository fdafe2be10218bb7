//! All loops, the worst first.

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, LoopState, RetryStorm};

use crate::app::App;
use crate::format;
use crate::parts::{Ago, loop_chips, nothing};
use crate::url::Route;
use crate::words;

/// The page.
#[component]
pub fn Loops() -> impl IntoView {
    let app = App::get();
    // Their order is worth following: it changes only with a state or a depth.
    let ids = Memo::new(move |_| {
        app.model.with(|model| model.ranked_loops().into_iter().map(|it| it.id.clone()).collect::<Vec<_>>())
    });
    let empty = move || ids.with(Vec::is_empty) && app.model.with(|model| model.ready);
    let summary = move || {
        app.model.with(|model| {
            let of = |state: LoopState| {
                let loops = model.loops.values().filter(|it| !words::is_retry_storm(it));
                loops.filter(|it| it.state() == state).count()
            };
            let assessed = |word: &str| {
                let open = model.loops.values().filter(|it| it.state() != LoopState::Closed);
                open.filter(|it| it.assessment == word).count() as u64
            };
            let growing = of(LoopState::Growing);
            let going = growing + of(LoopState::Persistent) + of(LoopState::Dying) + of(LoopState::Unknown);
            format!(
                "{}, {} suspect · {going} going round, {growing} of them growing · {} only possible so far",
                format::counted(assessed("alarm"), "alarm", "alarms"),
                assessed("suspect"),
                of(LoopState::Latent)
            )
        })
    };
    view! {
        <div class="page">
            <header class="page-head">
                <h1 tabindex="-1">"Loops"</h1>
                <p class="muted">{summary}</p>
            </header>
            <Show when=empty>
                {nothing("No loop so far", "When functions start each other in a circle, the circle appears here, and on the map.")}
            </Show>
            <ul class="cards">
                <For each=move || ids.get() key=|id| id.clone() children=move |id| card(app, id) />
            </ul>
        </div>
    }
}

fn card(app: App, id: String) -> impl IntoView {
    let href = Route::Loop(id.clone()).href();
    let row = id.clone();
    let it = Memo::new(move |_| app.model.with(|model| model.loops.get(&id).cloned().unwrap_or_default()));
    let title = move || app.model.with(|model| it.with(|it| words::loop_title(it, |id| model.node_name(id))));
    let number = |value: fn(&Loop) -> String| move || it.with(value);
    let storm = Memo::new(move |_| it.with(words::is_retry_storm));
    view! {
        <li
            class="card"
            data-testid="loop-row"
            data-id=row
            data-state=move || it.with(|it| it.state().word())
            data-assessment=number(|it| it.assessment.clone())
        >
            <div class="card-main">
                <div class="chips">
                    {loop_chips(Signal::derive(move || it.get()))}
                    <span class="muted">{number(|it| it.environment.clone())}</span>
                </div>
                <h2><a class="whole" href=href>{title}</a></h2>
                <p class="muted card-meaning">{number(words::loop_meaning)}</p>
            </div>
            <dl class="card-numbers">
                {move || if storm.get() { of_storm(it).into_any() } else { of_laps(it).into_any() }}
                <div><dt>"last seen"</dt><dd><Ago time=Signal::derive(move || it.with(|it| it.last_seen)) /></dd></div>
            </dl>
        </li>
    }
}

fn of_laps(it: Memo<Loop>) -> impl IntoView {
    let number = |value: fn(&Loop) -> String| move || it.with(value);
    view! {
        <div><dt>"laps deep"</dt><dd>{number(|it| format::count(it.max_depth.into()))}</dd></div>
        <div><dt>"alarm at"</dt><dd>{number(words::alarm_depth)}</dd></div>
        <div><dt>"R"</dt><dd>{number(words::mean_ratio)}</dd></div>
        <div><dt>"next 24 h"</dt><dd>{number(|it| words::next_day(it.cost.as_ref()))}</dd></div>
        <div><dt>"now"</dt><dd>{number(|it| format::per_minute(it.laps_per_minute))}</dd></div>
    }
}

fn of_storm(it: Memo<Loop>) -> impl IntoView {
    let number = |value: fn(&RetryStorm) -> String| move || it.with(|it| it.retry_storm.as_ref().map(value));
    view! {
        <div><dt>"attempts"</dt><dd>{number(|it| format::count(it.attempts))}</dd></div>
        <div><dt>"requests"</dt><dd>{number(|it| format::count(it.requests))}</dd></div>
        <div><dt>"a request"</dt><dd>{number(|it| format::times(it.attempts_per_request))}</dd></div>
    }
}
