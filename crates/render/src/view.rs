//! The camera's view: converts metres of road to pixels of the picture.
//!
//! Metres: x to the right, y up from the road, z ahead, with the origin on the road under the
//! camera. The camera turns about the upright axis only; looking down is a shift of the picture, as
//! with a shift lens, which keeps uprights upright and depth constant along a row.

/// A point in metres, in the module's axes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point3 {
    /// Right.
    pub x: f32,
    /// Up.
    pub y: f32,
    /// Ahead.
    pub z: f32,
}

/// Shorthand for a point.
pub const fn p3(x: f32, y: f32, z: f32) -> Point3 {
    Point3 { x, y, z }
}

/// Nothing nearer than this is drawn.
pub const NEAREST_M: f32 = 0.6;

/// A camera's place, direction and lens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct View {
    /// Pixels per row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// Focal length in pixels.
    pub focal: f32,
    /// Degrees to the right of straight ahead.
    pub yaw_deg: f32,
    /// Row of the horizon, as a fraction of the height.
    pub horizon: f32,
    /// Metres above the road.
    pub above_m: f32,
}

/// A view at one instant, with its sines computed and the car's rocking applied.
#[derive(Debug, Clone, Copy)]
pub struct Eye {
    /// The view.
    pub view: View,
    sin: f32,
    cos: f32,
    /// Column of the picture's middle.
    pub middle: f32,
    /// Row of the horizon now.
    pub horizon: f32,
}

impl View {
    /// The view with the picture shifted down by `rock` pixels, as the car rocks.
    pub fn at(&self, rock: f32) -> Eye {
        let (sin, cos) = self.yaw_deg.to_radians().sin_cos();
        Eye {
            view: *self,
            sin,
            cos,
            middle: self.width as f32 / 2.0,
            horizon: self.height as f32 * self.horizon + rock,
        }
    }
}

impl Eye {
    /// From road metres to the camera's own axes (x right, y up from the road, z along the view).
    pub fn turned(&self, p: Point3) -> Point3 {
        p3(p.x * self.cos - p.z * self.sin, p.y, p.x * self.sin + p.z * self.cos)
    }

    /// From the camera's axes back to road metres.
    pub fn unturned(&self, p: Point3) -> Point3 {
        p3(p.x * self.cos + p.z * self.sin, p.y, p.z * self.cos - p.x * self.sin)
    }

    /// Column and row of a point in the camera's axes.
    pub fn project(&self, p: Point3) -> (f32, f32) {
        let scale = self.view.focal / p.z;
        (self.middle + p.x * scale, self.horizon + (self.view.above_m - p.y) * scale)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn straight_ahead_on_the_horizon_and_there_and_back() {
        let view = View {
            width: 1280,
            height: 720,
            focal: 2000.0,
            yaw_deg: 0.0,
            horizon: 0.4,
            above_m: 1.3,
        };
        let eye = view.at(0.0);
        assert_eq!(eye.project(eye.turned(p3(0.0, 1.3, 20.0))), (640.0, 288.0));
        let eye = View { yaw_deg: 12.0, ..view }.at(0.0);
        let there = eye.turned(p3(3.0, 0.5, 9.0));
        let back = eye.unturned(there);
        assert!((back.x - 3.0).abs() < 1e-4 && (back.z - 9.0).abs() < 1e-4);
    }
}
