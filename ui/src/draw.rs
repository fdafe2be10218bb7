//! Paints a scene on three canvases: edges and rails below, particles between, nodes and text above.
//!
//! The lowest and the highest are painted when something changed, the one between in each frame while something moves,
//! so that nothing ever runs across a name. `draw/line.rs` paints edges
//! and rails, `draw/motion.rs` particles, `draw/node.rs` nodes, `draw/text.rs` text.

mod line;
pub mod motion;
mod node;
mod palette;
mod text;

pub use palette::Palette;

use std::cell::RefCell;
use std::collections::HashMap;
use std::f64::consts::{PI, TAU};

use wasm_bindgen::{JsCast, JsValue};
use web_sys::{CanvasRenderingContext2d as Context, HtmlCanvasElement};

use crate::geometry::{Camera, Curve, Point, Rect};
use crate::scene::label::{self, Label};
use crate::scene::{EdgeShape, LoopShape, NodeShape, Scene};
use crate::url::Selection;

/// The family of text on the map, as in the style sheet.
const FONT: &str = "system-ui, -apple-system, 'Segoe UI', sans-serif";

/// Widths that are remembered before all are forgotten.
const MAX_WIDTHS: usize = 20_000;

/// How strongly things are painted that are not looked at.
const DIMMED: f64 = 0.22;

/// What a picture depends on, beside its shapes.
pub struct View<'a> {
    /// The part of the map that is seen.
    pub camera: Camera,
    /// What is selected.
    pub selection: Option<&'a Selection>,
    /// What the pointer is on; what is selected counts when it is on nothing.
    pub hover: Option<&'a Selection>,
    /// The loop that is lit.
    pub loop_id: Option<&'a str>,
}

/// A canvas with its size, ready to be painted in map units.
pub struct Surface {
    canvas: HtmlCanvasElement,
    context: Context,
    widths: RefCell<HashMap<String, f64>>,
}

impl Surface {
    /// Takes a canvas; `None` when the browser gives no context for it.
    pub fn new(canvas: HtmlCanvasElement) -> Option<Self> {
        let context = canvas.get_context("2d").ok().flatten()?.dyn_into().ok()?;
        Some(Self { canvas, context, widths: RefCell::default() })
    }

    /// Sets the size in CSS pixels; the canvas gets as many real pixels as the screen has there.
    pub fn resize(&self, (w, h): (f64, f64)) {
        let ratio = pixel_ratio();
        let (w, h) = ((w * ratio).round() as u32, (h * ratio).round() as u32);
        if self.canvas.width() != w || self.canvas.height() != h {
            self.canvas.set_width(w);
            self.canvas.set_height(h);
        }
    }

    /// Width in pixels of a text whose letters are `size` pixels high.
    pub fn measure(&self, text: &str, size: f64) -> f64 {
        // Widths grow with the size, so one measurement serves every zoom.
        const AT: f64 = 100.0;
        let known = self.widths.borrow().get(text).copied();
        let width = known.unwrap_or_else(|| {
            self.context.set_font(&format!("600 {AT}px {FONT}"));
            let width = self.context.measure_text(text).map_or(AT * 0.6 * text.len() as f64, |it| it.width());
            let mut widths = self.widths.borrow_mut();
            if widths.len() >= MAX_WIDTHS {
                widths.clear();
            }
            widths.insert(text.to_owned(), width);
            width
        });
        width * size / AT
    }

    /// Wipes everything.
    pub fn clear(&self) {
        let _ = self.context.set_transform(1.0, 0.0, 0.0, 1.0, 0.0, 0.0);
        self.context.clear_rect(0.0, 0.0, f64::from(self.canvas.width()), f64::from(self.canvas.height()));
    }

