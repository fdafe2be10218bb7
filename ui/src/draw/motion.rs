//! The particles that run along the edges: more of them for more calls, faster ones for faster calls.
//!
//! Their places follow from the time alone, so that nothing has to be kept between two frames.

use super::{Palette, Surface, View};
use crate::geometry::Point;
use crate::scene::{EdgeShape, LoopShape, Scene};

/// Particles in view at most.
pub const MAX_PARTICLES: usize = 300;

/// With more edges than this nothing moves: nobody could follow it.
pub const MAX_EDGES: usize = 400;

/// Whether anything would move.
pub fn is_lively(scene: &Scene) -> bool {
    scene.edges.len() <= MAX_EDGES && scene.edges.iter().any(|edge| !edge.idle)
}

/// Paints the particles of a moment, given in seconds.
pub fn paint(surface: &Surface, scene: &Scene, view: &View, palette: &Palette, seconds: f64) {
    let (brush, light) = (surface.brush(view, palette), super::Light::new(scene, view));
    let mut left = MAX_PARTICLES;
    let lit = |edge: &EdgeShape| !edge.idle && light.edge(edge) == 1.0;
    for (at, edge) in scene.edges.iter().enumerate().filter(|(_, edge)| lit(edge)) {
        let n = particles(edge).min(left);
        left -= n;
        let heavy = |it: &LoopShape| it.is_loud() || view.loop_id == Some(it.id.as_str());
        let on_heavy_rail = scene.loops.iter().any(|it| heavy(it) && it.rails.contains(&edge.curve));
        let color = if on_heavy_rail {
            &palette.text
        } else if edge.error_share >= 0.02 {
            &palette.err
        } else {
            &palette.fast
        };
        brush.context.set_fill_style_str(color);
        for which in 0..n {
            brush.disc(place(edge, at, which, n, seconds), (1.5 + edge.width * 0.3) * brush.stout);
            brush.context.fill();
        }
    }
}

/// One particle for a trickle, six for a flood.
fn particles(edge: &EdgeShape) -> usize {
    ((edge.rate.max(0.05).log10() + 2.3) * 1.4).clamp(1.0, 6.0) as usize
}

fn place(edge: &EdgeShape, edge_at: usize, which: usize, n: usize, seconds: f64) -> Point {
    // From 150 map units a second for an instant to 35 for some seconds.
    let speed = 150.0 - 115.0 * ((edge.p95_ms.max(1.0).log10()) / 4.0).clamp(0.0, 1.0);
    let laps = seconds * speed / edge.curve.length().max(20.0);
    // Edges start at different moments, or the whole map would pulse.
    let phase = which as f64 / n as f64 + edge_at as f64 * 0.37;
    edge.curve.at((laps + phase).fract())
}
