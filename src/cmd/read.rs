//! `outrider read`: reads the plates in pictures, to try the models on pictures that the user names.
//! Nothing is kept.

use std::collections::HashSet;
use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use comfy_table::{Table, presets};
use image::{Rgb, RgbImage};
use imageproc::drawing::draw_line_segment_mut;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::model_args::ModelArgs;
use super::pictures;
use crate::geometry::{Point, Quad, Rect};
use crate::onboard::frame::{Frame, Pixels};
use crate::onboard::vision::candidate::{Candidate, Sighted};
use crate::onboard::vision::legibility::Legibility;
use crate::onboard::vision::{Reader, VisionError, jpeg, picture_file};
use crate::render::text;

/// Find and read the plates in pictures.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider read car.jpg\n  outrider read --json photos/ > plates.jsonl\n  outrider read --draw out/ photos/"
)]
pub struct ReadArgs {
    /// Pictures (JPEG, PNG, BMP, WebP), or folders of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Print one JSON object per picture and line; the default when the output is not a terminal.
    #[arg(long, conflicts_with = "table")]
    json: bool,
    /// Print a table; the default on a terminal.
    #[arg(long)]
    table: bool,
    /// Write each picture with its plates marked into this folder.
    #[arg(long, value_name = "DIR")]
    draw: Option<PathBuf>,
    /// Leave out plates whose least certain character is below this, 0 to 1.
    #[arg(long, value_name = "P", default_value_t = 0.0)]
    min_confidence: f32,
    #[command(flatten)]
    models: ModelArgs,
}

/// What was read in one picture.
#[derive(Debug, Serialize)]
struct Seen {
    file: String,
    width: u32,
    height: u32,
    plates: Vec<SeenPlate>,
}

/// One plate; probabilities from 0 to 1, places in pixels of the picture.
#[derive(Debug, Serialize)]
struct SeenPlate {
    text: String,
    /// Probability that every character is right.
    confidence: f32,
    /// Probability of the least certain character.
    weakest: f32,
    /// The detector's score.
    detection: f32,
    /// How plausible it is that this is a plate at all: below `reading.min_plausibility` the daemon makes no read of it.
    plausibility: f32,
    /// Left, top, width, height.
    #[serde(rename = "box")]
    bbox: [f32; 4],
    /// Top left, top right, bottom right, bottom left; null if the model gives none.
    corners: Option<[[f32; 2]; 4]>,
    /// Probability of each character.
    characters: Vec<f32>,
    /// Who issued it, an ISO 3166 code such as US-CA; null where that is unknown.
    jurisdiction: Option<String>,
    /// How sure the jurisdiction is; null where it is unknown.
    jurisdiction_confidence: Option<f32>,
    /// Whether its picture can be read at all, and what is in the way, by class; absent where the OCR does not say.
    #[serde(skip_serializing_if = "Option::is_none")]
    legibility: Option<Legibility>,
}

