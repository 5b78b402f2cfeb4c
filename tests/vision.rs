//! Runs model packages, other people's open models and bad input through the real ONNX Runtime, and `read` and
//! `eval` as a person types them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Output;

use image::imageops;
use outrider::config::ModelsConfig;
use outrider::geometry::Rect;
use outrider::onboard::fit;
use outrider::onboard::frame::{Pixels, Raw};
use outrider::onboard::vision::candidate::{Confidence, Detection};
use outrider::onboard::vision::{Reader, conditions, jpeg, still};
use outrider::render::plate::{Design, Texture};

#[path = "common/runtime.rs"]
#[allow(unreachable_pub, reason = "other tests share it")]
mod runtime;
#[path = "common/skips.rs"]
mod skips;
use runtime::onnxruntime;
use skips::skipped;

mod onnx_bytes;
use onnx_bytes as onnx;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn runtime() -> Option<PathBuf> {
    onnxruntime("models in ONNX Runtime")
}

/// A folder beside the repository with real pictures or other people's models.
fn shared(what: &str) -> Option<PathBuf> {
    let path = root().join("../shared").join(what);
    if path.exists() {
        return Some(path);
    }
    skipped("reading real pictures", &format!("../shared/{what} is not beside the repository"));
    None
}

fn config(runtime: &Path) -> ModelsConfig {
    ModelsConfig {
        onnxruntime: Some(runtime.to_owned()),
        folder: Some(root().join("models")),
        ..ModelsConfig::default()
    }
}

fn outrider(runtime: &Path, args: &[&str]) -> Output {
    assert_cmd::Command::new(env!("CARGO_BIN_EXE_outrider"))
        .args(args)
        .args(["--models", root().join("models").to_str().unwrap()])
        .args(["--onnxruntime", runtime.to_str().unwrap()])
        .output()
        .unwrap()
}

/// The last line of the error output: what a person reads.
fn error_line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim_end().lines().last().unwrap_or_default().to_owned()
}

fn grey(width: u32, height: u32) -> Raw {
    Raw { width, height, bytes: vec![120; (width * height) as usize] }
}

/// A copy of one of our packages that may be damaged.
fn copied(package: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join(package);
    std::fs::create_dir(&to).unwrap();
    for entry in std::fs::read_dir(root().join("models").join(package)).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
        }
    }
    folder
}

fn refusal(config: &ModelsConfig) -> String {
    match Reader::load(config) {
        Ok(_) => panic!("loaded"),
        Err(e) => e.to_string(),
    }
}

/// A picture of nothing but a plate of this width, and where it is.
fn with_a_plate(width: u32) -> (Raw, Rect) {
    let plate = Texture::plate(Design::Ontario, "CKSV 841", 3);
    let (w, h) = plate.image().dimensions();
    let (w, h) = (width, width * h / w);
    let small = imageops::resize(plate.image(), w, h, imageops::FilterType::Triangle);
    let mut picture = image::RgbImage::from_pixel(1280, 720, image::Rgb([70, 74, 80]));
    let (x, y) = if w <= 680 { (600, 340) } else { ((1280 - w) / 2, (720 - h) / 2) };
    imageops::replace(&mut picture, &small, i64::from(x), i64::from(y));
    let bbox = Rect { x: x as f32, y: y as f32, w: w as f32, h: h as f32 };
    (Raw { width: 1280, height: 720, bytes: picture.into_raw() }, bbox)
}

