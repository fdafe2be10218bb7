//! Paints lines: edges with their arrowheads, and the rails of loops.

use std::f64::consts::PI;

use super::{Brush, DIMMED, View};
use crate::geometry::Curve;
use crate::scene::{EdgeShape, LoopShape, goes_round};
use crate::url::Selection;

impl Brush<'_> {
    pub(super) fn edge(&self, edge: &EdgeShape, light: f64, view: &View) {
        let selected = matches!(view.selection, Some(Selection::Edge { source, target })
            if edge.source == *source && edge.target == *target);
        let failing = edge.error_share >= 0.02;
        let color = if failing { &self.palette.err } else { &self.palette.edge };
        let width = if edge.idle { 1.0 } else { edge.width };
        self.context.set_global_alpha(light * if edge.idle { 0.6 } else { 1.0 });
        if selected {
            self.trace(&edge.curve);
            self.line(&self.palette.focus, width + 4.0);
            self.context.stroke();
            self.trace(&edge.curve);
            self.line(&self.palette.canvas, width + 1.6);
            self.context.stroke();
        }
        self.trace(&edge.curve);
        self.line(color, width * self.stout.sqrt());
        if edge.asynchronous {
            self.dash(&[6.0, 5.0]);
        }
        self.context.stroke();
        self.dash(&[]);
        self.arrowhead(&edge.curve, color, (6.5 + width) * self.stout);
        if failing {
            self.crosses(&edge.curve);
        }
    }

    fn arrowhead(&self, curve: &Curve, color: &str, size: f64) {
        let angle = curve.angle(1.0);
        let tip = curve.to.polar(angle, 1.5);
        let (left, right) = (tip.polar(angle + PI - 0.42, size), tip.polar(angle + PI + 0.42, size));
        self.polygon(&[tip, left, right]);
        self.context.set_fill_style_str(color);
        self.context.fill();
    }

    /// Crosses along a failing edge, so that its colour is not the only sign.
    fn crosses(&self, curve: &Curve) {
        let n = (curve.length() / 80.0).round().max(1.0);
        self.line(&self.palette.err, 1.6);
        for at in 0..n as u32 {
            let p = curve.at((f64::from(at) + 0.5) / n);
            self.context.begin_path();
            self.context.move_to(p.x - 4.0, p.y - 4.0);
            self.context.line_to(p.x + 4.0, p.y + 4.0);
            self.context.move_to(p.x - 4.0, p.y + 4.0);
            self.context.line_to(p.x + 4.0, p.y - 4.0);
            self.context.stroke();
        }
    }

    /// Three rails along one lap, with chevrons that say which way, for a loop that is loud or lit. A thin one with small
    /// chevrons for a loop that goes round quietly, without them while something else is looked at; dashes for one that
    /// is only possible.
    pub(super) fn rails(&self, it: &LoopShape, light: f64, lit: bool) {
        let heavy = light > DIMMED && (lit || it.is_loud());
        self.context.set_global_alpha(if heavy { 1.0 } else { light.max(0.4) });
        for curve in &it.rails {
            if !heavy {
                self.thin_rail(curve, goes_round(it.state), light > DIMMED);
                continue;
            }
            let (outer, gap, inner) = if lit { (11.0, 7.6, 3.0) } else { (8.6, 5.6, 2.0) };
            for (color, width) in [(&self.palette.lap, outer), (&self.palette.canvas, gap), (&self.palette.lap, inner)]
            {
                self.trace(curve);
                self.line(color, width * self.stout);
                self.context.stroke();
            }
            self.chevrons(curve, if lit { 8.0 } else { 6.6 } * self.stout, 2.4);
            self.arrowhead(curve, &self.palette.lap, 11.0 * self.stout);
        }
    }

    fn thin_rail(&self, curve: &Curve, goes_round: bool, bright: bool) {
        self.trace(curve);
        self.line(&self.palette.lap, 1.6 * self.stout);
        self.dash(if goes_round { &[] } else { &[2.0, 5.0] });
        self.context.stroke();
        self.dash(&[]);
        if goes_round && bright {
            self.chevrons(curve, 4.6 * self.stout, 1.6);
        }
    }

    fn chevrons(&self, curve: &Curve, size: f64, width: f64) {
        let n = (curve.length() / 56.0).floor().max(1.0);
        self.line(&self.palette.lap, width);
        for at in 0..n as u32 {
            let t = (f64::from(at) + 0.5) / n;
            let (p, angle) = (curve.at(t), curve.angle(t));
            let tip = p.polar(angle, size * 0.5);
            let (left, right) = (tip.polar(angle + PI - 0.75, size), tip.polar(angle + PI + 0.75, size));
            self.context.begin_path();
            self.context.move_to(left.x, left.y);
            self.context.line_to(tip.x, tip.y);
            self.context.line_to(right.x, right.y);
            self.context.stroke();
        }
    }
}
