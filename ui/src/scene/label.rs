//! Places text: names below their nodes, badges above their loops, numbers beside edges, none upon another.
//!
//! Text keeps a readable size at every zoom, so its places depend on the zoom. What finds no room is left out; it comes
//! back when the reader zooms in or points at it, and it always stands in the table.

use super::{EdgeShape, LoopShape, NodeShape, Scene, goes_round};
use crate::format::middle_ellipsis;
use crate::geometry::{Point, Rect};
use crate::url::Selection;

/// A line of text with its box, in map units.
#[derive(Clone, Debug, PartialEq)]
pub struct Label {
    /// What it belongs to.
    pub owner: Owner,
    /// The text, shortened if need be.
    pub text: String,
    /// Its second line, which may be empty.
    pub detail: String,
    /// Height of its letters, in map units.
    pub size: f64,
    /// Its box.
    pub area: Rect,
}

/// What a label belongs to.
#[derive(Clone, Debug, PartialEq)]
pub enum Owner {
    /// A node, by id.
    Node(String),
    /// A loop, by id.
    Loop(String),
    /// An edge, by its ends.
    Edge(String, String),
}

/// What the placing depends on, beside the shapes.
pub struct Conditions<'a> {
    /// Pixels for each map unit.
    pub zoom: f64,
    /// Width of a text in pixels at a height of its letters in pixels.
    pub measure: &'a dyn Fn(&str, f64) -> f64,
    /// What is looked at; its labels are always shown.
    pub focus: Option<&'a Selection>,
    /// The loop that is lit; its badge is always shown.
    pub loop_id: Option<&'a str>,
}

/// Below this zoom only names are shown, above it a second line too.
const DETAIL_ZOOM: f64 = 0.82;

/// From this zoom on every edge may show its numbers.
const EDGE_ZOOM: f64 = 1.35;

/// The widest a name may be, in map units: a little less than the distance of two columns.
const MAX_NAME: f64 = 184.0;

/// A name gets at least this many pixels: less would leave nothing of it.
const MIN_NAME_PIXELS: f64 = 84.0;

/// Space between a node and its name, in map units.
const BELOW: f64 = 7.0;

/// Places the labels of a scene, the most important first.
pub fn place(scene: &Scene, conditions: &Conditions) -> Vec<Label> {
    let mut placed = Placed::new(scene);
    let mut nodes: Vec<&NodeShape> = scene.nodes.iter().collect();
    nodes.sort_by(|a, b| importance(b, conditions).total_cmp(&importance(a, conditions)));
    for node in nodes {
        placed.name(node, conditions);
    }
    // Badges find another place more easily than names do: they may stand anywhere along their lap.
    for it in scene.loops.iter().rev() {
        placed.badge(it, conditions);
    }
    let focused = |edge: &EdgeShape| match conditions.focus {
        Some(Selection::Edge { source, target }) => edge.source == *source && edge.target == *target,
        Some(Selection::Node(id)) => edge.source == *id || edge.target == *id,
        None => false,
    };
    for edge in scene.edges.iter().filter(|edge| focused(edge)) {
        placed.numbers(edge, conditions);
    }
    if conditions.zoom >= EDGE_ZOOM {
        for edge in scene.edges.iter().filter(|edge| !focused(edge) && !edge.idle) {
            placed.numbers(edge, conditions);
        }
    }
    placed.labels
}

/// The height of the letters of names in pixels.
fn name_size(zoom: f64) -> f64 {
    (13.0 * zoom).round().clamp(12.0, 16.0)
}

fn importance(node: &NodeShape, conditions: &Conditions) -> f64 {
    let focused = matches!(conditions.focus, Some(Selection::Node(id)) if *id == node.id);
    f64::from(u8::from(focused)) * 1e9 + f64::from(u8::from(node.in_loud_loop)) * 1e6 + node.rate
}

struct Placed {
    bodies: Vec<Rect>,
    labels: Vec<Label>,
}

impl Placed {
    fn new(scene: &Scene) -> Self {
        Self { bodies: scene.nodes.iter().map(|node| node.outline().inflate(2.0)).collect(), labels: Vec::new() }
    }

