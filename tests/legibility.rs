//! Why a plate was not read: OCR packages with a head that says so, what they may not say, and the shipped one on plates
//! that were drawn and spoilt, from the picture to the counters of a pass.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage, imageops};
use outrider::config::{ModelsConfig, ReadingConfig};
use outrider::demo::replay::{Drive, ReplayError};
use outrider::geometry::Rect;
use outrider::health::CameraSnapshot;
use outrider::onboard::frame::{Pixels, Raw};
use outrider::onboard::vision::candidate::{Candidate, Confidence, Detection};
use outrider::onboard::vision::legibility::Cause;
use outrider::onboard::vision::{Reader, jpeg, still};
use outrider::render::plate::{Design, Texture};

#[path = "common/runtime.rs"]
#[allow(unreachable_pub, reason = "other tests share it")]
mod runtime;
#[path = "common/skips.rs"]
mod skips;
use runtime::onnxruntime;
use skips::skipped;

#[allow(dead_code, reason = "other tests use the rest")]
mod onnx_bytes;
use onnx_bytes as onnx;

fn runtime() -> Option<PathBuf> {
    onnxruntime("whether plates are legible")
}

fn models() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("models")
}

fn config(runtime: &Path) -> ModelsConfig {
    ModelsConfig {
        onnxruntime: Some(runtime.to_owned()),
        folder: Some(models()),
        ..ModelsConfig::default()
    }
}

/// An OCR package that reads AB of every plate, and whose second output has this name and says these logits.
fn package(folder: &Path, output: &str, logits: &[f32], section: &str) -> String {
    use sha2::Digest as _;
    // Alphabet "BA_": slots say A, B.
    let text = [0.1, 0.9, 0., 0.8, 0.1, 0.1];
    let onnx = onnx::per_picture_and([16, 32, 1], &[2, 3], &text, Some((output, logits)));
    let sha256 = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(&onnx));
    std::fs::write(folder.join("model.onnx"), onnx).unwrap();
    let text = format!(
        "name = \"says-why\"\nversion = \"1\"\nkind = \"ocr\"\ndecoder = \"fixed-slot\"\n\
         file = \"model.onnx\"\nsha256 = \"{sha256}\"\nlicence = \"MIT\"\n\
         [input]\nwidth = 32\nheight = 16\nlayout = \"nhwc\"\ndtype = \"u8\"\ncolour = \"grey\"\n\
         resize = \"stretch\"\n[ocr]\nalphabet = \"BA_\"\nslots = 2\n{section}\n"
    );
    std::fs::write(folder.join("model.toml"), text).unwrap();
    folder.display().to_string()
}

const CLASSES: &str = "classes = [\"legible\", \"soft\", \"dark\", \"covered\", \"glare\"]\n";
const DARK: [f32; 5] = [1.0, 0.0, 3.0, 0.0, -2.0];

fn section(output: &str, more: &str) -> String {
    format!("[legibility]\noutput = \"{output}\"\n{CLASSES}{more}")
}

/// Two plates of a grey picture, read by this OCR.
fn read(runtime: &Path, ocr: String) -> Vec<Candidate> {
    let mut reader = Reader::load(&ModelsConfig { ocr, ..config(runtime) }).unwrap();
    let grey = Raw { width: 320, height: 160, bytes: vec![120; 320 * 160] };
    reader.decode(&still(Pixels::Grey(grey))).unwrap();
    let bbox = Rect { x: 20.0, y: 20.0, w: 100.0, h: 50.0 };
    let found = Detection { bbox, corners: None, score: Confidence::new(0.9) };
    reader.read_at(&[found.clone(), found]).unwrap()
}

#[test]
fn package_says_of_each_plate_whether_it_is_legible_and_one_without_the_section_says_nothing() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let of = |section: &str| read(&lib, package(folder.path(), "why", &DARK, section));
    for (more, legible, dark) in [("", 0.109, 0.805), ("temperature = 4.0", 0.2137, 0.3524)] {
        let seen = of(&section("why", more));
        assert_eq!(seen.len(), 2);
        for plate in seen {
            let said = plate.legibility.unwrap();
            assert!((said.legible() - legible).abs() < 1e-3, "{more}: {said:?}");
            assert!((said.of_cause(Cause::Dark) - dark).abs() < 1e-3, "{more}: {said:?}");
            assert_eq!(said.cause(), Some(Cause::Dark));
            assert_eq!(plate.text().as_str(), "AB", "the text is as without a head");
        }
    }
    let seen = of("");
    assert!(seen.iter().all(|plate| plate.legibility.is_none()));
    assert_eq!(seen[1].text().as_str(), "AB");
}