#[test]
fn plate_beyond_those_that_are_read_in_a_frame_is_told_too() {
    let Some(lib) = runtime() else { return };
    let config = ModelsConfig { most_plates: 1, ..config(&lib) };
    let mut reader = Reader::load(&config).unwrap();
    let (mut picture, first) = with_a_plate(120);
    let (w, h) = (first.w as usize, first.h as usize);
    let (x, y) = (first.x as usize, first.y as usize);
    // The same plate once more, elsewhere.
    for row in 0..h {
        let at = |x: usize, y: usize| 3 * ((y + row) * 1280 + x);
        picture.bytes.copy_within(at(x, y)..at(x, y) + 3 * w, at(200, 500));
    }
    let second = Rect { x: 200.0, y: 500.0, ..first };
    let seen = reader.read_whole(&still(Pixels::Rgb(picture))).unwrap();
    assert_eq!((seen.candidates.len(), seen.unread.len()), (1, 1));
    for truth in [first, second] {
        assert!(seen.plates().any(|found| found.iou(&truth) > 0.5), "{truth:?}: {seen:?}");
    }
}

#[test]
fn a_box_that_is_off_is_put_right_from_closer() {
    let Some(lib) = runtime() else { return };
    let mut reader = Reader::load(&config(&lib)).unwrap();
    let (picture, truth) = with_a_plate(80);
    reader.decode(&still(Pixels::Rgb(picture))).unwrap();
    let off = Rect { x: truth.x - 16.0, y: truth.y - 4.0, w: truth.w + 20.0, h: truth.h + 16.0 };
    let seen = Detection { bbox: off, corners: None, score: Confidence::new(0.5) };
    let there = reader.closer(&seen).unwrap().expect("the plate is there");
    let (before, after) = (off.iou(&truth), there.bbox.iou(&truth));
    assert!(after > before + 0.15, "{after} after {before}: {:?}, not {truth:?}", there.bbox);

    let elsewhere = Detection { bbox: Rect { x: 100.0, y: 100.0, ..off }, ..seen };
    assert!(reader.closer(&elsewhere).unwrap().is_none(), "there is nothing");
}

#[test]
fn a_plate_that_fills_half_the_picture_is_boxed_whole() {
    let Some(lib) = runtime() else { return };
    let mut reader = Reader::load(&config(&lib)).unwrap();
    for width in [480, 600, 680] {
        let (picture, truth) = with_a_plate(width);
        let sighted = reader.read_whole(&still(Pixels::Rgb(picture))).unwrap();
        let [plate, others @ ..] = &sighted.candidates[..] else { panic!("{width} pixels: none") };
        let overlap = plate.detection.bbox.iou(&truth);
        assert!(overlap > 0.86, "{width} pixels: {:?}, not {truth:?}", plate.detection.bbox);
        assert_eq!(plate.text().as_str(), "CKSV841", "{width} pixels");
        let twice = others.iter().filter(|c| c.detection.bbox.iou(&truth) > 0.4).count();
        assert_eq!(twice, 0, "{width} pixels: more boxes of the same plate");
    }
}

#[test]
fn a_plate_that_fills_the_picture_is_found() {
    let Some(runtime) = runtime() else { return };
    let mut reader = Reader::load(&config(&runtime)).unwrap();
    for width in [760, 900, 1040, 1160] {
        let (picture, there) = with_a_plate(width);
        let seen = reader.read_whole(&still(Pixels::Rgb(picture))).unwrap();
        let found: Vec<_> = seen.candidates.iter().map(|c| c.detection.bbox).collect();
        assert!(found.iter().any(|b| b.iou(&there) > 0.7), "{width}: {there:?} {found:?}");
    }
}

