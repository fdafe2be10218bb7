//! Points, curves, boxes and the camera: arithmetic that knows nothing of graphs or browsers.

use std::f64::consts::TAU;

/// A place, either in map units or in pixels; which one is said where it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// To the right.
    pub x: f64,
    /// Downwards.
    pub y: f64,
}

/// An upright box.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rect {
    /// Left edge.
    pub x: f64,
    /// Upper edge.
    pub y: f64,
    /// Width.
    pub w: f64,
    /// Height.
    pub h: f64,
}

/// A cubic Bézier curve.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Curve {
    /// Start.
    pub from: Point,
    /// First control point.
    pub c1: Point,
    /// Second control point.
    pub c2: Point,
    /// End.
    pub to: Point,
}

/// What part of the map is seen: pixels are map units less the corner, times the zoom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Camera {
    /// The map's place in the upper left corner of the view.
    pub corner: Point,
    /// Pixels for each map unit.
    pub zoom: f64,
}

/// The smallest and largest zoom.
pub const ZOOM_RANGE: (f64, f64) = (0.08, 4.0);

impl Point {
    /// A point.
    pub const fn new(x: f64, y: f64) -> Self {
        Self { x, y }
    }

    /// The point at an angle (clockwise from the right, in radians) and a distance from this one.
    pub fn polar(self, angle: f64, distance: f64) -> Self {
        Self::new(self.x + angle.cos() * distance, self.y + angle.sin() * distance)
    }

    /// How far away another point is.
    pub fn distance(self, other: Self) -> f64 {
        (self.x - other.x).hypot(self.y - other.y)
    }

    /// The direction to another point, clockwise from the right, in radians.
    pub fn angle_to(self, other: Self) -> f64 {
        (other.y - self.y).atan2(other.x - self.x)
    }

    fn mix(self, other: Self, t: f64) -> Self {
        Self::new(self.x + (other.x - self.x) * t, self.y + (other.y - self.y) * t)
    }
}

impl Rect {
    /// The box around a centre.
    pub fn around(centre: Point, w: f64, h: f64) -> Self {
        Self { x: centre.x - w / 2.0, y: centre.y - h / 2.0, w, h }
    }

    /// The middle.
    pub fn centre(self) -> Point {
        Point::new(self.x + self.w / 2.0, self.y + self.h / 2.0)
    }

    /// Whether the point lies inside.
    pub fn contains(self, p: Point) -> bool {
        p.x >= self.x && p.x <= self.x + self.w && p.y >= self.y && p.y <= self.y + self.h
    }

    /// Whether two boxes share area.
    pub fn overlaps(self, other: Self) -> bool {
        self.x < other.x + other.w
            && other.x < self.x + self.w
            && self.y < other.y + other.h
            && other.y < self.y + self.h
    }

    /// The box with a margin on every side.
    pub fn inflate(self, by: f64) -> Self {
        Self { x: self.x - by, y: self.y - by, w: self.w + 2.0 * by, h: self.h + 2.0 * by }
    }

    /// The smallest box that holds both.
    pub fn union(self, other: Self) -> Self {
        let (x, y) = (self.x.min(other.x), self.y.min(other.y));
        let right = (self.x + self.w).max(other.x + other.w);
        let bottom = (self.y + self.h).max(other.y + other.h);
        Self { x, y, w: right - x, h: bottom - y }
    }
}

impl Curve {
    /// The point at `t` from 0 to 1.
    pub fn at(&self, t: f64) -> Point {
        let (a, b, c) = (self.from.mix(self.c1, t), self.c1.mix(self.c2, t), self.c2.mix(self.to, t));
        a.mix(b, t).mix(b.mix(c, t), t)
    }

    /// The direction of travel at `t`, in radians.
    pub fn angle(&self, t: f64) -> f64 {
        let (a, b, c) = (self.from.mix(self.c1, t), self.c1.mix(self.c2, t), self.c2.mix(self.to, t));
        a.mix(b, t).angle_to(b.mix(c, t))
    }

