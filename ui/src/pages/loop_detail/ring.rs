//! One lap as a ring of nodes with an arrow from each to the next.

use std::f64::consts::{FRAC_PI_2, PI, TAU};

use loopscope_proto::v1::Loop;

use crate::format;
use crate::geometry::Point;
use crate::html::{Element, el};
use crate::model::Model;
use crate::url::Route;

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 340.0;
const RADIUS: f64 = 105.0;
const NODE: f64 = 19.0;

/// More nodes than this would stand upon each other; the list of steps names them all.
const MAX_NODES: usize = 14;

/// The picture of its path.
pub(super) fn ring(model: &Model, it: &Loop) -> Element {
    let shown = &it.path[..it.path.len().min(MAX_NODES)];
    let n = shown.len().max(1) as f64;
    let centre = Point::new(WIDTH / 2.0, HEIGHT / 2.0);
    let angle = |at: usize| -FRAC_PI_2 + at as f64 * TAU / n;
    let gap = (NODE + 8.0) / RADIUS;
    let arcs = (0..shown.len()).flat_map(|at| {
        let (from, to) = (angle(at) + gap, angle(at) + TAU / n - gap + 0.03);
        arrow(centre, from, to)
    });
    let nodes = shown.iter().enumerate().map(|(at, id)| node(model, id, centre, angle(at)));
    let unit = if it.max_depth == 1 { "lap deep" } else { "laps deep" };
    let said = format!("{unit} · {}", format::per_minute(it.laps_per_minute));
    el("svg", "ring")
        .with("viewBox", format!("0 0 {WIDTH} {HEIGHT}"))
        .attr("role", "group")
        .attr("aria-label", "One lap of the loop as a ring")
        .all(arcs.collect())
        .all(nodes.collect())
        .child(text("ring-laps", Point::new(centre.x, centre.y - 4.0), &format::count(it.max_depth.into())))
        .child(text("ring-unit", Point::new(centre.x, centre.y + 18.0), &said))
}

fn text(class: &str, at: Point, text: &str) -> Element {
    el("text", class).with("x", at.x.to_string()).with("y", at.y.to_string()).text(text)
}

fn arrow(centre: Point, from: f64, to: f64) -> [Element; 4] {
    // The head takes the last part of the arc; the rails end where it begins.
    const HEAD: f64 = 17.0 / RADIUS;
    let (start, end) = (centre.polar(from, RADIUS), centre.polar(to - HEAD, RADIUS));
    let large = i32::from(to - HEAD - from > PI);
    let tip = centre.polar(to, RADIUS);
    let (inner, outer) = (centre.polar(to - HEAD, RADIUS - 9.0), centre.polar(to - HEAD, RADIUS + 9.0));
    let line = format!("M{:.2} {:.2}A{RADIUS} {RADIUS} 0 {large} 1 {:.2} {:.2}", start.x, start.y, end.x, end.y);
    let head = format!("M{:.2} {:.2}L{:.2} {:.2}L{:.2} {:.2}z", tip.x, tip.y, inner.x, inner.y, outer.x, outer.y);
    let path = |class: &str, d: &str| el("path", class).attr("d", d);
    [path("ring-rail", &line), path("ring-gap", &line), path("ring-line", &line), path("ring-head", &head)]
}

fn node(model: &Model, id: &str, centre: Point, angle: f64) -> Element {
    let place = centre.polar(angle, RADIUS);
    let is_function = model.functions.contains_key(id);
    let name = format::middle_ellipsis(model.node_name(id), |text| text.chars().count() <= 20);
    let sideways = angle.cos();
    let anchor = if sideways > 0.3 {
        "start"
    } else if sideways < -0.3 {
        "end"
    } else {
        "middle"
    };
    let away = if anchor == "middle" { NODE + 16.0 } else { NODE + 10.0 };
    let circle = el("circle", if is_function { "ring-node" } else { "ring-node resource" })
        .with("cx", place.x.to_string())
        .with("cy", place.y.to_string())
        .with("r", NODE.to_string());
    let sign = text("ring-sign", Point::new(place.x, place.y + 1.0), if is_function { "λ" } else { "▤" });
    el("a", "")
        .with("href", Route::node(id).href())
        .child(circle)
        .child(sign)
        .child(text("ring-name", place.polar(angle, away), &name).attr("text-anchor", anchor))
}
