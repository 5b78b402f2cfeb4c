//! What a rendered frame costs: the demo's cameras draw in real time beside the reading, so a
//! 1280x720 picture may take 25 ms of a core at most.
//!
//! `cargo bench --bench drive`

use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use outrider::demo::camera::Painter;
use outrider::demo::scenario::{DriveScenario, DriveSettings, Side};
use outrider::render::light::TimeOfDay;
use outrider::render::plate::{Design, Texture};

fn frames(c: &mut Criterion) {
    for (name, light, side) in [
        ("day, oncoming traffic", TimeOfDay::Day, Side::Left),
        ("day, right lane", TimeOfDay::Day, Side::Right),
        ("dusk, oncoming traffic", TimeOfDay::Dusk, Side::Left),
    ] {
        let settings = DriveSettings { light, seconds: 60.0, ..DriveSettings::default() };
        let plan = Arc::new(DriveScenario::plan(settings));
        let mut painter = Painter::new(plan.clone(), side).expect("libjpeg-turbo is linked in");
        let mut group = c.benchmark_group("render 1280x720");
        group.sample_size(40);
        let mut n = 0;
        // Frames all over the drive: near cars cost more than an empty road.
        group.bench_function(name, |b| {
            b.iter(|| {
                n = (n + 7) % plan.frames();
                painter.jpeg(n).expect("a picture that was just drawn").len()
            });
        });
        group.finish();
    }
}

fn plates(c: &mut Criterion) {
    let mut seed = 0;
    c.bench_function("plate drawn large", |b| {
        b.iter(|| {
            seed += 1;
            Texture::plate(Design::Ontario, "CKSV 841", seed)
        });
    });
}

fn plans(c: &mut Criterion) {
    let settings = DriveSettings { seconds: 60.0, ..DriveSettings::default() };
    c.bench_function("plan and truth of a minute", |b| {
        b.iter(|| DriveScenario::plan(settings.clone()).visits(Side::Left, 40.0).len());
    });
}

criterion_group!(drive, frames, plates, plans);
criterion_main!(drive);
