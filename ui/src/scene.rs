//! From the model to shapes: what stands where on the map, in map units.
//!
//! Pure: places come from the server, sizes and curves are computed here, and nothing is drawn. `scene/shape.rs` makes
//! the shapes, `scene/route.rs` leads the edges, `scene/label.rs` places text for one zoom, `draw.rs` paints the result.

pub mod label;
pub mod route;
mod shape;

use loopscope_proto::v1::{Function, LoopState, Severity};

use crate::geometry::{Curve, Point, Rect};
use crate::model::{self, Model};
use crate::url::Selection;

/// All shapes of one picture.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// The nodes, ordered by id.
    pub nodes: Vec<NodeShape>,
    /// The edges, one for each ordered pair of nodes, ordered by source and target.
    pub edges: Vec<EdgeShape>,
    /// The loops that are not over, the worst last, so that it is painted above the others.
    pub loops: Vec<LoopShape>,
}

/// A function or a resource.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeShape {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// A second, quieter line below the name.
    pub detail: String,
    /// Its form.
    pub form: Form,
    /// Its centre.
    pub centre: Point,
    /// Half of its height.
    pub radius: f64,
    /// How its time compares with the usual.
    pub tone: Tone,
    /// Part of the runs that failed, 0 to 1.
    pub error_share: f64,
    /// Part of the runs that started a new instance, 0 to 1.
    pub cold_share: f64,
    /// Runs a second.
    pub rate: f64,
    /// Whether a loud loop passes it.
    pub in_loud_loop: bool,
}

/// The form of a node: one for each kind of thing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A disc: a function.
    Function,
    /// A lying capsule: a queue.
    Queue,
    /// A lying capsule with another sign: a topic.
    Topic,
    /// A hexagon: a bucket.
    Bucket,
    /// A hexagon with another sign: a table or a database.
    Table,
    /// A diamond: a schedule.
    Schedule,
    /// A hollow disc: something outside.
    External,
}

/// How the 95th percentile now compares with the baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// Not a function.
    Resource,
    /// A function of which no span tells.
    Untraced,
    /// No baseline yet.
    Learning,
    /// Below 0.8 times the baseline.
    Fast,
    /// As usual.
    Normal,
    /// From 1.5 times the baseline.
    Slow,
    /// Above 3 times the baseline.
    Critical,
}

/// All edges from one node to another.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeShape {
    /// Id of the node where it starts.
    pub source: String,
    /// Id of the node where it ends.
    pub target: String,
    /// Its line, from the rim of the source to the rim of the target.
    pub curve: Curve,
    /// Width of the line.
    pub width: f64,
    /// True when nobody waits for the answer.
    pub asynchronous: bool,
    /// True when nothing passes now.
    pub idle: bool,
    /// Calls a second.
    pub rate: f64,
    /// 95th percentile of its duration in milliseconds; decides how fast its particles go.
    pub p95_ms: f64,
    /// Part of the calls that failed, 0 to 1.
    pub error_share: f64,
    /// The text beside it: rate, errors, time.
    pub label: String,
}

/// A loop: rails along the edges of one lap.
#[derive(Clone, Debug, PartialEq)]
pub struct LoopShape {
    /// Its id.
    pub id: String,
    /// Its state.
    pub state: LoopState,
    /// Its severity.
    pub severity: Severity,
    /// The curves of one lap, in order.
    pub rails: Vec<Curve>,
    /// Ids of the nodes of one lap.
    pub path: Vec<String>,
    /// The text of its badge.
    pub badge: String,
    /// Where the badge would best be.
    pub anchor: Point,
}

impl LoopShape {
    /// Whether it is painted loudly.
    pub fn is_loud(&self) -> bool {
        is_loud(self.state, self.severity)
    }
}

