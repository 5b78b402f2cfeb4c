//! Draws the pictures on which a car tries a model before it uses it: `src/models/golden`.
//!
//! `golden_set FOLDER` writes `00.jpg`, `01.jpg`, ... of 640x384, and `labels.txt` with a line for each: number, issuer
//! and text, or two dashes for a road without a plate. Plates are random and nobody's.

use std::fmt::Write as _;
use std::fs::File;
use std::path::PathBuf;

use image::codecs::jpeg::JpegEncoder;
use image::{Rgb, RgbImage};
use outrider_render::car::{BODIES, Car, PAINTS};
use outrider_render::chance::Chance;
use outrider_render::light::TimeOfDay;
use outrider_render::plate::{Design, Texture};
use outrider_render::scene::{Placed, Scene, Vehicle};
use outrider_render::text;
use outrider_render::view::View;

const VIEW: View =
    View { width: 640, height: 384, focal: 1120.0, yaw_deg: 0.0, horizon: 0.4, above_m: 1.35 };

const DESIGNS: [Design; 6] =
    [Design::Ontario, Design::Quebec, Design::NewYork, Design::Gold, Design::German, Design::Dutch];

/// Light, metres ahead, metres to the right, degrees by which the camera is turned: from easy to hard.
const SITUATIONS: [(TimeOfDay, f32, f32, f32); 5] = [
    (TimeOfDay::Day, 3.7, 0.1, 0.0),
    (TimeOfDay::Day, 5.2, -1.4, -11.0),
    (TimeOfDay::Dusk, 3.6, 0.5, 4.0),
    (TimeOfDay::Night, 4.1, -0.3, -3.0),
    (TimeOfDay::Infrared, 4.6, 1.2, 11.0),
];

/// What is written beside roads and is no plate.
const LETTERINGS: [&str; 6] = ["", "EXIT 42", "TAXI", "", "SALE", "NORTH"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Some(folder) = std::env::args().nth(1).map(PathBuf::from) else {
        return Err("usage: golden_set FOLDER".into());
    };
    let mut chance = Chance::new(137);
    let (mut labels, mut n) = (String::new(), 0_u64);
    let write = |n: u64, picture: &RgbImage| -> Result<(), Box<dyn std::error::Error>> {
        let file = File::create(folder.join(format!("{n:02}.jpg")))?;
        Ok(JpegEncoder::new_with_quality(file, 65).encode_image(picture)?)
    };
    for (light, ahead_m, across_m, yaw_deg) in SITUATIONS {
        for design in DESIGNS {
            let painted = design.random_text(&mut chance);
            let plate = Texture::plate(design, &painted, n);
            let car = Car::new(*chance.pick(&BODIES), *chance.pick(&PAINTS));
            let placed = Placed {
                car: &car,
                plate_m: plate.size_m(),
                across_m,
                ahead_m: ahead_m + chance.between(-0.2, 0.2),
                oncoming: false,
                closing_mps: 2.0,
            };
            let view = View { yaw_deg, ..VIEW };
            let mut picture = RgbImage::new(VIEW.width, VIEW.height);
            let mut scene = Scene::new(view, light, 0.001, n);
            scene.draw(&mut picture, &[Vehicle { placed, plate: &plate }], 0.0, 0.0, &mut chance);
            write(n, &picture)?;
            let text: String = painted.split_whitespace().collect();
            writeln!(labels, "{n:02} {} {text}", design.jurisdiction())?;
            n += 1;
        }
    }
    for lettering in LETTERINGS {
        let mut picture = RgbImage::new(VIEW.width, VIEW.height);
        let mut scene = Scene::new(VIEW, TimeOfDay::Day, 0.001, n);
        scene.draw(&mut picture, &[], 40.0 * n as f64, 0.0, &mut chance);
        let (x, y) = (chance.between(60.0, 380.0), chance.between(60.0, 260.0));
        text::draw(&mut picture, x, y, 34.0, Rgb([236, 236, 228]), lettering);
        write(n, &picture)?;
        writeln!(labels, "{n:02} - -")?;
        n += 1;
    }
    std::fs::write(folder.join("labels.txt"), labels)?;
    Ok(())
}
