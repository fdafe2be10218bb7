//! The deepest chain, lap by lap, as far as its traces are still in the journal.

use std::rc::Rc;

use leptos::prelude::*;
use loopscope_proto::v1::{LapDetail, Laps, Loop};

use crate::app::App;
use crate::client::laps_url;
use crate::format;
use crate::html::{Element, el, link};
use crate::parts::fetched::Answer;
use crate::parts::short_id;
use crate::url::Route;
use crate::words;

/// Rows at each end of a long chain before the reader asks for more.
const AT_EACH_END: usize = 6;

/// The panel. The chain is read from disk, so it is read once, and again when the reader asks.
pub(super) struct Panel {
    answer: Answer<Laps>,
    round: RwSignal<u32>,
    unfolded: RwSignal<bool>,
}

/// Without laps there is nothing to read, and those of operations lie within single runs.
fn is_read(it: &Loop) -> bool {
    it.max_depth > 0 && !words::is_of_operations(it)
}

impl Panel {
    /// The panel of a loop.
    pub(super) fn of(app: App, id: String) -> Self {
        let round = RwSignal::new(0_u32);
        let known = id.clone();
        let deep = Memo::new(move |_| app.model.with(|model| model.loops.get(&known).is_some_and(is_read)));
        let url = Memo::new(move |_| deep.get().then(|| format!("{}#{}", laps_url(&id), round.get())));
        Self { answer: Answer::of(url), round, unfolded: RwSignal::new(false) }
    }

    /// What it shows; nothing without laps.
    pub(super) fn show(&self, it: &Loop) -> Option<Element> {
        if !is_read(it) {
            return None;
        }
        let round = self.round;
        let again = Rc::new(move |_: &_| round.update(|n| *n += 1));
        let button = el("button", "button").attr("type", "button").on("click", again).text("Read again");
        let head = el("div", "panel-head").child(el("h2", "").text("The deepest chain, lap by lap")).child(button);
        let unfolded = self.unfolded;
        let content = self.answer.show("None of its traces is in the journal any more.", |laps| {
            if laps.laps.len() >= 2 {
                return chain(laps, unfolded);
            }
            let end = words::chain_end(&laps.ended_by).unwrap_or("Its laps were joined without parents or links.");
            vec![el("p", "muted").text(&format!("No lap of it can be followed back. {end}"))]
        });
        Some(el("section", "panel laps").test("laps").child(head).all(content))
    }
}

/// Columns that are shown only when there is something in them.
#[derive(Clone, Copy)]
struct Columns {
    versions: bool,
    payload: bool,
    changes: bool,
}

fn chain(it: &Laps, unfolded: RwSignal<bool>) -> Vec<Element> {
    let columns = Columns {
        versions: it.laps.iter().any(|lap| !words::versions(lap).is_empty()),
        payload: it.laps.iter().any(|lap| words::payload(lap).is_some()),
        changes: it.laps.iter().any(|lap| words::lap_changes(lap).next().is_some()),
    };
    let deepest = it.laps.last().map_or(0, |lap| u64::from(lap.lap));
    let of = format!("{} of {}", format::counted(deepest, "lap", "laps"), it.function);
    let text = match it.ended_by.is_empty() {
        true => format!("{of}, from the first to the last."),
        false => format!("The last {of}."),
    };
    let further = [words::joined_causes(it), words::chain_end(&it.ended_by).map(str::to_owned)];
    let lead = further.into_iter().flatten().fold(text, |text, more| format!("{text} {more}"));
    let table = el("table", "")
        .child(el("thead", "").child(el("tr", "").all(heads(columns))))
        .child(el("tbody", "").all(rows(it, columns, unfolded)));
    let scroll = el("div", "table-scroll")
        .attr("tabindex", "0")
        .attr("role", "region")
        .attr("aria-label", "The laps of the deepest chain");
    vec![el("p", "muted laps-lead").text(&lead), scroll.child(table)]
}

fn heads(columns: Columns) -> Vec<Element> {
    let all = [
        ("lap", true, true),
        ("began (UTC)", false, true),
        ("after", true, true),
        ("ran", true, true),
        ("got", true, columns.payload),
        ("version", false, columns.versions),
        ("trace", false, true),
        ("what changed", false, columns.changes),
    ];
    let shown = all.into_iter().filter(|(.., is_shown)| *is_shown);
    shown.map(|(name, numeric, _)| el("th", if numeric { "num" } else { "" }).attr("scope", "col").text(name)).collect()
}

fn rows(it: &Laps, columns: Columns, unfolded: RwSignal<bool>) -> Vec<Element> {
    let folded = 2 * AT_EACH_END + 1 < it.laps.len() && !unfolded.get();
    let hidden = |at: usize| folded && at >= AT_EACH_END && at + AT_EACH_END < it.laps.len();
    let mut rows = Vec::with_capacity(it.laps.len() + 2);
    let mut left_out = 0;
    for (at, lap) in it.laps.iter().enumerate() {
        let jump = at.checked_sub(1).map_or(0, |before| lap.lap.saturating_sub(it.laps[before].lap + 1));
        left_out += jump + u32::from(hidden(at));
        if !hidden(at) {
            if left_out > 0 {
                rows.push(elided(left_out, folded.then_some(unfolded), columns));
            }
            left_out = 0;
            rows.push(row(lap, it.ended_by.is_empty(), columns));
        }
    }
    rows
}

fn elided(laps: u32, unfold: Option<RwSignal<bool>>, columns: Columns) -> Element {
    let width = 5 + [columns.versions, columns.payload, columns.changes].into_iter().filter(|it| *it).count();
    let text = format!("{} between ", format::counted(laps.into(), "lap", "laps"));
    let button = unfold.map(|unfold| {
        let press = Rc::new(move |_: &_| unfold.set(true));
        el("button", "link").attr("type", "button").on("click", press).text("Show more")
    });
    let cell = el("td", "").with("colspan", width.to_string()).text(&text).all(button.into_iter().collect());
    el("tr", "elided").test("laps-elided").child(cell)
}

fn row(lap: &LapDetail, followed: bool, columns: Columns) -> Element {
    let trace = Route::Trace { trace_id: lap.trace_id.clone(), span: Some(lap.span_id.clone()) }.href();
    let number = if lap.lap == 0 && followed { "start".to_owned() } else { format::count(lap.lap.into()) };
    let name = format!("{}{}", if lap.error { "✕ " } else { "" }, short_id(&lap.trace_id));
    let cell = |class: &str, text: &str| el("td", class).text(text);
    let link = link(trace, &name).attr("class", "mono").attr("title", &lap.trace_id);
    let mut row = el("tr", "")
        .test("lap-row")
        .child(el("th", "num").attr("scope", "row").text(&number))
        .child(cell("", &format::clock(lap.start.as_ref())).with("title", format::moment(lap.start.as_ref())))
        .child(cell("num", &format::duration_or_dash(lap.lap_ms)))
        .child(cell(if lap.error { "num tone-err" } else { "num" }, &format::duration(lap.duration_ms)));
    if columns.payload {
        row = row.child(cell("num", &words::payload(lap).map(format::bytes).unwrap_or_default()));
    }
    if columns.versions {
        row = row.child(cell("versions", &words::versions(lap)));
    }
    row = row.child(el("td", "").child(link));
    if columns.changes {
        row = row.child(cell("changed", &words::lap_changes(lap).collect::<Vec<_>>().join("; ")));
    }
    row
}