    /// Wipes everything and gives a brush that paints in map units.
    fn brush<'a>(&'a self, view: &View, palette: &'a Palette) -> Brush<'a> {
        self.clear();
        let camera = view.camera;
        let scale = pixel_ratio() * camera.zoom;
        let (x, y) = (-camera.corner.x * scale, -camera.corner.y * scale);
        let _ = self.context.set_transform(scale, 0.0, 0.0, scale, x, y);
        self.context.set_line_cap("round");
        self.context.set_line_join("round");
        self.context.set_global_alpha(1.0);
        Brush { context: &self.context, palette, camera, zoom: camera.zoom, stout: (1.0 / camera.zoom).clamp(1.0, 1.7) }
    }
}

/// Paints edges and the rails of loops.
pub fn paint_lines(surface: &Surface, scene: &Scene, view: &View, palette: &Palette) {
    let (brush, light) = (surface.brush(view, palette), Light::new(scene, view));
    for edge in &scene.edges {
        brush.edge(edge, light.edge(edge), view);
    }
    for it in &scene.loops {
        brush.rails(it, light.of_loop(it), view.loop_id == Some(it.id.as_str()));
    }
}

/// Paints nodes and all text; returns where the text stands.
pub fn paint_bodies(surface: &Surface, scene: &Scene, view: &View, palette: &Palette) -> Vec<Label> {
    let (brush, light) = (surface.brush(view, palette), Light::new(scene, view));
    for node in &scene.nodes {
        brush.node(node, light.node(node), is_node(view.selection, node));
    }
    let focus = view.hover.or(view.selection);
    let measure = |text: &str, size: f64| surface.measure(text, size);
    let conditions = label::Conditions { zoom: view.camera.zoom, measure: &measure, focus, loop_id: view.loop_id };
    let labels = label::place(scene, &conditions);
    for label in &labels {
        brush.label(label, scene, &light);
    }
    labels
}

/// Decides what is bright.
struct Light<'a> {
    focus: Option<&'a Selection>,
    bright: Vec<&'a str>,
    lit_loop: Option<&'a LoopShape>,
}

impl<'a> Light<'a> {
    fn new(scene: &'a Scene, view: &View<'a>) -> Self {
        let focus = view.hover.or(if view.loop_id.is_some() { None } else { view.selection });
        let bright = focus.map(|focus| scene.neighbourhood(focus)).unwrap_or_default();
        let lit_loop = view.loop_id.and_then(|id| scene.loop_shape(id)).filter(|_| focus.is_none());
        Self { focus, bright, lit_loop }
    }

    fn node(&self, node: &NodeShape) -> f64 {
        self.id(&node.id)
    }

    fn id(&self, id: &str) -> f64 {
        let bright = match (self.focus, self.lit_loop) {
            (Some(_), _) => self.bright.contains(&id),
            (None, Some(it)) => it.path.iter().any(|on_lap| on_lap == id),
            (None, None) => true,
        };
        if bright { 1.0 } else { DIMMED }
    }

    fn edge(&self, edge: &EdgeShape) -> f64 {
        self.ends(&edge.source, &edge.target)
    }

    fn ends(&self, source: &str, target: &str) -> f64 {
        let bright = match (self.focus, self.lit_loop) {
            (Some(Selection::Node(id)), _) => source == id || target == id,
            (Some(Selection::Edge { source: from, target: to }), _) => source == from && target == to,
            (None, Some(it)) => crate::model::lap_edges(&it.path).any(|step| step == (source, target)),
            (None, None) => true,
        };
        if bright { 1.0 } else { DIMMED * 0.7 }
    }

    fn of_loop(&self, it: &LoopShape) -> f64 {
        match (self.focus, self.lit_loop) {
            (Some(Selection::Node(id)), _) if it.path.contains(id) => 1.0,
            (Some(Selection::Edge { source, target }), _)
                if crate::model::lap_edges(&it.path).any(|step| step == (source.as_str(), target.as_str())) =>
            {
                1.0
            }
            (None, Some(lit)) if lit.id == it.id => 1.0,
            (None, None) => 1.0,
            _ => DIMMED,
        }
    }
}

