//! Cars as shaded polygons: bodies lofted over a row of cross sections, glass, lamps, wheels.
//!
//! Local metres: x to the car's right, y up from the road, z from its tail (0) to its nose.
//! A car has some 150 polygons, computed once per vehicle; a frame only turns, lights and draws
//! those that face the camera.

use super::view::{Point3, p3};

/// The shape of a vehicle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// Three boxes.
    Sedan,
    /// Short, steep tail.
    Hatchback,
    /// Tall, steep tail.
    Suv,
    /// A tall box.
    Van,
    /// A cab and an open bed.
    Pickup,
}

/// All bodies, commonest first.
pub const BODIES: [Body; 5] = [Body::Sedan, Body::Suv, Body::Hatchback, Body::Van, Body::Pickup];

/// The material of a surface, which decides how light falls on it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Stuff {
    /// The car's own colour, glossy.
    Paint,
    /// Windows, dark with the sky in them.
    Glass,
    /// Rubber, plastic, shadowed gaps.
    Dull([f32; 3]),
    /// Bright trim and rims.
    Metal,
    /// Lit when the lamps are on; this is its colour then.
    HeadLamp,
    TailLamp,
}

/// A flat piece of a car: corners in order, their outward directions, how far it lies on top.
#[derive(Debug, Clone)]
pub(super) struct Face {
    pub(super) corners: Vec<Point3>,
    pub(super) outward: Vec<Point3>,
    pub(super) stuff: Stuff,
    /// Factor on one over depth: more than 1 for a face that lies on another face.
    pub(super) nearer: f32,
}

/// A vehicle's shape and colour.
#[derive(Debug, Clone)]
pub struct Car {
    pub(super) faces: Vec<Face>,
    pub(super) paint: [f32; 3],
    /// Metres from tail to nose.
    pub length_m: f32,
    /// Metres from side to side.
    pub width_m: f32,
    pub(super) height_m: f32,
    /// Height of the plate's middle above the road, at the tail and at the nose.
    plate_y: (f32, f32),
    lamp_y: (f32, f32),
}

/// One cross section of the body: how far along, its lower and upper edge, its half width.
#[derive(Clone, Copy)]
struct Section {
    z: f32,
    low: f32,
    high: f32,
    half: f32,
}

struct Shape {
    length: f32,
    height: f32,
    sections: Vec<Section>,
    /// Positions along the car: windscreen base, roof front, roof back, rear window base.
    cabin: [f32; 4],
    /// Height of the window line and half width of the roof.
    belt: f32,
    roof_half: f32,
    wheel_radius: f32,
    axles: [f32; 2],
    plate_y: (f32, f32),
}

/// Common paints, as sRGB fractions.
pub const PAINTS: [[f32; 3]; 11] = [
    [0.88, 0.89, 0.90],
    [0.10, 0.10, 0.11],
    [0.52, 0.54, 0.56],
    [0.68, 0.70, 0.72],
    [0.80, 0.81, 0.80],
    [0.24, 0.26, 0.29],
    [0.12, 0.22, 0.44],
    [0.55, 0.08, 0.09],
    [0.16, 0.28, 0.22],
    [0.60, 0.54, 0.44],
    [0.20, 0.36, 0.56],
];

impl Car {
    /// Builds a car of this kind and colour.
    pub fn new(body: Body, paint: [f32; 3]) -> Self {
        let shape = shape(body);
        let mut faces = Vec::new();
        hull(&mut faces, &shape.sections);
        cabin(&mut faces, &shape, body);
        wheels(&mut faces, &shape);
        tail(&mut faces, &shape, body);
        nose(&mut faces, &shape);
        let half = shape.sections.iter().map(|s| s.half).fold(0.0, f32::max);
        Self {
            faces,
            paint,
            length_m: shape.length,
            width_m: 2.0 * half,
            height_m: shape.height,
            plate_y: shape.plate_y,
            lamp_y: lamp_y(&shape),
        }
    }

