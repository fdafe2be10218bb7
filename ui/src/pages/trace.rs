//! One trace as a waterfall, with the details of one span beside it.
//!
//! Only the rows in view are in the document, so that a trace of ten thousand spans scrolls like one of ten. The
//! arithmetic is in `waterfall.rs`.

use std::collections::BTreeSet;

use leptos::html;
use leptos::prelude::*;
use loopscope_proto::v1::{Trace, TraceSpan};

use crate::app::{App, is_typing};
use crate::client::trace_url;
use crate::format;
use crate::parts::fetched::{Fetched, failure, fetched};
use crate::parts::{Copy, icon::icon, short_id};
use crate::url::Route;
use crate::waterfall::{self, Row};

/// Height of a row in pixels, as in the style sheet.
const ROW: f64 = 30.0;

/// Rows above and below the view that are ready.
const SPARE: usize = 8;

/// Indentation of a level in pixels, until there would be no room for names.
const INDENT: f64 = 12.0;

/// Levels that are indented; deeper ones stand below each other and say their level.
const MAX_INDENTED: u32 = 12;

/// The page.
#[component]
pub fn TracePage(
    /// Id of the trace.
    id: String,
) -> impl IntoView {
    let wanted = id.clone();
    let answer = fetched::<Trace>(move || Some(trace_url(&wanted)));
    let shown_id = id.clone();
    let copied = id.clone();
    let content = move || {
        answer.with(|answer| match answer {
            Fetched::Loading => view! { <p class="muted">"Loading…"</p> }.into_any(),
            Fetched::Failed(why) => {
                failure(why, "This trace is not in the journal: it never came, or it is older than what is kept.")
                    .into_any()
            }
            Fetched::Ready(trace) => waterfall(trace.clone()).into_any(),
        })
    };
    view! {
        <div class="page wide">
            <p class="crumb"><a href="/traces">{icon("back")} "Traces"</a></p>
            <header class="page-head trace-head">
                <h1 tabindex="-1">"Trace " <span class="mono">{short_id(&shown_id)}</span></h1>
                <Copy text=Signal::derive(move || copied.clone()) label="Copy id" />
            </header>
            {content}
        </div>
    }
}

fn waterfall(trace: Trace) -> impl IntoView {
    let app = App::get();
    let total = waterfall::total_ms(&trace.spans);
    let lap = waterfall::deepest_lap(&trace.spans).map(|(lap, function)| (lap, function.to_owned()));
    let errors = trace.spans.iter().filter(|it| it.error).count();
    let entries = trace.spans.iter().filter(|it| it.entry).count();
    let truncated = trace.truncated.then(|| {
        format!(
            "Only {} of {} spans are shown.",
            format::count(trace.spans.len() as u64),
            format::count(trace.spans_total)
        )
    });
    let trace_id = trace.trace_id.clone();
    let spans = StoredValue::new(trace.spans);
    let folded = RwSignal::new(BTreeSet::<usize>::new());
    let rows = Memo::new(move |_| spans.with_value(|spans| waterfall::rows(spans, &folded.read())));
    let selected = Memo::new(move |_| {
        let wanted = app.route.with(|route| match route {
            Route::Trace { span, .. } => span.clone(),
            _ => None,
        })?;
        spans.try_with_value(|spans| spans.iter().position(|it| it.span_id == wanted)).flatten()
    });
    let select = Callback::new(move |at: Option<usize>| {
        let span = at.and_then(|at| spans.with_value(|spans| spans.get(at).map(|it| it.span_id.clone())));
        app.go(Route::Trace { trace_id: trace_id.clone(), span });
    });
    let toggle = Callback::new(move |at: usize| {
        folded.update(|folded| {
            if !folded.remove(&at) {
                folded.insert(at);
            }
        });
    });
    let area = NodeRef::<html::Div>::new();
    listen_to_keys(rows, selected, select, toggle, area);
    view! {
        <dl class="stats trace-stats">
            <div class="stat"><dt>"duration"</dt><dd>{format::duration(total)}</dd></div>
            <div class="stat"><dt>"spans"</dt><dd>{format::count(trace.spans_total.max(spans.with_value(Vec::len) as u64))}</dd></div>
            <div class="stat"><dt>"invocations"</dt><dd>{format::count(entries as u64)}</dd></div>
            <div class="stat"><dt>"errors"</dt><dd>{format::count(errors as u64)}</dd></div>
            {lap.map(|(lap, function)| view! {
                <div class="stat stat-loop"><dt>"deepest lap"</dt><dd>"↻ " {lap} " " <span class="muted">{function}</span></dd></div>
            })}
        </dl>
        {truncated.map(|text| view! { <p class="notice" role="note">{text}</p> })}
        <div class="trace-body" class:with-details=move || selected.get().is_some()>
            <div class="waterfall" role="table" aria-label="Spans of the trace" aria-rowcount=move || rows.with(Vec::len)>
                {body(spans, rows, selected, total, area, select, toggle)}
            </div>
            {move || selected.get().map(|at| {
                let span = spans.with_value(|spans| spans[at].clone());
                details(span, select)
            })}
        </div>
    }
}