impl Scene {
    /// Makes the shapes of everything that the model knows.
    pub fn build(model: &Model) -> Self {
        let mut nodes: Vec<NodeShape> = model.functions.values().map(shape::function_shape).collect();
        nodes.extend(model.resources.values().map(shape::resource_shape));
        nodes.sort_by(|a, b| a.id.cmp(&b.id));
        for it in model.loops.values().filter(|it| is_loud(it.state(), it.severity())) {
            for id in &it.path {
                if let Ok(at) = nodes.binary_search_by(|node| node.id.cmp(id)) {
                    nodes[at].in_loud_loop = true;
                }
            }
        }
        let mut scene = Self { nodes, ..Self::default() };
        scene.edges = shape::edge_shapes(model, &scene);
        scene.loops = shape::loop_shapes(model, &scene);
        scene
    }

    /// The shape of a node.
    pub fn node(&self, id: &str) -> Option<&NodeShape> {
        self.nodes.binary_search_by(|node| node.id.as_str().cmp(id)).ok().map(|at| &self.nodes[at])
    }

    /// The shape of the edges between two nodes.
    pub fn edge(&self, source: &str, target: &str) -> Option<&EdgeShape> {
        let order = |edge: &EdgeShape| (edge.source.as_str(), edge.target.as_str()).cmp(&(source, target));
        self.edges.binary_search_by(order).ok().map(|at| &self.edges[at])
    }

    /// The shape of a loop.
    pub fn loop_shape(&self, id: &str) -> Option<&LoopShape> {
        self.loops.iter().find(|it| it.id == id)
    }

    /// The box around everything, names included; `None` when there is nothing.
    pub fn bounds(&self) -> Option<Rect> {
        let nodes = self.nodes.iter().map(|node| {
            let body = node.outline();
            body.union(Rect { x: node.centre.x - 80.0, y: body.y, w: 160.0, h: body.h + 40.0 })
        });
        let edges = self.edges.iter().map(|edge| {
            let top = edge.curve.at(edge.curve.apex());
            Rect::around(top, 2.0, 2.0)
        });
        let badges = self.loops.iter().map(|it| Rect::around(it.anchor, 230.0, 50.0));
        nodes.chain(edges).chain(badges).reduce(Rect::union)
    }

    /// The box around the places of all nodes, which unlike [`Scene::bounds`] does not breathe with the traffic.
    pub fn extent(&self) -> Option<Rect> {
        self.nodes.iter().map(|node| Rect::around(node.centre, 0.0, 0.0)).reduce(Rect::union)
    }

    /// What lies below a place of the map; `slack` is how far beside it a pointer may be, in map units.
    pub fn hit(&self, p: Point, slack: f64) -> Option<Selection> {
        let nodes = self.nodes.iter().filter(|node| node.outline().inflate(slack).contains(p));
        let node = nodes.min_by(|a, b| a.centre.distance(p).total_cmp(&b.centre.distance(p)));
        if let Some(node) = node {
            return Some(Selection::Node(node.id.clone()));
        }
        let edges = self.edges.iter().map(|edge| (edge.curve.distance(p) - edge.width / 2.0, edge));
        let near = edges.filter(|(distance, _)| *distance <= slack).min_by(|a, b| a.0.total_cmp(&b.0));
        near.map(|(_, edge)| Selection::Edge { source: edge.source.clone(), target: edge.target.clone() })
    }

    /// The nodes and the ends of edges that stay bright while something is looked at.
    pub fn neighbourhood(&self, selection: &Selection) -> Vec<&str> {
        match selection {
            Selection::Edge { source, target } => {
                [self.node(source), self.node(target)].into_iter().flatten().map(|node| node.id.as_str()).collect()
            }
            Selection::Node(id) => {
                let touching = self.edges.iter().filter(|edge| edge.source == *id || edge.target == *id);
                let ends = touching.flat_map(|edge| [edge.source.as_str(), edge.target.as_str()]);
                ends.chain(self.node(id).map(|node| node.id.as_str())).collect()
            }
        }
    }