    /// Height of the lamps above the road, at the tail or at the nose.
    pub(super) fn lamp_y(&self, on_nose: bool) -> f32 {
        if on_nose { self.lamp_y.1 } else { self.lamp_y.0 }
    }

    /// The corners of a plate of this size as one reads it: on the tail, or on the nose.
    pub(super) fn plate_corners(&self, size_m: (f32, f32), on_nose: bool) -> [Point3; 4] {
        let (w, h) = (size_m.0 / 2.0, size_m.1 / 2.0);
        // A little in front of the bumper; somebody who reads the nose looks along -z and has +x at
        // the left.
        let (y, z, side) = if on_nose {
            (self.plate_y.1, self.length_m + 0.03, -1.0)
        } else {
            (self.plate_y.0, -0.03, 1.0)
        };
        [(-w, h), (w, h), (w, -h), (-w, -h)].map(|(x, dy)| p3(x * side, y + dy, z))
    }
}

fn lamp_y(s: &Shape) -> (f32, f32) {
    let (tail, nose) = (s.sections[0], s.sections[s.sections.len() - 1]);
    (tail.low + (tail.high - tail.low) * 0.75, nose.low + (nose.high - nose.low) * 0.82)
}

fn shape(body: Body) -> Shape {
    let s = |z, low, high, half| Section { z, low, high, half };
    match body {
        Body::Sedan => Shape {
            length: 4.75,
            height: 1.45,
            sections: vec![
                s(0.0, 0.40, 0.94, 0.76),
                s(0.07, 0.30, 1.00, 0.85),
                s(0.5, 0.25, 1.04, 0.90),
                s(1.2, 0.20, 1.02, 0.915),
                s(3.3, 0.20, 0.97, 0.915),
                s(4.1, 0.22, 0.84, 0.90),
                s(4.5, 0.24, 0.76, 0.86),
                s(4.69, 0.28, 0.68, 0.78),
                s(4.75, 0.40, 0.62, 0.70),
            ],
            cabin: [3.45, 2.65, 1.45, 0.75],
            belt: 0.99,
            roof_half: 0.60,
            wheel_radius: 0.33,
            axles: [0.95, 3.75],
            plate_y: (0.72, 0.47),
        },
        Body::Hatchback => Shape {
            length: 4.15,
            height: 1.48,
            sections: vec![
                s(0.0, 0.38, 0.92, 0.76),
                s(0.07, 0.30, 0.98, 0.84),
                s(0.4, 0.24, 1.02, 0.88),
                s(1.2, 0.20, 1.00, 0.89),
                s(2.8, 0.20, 0.98, 0.89),
                s(3.6, 0.22, 0.85, 0.87),
                s(3.95, 0.24, 0.76, 0.83),
                s(4.1, 0.28, 0.70, 0.76),
                s(4.15, 0.40, 0.62, 0.68),
            ],
            cabin: [2.98, 2.2, 0.55, 0.16],
            belt: 0.99,
            roof_half: 0.60,
            wheel_radius: 0.32,
            axles: [0.72, 3.3],
            plate_y: (0.66, 0.46),
        },
        Body::Suv => Shape {
            length: 4.7,
            height: 1.72,
            sections: vec![
                s(0.0, 0.48, 1.08, 0.80),
                s(0.07, 0.38, 1.14, 0.89),
                s(0.4, 0.32, 1.16, 0.935),
                s(1.2, 0.28, 1.14, 0.945),
                s(3.3, 0.28, 1.12, 0.945),
                s(4.1, 0.30, 1.03, 0.93),
                s(4.5, 0.32, 0.95, 0.89),
                s(4.65, 0.36, 0.88, 0.82),
                s(4.70, 0.48, 0.80, 0.76),
            ],
            cabin: [3.35, 2.6, 0.5, 0.14],
            belt: 1.13,
            roof_half: 0.66,
            wheel_radius: 0.37,
            axles: [0.92, 3.72],
            plate_y: (0.86, 0.56),
        },
        Body::Van => Shape {
            length: 5.2,
            height: 2.05,
            sections: vec![
                s(0.0, 0.46, 1.12, 0.88),
                s(0.06, 0.38, 1.18, 0.95),
                s(0.4, 0.32, 1.22, 0.97),
                s(1.2, 0.28, 1.22, 0.975),
                s(4.1, 0.28, 1.18, 0.975),
                s(4.8, 0.30, 1.02, 0.95),
                s(5.1, 0.34, 0.92, 0.90),
                s(5.2, 0.46, 0.82, 0.82),
            ],
            cabin: [4.55, 3.8, 0.16, 0.05],
            belt: 1.19,
            roof_half: 0.80,
            wheel_radius: 0.35,
            axles: [1.05, 4.2],
            plate_y: (0.78, 0.55),
        },
        Body::Pickup => Shape {
            length: 5.6,
            height: 1.86,
            sections: vec![
                s(0.0, 0.56, 1.16, 0.88),
                s(0.05, 0.46, 1.22, 0.96),
                s(0.4, 0.42, 1.22, 0.985),
                s(2.0, 0.38, 1.22, 0.985),
                s(4.1, 0.38, 1.20, 0.985),
                s(5.0, 0.40, 1.14, 0.97),
                s(5.45, 0.42, 1.08, 0.93),
                s(5.6, 0.52, 0.98, 0.88),
            ],
            cabin: [4.2, 3.55, 2.3, 2.05],
            belt: 1.21,
            roof_half: 0.70,
            wheel_radius: 0.40,
            axles: [1.15, 4.55],
            plate_y: (0.68, 0.62),
        },
    }
}