/// Of a 4K picture a part is searched in each frame, and a plate that comes at 200 km/h is elsewhere in the next one: the rows
/// in which plates come along are learnt, and then searched in each frame.
#[test]
fn four_k_camera_finds_a_fast_plate_in_nearly_each_frame_once_it_knows_the_roads_rows() {
    let Some(lib) = runtime() else { return };
    let mut reader = Reader::load(&config(&lib)).unwrap();
    let plate = Texture::plate(Design::Ontario, "CKSV 841", 3);
    let (w, h) = (56, 28);
    let small = imageops::resize(plate.image(), w, h, imageops::FilterType::Triangle);
    let small = imageops::grayscale(&small);
    let mut found = 0;
    for n in 0..60_u32 {
        // A vehicle passes in ten frames, by more than two of its plate's widths in each; the next is elsewhere.
        let (x, y) = (1500 - 130 * (n % 10) + 26 * (n / 10), 960 + 34 * (n % 10));
        let mut picture = image::GrayImage::from_pixel(3840, 2160, image::Luma([74]));
        imageops::replace(&mut picture, &small, i64::from(x), i64::from(y));
        let raw = Raw { width: 3840, height: 2160, bytes: picture.into_raw() };
        let seen = reader.read_next(&still(Pixels::Grey(raw))).unwrap();
        let there = Rect { x: x as f32, y: y as f32, w: w as f32, h: h as f32 };
        let is_seen = seen.candidates.iter().any(|c| c.detection.bbox.iou(&there) > 0.4);
        found += u32::from(n >= 40 && is_seen);
    }
    assert!(found >= 18, "found in {found} of 20 frames");
}

/// Seen over the corner of a car, a plate's lines rise or fall, and an upright box holds more of the car than of the plate.
#[test]
fn plate_whose_lines_slope_is_read_along_them() {
    let Some(lib) = runtime() else { return };
    let mut reader = Reader::load(&config(&lib)).unwrap();
    let (level, there) = with_a_plate(70);
    for degrees in [-29.0_f32, 29.0] {
        let slope = degrees.to_radians().tan();
        let mut picture = vec![0; level.bytes.len()];
        for (x, y) in (0..1280_usize).flat_map(|x| (0..720_usize).map(move |y| (x, y))) {
            let from = y as f32 - slope * (x as f32 - there.centre().x);
            let from = (from.round().clamp(0.0, 719.0) as usize * 1280 + x) * 3;
            picture[(y * 1280 + x) * 3..][..3].copy_from_slice(&level.bytes[from..from + 3]);
        }
        let picture = Raw { width: 1280, height: 720, bytes: picture };
        let seen = reader.read_whole(&still(Pixels::Rgb(picture))).unwrap();
        let [plate] = &seen.candidates[..] else { panic!("{degrees} degrees: not one plate") };
        assert_eq!(plate.text().as_str(), "CKSV841", "{degrees} degrees");
        // Upright looks alone say 0.50 at 29 degrees.
        let weakest = plate.weakest().get();
        assert!(weakest > 0.95, "{degrees} degrees: {weakest}");
    }
}

/// The aim of a camera is judged by how sharp its plates are: from there on they are read, and far below they are not.
#[test]
fn plates_are_read_as_sharp_as_the_aim_asks() {
    let Some(lib) = runtime() else { return };
    let mut reader = Reader::load(&config(&lib)).unwrap();
    let (mut missed, mut blurred) = (Vec::new(), Vec::new());
    for design in [Design::Ontario, Design::Quebec] {
        for width in [90, 140] {
            for sigma in [0.0, 0.8, 1.2, 1.6, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0] {
                let sigma = sigma * width as f32 / 140.0;
                let (raw, bbox) = blurred_plate(design, width, sigma);
                let frame = still(Pixels::Rgb(raw));
                let seen = reader.read_whole(&frame).unwrap();
                let sharpness = conditions::measure(reader.picture(), &bbox).unwrap().sharpness;
                let text = seen.candidates.first().map(|one| one.text());
                let right = text.is_some_and(|text| text.as_str() == "CKSV841");
                eprintln!(
                    "{design:?} {width} px, blurred by {sigma:.1}: {sharpness:.3}, right: {right}"
                );
                if sharpness >= fit::LEAST_SHARPNESS && !right {
                    missed.push((design, width, sharpness));
                }
                if width == 90 && sharpness <= fit::LEAST_SHARPNESS / 3.0 {
                    blurred.push(right);
                }
            }
        }
    }
    assert!(missed.is_empty(), "sharp enough, and not read: {missed:?}");
    // The control: what is far below is not read.
    assert!(blurred.len() >= 4 && !blurred.contains(&true), "{blurred:?}");
}

