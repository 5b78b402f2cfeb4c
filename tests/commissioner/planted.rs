//! The vehicles that pass, which of them are listed, and what is searched for.

use crate::common::car;
use crate::common::search::Search;

pub(crate) const VEHICLES: usize = 60;
/// Every twelfth is on the list.
pub(crate) const LISTED: usize = 12;

/// Eight characters with a pattern that chance does not make: what is found was put there.
pub(crate) fn passing() -> Vec<String> {
    (0..VEHICLES).map(|n| format!("ZK{n:02}QXJ{}", n % 10)).collect()
}

pub(crate) fn is_listed(n: usize) -> bool {
    n.is_multiple_of(LISTED)
}

/// The picture of a vehicle's plate in each quality in which any part of the program writes one.
pub(crate) fn pictures(vehicle: usize) -> Vec<Vec<u8>> {
    let crop = car::crop(vehicle as u64);
    let image = turbojpeg::Image {
        pixels: crop.rgb.as_slice(),
        width: crop.width as usize,
        pitch: crop.width as usize * 3,
        height: crop.height as usize,
        format: turbojpeg::PixelFormat::RGB,
    };
    let jpeg = |quality| {
        let mut encoder = turbojpeg::Compressor::new().unwrap();
        encoder.set_quality(quality).unwrap();
        encoder.set_subsamp(turbojpeg::Subsamp::Sub2x2).unwrap();
        encoder.compress_to_vec(image).unwrap()
    };
    // Ring, hit, officer's page, and the pixels themselves.
    vec![jpeg(75), jpeg(85), jpeg(92), crop.rgb.clone()]
}

/// Looks for the vehicles of which `which` says yes, by plate and picture.
pub(crate) fn search_for(which: impl Fn(usize) -> bool) -> Search {
    let chosen: Vec<usize> = (0..VEHICLES).filter(|&n| which(n)).collect();
    let plates: Vec<String> = chosen.iter().map(|&n| passing()[n].clone()).collect();
    let pictures: Vec<Vec<Vec<u8>>> = chosen.iter().map(|&n| pictures(n)).collect();
    Search::new(&plates, &pictures)
}

pub(crate) struct Needles {
    pub(crate) strangers: Search,
    pub(crate) listed: Search,
}

pub(crate) const HITS: usize = VEHICLES / LISTED;
pub(crate) const STRANGERS: usize = VEHICLES - HITS;
