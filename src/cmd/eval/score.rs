//! What is right and what is wrong, and how sure that is.

use serde::Serialize;

use super::labels::Labelled;
use crate::geometry::Rect;
use crate::onboard::vision::candidate::Candidate;
use crate::plate::fold;

/// Overlap from which a detection counts as the labelled plate.
pub(super) const DETECTED: f32 = 0.5;
/// Overlap from which a candidate's text counts as this plate's: boxes around US plates differ by
/// the frame, so a reading may be right where the box is half off.
pub(super) const SAME_PLATE: f32 = 0.1;

/// One labelled plate and what was made of it.
#[derive(Debug, Clone, Serialize)]
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
    /// Width of the labelled box in pixels; none in a crop.
    pub(super) width: Option<f32>,
    /// Why it is set aside, if it is.
    pub(super) aside: Option<String>,
}

impl Case {
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

/// Cases of one picture, and what was found beside its labels.
pub(super) fn judge(labelled: &Labelled, found: &[Candidate]) -> (Vec<Case>, Vec<usize>) {
    let file = labelled.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let case = |label: &Option<String>| Case {
        source: labelled.source.clone(),
        file: file.clone(),
        label: label.clone(),
        read: String::new(),
        weakest: 0.0,
        detected: None,
        width: None,
        aside: None,
    };
    let with = |mut case: Case, candidate: Option<&Candidate>| {
        if let Some(c) = candidate {
            (case.read, case.weakest) = (c.text().to_string(), weakest_folded(c));
        }
        case
    };
    if labelled.is_crop {
        let cases = labelled.plates.iter().map(|p| with(case(&p.text), found.first())).collect();
        return (cases, Vec::new());
    }
    let labels: Vec<Rect> = labelled.plates.iter().filter_map(|p| p.bbox).collect();
    let boxes: Vec<Rect> = found.iter().map(|c| c.detection.bbox).collect();
    let detected = assign(&labels, &boxes, DETECTED);
    let same = assign(&labels, &boxes, SAME_PLATE);
    let cases = labelled.plates.iter().zip(&labels).zip(detected.iter().zip(&same));
    let cases = cases.map(|((plate, bbox), (detected, same))| {
        let mut case = with(case(&plate.text), same.map(|i| &found[i]));
        (case.detected, case.width) = (Some(detected.is_some()), Some(bbox.w));
        case
    });
    let beside = (0..found.len())
        .filter(|i| labels.iter().all(|l| l.iou(&boxes[*i]) < SAME_PLATE))
        .collect();
    (cases.collect(), beside)
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

/// 95 % confidence interval of a rate by Wilson's score: sound for small n and rates near 1.
pub(super) fn wilson(hits: usize, n: usize) -> [f64; 2] {
    if n == 0 {
        return [0.0, 1.0];
    }
    /// Two-sided 95 %.
    const Z: f64 = 1.959_964;
    let (n, p) = (n as f64, hits as f64 / n as f64);
    let (z2, middle) = (Z * Z / n, p + Z * Z / (2.0 * n));
    let half = Z * (p * (1.0 - p) / n + Z * Z / (4.0 * n * n)).sqrt();
    [((middle - half) / (1.0 + z2)).max(0.0), ((middle + half) / (1.0 + z2)).min(1.0)]
}

/// How many reads can be accepted if nearly all accepted ones must be right.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Selective {
    /// Share of accepted reads that must be right.
    pub(super) target: f64,
    /// Lowest value of the least certain character that reaches it; none if no value does.
    pub(super) threshold: Option<f32>,
    /// Share of the plates whose read is accepted there.
    pub(super) accepted: f64,
    /// Accepted reads, and how many of them are right.
    pub(super) accepted_n: usize,
    pub(super) right_n: usize,
    /// Threshold, share accepted, share of those right.
    pub(super) curve: Vec<[f64; 3]>,
}

/// Finds the threshold on `(confidence, right)` of all plates with a text, unread ones at 0.
pub(super) fn selective(reads: &[(f32, bool)], target: f64) -> Selective {
    let mut sorted = reads.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut result = Selective {
        target,
        threshold: None,
        accepted: 0.0,
        accepted_n: 0,
        right_n: 0,
        curve: Vec::new(),
    };
    let mut right = 0;
    for (i, (p, is_right)) in sorted.iter().enumerate() {
        right += usize::from(*is_right);
        // Reads of equal confidence are accepted together.
        let is_last_of_equals = sorted.get(i + 1).is_none_or(|next| next.0 < *p);
        if is_last_of_equals && *p > 0.0 && right as f64 >= target * (i + 1) as f64 {
            result.threshold = Some(*p);
            (result.accepted_n, result.right_n) = (i + 1, right);
        }
    }
    result.accepted = result.accepted_n as f64 / reads.len().max(1) as f64;
    for step in [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999] {
        let taken: Vec<_> = sorted.iter().filter(|r| f64::from(r.0) >= step && r.0 > 0.0).collect();
        let right = taken.iter().filter(|r| r.1).count();
        result.curve.push([
            step,
            taken.len() as f64 / reads.len().max(1) as f64,
            right as f64 / taken.len().max(1) as f64,
        ]);
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_interval_of_known_rates() {
        // Newcombe 1998, table I: 81 of 263, and the ends.
        let [low, high] = wilson(81, 263);
        assert!((low - 0.2553).abs() < 1e-4 && (high - 0.3662).abs() < 1e-4, "{low} {high}");
        let [low, high] = wilson(50, 50);
        assert!((low - 0.9287).abs() < 1e-4 && high > 0.999_999, "{low} {high}");
        assert_eq!(wilson(0, 0), [0.0, 1.0]);
    }

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

    #[test]
    fn selective_threshold_accepts_as_many_as_the_target_allows() {
        let reads = [(0.99, true), (0.9, true), (0.8, false), (0.7, true), (0.0, false)];
        let strict = selective(&reads, 0.995);
        assert_eq!((strict.threshold, strict.accepted_n), (Some(0.9), 2));
        let loose = selective(&reads, 0.75);
        assert_eq!((loose.threshold, loose.accepted_n, loose.right_n), (Some(0.7), 4, 3));
        assert_eq!(selective(&[(0.5, false)], 0.9).threshold, None);
        assert_eq!(selective(&[], 0.9).accepted, 0.0);
    }

    #[test]
    fn reads_of_equal_confidence_are_accepted_together() {
        let reads = [(0.9, true), (0.9, false), (0.8, true)];
        assert_eq!(selective(&reads, 0.995).threshold, None);
    }
}
