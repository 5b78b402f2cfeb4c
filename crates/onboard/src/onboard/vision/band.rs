//! Learns in which rows of a large picture the plates are: a road's vehicles lie in a band below the
//! horizon.
//!
//! As wide as the picture and as high as makes the network's input no larger than a piece's, the band
//! can be searched in each picture at a piece's cost. It lies over most of the plates that the pieces
//! found of late, which are searched in turn and so tell of all rows alike; where most plates are in
//! no band of that height, there is none. In: plates that were found in pieces. Out: the band, in
//! pixels of the picture. Costs: nothing; searching it costs the caller a run of the detector.
//! Measured in docs/decisions/0145-the-roads-band.md.

use std::collections::VecDeque;

use super::pieces::{CUT, STEP};
use crate::geometry::Rect;

/// Sides of a network's input are multiples of this.
const MULTIPLE: u32 = 32;

/// Least height of the network's input: lower, and most plates would be cut.
const LEAST_ROWS: u32 = 96;

/// Number of sightings that are remembered: some ten seconds of a road with traffic.
const REMEMBERED: usize = 48;

/// Number of sightings from which on there is a band: three vehicles, each at three places.
const LEAST: usize = 8;

/// Share of the sightings that must lie in it: some of a road's vehicles are so near that they are
/// below it, and those are large.
const SHARE: f32 = 0.75;

/// Overlap from which on a sighting is the same plate at the same place as an earlier one: a vehicle
/// that stands counts once.
const SAME: f32 = 0.5;

/// The band of pictures of one size.
#[derive(Debug, Default)]
pub(super) struct Band {
    /// Width and height of the network's input.
    input: (u32, u32),
    /// Width and height of the picture.
    picture: (f32, f32),
    /// Height of the band.
    height: f32,
    seen: VecDeque<Rect>,
    place: Option<Rect>,
}

impl Band {
    /// Pictures of this size, for a network whose input for a piece has that size.
    pub(super) fn of(picture: (u32, u32), input: (u32, u32)) -> Self {
        let columns = (picture.0 as f32 / STEP).ceil() as u32;
        let columns = columns.next_multiple_of(MULTIPLE).max(MULTIPLE);
        let rows = input.0 * input.1 / columns / MULTIPLE * MULTIPLE;
        if rows < LEAST_ROWS {
            return Self::default();
        }
        let picture = (picture.0 as f32, picture.1 as f32);
        let height = (rows as f32 * STEP).min(picture.1);
        Self { input: (columns, rows), picture, height, ..Self::default() }
    }

    /// Width and height of the network's input.
    pub(super) fn input(&self) -> (u32, u32) {
        self.input
    }

    /// Where the band is, if there is one.
    pub(super) fn place(&self) -> Option<Rect> {
        self.place
    }

    /// Takes note of a plate that was found in a piece. One of more than half the band's height is
    /// found in the whole picture.
    pub(super) fn learn(&mut self, plate: Rect) {
        if plate.h * 2.0 > self.height {
            return;
        }
        self.seen.retain(|earlier| earlier.iou(&plate) < SAME);
        if self.seen.len() == REMEMBERED {
            self.seen.pop_front();
        }
        self.seen.push_back(plate);
        self.place = self.over_most();
    }

    /// The band over most of the plates, with as much room above them as below.
    fn over_most(&self) -> Option<Rect> {
        let room = self.height - 2.0 * CUT * STEP;
        let within = |top: f32| {
            self.seen.iter().filter(move |plate| plate.y >= top && plate.bottom() <= top + room)
        };
        let tops = self.seen.iter().map(|plate| plate.y);
        let top = tops.max_by_key(|top| within(*top).count())?;
        let held = within(top).count();
        if self.seen.len() < LEAST || (held as f32) < SHARE * self.seen.len() as f32 {
            return None;
        }
        let bottom = within(top).map(Rect::bottom).fold(top, f32::max);
        let y = ((top + bottom - self.height) / 2.0).round();
        let y = y.clamp(0.0, self.picture.1 - self.height);
        Some(Rect { x: 0.0, y, w: self.picture.0, h: self.height })
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn plate(x: f32, y: f32) -> Rect {
        Rect { x, y, w: 60.0, h: 30.0 }
    }

    #[rstest]
    #[case::three_megapixels(2048, 1536, (704, 320))]
    #[case::wide(3840, 1080, (1280, 192))]
    #[case::four_k(3840, 2160, (1280, 192))]
    #[case::eight_k(7680, 4320, (2560, 96))]
    #[case::too_wide(12_000, 4000, (0, 0))]
    fn band_costs_no_more_than_a_piece(#[case] w: u32, #[case] h: u32, #[case] input: (u32, u32)) {
        let band = Band::of((w, h), (640, 384));
        assert_eq!(band.input(), input);
        assert!(input.0 * input.1 <= 640 * 384);
    }

    #[test]
    fn vehicle_that_stands_counts_once_and_does_not_place_the_band() {
        let mut band = Band::of((3840, 2160), (640, 384));
        for i in 0..100 {
            band.learn(plate(1900.0 + (i % 3) as f32, 1600.0));
        }
        assert_eq!(band.place(), None);
        for i in 0..12 {
            band.learn(plate(100.0 * i as f32, 950.0 + 20.0 * i as f32));
        }
        let place = band.place().unwrap();
        assert!(place.y < 950.0 && place.bottom() > 1200.0 && place.bottom() < 1600.0, "{place:?}");
    }

    #[test]
    fn band_follows_the_road_uphill() {
        let mut band = Band::of((3840, 2160), (640, 384));
        let mut at = |y: f32| {
            (0..60).for_each(|i| band.learn(plate(62.0 * i as f32, y + 5.0 * (i % 9) as f32)));
            band.place().unwrap()
        };
        let (level, uphill) = (at(1100.0), at(700.0));
        assert_eq!((level.y, uphill.y), (1100.0 + 35.0 - 288.0, 700.0 + 35.0 - 288.0));
    }

    #[test]
    fn band_stays_within_the_picture() {
        let mut band = Band::of((3840, 2160), (640, 384));
        (0..20).for_each(|i| band.learn(plate(150.0 * i as f32, 2120.0)));
        assert_eq!(band.place().map(|b| b.bottom()), Some(2160.0));
    }
}
