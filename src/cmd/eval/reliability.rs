//! How often reads of each confidence are right: of reads with 0.99, 99 of a hundred should be.
//!
//! A reliability diagram (Niculescu-Mizil and Caruana, Predicting good probabilities with supervised
//! learning, 2005) over the least certain character, as the daemon joins its looks; look-alikes that
//! lists cannot keep apart count as one.

use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use super::drawing::{self, Axes};
use super::selective::wilson;

/// Where bins begin: finer where reads are accepted.
const FROM: [f32; 9] = [0.0, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99];

/// Reads of about the same confidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Bin {
    /// Confidence of the least certain character from which a read belongs here, up to the next bin.
    pub(super) from: f32,
    pub(super) n: usize,
    /// Their mean confidence, 0 to 1.
    pub(super) said: f64,
    /// Share that is right, 0 to 1.
    pub(super) right: f64,
    /// 95 % interval of `right` by Wilson's score.
    pub(super) interval: [f64; 2],
}

/// Sorts reads (confidence, whether right) into bins; bins without a read are left out.
pub(super) fn bins(reads: &[(f32, bool)]) -> Vec<Bin> {
    let below = FROM.iter().skip(1).copied().chain([f32::INFINITY]);
    let sorted = FROM.iter().zip(below).filter_map(|(&from, below)| {
        let own = reads.iter().filter(|(said, _)| (from..below).contains(said) && *said > 0.0);
        let n = own.clone().count();
        let said = own.clone().map(|(said, _)| f64::from(*said)).sum::<f64>() / n as f64;
        let right = own.filter(|(_, right)| *right).count();
        let interval = wilson(right, n);
        (n > 0).then(|| Bin { from, n, said, right: right as f64 / n as f64, interval })
    });
    sorted.collect()
}

/// Writes the diagram, as .svg or .csv.
pub(super) fn write(path: &Path, title: &str, bins: &[Bin]) -> anyhow::Result<()> {
    drawing::write(path, || csv(bins), || svg(title, bins))
}

fn csv(bins: &[Bin]) -> String {
    let mut text = String::from("from,n,said_percent,right_percent,right_low,right_high\n");
    for b in bins {
        let [low, high] = b.interval.map(|v| 100.0 * v);
        let (said, right) = (100.0 * b.said, 100.0 * b.right);
        let _ = writeln!(text, "{},{},{said:.2},{right:.2},{low:.2},{high:.2}", b.from, b.n);
    }
    text
}

fn svg(title: &str, bins: &[Bin]) -> String {
    let names = ["said: confidence of the least certain character, %", "reads that are right"];
    let axes = Axes { floor: 0.0, names };
    axes.svg(title, |s| {
        let (x, y) = ([axes.x(0.0), axes.x(1.0)], [axes.y(0.0), axes.y(1.0)]);
        let _ = writeln!(
            s,
            "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{:.1}\" y2=\"{:.1}\" stroke=\"#b03a2a\" stroke-dasharray=\"6 4\"/>\
             <text x=\"{:.1}\" y=\"44\" fill=\"#b03a2a\">dashed: as often right as said; bars: 95 % intervals; numbers: reads</text>",
            x[0], x[1], y[0], y[1], x[0]
        );
        for b in bins {
            let (x, y) = (axes.x(b.said), axes.y(b.right));
            let [low, high] = b.interval.map(|v| axes.y(v));
            let _ = writeln!(
                s,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{low:.1}\" y2=\"{high:.1}\" stroke=\"#2a6fb0\" stroke-width=\"2\"/>\
                 <circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\" fill=\"#2a6fb0\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\" fill=\"#444\">{}</text>",
                x - 7.0,
                y + 4.0,
                b.n
            );
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const READS: [(f32, bool); 6] =
        [(0.999, true), (0.99, true), (0.992, false), (0.75, true), (0.7, false), (0.0, false)];

    #[test]
    fn reads_are_sorted_by_what_they_say_and_missed_plates_say_nothing() {
        let bins = bins(&READS);
        assert_eq!(bins.iter().map(|b| (b.from, b.n)).collect::<Vec<_>>(), [(0.7, 2), (0.99, 3)]);
        assert!((bins[0].said - 0.725).abs() < 1e-6 && (bins[0].right - 0.5).abs() < 1e-9);
        assert!((bins[1].right - 2.0 / 3.0).abs() < 1e-9);
        assert_eq!(bins[1].interval, wilson(2, 3));
    }

    #[test]
    fn diagram_and_data_have_a_place_for_each_bin() {
        let bins = bins(&READS);
        assert_eq!(csv(&bins).lines().count(), 3);
        assert_eq!(svg("t", &bins).matches("<circle").count(), 2);
        assert!(csv(&[]).starts_with("from,n,"));
    }
}
