//! The figures of an evaluation, as one JSON object, as a table, as Markdown.

use std::collections::BTreeMap;
use std::time::Duration;

use comfy_table::{Table, presets};
use serde::Serialize;

use super::beside::{Beside, LookedAt};
use super::causes::{self, Causes};
use super::reliability::Bin;
use super::score::{Case, edits, folded};
use super::selective::{Selective, selective, wilson};
use super::slices::{self, Slices};
use super::tally::Tally;
use crate::onboard::vision::Weights;

/// Share of accepted reads that must be right where a read may stop a car.
pub(super) const SELECTIVE_TARGET: f64 = 0.995;

/// The figures of one source, or of all together. Rates are fractions, 0 to 1; absent where there
/// is nothing to divide by.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// Labelled plates, those set aside left out.
    pub(super) n: usize,
    /// Pictures with surroundings; only they count for detection.
    pub(super) n_frames: usize,
    /// Pictures that are nothing but a plate.
    pub(super) n_crops: usize,
    /// Labelled plates whose text is known.
    pub(super) n_text: usize,
    /// Labelled plates in frames.
    pub(super) n_boxes: usize,
    /// Pictures that could not be decoded; their plates count as missed.
    pub(super) unreadable: usize,
    /// Share of labelled plates in frames that a detection covers (IoU 0.5).
    pub(super) detection_recall: Option<f64>,
    /// Share of detections that cover a labelled plate. A lower bound where not every plate is
    /// labelled.
    pub(super) detection_precision: Option<f64>,
    /// Share of texts read without a fault.
    pub(super) exact: Option<f64>,
    /// The same with O, Q and 0 as one, and I and 1.
    pub(super) folded: Option<f64>,
    /// Edits per labelled character.
    pub(super) cer: Option<f64>,
    /// The same, folded.
    pub(super) cer_folded: Option<f64>,
    /// Reads of at least `false_read_confidence` that overlap no labelled plate. An upper bound
    /// where not every plate is labelled.
    pub(super) false_reads: usize,
    /// The same, of any confidence.
    pub(super) false_reads_any: usize,
    /// What the reads beside labels are, as far as a person has looked at them; absent without a list of places.
    pub(super) false_reads_looked_at: Option<LookedAt>,
    /// Labelled plates whose text was read and does not count, because it is implausible for a plate.
    pub(super) refused: usize,
    /// CPU milliseconds of detector and OCR per frame (per crop where there are no frames), one
    /// thread.
    pub(super) cpu_ms_per_frame: Option<f64>,
    pub(super) decode_ms_per_frame: Option<f64>,
    pub(super) detect_ms_per_frame: Option<f64>,
    pub(super) ocr_ms_per_frame: Option<f64>,
    pub(super) colour_crop_ms_per_frame: Option<f64>,
    /// Whose plates they are.
    pub(super) jurisdiction: Issuers,
    /// Why plates were not read, as the OCR says; absent where it says nothing.
    pub(super) legibility: Option<Causes>,
    /// 95 % intervals by Wilson's score.
    pub(super) intervals: BTreeMap<&'static str, [f64; 2]>,
    /// At which confidence nearly all accepted reads are right, and how many are accepted.
    pub(super) selective: Selective,
    /// Folded reads by width of the labelled plate.
    pub(super) by_width: Vec<Slice>,
}

/// Whose plates were said to be whose. Counts, of labelled plates whose jurisdiction is known, found or
/// not.
#[derive(Debug, Default, PartialEq, Serialize)]
pub(super) struct Issuers {
    /// Such plates.
    pub(super) n: usize,
    /// Of these, those of which a jurisdiction was read; of the rest it is unknown.
    pub(super) said: usize,
    /// Of these, those of which the labelled one was.
    pub(super) right: usize,
    /// CPU milliseconds per picture that the head costs.
    pub(super) cpu_ms: Option<f64>,
}

/// A part of the plates.
#[derive(Debug, Serialize)]
pub(super) struct Slice {
    /// Width in pixels, from and below.
    pub(super) from: f32,
    pub(super) below: Option<f32>,
    pub(super) n: usize,
    pub(super) detected: Option<f64>,
    pub(super) folded: Option<f64>,
}

