//! Paints placed text: names with a halo, numbers and badges on plates.

use super::{Brush, DIMMED, Light};
use crate::geometry::Point;
use crate::scene::label::{Label, Owner};
use crate::scene::{LoopShape, Scene};

impl Brush<'_> {
    pub(super) fn label(&self, label: &Label, scene: &Scene, light: &Light) {
        let centre = label.area.centre();
        match &label.owner {
            Owner::Node(id) => {
                self.context.set_global_alpha(light.id(id).max(DIMMED));
                let strong = scene.node(id).is_some_and(|node| node.in_loud_loop);
                let lines = if label.detail.is_empty() { 0.0 } else { 0.55 };
                let weight = if strong { 600 } else { 500 };
                let y = centre.y - label.size * lines;
                self.text(&label.text, Point::new(centre.x, y), label.size, weight, &self.palette.text, true);
                let y = centre.y + label.size * 0.64;
                let size = label.size * 0.86;
                self.text(&label.detail, Point::new(centre.x, y), size, 400, &self.palette.muted, true);
            }
            Owner::Edge(source, target) => {
                self.context.set_global_alpha(light.ends(source, target));
                self.plate(label.area, &self.palette.raised, None);
                self.text(&label.text, centre, label.size, 500, &self.palette.text, false);
            }
            Owner::Loop(id) => {
                let bright = scene.loop_shape(id).is_none_or(|it| light.of_loop(it) > DIMMED);
                let loud = scene.loop_shape(id).is_some_and(LoopShape::is_loud);
                let filled = loud && bright;
                let it = self.palette;
                let (plate, ink) = if filled { (&it.lap, &it.ink) } else { (&it.canvas, &it.lap) };
                self.context.set_global_alpha(1.0);
                self.plate(label.area, plate, None);
                self.context.set_global_alpha(if bright { 1.0 } else { 0.5 });
                self.plate(label.area, plate, Some(&it.lap));
                self.text(&label.text, centre, label.size, 600, ink, false);
            }
        }
    }
}
