//! Decides which reads are right and which are wrong.

use serde::Serialize;

use super::labels::{Labelled, LabelledPlate};
use crate::geometry::Rect;
use crate::onboard::vision::candidate::Candidate;
use crate::onboard::vision::legibility::Cause;
use crate::plate::{Jurisdiction, fold};

/// Overlap from which a detection counts as the labelled plate.
pub(super) const DETECTED: f32 = 0.5;
/// Overlap from which a candidate's text counts as this plate's: boxes around US plates differ by
/// the frame, so a reading may be right where the box is half off.
pub(super) const SAME_PLATE: f32 = 0.1;

/// One labelled plate and what was read of it.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Case {
    pub(super) source: String,
    pub(super) file: String,
    /// The label; none where only the place is known.
    pub(super) label: Option<String>,
    /// The text read, empty where nothing was.
    pub(super) read: String,
    /// Probability of the least certain character, letters that lists cannot keep apart counted
    /// as one.
    pub(super) weakest: f32,
    /// Whether a detection covers it; none in a crop.
    pub(super) detected: Option<bool>,
    /// The detector's score; none in a crop and where nothing was found.
    pub(super) score: Option<f32>,
    /// The text that was read and is not counted, because it is implausible for a plate.
    pub(super) refused: Option<String>,
    /// Width of the labelled box in pixels; none in a crop.
    pub(super) width: Option<f32>,
    /// Mean brightness, sharpness and slope of the labelled plate; see [`conditions`](crate::onboard::vision::conditions).
    pub(super) light: Option<f32>,
    pub(super) sharpness: Option<f32>,
    pub(super) tilt: Option<f32>,
    /// The probability that its picture is legible, and the cause where it is not; none where the OCR does not say or
    /// nothing was found.
    pub(super) legible: Option<f32>,
    pub(super) cause: Option<Cause>,
    /// Whose it is as labelled; none where nobody says.
    pub(super) jurisdiction: Option<Jurisdiction>,
    /// Whose it was read as, and how surely; none where that is unknown.
    pub(super) jurisdiction_read: Option<Jurisdiction>,
    pub(super) jurisdiction_confidence: Option<f32>,
    /// Why it is set aside, if it is.
    pub(super) aside: Option<String>,
}

impl Case {
    /// Whether the jurisdiction was read as labelled; a label that names the country alone is met by any
    /// of its parts.
    pub(super) fn is_issuer_right(&self) -> bool {
        let (read, labelled) = (self.jurisdiction_read, self.jurisdiction);
        read.zip(labelled).is_some_and(|(read, labelled)| read.may_be(&labelled))
    }

    pub(super) fn is_exact(&self) -> bool {
        self.label.as_deref() == Some(self.read.as_str())
    }

    pub(super) fn is_folded(&self) -> bool {
        self.label.as_deref().is_some_and(|label| folded(label) == folded(&self.read))
    }
}

/// Text with the letters merged that lists cannot keep apart.
pub(super) fn folded(text: &str) -> Vec<u8> {
    text.bytes().map(fold).collect()
}

/// The least certain character, where O, Q and 0 are one, and I and 1.
pub(super) fn weakest_folded(candidate: &Candidate) -> f32 {
    let slot_best = |slot: &[f32; 36]| {
        let mut merged = *slot;
        for (from, c) in crate::plate::SYMBOLS.iter().enumerate() {
            let to = usize::from(crate::plate::symbol_index(fold(*c)));
            if to != from {
                merged[to] += std::mem::take(&mut merged[from]);
            }
        }
        merged.into_iter().fold(0.0, f32::max)
    };
    let slots = candidate.slots.iter().map(|s| slot_best(&s.0));
    if candidate.slots.is_empty() { 0.0 } else { slots.fold(1.0, f32::min).min(1.0) }
}

/// Which candidate belongs to which label: pairs in order of overlap, each used once.
pub(super) fn assign(labels: &[Rect], found: &[Rect], least: f32) -> Vec<Option<usize>> {
    let mut pairs: Vec<(f32, usize, usize)> = Vec::new();
    for (l, label) in labels.iter().enumerate() {
        for (f, candidate) in found.iter().enumerate() {
            let iou = label.iou(candidate);
            if iou >= least {
                pairs.push((iou, l, f));
            }
        }
    }
    pairs.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut taken = vec![false; found.len()];
    let mut assigned = vec![None; labels.len()];
    for (_, l, f) in pairs {
        if assigned[l].is_none() && !taken[f] {
            (assigned[l], taken[f]) = (Some(f), true);
        }
    }
    assigned
}

