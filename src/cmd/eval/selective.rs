//! The selective curve: how many plates are accepted, and how many of those rightly, at each threshold
//! for the least certain character. It decides how many innocent cars are stopped.
//!
//! In: a confidence and right or wrong for every plate with a text; a plate that was not read counts
//! at 0 and is never accepted. Out: the threshold for a share of right ones, the curve as data.

use serde::Serialize;

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

/// One threshold, and what is accepted from there on.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Point {
    pub(super) threshold: f32,
    pub(super) accepted: usize,
    pub(super) right: usize,
    /// Plates with a text.
    pub(super) of: usize,
}

/// The whole curve: a point per confidence that occurs, the highest first. Reads of equal confidence
/// are accepted together.
pub(super) fn points(reads: &[(f32, bool)]) -> Vec<Point> {
    let mut sorted = reads.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let (mut points, mut right) = (Vec::new(), 0);
    for (i, (p, is_right)) in sorted.iter().enumerate() {
        right += usize::from(*is_right);
        let is_last_of_equals = sorted.get(i + 1).is_none_or(|next| next.0 < *p);
        if is_last_of_equals && *p > 0.0 {
            points.push(Point { threshold: *p, accepted: i + 1, right, of: reads.len() });
        }
    }
    points
}

/// Finds the threshold on `(confidence, right)` of all plates with a text, unread ones at 0.
pub(super) fn selective(reads: &[(f32, bool)], target: f64) -> Selective {
    let mut result = Selective {
        target,
        threshold: None,
        accepted: 0.0,
        accepted_n: 0,
        right_n: 0,
        curve: Vec::new(),
    };
    for p in points(reads) {
        if p.right as f64 >= target * p.accepted as f64 {
            result.threshold = Some(p.threshold);
            (result.accepted_n, result.right_n) = (p.accepted, p.right);
        }
    }
    result.accepted = result.accepted_n as f64 / reads.len().max(1) as f64;
    for step in [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99, 0.995, 0.999] {
        let taken: Vec<_> = reads.iter().filter(|r| f64::from(r.0) >= step && r.0 > 0.0).collect();
        let right = taken.iter().filter(|r| r.1).count();
        result.curve.push([
            step,
            taken.len() as f64 / reads.len().max(1) as f64,
            right as f64 / taken.len().max(1) as f64,
        ]);
    }
    result
}

/// 95 % confidence interval of a rate by Wilson's score: sound for small n and rates near 1.
pub fn wilson(hits: usize, n: usize) -> [f64; 2] {
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

    #[test]
    fn curve_has_one_point_per_confidence_and_never_accepts_the_unread() {
        let reads = [(0.9, true), (0.9, false), (0.0, false), (0.8, true)];
        let found: Vec<_> =
            points(&reads).iter().map(|p| (p.threshold, p.accepted, p.right, p.of)).collect();
        assert_eq!(found, [(0.9, 2, 1, 4), (0.8, 3, 2, 4)]);
    }
}