/// Everything.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    #[serde(flatten)]
    pub(super) pooled: Figures,
    pub(super) sources: BTreeMap<String, Figures>,
    /// How often reads of each confidence are right.
    pub(super) reliability: Vec<Bin>,
    /// The same figures by width, sharpness, light, tilt and region.
    pub(super) slices: Slices,
    /// Highest resident memory of this process, models and all, in megabytes.
    pub(super) peak_rss_mb: f64,
    /// Confidence from which a read beside every label counts as a false one.
    pub(super) false_read_confidence: f32,
    /// Plausibility below which a text does not count as read.
    pub(super) min_plausibility: f32,
    /// Overlaps (IoU) that count as detected, and as the same plate.
    pub(super) iou_detected: f32,
    pub(super) iou_same_plate: f32,
    pub(super) detector: Weights,
    pub(super) ocr: Weights,
    /// The model that reads jurisdictions; null where none does.
    pub(super) jurisdiction_model: Option<Weights>,
    pub(super) onnxruntime: String,
    pub(super) outrider: &'static str,
    /// Labels known to be wrong, left out of the figures.
    pub(super) set_aside: Vec<Case>,
}

fn rate(hits: usize, n: usize) -> Option<f64> {
    (n > 0).then(|| hits as f64 / n as f64)
}

impl Figures {
    pub(super) fn of(tally: &Tally, false_read_confidence: f32, looked: bool) -> Self {
        let cases: Vec<&Case> = tally.counted().collect();
        let counted: Vec<&Beside> =
            tally.beside.iter().filter(|b| b.counts(false_read_confidence)).collect();
        let count = |f: &dyn Fn(&Case) -> bool| cases.iter().filter(|c| f(c)).count();
        let n_text = count(&|c| c.label.is_some());
        let n_boxes = count(&|c| c.detected.is_some());
        let detected = count(&|c| c.detected == Some(true));
        // Detections of labels that are set aside are neither right nor wrong.
        let aside = tally.cases.iter().filter(|c| c.aside.is_some());
        let detections = tally.detections - aside.filter(|c| c.detected == Some(true)).count();
        let (exact, is_folded) = (count(&Case::is_exact), count(&Case::is_folded));
        let texts = cases.iter().filter_map(|c| Some((c.label.as_deref()?, c.read.as_str())));
        let text = |t: &str| String::from_utf8(folded(t)).expect("folding keeps ASCII");
        let (mut wrong, mut wrong_folded, mut characters) = (0, 0, 0);
        for (label, read) in texts {
            wrong += edits(label, read);
            wrong_folded += edits(&text(label), &text(read));
            characters += label.len();
        }
        let mut intervals = BTreeMap::new();
        if n_boxes > 0 {
            intervals.insert("detection_recall", wilson(detected, n_boxes));
        }
        if n_text > 0 {
            intervals.insert("exact", wilson(exact, n_text));
            intervals.insert("folded", wilson(is_folded, n_text));
        }
        let labelled: Vec<_> = cases.iter().filter(|c| c.jurisdiction.is_some()).collect();
        let mut issuers = Issuers {
            n: labelled.len(),
            said: labelled.iter().filter(|c| c.jurisdiction_read.is_some()).count(),
            right: labelled.iter().filter(|c| c.is_issuer_right()).count(),
            cpu_ms: None,
        };
        if issuers.n > 0 {
            intervals.insert("jurisdiction_said", wilson(issuers.said, issuers.n));
        }
        if issuers.said > 0 {
            intervals.insert("jurisdiction_right", wilson(issuers.right, issuers.said));
        }
        let (pictures, ocr) = match tally.frames {
            0 => (tally.crops, tally.ocr_of_crops),
            frames => (frames, tally.ocr),
        };
        let ms = |spent: Duration| {
            (pictures > 0).then(|| spent.as_secs_f64() * 1000.0 / pictures as f64)
        };
        issuers.cpu_ms = match tally.frames + tally.crops {
            0 => None,
            all => Some(tally.issuer.as_secs_f64() * 1000.0 / all as f64),
        };
        Self {
            n: cases.len(),
            n_frames: tally.frames,
            n_crops: tally.crops,
            n_text,
            n_boxes,
            unreadable: tally.unreadable,
            detection_recall: rate(detected, n_boxes),
            detection_precision: rate(detected, detections),
            exact: rate(exact, n_text),
            folded: rate(is_folded, n_text),
            cer: rate(wrong, characters),
            cer_folded: rate(wrong_folded, characters),
            false_reads: counted.len(),
            false_reads_any: tally.beside.iter().filter(|b| b.is_read).count(),
            false_reads_looked_at: looked.then(|| LookedAt::of(&counted, tally.frames)),
            refused: count(&|c| c.label.is_some() && c.refused.is_some()),
            cpu_ms_per_frame: ms(tally.detect + ocr),
            decode_ms_per_frame: ms(tally.decode),
            detect_ms_per_frame: ms(tally.detect),
            ocr_ms_per_frame: ms(ocr),
            colour_crop_ms_per_frame: ms(tally.colour_crops),
            jurisdiction: issuers,
            legibility: causes::of(&cases),
            intervals,
            selective: selective(&tally.reads(), SELECTIVE_TARGET),
            by_width: by_width(&cases),
        }
    }
}

