//! `outrider eval`: how well do the models read a labelled folder?
//!
//! Detection: a labelled box counts as found if a detection overlaps it by half (IoU 0.5). Reading:
//! the text of the candidate that overlaps the label best, by a tenth at least, whatever its
//! confidence; a plate that was not found counts as read wrong, and so does one whose text is hardly
//! a plate's (`--min-plausibility`). False reads: texts of at least `--false-read-confidence` away
//! from every label; in folders that label one plate per picture many of them are plates all the
//! same, so look before calling them false: `--beside` writes them with their pictures,
//! `--looked-at` takes what somebody saw.

mod beside;
mod causes;
mod curve;
mod drawing;
mod labels;
mod looked_at;
mod reliability;
mod report;
mod score;
mod selective;
mod sheet;
mod slices;
mod tally;
mod vehicles;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

pub use self::selective::wilson;

use self::beside::Beside;
use self::labels::{KnownError, Labelled};
use self::looked_at::Place;
use self::report::{Figures, Report};
use self::sheet::Worst;
use self::tally::Tally;
use super::model_args::ModelArgs;
use super::pictures;
use super::read::{print_line, progress, read_picture};
use crate::config::ReadingConfig;
use crate::onboard::vision::candidate::{Candidate, Confidence, Detection};
use crate::onboard::vision::{Reader, Runtime, conditions};

/// Measure the models on a labelled folder.
#[derive(Debug, Args)]
#[command(
    after_help = "Every figure is of single pictures; the vote over a pass does better. A plate counts as detected\nwhere a box overlaps it by half, as read where the text is right, whatever its confidence.\n\nSlices: width of the labelled plate in pixels; sharpness, the variance of the Laplacian over the variance of the luma, at 160 pixels of width at most; light, the mean luma, 0 to 255; tilt, the slope of its lines in whole degrees; region, the two letters in which a source's name ends. Slices overlap: narrow plates are also the blurred ones.\n\nExamples:\n  outrider eval data/evaluation\n  outrider eval data/evaluation --slices --curve curve.svg --reliability reliability.svg --worst worst.png\n  outrider eval data/evaluation --beside beside/ --looked-at looked-at.txt\n  outrider eval data/evaluation --detector yolo.onnx --ocr cct.onnx --crop-margin 0.1\n  outrider eval data/evaluation --source e2e_us --labelled-boxes\n  outrider eval data/pack2/dev --vehicles docs/evaluation/vehicles/pack2-dev.jsonl"
)]
pub struct EvalArgs {
    /// Folder with pictures and a labels.jsonl.
    dir: PathBuf,
    /// Print one JSON object instead of a table.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// Print a Markdown table, for documents.
    #[arg(long)]
    markdown: bool,
    /// Write the worst cases into this picture (PNG).
    #[arg(long, value_name = "FILE")]
    worst: Option<PathBuf>,
    /// How many worst cases.
    #[arg(long, value_name = "N", default_value_t = 60)]
    worst_count: usize,
    /// Add tables of the same figures by width, sharpness, light, tilt and region. (In JSON they
    /// are always there.)
    #[arg(long)]
    slices: bool,
    /// Write the selective curve, accepted against right by threshold, as .svg or .csv; may be given
    /// for both.
    #[arg(long, value_name = "FILE")]
    curve: Vec<PathBuf>,
    /// Write the reliability diagram, how often reads of each confidence are right, as .svg or .csv; may be given for
    /// both. (In JSON it is always there.)
    #[arg(long, value_name = "FILE")]
    reliability: Vec<PathBuf>,
    /// Write what was read away from every label into this folder: reads.jsonl, reads.txt, and a
    /// picture of each.
    #[arg(long, value_name = "DIR")]
    beside: Option<PathBuf>,
    /// List of places that a person has looked at: file, x, y, plate or other, what is there.
    #[arg(long, value_name = "FILE")]
    looked_at: Option<PathBuf>,
    /// Write each labelled plate and what was read, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// List of labels known to be wrong: source, text as labelled, what the picture shows.
    #[arg(long, value_name = "FILE")]
    set_aside: Option<PathBuf>,
    /// Only these sources, such as e2e_us.
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    /// Read at the labelled boxes instead of the detector's, to measure the reader alone.
    #[arg(long, conflicts_with = "beside")]
    labelled_boxes: bool,
    /// Read each picture this many times, as successive frames of a standing camera, and count what is found at the last
    /// time: of a picture that is searched in pieces, each frame searches one piece and where plates were found before.
    /// Times are means.
    #[arg(long, value_name = "N", conflicts_with = "labelled_boxes")]
    frames: Option<u32>,
    /// Confidence from which a read away from every label counts as a false one.
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    false_read_confidence: f32,
    /// Plausibility that a text is a plate's, below which it does not count as read, 0 to 0.9: as
    /// reading.min_plausibility [default: that of the daemon].
    #[arg(long, value_name = "P")]
    min_plausibility: Option<f32>,
    /// Measure instead how often a vehicle's colour is said, and how often rightly, on a list made by eye: file, box, class,
    /// colour (JSON lines). Runs no model; the daemon says no colour.
    #[arg(
        long,
        value_name = "FILE",
        conflicts_with_all = [
            "worst", "slices", "curve", "reliability", "beside", "looked_at", "cases", "set_aside", "source", "labelled_boxes",
            "frames", "min_plausibility",
        ]
    )]
    vehicles: Option<PathBuf>,
    #[command(flatten)]
    models: ModelArgs,
}