/// A context with the colours and the zoom.
pub(crate) struct Brush<'a> {
    pub(crate) context: &'a Context,
    pub(crate) palette: &'a Palette,
    pub(crate) camera: Camera,
    pub(crate) zoom: f64,
    /// What lines grow by when the picture is small, so that they do not thin out.
    pub(crate) stout: f64,
}

impl Brush<'_> {
    /// Never thinner than a pixel.
    pub(crate) fn line(&self, color: &str, width: f64) {
        self.context.set_stroke_style_str(color);
        self.context.set_line_width(width.max(1.0 / self.zoom));
    }

    pub(crate) fn trace(&self, curve: &Curve) {
        self.context.begin_path();
        self.context.move_to(curve.from.x, curve.from.y);
        self.context.bezier_curve_to(curve.c1.x, curve.c1.y, curve.c2.x, curve.c2.y, curve.to.x, curve.to.y);
    }

    pub(crate) fn dash(&self, lengths: &[f64]) {
        let array: js_sys::Array = lengths.iter().map(|it| JsValue::from_f64(*it)).collect();
        let _ = self.context.set_line_dash(&array);
    }

    pub(crate) fn polygon(&self, points: &[Point]) {
        self.context.begin_path();
        for (at, p) in points.iter().enumerate() {
            if at == 0 { self.context.move_to(p.x, p.y) } else { self.context.line_to(p.x, p.y) }
        }
        self.context.close_path();
    }

    /// Text around a point; with a halo of the ground it stays legible above lines.
    pub(crate) fn text(&self, text: &str, centre: Point, size: f64, weight: u32, color: &str, halo: bool) {
        if text.is_empty() {
            return;
        }
        // In pixels of the screen and with whole sizes: scaled letters lose their thin parts.
        let (ratio, at) = (pixel_ratio(), self.camera.to_view(centre));
        let pixels = (size * self.zoom).round();
        self.context.save();
        let _ = self.context.set_transform(ratio, 0.0, 0.0, ratio, 0.0, 0.0);
        self.context.set_font(&format!("{weight} {pixels}px {FONT}"));
        self.context.set_text_align("center");
        self.context.set_text_baseline("middle");
        if halo {
            self.context.set_stroke_style_str(&self.palette.canvas);
            self.context.set_line_width(4.0);
            let _ = self.context.stroke_text(text, at.x, at.y.round());
        }
        self.context.set_fill_style_str(color);
        let _ = self.context.fill_text(text, at.x, at.y.round());
        self.context.restore();
    }

    fn plate(&self, area: Rect, color: &str, rim: Option<&str>) {
        self.capsule(area.centre(), area.w / 2.0, area.h / 2.0);
        self.context.set_fill_style_str(color);
        self.context.fill();
        if let Some(rim) = rim {
            self.line(rim, 1.4);
            self.context.stroke();
        }
    }

    pub(crate) fn capsule(&self, centre: Point, half_width: f64, half_height: f64) {
        let straight = (half_width - half_height).max(0.0);
        self.context.begin_path();
        let _ = self.context.arc(centre.x + straight, centre.y, half_height, -PI / 2.0, PI / 2.0);
        let _ = self.context.arc(centre.x - straight, centre.y, half_height, PI / 2.0, PI * 1.5);
        self.context.close_path();
    }

    pub(crate) fn disc(&self, centre: Point, radius: f64) {
        self.context.begin_path();
        let _ = self.context.arc(centre.x, centre.y, radius, 0.0, TAU);
    }
}

fn is_node(selection: Option<&Selection>, node: &NodeShape) -> bool {
    matches!(selection, Some(Selection::Node(id)) if *id == node.id)
}

fn pixel_ratio() -> f64 {
    leptos::prelude::window().device_pixel_ratio().max(1.0)
}