/// A plate must be some 50 pixels wide to be read, and some 22 at the detector's scale to be found.
const WIDTHS: [f32; 5] = [0.0, 50.0, 70.0, 100.0, 150.0];

fn by_width(cases: &[&Case]) -> Vec<Slice> {
    let slices = WIDTHS.iter().enumerate().map(|(i, from)| {
        let below = WIDTHS.get(i + 1).copied();
        let inside =
            |c: &&&Case| c.width.is_some_and(|w| w >= *from && below.is_none_or(|below| w < below));
        let part: Vec<_> = cases.iter().filter(inside).collect();
        let with_text = part.iter().filter(|c| c.label.is_some());
        let detected = part.iter().filter(|c| c.detected == Some(true)).count();
        let read = part.iter().filter(|c| c.is_folded()).count();
        Slice {
            from: *from,
            below,
            n: part.len(),
            detected: rate(detected, part.len()),
            folded: rate(read, with_text.count()),
        }
    });
    slices.filter(|s| s.n > 0).collect()
}

/// `93.1 (88.2-96.1) n=111`: percent, interval, count.
pub(super) fn percent(value: Option<f64>, interval: Option<&[f64; 2]>, n: usize) -> String {
    let Some(value) = value else { return "-".into() };
    let p = |v: f64| format!("{:.1}", v * 100.0);
    let range = interval.map(|[low, high]| format!(" ({}-{})", p(*low), p(*high)));
    format!("{}{} n={n}", p(value), range.unwrap_or_default())
}

const HEAD: [&str; 8] = [
    "source",
    "detected %",
    "exact %",
    "O/Q=0, I=1 %",
    "character errors %",
    "reads beside labels",
    "accepted % at 99.5 % right",
    "CPU ms, detect + read",
];

/// Further columns, where labels say whose the plates are.
const ISSUERS: [&str; 2] = ["jurisdiction said %", "of these right %"];

impl Report {
    fn head(&self) -> Vec<String> {
        let issuers = ISSUERS.iter().filter(|_| self.pooled.jurisdiction.n > 0);
        HEAD.iter().chain(issuers).map(|name| (*name).to_owned()).collect()
    }

    /// The figures of each source, and of all together where there are several.
    fn lines(&self) -> impl Iterator<Item = (&str, &Figures)> {
        let sources = self.sources.iter().map(|(name, f)| (name.as_str(), f));
        let all = std::iter::once(("all", &self.pooled)).filter(|_| self.sources.len() != 1);
        sources.chain(all)
    }

