//! The path of one MJPEG frame to candidates, whole and by stage, on one core, at 1080p and at 720p.
//!
//! `whole` is what a camera's reading thread does per frame before tracking: JPEG bytes in,
//! candidates with slots and colour crops out, default models, one plate in view. DESIGN 5 gives
//! decode to voted read 15 ms of one x86 core; `benches/matching.rs` measures the rest. The scene is
//! our own rendering. Needs `scripts/onnxruntime.sh`.

mod oncoming;

use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use image::RgbImage;
use outrider::config::ModelsConfig;
use outrider::onboard::frame::{Frame, Pixels, Raw};
use outrider::onboard::vision::candidate::Detection;
use outrider::onboard::vision::testing::Letterbox;
use outrider::onboard::vision::{Picture, Reader, Spent, jpeg, still};

const SIZES: [(&str, (u32, u32)); 2] = [("1080p", (1920, 1080)), ("720p", (1280, 720))];

fn mjpeg(image: &RgbImage) -> Frame {
    let (width, height) = image.dimensions();
    let jpeg = jpeg::encode_rgb(image.as_raw(), width, height, 85).expect("a picture");
    eprintln!("{width}x{height} MJPEG of {} kB", jpeg.len() / 1000);
    still(Pixels::Mjpeg(jpeg))
}

fn stages(c: &mut Criterion) {
    for (name, size) in SIZES {
        stages_of(c, name, size);
    }
}

fn stages_of(c: &mut Criterion, name: &str, (width, height): (u32, u32)) {
    let image = oncoming::picture((width, height));
    let frame = mjpeg(&image);
    let bytes = vec![110; (width * height * 2) as usize];
    let yuyv = still(Pixels::Yuyv(Raw { width, height, bytes }));
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let library = format!("build/onnxruntime/{}/libonnxruntime.so", std::env::consts::ARCH);
    let config = ModelsConfig {
        folder: Some(root.join("models")),
        onnxruntime: Some(root.join(library)),
        ..ModelsConfig::default()
    };
    let mut reader = Reader::load(&config).expect("models and ONNX Runtime are there");
    let seen = reader.read_whole(&frame).expect("a picture");
    eprintln!("{} plates found in the scene", seen.candidates.len());
    let plates: Vec<Detection> = seen.candidates.iter().map(|c| c.detection.clone()).collect();
    let one = &plates[..plates.len().min(1)];

    let mut group = c.benchmark_group(name);
    group.throughput(Throughput::Elements(1));
    let mut picture = Picture::default();
    picture.refill(&frame.pixels).expect("a picture");
    group.bench_function("decode MJPEG", |b| {
        b.iter(|| picture.refill(black_box(&frame.pixels)).expect("a picture"));
    });
    let mut raw = Picture::default();
    group.bench_function("split YUYV", |b| {
        b.iter(|| raw.refill(black_box(&yuyv.pixels)).expect("a picture"));
    });
    let mut letterbox = Letterbox::default();
    group.bench_function("letterbox", |b| b.iter(|| letterbox.fill(black_box(&picture))));
    // The reader times its own stages; the rest of the look is left out.
    let mut stage = |name: &str, of: fn(Spent) -> Duration| {
        let mut look = || {
            reader.read_whole(&frame).expect("a picture");
            of(reader.spent())
        };
        group.bench_function(name, |b| b.iter_custom(|n| (0..n).map(|_| look()).sum()));
    };
    stage("letterbox and detect", |spent| spent.detect);
    stage("detect and read, decoding apart", |spent| spent.detect + spent.ocr);
    group.bench_function("read one plate", |b| {
        reader.decode(&frame).expect("a picture");
        b.iter(|| reader.read_at(black_box(one)).expect("a plate"));
    });
    group.bench_function("whole: MJPEG bytes to candidates", |b| {
        b.iter(|| reader.read_whole(black_box(&frame)).expect("a picture"));
    });
    group.finish();
}

criterion_group!(benches, stages);
criterion_main!(benches);
