//! Reads a doubtful plate again, slanted to the left and to the right, and joins the readings.
//!
//! Plates are seen from the side, curved and under hoods, so their characters lean; and a reader
//! that is sure of a wrong character is rarely sure of it at every slant. The OCR joins the looks
//! by text: each text's probability is the geometric mean over them. Only doubtful plates are read
//! again: those with a doubtful text, and those with a doubtful box, because a box that ends within
//! the plate gives a text that is short and sure. Plates that are sure, and texts that are too poor
//! to become reads, are left alone. Measured in docs/decisions/0026-looks-that-lean.md; where the
//! looks are taken is in 0029-looked-for-from-closer.md, which boxes are doubtful in
//! 0100-a-box-in-doubt.md.

use super::candidate::{Detection, Slots};
use super::plausible;
use super::scale::{Region, sides};
use crate::geometry::{Point, Quad};

/// Probability of the least certain character from which on a plate is sure enough.
///
/// Of the development half's single looks with reader 0.4.0, 99.7 % of the 371 above 0.95 are
/// right, 97.7 % of those from 0.9 to 0.95, 88 % of those from 0.5 to 0.9 (true crops).
const SURE: f32 = 0.95;
/// Probability below which there is hardly a plate to read: of 18 such reads of labelled plates 3
/// were right.
const HOPELESS: f32 = 0.3;

/// Lowest detector score of a plate that is read again: with less, no text makes it a read
/// (`reading.min_plausibility` by default, [`plausible::KNOWN`] at best).
const WORTH: f32 = 0.35 / plausible::KNOWN;

/// Detector score below which a box may be only a part of the plate, however sure its text is.
const POORLY_FOUND: f32 = 0.5;

/// By how much the upper edge is moved against the lower one, as a fraction of the plate's height:
/// seven degrees.
const LEAN: f32 = 0.12;

/// The numbers of the plates to read again.
pub(super) fn doubtful<'a>(
    found: &'a [Detection],
    read: &'a [Slots],
) -> impl Iterator<Item = usize> + 'a {
    found.iter().zip(read).enumerate().filter_map(|(i, (plate, slots))| {
        let weakest = slots.iter().map(|s| s.best().1.get()).reduce(f32::min)?;
        let score = plate.score.get();
        let in_doubt = weakest < SURE || score < POORLY_FOUND;
        (in_doubt && weakest >= HOPELESS && score >= WORTH).then_some(i)
    })
}

/// The same region slanted to the right, and to the left.
pub(super) fn leaning(region: &Region) -> [Region; 2] {
    let quad = match region {
        Region::Corners(quad) => *quad,
        Region::Box(b) => [
            Point { x: b.x, y: b.y },
            Point { x: b.right(), y: b.y },
            Point { x: b.right(), y: b.bottom() },
            Point { x: b.x, y: b.bottom() },
        ],
    };
    [LEAN, -LEAN].map(|lean| Region::Corners(leant(quad, lean)))
}

fn leant(quad: Quad, lean: f32) -> Quad {
    let (_, height) = sides(&quad);
    let by = lean * height / 2.0;
    let [a, b, c, d] = quad;
    [(a, by), (b, by), (c, -by), (d, -by)].map(|(p, by)| Point { x: p.x + by, y: p.y })
}

#[cfg(test)]
mod tests {
    use super::super::candidate::{Confidence, Slot};
    use super::*;
    use crate::geometry::Rect;
    use crate::plate::symbol_index;

    fn read(text: &str, p: f32) -> Slots {
        text.bytes()
            .map(|c| {
                let mut slot = Slot([0.0; 36]);
                slot.0[usize::from(symbol_index(c))] = p;
                slot
            })
            .collect()
    }

    fn found(score: f32) -> Detection {
        let bbox = Rect { x: 0.0, y: 0.0, w: 100.0, h: 50.0 };
        Detection { bbox, corners: None, score: Confidence::new(score) }
    }

    #[test]
    fn only_plates_in_doubt_are_looked_at_again() {
        let reads = [read("AB1", 0.999), read("AB1", 0.8), read("AB1", 0.1), Slots::new()];
        let plates = vec![found(0.9); 4];
        assert_eq!(doubtful(&plates, &reads).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn what_can_be_a_read_is_looked_at_again_and_what_cannot_is_not() {
        let least = crate::config::ReadingConfig::default().min_plausibility / plausible::KNOWN;
        let reads = vec![read("AB1", 0.8); 2];
        let plates = [found(least - 0.01), found(least + 0.01)];
        assert_eq!(doubtful(&plates, &reads).collect::<Vec<_>>(), [1]);
    }

    #[test]
    fn plate_that_is_poorly_found_is_looked_at_again_however_sure_its_text_is() {
        let reads = vec![read("FD08ZY", 0.998); 3];
        let plates = [found(0.31), found(0.49), found(0.51)];
        assert_eq!(doubtful(&plates, &reads).collect::<Vec<_>>(), [0, 1]);
    }

    #[test]
    fn leaning_moves_the_edges_and_not_the_middle() {
        let upright = Region::Box(Rect { x: 10.0, y: 20.0, w: 100.0, h: 50.0 });
        let [right, left] = leaning(&upright).map(|r| match r {
            Region::Corners(quad) => quad,
            Region::Box(_) => panic!("a box cannot lean"),
        });
        let near = |p: Point, (x, y): (f32, f32)| (p.x - x).hypot(p.y - y) < 0.1;
        assert!(near(right[0], (13.0, 20.0)) && near(right[3], (7.0, 70.0)), "{right:?}");
        assert!(near(left[1], (107.0, 20.0)) && near(left[2], (113.0, 70.0)), "{left:?}");
        let Region::Corners(back) = leaning(&Region::Corners(right))[1] else { panic!("corners") };
        assert!(near(back[0], (10.0, 20.0)) && near(back[2], (110.0, 70.0)), "{back:?}");
    }
}