    fn rows(&self) -> Vec<Vec<String>> {
        self.lines()
            .map(|(name, f)| {
                let recall = f.intervals.get("detection_recall");
                let ms = f.cpu_ms_per_frame.map_or("-".into(), |v| format!("{v:.1}"));
                let beside = match &f.false_reads_looked_at {
                    Some(l) => format!(
                        "{} in {} frames, {} no plates",
                        f.false_reads,
                        f.n_frames,
                        l.others + l.not_looked_at
                    ),
                    None => format!("{} in {} frames", f.false_reads, f.n_frames),
                };
                let s = &f.selective;
                let accepted = match s.threshold {
                    Some(t) => format!("{:.1} (from {t:.3})", s.accepted * 100.0),
                    None => "none".into(),
                };
                let mut row = vec![
                    name.to_owned(),
                    percent(f.detection_recall, recall, f.n_boxes),
                    percent(f.exact, f.intervals.get("exact"), f.n_text),
                    percent(f.folded, f.intervals.get("folded"), f.n_text),
                    f.cer.map_or("-".into(), |v| format!("{:.1}", v * 100.0)),
                    if f.n_frames > 0 { beside } else { "-".into() },
                    if f.n_text > 0 { accepted } else { "-".into() },
                    ms,
                ];
                if self.pooled.jurisdiction.n > 0 {
                    let issuers = &f.jurisdiction;
                    let share = rate(issuers.said, issuers.n);
                    row.push(percent(share, f.intervals.get("jurisdiction_said"), issuers.n));
                    let share = rate(issuers.right, issuers.said);
                    row.push(percent(share, f.intervals.get("jurisdiction_right"), issuers.said));
                }
                row
            })
            .collect()
    }

    fn models(&self) -> String {
        let model = |w: &Weights| format!("{} {} ({})", w.name, w.version, &w.sha256[..12]);
        format!(
            "{}, {}{}; ONNX Runtime {}; Outrider {}",
            model(&self.detector),
            model(&self.ocr),
            self.jurisdiction_model.as_ref().map_or(String::new(), |w| format!(", {}", model(w))),
            self.onnxruntime,
            self.outrider
        )
    }

    /// For a person at a terminal.
    pub(super) fn table(&self, slices: bool) -> String {
        let mut table = Table::new();
        table.load_style(presets::UTF8_HORIZONTAL_ONLY);
        table.set_header(self.head());
        for row in self.rows() {
            table.add_row(row);
        }
        let mut text = format!("{table}\n{}\n", self.models());
        text += &format!("{}\n", self.remarks());
        if self.pooled.legibility.is_some() {
            let mut table = Table::new();
            table.load_style(presets::UTF8_HORIZONTAL_ONLY);
            table.set_header(causes::head());
            for (name, f) in self.lines() {
                f.legibility.as_ref().map(|said| table.add_row(causes::row(name, said)));
            }
            text += &format!("{table}\n");
        }
        if slices {
            let mut table = Table::new();
            table.load_style(presets::UTF8_HORIZONTAL_ONLY);
            table.set_header(slices::HEAD);
            for row in slices::rows(&self.slices, percent) {
                table.add_row(row);
            }
            text += &format!("{table}\n");
        }
        let f = &self.pooled;
        let ms = |v: Option<f64>| v.map_or("-".into(), |v| format!("{v:.2}"));
        text += &format!(
            "CPU ms: decode {}, detect {}, read {}, colour crops {}; {:.0} MB at most\n",
            ms(f.decode_ms_per_frame),
            ms(f.detect_ms_per_frame),
            ms(f.ocr_ms_per_frame),
            ms(f.colour_crop_ms_per_frame),
            self.peak_rss_mb
        );
        for case in &self.set_aside {
            let label = case.label.as_deref().unwrap_or_default();
            let why = case.aside.as_deref().unwrap_or_default();
            text += &format!("set aside: {} {label}: {why}\n", case.source);
        }
        text.trim_end().to_owned()
    }

