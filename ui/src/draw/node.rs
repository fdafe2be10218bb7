//! Paints nodes: a form for each kind, a rim for how its time compares, an arc for its errors, badges for the rest.
//!
//! Only what is slower than usual is filled, so that a healthy system looks calm.

use std::f64::consts::{FRAC_PI_2, FRAC_PI_3, PI, TAU};

use super::Brush;
use crate::geometry::Point;
use crate::scene::{Form, NodeShape, Tone};

/// Width of the arc that shows errors.
const ERROR_ARC: f64 = 4.0;

/// A share of errors below this is still drawn this long, in radians.
const SMALLEST_ARC: f64 = 20.0 * PI / 180.0;

/// Cold starts are worth a badge from this share of the runs on.
const COLD_BADGE: f64 = 0.05;

impl Brush<'_> {
    pub(super) fn node(&self, node: &NodeShape, light: f64, selected: bool) {
        // The ground shines through dimmed nodes otherwise, with the edges behind them.
        self.context.set_global_alpha(1.0);
        self.body(node, node.radius + 1.5);
        self.context.set_fill_style_str(&self.palette.canvas);
        self.context.fill();
        self.context.set_global_alpha(light);
        if selected {
            self.body(node, node.radius + 9.0);
            self.line(&self.palette.focus, 2.5);
            self.context.stroke();
        }
        let (rim, fill, ink) = self.colors(node);
        self.body(node, node.radius);
        self.context.set_fill_style_str(fill);
        self.context.fill();
        if matches!(node.tone, Tone::Learning | Tone::Untraced) {
            self.dash(&[4.0, 3.5]);
        }
        self.line(rim, if node.tone == Tone::Resource { 1.6 } else { 2.4 } * self.stout.sqrt());
        self.context.stroke();
        self.dash(&[]);
        self.sign(node, ink);
        self.errors(node);
        self.badges(node);
    }

    fn colors(&self, node: &NodeShape) -> (&str, &str, &str) {
        let it = self.palette;
        match node.tone {
            Tone::Resource => (&it.border, &it.surface, &it.muted),
            Tone::Untraced => (&it.muted, &it.canvas, &it.muted),
            Tone::Learning | Tone::Normal => (&it.norm, &it.surface, &it.text),
            Tone::Fast => (&it.fast, &it.surface, &it.fast),
            Tone::Slow => (&it.slow, &it.slow, &it.ink),
            Tone::Critical => (&it.crit, &it.crit, &it.ink),
        }
    }

    /// The path of the form with a half height.
    fn body(&self, node: &NodeShape, radius: f64) {
        let c = node.centre;
        match node.form {
            Form::Function | Form::External => self.disc(c, radius),
            Form::Queue | Form::Topic => {
                self.capsule(c, radius + node.half_width() - node.radius, radius * 0.8);
            }
            Form::Bucket | Form::Table => {
                let corners: Vec<Point> = (0..6).map(|at| c.polar(f64::from(at) * FRAC_PI_3, radius * 1.08)).collect();
                self.polygon(&corners);
            }
            Form::Schedule => {
                let corners: Vec<Point> = (0..4).map(|at| c.polar(f64::from(at) * FRAC_PI_2, radius * 1.1)).collect();
                self.polygon(&corners);
            }
        }
    }

    /// The sign inside, which says the kind without colour.
    fn sign(&self, node: &NodeShape, ink: &str) {
        let c = node.centre;
        let at = |x: f64, y: f64| Point::new(c.x + x, c.y + y);
        self.line(ink, 1.8);
        match node.form {
            Form::Function => self.text("λ", at(0.0, 0.8), node.radius * 0.98, 600, ink, false),
            Form::Queue => self.strokes(&[
                [at(-7.0, -4.5), at(-7.0, 4.5)],
                [at(0.0, -4.5), at(0.0, 4.5)],
                [at(7.0, -4.5), at(7.0, 4.5)],
            ]),
            Form::Topic => {
                self.disc(at(-6.0, 0.0), 2.2);
                self.context.stroke();
                self.strokes(&[
                    [at(-2.0, -1.0), at(7.0, -5.0)],
                    [at(-2.0, 0.0), at(8.0, 0.0)],
                    [at(-2.0, 1.0), at(7.0, 5.0)],
                ]);
            }
            Form::Bucket => {
                self.polygon(&[at(-6.5, -5.0), at(6.5, -5.0), at(4.5, 6.0), at(-4.5, 6.0)]);
                self.context.stroke();
            }
            Form::Table => self.strokes(&[
                [at(-6.0, -4.5), at(6.0, -4.5)],
                [at(-6.0, 0.0), at(6.0, 0.0)],
                [at(-6.0, 4.5), at(6.0, 4.5)],
            ]),
            Form::Schedule => {
                self.disc(c, 6.0);
                self.context.stroke();
                self.strokes(&[[c, at(0.0, -3.8)], [c, at(2.8, 1.4)]]);
            }
            Form::External => self.strokes(&[
                [at(-5.0, 5.0), at(5.0, -5.0)],
                [at(-1.0, -5.0), at(5.0, -5.0)],
                [at(5.0, 1.0), at(5.0, -5.0)],
            ]),
        }
    }

    fn strokes(&self, lines: &[[Point; 2]]) {
        self.context.begin_path();
        for [from, to] in lines {
            self.context.move_to(from.x, from.y);
            self.context.line_to(to.x, to.y);
        }
        self.context.stroke();
    }

    /// An arc from twelve o'clock, as long as the share of errors.
    fn errors(&self, node: &NodeShape) {
        if node.error_share <= 0.0 {
            return;
        }
        let sweep = (node.error_share * TAU).clamp(SMALLEST_ARC, TAU);
        self.context.begin_path();
        let radius = node.radius + 2.0 + ERROR_ARC;
        let _ = self.context.arc(node.centre.x, node.centre.y, radius, -FRAC_PI_2, sweep - FRAC_PI_2);
        self.context.set_line_cap("butt");
        self.line(&self.palette.err, ERROR_ARC);
        self.context.stroke();
        self.context.set_line_cap("round");
    }

    fn badges(&self, node: &NodeShape) {
        let triangles = match node.tone {
            Tone::Slow => 1,
            Tone::Critical => 2,
            _ => 0,
        };
        for at in 0..triangles {
            let width = 9.0;
            let x = node.centre.x + node.radius * 0.72 + f64::from(at) * width;
            let y = node.centre.y - node.radius * 0.82;
            self.polygon(&[Point::new(x, y - 5.0), Point::new(x + 4.6, y + 3.4), Point::new(x - 4.6, y + 3.4)]);
            self.line(&self.palette.canvas, 3.0);
            self.context.stroke();
            let (_, fill, _) = self.colors(node);
            self.context.set_fill_style_str(fill);
            self.context.fill();
        }
        if node.cold_share >= COLD_BADGE {
            self.snowflake(Point::new(node.centre.x - node.radius * 0.86, node.centre.y + node.radius * 0.7));
        }
    }

    fn snowflake(&self, c: Point) {
        self.disc(c, 8.0);
        self.context.set_fill_style_str(&self.palette.canvas);
        self.context.fill();
        self.line(&self.palette.cold, 1.2);
        self.context.stroke();
        let arms = [0.0, FRAC_PI_3, 2.0 * FRAC_PI_3];
        self.line(&self.palette.cold, 1.5);
        self.strokes(&arms.map(|angle| [c.polar(angle + FRAC_PI_2, 4.8), c.polar(angle - FRAC_PI_2, 4.8)]));
    }
}
