//! The deepest chain, lap by lap, as far as its traces are still in the journal.

use leptos::prelude::*;
use loopscope_proto::v1::{LapDetail, Laps, Loop};

use crate::client::laps_url;
use crate::format;
use crate::parts::fetched::{Fetched, failure, fetched};
use crate::parts::short_id;
use crate::url::Route;
use crate::words;

/// Rows at each end of a long chain before the reader asks for more.
const AT_EACH_END: usize = 6;

/// The panel. The chain is read from disk, so it is read once, and again when the reader asks.
pub(super) fn laps(it: Memo<Loop>) -> impl IntoView {
    let id = it.with_untracked(|it| it.id.clone());
    let round = RwSignal::new(0_u32);
    let unfolded = RwSignal::new(false);
    // Without laps there is nothing to read, and those of operations lie within single runs.
    let deep = Memo::new(move |_| it.with(|it| it.max_depth > 0 && !words::is_of_operations(it)));
    let answer = fetched::<Laps>(move || deep.get().then(|| format!("{}#{}", laps_url(&id), round.get())));
    let content = move || {
        answer.with(|answer| match answer {
            Fetched::Loading => view! { <p class="muted">"Reading…"</p> }.into_any(),
            Fetched::Failed(why) => failure(why, "None of its traces is in the journal any more.").into_any(),
            Fetched::Ready(laps) if laps.laps.len() < 2 => {
                let end = words::chain_end(&laps.ended_by).unwrap_or("Its laps were joined without parents or links.");
                view! { <p class="muted">"No lap of it can be followed back. " {end}</p> }.into_any()
            }
            Fetched::Ready(laps) => chain(laps, unfolded).into_any(),
        })
    };
    view! {
        <Show when=move || deep.get()>
            <section class="panel laps" data-testid="laps">
                <div class="panel-head">
                    <h2>"The deepest chain, lap by lap"</h2>
                    <button class="button" type="button" on:click=move |_| round.update(|n| *n += 1)>
                        "Read again"
                    </button>
                </div>
                {content}
            </section>
        </Show>
    }
}

fn chain(it: &Laps, unfolded: RwSignal<bool>) -> impl IntoView + use<> {
    let columns = Columns {
        versions: it.laps.iter().any(|lap| !words::versions(lap).is_empty()),
        payload: it.laps.iter().any(|lap| words::payload(lap).is_some()),
        changes: it.laps.iter().any(|lap| words::lap_changes(lap).next().is_some()),
    };
    let followed = it.ended_by.is_empty();
    let folded = 2 * AT_EACH_END + 1 < it.laps.len() && !unfolded.get();
    let hidden = |at: usize| folded && at >= AT_EACH_END && at + AT_EACH_END < it.laps.len();
    let mut rows = Vec::with_capacity(it.laps.len() + 2);
    let mut left_out = 0;
    for (at, lap) in it.laps.iter().enumerate() {
        let jump = at.checked_sub(1).map_or(0, |before| lap.lap.saturating_sub(it.laps[before].lap + 1));
        left_out += jump + u32::from(hidden(at));
        if !hidden(at) {
            if left_out > 0 {
                rows.push(elided(left_out, folded.then_some(unfolded), &columns).into_any());
            }
            left_out = 0;
            rows.push(row(lap, followed, &columns).into_any());
        }
    }
    let deepest = it.laps.last().map_or(0, |lap| u64::from(lap.lap));
    let end = words::chain_end(&it.ended_by).map(|text| format!(" {text}"));
    let joined = words::joined_causes(it).map(|text| format!(" {text}"));
    let of = format!("{} of {}", format::counted(deepest, "lap", "laps"), it.function);
    let text = if followed { format!("{of}, from the first to the last.") } else { format!("The last {of}.") };
    view! {
        <p class="muted laps-lead">{text} {joined} {end}</p>
        <div class="table-scroll" tabindex="0" role="region" aria-label="The laps of the deepest chain">
            <table>
                <thead>
                    <tr>
                        <th scope="col" class="num">"lap"</th>
                        <th scope="col">"began (UTC)"</th>
                        <th scope="col" class="num">"after"</th>
                        <th scope="col" class="num">"ran"</th>
                        {columns.payload.then(|| view! { <th scope="col" class="num">"got"</th> })}
                        {columns.versions.then(|| view! { <th scope="col">"version"</th> })}
                        <th scope="col">"trace"</th>
                        {columns.changes.then(|| view! { <th scope="col">"what changed"</th> })}
                    </tr>
                </thead>
                <tbody>{rows}</tbody>
            </table>
        </div>
    }
}

/// Columns that are shown only when there is something in them.
#[derive(Clone, Copy)]
struct Columns {
    versions: bool,
    payload: bool,
    changes: bool,
}

fn elided(laps: u32, unfold: Option<RwSignal<bool>>, columns: &Columns) -> impl IntoView + use<> {
    let width = 5 + [columns.versions, columns.payload, columns.changes].into_iter().filter(|it| *it).count();
    let text = format!("{} between", format::counted(laps.into(), "lap", "laps"));
    let button = unfold.map(|unfold| {
        view! { <button class="link" type="button" on:click=move |_| unfold.set(true)>"Show more"</button> }
    });
    view! { <tr class="elided" data-testid="laps-elided"><td colspan=width.to_string()>{text} " " {button}</td></tr> }
}

fn row(lap: &LapDetail, followed: bool, columns: &Columns) -> impl IntoView + use<> {
    let trace = Route::Trace { trace_id: lap.trace_id.clone(), span: Some(lap.span_id.clone()) }.href();
    let number = if lap.lap == 0 && followed { "start".to_owned() } else { format::count(lap.lap.into()) };
    let bytes = words::payload(lap).map(format::bytes);
    let name = format!("{}{}", if lap.error { "✕ " } else { "" }, short_id(&lap.trace_id));
    view! {
        <tr data-testid="lap-row">
            <th scope="row" class="num">{number}</th>
            <td title=format::moment(lap.start.as_ref())>{format::clock(lap.start.as_ref())}</td>
            <td class="num">{format::duration_or_dash(lap.lap_ms)}</td>
            <td class="num" class:tone-err=lap.error>{format::duration(lap.duration_ms)}</td>
            {columns.payload.then(|| view! { <td class="num">{bytes}</td> })}
            {columns.versions.then(|| view! { <td class="versions">{words::versions(lap)}</td> })}
            <td><a class="mono" href=trace title=lap.trace_id.clone()>{name}</a></td>
            {columns.changes.then(|| view! { <td class="changed">{words::lap_changes(lap).collect::<Vec<_>>().join("; ")}</td> })}
        </tr>
    }
}