    /// Explains columns that could be misunderstood.
    fn remarks(&self) -> String {
        let f = &self.pooled;
        let mut text = format!(
            "95 % intervals by Wilson's score. Read: the text is right, whatever its confidence; a plate that \
             was not found counts as read wrong. Reads beside labels: of {:.2} and more, of any confidence {}; \
             plates that nobody labelled are among them",
            self.false_read_confidence, f.false_reads_any
        );
        match &f.false_reads_looked_at {
            Some(l) => {
                text += &format!(
                    ": {} are, {} are not, {} were not looked at; unexplained {:.1} per 100 frames ({:.1}-{:.1})",
                    l.plates,
                    l.others,
                    l.not_looked_at,
                    l.unexplained_per_100_frames,
                    l.interval[0],
                    l.interval[1]
                );
            }
            None => text += ", so look before calling them false",
        }
        text += &format!(
            ". Texts of labelled plates that hardly a plate says ({} in all, under {:.2}) count as read wrong. \
             Accepted: of all plates, at the lowest threshold from which {:.1} % of the accepted reads are right; \
             one wrong read moves it by many plates, and with fewer than {:.0} accepted it asks that none is wrong.",
            f.refused,
            self.min_plausibility,
            100.0 * SELECTIVE_TARGET,
            1.0 / (1.0 - SELECTIVE_TARGET)
        );
        text +=
            " CPU: one thread, per frame where a source has frames, per plate where it has not.";
        text
    }

