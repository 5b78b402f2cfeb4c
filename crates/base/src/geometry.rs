//! Points, boxes and quadrilaterals, in pixels of the frame they were found in; x to the right,
//! y down, the origin at the outer corner of the first pixel.

use serde::{Deserialize, Serialize};

/// A point in a picture.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Pixels from the left edge.
    pub x: f32,
    /// Pixels from the top edge.
    pub y: f32,
}

/// Four corners, clockwise from the plate's own top left.
pub type Quad = [Point; 4];

/// An upright box: left, top, width, height.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rect {
    /// Left edge.
    pub x: f32,
    /// Top edge.
    pub y: f32,
    /// Width; never negative.
    pub w: f32,
    /// Height; never negative.
    pub h: f32,
}

impl Rect {
    /// The box between two opposite corners, whichever way round they come.
    pub fn from_corners(a: Point, b: Point) -> Self {
        Self { x: a.x.min(b.x), y: a.y.min(b.y), w: (a.x - b.x).abs(), h: (a.y - b.y).abs() }
    }

    /// The smallest upright box around four corners.
    pub fn around(quad: &Quad) -> Self {
        let (mut x0, mut y0) = (f32::INFINITY, f32::INFINITY);
        let (mut x1, mut y1) = (f32::NEG_INFINITY, f32::NEG_INFINITY);
        for p in quad {
            (x0, y0) = (x0.min(p.x), y0.min(p.y));
            (x1, y1) = (x1.max(p.x), y1.max(p.y));
        }
        Self { x: x0, y: y0, w: x1 - x0, h: y1 - y0 }
    }

    /// Right edge.
    pub fn right(&self) -> f32 {
        self.x + self.w
    }

    /// Bottom edge.
    pub fn bottom(&self) -> f32 {
        self.y + self.h
    }

    /// Middle of the box.
    pub fn centre(&self) -> Point {
        Point { x: self.x + self.w / 2.0, y: self.y + self.h / 2.0 }
    }

    /// Area in square pixels.
    pub fn area(&self) -> f32 {
        self.w * self.h
    }

    /// Whether the point lies inside or on the edge.
    pub fn contains(&self, p: Point) -> bool {
        p.x >= self.x && p.x <= self.right() && p.y >= self.y && p.y <= self.bottom()
    }

    /// Intersection over union, 0 (apart) to 1 (the same box).
    pub fn iou(&self, other: &Self) -> f32 {
        let w = self.right().min(other.right()) - self.x.max(other.x);
        let h = self.bottom().min(other.bottom()) - self.y.max(other.y);
        if w <= 0.0 || h <= 0.0 {
            return 0.0;
        }
        let both = w * h;
        both / (self.area() + other.area() - both)
    }

    /// The box grown by a fraction of its own width and height on each side.
    pub fn grown(&self, fraction: f32) -> Self {
        let (dx, dy) = (self.w * fraction, self.h * fraction);
        Self { x: self.x - dx, y: self.y - dy, w: self.w + 2.0 * dx, h: self.h + 2.0 * dy }
    }

    /// The part of the box that lies inside a picture of this size.
    pub fn clipped(&self, width: f32, height: f32) -> Self {
        let (x0, y0) = (self.x.clamp(0.0, width), self.y.clamp(0.0, height));
        let (x1, y1) = (self.right().clamp(0.0, width), self.bottom().clamp(0.0, height));
        Self { x: x0, y: y0, w: x1 - x0, h: y1 - y0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_overlapping_boxes() {
        let a = Rect { x: 0.0, y: 0.0, w: 10.0, h: 10.0 };
        let b = Rect { x: 5.0, y: 0.0, w: 10.0, h: 10.0 };
        assert!((a.iou(&b) - 1.0 / 3.0).abs() < 1e-6);
        assert_eq!(a.iou(&Rect { x: 20.0, ..a }), 0.0);
        assert_eq!(a.iou(&a), 1.0);
    }

    #[test]
    fn box_reaching_over_the_edge_is_clipped() {
        let r = Rect { x: -5.0, y: 90.0, w: 20.0, h: 20.0 }.clipped(100.0, 100.0);
        assert_eq!(r, Rect { x: 0.0, y: 90.0, w: 15.0, h: 10.0 });
    }
}