    /// Points along the curve, both ends included.
    pub fn samples(&self, n: usize) -> impl Iterator<Item = Point> + '_ {
        (0..=n).map(move |at| self.at(at as f64 / n as f64))
    }

    /// The highest point, as its `t`.
    pub fn apex(&self) -> f64 {
        let best = (0..=20).map(|at| f64::from(at) / 20.0);
        best.min_by(|a, b| self.at(*a).y.total_cmp(&self.at(*b).y)).unwrap_or(0.5)
    }

    /// Roughly how long it is.
    pub fn length(&self) -> f64 {
        let points: Vec<Point> = self.samples(12).collect();
        points.windows(2).map(|pair| pair[0].distance(pair[1])).sum()
    }

    /// The smallest distance from a point, measured on chords.
    pub fn distance(&self, p: Point) -> f64 {
        let points: Vec<Point> = self.samples(24).collect();
        points.windows(2).map(|pair| distance_to_segment(p, pair[0], pair[1])).fold(f64::INFINITY, f64::min)
    }
}

impl Camera {
    /// Shows a box of the map in the middle of a view, no larger than `max_zoom`.
    pub fn fit(bounds: Rect, view: (f64, f64), max_zoom: f64) -> Self {
        let zoom = (view.0 / bounds.w.max(1.0)).min(view.1 / bounds.h.max(1.0));
        let zoom = zoom.clamp(ZOOM_RANGE.0, max_zoom);
        Self { corner: Point::default(), zoom }.centred(bounds.centre(), view)
    }

    /// The camera with the same zoom and a place of the map in the middle of the view.
    pub fn centred(self, centre: Point, view: (f64, f64)) -> Self {
        let corner = Point::new(centre.x - view.0 / self.zoom / 2.0, centre.y - view.1 / self.zoom / 2.0);
        Self { corner, ..self }
    }

    /// From the map to pixels of the view.
    pub fn to_view(self, p: Point) -> Point {
        Point::new((p.x - self.corner.x) * self.zoom, (p.y - self.corner.y) * self.zoom)
    }

    /// From pixels of the view to the map.
    pub fn to_map(self, p: Point) -> Point {
        Point::new(p.x / self.zoom + self.corner.x, p.y / self.zoom + self.corner.y)
    }

    /// Moves the picture by pixels.
    pub fn panned(self, dx: f64, dy: f64) -> Self {
        Self { corner: Point::new(self.corner.x - dx / self.zoom, self.corner.y - dy / self.zoom), ..self }
    }

    /// Zooms by a factor; the place below the pixel stays where it is.
    pub fn zoomed(self, at: Point, factor: f64) -> Self {
        let still = self.to_map(at);
        let zoom = (self.zoom * factor).clamp(ZOOM_RANGE.0, ZOOM_RANGE.1);
        Self { corner: Point::new(still.x - at.x / zoom, still.y - at.y / zoom), zoom }
    }

    /// Moves no further than needed to see a place, with a margin in pixels.
    pub fn revealing(self, p: Point, view: (f64, f64), margin: f64) -> Self {
        let seen = self.to_view(p);
        let shift = |at: f64, size: f64| at.clamp(margin.min(size / 2.0), (size - margin).max(size / 2.0)) - at;
        self.panned(shift(seen.x, view.0), shift(seen.y, view.1))
    }
}

/// How long the map must be at rest before its first picture is complete, milliseconds.
const REST_MS: f64 = 3_000.0;

/// The first picture of a map: it follows what comes until nothing has come for a while or the reader moves the camera.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct FirstPicture {
    extent: Option<Rect>,
    changed_at_ms: f64,
    camera: Option<Camera>,
    is_over: bool,
}

impl FirstPicture {
    /// True when everything should be fitted into view now. `camera` is where it looks, `extent` the places of all there is.
    pub fn wants_fit(&mut self, now_ms: f64, extent: Rect, camera: Option<Camera>) -> bool {
        let is_moved = camera != self.camera;
        let is_at_rest = self.extent.is_some() && now_ms - self.changed_at_ms > REST_MS;
        self.is_over |= is_moved || is_at_rest;
        let has_changed = self.extent != Some(extent);
        if has_changed {
            (self.extent, self.changed_at_ms) = (Some(extent), now_ms);
        }
        has_changed && !self.is_over
    }

    /// The camera was moved for the picture, not by the reader.
    pub fn fitted(&mut self, camera: Option<Camera>) {
        self.camera = camera;
    }
}