    /// For a document: the same figures, so that none is typed by hand.
    pub(super) fn markdown(&self, slices: bool) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let head = self.head();
        let mut text = line(&head);
        text += &format!("|{}\n", "---|".repeat(head.len()));
        for row in self.rows() {
            text += &line(&row);
        }
        text += &format!("\n{}; {:.0} MB at most.", self.models(), self.peak_rss_mb);
        text += &format!(" {}", self.remarks());
        if !self.set_aside.is_empty() {
            let n = self.set_aside.len();
            text += &format!(" {n} labels known to be wrong are set aside.");
        }
        if slices {
            text +=
                &format!("\n\n{}|{}\n", line(&slices::HEAD.map(String::from)), "---|".repeat(5));
            for row in slices::rows(&self.slices, percent) {
                text += &line(&row);
            }
            text.truncate(text.trim_end().len());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::super::reliability;
    use super::*;
    use crate::onboard::vision::legibility::Cause;
    use crate::plate::Jurisdiction;

    fn case(label: Option<&str>, read: &str, weakest: f32, detected: Option<bool>) -> Case {
        Case {
            source: "us".into(),
            file: "a.jpg".into(),
            label: label.map(String::from),
            read: read.into(),
            weakest,
            detected,
            width: detected.map(|_| 80.0),
            ..Case::default()
        }
    }

    fn beside(weakest: f32, is_plate: Option<bool>) -> Beside {
        Beside {
            source: "us".into(),
            file: "a.jpg".into(),
            bbox: [1.0, 2.0, 60.0, 30.0],
            text: "XYZ987".into(),
            weakest,
            score: 0.7,
            plausibility: 0.7,
            is_read: true,
            is_plate,
            what: None,
            crop: None,
        }
    }

    fn of(mut case: Case, labelled: &str, read: Option<&str>) -> Case {
        case.jurisdiction = Some(Jurisdiction::parse(labelled).unwrap());
        case.jurisdiction_read = read.map(|code| Jurisdiction::parse(code).unwrap());
        case.jurisdiction_confidence = read.map(|_| 0.98);
        case
    }

    fn said(mut case: Case, legible: f32, cause: Option<Cause>) -> Case {
        (case.legible, case.cause) = (Some(legible), cause);
        case
    }

    fn tally() -> Tally {
        let mut wrong_label = case(Some("WRONG1"), "RIGHT1", 0.99, Some(true));
        wrong_label.aside = Some("shows RIGHT1".into());
        Tally {
            frames: 4,
            crops: 1,
            unreadable: 0,
            cases: vec![
                of(case(Some("ABC123"), "ABC123", 0.99, Some(true)), "US-CA", Some("US-CA")),
                of(case(Some("OIQ"), "010", 0.9, Some(true)), "US-CA", Some("US-NV")),
                of(case(Some("XYZ987"), "", 0.0, Some(false)), "US", None),
                said(case(None, "QQ", 0.5, Some(true)), 0.2, Some(Cause::Covered)),
                said(case(Some("CROP1"), "CR0P", 0.4, None), 0.3, Some(Cause::Soft)),
                wrong_label,
            ],
            detections: 6,
            beside: vec![beside(0.2, None), beside(0.95, Some(false)), beside(0.9, Some(true))],
            decode: Duration::from_millis(20),
            detect: Duration::from_millis(40),
            ocr: Duration::from_millis(8),
            ocr_of_crops: Duration::from_millis(2),
            colour_crops: Duration::from_millis(1),
            issuer: Duration::from_millis(2),
        }
    }

    #[test]
    fn figures_add_up() {
        let f = Figures::of(&tally(), 0.5, true);
        assert_eq!((f.n, f.n_text, f.n_boxes, f.n_frames, f.n_crops), (5, 4, 4, 4, 1));
        assert_eq!(f.detection_recall, Some(0.75));
        assert_eq!(f.detection_precision, Some(0.6));
        assert_eq!((f.exact, f.folded), (Some(0.25), Some(0.5)));
        assert_eq!(f.cer, Some((3.0 + 6.0 + 2.0) / 20.0));
        assert_eq!(f.cer_folded, Some((6.0 + 1.0) / 20.0));
        assert_eq!((f.false_reads, f.false_reads_any), (2, 3));
        let looked = f.false_reads_looked_at.as_ref().unwrap();
        assert_eq!((looked.plates, looked.others, looked.not_looked_at), (1, 1, 0));
        assert_eq!(f.cpu_ms_per_frame, Some(12.0));
        assert_eq!(f.selective.accepted, 0.5);
        assert_eq!((f.jurisdiction.n, f.jurisdiction.said, f.jurisdiction.right), (3, 2, 1));
    }

    #[test]
    fn nothing_to_divide_by_is_absent_not_zero() {
        let f = Figures::of(&Tally::default(), 0.5, false);
        assert_eq!((f.exact, f.detection_recall, f.cpu_ms_per_frame), (None, None, None));
    }

    #[test]
    fn json_has_the_agreed_shape() {
        let weights = |name: &str| Weights {
            name: name.into(),
            version: "1.0.0".into(),
            decoder: "ctc",
            sha256: "0123456789abcdef".repeat(4),
        };
        let mut with_reason = case(Some("WRONG1"), "RIGHT1", 0.5, Some(true));
        with_reason.aside = Some("shows RIGHT1".into());
        let report = Report {
            pooled: Figures::of(&tally(), 0.5, true),
            reliability: reliability::bins(&tally().reads()),
            slices: slices::of(&tally().counted().collect::<Vec<_>>()),
            sources: [("us".to_owned(), Figures::of(&tally(), 0.5, true))].into(),
            peak_rss_mb: 120.5,
            false_read_confidence: 0.5,
            min_plausibility: 0.35,
            iou_detected: 0.5,
            iou_same_plate: 0.1,
            detector: weights("detector"),
            ocr: weights("ocr"),
            jurisdiction_model: Some(weights("jurisdiction")),
            onnxruntime: "1.26.0".into(),
            outrider: "0.1.0",
            set_aside: vec![with_reason],
        };
        let json = serde_json::to_value(&report).unwrap();
        for key in [
            "n",
            "detection_recall",
            "exact",
            "folded",
            "cer",
            "false_reads",
            "cpu_ms_per_frame",
            "peak_rss_mb",
        ] {
            assert!(json[key].is_number(), "{key}");
            if key != "peak_rss_mb" {
                assert!(json["sources"]["us"][key].is_number(), "sources.us.{key}");
            }
        }
        let table = report.table(false);
        let row = table.lines().find(|line| line.contains(" us ") && line.contains("0 of 0"));
        let cells: Vec<_> = row.expect(&table).split_whitespace().collect();
        let counts = ["us", "1", "1", "0", "0", "0", "0", "0", "of", "0", "1", "of", "1"];
        assert_eq!(cells, counts, "{table}");
        insta::assert_json_snapshot!("eval_json", json);
        insta::assert_snapshot!("eval_markdown", report.markdown(true));
    }
}