#[test]
fn package_whose_head_is_not_what_it_says_is_refused() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let muddy = section("why", "").replace("covered", "muddy");
    let four = section("why", "").replace(", \"glare\"", "");
    let cases: [(&[f32], &str, &str); 7] = [
        (
            &DARK,
            &muddy,
            "model.toml: legibility.classes = [\"legible\", \"soft\", \"dark\", \"muddy\", \"glare\"]: \"muddy\" is not one of",
        ),
        (
            &DARK,
            &four,
            "model.toml: legibility.classes = [\"legible\", \"soft\", \"dark\", \"covered\"]: \"glare\" is missing",
        ),
        (
            &DARK,
            &section("because", ""),
            "model.onnx cannot be used: legibility.output = \"because\": the model has no such output, it has y, why",
        ),
        (
            &DARK,
            &section("y", ""),
            "model.onnx cannot be used: legibility.output = \"y\": this is the model's first output",
        ),
        (
            &DARK[..4],
            &section("why", ""),
            "model.onnx cannot be used: legibility.output = \"why\": output of shape [2, 4] is not 2 plates of 5 classes",
        ),
        (
            &DARK,
            &section("why", "temperature = 0.01"),
            "model.toml: legibility.temperature = 0.01: must be 0.05 to 20",
        ),
        (&DARK, &section("why", "threshold = 0.5"), "unknown field `threshold`"),
    ];
    for (logits, section, expected) in cases {
        let ocr = package(folder.path(), "why", logits, section);
        let place = folder.path().display().to_string();
        let error = Reader::load(&ModelsConfig { ocr, ..config(&lib) }).err().expect("refused");
        let e = error.to_string();
        assert!(e.contains(expected) && e.contains(&place), "{expected}: {e}");
    }
}

/// What is done to a picture around a plate.
type Spoil = fn(&mut RgbImage, u32, u32);

/// Out of focus by a ninth of the plate's width.
fn blurred(picture: &mut RgbImage, _: u32, _: u32) {
    *picture = imageops::blur(picture, WIDTH as f32 / 9.0);
}

/// A night without a flash: some grey levels are left, and noise as strong.
fn dark(picture: &mut RgbImage, _: u32, _: u32) {
    let mut seed = 7_u32;
    for pixel in picture.pixels_mut() {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let noise = (seed >> 24) as f32 / 255.0 * 10.0 - 5.0;
        pixel.0 = pixel.0.map(|v| (8.0 + f32::from(v) * 0.02 + noise).clamp(0.0, 255.0) as u8);
    }
}

/// A bar over most of each character.
fn covered(picture: &mut RgbImage, x: u32, y: u32) {
    let bar = RgbImage::from_pixel(WIDTH, WIDTH * 3 / 16, Rgb([52, 46, 40]));
    imageops::replace(picture, &bar, i64::from(x), i64::from(y + WIDTH * 3 / 32));
}

/// A lamp that burns the middle of the plate out.
fn glare(picture: &mut RgbImage, x: u32, y: u32) {
    let width = WIDTH as f32;
    let (x, y) = (x as f32 + width / 2.0, y as f32 + width / 4.0);
    for (column, row, pixel) in picture.enumerate_pixels_mut() {
        let distance = (column as f32 - x).hypot(row as f32 - y) / (0.3 * width);
        let light = 400.0 * (-distance * distance).exp();
        pixel.0 = pixel.0.map(|v| (f32::from(v) + light).min(255.0) as u8);
    }
}

fn clear(_: &mut RgbImage, _: u32, _: u32) {}

const WIDTH: u32 = 120;

