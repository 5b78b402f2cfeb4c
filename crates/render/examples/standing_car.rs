//! Two pictures of a camera of 640x480: a car with its plate ahead, and the road without it.
//!
//! `standing_car PLATE FOLDER` writes `car.jpg` and `road.jpg`. They are what tests/vm shows to a camera in software.

use std::fs::File;
use std::path::PathBuf;

use image::RgbImage;
use image::codecs::jpeg::JpegEncoder;
use outrider_render::car::{Body, Car, PAINTS};
use outrider_render::chance::Chance;
use outrider_render::light::TimeOfDay;
use outrider_render::plate::{Design, Texture};
use outrider_render::scene::{Placed, Scene, Vehicle};
use outrider_render::view::View;

const VIEW: View =
    View { width: 640, height: 480, focal: 1120.0, yaw_deg: 0.0, horizon: 0.4, above_m: 1.35 };

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(text), Some(folder)) = (arguments.next(), arguments.next().map(PathBuf::from)) else {
        return Err("usage: standing_car PLATE FOLDER".into());
    };
    let (car, plate) =
        (Car::new(Body::Sedan, PAINTS[0]), Texture::plate(Design::Ontario, &text, 7));
    let placed = Placed {
        car: &car,
        plate_m: plate.size_m(),
        across_m: 0.0,
        // Any nearer, and the plate reaches the picture's edge, where it does not vote.
        ahead_m: 3.0,
        oncoming: false,
        closing_mps: 0.0,
    };
    let ahead = [Vehicle { placed, plate: &plate }];
    let mut scene = Scene::new(VIEW, TimeOfDay::Day, 0.001, 7);
    for (name, vehicles) in [("car.jpg", &ahead[..]), ("road.jpg", &[])] {
        let mut picture = RgbImage::new(VIEW.width, VIEW.height);
        scene.draw(&mut picture, vehicles, 0.0, 0.0, &mut Chance::new(7));
        JpegEncoder::new_with_quality(File::create(folder.join(name))?, 85)
            .encode_image(&picture)?;
    }
    Ok(())
}
