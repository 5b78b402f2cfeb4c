//! Divides a picture that is too large for the network's input into pieces, and decides which is
//! next.
//!
//! A detector scales the whole picture to its input. With three pixels of the picture per network
//! pixel, as in 1920x1080, it finds plates of all widths that can be read; a picture of 3840x2160
//! has six, and half of its plates are lost. Such a picture is searched in pieces that overlap by
//! the width of a large plate; even larger plates are found in the whole picture at reduced size.
//! A camera's first three pictures show all of them, so that what is there at the start is found at once.
//! Once the road's band is known (`band.rs`), it is searched in each picture and a piece in every
//! third, so that nothing is left out for good. In: sizes, and where plates were found. Out: parts,
//! in pixels of the picture. Costs: nothing; each part costs the caller a run of the detector.
//! Measured in docs/decisions/0127-pieces-of-a-large-picture.md and
//! docs/decisions/0145-the-roads-band.md.

use super::band::Band;
use crate::geometry::Rect;

/// Picture pixels per network pixel in a piece: 1920x1080 has three in a network of 640x384. It is
/// a whole number, because scaling by those costs half.
pub(super) const STEP: f32 = 3.0;

/// Most picture pixels per network pixel at which a picture is searched as a whole: a tenth more
/// loses less than pieces cost.
const COARSEST: f32 = 3.34;

/// Least overlap of pieces across, in network pixels. A plate of this width lies within one of
/// them.
pub(super) const OVERLAP: f32 = 96.0;

/// The same from top to bottom: plates are half as high as wide.
const OVERLAP_DOWN: f32 = 48.0;

/// Distance from a piece's edge, in network pixels, within which the end of a box means that the
/// edge has cut it.
pub(super) const CUT: f32 = 4.0;

/// The pieces of pictures of one size, and which of them is searched next.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    picture: (u32, u32),
    pieces: Vec<Piece>,
    band: Band,
    /// Number of pictures so far.
    pictures: u64,
    /// Number of pieces searched so far.
    looks: u64,
}

/// What is searched of a camera's next picture.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    /// The road's band, if it is known.
    pub(super) band: Option<Rect>,
    /// The pieces whose turn it is: one or none, several in the first pictures.
    pub(super) pieces: Vec<Rect>,
    /// Whether the whole picture is searched too, at reduced size: a plate larger than the overlap
    /// is near, and stays for longer.
    pub(super) whole: bool,
}

#[derive(Debug, Clone, PartialEq)]
struct Piece {
    place: Rect,
    /// The number of the search in which it was last covered; zero if never.
    seen: u64,
    /// Number of plates that were recently found in it outside the band; older searches count for
    /// less.
    plates: f32,
}

/// Factor for older plates at each search.
const FADING: f32 = 0.9;

/// How much more often a piece with all plates is searched than one without any: cars pass through
/// the road's band of the picture, and enter it from the other pieces.
const FAVOUR: f32 = 2.0;

/// One of this many pictures is also searched as a whole.
const WHOLE_EVERY: u64 = 3;

/// Where the band is known, one of this many pictures is also searched in a piece: with the band's
/// cost, which is that of a piece, it makes a third more.
const PIECE_EVERY: u64 = 3;

/// Number of pictures in which all pieces are searched for the first time.
const FIRST_ROUND: usize = 3;

impl Pieces {
    /// Divides pictures of this size for a network's input of that size, unless it was done before.
    /// A network whose input may have other sizes can also search a band (`free`).
    pub(super) fn cut(&mut self, picture: (u32, u32), input: (u32, u32), free: bool) {
        if self.picture == picture {
            return;
        }
        *self = Self { picture, ..Self::default() };
        let (w, h) = (picture.0 as f32, picture.1 as f32);
        let (columns, rows) = (input.0 as f32, input.1 as f32);
        if (w / columns).max(h / rows) <= COARSEST {
            return;
        }
        let across = starts(w, columns * STEP, OVERLAP * STEP);
        let down = starts(h, rows * STEP, OVERLAP_DOWN * STEP);
        let (width, height) = ((columns * STEP).min(w), (rows * STEP).min(h));
        let places = down.iter().flat_map(|y| across.iter().map(move |x| (*x, *y)));
        let piece =
            |(x, y)| Piece { place: Rect { x, y, w: width, h: height }, seen: 0, plates: 0.0 };
        self.pieces = places.map(piece).collect();
        if free {
            self.band = Band::of(picture, input);
        }
    }

    /// Whether pictures are searched as a whole.
    pub(super) fn is_whole(&self) -> bool {
        self.pieces.is_empty()
    }

    /// All pieces.
    pub(super) fn all(&self) -> impl Iterator<Item = Rect> {
        self.pieces.iter().map(|piece| piece.place)
    }

