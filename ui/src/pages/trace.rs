//! One trace as a waterfall, with the details of one span beside it.
//!
//! Only the rows in view are in the document, so that a trace of ten thousand spans scrolls like one of ten. The
//! arithmetic is in `waterfall.rs`.

use std::collections::{BTreeSet, HashSet};
use std::rc::Rc;

use leptos::prelude::*;
use loopscope_proto::v1::{Attribute, SpanRef, Trace, TraceLog, TraceSpan};
use wasm_bindgen::JsCast;
use web_sys::{Event, KeyboardEvent};

use crate::app::{App, is_typing};
use crate::client::trace_url;
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::parts::fetched::Answer;
use crate::parts::{copy, icon, logs, panel, short_id, stat, stat_of};
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

/// What the reader does with a trace, shared with listeners.
#[derive(Clone, Copy)]
struct Reading {
    app: App,
    trace_id: StoredValue<String>,
    folded: RwSignal<BTreeSet<usize>>,
    /// How far the rows are scrolled, in pixels.
    top: RwSignal<f64>,
    /// The list is never higher than the window, whose height is known before anything is laid out.
    height: RwSignal<f64>,
}

/// The page.
pub fn trace(id: String) -> AnyView {
    let app = App::get();
    let url = trace_url(&id);
    let answer = Rc::new(Answer::<Trace>::of(Memo::new(move |_| Some(url.clone()))));
    let reading = Reading {
        app,
        trace_id: StoredValue::new(id.clone()),
        folded: RwSignal::new(BTreeSet::new()),
        top: RwSignal::new(0.0),
        height: RwSignal::new(window_height()),
    };
    let resized = window_event_listener(leptos::ev::resize, move |_| reading.height.set(window_height()));
    on_cleanup(move || resized.remove());
    listen_to_keys(reading, Rc::clone(&answer));
    let content = move || {
        let crumb =
            el("p", "crumb").child(el("a", "").attr("href", "/traces").child(icon::sign("back")).text("Traces"));
        let title = el("h1", "").attr("tabindex", "-1").text("Trace ").child(el("span", "mono").text(&short_id(&id)));
        let head = el("header", "page-head trace-head").child(title).child(copy(id.clone(), "Copy id"));
        let missing = "This trace is not in the journal: it never came, or it is older than what is kept.";
        let shown = answer.show(missing, |trace| waterfall(trace, reading));
        vec![el("div", "page wide").child(crumb).child(head).all(shown)]
    };
    patch::live(content)
}

impl Reading {
    fn selected(self, trace: &Trace) -> Option<usize> {
        let wanted = self.app.route.with(|route| match route {
            Route::Trace { span, .. } => span.clone(),
            _ => None,
        })?;
        trace.spans.iter().position(|it| it.span_id == wanted)
    }

    fn select(self, span: Option<String>) {
        self.app.go(Route::Trace { trace_id: self.trace_id.get_value(), span });
    }

    fn toggle(self, at: usize) {
        self.folded.update(|folded| {
            if !folded.remove(&at) {
                folded.insert(at);
            }
        });
    }
}

fn waterfall(trace: &Trace, reading: Reading) -> Vec<Element> {
    let total = waterfall::total_ms(&trace.spans);
    let selected = reading.selected(trace);
    let rows = reading.folded.with(|folded| waterfall::rows(&trace.spans, folded));
    let count = |n: usize| format::count(n as u64);
    let mut stats = vec![
        stat("duration", format::duration(total)),
        stat("spans", format::count(trace.spans_total.max(trace.spans.len() as u64))),
        stat("invocations", count(trace.spans.iter().filter(|it| it.entry).count())),
        stat("errors", count(trace.spans.iter().filter(|it| it.error).count())),
    ];
    if trace.logs_total > 0 {
        stats.push(stat("log records", format::count(trace.logs_total)));
    }
    if let Some((lap, function)) = waterfall::deepest_lap(&trace.spans) {
        let lap = el("dd", "").text(&format!("↻ {lap} ")).child(el("span", "muted").text(function));
        stats.push(stat_of("deepest lap", lap).attr("class", "stat stat-loop"));
    }
    let mut shown = vec![el("dl", "stats trace-stats").all(stats)];
    if trace.truncated {
        let text =
            format!("Only {} of {} spans are shown.", count(trace.spans.len()), format::count(trace.spans_total));
        shown.push(el("p", "notice").attr("role", "note").text(&text));
    }
    let table = el("div", "waterfall")
        .attr("role", "table")
        .attr("aria-label", "Spans of the trace")
        .with("aria-rowcount", rows.len().to_string())
        .child(body(trace, &rows, selected, total, reading));
    let details = selected.and_then(|at| trace.spans.get(at)).map(|span| details(span, &trace.logs, reading));
    let class = if details.is_some() { "trace-body with-details" } else { "trace-body" };
    shown.push(el("div", class).child(table).all(details.into_iter().collect()));
    shown.extend(loose_logs(trace));
    shown
}