fn axis(total: f64) -> impl IntoView {
    let tick = |(place, text): (f64, String)| {
        view! { <span class="tick" style:left=format!("{:.3}%", place * 100.0)>{text}</span> }
    };
    waterfall::ticks(total, 5).into_iter().map(tick).collect_view()
}

fn grid_lines(total: f64) -> impl IntoView {
    let line = |(place, _): (f64, String)| view! { <i style:left=format!("{:.3}%", place * 100.0)></i> };
    waterfall::ticks(total, 5).into_iter().map(line).collect_view()
}

fn body(
    spans: StoredValue<Vec<TraceSpan>>,
    rows: Memo<Vec<Row>>,
    selected: Memo<Option<usize>>,
    total: f64,
    area: NodeRef<html::Div>,
    select: Callback<Option<usize>>,
    toggle: Callback<usize>,
) -> impl IntoView {
    let top = RwSignal::new(0.0_f64);
    // The list is never higher than the window, whose height is known before anything is laid out.
    let height = RwSignal::new(window_height());
    let resized = window_event_listener(leptos::ev::resize, move |_| height.set(window_height()));
    on_cleanup(move || resized.remove());
    let scroll = move |_| {
        if let Some(area) = area.get_untracked() {
            top.set(f64::from(area.scroll_top()));
        }
    };
    let window = Memo::new(move |_| {
        let first = (top.get() / ROW) as usize;
        let n = (height.get() / ROW) as usize + 1 + 2 * SPARE;
        let from = first.saturating_sub(SPARE);
        rows.with(|rows| (from, rows.iter().skip(from).take(n).cloned().collect::<Vec<_>>()))
    });
    let shown = move || window.with(|(from, rows)| (*from..).zip(rows.clone()).collect::<Vec<_>>());
    view! {
        <div class="rows" node_ref=area on:scroll=scroll tabindex="0" role="rowgroup">
            <div class="axis" aria-hidden="true">
                <span class="axis-name">"Span"</span>
                <div class="axis-time">{axis(total)}</div>
            </div>
            <div class="rows-height" role="presentation" style:height=move || format!("{}px", rows.with(Vec::len) as f64 * ROW)>
                <div class="grid-lines" role="presentation">{grid_lines(total)}</div>
                <For
                    each=shown
                    key=|(place, row)| (*place, row.at, row.folded)
                    children=move |(place, row)| {
                        let span = spans.with_value(|spans| spans[row.at].clone());
                        span_row(place, row, &span, selected, total, select, toggle)
                    }
                />
            </div>
        </div>
    }
}

fn window_height() -> f64 {
    window().inner_height().ok().and_then(|it| it.as_f64()).unwrap_or(1000.0)
}

fn span_row(
    place: usize,
    row: Row,
    span: &TraceSpan,
    selected: Memo<Option<usize>>,
    total: f64,
    select: Callback<Option<usize>>,
    toggle: Callback<usize>,
) -> impl IntoView + use<> {
    let at = row.at;
    let (from, width) = waterfall::bar(span, total);
    let indent = INDENT * f64::from(row.level.min(MAX_INDENTED));
    let fold = (row.descendants > 0).then(|| {
        let label = if row.folded { "Unfold" } else { "Fold" };
        view! {
            <button class="fold" type="button" aria-label=label aria-expanded=(!row.folded).to_string() on:click=move |event| {
                event.stop_propagation();
                toggle.run(at);
            }>
                {if row.folded { "▸" } else { "▾" }}
            </button>
        }
    });
    let deep = (row.level > MAX_INDENTED).then(|| view! { <span class="level muted">{row.level}</span> });
    let lap = (span.lap > 0)
        .then(|| view! { <span class="lap" title="earlier entries of this function above">"↻" {span.lap}</span> });
    let error = span.error.then(|| view! { <span class="error-mark" title="error">"✕"</span> });
    let hidden = row.folded.then(|| view! { <span class="muted">" +" {row.descendants}</span> });
    let title = format!("{} · {}", span.function, span.name);
    let outside = from + width > 0.82;
    let kind = if span.error {
        "error"
    } else if span.entry {
        "entry"
    } else {
        "inner"
    };
    let own = if span.entry { span.function.clone() } else { span.name.clone() };
    let quiet = if span.entry { span.name.clone() } else { String::new() };
    view! {
        <div
            class=format!("span-row {kind}")
            class:selected=move || selected.get() == Some(at)
            role="row"
            aria-rowindex=place + 1
            data-testid="span-row"
            data-id=span.span_id.clone()
            data-lap=span.lap
            style:transform=format!("translateY({}px)", place as f64 * ROW)
            on:click=move |_| select.run(if selected.get_untracked() == Some(at) { None } else { Some(at) })
        >
            <div class="span-name" role="rowheader" title=title style:padding-left=format!("{indent}px")>
                {if row.descendants > 0 { fold.into_any() } else { view! { <span class="fold"></span> }.into_any() }}
                {deep} {lap} {error}
                <span class="span-own">{own}</span>
                <span class="span-quiet muted">{quiet}</span>
                {hidden}
            </div>
            <div class="span-time" role="cell">
                <span class=format!("span-bar {kind}{}", if span.lap > 0 { " on-lap" } else { "" }) style:left=format!("{:.4}%", from * 100.0) style:width=format!("{:.4}%", width * 100.0)></span>
                <span
                    class="span-duration"
                    class:before=outside
                    style:left=if outside { "auto".to_owned() } else { format!("{:.4}%", (from + width) * 100.0) }
                    style:right=if outside { format!("{:.4}%", (1.0 - from) * 100.0) } else { "auto".to_owned() }
                >
                    {format::duration(span.duration_ms)}
                </span>
            </div>
        </div>
    }
}