    /// What is searched of a camera's next picture; `None` if pictures are searched as a whole.
    pub(super) fn turn(&mut self) -> Option<Turn> {
        if self.is_whole() {
            return None;
        }
        self.pictures += 1;
        let band = self.band.place();
        let pieces = self.number_due(band.is_some());
        let pieces = (0..pieces).filter_map(|_| self.next()).collect();
        Some(Turn { band, pieces, whole: self.pictures % WHOLE_EVERY == 1 })
    }

    /// Number of pieces that are searched in this picture.
    fn number_due(&self, has_band: bool) -> usize {
        let unseen = self.pieces.iter().filter(|piece| piece.seen == 0).count();
        if unseen > 0 {
            return unseen.min(self.pieces.len().div_ceil(FIRST_ROUND));
        }
        usize::from(!has_band || self.pictures % PIECE_EVERY == 2)
    }

    /// The size of the network's input that shows the band at a piece's sharpness.
    pub(super) fn band_input(&self) -> (u32, u32) {
        self.band.input()
    }

    /// The next piece: the one that has waited longest, where pieces with plates count as waiting
    /// longer.
    fn next(&mut self) -> Option<Rect> {
        self.looks += 1;
        let looks = self.looks;
        let most = self.pieces.iter().map(|piece| piece.plates).fold(f32::MIN_POSITIVE, f32::max);
        let waited = |piece: &Piece| match piece.seen {
            0 => f32::INFINITY,
            seen => (looks - seen) as f32 * (1.0 + (FAVOUR - 1.0) * piece.plates / most),
        };
        let due = self.pieces.iter_mut().max_by(|a, b| {
            // Of equals the lower one is taken, because the road is below.
            waited(a).total_cmp(&waited(b)).then(a.place.y.total_cmp(&b.place.y))
        })?;
        due.seen = looks;
        due.plates *= FADING;
        Some(due.place)
    }

    /// Takes note of the plates that were found in a piece.
    pub(super) fn count(&mut self, place: &Rect, plates: &[Rect]) {
        let band = self.band.place();
        let is_outside = |plate: &&Rect| band.is_none_or(|b| !self.holds(&b, plate));
        let outside = plates.iter().filter(is_outside).count();
        if let Some(piece) = self.pieces.iter_mut().find(|piece| piece.place == *place) {
            piece.plates += outside as f32;
        }
        plates.iter().for_each(|plate| self.band.learn(*plate));
    }

    /// Whether a plate lies in a part of the picture in such a way that no edge cuts it.
    pub(super) fn holds(&self, part: &Rect, plate: &Rect) -> bool {
        part.contains(plate.centre()) && !self.is_cut(plate, part, STEP)
    }

    /// Whether a box ends where the piece does and the picture does not: the plate continues.
    pub(super) fn is_cut(&self, bbox: &Rect, piece: &Rect, scale: f32) -> bool {
        let (w, h) = (self.picture.0 as f32, self.picture.1 as f32);
        let near = CUT * scale;
        let inside = |end: f32, at: f32, last: f32| end < at + near && at > last;
        inside(bbox.x, piece.x, 0.0)
            || inside(bbox.y, piece.y, 0.0)
            || inside(-bbox.right(), -piece.right(), -w)
            || inside(-bbox.bottom(), -piece.bottom(), -h)
    }
}

