//! From a picture's planes to small planes: a region is cut, scaled or flattened.
//!
//! Luma and chroma are scaled separately from the size in which the camera sent them, so a 1080p
//! frame on its way to a 640x384 network is never a full-size RGB picture.

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{
    CropBox, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer, SrcCropping,
};

use super::colour::Small;
use super::picture::{Picture, Plane};
use crate::geometry::{Point, Quad, Rect};

/// What part of a picture to take.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Region {
    /// An upright box.
    Box(Rect),
    /// What lies between four corners, flattened.
    Corners(Quad),
}

/// The mean of the source pixels under a target pixel, as the detectors were trained with (OpenCV's
/// INTER_AREA); bilinear where a picture has to grow. Measured on the prototype's development half:
/// reads of US frames 87.4 % folded, 84.7 % with a triangle filter, 86.5 % without antialiasing.
pub(super) const AREA: ResizeAlg = ResizeAlg::Convolution(FilterType::Box);
/// The filter with which the OCR's training crops were made.
pub(super) const LINEAR: ResizeAlg = ResizeAlg::Interpolation(FilterType::Bilinear);

/// Scales regions of pictures; keeps its buffers.
#[derive(Default)]
pub(super) struct Scaler {
    resizer: Resizer,
    planes: [Vec<u8>; 3],
}

impl Scaler {
    /// Takes a region to `width` x `height`; with its colours only if they are wanted and there.
    pub(super) fn scale(
        &mut self,
        picture: &Picture,
        region: &Region,
        (width, height): (u32, u32),
        filter: ResizeAlg,
        coloured: bool,
    ) -> Small<'_> {
        let luma = picture.luma();
        let chroma = picture.chroma().filter(|_| coloured);
        let [y, cb, cr] = &mut self.planes;
        let mut take = |plane: &Plane<'_>, out: &mut Vec<u8>| {
            let scale = (
                plane.stride as f32 / luma.stride as f32,
                plane.rows() as f32 / luma.rows() as f32,
            );
            out.resize((width * height) as usize, 0);
            match region {
                Region::Box(r) => {
                    resize_box(&mut self.resizer, plane, r, scale, out, (width, height), filter);
                }
                Region::Corners(quad) => warp(plane, quad, scale, out, (width, height)),
            }
        };
        take(&luma, y);
        if let Some([blue, red]) = &chroma {
            take(blue, cb);
            take(red, cr);
        }
        let chroma = chroma.is_some().then_some([cb.as_slice(), cr.as_slice()]);
        Small { width, luma: y, chroma, range: picture.range() }
    }
}

fn resize_box(
    resizer: &mut Resizer,
    plane: &Plane<'_>,
    r: &Rect,
    scale: (f32, f32),
    out: &mut [u8],
    (width, height): (u32, u32),
    filter: ResizeAlg,
) {
    let (stride, rows) = (plane.stride, plane.rows());
    // At least one sample wide, and inside the plane in double precision too.
    let left = f64::from(r.x * scale.0).clamp(0.0, f64::from(plane.width) - 1.0);
    let top = f64::from(r.y * scale.1).clamp(0.0, f64::from(plane.height) - 1.0);
    let crop = CropBox {
        left,
        top,
        width: f64::from(r.w * scale.0).clamp(1.0, f64::from(stride) - left),
        height: f64::from(r.h * scale.1).clamp(1.0, f64::from(rows) - top),
    };
    let grows = crop.width < f64::from(width) || crop.height < f64::from(height);
    let filter = if filter == AREA && grows { LINEAR } else { filter };
    let options = ResizeOptions {
        algorithm: filter,
        cropping: SrcCropping::Crop(crop),
        mul_div_alpha: false,
    };
    let from =
        ImageRef::new(stride, rows, plane.bytes, PixelType::U8).expect("a plane holds whole rows");
    let mut to = Image::from_slice_u8(width, height, out, PixelType::U8)
        .expect("the buffer was sized for it");
    resizer.resize(&from, &mut to, &options).expect("the crop lies inside the plane");
}

/// Flattens a quadrilateral, bilinear.
fn warp(
    plane: &Plane<'_>,
    quad: &Quad,
    scale: (f32, f32),
    out: &mut [u8],
    (width, height): (u32, u32),
) {
    let h = from_unit_square(&quad.map(|p| Point { x: p.x * scale.0, y: p.y * scale.1 }));
    let (last_x, last_y) = ((plane.width - 1) as f32, (plane.height - 1) as f32);
    let at = |x: usize, y: usize| f32::from(plane.bytes[y * plane.stride as usize + x]);
    for (j, row) in out.chunks_exact_mut(width as usize).enumerate() {
        let v = (j as f32 + 0.5) / height as f32;
        for (i, value) in row.iter_mut().enumerate() {
            let u = (i as f32 + 0.5) / width as f32;
            let w = h[6] * u + h[7] * v + 1.0;
            let x = ((h[0] * u + h[1] * v + h[2]) / w - 0.5).clamp(0.0, last_x);
            let y = ((h[3] * u + h[4] * v + h[5]) / w - 0.5).clamp(0.0, last_y);
            let (x0, y0) = (x as usize, y as usize);
            let (fx, fy) = (x - x0 as f32, y - y0 as f32);
            let (x1, y1) =
                ((x0 + 1).min(plane.width as usize - 1), (y0 + 1).min(plane.height as usize - 1));
            let above = at(x0, y0) * (1.0 - fx) + at(x1, y0) * fx;
            let below = at(x0, y1) * (1.0 - fx) + at(x1, y1) * fx;
            *value = (above * (1.0 - fy) + below * fy + 0.5) as u8;
        }
    }
}

/// The projective map that takes (0,0), (1,0), (1,1), (0,1) to four corners; the ninth entry is 1.
fn from_unit_square(q: &Quad) -> [f32; 8] {
    let [a, b, c, d] = *q;
    let (sx, sy) = (a.x - b.x + c.x - d.x, a.y - b.y + c.y - d.y);
    let (dx1, dy1, dx2, dy2) = (b.x - c.x, b.y - c.y, d.x - c.x, d.y - c.y);
    let det = dx1 * dy2 - dx2 * dy1;
    let (g, h) = if det.abs() < 1e-6 {
        (0.0, 0.0)
    } else {
        ((sx * dy2 - dx2 * sy) / det, (dx1 * sy - sx * dy1) / det)
    };
    [
        b.x - a.x + g * b.x,
        d.x - a.x + h * d.x,
        a.x,
        b.y - a.y + g * b.y,
        d.y - a.y + h * d.y,
        a.y,
        g,
        h,
    ]
}

/// Mean width and height of a quadrilateral.
pub(super) fn sides(q: &Quad) -> (f32, f32) {
    let length = |a: Point, b: Point| (a.x - b.x).hypot(a.y - b.y);
    (
        (length(q[0], q[1]) + length(q[3], q[2])) / 2.0,
        (length(q[0], q[3]) + length(q[1], q[2])) / 2.0,
    )
}
