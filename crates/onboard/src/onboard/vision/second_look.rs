//! Reads a doubtful plate again, slanted to the left and to the right, and joins the readings; and along its lines, where
//! these slope.
//!
//! Plates are seen from the side, curved and under hoods, so their characters lean; and a reader
//! that is sure of a wrong character is rarely sure of it at every slant. The OCR joins the looks
//! by text: each text's probability is the geometric mean over them. Only doubtful plates are read
//! again: those with a doubtful text, and those with a doubtful box, because a box that ends within
//! the plate gives a text that is short and sure. Plates that are sure, and texts that are too poor
//! to become reads, are left alone. Measured in docs/decisions/0026-looks-that-lean.md; where the
//! looks are taken is in 0029-looked-for-from-closer.md, which boxes are doubtful in
//! 0100-a-box-in-doubt.md.
//!
//! A camera that looks over the corner of a car sees a plate whose lines rise or fall. Its upright box holds more bodywork than
//! plate. Such a plate is also read three times along the slope that its pixels show (`conditions.rs`), and the surer of the
//! two readings counts: 0144-along-its-lines.md.

use super::candidate::{Detection, Slots};
use super::plausible;
use super::scale::{Region, sides};
use crate::geometry::{Point, Quad, Rect};

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
        Region::Box(b) => fallen(b, b.h, 0.0),
    };
    [LEAN, -LEAN].map(|lean| Region::Corners(leant(quad, lean)))
}

/// The plate within the upright box of one whose lines fall to the right by `degrees` (less than 90 either way): as wide
/// as the box, and as much lower as its lines fall from one end to the other.
pub(super) fn straightened(b: &Rect, degrees: f32) -> Region {
    let fall = degrees.to_radians().tan() * b.w;
    Region::Corners(fallen(b, (b.h - fall.abs()).max(LOWEST * b.h), fall))
}

/// Corners of a parallelogram as wide as `b` around its middle, `height` high, whose right side lies `fall` lower than its left one.
fn fallen(b: &Rect, height: f32, fall: f32) -> Quad {
    let middle = b.centre().y;
    let at =
        |x, side: f32, edge: f32| Point { x, y: middle + side * fall / 2.0 + edge * height / 2.0 };
    [at(b.x, -1.0, -1.0), at(b.right(), 1.0, -1.0), at(b.right(), 1.0, 1.0), at(b.x, -1.0, 1.0)]
}

/// The surer of two readings, the upright one and the one along the lines. Where they differ only one can be right: the one
/// along the lines is then doubted by half of what the other says, because along a slope that was measured wrong letters change.
pub(super) fn surer(upright: &Slots, mut straight: Slots) -> Slots {
    let text = |slots: &Slots| slots.iter().map(|s| s.best().0).collect::<Vec<u8>>();
    if text(upright) != text(&straight) {
        let doubt = 1.0 - weakest(upright) / 2.0;
        straight.iter_mut().flat_map(|slot| &mut slot.0).for_each(|p| *p *= doubt);
    }
    if weakest(&straight) > weakest(upright) { straight } else { upright.clone() }
}

/// Probability of the least certain character; 0 of no text.
fn weakest(slots: &Slots) -> f32 {
    slots.iter().map(|s| s.best().1.get()).reduce(f32::min).unwrap_or(0.0)
}

/// Whether lines of that many degrees are worth a look along them.
pub(super) fn is_askew(slope: f32) -> bool {
    slope.abs() >= ASKEW
}

/// Slope in degrees from which on a plate in doubt is also read along its lines.
const ASKEW: f32 = 4.0;

/// Height of a straightened plate at least, as a fraction of its box's: a slope that leaves less is a mistake.
const LOWEST: f32 = 0.35;

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
    fn surer_reading_counts_and_is_doubted_where_the_other_says_something_else() {
        let least = |slots: &Slots| (weakest(slots) * 100.0).round() as i32;
        let upright = read("AB1", 0.6);
        assert_eq!(surer(&upright, read("AB7", 0.5)), upright);
        let agreed = surer(&upright, read("AB1", 0.97));
        assert_eq!((agreed[2].best().0, least(&agreed)), (b'1', 97));
        let other = surer(&upright, read("AB7", 0.97));
        assert_eq!((other[2].best().0, least(&other)), (b'7', 68));
        assert_eq!(surer(&upright, read("AB7", 0.8)), upright, "not by enough");
        let alone = surer(&Slots::new(), read("AB7", 0.97));
        assert_eq!(least(&alone), 97);
    }

    #[test]
    fn straightened_plate_fills_the_width_of_its_box_and_as_much_of_its_height_as_its_slope_leaves()
    {
        let upright = Rect { x: 10.0, y: 20.0, w: 100.0, h: 60.0 };
        let corners = |degrees: f32| match straightened(&upright, degrees) {
            Region::Corners(quad) => quad.map(|p| (p.x.round() as i32, p.y.round() as i32)),
            Region::Box(_) => panic!("a straightened plate has corners"),
        };
        let falls = 11.31; // a fifth of the width
        assert_eq!(corners(falls), [(10, 20), (110, 40), (110, 80), (10, 60)]);
        assert_eq!(corners(-falls), [(10, 40), (110, 20), (110, 60), (10, 80)]);
        assert_eq!(corners(0.0), [(10, 20), (110, 20), (110, 80), (10, 80)]);
        let [(_, top), _, _, (_, bottom)] = corners(60.0);
        assert_eq!(bottom - top, 21, "a slope that leaves nothing is a mistake");
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