/// Where pieces of a length begin, so that they cover the whole and overlap by at least `overlap`.
fn starts(whole: f32, piece: f32, overlap: f32) -> Vec<f32> {
    if piece >= whole {
        return vec![0.0];
    }
    let gaps = ((whole - piece) / (piece - overlap).max(1.0)).ceil().max(1.0);
    (0..=gaps as usize).map(|i| ((whole - piece) * i as f32 / gaps).round()).collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const INPUT: (u32, u32) = (640, 384);

    fn cut(w: u32, h: u32) -> Pieces {
        let mut pieces = Pieces::default();
        pieces.cut((w, h), INPUT, true);
        pieces
    }

    #[rstest]
    #[case::vga(640, 480, 0)]
    #[case::hd(1280, 720, 0)]
    #[case::full_hd(1920, 1080, 0)]
    #[case::three_megapixels(2048, 1536, 4)]
    #[case::wide(3840, 1080, 3)]
    #[case::four_k(3840, 2160, 6)]
    #[case::eight_k(7680, 4320, 25)]
    fn how_many_pieces(#[case] w: u32, #[case] h: u32, #[case] n: usize) {
        assert_eq!(cut(w, h).all().count(), n);
        assert_eq!(cut(w, h).is_whole(), n == 0);
    }

    #[test]
    fn every_plate_of_the_overlaps_width_lies_whole_in_a_piece() {
        let pieces = cut(3840, 2160);
        for (x, y) in
            (0..3840 - 300).step_by(20).flat_map(|x| (0..2000).step_by(20).map(move |y| (x, y)))
        {
            let plate = Rect { x: x as f32, y: y as f32, w: 280.0, h: 140.0 };
            let whole = |p: &Rect| {
                plate.x >= p.x
                    && plate.y >= p.y
                    && plate.right() <= p.right()
                    && plate.bottom() <= p.bottom()
            };
            assert!(pieces.all().any(|p| whole(&p)), "{plate:?}");
        }
    }

    #[test]
    fn every_piece_has_its_turn_and_those_with_plates_oftener() {
        let mut pieces = cut(3840, 2160);
        let busy = pieces.all().nth(3).unwrap();
        let mut turns = vec![0; 6];
        let mut longest = 0;
        let mut since = 0;
        for _ in 0..180 {
            let place = pieces.next().unwrap();
            let at = pieces.all().position(|p| p == place).unwrap();
            turns[at] += 1;
            since += 1;
            if at == 3 {
                longest = longest.max(since);
                since = 0;
                let plate = |y| Rect { x: 400.0, y, w: 80.0, h: 40.0 };
                pieces.count(&busy, &[plate(1300.0), plate(1900.0)]);
            }
        }
        assert!(turns.iter().all(|n| *n >= 20), "{turns:?}");
        assert!(turns[3] > 45 && longest <= 6, "{turns:?}, {longest} looks between two");
    }

    #[rstest]
    #[case::three_megapixels(2048, 1536)]
    #[case::four_k(3840, 2160)]
    #[case::eight_k(7680, 4320)]
    fn first_three_pictures_show_every_piece_and_later_ones_one_each(
        #[case] w: u32,
        #[case] h: u32,
    ) {
        let mut pieces = cut(w, h);
        let turns: Vec<_> = (0..33).map(|_| pieces.turn().unwrap().pieces).collect();
        let (first, later) = turns.split_at(3);
        assert!(pieces.all().all(|piece| first.concat().contains(&piece)), "{first:?}");
        assert!(first.iter().all(|turn| turn.len() <= pieces.all().count().div_ceil(3)));
        assert!(later.iter().all(|turn| turn.len() == 1));
    }

    #[test]
    fn box_at_an_edge_within_the_picture_is_cut_and_one_at_the_pictures_edge_is_not() {
        let pieces = cut(3840, 2160);
        let left = pieces.all().next().unwrap();
        let plate = Rect { x: left.right() - 100.0, y: 300.0, w: 98.0, h: 50.0 };
        assert!(pieces.is_cut(&plate, &left, 3.3));
        assert!(!pieces.is_cut(&Rect { x: 500.0, ..plate }, &left, 3.3));
        assert!(!pieces.is_cut(&Rect { x: 1.0, y: 1.0, ..plate }, &left, 3.3));
    }

    /// Vehicles that come along the road, in the rows in which a camera that looks ahead shows them.
    fn road(i: usize) -> Rect {
        let way = (i % 25) as f32;
        Rect { x: 1400.0 - 50.0 * way, y: 960.0 + 12.0 * way, w: 40.0 + 2.0 * way, h: 20.0 + way }
    }

    #[test]
    fn roads_band_is_searched_in_every_picture_once_it_is_known_and_every_piece_still_in_turn() {
        let mut pieces = cut(3840, 2160);
        let mut turns = [0_usize; 6];
        let (mut bands, mut searched, mut i) = (0, 0, 0);
        for n in 0..120 {
            let turn = pieces.turn().unwrap();
            bands += usize::from(turn.band.is_some());
            for place in turn.pieces {
                let at = pieces.all().position(|p| p == place).unwrap();
                let found: Vec<_> = (0..3).map(|k| road(i + 9 * k)).collect();
                i += 1;
                let there = |plate: &Rect| pieces.holds(&place, plate);
                pieces.count(&place, &found.into_iter().filter(there).collect::<Vec<_>>());
                if n >= 48 {
                    turns[at] += 1;
                }
            }
            if let (Some(band), true) = (turn.band, n >= 48) {
                searched += 1;
                assert!((0..25).all(|i| pieces.holds(&band, &road(i))), "{band:?}");
            }
        }
        assert!(
            bands > 90 && searched == 72,
            "{bands} pictures with a band, {searched} at the end"
        );
        assert_eq!(turns.iter().sum::<usize>(), 24, "a third of 72 pictures");
        assert!(turns.iter().all(|n| *n >= 3), "{turns:?}");
    }

    #[test]
    fn plates_of_all_rows_and_a_network_of_one_size_have_no_band() {
        let mut anywhere = cut(3840, 2160);
        let mut fixed = Pieces::default();
        fixed.cut((3840, 2160), INPUT, false);
        for n in 0..120 {
            let y = [100.0, 700.0, 1250.0, 1900.0][n % 4];
            let plate = Rect { x: (n * 31) as f32, y, w: 80.0, h: 40.0 };
            for (pieces, plate) in [(&mut anywhere, plate), (&mut fixed, road(n))] {
                let turn = pieces.turn().unwrap();
                assert_eq!(turn.band, None);
                pieces.count(&turn.pieces[0], &[plate]);
            }
        }
    }
}
