//! `outrider eval`: how well do the models read a labelled folder?
//!
//! Detection: a labelled box counts as found if a detection overlaps it by half (IoU 0.5). Reading:
//! the text of the candidate that overlaps the label best, by a tenth at least, whatever its
//! confidence; a plate that was not found counts as read wrong. False reads: texts of at least
//! `--false-read-confidence` away from every label; in folders that label one plate per picture
//! many of them are plates all the same, so look before calling them false.

mod labels;
mod report;
mod score;
mod sheet;

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use self::labels::{KnownError, Labelled};
use self::report::{Figures, Report, Tally};
use self::sheet::Worst;
use super::model_args::ModelArgs;
use super::pictures;
use super::read::{look, print_line, progress};
use crate::onboard::vision::candidate::{Confidence, Detection};
use crate::onboard::vision::{Reader, Runtime};

/// Measure the models on a labelled folder.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider eval data/evaluation\n  outrider eval data/evaluation --json --worst worst.png\n  outrider eval data/evaluation --detector yolo.onnx --ocr cct.onnx --crop-margin 0.1"
)]
pub struct EvalArgs {
    /// Folder with pictures and a labels.jsonl.
    dir: PathBuf,
    /// One JSON object instead of a table.
    #[arg(long, conflicts_with = "markdown")]
    json: bool,
    /// A Markdown table, for documents.
    #[arg(long)]
    markdown: bool,
    /// Write the worst cases into this picture (PNG).
    #[arg(long, value_name = "FILE")]
    worst: Option<PathBuf>,
    /// How many worst cases.
    #[arg(long, value_name = "N", default_value_t = 60)]
    worst_count: usize,
    /// Write each labelled plate and what was read, one JSON object per line.
    #[arg(long, value_name = "FILE")]
    cases: Option<PathBuf>,
    /// List of labels known to be wrong: source, text as labelled, what the picture shows.
    #[arg(long, value_name = "FILE")]
    set_aside: Option<PathBuf>,
    /// Only these sources, such as e2e_us.
    #[arg(long, value_name = "NAME")]
    source: Vec<String>,
    /// Confidence from which a read away from every label counts as a false one.
    #[arg(long, value_name = "P", default_value_t = 0.5)]
    false_read_confidence: f32,
    #[command(flatten)]
    models: ModelArgs,
}

impl EvalArgs {
    /// Does what was asked.
    pub fn run(&self) -> anyhow::Result<()> {
        let mut labelled = labels::load(&self.dir)?;
        if !self.source.is_empty() {
            labelled.retain(|l| self.source.contains(&l.source));
            anyhow::ensure!(!labelled.is_empty(), "no labels of source {}", self.source.join(", "));
        }
        let known = self.set_aside.as_deref().map(labels::known_errors).transpose()?;
        let config = self.models.config()?;
        let mut reader = Reader::load(&config)?;
        let mut worst = Worst::new(if self.worst.is_some() { self.worst_count } else { 0 });
        let mut tallies: BTreeMap<String, Tally> = BTreeMap::new();
        let bar = progress(labelled.len());
        for one in &labelled {
            let tally = tallies.entry(one.source.clone()).or_default();
            if let Err(e) = measure(&mut reader, one, known.as_deref(), tally, &mut worst) {
                bar.suspend(|| eprintln!("{}: {e:#}", one.path.display()));
                let (cases, _) = score::judge(one, &[]);
                tally.cases.extend(cases);
                tally.unreadable += 1;
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        if let Some(path) = &self.cases {
            let lines = tallies.values().flat_map(|t| &t.cases).map(serde_json::to_string);
            std::fs::write(path, lines.collect::<Result<Vec<_>, _>>()?.join("\n") + "\n")?;
        }
        if let Some(path) = &self.worst {
            let n = worst.write(path)?;
            eprintln!("{n} wrong reads drawn into {}", path.display());
        }
        let report = self.report(&reader, &tallies, config.onnxruntime.as_deref())?;
        print_line(&match (self.json, self.markdown) {
            (true, _) => serde_json::to_string(&report)?,
            (_, true) => report.markdown(),
            _ => report.table(),
        })
    }

    fn report(
        &self,
        reader: &Reader,
        tallies: &BTreeMap<String, Tally>,
        onnxruntime: Option<&std::path::Path>,
    ) -> anyhow::Result<Report> {
        let mut all = Tally::default();
        tallies.values().for_each(|t| all.add(t));
        let figures = |t: &Tally| Figures::of(t, self.false_read_confidence);
        let [detector, ocr] = reader.weights();
        Ok(Report {
            pooled: figures(&all),
            sources: tallies.iter().map(|(name, t)| (name.clone(), figures(t))).collect(),
            peak_rss_mb: peak_rss_mb()?,
            false_read_confidence: self.false_read_confidence,
            iou_detected: score::DETECTED,
            iou_same_plate: score::SAME_PLATE,
            detector: detector.clone(),
            ocr: ocr.clone(),
            onnxruntime: Runtime::find(onnxruntime)?.version(),
            outrider: env!("CARGO_PKG_VERSION"),
            set_aside: all.cases.iter().filter(|c| c.aside.is_some()).cloned().collect(),
        })
    }
}

/// Looks at one picture and adds what comes of it.
fn measure(
    reader: &mut Reader,
    one: &Labelled,
    known: Option<&[KnownError]>,
    tally: &mut Tally,
    worst: &mut Worst,
) -> anyhow::Result<()> {
    let frame = pictures::load(&one.path)?;
    let candidates = if one.is_crop {
        tally.crops += 1;
        reader.decode(&frame)?;
        let whole = Detection {
            bbox: reader.picture().bounds(),
            corners: None,
            score: Confidence::new(1.0),
        };
        reader.read_at(&[whole])?
    } else {
        tally.frames += 1;
        look(reader, &frame)?.candidates
    };
    let spent = reader.spent();
    if one.is_crop {
        tally.ocr_of_crops += spent.ocr;
    } else {
        tally.decode += spent.decode;
        tally.detect += spent.detect;
        tally.ocr += spent.ocr;
        tally.colour_crops += spent.crops;
        tally.detections += candidates.len();
    }
    let (mut cases, beside) = score::judge(one, &candidates);
    for (case, plate) in cases.iter_mut().zip(&one.plates) {
        let label = case.label.as_deref().unwrap_or_default();
        let error = known.unwrap_or_default().iter().find(|k| k.is_about(&case.source, label));
        case.aside = error.map(|k| k.why.clone());
        if case.aside.is_none() {
            let bbox = plate.bbox.unwrap_or(reader.picture().bounds());
            worst.offer(case, || reader.crop(&bbox));
        }
    }
    let texts = beside.iter().map(|i| &candidates[*i]).filter(|c| !c.slots.is_empty());
    tally.beside.extend(texts.map(score::weakest_folded));
    tally.cases.extend(cases);
    Ok(())
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