    fn free(&self, area: Rect) -> bool {
        !self.labels.iter().any(|it| it.area.overlaps(area)) && !self.bodies.iter().any(|it| it.overlaps(area))
    }

    fn badge(&mut self, it: &LoopShape, conditions: &Conditions) {
        let size = (12.0 * conditions.zoom).round().clamp(12.0, 14.0) / conditions.zoom;
        let h = size * 1.9;
        let boxed = |text: &str, at: Point| Rect::around(at, text_width(text, size, conditions) + size * 1.5, h);
        // A badge that strays too far would seem to belong to another line.
        let above = [0.0, -0.7, 0.7].map(|step| Point::new(it.anchor.x, it.anchor.y + step * h));
        let along = it.rails.iter().flat_map(|rail| [0.5, 0.35, 0.65].map(|t| rail.at(t)));
        let places: Vec<Point> = above.into_iter().chain(along).collect();
        // Where all of it has no room, the depth alone may have.
        let short = it.badge.split([' ', '·']).take(2).collect::<Vec<_>>().join(" ");
        let tries = [&it.badge, &short].into_iter().flat_map(|text| places.iter().map(move |at| (text, *at)));
        let free = tries.map(|(text, at)| (text, boxed(text, at))).find(|(_, area)| self.free(*area));
        // Laps that go on are a finding: rather over something else than not at all.
        let needed = goes_round(it.state) || conditions.loop_id == Some(it.id.as_str());
        let place = free.or(needed.then(|| (&short, boxed(&short, it.anchor))));
        if let Some((text, area)) = place {
            let owner = Owner::Loop(it.id.clone());
            self.labels.push(Label { owner, text: text.clone(), detail: String::new(), size, area });
        }
    }

    fn name(&mut self, node: &NodeShape, conditions: &Conditions) {
        let size = name_size(conditions.zoom) / conditions.zoom;
        let room = MAX_NAME.max(MIN_NAME_PIXELS / conditions.zoom);
        let text = middle_ellipsis(&node.name, |text| text_width(text, size, conditions) <= room);
        let detail = if conditions.zoom >= DETAIL_ZOOM { node.detail.clone() } else { String::new() };
        let width = text_width(&text, size, conditions).max(text_width(&detail, size * 0.86, conditions)) + size * 0.5;
        let height = size * if detail.is_empty() { 1.35 } else { 2.45 };
        let extra = if node.error_share > 0.0 { 6.0 } else { 0.0 };
        let below = node.centre.y + node.radius + BELOW + extra + height / 2.0;
        let above = node.centre.y - node.radius - BELOW - extra - height / 2.0;
        for y in [below, above] {
            let area = Rect::around(Point::new(node.centre.x, y), width, height);
            if self.free(area) {
                let owner = Owner::Node(node.id.clone());
                self.labels.push(Label { owner, text, detail, size, area });
                return;
            }
        }
    }

    fn numbers(&mut self, edge: &EdgeShape, conditions: &Conditions) {
        let size = (12.0 * conditions.zoom).round().clamp(12.0, 14.0) / conditions.zoom;
        // When there is no room for all numbers the first one, the rate, may still fit.
        let rate = edge.label.split(" · ").next().unwrap_or_default();
        for text in [edge.label.as_str(), rate] {
            let (w, h) = (text_width(text, size, conditions) + size, size * 1.6);
            for (t, lift) in [(0.5, 0.0), (0.5, -1.0), (0.5, 1.0), (0.38, 0.0), (0.62, 0.0), (0.3, -1.0), (0.7, -1.0)] {
                let at = edge.curve.at(t);
                let area = Rect::around(Point::new(at.x, at.y + lift * h), w, h);
                if self.free(area) {
                    let owner = Owner::Edge(edge.source.clone(), edge.target.clone());
                    self.labels.push(Label { owner, text: text.to_owned(), detail: String::new(), size, area });
                    return;
                }
            }
        }
    }
}

/// Width in map units of a text whose letters are `size` map units high.
fn text_width(text: &str, size: f64, conditions: &Conditions) -> f64 {
    (conditions.measure)(text, size * conditions.zoom) / conditions.zoom
}