/// One side of a cross section from the sill up to the deck, as (fraction of the half width,
/// fraction of the height): bulged doors, then a shoulder.
const RING: [(f32, f32); 6] =
    [(0.90, 0.0), (0.985, 0.16), (1.0, 0.5), (0.985, 0.8), (0.93, 0.96), (0.80, 1.0)];

fn hull(faces: &mut Vec<Face>, sections: &[Section]) {
    let ring = |s: &Section| -> Vec<Point3> {
        let at = |(u, v): (f32, f32), side: f32| {
            p3(side * s.half * u, s.low + (s.high - s.low) * v, s.z)
        };
        let right = RING.iter().map(|&r| at(r, 1.0));
        let left = RING.iter().rev().map(|&r| at(r, -1.0));
        right.chain(left).collect()
    };
    let rings: Vec<_> = sections.iter().map(ring).collect();
    let n = rings[0].len();
    // Directions at the corners of the grid, from the neighbours along and around.
    let outward = |i: usize, j: usize| {
        let along = minus(rings[(i + 1).min(rings.len() - 1)][j], rings[i.saturating_sub(1)][j]);
        let around = minus(rings[i][(j + 1).min(n - 1)], rings[i][j.saturating_sub(1)]);
        unit(cross(around, along))
    };
    for i in 0..rings.len() - 1 {
        for j in 0..n - 1 {
            let at = [(i, j), (i, j + 1), (i + 1, j + 1), (i + 1, j)];
            faces.push(Face {
                corners: at.iter().map(|&(i, j)| rings[i][j]).collect(),
                outward: at.iter().map(|&(i, j)| outward(i, j)).collect(),
                stuff: Stuff::Paint,
                nearer: 1.0,
            });
        }
    }
    for (ring, z) in [(&rings[0], -1.0), (&rings[rings.len() - 1], 1.0)] {
        let corners: Vec<_> = ring.clone();
        let outward = corners.iter().map(|c| unit(p3(c.x * 0.25, (c.y - 0.6) * 0.7, z))).collect();
        faces.push(Face { corners, outward, stuff: Stuff::Paint, nearer: 1.0 });
    }
}