    /// The node that an arrow key leads to: along an edge to the right or the left, or the next one up or down.
    pub fn step(&self, from: &str, direction: Direction) -> Option<&str> {
        let here = self.node(from)?.centre;
        let callees = || self.edges.iter().filter(|edge| edge.source == from).map(|edge| edge.target.as_str());
        let callers = || self.edges.iter().filter(|edge| edge.target == from).map(|edge| edge.source.as_str());
        let candidates: Vec<&NodeShape> = match direction {
            Direction::Right => callees().filter_map(|id| self.node(id)).collect(),
            Direction::Left => callers().filter_map(|id| self.node(id)).collect(),
            Direction::Up => self.nodes.iter().filter(|node| node.centre.y < here.y - 1.0).collect(),
            Direction::Down => self.nodes.iter().filter(|node| node.centre.y > here.y + 1.0).collect(),
        };
        // Sideways steps count for more, so that up and down stay in their column.
        let cost = |node: &&NodeShape| match direction {
            Direction::Right | Direction::Left => node.centre.distance(here),
            Direction::Up | Direction::Down => (node.centre.y - here.y).abs() + 4.0 * (node.centre.x - here.x).abs(),
        };
        let others = candidates.into_iter().filter(|node| node.id != from);
        others.min_by(|a, b| cost(a).total_cmp(&cost(b))).map(|node| node.id.as_str())
    }
}

/// Where an arrow key points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To a callee.
    Right,
    /// To a caller.
    Left,
    /// To the next node above.
    Up,
    /// To the next node below.
    Down,
}

impl NodeShape {
    /// The box around the body.
    pub fn outline(&self) -> Rect {
        Rect::around(self.centre, self.half_width() * 2.0, self.radius * 2.0)
    }

    /// Half of its width.
    pub fn half_width(&self) -> f64 {
        match self.form {
            Form::Queue | Form::Topic => self.radius * 1.55,
            _ => self.radius,
        }
    }

    /// How far the rim is from the centre in a direction.
    pub fn reach(&self, angle: f64) -> f64 {
        let (cos, sin) = (angle.cos().abs(), angle.sin().abs());
        match self.form {
            Form::Function | Form::External => self.radius,
            Form::Bucket | Form::Table => self.radius * 0.96,
            Form::Schedule => self.radius / (cos + sin),
            Form::Queue | Form::Topic => {
                let (w, h) = (self.half_width(), self.radius * 0.8);
                (w / cos.max(1e-6)).min(h / sin.max(1e-6)).min(w)
            }
        }
    }
}

impl Tone {
    fn of(slowness: Option<f64>) -> Self {
        match slowness {
            None => Self::Learning,
            Some(ratio) if ratio < 0.8 => Self::Fast,
            Some(ratio) if ratio < 1.5 => Self::Normal,
            Some(ratio) if ratio <= 3.0 => Self::Slow,
            Some(_) => Self::Critical,
        }
    }

    /// The tone in a word, for tables and readers of the screen.
    pub fn word(self) -> &'static str {
        match self {
            Self::Resource => "",
            Self::Untraced => "not traced",
            Self::Learning => "learning",
            Self::Fast => "fast",
            Self::Normal => "as usual",
            Self::Slow => "slow",
            Self::Critical => "very slow",
        }
    }
}

/// The tone of a function.
pub fn tone(function: &Function) -> Tone {
    if function.is_untraced { Tone::Untraced } else { Tone::of(model::slowness(function)) }
}

/// A share of a whole that may be empty.
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { (part as f64 / whole as f64).min(1.0) }
}

/// Whether chains went round this loop lately.
pub fn goes_round(state: LoopState) -> bool {
    !matches!(state, LoopState::Latent | LoopState::Closed)
}

/// Whether a loop that goes round is worth a look: a short one, as of a client that turns pages, stays quiet.
pub fn is_loud(state: LoopState, severity: Severity) -> bool {
    goes_round(state) && severity != Severity::Info
}

#[cfg(test)]
mod tests;