/// Ten pictures of a plate that goes by, each spoilt in this way.
fn pass(folder: &Path, spoil: Spoil) {
    let plate = Texture::plate(Design::Ontario, "CKSV 841", 3);
    let (w, h) = plate.image().dimensions();
    let small =
        imageops::resize(plate.image(), WIDTH, WIDTH * h / w, imageops::FilterType::Triangle);
    for n in 0..10 {
        let mut picture = RgbImage::from_pixel(960, 544, Rgb([70, 74, 80]));
        let (x, y) = (400 + 6 * n, 240 + 3 * n);
        imageops::replace(&mut picture, &small, i64::from(x), i64::from(y));
        spoil(&mut picture, x, y);
        let bytes = jpeg::encode_rgb(picture.as_raw(), 960, 544, 92).unwrap();
        std::fs::write(folder.join(format!("{n:02}.jpg")), bytes).unwrap();
    }
}

/// The counters of a camera after such a pass, by the shipped models.
fn counted(runtime: &Path, spoil: Spoil) -> CameraSnapshot {
    let folder = tempfile::tempdir().unwrap();
    pass(folder.path(), spoil);
    let reading = ReadingConfig::default();
    let drive = Drive::open(folder.path(), &reading).unwrap();
    let reader = || Ok::<_, ReplayError>(Box::new(Reader::load(&config(runtime)).unwrap()) as _);
    let mut replayed = drive.play(&reading, reader).unwrap();
    assert!(replayed.left_out.is_empty(), "{:?}", replayed.left_out);
    let (_, counts) = replayed.health.cameras.pop_first().unwrap();
    assert_eq!(counts.looked, 10);
    counts
}

#[test]
fn pass_of_a_spoilt_plate_is_counted_by_what_spoilt_it() {
    let Some(lib) = runtime() else { return };
    for (name, spoil) in [
        ("clear", clear as Spoil),
        ("blurred", blurred),
        ("dark", dark),
        ("covered", covered),
        ("glare", glare),
    ] {
        let c = counted(&lib, spoil);
        let why = [
            ("clear", c.reads),
            ("small", c.unread_small),
            ("blurred", c.unread_blurred),
            ("dark", c.unread_dark),
            ("covered", c.unread_covered),
            ("glare", c.unread_glare),
            ("illegible", c.unread_illegible),
            ("implausible", c.unread_implausible),
            ("unsure", c.unread_unsure),
            ("brief", c.unread_brief),
        ];
        let seen: Vec<_> = why.into_iter().filter(|(_, n)| *n > 0).collect();
        eprintln!("{name}: found in {} frames: {seen:?}", c.detections);
        assert_eq!(seen, [(name, 1)], "{name}: found in {} frames", c.detections);
    }
}

#[test]
fn read_says_what_is_in_the_way_of_each_plate() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let outrider = |args: &[&str]| {
        let output = assert_cmd::Command::new(env!("CARGO_BIN_EXE_outrider"))
            .arg("read")
            .args(args)
            .args(["--models".as_ref(), models().as_os_str(), "--onnxruntime".as_ref()])
            .args([lib.as_os_str(), folder.path().join("05.jpg").as_os_str()])
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    for (spoil, cause) in [(clear as Spoil, None), (blurred, Some("soft"))] {
        pass(folder.path(), spoil);
        let seen: serde_json::Value = serde_json::from_str(&outrider(&["--json"])).unwrap();
        let [plate] = &seen["plates"].as_array().unwrap()[..] else { panic!("{seen}") };
        let said = plate["legibility"].as_object().unwrap();
        let p = |class: &str| said[class].as_f64().unwrap();
        let all = ["legible", "soft", "dark", "covered", "glare"];
        assert_eq!(said.len(), all.len(), "{said:?}");
        assert!((all.map(p).iter().sum::<f64>() - 1.0).abs() < 1e-4, "{said:?}");
        let likeliest = all.into_iter().max_by(|a, b| p(a).total_cmp(&p(b)));
        assert_eq!(likeliest, Some(cause.unwrap_or("legible")), "{said:?}");
        let table = outrider(&["--table"]);
        eprintln!("{table}");
        let text = if cause.is_some() { "not readable: blurred" } else { "CKSV841" };
        assert!(table.contains(text), "{table}");
    }
}
