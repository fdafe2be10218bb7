//! All loops, the worst first.

use leptos::prelude::*;
use loopscope_proto::v1::{Loop, LoopState};

use crate::app::App;
use crate::format;
use crate::html::{Element, el, link, patch};
use crate::model::Model;
use crate::parts::{ago, loop_chips, nothing_here};
use crate::url::Route;
use crate::words;

/// The page.
pub fn loops() -> AnyView {
    let app = App::get();
    patch::live(move || app.model.with(|model| vec![el("div", "page").all(show(model, app.now.get()))]))
}

fn show(model: &Model, now: f64) -> Vec<Element> {
    let head = el("header", "page-head")
        .child(el("h1", "").attr("tabindex", "-1").text("Loops"))
        .child(el("p", "muted").text(&summary(model)));
    if model.loops.is_empty() && model.ready {
        let nothing = "When functions start each other in a circle, the circle appears here, and on the map.";
        return vec![head, nothing_here("No loop so far", nothing)];
    }
    let cards = model.ranked_loops().into_iter().map(|it| card(model, it, now)).collect();
    vec![head, el("ul", "cards").all(cards)]
}

fn summary(model: &Model) -> String {
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
}

fn card(model: &Model, it: &Loop, now: f64) -> Element {
    let title = words::loop_title(it, |id| model.node_name(id));
    let link = link(Route::Loop(it.id.clone()).href(), &title).attr("class", "whole");
    let main = el("div", "card-main")
        .child(loop_chips(it))
        .child(el("h2", "").child(link))
        .child(el("p", "muted card-meaning").text(&words::loop_meaning(it)));
    let number = |name: &str, value: Element| el("div", "").child(el("dt", "").text(name)).child(value);
    let text = |name: &str, text: String| number(name, el("dd", "").text(&text));
    let numbers = match &it.retry_storm {
        Some(storm) => vec![
            text("attempts", format::count(storm.attempts)),
            text("requests", format::count(storm.requests)),
            text("a request", format::times(storm.attempts_per_request)),
        ],
        None => vec![
            text("laps deep", format::count(it.max_depth.into())),
            text("alarm at", words::alarm_depth(it)),
            text("R", words::mean_ratio(it)),
            text("next 24 h", words::next_day(it.cost.as_ref())),
            text("now", format::per_minute(it.laps_per_minute)),
        ],
    };
    let seen = number("last seen", el("dd", "").child(ago(it.last_seen.as_ref(), now)));
    el("li", "card")
        .key(&it.id)
        .test("loop-row")
        .attr("data-id", &it.id)
        .attr("data-state", &it.state().word())
        .attr("data-assessment", &it.assessment)
        .child(main)
        .child(el("dl", "card-numbers").all(numbers).child(seen))
}