/// Cases of one picture, and what was found beside its labels. Texts less plausible than `least` do
/// not count as read.
pub(super) fn judge(
    labelled: &Labelled,
    found: &[Candidate],
    least: f32,
) -> (Vec<Case>, Vec<usize>) {
    let file = labelled.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let case = |plate: &LabelledPlate| Case {
        source: labelled.source.clone(),
        file: file.clone(),
        label: plate.text.clone(),
        jurisdiction: (!plate.jurisdiction.is_unknown()).then_some(plate.jurisdiction),
        ..Case::default()
    };
    let with = |mut case: Case, candidate: Option<&Candidate>| {
        let Some(c) = candidate else { return case };
        let text = c.text().to_string();
        let issuer = c.jurisdiction();
        case.legible = c.legibility.map(|said| said.legible());
        case.cause = c.legibility.and_then(|said| said.cause());
        case.jurisdiction_read = issuer.map(|read| read.jurisdiction());
        case.jurisdiction_confidence = issuer.map(|read| read.probability().get());
        if is_read(c, least) {
            (case.read, case.weakest) = (text, weakest_folded(c));
        } else if !text.is_empty() {
            case.refused = Some(text);
        }
        if !labelled.is_crop {
            case.score = Some(c.detection.score.get());
        }
        case
    };
    if labelled.is_crop {
        let cases = labelled.plates.iter().map(|p| with(case(p), found.first())).collect();
        return (cases, Vec::new());
    }
    let labels: Vec<Rect> = labelled.plates.iter().filter_map(|p| p.bbox).collect();
    let boxes: Vec<Rect> = found.iter().map(|c| c.detection.bbox).collect();
    let detected = assign(&labels, &boxes, DETECTED);
    let same = assign(&labels, &boxes, SAME_PLATE);
    let cases = labelled.plates.iter().zip(&labels).zip(detected.iter().zip(&same));
    let cases = cases.map(|((plate, bbox), (detected, same))| {
        let mut case = with(case(plate), same.map(|i| &found[i]));
        (case.detected, case.width) = (Some(detected.is_some()), Some(bbox.w));
        case
    });
    let beside = (0..found.len())
        .filter(|i| labels.iter().all(|l| l.iou(&boxes[*i]) < SAME_PLATE))
        .collect();
    (cases.collect(), beside)
}

/// Whether a candidate's text is one that a plate may have.
pub(super) fn is_read(candidate: &Candidate, least: f32) -> bool {
    let plausible = candidate.plausibility();
    plausible > 0.0 && plausible >= least
}

/// Edits (insert, delete, replace) from one text to another.
pub(super) fn edits(a: &str, b: &str) -> usize {
    let b: Vec<u8> = b.bytes().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(row[j + 1] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_count_inserts_deletes_and_replacements() {
        assert_eq!(edits("ABC123", "ABC123"), 0);
        assert_eq!(edits("ABC123", ""), 6);
        assert_eq!(edits("", "AB"), 2);
        assert_eq!(edits("ABC123", "A8C1234"), 2);
        assert_eq!(edits("KITTEN", "SITTING"), 3);
    }

    #[test]
    fn folding_merges_what_lists_cannot_keep_apart() {
        assert_eq!(folded("O0QI1"), folded("0OO11"));
        assert_ne!(folded("B8"), folded("8B"));
    }

    #[test]
    fn each_candidate_belongs_to_one_label() {
        let r = |x| Rect { x, y: 0.0, w: 10.0, h: 10.0 };
        assert_eq!(assign(&[r(0.0), r(4.0)], &[r(3.0)], 0.1), [None, Some(0)]);
        assert_eq!(assign(&[r(0.0), r(20.0)], &[r(21.0), r(1.0)], 0.1), [Some(1), Some(0)]);
        assert_eq!(assign(&[r(0.0)], &[r(50.0)], 0.1), [None]);
    }
}