/// A picture of nothing but a plate of this width that is out of focus, and where it is.
fn blurred_plate(design: Design, width: u32, sigma: f32) -> (Raw, Rect) {
    let plate = Texture::plate(design, "CKSV 841", 3);
    let (w, h) = plate.image().dimensions();
    let (w, h) = (width, width * h / w);
    let small = imageops::resize(plate.image(), w, h, imageops::FilterType::Triangle);
    let mut picture = image::RgbImage::from_pixel(1280, 720, image::Rgb([70, 74, 80]));
    imageops::replace(&mut picture, &small, 600, 340);
    let picture = if sigma > 0.0 { imageops::blur(&picture, sigma) } else { picture };
    let bbox = Rect { x: 600.0, y: 340.0, w: w as f32, h: h as f32 };
    (Raw { width: 1280, height: 720, bytes: picture.into_raw() }, bbox)
}

#[test]
fn missing_model_names_kind_and_places() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let config = ModelsConfig { folder: Some(folder.path().to_owned()), ..config(&lib) };
    let e = refusal(&config);
    assert!(e.starts_with("model plate-detector-small not found (looked for "), "{e}");
    assert!(e.ends_with("install it, or set models.detector or models.folder"), "{e}");
}

#[test]
fn corrupted_model_is_refused_with_both_digests() {
    let Some(lib) = runtime() else { return };
    let folder = copied("plate-detector-small");
    let path = folder.path().join("plate-detector-small/model.onnx");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    let e = refusal(&ModelsConfig { folder: Some(folder.path().to_owned()), ..config(&lib) });
    assert!(e.contains("model.onnx is not the file that its model.toml names (SHA-256 "), "{e}");
    assert!(e.ends_with("install the model again"), "{e}");
}

/// What is said of our detector's package after this change to its model.toml.
fn refusal_with(runtime: &Path, written: &str, instead: &str) -> String {
    let folder = copied("plate-detector-small");
    let path = folder.path().join("plate-detector-small/model.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(written), "{text}");
    std::fs::write(&path, text.replace(written, instead)).unwrap();
    refusal(&ModelsConfig { folder: Some(folder.path().to_owned()), ..config(runtime) })
}

#[test]
fn package_with_an_unknown_key_is_refused() {
    let Some(lib) = runtime() else { return };
    let e = refusal_with(&lib, "[detector]", "[detector]\nscore_treshold = 0.2");
    assert!(e.contains("model.toml: ") && e.contains("score_treshold"), "{e}");
}

#[test]
fn package_of_blocks_with_an_odd_side_is_refused() {
    let Some(lib) = runtime() else { return };
    let e = refusal_with(
        &lib,
        "height = 384\nlayout = \"blocks\"",
        "height = 383\nlayout = \"blocks\"",
    );
    assert!(e.contains("model.toml: ") && e.contains("640x383: blocks need even sides"), "{e}");
}

#[test]
fn file_that_is_no_model_is_refused() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.onnx");
    std::fs::write(&path, "<html>not found</html>").unwrap();
    let e = refusal(&ModelsConfig { detector: path.display().to_string(), ..config(&lib) });
    assert!(e.contains("x.onnx cannot be used: "), "{e}");
    assert_eq!(e.lines().count(), 1, "{e}");
}

#[test]
fn our_packages_load_and_see_nothing_in_an_empty_picture() {
    let Some(lib) = runtime() else { return };
    let mut reader = Reader::load(&config(&lib)).unwrap();
    let seen = reader.read_whole(&still(Pixels::Grey(grey(1280, 720)))).unwrap();
    assert!(seen.candidates.is_empty());
    assert_eq!(reader.weights()[0].name, "plate-detector-small");
}