impl ReadArgs {
    /// Does what was asked. Pictures that cannot be read are reported and the rest go on; the error
    /// at the end says how many there were.
    pub fn run(&self) -> anyhow::Result<()> {
        let found = pictures::find(&self.paths)?;
        found.remarks().for_each(|line| eprintln!("{line}"));
        let (files, left_out) = (found.files, found.left_out.len());
        anyhow::ensure!(
            !files.is_empty(),
            "no pictures (jpg, jpeg, png, bmp, webp) found, {left_out} of other kinds"
        );
        if let Some(folder) = &self.draw {
            std::fs::create_dir_all(folder)
                .with_context(|| format!("cannot make folder {}", folder.display()))?;
        }
        let mut reader = Reader::load(&self.models.config()?)?;
        let as_json = self.json || (!self.table && !std::io::stdout().is_terminal());
        let bar = progress(files.len());
        let (mut failed, mut seen, mut drawn) = (0_usize, Vec::new(), HashSet::new());
        for file in &files {
            bar.set_message(file.display().to_string());
            match self.one(&mut reader, file, &mut drawn) {
                Ok(one) if as_json => print_line(&serde_json::to_string(&one)?)?,
                Ok(one) => seen.push(one),
                Err(e) => {
                    failed += 1;
                    bar.suspend(|| eprintln!("{}: {e:#}", file.display()));
                }
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        if !as_json {
            print_line(&table(&seen).to_string())?;
        }
        let (lost, all) = (failed + left_out, files.len() + left_out);
        anyhow::ensure!(lost == 0, "{lost} of {all} pictures could not be read");
        Ok(())
    }

    fn one(
        &self,
        reader: &mut Reader,
        file: &Path,
        drawn: &mut HashSet<PathBuf>,
    ) -> anyhow::Result<Seen> {
        let mut sighted = read_picture(reader, &pictures::load(file)?)?;
        sighted.candidates.retain(|c| c.weakest().get() >= self.min_confidence);
        if let Some(folder) = &self.draw {
            let mut image = pictures::canvas(reader.picture());
            sighted.candidates.iter().for_each(|c| mark(&mut image, c));
            let (width, height) = image.dimensions();
            let bytes = jpeg::encode_rgb(image.as_raw(), width, height, 92)?;
            let path = unused_name(folder, file, drawn);
            std::fs::write(&path, bytes)
                .with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Seen {
            file: file.display().to_string(),
            width: sighted.size.0,
            height: sighted.size.1,
            plates: sighted.candidates.iter().map(plate).collect(),
        })
    }
}

/// Reads a picture; a JPEG in colours that no camera sends is converted first.
pub(super) fn read_picture(reader: &mut Reader, frame: &Frame) -> anyhow::Result<Sighted> {
    match (reader.read_whole(frame), &frame.pixels) {
        (Err(VisionError::JpegColours { .. }), Pixels::Mjpeg(bytes)) => {
            let frame = Frame { pixels: picture_file::decode(bytes)?, ..frame.clone() };
            Ok(reader.read_whole(&frame)?)
        }
        (seen, _) => Ok(seen?),
    }
}

/// A progress bar on standard error, for more than two pictures.
pub(super) fn progress(n: usize) -> ProgressBar {
    if n < 3 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} {eta} {wide_msg}")
        .expect("the template is well formed");
    ProgressBar::new(n as u64).with_style(style)
}

/// Writes a line; a reader that has gone away (`| head`) ends the program quietly.
pub(super) fn print_line(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout().lock(), "{line}") {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

fn plate(c: &Candidate) -> SeenPlate {
    let Rect { x, y, w, h } = c.detection.bbox;
    let characters: Vec<f32> = c.slots.iter().map(|s| s.best().1.get()).collect();
    let all: f32 = characters.iter().product();
    let issuer = c.jurisdiction();
    SeenPlate {
        text: c.text().to_string(),
        confidence: if characters.is_empty() { 0.0 } else { all },
        weakest: c.weakest().get(),
        detection: c.detection.score.get(),
        plausibility: c.plausibility(),
        bbox: [x, y, w, h],
        corners: c.detection.corners.map(|quad| quad.map(|p| [p.x, p.y])),
        characters,
        jurisdiction: issuer.map(|read| read.jurisdiction().to_string()),
        jurisdiction_confidence: issuer.map(|read| read.probability().get()),
        legibility: c.legibility,
    }
}

fn table(seen: &[Seen]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "picture",
        "plate",
        "jurisdiction",
        "all right",
        "weakest",
        "detection",
        "left, top, size",
    ]);
    for one in seen {
        if one.plates.is_empty() {
            table.add_row([one.file.as_str(), "no plate"]);
        }
        for p in &one.plates {
            let [x, y, w, h] = p.bbox;
            table.add_row([
                one.file.clone(),
                match p.legibility.and_then(Legibility::cause) {
                    Some(cause) if p.text.is_empty() => format!("not readable: {}", cause.says()),
                    None if p.text.is_empty() => "not readable".into(),
                    _ => p.text.clone(),
                },
                match (&p.jurisdiction, p.jurisdiction_confidence) {
                    (Some(code), Some(sure)) => format!("{code} {sure:.2}"),
                    _ => "unknown".into(),
                },
                format!("{:.2}", p.confidence),
                format!("{:.2}", p.weakest),
                format!("{:.2}", p.detection),
                format!("{x:.0}, {y:.0}, {w:.0}x{h:.0}"),
            ]);
        }
    }
    table
}

/// Green where every character is likely, else amber.
const SURE: Rgb<u8> = Rgb([60, 230, 90]);
const DOUBTFUL: Rgb<u8> = Rgb([255, 176, 0]);

fn mark(image: &mut RgbImage, c: &Candidate) {
    let weakest = c.weakest().get();
    let colour = if weakest >= 0.9 { SURE } else { DOUBTFUL };
    let r = c.detection.bbox;
    let quad: Quad = c.detection.corners.unwrap_or([
        Point { x: r.x, y: r.y },
        Point { x: r.right(), y: r.y },
        Point { x: r.right(), y: r.bottom() },
        Point { x: r.x, y: r.bottom() },
    ]);
    for i in 0..4 {
        let (a, b) = (quad[i], quad[(i + 1) % 4]);
        for d in [0.0, 1.0] {
            draw_line_segment_mut(image, (a.x + d, a.y + d), (b.x + d, b.y + d), colour);
        }
    }
    let label = format!("{} {:.0}%", c.text(), weakest * 100.0);
    let height = (r.h * 0.5).clamp(14.0, 40.0);
    let top = r.y - height * 1.5;
    let top = if top < 2.0 { r.bottom() + height * 0.4 } else { top };
    // A dark copy beneath, so that it can be read on any background.
    for (dx, dy, ink) in [(1.5, 1.5, Rgb([0, 0, 0])), (0.0, 0.0, colour)] {
        text::draw(image, r.x + dx, top + dy, height, ink, &label);
    }
}

/// `out/car.jpg`, or `out/car-2.jpg` if another folder's car.jpg was drawn before.
fn unused_name(folder: &Path, file: &Path, drawn: &mut HashSet<PathBuf>) -> PathBuf {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    let mut path = folder.join(format!("{stem}.jpg"));
    let mut n = 1;
    while !drawn.insert(path.clone()) {
        n += 1;
        path = folder.join(format!("{stem}-{n}.jpg"));
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_of_the_same_name_do_not_overwrite_each_other() {
        let mut drawn = HashSet::new();
        let mut name = |file: &str| {
            unused_name(Path::new("out"), Path::new(file), &mut drawn).display().to_string()
        };
        assert_eq!(name("a/car.png"), "out/car.jpg");
        assert_eq!(name("b/car.jpg"), "out/car-2.jpg");
        assert_eq!(name("c/car.jpg"), "out/car-3.jpg");
    }
}
