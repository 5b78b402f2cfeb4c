//! The same figures for parts of the plates: by width, sharpness, light, tilt and region.
//!
//! In: cases. Out: per dimension a row for each part that has plates in it, and one for those of
//! which it is not known. A part is what was measured in the picture, not what caused a failure:
//! narrow plates are also the blurred ones.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::score::Case;
use super::selective::wilson;

/// A part of the plates. Rates are fractions of its plates (of those with a text, for texts).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Slice {
    /// In words.
    pub(super) part: String,
    /// Ends of the interval: from, and below; none for a region and where there is no end.
    pub(super) from: Option<f32>,
    pub(super) below: Option<f32>,
    /// Plates; of these in frames; of these with a text.
    pub(super) n: usize,
    pub(super) n_boxes: usize,
    pub(super) n_text: usize,
    pub(super) detection_recall: Option<f64>,
    pub(super) exact: Option<f64>,
    pub(super) folded: Option<f64>,
    /// 95 % intervals by Wilson's score.
    pub(super) intervals: BTreeMap<&'static str, [f64; 2]>,
}

/// Slices by dimension.
pub(super) type Slices = BTreeMap<&'static str, Vec<Slice>>;

/// A dimension with numbers: name, what it is in words, ends of its parts, value of a case.
struct Scale {
    name: &'static str,
    unit: &'static str,
    ends: &'static [f32],
    value: fn(&Case) -> Option<f32>,
}

/// Widths: 50 pixels is what reading wants, 22 at its own scale what the detector wants. Sharpness
/// and light: about the quartiles of the evaluation's plates. Tilt, in whole degrees: at 4 the
/// characters at the ends of a plate stand a third of their height apart.
const SCALES: [Scale; 4] = [
    Scale { name: "width", unit: "px", ends: &[0.0, 50.0, 70.0, 100.0, 150.0], value: |c| c.width },
    Scale { name: "sharpness", unit: "", ends: &[0.0, 1.0, 1.4, 2.0], value: |c| c.sharpness },
    Scale { name: "light", unit: "", ends: &[0.0, 60.0, 90.0, 120.0, 150.0], value: |c| c.light },
    Scale { name: "tilt", unit: "degrees", ends: &[0.0, 2.0, 4.0, 8.0], value: |c| c.tilt },
];

impl Scale {
    fn words(&self, from: f32, below: Option<f32>) -> String {
        let text = match below {
            Some(below) => format!("{from} to {below} {}", self.unit),
            None => format!("from {from} {}", self.unit),
        };
        text.trim_end().to_owned()
    }

    fn slices(&self, cases: &[&Case]) -> Vec<Slice> {
        let mut slices = Vec::new();
        for (i, from) in self.ends.iter().enumerate() {
            let below = self.ends.get(i + 1).copied();
            let inside = |v: f32| v >= *from && below.is_none_or(|below| v < below);
            let part = self.words(*from, below);
            let of = cases.iter().filter(|c| (self.value)(c).is_some_and(inside));
            let slice = Slice::of(part, of.copied());
            slices.push(Slice { from: Some(*from), below, ..slice });
        }
        let unknown = cases.iter().filter(|c| (self.value)(c).is_none());
        slices.push(Slice::of("not known".into(), unknown.copied()));
        slices.retain(|slice| slice.n > 0);
        slices
    }
}

impl Slice {
    fn of<'a>(part: String, cases: impl Iterator<Item = &'a Case>) -> Self {
        let cases: Vec<&Case> = cases.collect();
        let count = |f: &dyn Fn(&Case) -> bool| cases.iter().filter(|c| f(c)).count();
        let (n_boxes, n_text) = (count(&|c| c.detected.is_some()), count(&|c| c.label.is_some()));
        let mut intervals = BTreeMap::new();
        let mut rate = |name, hits: usize, n: usize| {
            (n > 0).then(|| {
                intervals.insert(name, wilson(hits, n));
                hits as f64 / n as f64
            })
        };
        Self {
            part,
            from: None,
            below: None,
            n: cases.len(),
            n_boxes,
            n_text,
            detection_recall: rate(
                "detection_recall",
                count(&|c| c.detected == Some(true)),
                n_boxes,
            ),
            exact: rate("exact", count(&Case::is_exact), n_text),
            folded: rate("folded", count(&Case::is_folded), n_text),
            intervals,
        }
    }
}