impl EvalArgs {
    /// Does what was asked.
    pub fn run(&self) -> anyhow::Result<()> {
        if let Some(list) = &self.vehicles {
            let figures = vehicles::measure(&self.dir, list)?;
            return print_line(&match self.json {
                true => serde_json::to_string(&figures)?,
                false => figures.markdown(),
            });
        }
        let mut labelled = labels::load(&self.dir)?;
        // Pictures without a label are not measured; those of kinds that cannot be read are reported.
        let others = pictures::find(std::slice::from_ref(&self.dir))?;
        others.remarks().for_each(|line| eprintln!("{line}"));
        let left_out = others.left_out.len();
        if left_out > 0 {
            eprintln!(
                "{left_out} pictures of kinds that are not read; with labels they count as unreadable"
            );
        }
        if !self.source.is_empty() {
            labelled.retain(|l| self.source.contains(&l.source));
            anyhow::ensure!(!labelled.is_empty(), "no labels of source {}", self.source.join(", "));
        }
        let known = self.set_aside.as_deref().map(labels::known_errors).transpose()?;
        let places = self.looked_at.as_deref().map(looked_at::load).transpose()?;
        let reading = ReadingConfig {
            min_plausibility: self
                .min_plausibility
                .unwrap_or(ReadingConfig::default().min_plausibility),
            ..ReadingConfig::default()
        };
        reading.validate()?;
        let config = self.models.config()?;
        let mut measuring = Measuring {
            reader: Reader::load(&config)?,
            known: known.unwrap_or_default(),
            places: places.unwrap_or_default(),
            least: reading.min_plausibility,
            from: self.false_read_confidence,
            labelled_boxes: self.labelled_boxes,
            frames: self.frames.filter(|n| *n > 0),
            worst: Worst::new(if self.worst.is_some() { self.worst_count } else { 0 }),
            folder: self.beside.as_deref().map(beside::Folder::new).transpose()?,
        };
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        let bar = progress(labelled.len());
        for one in &labelled {
            let tally = tallies.entry(one.source.clone()).or_default();
            if let Err(e) = measuring.measure(one, tally) {
                bar.suspend(|| eprintln!("{}: {e:#}", one.path.display()));
                let (cases, _) = score::judge(one, &[], measuring.least);
                tally.cases.extend(cases);
                tally.unreadable += 1;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let mut all = Tally::default();
        tallies.values().for_each(|t| all.add(t));
        self.write_files(&measuring, &all)?;
        let report = self.report(&measuring, &tallies, &all, config.onnxruntime.as_deref())?;
        print_line(&match (self.json, self.markdown) {
            (true, _) => serde_json::to_string(&report)?,
            (_, true) => report.markdown(self.slices),
            _ => report.table(self.slices),
        })
    }

    /// Writes what was requested besides the figures.
    fn write_files(&self, measuring: &Measuring, all: &Tally) -> anyhow::Result<()> {
        if let Some(path) = &self.cases {
            let lines = all.cases.iter().map(serde_json::to_string);
            std::fs::write(path, lines.collect::<Result<Vec<_>, _>>()?.join("\n") + "\n")?;
        }
        if let Some(path) = &self.worst {
            let n = measuring.worst.write(path)?;
            eprintln!("{n} wrong reads drawn into {}", path.display());
        }
        if let Some(folder) = &measuring.folder {
            folder.finish(&all.beside, self.false_read_confidence, all.frames)?;
        }
        let points = selective::points(&all.reads());
        let target = selective::selective(&all.reads(), report::SELECTIVE_TARGET);
        let ocr = &measuring.reader.weights()[1];
        let title = format!("{} {}, {} plates", ocr.name, ocr.version, all.reads().len());
        self.curve.iter().try_for_each(|path| curve::write(path, &title, &points, &target))?;
        let bins = reliability::bins(&all.reads());
        self.reliability.iter().try_for_each(|path| reliability::write(path, &title, &bins))
    }

    fn report(
        &self,
        measuring: &Measuring,
        tallies: &BTreeMap<String, Tally>,
        all: &Tally,
        onnxruntime: Option<&std::path::Path>,
    ) -> anyhow::Result<Report> {
        let looked = self.looked_at.is_some();
        let figures = |t: &Tally| Figures::of(t, self.false_read_confidence, looked);
        let [detector, ocr] = measuring.reader.weights();
        Ok(Report {
            pooled: figures(all),
            sources: tallies.iter().map(|(name, t)| (name.clone(), figures(t))).collect(),
            reliability: reliability::bins(&all.reads()),
            slices: slices::of(&all.counted().collect::<Vec<_>>()),
            peak_rss_mb: peak_rss_mb()?,
            false_read_confidence: self.false_read_confidence,
            min_plausibility: measuring.least,
            iou_detected: score::DETECTED,
            iou_same_plate: score::SAME_PLATE,
            detector: detector.clone(),
            ocr: ocr.clone(),
            jurisdiction_model: measuring.reader.jurisdiction_weights().cloned(),
            onnxruntime: Runtime::find(onnxruntime)?.version(),
            outrider: env!("CARGO_PKG_VERSION"),
            set_aside: all.cases.iter().filter(|c| c.aside.is_some()).cloned().collect(),
        })
    }
}

/// The reader, and the settings of the measurement.
struct Measuring {
    reader: Reader,
    known: Vec<KnownError>,
    places: Vec<Place>,
    /// Plausibility below which a text is no read.
    least: f32,
    /// Confidence from which a read beside every label counts.
    from: f32,
    /// Whether plates are read where their labels are.
    labelled_boxes: bool,
    /// How often a picture is read as a camera's frame; `None` to read it once, as a single picture.
    frames: Option<u32>,
    worst: Worst,
    folder: Option<beside::Folder>,
}

impl Measuring {
    /// Reads one picture and adds the result.
    fn measure(&mut self, one: &Labelled, tally: &mut Tally) -> anyhow::Result<()> {
        let candidates = self.read_labelled(one, tally)?;
        let (mut cases, beside) = score::judge(one, &candidates, self.least);
        for (case, plate) in cases.iter_mut().zip(&one.plates) {
            let label = case.label.as_deref().unwrap_or_default();
            let error = self.known.iter().find(|k| k.is_about(&case.source, label));
            case.aside = error.map(|k| k.why.clone());
            let bbox = plate.bbox.unwrap_or(self.reader.picture().bounds());
            if let Some(seen) = conditions::measure(self.reader.picture(), &bbox) {
                (case.light, case.sharpness) = (Some(seen.light), Some(seen.sharpness));
                case.tilt = Some(seen.tilt);
            }
            if case.aside.is_none() {
                self.worst.offer(case, || self.reader.crop(&bbox));
            }
        }
        tally.cases.extend(cases);
        for candidate in beside.iter().map(|i| &candidates[*i]).filter(|c| !c.slots.is_empty()) {
            let mut read = Beside::of(one, candidate, self.least, &self.places);
            if let Some(folder) = self.folder.as_ref().filter(|_| read.weakest >= self.from) {
                folder.keep(&mut read, candidate, |bbox| self.reader.crop(bbox))?;
            }
            tally.beside.push(read);
        }
        Ok(())
    }

    fn read_labelled(
        &mut self,
        one: &Labelled,
        tally: &mut Tally,
    ) -> anyhow::Result<Vec<Candidate>> {
        let frame = pictures::load(&one.path)?;
        let reader = &mut self.reader;
        let known = |bbox| Detection { bbox, corners: None, score: Confidence::new(1.0) };
        if one.is_crop {
            tally.crops += 1;
            reader.decode(&frame)?;
            let candidates = reader.read_at(&[known(reader.picture().bounds())])?;
            tally.ocr_of_crops += reader.spent().ocr;
            tally.issuer += reader.spent().issuer;
            return Ok(candidates);
        }
        tally.frames += 1;
        if let Some(frames) = self.frames {
            let mut candidates = Vec::new();
            for _ in 0..frames {
                candidates = reader.read_next(&frame)?.candidates;
                let spent = reader.spent();
                tally.decode += spent.decode / frames;
                tally.detect += spent.detect / frames;
                tally.ocr += spent.ocr / frames;
                tally.colour_crops += spent.crops / frames;
                tally.issuer += spent.issuer / frames;
            }
            tally.detections += candidates.len();
            return Ok(candidates);
        }
        let candidates = if self.labelled_boxes {
            reader.decode(&frame)?;
            let boxes: Vec<_> = one.plates.iter().filter_map(|p| p.bbox).map(known).collect();
            reader.read_at(&boxes)?
        } else {
            read_picture(reader, &frame)?.candidates
        };
        let spent = reader.spent();
        tally.decode += spent.decode;
        tally.detect += spent.detect;
        tally.ocr += spent.ocr;
        tally.colour_crops += spent.crops;
        tally.issuer += spent.issuer;
        tally.detections += candidates.len();
        Ok(candidates)
    }
}

/// Highest resident memory of this process so far, in megabytes.
fn peak_rss_mb() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let kib = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?.trim().strip_suffix("kB")?.trim().parse().ok()
    });
    let kib: f64 = kib.ok_or_else(|| anyhow::anyhow!("/proc/self/status has no VmHWM"))?;
    Ok(kib / 1024.0)
}
