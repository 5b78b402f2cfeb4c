//! One picture of the drive: backdrop, road, roadside objects, vehicles from far to near, the glow
//! of lamps, and the sensor's grain; and where each plate lies in it.
//!
//! In: the places of the camera and the vehicles. Out: pixels and plate corners. What does not move
//! is computed once. Leaves to others: time, names and formats of plates (the demo).

use image::RgbImage;

use super::car::{Car, dot, minus, unit};
use super::chance::Chance;
use super::light::{Light, Sensor, TimeOfDay};
use super::plate::Texture;
use super::raster::{Corner, Layer};
use super::road::Road;
use super::scenery::{Backdrop, Verge};
use super::view::{Eye, NEAREST_M, Point3, View, p3};
use crate::geometry::{Point, Quad};

/// Farther away, a vehicle is a few pixels in the haze.
pub const FARTHEST_M: f32 = 260.0;

/// The place of a vehicle relative to ours.
#[derive(Clone, Copy)]
pub struct Placed<'a> {
    /// Its shape and colour.
    pub car: &'a Car,
    /// Width and height of its plate in metres.
    pub plate_m: (f32, f32),
    /// Metres to the right of our lane's middle.
    pub across_m: f32,
    /// Metres ahead of the camera to its nearest end.
    pub ahead_m: f32,
    /// Whether it comes towards us (showing its nose).
    pub oncoming: bool,
    /// Metres a second at which it comes closer.
    pub closing_mps: f32,
}

/// A vehicle to be drawn.
#[derive(Clone, Copy)]
pub struct Vehicle<'a> {
    /// Where it is.
    pub placed: Placed<'a>,
    /// Its plate.
    pub plate: &'a Texture,
}

/// Where a plate lies in the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct PlateInView {
    /// Index of its vehicle in the list that was drawn.
    pub vehicle: usize,
    /// Its corners, from its own top left, clockwise.
    pub corners: Quad,
    /// Whether all of it lies in the picture and no other vehicle covers it.
    pub clear: bool,
}

/// Draws pictures of one camera.
pub struct Scene {
    view: View,
    light: Light,
    backdrop: Backdrop,
    road: Road,
    verge: Verge,
    sensor: Sensor,
    layer: Layer,
    /// Seconds that the shutter is open.
    shutter_s: f32,
}

impl Scene {
    /// Prepares a camera's pictures: some 0.2 s at 1280x720.
    pub fn new(view: View, time: TimeOfDay, shutter_s: f32, seed: u64) -> Self {
        let light = Light::of(time);
        Self {
            view,
            light,
            backdrop: Backdrop::new(&view, &light, seed),
            road: Road::new(seed),
            verge: Verge::new(seed),
            sensor: Sensor::new(time, (view.width, view.height)),
            layer: Layer::default(),
            shutter_s,
        }
    }