/// Detectors as other people export them: each says there is a plate at 100..160 x 40..60 of a
/// 320x160 input, which is 200..320 x 80..120 of a 640x320 picture.
#[test]
fn open_detectors_are_recognised_by_their_output() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let rows7 = [0., 100., 40., 160., 60., 0., 0.9, 0., 0., 0., 9., 9., 0., 0.1];
    let rows6 = [100., 40., 160., 60., 0.9, 0., 0., 0., 9., 9., 0.1, 0.];
    let mut anchors = vec![0.0; 5 * 8];
    for (channel, v) in [130., 50., 60., 20., 0.9].into_iter().enumerate() {
        anchors[channel * 8 + 3] = v;
    }
    for (name, dims, data, decoder) in [
        ("e2e7", vec![2_i64, 7], rows7.to_vec(), "yolo-end-to-end"),
        ("e2e6", vec![1, 2, 6], rows6.to_vec(), "yolo-end-to-end"),
        ("raw", vec![1, 5, 8], anchors, "yolo-raw"),
    ] {
        let path = folder.path().join(format!("{name}.onnx"));
        std::fs::write(&path, onnx::constant(&[1, 3, 160, 320], &dims, &data)).unwrap();
        let config = ModelsConfig { detector: path.display().to_string(), ..config(&lib) };
        let mut reader = Reader::load(&config).unwrap();
        assert_eq!(reader.weights()[0].decoder, decoder);
        let seen = reader.read_whole(&still(Pixels::Grey(grey(640, 320)))).unwrap();
        assert_eq!(seen.candidates.len(), 1, "{name}");
        let b = seen.candidates[0].detection.bbox;
        assert_eq!([b.x, b.y, b.w, b.h], [200.0, 80.0, 120.0, 40.0], "{name}");
    }
}

#[test]
fn detector_of_unknown_shape_says_which_are_known() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("odd.onnx");
    std::fs::write(&path, onnx::constant(&[1, 3, 64, 64], &[1, 4], &[0.0; 4])).unwrap();
    let e = refusal(&ModelsConfig { detector: path.display().to_string(), ..config(&lib) });
    assert!(e.contains("output is [1, 4], known are [n, 7], [1, n, 6]"), "{e}");
}

#[test]
fn fixed_slot_model_with_its_own_yaml_reads_its_alphabet() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let detector = folder.path().join("detector.onnx");
    let rows = [10., 10., 90., 30., 0.9, 0., 10., 60., 90., 80., 0.8, 0.];
    std::fs::write(&detector, onnx::constant(&[1, 3, 128, 128], &[1, 2, 6], &rows)).unwrap();
    // Alphabet "BA1_": slots say A, B, 1, padding.
    let slots = [[0.1, 0.9, 0., 0.], [0.7, 0.2, 0., 0.1], [0., 0., 1., 0.], [0., 0., 0., 1.]];
    let ocr = folder.path().join("reader.onnx");
    std::fs::write(&ocr, onnx::per_picture([16, 32, 3], &[4, 4], &slots.concat())).unwrap();
    let yaml = "max_plate_slots: 4\nalphabet: 'BA1_'\npad_char: '_'\nimg_height: 16\n\
                img_width: 32\nimage_color_mode: rgb\nsome_new_key: 1\n";
    std::fs::write(folder.path().join("reader.yaml"), yaml).unwrap();
    let config = ModelsConfig {
        detector: detector.display().to_string(),
        ocr: ocr.display().to_string(),
        ..config(&lib)
    };
    let mut reader = Reader::load(&config).unwrap();
    let seen = reader.read_whole(&still(Pixels::Grey(grey(128, 128)))).unwrap();
    let texts: Vec<_> = seen.candidates.iter().map(|c| c.text().to_string()).collect();
    assert_eq!(texts, ["AB1", "AB1"], "both plates in one run");
    assert!((seen.candidates[0].weakest().get() - 0.7).abs() < 1e-6);

    std::fs::remove_file(folder.path().join("reader.yaml")).unwrap();
    let e = refusal(&config);
    assert!(e.contains("no YAML file beside it: needs model.toml, or"), "{e}");
}

