//! What cannot be right in the input, with traces that show it.

use leptos::prelude::*;
use loopscope_proto::v1::{Anomaly, AnomalyExemplar, AnomalyList};

use crate::app::App;
use crate::client::ANOMALIES;
use crate::format;
use crate::html::{Element, el, link};
use crate::parts::fetched::Answer;
use crate::parts::short_id;
use crate::url::Route;
use crate::words;

/// How often the list is asked for while somebody reads it.
const EVERY_MS: f64 = 5_000.0;

/// The section.
pub(super) struct Anomalies(Answer<AnomalyList>);

impl Anomalies {
    /// Asks for the list, and again while somebody reads it.
    pub(super) fn of(app: App) -> Self {
        let round = Memo::new(move |_| (app.now.get() / EVERY_MS) as u64);
        Self(Answer::of(Memo::new(move |_| Some(format!("{ANOMALIES}#{}", round.get())))))
    }

    /// What it shows.
    pub(super) fn show(&self) -> Vec<Element> {
        let mut shown = vec![el("h2", "section-title").text("What cannot be right in the spans")];
        shown.extend(self.0.show("The collector keeps none.", show));
        shown
    }
}

fn show(list: &AnomalyList) -> Vec<Element> {
    if list.anomalies.is_empty() {
        let text = "Nothing: all spans fit together so far.";
        return vec![el("p", "muted no-anomalies").test("no-anomalies").text(text)];
    }
    vec![el("ul", "anomalies").all(list.anomalies.iter().map(row).collect())]
}

fn row(it: &Anomaly) -> Element {
    let (title, meaning) = words::anomaly(&it.kind);
    let head = el("div", "anomaly-head")
        .child(el("h3", "").text(title))
        .child(el("strong", "").text(&format::count(it.count)));
    el("li", "panel")
        .key(&it.kind)
        .test("anomaly")
        .attr("data-kind", &it.kind)
        .child(head)
        .child(el("p", "muted").text(meaning))
        .child(el("ul", "anomaly-traces").all(it.exemplars.iter().map(exemplar).collect()))
}

fn exemplar(it: &AnomalyExemplar) -> Element {
    let route = Route::Trace { trace_id: it.trace_id.clone(), span: it.span_ids.first().cloned() };
    let link = link(route.href(), &short_id(&it.trace_id)).attr("class", "mono").attr("title", &it.trace_id);
    let line = el("li", "").child(link);
    match it.span_ids.len() {
        0 | 1 => line,
        n => line.child(el("span", "muted").text(&format!(" ({n} spans)"))),
    }
}