/// All slices of these cases.
pub(super) fn of(cases: &[&Case]) -> Slices {
    let mut slices: Slices = SCALES.iter().map(|s| (s.name, s.slices(cases))).collect();
    let regions: BTreeSet<Option<&str>> = cases.iter().map(|c| region(&c.source)).collect();
    let by_region = regions.into_iter().map(|r| {
        let of = cases.iter().filter(|c| region(&c.source) == r);
        Slice::of(r.unwrap_or("not known").to_owned(), of.copied())
    });
    slices.insert("region", by_region.collect());
    slices
}

/// The region that the name of a source ends in, such as `us` of `e2e_us`: its last word, if that has
/// two letters.
fn region(source: &str) -> Option<&str> {
    let last = source.rsplit(['_', '-', '/', ' ']).next()?;
    (last.len() == 2 && last.bytes().all(|c| c.is_ascii_lowercase())).then_some(last)
}

/// Head of the rows, for terminal and Markdown.
pub(super) const HEAD: [&str; 5] = ["slice", "part", "detected %", "exact %", "O/Q=0, I=1 %"];

/// The rows of a table, without the parts of which nothing is known.
pub(super) fn rows(
    slices: &Slices,
    percent: impl Fn(Option<f64>, Option<&[f64; 2]>, usize) -> String,
) -> Vec<[String; 5]> {
    let cell = |s: &Slice, name, value, n| percent(value, s.intervals.get(name), n);
    slices
        .iter()
        .flat_map(|(name, parts)| parts.iter().map(move |s| (*name, s)))
        .map(|(name, s)| {
            [
                name.to_owned(),
                s.part.clone(),
                cell(s, "detection_recall", s.detection_recall, s.n_boxes),
                cell(s, "exact", s.exact, s.n_text),
                cell(s, "folded", s.folded, s.n_text),
            ]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn case(source: &str, width: Option<f32>, label: &str, read: &str) -> Case {
        Case {
            source: source.into(),
            label: Some(label.into()),
            read: read.into(),
            detected: width.map(|_| !read.is_empty()),
            width,
            ..Case::default()
        }
    }

    #[test]
    fn every_plate_is_in_one_part_of_each_dimension() {
        let cases = [
            case("e2e_us", Some(49.9), "ABC123", ""),
            case("e2e_us", Some(50.0), "ABC123", "ABC123"),
            case("e2e_eu", Some(400.0), "AB0", "ABO"),
            case("seg_us", None, "ABC123", "ABC124"),
        ];
        let slices = of(&cases.iter().collect::<Vec<_>>());
        for (name, parts) in &slices {
            assert_eq!(parts.iter().map(|s| s.n).sum::<usize>(), cases.len(), "{name}");
        }
        let parts: Vec<_> = slices["width"].iter().map(|s| (s.part.as_str(), s.n)).collect();
        let expected =
            [("0 to 50 px", 1), ("50 to 70 px", 1), ("from 150 px", 1), ("not known", 1)];
        assert_eq!(parts, expected);
        let us = &slices["region"][1];
        assert_eq!((us.part.as_str(), us.n, us.n_boxes, us.n_text), ("us", 3, 2, 3));
        assert_eq!((us.detection_recall, us.folded), (Some(0.5), Some(1.0 / 3.0)));
        let eu = &slices["region"][0];
        assert_eq!((eu.exact, eu.folded), (Some(0.0), Some(1.0)));
        assert!(eu.intervals["folded"][0] < 0.3);
    }

    #[rstest]
    #[case("e2e_us", Some("us"))]
    #[case("openalpr/benchmarks endtoend/eu", Some("eu"))]
    #[case("uc3m_frame", None)]
    #[case("us", Some("us"))]
    #[case("", None)]
    fn region_is_the_last_word_of_a_source(#[case] source: &str, #[case] expected: Option<&str>) {
        assert_eq!(region(source), expected);
    }
}
