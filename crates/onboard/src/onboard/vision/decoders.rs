//! Converts a detector's raw output to boxes, with one function per layout, and suppresses
//! overlaps.
//!
//! All coordinates are pixels of the network's input; the detector maps them to the frame.

use crate::geometry::{Point, Quad, Rect};

/// A box as the network sees it.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RawBox {
    pub(super) bbox: Rect,
    pub(super) corners: Option<Quad>,
    pub(super) score: f32,
}

/// Most peaks before suppression: a frame with more is noise.
const MOST_PEAKS: usize = 60;

/// Ours: `[13, rows, columns]`, see `models/README.md`.
pub(super) fn centre(
    data: &[f32],
    (rows, columns): (usize, usize),
    stride: f32,
    threshold: f32,
    out: &mut Vec<RawBox>,
) {
    let plane = rows * columns;
    let heat = &data[..plane];
    // Logits are compared: the threshold is converted once and not each cell.
    let least = (threshold / (1.0 - threshold)).ln();
    let at = |channel: usize, cell: usize| data[channel * plane + cell];
    for y in 0..rows {
        let row = &heat[y * columns..(y + 1) * columns];
        for (x, &v) in row.iter().enumerate() {
            if v <= least || !is_peak(heat, (rows, columns), (y, x), v) {
                continue;
            }
            let cell = y * columns + x;
            let (cx, cy) = ((x as f32 + 0.5) * stride, (y as f32 + 0.5) * stride);
            // e^5 strides is wider than any input: an extreme output is still a box.
            let reach = |channel| at(channel, cell).clamp(-4.0, 5.0).exp() * stride;
            let (l, t, r, b) = (reach(1), reach(2), reach(3), reach(4));
            let corner = |i: usize| Point {
                x: cx + at(5 + 2 * i, cell) * 16.0,
                y: cy + at(6 + 2 * i, cell) * 16.0,
            };
            out.push(RawBox {
                bbox: Rect { x: cx - l, y: cy - t, w: l + r, h: t + b },
                corners: Some([corner(0), corner(1), corner(2), corner(3)]),
                score: 1.0 / (1.0 + (-v).exp()),
            });
        }
    }
}

fn is_peak(heat: &[f32], (rows, columns): (usize, usize), (y, x): (usize, usize), v: f32) -> bool {
    (y.saturating_sub(1)..(y + 2).min(rows)).all(|ny| {
        let (from, to) = (x.saturating_sub(1), (x + 2).min(columns));
        heat[ny * columns + from..ny * columns + to].iter().all(|n| *n <= v)
    })
}

/// Rows after suppression: `[n, 7]` (picture, box, class, score) or `[n, 6]` (box, score, class).
pub(super) fn rows(data: &[f32], width: usize, threshold: f32, out: &mut Vec<RawBox>) {
    for row in data.chunks_exact(width) {
        let (xyxy, score) = if width == 7 { (&row[1..5], row[6]) } else { (&row[..4], row[4]) };
        let finite = row.iter().all(|v| v.is_finite());
        if finite && score >= threshold {
            let (a, b) = (Point { x: xyxy[0], y: xyxy[1] }, Point { x: xyxy[2], y: xyxy[3] });
            out.push(RawBox { bbox: Rect::from_corners(a, b), corners: None, score });
        }
    }
}

/// `[4 + classes, anchors]`, before suppression; any class counts as a plate.
pub(super) fn anchors(
    data: &[f32],
    (channels, anchors): (usize, usize),
    threshold: f32,
    out: &mut Vec<RawBox>,
) {
    let channel = |c: usize| &data[c * anchors..(c + 1) * anchors];
    for c in 4..channels {
        for (i, &score) in channel(c).iter().enumerate() {
            if score >= threshold {
                let (cx, cy, w, h) = (channel(0)[i], channel(1)[i], channel(2)[i], channel(3)[i]);
                if [cx, cy, w, h].iter().all(|v| v.is_finite()) && w > 0.0 && h > 0.0 {
                    let bbox = Rect { x: cx - w / 2.0, y: cy - h / 2.0, w, h };
                    out.push(RawBox { bbox, corners: None, score });
                }
            }
        }
    }
}