/// Log records that no span of the answer wrote.
fn loose_logs(trace: &Trace) -> Option<Element> {
    let spans: HashSet<&str> = trace.spans.iter().map(|it| it.span_id.as_str()).collect();
    let loose = trace.logs.iter().filter(|log| !spans.contains(log.span_id.as_str()));
    let lines: Vec<Element> = loose.map(|log| logs::line(log, false)).collect();
    (!lines.is_empty()).then(|| panel("Log records of no span", "loose-logs", "").child(el("ul", "logs").all(lines)))
}

fn body(trace: &Trace, rows: &[Row], selected: Option<usize>, total: f64, reading: Reading) -> Element {
    let scroll = move |event: &Event| {
        if let Some(area) = event.current_target().and_then(|it| it.dyn_into::<web_sys::Element>().ok()) {
            reading.top.set(f64::from(area.scroll_top()));
        }
    };
    let from = ((reading.top.get() / ROW) as usize).saturating_sub(SPARE);
    let n = (reading.height.get() / ROW) as usize + 1 + 2 * SPARE;
    let shown = rows.iter().enumerate().skip(from).take(n);
    let shown = shown.filter_map(|(place, row)| {
        let span = trace.spans.get(row.at)?;
        Some(span_row(place, row, span, selected == Some(row.at), total, reading))
    });
    let ticks = waterfall::ticks(total, 5);
    let left = |place: f64| format!("left:{:.3}%", place * 100.0);
    let marks = ticks.iter().map(|(place, text)| el("span", "tick").with("style", left(*place)).text(text));
    let lines = ticks.iter().map(|(place, _)| el("i", "").with("style", left(*place)));
    let axis = el("div", "axis")
        .attr("aria-hidden", "true")
        .child(el("span", "axis-name").text("Span"))
        .child(el("div", "axis-time").all(marks.collect()));
    let height = el("div", "rows-height")
        .attr("role", "presentation")
        .with("style", format!("height:{}px", rows.len() as f64 * ROW))
        .child(el("div", "grid-lines").attr("role", "presentation").all(lines.collect()))
        .all(shown.collect());
    el("div", "rows")
        .attr("tabindex", "0")
        .attr("role", "rowgroup")
        .on("scroll", Rc::new(scroll))
        .child(axis)
        .child(height)
}

fn window_height() -> f64 {
    window().inner_height().ok().and_then(|it| it.as_f64()).unwrap_or(1000.0)
}

fn span_row(place: usize, row: &Row, span: &TraceSpan, selected: bool, total: f64, reading: Reading) -> Element {
    let kind = if span.error {
        "error"
    } else if span.entry {
        "entry"
    } else {
        "inner"
    };
    let id = span.span_id.clone();
    let press = move |_: &Event| reading.select((!selected).then(|| id.clone()));
    el("div", &format!("span-row {kind}{}", if selected { " selected" } else { "" }))
        .key(&span.span_id)
        .attr("role", "row")
        .with("aria-rowindex", (place + 1).to_string())
        .test("span-row")
        .attr("data-id", &span.span_id)
        .with("data-lap", span.lap.to_string())
        .with("style", format!("transform:translateY({}px)", place as f64 * ROW))
        .on("click", Rc::new(press))
        .child(span_name(row, span, reading))
        .child(span_time(span, kind, total))
}

fn span_name(row: &Row, span: &TraceSpan, reading: Reading) -> Element {
    let at = row.at;
    let indent = INDENT * f64::from(row.level.min(MAX_INDENTED));
    let fold = move |event: &Event| {
        event.stop_propagation();
        reading.toggle(at);
    };
    let fold = match row.descendants {
        0 => el("span", "fold"),
        _ => el("button", "fold")
            .attr("type", "button")
            .attr("aria-label", if row.folded { "Unfold" } else { "Fold" })
            .with("aria-expanded", (!row.folded).to_string())
            .on("click", Rc::new(fold))
            .text(if row.folded { "▸" } else { "▾" }),
    };
    let mut name = el("div", "span-name")
        .attr("role", "rowheader")
        .with("title", format!("{} · {}", span.function, span.name))
        .with("style", format!("padding-left:{indent}px"))
        .child(fold);
    if row.level > MAX_INDENTED {
        name = name.child(el("span", "level muted").text(&row.level.to_string()));
    }
    if span.lap > 0 {
        let title = "earlier entries of this function above";
        name = name.child(el("span", "lap").attr("title", title).text(&format!("↻{}", span.lap)));
    }
    if span.error {
        name = name.child(el("span", "error-mark").attr("title", "error").text("✕"));
    }
    let (own, quiet) = if span.entry { (&span.function, span.name.as_str()) } else { (&span.name, "") };
    let name = name.child(el("span", "span-own").text(own)).child(el("span", "span-quiet muted").text(quiet));
    if row.folded { name.child(el("span", "muted").text(&format!(" +{}", row.descendants))) } else { name }
}