/// A package that says of every plate: logits 6, 2, 0 for California, New York and nobody in particular.
fn issuer_package(folder: &Path, more: &str, sha256: Option<&str>) -> String {
    use sha2::Digest as _;
    let onnx = onnx::per_picture([16, 32, 3], &[1, 3], &[6.0, 2.0, 0.0]);
    let own = data_encoding::HEXLOWER.encode(&sha2::Sha256::digest(&onnx));
    let sha256 = sha256.unwrap_or(&own);
    std::fs::write(folder.join("model.onnx"), onnx).unwrap();
    let text = format!(
        "name = \"issuer\"\nversion = \"1\"\nkind = \"jurisdiction\"\ndecoder = \"labels\"\n\
         file = \"model.onnx\"\nsha256 = \"{sha256}\"\nlicence = \"MIT\"\n\
         [input]\nwidth = 32\nheight = 16\nlayout = \"nhwc\"\ndtype = \"u8\"\ncolour = \"rgb\"\n\
         resize = \"stretch\"\n[jurisdiction]\n{more}\n"
    );
    std::fs::write(folder.join("model.toml"), text).unwrap();
    folder.display().to_string()
}

const LABELS: &str = "labels = [\"US-CA\", \"US-NY\", \"other\"]\n";

#[test]
fn package_says_whose_plate_it_is_or_that_this_is_unknown() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut said = Vec::new();
    for threshold in [0.9, 0.99] {
        let more = format!("{LABELS}threshold = {threshold}");
        let jurisdiction = issuer_package(folder.path(), &more, None);
        let mut reader = Reader::load(&ModelsConfig { jurisdiction, ..config(&lib) }).unwrap();
        let (picture, there) = with_a_plate(400);
        reader.decode(&still(Pixels::Rgb(picture))).unwrap();
        let found = Detection { bbox: there, corners: None, score: Confidence::new(0.9) };
        let seen = reader.read_at(&[found.clone(), found]).unwrap();
        assert_eq!(seen.len(), 2);
        said.push(seen[1].jurisdiction().map(|read| read.jurisdiction().to_string()));
    }
    assert_eq!(said, [Some("US-CA".to_owned()), None], "0.98 is sure enough, or is not");
}

#[test]
fn jurisdiction_package_that_is_not_what_it_says_is_refused() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let digest = "0".repeat(64);
    let cases = [
        (format!("{LABELS}threshold = 0.9"), Some(digest.as_str()), "is not the file that its"),
        (
            format!("{LABELS}threshold = 0.3"),
            None,
            "jurisdiction.threshold = 0.3: must be 0.5 to 1",
        ),
        ("labels = [\"US-CA\"]\nthreshold = 0.9".into(), None, "has 1 labels: must be 2 to"),
        ("labels = [\"US-CA\", \"us-ca\"]\nthreshold = 0.9".into(), None, "\"us-ca\" twice"),
        (
            "labels = [\"US-CA\", \"Texas\"]\nthreshold = 0.9".into(),
            None,
            "\"Texas\" is not an ISO",
        ),
        (
            "labels = [\"US-CA\", \"GB\"]\nthreshold = 0.9".into(),
            None,
            "is not 2 plates of 2 labels",
        ),
    ];
    for (more, sha256, expected) in cases {
        let jurisdiction = issuer_package(folder.path(), &more, sha256);
        let e = refusal(&ModelsConfig { jurisdiction, ..config(&lib) });
        assert!(e.contains(expected), "{expected}: {e}");
    }
    let jurisdiction = root().join("models/plate-ocr-small").display().to_string();
    let e = refusal(&ModelsConfig { jurisdiction, ..config(&lib) });
    assert!(e.contains("not a jurisdiction package"), "{e}");
}