fn cabin(faces: &mut Vec<Face>, s: &Shape, body: Body) {
    let [front, roof_front, roof_back, back] = s.cabin;
    let base = s.sections[s.sections.len() / 2].half * 0.93;
    let (belt, top, r) = (s.belt - 0.02, s.height, s.roof_half);
    let low = |x: f32, z| p3(x * base, belt, z);
    let high = |x: f32, z| p3(x * r, top - 0.03, z);
    let quad = |faces: &mut Vec<Face>, c: [Point3; 4], stuff, nearer| {
        let flat = facing_out(&c, p3(0.0, belt, (front + back) / 2.0));
        // Glass is curved: its upper edge mirrors the sky, its lower edge the surroundings.
        let bend = if stuff == Stuff::Glass { 0.32 } else { 0.0 };
        let bent = |c: &Point3| {
            let up = (c.y - belt) / (top - belt) * 2.0 - 1.0;
            unit(p3(flat.x, flat.y + bend * up, flat.z))
        };
        let outward = c.iter().map(bent).collect();
        faces.push(Face { corners: c.to_vec(), outward, stuff, nearer });
    };
    // Pillars and roof in body colour, then the glass laid into them.
    let screen = [low(-1.0, front), high(-1.0, roof_front), high(1.0, roof_front), low(1.0, front)];
    let rear = [low(-1.0, back), high(-1.0, roof_back), high(1.0, roof_back), low(1.0, back)];
    quad(faces, screen, Stuff::Paint, 1.0);
    quad(faces, inset(screen, 0.07, 0.06), Stuff::Glass, 1.003);
    quad(faces, rear, Stuff::Paint, 1.0);
    if body == Body::Van {
        for x in [-1.0, 1.0] {
            let half =
                [rear[0], rear[1], rear[2], rear[3]].map(|c| p3((c.x + x * base) / 2.0, c.y, c.z));
            quad(faces, inset(half, 0.14, 0.16), Stuff::Glass, 1.003);
        }
    } else {
        quad(faces, inset(rear, 0.09, 0.12), Stuff::Glass, 1.003);
    }
    // The roof is slightly arched: brighter in the middle.
    let ridge = |z| p3(0.0, top, z);
    for x in [-1.0, 1.0] {
        let half = [
            high(x, roof_front),
            ridge(roof_front - 0.05),
            ridge(roof_back + 0.05),
            high(x, roof_back),
        ];
        quad(faces, half, Stuff::Paint, 1.0);
    }
    for x in [-1.0, 1.0] {
        let side = [low(x, front), high(x, roof_front), high(x, roof_back), low(x, back)];
        quad(faces, side, Stuff::Paint, 1.0);
        if body == Body::Van {
            let cut = front - 1.15;
            let door = [low(x, front - 0.1), high(x, roof_front), high(x, cut), low(x, cut)];
            quad(faces, inset(door, 0.1, 0.12), Stuff::Glass, 1.003);
        } else {
            quad(faces, inset(side, 0.045, 0.10), Stuff::Glass, 1.003);
            let mid = (roof_front + roof_back) / 2.0;
            let post = [
                p3(x * (base + r) / 2.0 * 1.002, belt, mid + 0.06),
                high(x, mid + 0.05),
                high(x, mid - 0.05),
                p3(x * (base + r) / 2.0 * 1.002, belt, mid - 0.06),
            ];
            quad(faces, post, Stuff::Dull([0.07, 0.07, 0.08]), 1.004);
        }
    }
    // Mirrors.
    for x in [-1.0, 1.0] {
        let (z, y) = (front - 0.25, belt + 0.08);
        let (near, far) = (x * (base + 0.02), x * (base + 0.2));
        for (dz, stuff) in [(0.0, Stuff::Dull([0.1, 0.1, 0.11])), (0.1, Stuff::Paint)] {
            let c = [
                p3(near, y - 0.07, z + dz),
                p3(near, y + 0.07, z + dz),
                p3(far, y + 0.08, z + dz),
                p3(far, y - 0.05, z + dz),
            ];
            let outward = p3(0.0, 0.2, if dz == 0.0 { -1.0 } else { 1.0 });
            faces.push(Face { corners: c.to_vec(), outward: vec![outward; 4], stuff, nearer: 1.0 });
        }
    }
}

