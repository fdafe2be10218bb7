//! One lap as a ring of nodes with an arrow from each to the next.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use leptos::prelude::*;
use leptos::svg;
use loopscope_proto::v1::Loop;

use crate::app::App;
use crate::format;
use crate::geometry::Point;
use crate::url::Route;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;
const RADIUS: f64 = 105.0;
const NODE: f64 = 19.0;

/// More nodes than this would stand upon each other; the list of steps names them all.
const MAX_NODES: usize = 14;

/// The picture of a path.
pub(super) fn ring(app: App, path: &[String], it: Memo<Loop>) -> impl IntoView + use<> {
    let shown = &path[..path.len().min(MAX_NODES)];
    let n = shown.len().max(1) as f64;
    let centre = Point::new(WIDTH / 2.0, HEIGHT / 2.0);
    let angle = |at: usize| -FRAC_PI_2 + at as f64 * TAU / n;
    let gap = (NODE + 8.0) / RADIUS;
    let arcs = (0..shown.len()).map(|at| {
        let (from, to) = (angle(at) + gap, angle(at) + TAU / n - gap + 0.03);
        arrow(centre, from, to)
    });
    let nodes = shown.iter().enumerate().map(|(at, id)| node(app, id, centre, angle(at)));
    let depth = move || it.with(|it| format::count(it.max_depth.into()));
    let unit = move || if it.with(|it| it.max_depth == 1) { "lap deep" } else { "laps deep" };
    let rate = move || it.with(|it| format::per_minute(it.laps_per_minute));
    view! {
        <svg class="ring" viewBox=format!("0 0 {WIDTH} {HEIGHT}") role="group" aria-label="One lap of the loop as a ring">
            {arcs.collect_view()} {nodes.collect_view()}
            <text class="ring-laps" x=centre.x y=centre.y - 4.0>{depth}</text>
            <text class="ring-unit" x=centre.x y=centre.y + 18.0>{unit} " · " {rate}</text>
        </svg>
    }
}

fn arrow(centre: Point, from: f64, to: f64) -> impl IntoView {
    // The head takes the last part of the arc; the rails end where it begins.
    const HEAD: f64 = 17.0 / RADIUS;
    let (start, end) = (centre.polar(from, RADIUS), centre.polar(to - HEAD, RADIUS));
    let large = i32::from(to - HEAD - from > PI);
    let tip = centre.polar(to, RADIUS);
    let (inner, outer) = (centre.polar(to - HEAD, RADIUS - 9.0), centre.polar(to - HEAD, RADIUS + 9.0));
    let line = format!("M{:.2} {:.2}A{RADIUS} {RADIUS} 0 {large} 1 {:.2} {:.2}", start.x, start.y, end.x, end.y);
    let head = format!("M{:.2} {:.2}L{:.2} {:.2}L{:.2} {:.2}z", tip.x, tip.y, inner.x, inner.y, outer.x, outer.y);
    view! {
        <path class="ring-rail" d=line.clone() />
        <path class="ring-gap" d=line.clone() />
        <path class="ring-line" d=line />
        <path class="ring-head" d=head />
    }
}

fn node(app: App, id: &str, centre: Point, angle: f64) -> impl IntoView + use<> {
    let place = centre.polar(angle, RADIUS);
    let (name, function) =
        app.model.with_untracked(|model| (model.node_name(id).to_owned(), model.functions.contains_key(id)));
    let name = format::middle_ellipsis(&name, |text| text.chars().count() <= 20);
    let sideways = angle.cos();
    let anchor = if sideways > 0.3 {
        "start"
    } else if sideways < -0.3 {
        "end"
    } else {
        "middle"
    };
    let away = if anchor == "middle" { NODE + 16.0 } else { NODE + 10.0 };
    let text = place.polar(angle, away);
    let sign = if function { "λ" } else { "▤" };
    let class = if function { "ring-node" } else { "ring-node resource" };
    let content = view! {
        <circle class=class cx=place.x cy=place.y r=NODE />
        <text class="ring-sign" x=place.x y=place.y + 1.0>
            {sign}
        </text>
        <text class="ring-name" x=text.x y=text.y text-anchor=anchor>
            {name}
        </text>
    };
    // In a view this would be a link of HTML, which draws nothing inside a picture.
    svg::a().attr("href", Route::node(id).href()).child(content)
}