    /// Draws one picture over the contents of `frame`, which has the view's size. `travelled_m` is
    /// the distance driven so far, `rock` the pixels by which the car has nodded, `chance` the
    /// randomness of the grain.
    pub fn draw(
        &mut self,
        frame: &mut RgbImage,
        vehicles: &[Vehicle<'_>],
        travelled_m: f64,
        rock: f32,
        chance: &mut Chance,
    ) {
        let eye = self.view.at(rock);
        self.backdrop.draw(frame, &eye);
        self.road.draw(frame, &eye, &self.light, travelled_m);
        let standing = self.verge.standing(&eye, travelled_m);
        let mut order: Vec<(f32, Result<usize, usize>)> = Vec::new();
        order.extend(standing.iter().enumerate().map(|(i, s)| (s.depth, Err(i))));
        let depths = vehicles.iter().map(|v| depth(&eye, &v.placed));
        order.extend(depths.enumerate().filter_map(|(i, d)| Some((d?, Ok(i)))));
        order.sort_by(|a, b| b.0.total_cmp(&a.0));
        for (_, what) in order {
            match what {
                Err(i) => self.verge.draw(frame, &eye, &self.light, &standing[i]),
                Ok(i) => self.vehicle(frame, &eye, &vehicles[i]),
            }
        }
        self.sensor.expose(frame, chance);
    }

    fn vehicle(&mut self, frame: &mut RgbImage, eye: &Eye, vehicle: &Vehicle<'_>) {
        let v = &vehicle.placed;
        let Some(hull) = outline(eye, v) else { return };
        let around = |f: fn(f32, f32) -> f32, start: f32, of: fn(&(f32, f32)) -> f32| {
            hull.iter().map(of).fold(start, f)
        };
        let motion = self.motion(eye, v);
        let pad = 2.0 + motion.0.abs().max(motion.1.abs());
        let area = [
            around(f32::min, f32::INFINITY, |p| p.0) - pad,
            around(f32::min, f32::INFINITY, |p| p.1) - pad,
            around(f32::max, f32::NEG_INFINITY, |p| p.0) + pad,
            around(f32::max, f32::NEG_INFINITY, |p| p.1) + pad,
        ];
        let half = v.car.width_m / 2.0;
        let ground = [v.across_m - half, v.across_m + half, v.ahead_m, v.ahead_m + v.car.length_m];
        self.road.shadow(frame, eye, &self.light, ground);
        if !self.layer.start(area, (frame.width(), frame.height())) {
            return;
        }
        let camera = p3(0.0, self.view.above_m, 0.0);
        let mut corners = Vec::with_capacity(12);
        for face in &v.car.faces {
            corners.clear();
            let mut faces_us = false;
            for (c, n) in face.corners.iter().zip(&face.outward) {
                let (at, n) = (eye.turned(place(v, *c)), turn(eye, v, *n));
                faces_us |= dot(n, minus(camera, at)) > 0.0;
                corners.push((at, n));
            }
            if !faces_us {
                continue;
            }
            let mut lit = [Corner { at: camera, colour: [0.0; 3] }; 12];
            for (to, (at, n)) in lit.iter_mut().zip(&corners) {
                let colour = self.light.shade(face.stuff, v.car.paint, *n, *at);
                *to = Corner { at: *at, colour: self.light.through_air(colour, at.z) };
            }
            self.layer.polygon(eye, &lit[..corners.len().min(12)], face.nearer);
        }
        let plate = plate_at(eye, v);
        let front = turn(eye, v, p3(0.0, 0.0, if v.oncoming { 1.0 } else { -1.0 }));
        self.layer.plate(eye, plate, vehicle.plate, self.light.on_plate(plate[0], front));
        self.layer.lay_over(frame, motion);
        if self.light.time.lamps_on() {
            self.glow(frame, eye, v);
        }
    }

    /// How far the vehicle's near end moves in the picture while the shutter is open.
    fn motion(&self, eye: &Eye, v: &Placed<'_>) -> (f32, f32) {
        let travel = v.closing_mps * self.shutter_s;
        let y = 0.6;
        let at = |ahead: f32| eye.turned(p3(v.across_m, y, ahead.max(1.5)));
        let (a, b) =
            (eye.project(at(v.ahead_m + travel / 2.0)), eye.project(at(v.ahead_m - travel / 2.0)));
        (b.0 - a.0, b.1 - a.1)
    }

    /// The light around lit lamps, as the lens scatters it.
    fn glow(&self, frame: &mut RgbImage, eye: &Eye, v: &Placed<'_>) {
        let (colour, strength, reach, y, spread) = if v.oncoming {
            ([1.0, 0.94, 0.80], 0.85, 0.42, v.car.lamp_y(true), 0.36)
        } else {
            ([1.0, 0.16, 0.08], 0.40, 0.24, v.car.lamp_y(false), 0.40)
        };
        for side in [-1.0, 1.0] {
            let x = v.across_m + side * v.car.width_m * spread;
            let p = eye.turned(p3(x, y, v.ahead_m));
            if p.z < 2.0 {
                continue;
            }
            let (cx, cy) = eye.project(p);
            // Halos shrink more slowly than the lamps: half of the halo arises in the lens.
            let radius = eye.view.focal * (reach / p.z + 0.004);
            let strength = strength * (30.0 / (p.z + 22.0)).min(1.0);
            halo(frame, (cx, cy), radius, colour.map(|c| c * strength * 255.0));
        }
    }
}

/// Where the plates of these vehicles lie in a picture, the nearest last, without drawing it.
pub fn plates_in_view(view: &View, vehicles: &[Placed<'_>], rock: f32) -> Vec<PlateInView> {
    let eye = view.at(rock);
    let size = (view.width as f32, view.height as f32);
    let depths = vehicles.iter().map(|v| depth(&eye, v));
    let mut order: Vec<_> = depths.enumerate().filter_map(|(i, d)| Some((d?, i))).collect();
    order.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut seen: Vec<PlateInView> = Vec::new();
    for (_, i) in order {
        let Some(hull) = outline(&eye, &vehicles[i]) else { continue };
        // A later vehicle is nearer and may hide an earlier one.
        for earlier in &mut seen {
            earlier.clear &= !earlier.corners.iter().any(|c| within(&hull, c.x, c.y));
        }
        let plate = plate_at(&eye, &vehicles[i]);
        if plate.iter().all(|c| c.z > NEAREST_M) {
            let corners = plate.map(|c| {
                let (x, y) = eye.project(c);
                Point { x, y }
            });
            let inside = |c: &Point| c.x >= 0.0 && c.y >= 0.0 && c.x <= size.0 && c.y <= size.1;
            if corners.iter().any(inside) {
                let clear = corners.iter().all(inside);
                seen.push(PlateInView { vehicle: i, corners, clear });
            }
        }
    }
    seen
}

/// The distance of a vehicle's middle; `None` if it is not drawn.
fn depth(eye: &Eye, v: &Placed<'_>) -> Option<f32> {
    let middle = p3(v.across_m, 0.0, v.ahead_m + v.car.length_m / 2.0);
    (v.ahead_m + v.car.length_m > NEAREST_M && v.ahead_m < FARTHEST_M).then(|| eye.turned(middle).z)
}

/// A vehicle's plate in the camera's axes.
fn plate_at(eye: &Eye, v: &Placed<'_>) -> [Point3; 4] {
    v.car.plate_corners(v.plate_m, v.oncoming).map(|c| eye.turned(place(v, c)))
}

/// A point of the car on the road, in road metres.
fn place(v: &Placed<'_>, c: Point3) -> Point3 {
    if v.oncoming {
        p3(v.across_m - c.x, c.y, v.ahead_m + v.car.length_m - c.z)
    } else {
        p3(v.across_m + c.x, c.y, v.ahead_m + c.z)
    }
}

/// A direction of the car in the camera's axes.
fn turn(eye: &Eye, v: &Placed<'_>, n: Point3) -> Point3 {
    let n = if v.oncoming { p3(-n.x, n.y, -n.z) } else { n };
    unit(eye.turned(n))
}

/// The outline of a vehicle's box in the picture: the convex hull of its eight corners; corners
/// that are too near are moved to the nearest depth.
fn outline(eye: &Eye, v: &Placed<'_>) -> Option<Vec<(f32, f32)>> {
    let half = v.car.width_m / 2.0 + 0.12;
    let mut points = Vec::with_capacity(8);
    let mut seen = false;
    for x in [-half, half] {
        for y in [0.0, v.car.height_m] {
            for z in [-0.05, v.car.length_m + 0.05] {
                let mut p = eye.turned(p3(v.across_m + x, y, v.ahead_m + z));
                seen |= p.z > NEAREST_M;
                p.z = p.z.max(NEAREST_M);
                points.push(eye.project(p));
            }
        }
    }
    seen.then(|| convex_hull(points))
}

/// The convex hull, counter-clockwise (Andrew's monotone chain).
fn convex_hull(mut points: Vec<(f32, f32)>) -> Vec<(f32, f32)> {
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.total_cmp(&b.1)));
    let turn = |a: (f32, f32), b: (f32, f32), c: (f32, f32)| {
        (b.0 - a.0) * (c.1 - a.1) - (b.1 - a.1) * (c.0 - a.0)
    };
    let chain = |points: &mut dyn Iterator<Item = (f32, f32)>| {
        let mut hull: Vec<(f32, f32)> = Vec::new();
        for p in points {
            while hull.len() > 1 && turn(hull[hull.len() - 2], hull[hull.len() - 1], p) <= 0.0 {
                hull.pop();
            }
            hull.push(p);
        }
        hull.pop();
        hull
    };
    let mut hull = chain(&mut points.iter().copied());
    hull.extend(chain(&mut points.iter().rev().copied()));
    hull
}