#[test]
fn peers_models_drop_in_unmodified() {
    let (Some(lib), Some(peers), Some(data)) =
        (runtime(), shared("peers"), shared("data/evaluation"))
    else {
        return;
    };
    let (detector, ocr) = (peers.join("fastanpr_640.onnx"), peers.join("cct_xs_v1_global.onnx"));
    let figures = eval(
        &lib,
        &data,
        &[
            "--source",
            "e2e_eu",
            "--detector",
            detector.to_str().unwrap(),
            "--ocr",
            ocr.to_str().unwrap(),
        ],
    );
    assert_eq!(figures["detector"]["decoder"], "yolo-raw");
    assert_eq!(figures["ocr"]["decoder"], "fixed-slot");
    // Measured 100 % folded, n=50.
    assert!(figures["folded"].as_f64().unwrap() >= 0.94, "{figures}");
}

/// Floors well below what was measured: this catches a broken filter or a wrong channel order, not
/// a model that is a point worse.
#[test]
fn our_models_read_real_pictures() {
    let (Some(lib), Some(data)) = (runtime(), shared("data/evaluation")) else { return };
    let figures = eval(&lib, &data, &["--source", "e2e_us", "--source", "e2e_eu"]);
    for (source, recall, folded) in [("e2e_us", 0.93, 0.80), ("e2e_eu", 0.94, 0.94)] {
        let f = &figures["sources"][source];
        assert!(f["detection_recall"].as_f64().unwrap() >= recall, "{source} {f}");
        assert!(f["folded"].as_f64().unwrap() >= folded, "{source} {f}");
    }
}

fn eval(lib: &Path, data: &Path, args: &[&str]) -> serde_json::Value {
    let mut all = vec!["eval", data.to_str().unwrap(), "--json"];
    all.extend(args);
    let output = outrider(lib, &all);
    assert!(output.status.success(), "{}", error_line(&output));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn missing_onnx_runtime_is_one_line_that_says_what_to_do() {
    let output = outrider(Path::new("/nonexistent/libonnxruntime.so"), &["read", "car.jpg"]);
    assert!(!output.status.success());
    assert_eq!(
        error_line(&output),
        "error: ONNX Runtime: /nonexistent/libonnxruntime.so does not exist: run \
         scripts/onnxruntime.sh, or set models.onnxruntime to libonnxruntime.so"
    );
}

#[test]
fn library_that_is_not_onnx_runtime_is_refused_in_one_line() {
    // The binary itself is an ELF file of this machine that is not ONNX Runtime.
    let output = outrider(Path::new(env!("CARGO_BIN_EXE_outrider")), &["read", "car.jpg"]);
    assert!(!output.status.success());
    let line = error_line(&output);
    assert!(line.starts_with("error: ONNX Runtime: ") && line.contains("scripts/onnxruntime.sh"));
}

#[test]
fn unreadable_pictures_are_reported_and_the_rest_goes_on() {
    let Some(lib) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let good = jpeg::encode_rgb(&vec![90; 320 * 240 * 3], 320, 240, 90).unwrap();
    write("a-good.jpg", &good);
    write("b-empty.jpg", b"");
    write("c-truncated.jpg", &good[..good.len() / 2]);
    write("d-good.jpg", &good);
    let output = outrider(&lib, &["read", "--json", folder.path().to_str().unwrap()]);
    assert!(!output.status.success());
    let (out, err) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(out.lines().count(), 2, "{out}");
    assert!(out.lines().all(|l| l.contains("\"plates\":[]")), "{out}");
    assert!(err.contains("b-empty.jpg: frame is empty (0 bytes)"), "{err}");
    assert!(err.contains("c-truncated.jpg: damaged JPEG ("), "{err}");
    assert_eq!(error_line(&output), "error: 2 of 4 pictures could not be read");
}

#[test]
fn eval_without_labels_says_what_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let output = outrider(Path::new("/nonexistent"), &["eval", folder.path().to_str().unwrap()]);
    let line = error_line(&output);
    assert!(line.contains("labels.jsonl (a labelled folder has one)"), "{line}");
}