fn wheels(faces: &mut Vec<Face>, s: &Shape) {
    let half = s.sections[s.sections.len() / 2].half;
    let disc = |x: f32, z: f32, r: f32, count: usize| -> Vec<Point3> {
        (0..count)
            .map(|i| {
                let (sin, cos) = (i as f32 / count as f32 * std::f32::consts::TAU).sin_cos();
                p3(x, s.wheel_radius + r * sin, z + r * cos)
            })
            .collect()
    };
    for z in s.axles {
        for side in [-1.0, 1.0] {
            let out = p3(side, 0.0, 0.0);
            let mut add = |corners: Vec<Point3>, stuff, nearer| {
                let outward = vec![out; corners.len()];
                faces.push(Face { corners, outward, stuff, nearer });
            };
            let x = side * (half + 0.005);
            add(disc(x, z, s.wheel_radius * 1.16, 12), Stuff::Dull([0.03, 0.03, 0.035]), 1.002);
            add(disc(x, z, s.wheel_radius, 12), Stuff::Dull([0.09, 0.09, 0.095]), 1.004);
            add(disc(x, z, s.wheel_radius * 0.66, 12), Stuff::Metal, 1.006);
            add(disc(x, z, s.wheel_radius * 0.2, 8), Stuff::Dull([0.2, 0.2, 0.21]), 1.007);
            // The tread, visible under the bumper from ahead and behind.
            let (inner, outer) = (side * (half - 0.24), side * (half - 0.015));
            for (dz, dir) in [(-s.wheel_radius * 0.8, -1.0), (s.wheel_radius * 0.8, 1.0)] {
                let c = [
                    p3(inner, 0.0, z + dz * 0.6),
                    p3(inner, s.wheel_radius * 1.4, z + dz),
                    p3(outer, s.wheel_radius * 1.4, z + dz),
                    p3(outer, 0.0, z + dz * 0.6),
                ];
                faces.push(Face {
                    corners: c.to_vec(),
                    outward: vec![p3(0.0, 0.0, dir); 4],
                    stuff: Stuff::Dull([0.07, 0.07, 0.075]),
                    nearer: 1.0,
                });
            }
        }
    }
    // The dark underside, so that one cannot see through under the bumper.
    for (z, dir) in [(s.axles[0] + 0.5, -1.0), (s.axles[1] - 0.5, 1.0)] {
        let (w, y) = (half * 0.9, 0.13);
        let c = [p3(-w, y, z), p3(-w, 0.7, z), p3(w, 0.7, z), p3(w, y, z)];
        faces.push(Face {
            corners: c.to_vec(),
            outward: vec![p3(0.0, 0.0, dir); 4],
            stuff: Stuff::Dull([0.03, 0.03, 0.035]),
            nearer: 1.0,
        });
    }
}

/// Adds an upright panel at `z`, mirrored to both sides when it does not reach the middle.
fn panel(
    faces: &mut Vec<Face>,
    (x0, x1): (f32, f32),
    (y0, y1): (f32, f32),
    z: f32,
    slant: f32,
    stuff: Stuff,
    nearer: f32,
) {
    let direction = if z < 0.5 { -1.0 } else { 1.0 };
    let mut add = |side: f32| {
        // The outer edge lies a little back, because bodies are rounded there.
        let back = |x: f32| z - direction * slant * x;
        let c = [(x0, y0), (x0, y1), (x1, y1), (x1, y0)].map(|(x, y)| p3(x * side, y, back(x)));
        let outward = unit(p3(side * slant, 0.12, direction));
        faces.push(Face { corners: c.to_vec(), outward: vec![outward; 4], stuff, nearer });
    };
    add(1.0);
    if x0 >= 0.0 && x1 > 0.0 {
        add(-1.0);
    }
}