/// Sorts by score and drops everything that overlaps a better box by `iou` or more; `of` returns
/// score and box.
pub(super) fn suppress<T>(found: &mut Vec<T>, iou: f32, of: impl Fn(&T) -> (f32, Rect)) {
    found.sort_by(|a, b| of(b).0.total_cmp(&of(a).0));
    found.truncate(MOST_PEAKS);
    let mut kept = 0;
    for i in 0..found.len() {
        let bbox = of(&found[i]).1;
        if found[..kept].iter().all(|k| of(k).1.iou(&bbox) < iou) {
            found.swap(kept, i);
            kept += 1;
        }
    }
    found.truncate(kept);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A 13-channel output without any peak.
    fn quiet(rows: usize, columns: usize) -> Vec<f32> {
        let mut data = vec![0.0; 13 * rows * columns];
        data[..rows * columns].fill(-6.0);
        data
    }

    #[test]
    fn one_peak_gives_one_box_with_corners() {
        let (rows, columns) = (4, 6);
        let mut data = quiet(rows, columns);
        let cell = columns + 2;
        data[cell] = 2.0;
        data[cell + 1] = 1.0; // its shoulder
        for (c, v) in [(1, 3.0_f32), (2, 1.0), (3, 2.0), (4, 0.5)] {
            data[c * 24 + cell] = v.ln();
        }
        for (c, v) in (5..13).zip([-1.5, -0.5, 1.0, -0.5, 1.0, 0.25, -1.5, 0.25]) {
            data[c * 24 + cell] = v;
        }
        let mut out = Vec::new();
        centre(&data, (rows, columns), 8.0, 0.35, &mut out);
        assert_eq!(out.len(), 1);
        let b = &out[0];
        assert!((b.score - 0.8808).abs() < 1e-3);
        assert_eq!((b.bbox.x.round(), b.bbox.y.round()), (20.0 - 24.0, 12.0 - 8.0));
        assert_eq!((b.bbox.w.round(), b.bbox.h.round()), (40.0, 12.0));
        assert_eq!(b.corners.unwrap()[2], Point { x: 36.0, y: 16.0 });
    }

    #[test]
    fn runaway_and_nan_outputs_do_not_panic() {
        let mut data = quiet(2, 2);
        data.fill(f32::NAN);
        let mut out = Vec::new();
        centre(&data, (2, 2), 8.0, 0.35, &mut out);
        assert!(out.is_empty());
        data.fill(1e30);
        centre(&data, (2, 2), 8.0, 0.35, &mut out);
        rows(&[f32::NAN; 14], 7, 0.2, &mut out);
        anchors(&[f32::INFINITY; 50], (5, 10), 0.2, &mut out);
        suppress(&mut out, 0.4, |b| (b.score, b.bbox));
    }

    #[test]
    fn both_row_layouts_mean_the_same() {
        let (mut seven, mut six) = (Vec::new(), Vec::new());
        rows(&[0., 10., 20., 60., 40., 0., 0.9, 0., 1., 2., 3., 4., 0., 0.1], 7, 0.25, &mut seven);
        rows(&[10., 20., 60., 40., 0.9, 0.], 6, 0.25, &mut six);
        assert_eq!(seven, six);
        assert_eq!(six[0].bbox, Rect { x: 10.0, y: 20.0, w: 50.0, h: 20.0 });
    }

    #[test]
    fn overlapping_anchors_are_suppressed_and_neighbours_are_not() {
        // Five anchors of one class: two on one plate, one beside it, two too weak.
        let data = [
            [100., 102., 300., 100., 5.],
            [50., 51., 50., 50., 5.],
            [40., 40., 40., 40., 1.],
            [20., 20., 20., 20., 1.],
            [0.8, 0.9, 0.7, 0.1, 0.2],
        ]
        .concat();
        let mut out = Vec::new();
        anchors(&data, (5, 5), 0.25, &mut out);
        suppress(&mut out, 0.5, |b| (b.score, b.bbox));
        let scores: Vec<_> = out.iter().map(|b| b.score).collect();
        assert_eq!(scores, [0.9, 0.7]);
    }
}