/// The smaller angle between two directions, 0 to half a turn.
pub fn angle_between(a: f64, b: f64) -> f64 {
    let difference = (a - b).rem_euclid(TAU);
    difference.min(TAU - difference)
}

fn distance_to_segment(p: Point, a: Point, b: Point) -> f64 {
    let (dx, dy) = (b.x - a.x, b.y - a.y);
    let length = dx * dx + dy * dy;
    let t = if length == 0.0 { 0.0 } else { ((p.x - a.x) * dx + (p.y - a.y) * dy) / length };
    p.distance(a.mix(b, t.clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(a: Point, b: Point) -> bool {
        a.distance(b) < 1e-6
    }

    #[test]
    fn the_first_picture_ends_with_a_rest_or_a_hand() {
        let bounds = |w: f64| Rect { x: 0.0, y: 0.0, w, h: 10.0 };
        let camera = |zoom: f64| Some(Camera { corner: Point::default(), zoom });
        let mut picture = FirstPicture::default();
        assert!(picture.wants_fit(0.0, bounds(1.0), None));
        picture.fitted(camera(1.0));
        assert!(!picture.wants_fit(100.0, bounds(1.0), camera(1.0)), "nothing new");
        assert!(picture.wants_fit(2_000.0, bounds(2.0), camera(1.0)));
        picture.fitted(camera(0.5));
        let mut moved = picture;
        assert!(!moved.wants_fit(2_500.0, bounds(3.0), camera(0.7)), "the reader has moved it");
        assert!(!moved.wants_fit(2_600.0, bounds(4.0), camera(0.7)));
        assert!(!picture.wants_fit(5_500.0, bounds(3.0), camera(0.5)), "the map was at rest");
        assert!(!picture.wants_fit(5_600.0, bounds(4.0), camera(0.5)));
    }

    #[test]
    fn a_fitted_box_lies_in_the_middle() {
        let bounds = Rect { x: 100.0, y: -50.0, w: 400.0, h: 100.0 };
        let camera = Camera::fit(bounds, (800.0, 600.0), 4.0);
        assert_eq!(camera.zoom, 2.0);
        assert!(close(camera.to_view(bounds.centre()), Point::new(400.0, 300.0)));
        assert_eq!(Camera::fit(bounds, (800.0, 600.0), 1.0).zoom, 1.0);
    }

    #[test]
    fn a_curve_begins_and_ends_where_it_should() {
        let curve = Curve {
            from: Point::new(0.0, 0.0),
            c1: Point::new(10.0, 0.0),
            c2: Point::new(20.0, 30.0),
            to: Point::new(30.0, 30.0),
        };
        assert!(close(curve.at(0.0), curve.from) && close(curve.at(1.0), curve.to));
        assert!(curve.angle(0.0).abs() < 1e-9);
        assert!(curve.distance(Point::new(15.0, 15.0)) < 0.1);
        assert!(curve.distance(Point::new(15.0, 40.0)) > 10.0);
    }

    #[test]
    fn revealing_moves_only_what_is_out_of_sight() {
        let camera = Camera { corner: Point::default(), zoom: 1.0 };
        assert_eq!(camera.revealing(Point::new(200.0, 200.0), (400.0, 400.0), 50.0), camera);
        let moved = camera.revealing(Point::new(500.0, 200.0), (400.0, 400.0), 50.0);
        assert!(close(moved.to_view(Point::new(500.0, 200.0)), Point::new(350.0, 200.0)));
    }

    proptest! {
        #[test]
        fn view_and_map_are_inverse(x in -1e4..1e4_f64, y in -1e4..1e4_f64, zoom in 0.1..4.0_f64) {
            let camera = Camera { corner: Point::new(x / 3.0, y / 7.0), zoom };
            prop_assert!(close(camera.to_map(camera.to_view(Point::new(x, y))), Point::new(x, y)));
        }

        #[test]
        fn zooming_holds_the_place_below_the_pointer(x in 0.0..900.0_f64, y in 0.0..900.0_f64, factor in 0.2..5.0_f64) {
            let camera = Camera { corner: Point::new(-40.0, 70.0), zoom: 0.8 };
            let pointer = Point::new(x, y);
            prop_assert!(close(camera.zoomed(pointer, factor).to_map(pointer), camera.to_map(pointer)));
        }
    }
}