fn details(span: TraceSpan, select: Callback<Option<usize>>) -> impl IntoView {
    let attribute = |it: loopscope_proto::v1::Attribute| {
        view! { <div><dt class="mono">{it.key}</dt><dd class="mono">{it.value}</dd></div> }
    };
    let link = |it: loopscope_proto::v1::SpanRef| {
        let href = Route::Trace { trace_id: it.trace_id.clone(), span: Some(it.span_id.clone()) }.href();
        view! { <li><a class="mono" href=href>{short_id(&it.trace_id)} " / " {it.span_id}</a></li> }
    };
    let has_links = !span.links.is_empty();
    let status = (span.error || !span.status_message.is_empty()).then(|| {
        let text = if span.status_message.is_empty() { "error".to_owned() } else { span.status_message.clone() };
        view! { <p class="failure">{if span.error { "✕ " } else { "" }} {text}</p> }
    });
    let lap = (span.lap > 0)
        .then(|| view! { <p class="lap-note">{format!("↻ Lap {}: {} entered this trace that often before, above this span.", span.lap, span.function)}</p> });
    view! {
        <aside class="details panel" aria-label="Details of the span" data-testid="span-details">
            <header>
                <h2>{span.name.clone()}</h2>
                <button class="icon-button" type="button" aria-label="Close the details" on:click=move |_| select.run(None)>{icon("close")}</button>
            </header>
            <p><a href=Route::node(&span.function_id).href()>{span.function.clone()}</a> <span class="muted">" · " {span.kind.clone()} {span.entry.then_some(" · entry")}</span></p>
            {status} {lap}
            <dl class="facts">
                <div><dt>"start"</dt><dd>{format!("+{}", format::duration(span.offset_ms))}</dd></div>
                <div><dt>"duration"</dt><dd>{format::duration(span.duration_ms)}</dd></div>
                <div><dt>"at"</dt><dd>{format::moment(span.start.as_ref())}</dd></div>
                <div><dt>"span id"</dt><dd class="mono">{span.span_id.clone()}</dd></div>
            </dl>
            {has_links.then(|| view! { <h3>"Caused by"</h3><ul class="links">{span.links.into_iter().map(link).collect_view()}</ul> })}
            <h3>"Attributes"</h3>
            {if span.attributes.is_empty() {
                view! { <p class="muted">"None."</p> }.into_any()
            } else {
                view! { <dl class="attributes">{span.attributes.into_iter().map(attribute).collect_view()}</dl> }.into_any()
            }}
        </aside>
    }
}

fn listen_to_keys(
    rows: Memo<Vec<Row>>,
    selected: Memo<Option<usize>>,
    select: Callback<Option<usize>>,
    toggle: Callback<usize>,
    area: NodeRef<html::Div>,
) {
    let handle = window_event_listener(leptos::ev::keydown, move |event| {
        if is_typing(&event) || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let place =
            selected.get_untracked().and_then(|at| rows.with_untracked(|rows| rows.iter().position(|it| it.at == at)));
        let next = match (event.key().as_str(), place) {
            ("j", None) | ("k", None) => 0,
            ("j", Some(place)) => place + 1,
            ("k", Some(place)) => place.saturating_sub(1),
            ("o", Some(_)) => {
                if let Some(at) = selected.get_untracked() {
                    toggle.run(at);
                }
                return;
            }
            _ => return,
        };
        let row = rows.with_untracked(|rows| rows.get(next).map(|it| it.at));
        if let Some(at) = row {
            select.run(Some(at));
            if let Some(area) = area.get_untracked() {
                let (top, height) = (f64::from(area.scroll_top()), f64::from(area.client_height()));
                let y = next as f64 * ROW;
                if y < top || y + ROW > top + height {
                    area.set_scroll_top((y - height / 2.0).max(0.0) as i32);
                }
            }
        }
    });
    on_cleanup(move || handle.remove());
}
