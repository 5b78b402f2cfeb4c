//! Flat paints around a plate; rendered cars are in `outrider eval`'s tests, real ones in docs/evaluation/vehicles.md.

use rstest::rstest;

use super::*;
use crate::onboard::frame::{Pixels, Raw};

const PLATE: Rect = Rect { x: 270.0, y: 240.0, w: 100.0, h: 40.0 };

type Rgb = [u8; 3];

/// A street of green, grey and blue, and before it a car of one paint with a plate of one ground.
fn street(paint: Rgb, ground: Rgb) -> Raw {
    let (width, height) = (640_u32, 480_u32);
    let body = Rect { x: 100.0, y: 120.0, w: 440.0, h: 260.0 };
    let at = |i: u32| {
        let (x, y) = ((i % width) as f32, (i / width) as f32);
        let p = crate::geometry::Point { x, y };
        match () {
            () if PLATE.contains(p) => ground,
            () if body.contains(p) => paint,
            () if y < 160.0 => [120, 160, 210],
            () if x < 60.0 => [60, 110, 50],
            () => [110, 110, 112],
        }
    };
    Raw { width, height, bytes: (0..width * height).flat_map(at).collect() }
}

fn seen(pixels: Pixels, plate: &Rect) -> Result<Looks, Unseen> {
    let mut picture = Picture::default();
    picture.refill(&pixels).unwrap();
    look(&picture, plate)
}

fn said(paint: Rgb, ground: Rgb) -> Option<Colour> {
    seen(Pixels::Rgb(street(paint, ground)), &PLATE).unwrap().said()
}

const WHITE_GROUND: Rgb = [205, 205, 205];

#[rstest]
#[case([170, 25, 30], Some(Colour::Red))]
#[case([235, 120, 20], Some(Colour::Orange))]
#[case([230, 190, 30], Some(Colour::Yellow))]
#[case([30, 130, 60], Some(Colour::Green))]
#[case([30, 70, 170], Some(Colour::Blue))]
#[case([110, 30, 130], Some(Colour::Purple))]
#[case([235, 236, 238], Some(Colour::White))]
#[case([140, 142, 145], None)]
#[case([25, 25, 28], None)]
#[case([28, 34, 60], None)]
fn vivid_paint_and_white_are_said_and_the_rest_is_not(
    #[case] paint: Rgb,
    #[case] expected: Option<Colour>,
) {
    assert_eq!(said(paint, WHITE_GROUND), expected);
    if expected != Some(Colour::White) {
        assert_eq!(said(paint, [230, 180, 40]), expected, "beside a yellow plate");
    }
}

#[test]
fn white_is_not_said_without_a_white_plate_to_compare_with() {
    assert_eq!(said([235, 236, 238], [230, 180, 40]), None);
    assert_eq!(said([95, 95, 96], [80, 80, 80]), None, "too dark");
}

#[test]
fn grey_picture_says_no_colour_in_either_format() {
    let raw = street([170, 25, 30], WHITE_GROUND);
    let luma: Vec<u8> = raw.bytes.chunks_exact(3).map(|p| p[0] / 2 + p[1] / 2).collect();
    let grey = Raw { bytes: luma.clone(), ..raw };
    assert_eq!(seen(Pixels::Grey(grey.clone()), &PLATE), Err(Unseen::NoColour));
    // An infrared camera that sends a colour format all the same.
    let bytes = luma.iter().flat_map(|v| [*v; 3]).collect();
    assert_eq!(seen(Pixels::Rgb(Raw { bytes, ..grey }), &PLATE), Err(Unseen::NoColour));
}

#[test]
fn pink_of_infrared_is_a_cast_and_no_red_car() {
    let mut raw = street([150, 150, 150], WHITE_GROUND);
    for p in raw.bytes.chunks_exact_mut(3) {
        let v = u16::from(p[1]);
        (p[1], p[2]) = ((v * 11 / 20) as u8, (v * 7 / 10) as u8);
    }
    assert_eq!(seen(Pixels::Rgb(raw), &PLATE), Err(Unseen::Cast));
}

#[test]
fn vehicle_beyond_the_edge_is_cut_off() {
    let raw = street([170, 25, 30], WHITE_GROUND);
    let top = Rect { y: 5.0, ..PLATE };
    assert_eq!(seen(Pixels::Rgb(raw.clone()), &top), Err(Unseen::CutOff));
    let outside = Rect { x: 2000.0, ..PLATE };
    assert_eq!(seen(Pixels::Rgb(raw), &outside), Err(Unseen::CutOff));
}

#[test]
fn formats_of_a_camera_say_the_same() {
    let raw = street([30, 70, 170], WHITE_GROUND);
    let (w, h) = (raw.width, raw.height);
    let rgb = seen(Pixels::Rgb(raw.clone()), &PLATE).unwrap();
    let jpeg = super::super::jpeg::encode_rgb(&raw.bytes, w, h, 90).unwrap();
    let jpeg = seen(Pixels::Mjpeg(jpeg), &PLATE).unwrap();
    let limited = |p: &[u8]| {
        let [r, g, b] = [p[0], p[1], p[2]].map(f32::from);
        let y = 0.299 * r + 0.587 * g + 0.114 * b;
        let difference = |v: f32, by: f32| (128.0 + (v - y) * by * 224.0 / 255.0) as u8;
        [(16.0 + y * 219.0 / 255.0) as u8, difference(b, 0.564), difference(r, 0.713)]
    };
    let pixels: Vec<_> = raw.bytes.chunks_exact(3).map(limited).collect();
    let bytes = pixels.chunks_exact(2).flat_map(|p| [p[0][0], p[0][1], p[1][0], p[0][2]]);
    let bytes = bytes.collect();
    let yuyv = seen(Pixels::Yuyv(Raw { width: w, height: h, bytes }), &PLATE).unwrap();
    for other in [jpeg, yuyv] {
        assert_eq!(other.said(), Some(Colour::Blue));
        assert!((other.strength - rgb.strength).abs() < 0.15, "{rgb:?} {other:?}");
    }
}

#[test]
fn quantiles_of_few_and_none() {
    assert_eq!(quantile(Vec::new(), 0.5), 0.0);
    assert_eq!(quantile(vec![3.0, 1.0, 2.0], 0.5), 2.0);
    assert_eq!(quantile(vec![3.0, 1.0, 2.0], 1.0), 3.0);
}
