//! Leads the edges: forward as an S, back as an arc above, within a column as a bow, to oneself as a teardrop.
//!
//! Nodes never move; an edge bends a little more when its plain course would cross a node that it has no business with.

use std::collections::{BTreeMap, BTreeSet};
use std::f64::consts::{FRAC_PI_2, PI};

use super::NodeShape;
use crate::geometry::{Curve, Point, Rect, angle_between};

/// Space between the rim of a node and the end of an edge.
const GAP: f64 = 4.0;

/// Nodes this close in `x` stand in one column.
const COLUMN: f64 = 60.0;

/// Above this many nodes edges take their plain course: looking for a better one would cost more than it helps.
const MAX_NODES_TO_AVOID: usize = 400;

/// Knows the nodes that edges should not cross.
pub struct Router<'a> {
    nodes: &'a [NodeShape],
    pairs: BTreeSet<(&'a str, &'a str)>,
    directions: BTreeMap<&'a str, Vec<f64>>,
}

impl<'a> Router<'a> {
    /// A router for these nodes; `pairs` are all edges, so that each knows what it shares its ends with.
    pub fn new(nodes: &'a [NodeShape], pairs: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs: BTreeSet<_> = pairs.collect();
        let centre =
            |id: &str| nodes.binary_search_by(|node| node.id.as_str().cmp(id)).ok().map(|at: usize| nodes[at].centre);
        let mut directions: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
        for (source, target) in pairs.iter().filter(|(source, target)| source != target) {
            if let (Some(from), Some(to)) = (centre(source), centre(target)) {
                directions.entry(source).or_default().push(from.angle_to(to));
                directions.entry(target).or_default().push(to.angle_to(from));
            }
        }
        Self { nodes, pairs, directions }
    }

    /// The line from one node to another.
    pub fn lead(&self, source: &NodeShape, target: &NodeShape) -> Curve {
        if source.id == target.id {
            return self.teardrop(source);
        }
        let dx = target.centre.x - source.centre.x;
        let courses: Vec<Curve> = if dx < -COLUMN {
            [1.0, 1.5, 2.1, 2.8, 3.6, 4.6].map(|lift| arc(source, target, lift)).into()
        } else if dx < COLUMN {
            [1.0, 1.4, 0.7, 1.9].map(|bow| bowed(source, target, bow)).into()
        } else {
            let two_way = self.pairs.contains(&(target.id.as_str(), source.id.as_str()));
            // The way back runs above, so the way there leaves a little room.
            let first = if two_way { 8.0 } else { 0.0 };
            [first, -46.0, 46.0, -76.0, 76.0, -110.0, 110.0].map(|bend| forward(source, target, bend)).into()
        };
        self.least_crossing(courses, source, target)
    }

    fn least_crossing(&self, courses: Vec<Curve>, source: &NodeShape, target: &NodeShape) -> Curve {
        let plain = courses[0];
        if self.nodes.len() > MAX_NODES_TO_AVOID {
            return plain;
        }
        // No course leaves this box, so nodes outside it need not be looked at.
        let near = source.outline().union(target.outline()).inflate(180.0);
        let others: Vec<Rect> = self
            .nodes
            .iter()
            .filter(|node| near.contains(node.centre) && node.id != source.id && node.id != target.id)
            .map(|node| {
                let body = node.outline().inflate(7.0);
                // The name stands below; crossing it is bad style, crossing the body is wrong.
                Rect { h: body.h + 14.0, ..body }
            })
            .collect();
        let mut best = (usize::MAX, plain);
        for course in courses {
            let points: Vec<Point> = course.samples(28).collect();
            let crossed = others.iter().filter(|rect| points.iter().any(|p| rect.contains(*p))).count();
            if crossed < best.0 {
                best = (crossed, course);
            }
            if crossed == 0 {
                break;
            }
        }
        best.1
    }

    /// On the side where the fewest edges arrive; below is the name.
    fn teardrop(&self, node: &NodeShape) -> Curve {
        let taken = self.directions.get(node.id.as_str()).map_or(&[][..], Vec::as_slice);
        let free = |side: f64| taken.iter().map(|it| angle_between(*it, side)).fold(PI, f64::min);
        let sides = [-FRAC_PI_2, -FRAC_PI_2 - 0.7, -FRAC_PI_2 + 0.7, 0.0, PI];
        let mut side = sides[0];
        for other in sides {
            if free(other) > free(side) + 0.35 {
                side = other;
            }
        }
        let reach = node.radius + GAP;
        let far = node.radius * 1.6 + 46.0;
        Curve {
            from: node.centre.polar(side - 0.5, reach),
            c1: node.centre.polar(side - 0.62, far),
            c2: node.centre.polar(side + 0.62, far),
            to: node.centre.polar(side + 0.5, reach),
        }
    }
}

fn rim(node: &NodeShape, angle: f64) -> Point {
    node.centre.polar(angle, node.reach(angle) + GAP)
}

/// An S from the right side of the source to the left side of the target.
fn forward(source: &NodeShape, target: &NodeShape, bend: f64) -> Curve {
    let straight = source.centre.angle_to(target.centre);
    let lean = (bend / 90.0).clamp(-0.9, 0.9);
    let from = rim(source, straight * 0.55 + lean);
    let to = rim(target, PI + straight * 0.55 - lean);
    let pull = (to.x - from.x).abs() * 0.42;
    let c1 = Point::new(from.x + pull, from.y + (to.y - from.y) * 0.06 + bend * 1.2);
    let c2 = Point::new(to.x - pull, to.y - (to.y - from.y) * 0.06 + bend * 1.2);
    Curve { from, c1, c2, to }
}

/// An arc above both, for edges that lead back.
fn arc(source: &NodeShape, target: &NodeShape, lift: f64) -> Curve {
    let from = rim(source, -FRAC_PI_2 - 0.45);
    let to = rim(target, -FRAC_PI_2 + 0.45);
    let span = from.x - to.x;
    let top = from.y.min(to.y) - (34.0 + span * 0.13) * lift;
    let pull = (span * 0.12).max(14.0);
    Curve { from, c1: Point::new(from.x - pull, top), c2: Point::new(to.x + pull, top), to }
}

/// A bow beside the column: on the right on the way down, on the left on the way up.
fn bowed(source: &NodeShape, target: &NodeShape, bow: f64) -> Curve {
    let down = target.centre.y >= source.centre.y;
    let side = if down { 1.0 } else { -1.0 };
    let (out, back) = if down { (0.5, -0.5) } else { (PI + 0.5, PI - 0.5) };
    let (from, to) = (rim(source, out), rim(target, back));
    let far = side * (30.0 + (to.y - from.y).abs() * 0.22) * bow;
    Curve { from, c1: Point::new(from.x + far, from.y), c2: Point::new(to.x + far, to.y), to }
}