const SEAM: Stuff = Stuff::Dull([0.05, 0.05, 0.055]);
const PLASTIC: Stuff = Stuff::Dull([0.11, 0.11, 0.12]);

fn tail(faces: &mut Vec<Face>, s: &Shape, body: Body) {
    let end = s.sections[0];
    let (low, high, half) = (end.low, end.high, end.half);
    let y = |v: f32| low + (high - low) * v;
    // Bumper, its black insert, the recess around the plate, the lid's seam.
    let (wide, _) = (half * 0.98, ());
    panel(faces, (0.0, wide), (low - 0.08, y(0.30)), -0.015, 0.03, PLASTIC, 1.001);
    panel(faces, (0.0, wide), (y(0.13), y(0.33)), -0.02, 0.03, Stuff::Paint, 1.0015);
    panel(faces, (0.0, wide), (y(0.335), y(0.352)), -0.02, 0.03, SEAM, 1.002);
    let (cy, _) = s.plate_y;
    panel(
        faces,
        (0.0, 0.31),
        (cy - 0.10, cy + 0.11),
        -0.018,
        0.0,
        Stuff::Dull([0.16, 0.16, 0.17]),
        1.002,
    );
    panel(faces, (0.0, 0.31), (cy + 0.115, cy + 0.14), -0.02, 0.0, Stuff::Metal, 1.0025);
    let lamps = match body {
        Body::Van | Body::Pickup => (half * 0.84, half * 1.0, y(0.42), y(1.0)),
        Body::Suv => (half * 0.58, half * 1.04, y(0.66), y(0.92)),
        _ => (half * 0.56, half * 1.03, y(0.60), y(0.88)),
    };
    panel(faces, (lamps.0, lamps.1), (lamps.2, lamps.3), -0.02, 0.06, Stuff::TailLamp, 1.0025);
    let middle = (lamps.2 + lamps.3) / 2.0;
    let white = Stuff::Dull([0.75, 0.74, 0.72]);
    let inner = lamps.0 + (lamps.1 - lamps.0) * 0.08;
    let outer = lamps.0 + (lamps.1 - lamps.0) * 0.34;
    panel(faces, (inner, outer), (middle - 0.02, middle + 0.025), -0.022, 0.06, white, 1.003);
    panel(
        faces,
        (half * 0.86, half * 0.95),
        (y(0.16), y(0.24)),
        -0.024,
        0.03,
        Stuff::Dull([0.5, 0.06, 0.05]),
        1.003,
    );
    if body == Body::Van {
        panel(faces, (0.0, 0.008), (y(0.36), high), -0.02, 0.0, SEAM, 1.002);
    }
}

fn nose(faces: &mut Vec<Face>, s: &Shape) {
    let end = s.sections[s.sections.len() - 1];
    let (low, high, half) = (end.low, end.high, end.half);
    let z = s.length + 0.012;
    let h = high - low;
    let y = |v: f32| low + h * v;
    panel(faces, (0.0, half * 1.02), (low - 0.16, y(0.10)), z - 0.02, 0.10, PLASTIC, 1.001);
    panel(faces, (0.0, half * 0.62), (low - 0.10, y(-0.05)), z, 0.04, SEAM, 1.002);
    // Grille with bars, a badge, headlamps swept around the corners.
    panel(
        faces,
        (0.0, half * 0.56),
        (y(0.52), y(0.98)),
        z,
        0.04,
        Stuff::Dull([0.06, 0.06, 0.065]),
        1.002,
    );
    for bar in [0.62, 0.76, 0.90] {
        panel(
            faces,
            (0.0, half * 0.55),
            (y(bar) - 0.008, y(bar) + 0.008),
            z + 0.004,
            0.04,
            Stuff::Metal,
            1.003,
        );
    }
    panel(
        faces,
        (0.0, 0.055),
        (y(0.76) - 0.045, y(0.76) + 0.045),
        z + 0.01,
        0.0,
        Stuff::Metal,
        1.004,
    );
    let (inner, outer) = (half * 0.62, half * 1.12);
    panel(
        faces,
        (inner, outer),
        (y(0.58), y(1.06)),
        z,
        0.16,
        Stuff::Dull([0.16, 0.17, 0.18]),
        1.010,
    );
    panel(
        faces,
        (inner + 0.03, outer - 0.09),
        (y(0.66), y(0.97)),
        z + 0.006,
        0.16,
        Stuff::HeadLamp,
        1.012,
    );
    panel(
        faces,
        (half * 0.84, half * 0.98),
        (y(-0.08), y(0.1)),
        z + 0.004,
        0.10,
        Stuff::Dull([0.55, 0.56, 0.55]),
        1.006,
    );
    let (_, cy) = s.plate_y;
    panel(
        faces,
        (0.0, 0.28),
        (cy - 0.085, cy + 0.085),
        z + 0.008,
        0.0,
        Stuff::Dull([0.08, 0.08, 0.085]),
        1.003,
    );
}

