//! The picture that benches look at: one oncoming car by day, of our own rendering.

use image::RgbImage;
use outrider::render::car::{Body, Car};
use outrider::render::chance::Chance;
use outrider::render::light::TimeOfDay;
use outrider::render::plate::{Design, Texture};
use outrider::render::scene::{Placed, Scene, Vehicle};
use outrider::render::view::View;

/// A car coming towards us, its plate a twentieth of the picture wide.
pub(crate) fn picture((width, height): (u32, u32)) -> RgbImage {
    let view = View {
        width,
        height,
        focal: width as f32 * 1.75,
        yaw_deg: -11.0,
        horizon: 0.4,
        above_m: 1.35,
    };
    let car = Car::new(Body::Van, [0.80, 0.81, 0.80]);
    let plate = Texture::plate(Design::Ontario, "CKSV 841", 3);
    let placed = Placed {
        car: &car,
        plate_m: plate.size_m(),
        across_m: outrider::render::ONCOMING_LANE_M,
        ahead_m: 10.0,
        oncoming: true,
        closing_mps: 0.0,
    };
    let mut image = RgbImage::new(width, height);
    let mut scene = Scene::new(view, TimeOfDay::Day, 0.0, 1);
    let vehicles = [Vehicle { placed, plate: &plate }];
    scene.draw(&mut image, &vehicles, 0.0, 0.0, &mut Chance::new(1));
    image
}