fn within(hull: &[(f32, f32)], x: f32, y: f32) -> bool {
    hull.len() > 2
        && (0..hull.len()).all(|i| {
            let (a, b) = (hull[i], hull[(i + 1) % hull.len()]);
            (b.0 - a.0) * (y - a.1) - (b.1 - a.1) * (x - a.0) >= 0.0
        })
}

/// Adds light around a point, which falls to zero at `radius`.
fn halo(frame: &mut RgbImage, at: (f32, f32), radius: f32, colour: [f32; 3]) {
    let (w, h) = (frame.width() as usize, frame.height() as usize);
    let inside = |v: f32, end: usize| (v.max(0.0) as usize).min(end);
    let columns = inside(at.0 - radius, w)..inside(at.0 + radius + 1.0, w);
    let raw: &mut [u8] = frame.as_mut();
    for row in inside(at.1 - radius, h)..inside(at.1 + radius + 1.0, h) {
        let dy = (row as f32 + 0.5 - at.1) / radius;
        for column in columns.clone() {
            let dx = (column as f32 + 0.5 - at.0) / radius;
            let far = dx * dx + dy * dy;
            if far < 1.0 {
                let near = 1.0 - far;
                let share = near * near * near * 0.30 + (near * near).powi(8) * 0.9;
                for (to, c) in raw[(row * w + column) * 3..][..3].iter_mut().zip(colour) {
                    *to = (f32::from(*to) + c * share).min(255.0) as u8;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::car::{Body, PAINTS};

    const VIEW: View = View {
        width: 640,
        height: 360,
        focal: 1120.0,
        yaw_deg: -11.0,
        horizon: 0.4,
        above_m: 1.35,
    };

    fn oncoming(car: &Car, ahead_m: f32) -> Placed<'_> {
        let plate_m = (0.305, 0.152);
        Placed { car, plate_m, across_m: -3.4, ahead_m, oncoming: true, closing_mps: 28.0 }
    }

    #[test]
    fn plate_is_drawn_where_it_is_said_to_be() {
        let car = Car::new(Body::Sedan, PAINTS[2]);
        let plate = Texture::plate(crate::plate::Design::Gold, "ABC 1234", 1);
        let placed = oncoming(&car, 10.0);
        let mut scene = Scene::new(VIEW, TimeOfDay::Day, 0.0, 1);
        let mut frame = RgbImage::new(640, 360);
        scene.draw(&mut frame, &[Vehicle { placed, plate: &plate }], 0.0, 0.0, &mut Chance::new(1));
        let seen = plates_in_view(&VIEW, &[placed], 0.0);
        assert!(seen[0].clear);
        let [a, _, c, _] = seen[0].corners;
        let gold = |x: f32, y: f32| {
            let [r, _, b] = frame.get_pixel(x as u32, y as u32).0;
            i32::from(r) - i32::from(b) > 60
        };
        // The gold between rim and letters is there, and none of it just outside.
        assert!((2..9).any(|i| gold((a.x + c.x) / 2.0, a.y + (c.y - a.y) * i as f32 / 10.0)));
        assert!(!gold(a.x - 4.0, a.y - 4.0) && !gold(c.x + 4.0, c.y + 4.0));
    }

    #[test]
    fn plate_behind_another_car_is_not_clear() {
        let car = Car::new(Body::Van, PAINTS[1]);
        let seen = plates_in_view(&VIEW, &[oncoming(&car, 9.0), oncoming(&car, 16.0)], 0.0);
        let clear = |vehicle| seen.iter().find(|p| p.vehicle == vehicle).is_some_and(|p| p.clear);
        assert!(clear(0) && !clear(1));
    }

    #[test]
    fn hull_of_a_square_with_a_point_inside() {
        let hull = convex_hull(vec![(0.0, 0.0), (2.0, 0.0), (1.0, 1.0), (2.0, 2.0), (0.0, 2.0)]);
        assert_eq!(hull.len(), 4);
        assert!(within(&hull, 1.0, 0.1) && !within(&hull, 3.0, 1.0));
    }
}
