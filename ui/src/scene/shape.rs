//! Gives each thing of the model its form, size, place and line.

use std::collections::BTreeMap;

use loopscope_proto::v1::{Function, Loop, LoopState, Resource};

use super::{EdgeShape, Form, LoopShape, NodeShape, Scene, Tone, route, share, tone};
use crate::format;
use crate::geometry::{Curve, Point};
use crate::model::{self, Model};
use crate::words;

/// The radius of a node that is idle, and of the busiest.
pub(super) const RADIUS: (f64, f64) = (16.0, 27.0);

/// The radius of a resource, which has no rate of its own.
const RESOURCE_RADIUS: f64 = 16.0;

/// The width of an edge that carries little, and of the busiest.
const WIDTH: (f64, f64) = (1.4, 5.0);

pub(super) fn function_shape(it: &Function) -> NodeShape {
    let time = it.current_p95_ms.or((it.p95_ms > 0.0).then_some(it.p95_ms));
    let rate = format::rate(it.rate_per_second);
    NodeShape {
        id: it.id.clone(),
        name: if it.name.is_empty() { it.id.clone() } else { it.name.clone() },
        detail: match time {
            _ if it.is_untraced => Tone::Untraced.word().to_owned(),
            Some(time) => format!("{rate} · {}", format::duration(time)),
            None => rate,
        },
        form: Form::Function,
        centre: Point::new(it.x, it.y),
        radius: logarithmic(it.rate_per_second, RADIUS),
        tone: tone(it),
        error_share: share(it.errors, it.invocations),
        cold_share: share(it.cold_starts, it.invocations),
        rate: it.rate_per_second,
        in_loud_loop: false,
    }
}

pub(super) fn resource_shape(it: &Resource) -> NodeShape {
    NodeShape {
        id: it.id.clone(),
        name: if it.name.is_empty() { it.id.clone() } else { it.name.clone() },
        detail: it.kind.clone(),
        form: match it.kind.as_str() {
            "queue" => Form::Queue,
            "topic" => Form::Topic,
            "bucket" => Form::Bucket,
            "table" | "database" => Form::Table,
            "schedule" => Form::Schedule,
            _ => Form::External,
        },
        centre: Point::new(it.x, it.y),
        radius: RESOURCE_RADIUS,
        tone: Tone::Resource,
        error_share: 0.0,
        cold_share: 0.0,
        rate: 0.0,
        in_loud_loop: false,
    }
}

/// Merges the kinds of each pair of nodes and leads one line for each pair.
pub(super) fn edge_shapes(model: &Model, scene: &Scene) -> Vec<EdgeShape> {
    #[derive(Default)]
    struct Sum {
        calls: u64,
        errors: u64,
        rate: f64,
        p95_ms: f64,
        synchronous: bool,
    }
    let mut sums: BTreeMap<(&str, &str), Sum> = BTreeMap::new();
    for edge in model.edges.values() {
        let sum = sums.entry((&edge.source, &edge.target)).or_default();
        sum.calls += edge.calls;
        sum.errors += edge.errors;
        sum.rate += edge.rate_per_second;
        sum.p95_ms = sum.p95_ms.max(edge.p95_ms);
        sum.synchronous |= matches!(edge.kind.as_str(), "call" | "read" | "write");
    }
    let router = route::Router::new(&scene.nodes, sums.keys().copied());
    let shape = |((source, target), sum): ((&str, &str), Sum)| {
        let error_share = share(sum.errors, sum.calls);
        let mut label = format::rate(sum.rate);
        if sum.errors > 0 {
            label += &format!(" · {} err", format::percent(error_share));
        }
        if sum.p95_ms > 0.0 {
            label += &format!(" · p95 {}", format::duration(sum.p95_ms));
        }
        Some(EdgeShape {
            curve: router.lead(scene.node(source)?, scene.node(target)?),
            source: source.into(),
            target: target.into(),
            width: logarithmic(sum.rate, WIDTH),
            asynchronous: !sum.synchronous,
            idle: sum.rate <= 0.0,
            rate: sum.rate,
            p95_ms: sum.p95_ms,
            error_share,
            label,
        })
    };
    sums.into_iter().filter_map(shape).collect()
}

pub(super) fn loop_shapes(model: &Model, scene: &Scene) -> Vec<LoopShape> {
    let mut loops = model.ranked_loops();
    loops.reverse();
    let open = loops.into_iter().filter(|it| it.state() != LoopState::Closed);
    open.filter_map(|it| loop_shape(it, scene)).collect()
}

fn loop_shape(it: &Loop, scene: &Scene) -> Option<LoopShape> {
    let router = route::Router::new(&scene.nodes, std::iter::empty());
    let mut rails = Vec::with_capacity(it.path.len());
    for (source, target) in model::lap_edges(&it.path) {
        let known = scene.edge(source, target).map(|edge| edge.curve);
        // A lap may pass an edge that fell out of a bound; the rail is shown all the same.
        rails.push(match known {
            Some(curve) => curve,
            None => router.lead(scene.node(source)?, scene.node(target)?),
        });
    }
    let highest = |curve: &Curve| curve.at(curve.apex());
    let anchor = rails.iter().map(highest).min_by(|a, b| a.y.total_cmp(&b.y))?;
    Some(LoopShape {
        id: it.id.clone(),
        state: it.state(),
        severity: it.severity(),
        rails,
        path: it.path.clone(),
        badge: words::loop_badge(it),
        anchor,
    })
}

/// Spreads 0.01 to 1,000 a second over a range, one step for each power of ten.
fn logarithmic(rate: f64, (low, high): (f64, f64)) -> f64 {
    if rate <= 0.0 {
        return low;
    }
    low + (high - low) * ((rate.log10() + 2.0) / 5.0).clamp(0.0, 1.0)
}