fn span_time(span: &TraceSpan, kind: &str, total: f64) -> Element {
    let (from, width) = waterfall::bar(span, total);
    let bar = format!("left:{:.4}%;width:{:.4}%", from * 100.0, width * 100.0);
    let outside = from + width > 0.82;
    let place = match outside {
        true => format!("left:auto;right:{:.4}%", (1.0 - from) * 100.0),
        false => format!("left:{:.4}%;right:auto", (from + width) * 100.0),
    };
    let class = format!("span-bar {kind}{}", if span.lap > 0 { " on-lap" } else { "" });
    let duration = el("span", if outside { "span-duration before" } else { "span-duration" });
    el("div", "span-time")
        .attr("role", "cell")
        .child(el("span", &class).with("style", bar))
        .child(duration.with("style", place).text(&format::duration(span.duration_ms)))
}

fn details(span: &TraceSpan, written: &[TraceLog], reading: Reading) -> Element {
    let close = el("button", "icon-button")
        .attr("type", "button")
        .attr("aria-label", "Close the details")
        .on("click", Rc::new(move |_| reading.select(None)))
        .child(icon::sign("close"));
    let kind = format!(" · {}{}", span.kind, if span.entry { " · entry" } else { "" });
    let fact = |name: &str, class: &str, value: &str| {
        el("div", "").child(el("dt", "").text(name)).child(el("dd", class).text(value))
    };
    let facts = el("dl", "facts")
        .child(fact("start", "", &format!("+{}", format::duration(span.offset_ms))))
        .child(fact("duration", "", &format::duration(span.duration_ms)))
        .child(fact("at", "", &format::moment(span.start.as_ref())))
        .child(fact("span id", "mono", &span.span_id));
    let function = link(Route::node(&span.function_id).href(), &span.function);
    let mut panel = el("aside", "details panel")
        .attr("aria-label", "Details of the span")
        .test("span-details")
        .child(el("header", "").child(el("h2", "").text(&span.name)).child(close))
        .child(el("p", "").child(function).child(el("span", "muted").text(&kind)));
    if span.error || !span.status_message.is_empty() {
        let text = if span.status_message.is_empty() { "error" } else { &span.status_message };
        let text = format!("{}{text}", if span.error { "✕ " } else { "" });
        panel = panel.child(el("p", "failure").text(&text));
    }
    if span.lap > 0 {
        let text =
            format!("↻ Lap {}: {} entered this trace that often before, above this span.", span.lap, span.function);
        panel = panel.child(el("p", "lap-note").text(&text));
    }
    panel = panel.child(facts);
    if !span.links.is_empty() {
        let links = el("ul", "links").all(span.links.iter().map(cause).collect());
        panel = panel.child(el("h3", "").text("Caused by")).child(links);
    }
    let written: Vec<Element> =
        written.iter().filter(|log| log.span_id == span.span_id).map(|log| logs::line(log, false)).collect();
    if !written.is_empty() {
        panel = panel.child(el("h3", "").text("Log")).child(el("ul", "logs").all(written));
    }
    panel = panel.child(el("h3", "").text("Attributes"));
    match span.attributes.is_empty() {
        true => panel.child(el("p", "muted").text("None.")),
        false => panel.child(el("dl", "attributes").all(span.attributes.iter().map(attribute).collect())),
    }
}

fn cause(it: &SpanRef) -> Element {
    let route = Route::Trace { trace_id: it.trace_id.clone(), span: Some(it.span_id.clone()) };
    let text = format!("{} / {}", short_id(&it.trace_id), it.span_id);
    el("li", "").child(link(route.href(), &text).attr("class", "mono"))
}

fn attribute(it: &Attribute) -> Element {
    el("div", "").child(el("dt", "mono").text(&it.key)).child(el("dd", "mono").text(&it.value))
}

fn listen_to_keys(reading: Reading, answer: Rc<Answer<Trace>>) {
    let answer = StoredValue::new_local(answer);
    let handle = window_event_listener(leptos::ev::keydown, move |event: KeyboardEvent| {
        if is_typing(&event) || event.ctrl_key() || event.meta_key() || event.alt_key() {
            return;
        }
        let _ = answer.try_with_value(|answer| untrack(|| answer.peek(|trace| press(reading, trace, &event.key()))));
    });
    on_cleanup(move || handle.remove());
}

fn press(reading: Reading, trace: &Trace, key: &str) {
    let rows = reading.folded.with(|folded| waterfall::rows(&trace.spans, folded));
    let selected = reading.selected(trace);
    let place = selected.and_then(|at| rows.iter().position(|it| it.at == at));
    let next = match (key, place, selected) {
        ("j" | "k", None, _) => 0,
        ("j", Some(place), _) => place + 1,
        ("k", Some(place), _) => place.saturating_sub(1),
        ("o", _, Some(at)) => return reading.toggle(at),
        _ => return,
    };
    let Some(span) = rows.get(next).and_then(|row| trace.spans.get(row.at)) else { return };
    reading.select(Some(span.span_id.clone()));
    let Some(area) = document().query_selector(".rows").ok().flatten() else { return };
    let (top, height) = (f64::from(area.scroll_top()), f64::from(area.client_height()));
    let y = next as f64 * ROW;
    if y < top || y + ROW > top + height {
        area.set_scroll_top((y - height / 2.0).max(0.0) as i32);
    }
}