/// A quadrilateral within another: inset by a fraction along, and by one from base to top.
fn inset(q: [Point3; 4], along: f32, up: f32) -> [Point3; 4] {
    let mix = |a: Point3, b: Point3, t: f32| {
        p3(a.x + (b.x - a.x) * t, a.y + (b.y - a.y) * t, a.z + (b.z - a.z) * t)
    };
    // Corners: base start, top start, top end, base end.
    let at = |u: f32, v: f32| mix(mix(q[0], q[1], v), mix(q[3], q[2], v), u);
    [at(along, up), at(along, 1.0 - up), at(1.0 - along, 1.0 - up), at(1.0 - along, up)]
}

/// The normal of the plane that points away from `inside`.
fn facing_out(c: &[Point3; 4], inside: Point3) -> Point3 {
    let n = unit(cross(minus(c[1], c[0]), minus(c[3], c[0])));
    if dot(n, minus(c[0], inside)) < 0.0 { p3(-n.x, -n.y, -n.z) } else { n }
}

pub(super) fn minus(a: Point3, b: Point3) -> Point3 {
    p3(a.x - b.x, a.y - b.y, a.z - b.z)
}

pub(super) fn dot(a: Point3, b: Point3) -> f32 {
    a.x * b.x + a.y * b.y + a.z * b.z
}

fn cross(a: Point3, b: Point3) -> Point3 {
    p3(a.y * b.z - a.z * b.y, a.z * b.x - a.x * b.z, a.x * b.y - a.y * b.x)
}

pub(super) fn unit(a: Point3) -> Point3 {
    let length = dot(a, a).sqrt().max(1e-9);
    p3(a.x / length, a.y / length, a.z / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_body_stands_on_the_road_and_faces_outwards() {
        for body in BODIES {
            let car = Car::new(body, PAINTS[0]);
            let mut away = 0;
            for face in &car.faces {
                for (c, n) in face.corners.iter().zip(&face.outward) {
                    assert!(c.y >= -0.08 && c.y <= car.height_m + 0.01, "{body:?} {c:?}");
                    assert!((dot(*n, *n) - 1.0).abs() < 0.1, "{body:?} {n:?}");
                    let middle = p3(0.0, 0.7, car.length_m / 2.0);
                    away += i32::from(dot(*n, minus(*c, middle)) > 0.0) * 2 - 1;
                }
            }
            assert!(away > 0, "{body:?}");
        }
    }

    #[test]
    fn plate_reads_from_left_to_right_on_both_ends() {
        let car = Car::new(Body::Sedan, PAINTS[0]);
        let tail = car.plate_corners((0.3, 0.15), false);
        assert!(tail[0].x < tail[1].x && tail[0].y > tail[3].y && tail[0].z < 0.0);
        let nose = car.plate_corners((0.3, 0.15), true);
        assert!(nose[0].x > nose[1].x && nose[0].z > car.length_m);
    }
}
