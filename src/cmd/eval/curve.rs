//! Writes the selective curve as data (CSV) or a drawing (SVG), by the ending of the file's name.
//!
//! The horizontal axis is the share of all plates whose read is accepted, the vertical one the share of accepted reads
//! that are right, with its 95 % interval. Both change with the threshold for the least certain character,
//! which is written beside the line at round values.

use std::fmt::Write as _;
use std::path::Path;

use super::drawing::{self, Axes, MARGIN};
use super::selective::{Point, Selective, wilson};

/// Thresholds written beside the line.
const NAMED: [f32; 8] = [0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 0.98, 0.99];

/// Writes the curve.
pub(super) fn write(
    path: &Path,
    title: &str,
    points: &[Point],
    target: &Selective,
) -> anyhow::Result<()> {
    drawing::write(path, || csv(points), || svg(title, points, target))
}

fn csv(points: &[Point]) -> String {
    let mut text = String::from(
        "threshold,accepted_n,right_n,plates,accepted_percent,right_percent,right_low,right_high\n",
    );
    for p in points {
        let [low, high] = wilson(p.right, p.accepted);
        let _ = writeln!(
            text,
            "{:.4},{},{},{},{:.2},{:.2},{:.2},{:.2}",
            p.threshold,
            p.accepted,
            p.right,
            p.of,
            100.0 * accepted(p),
            100.0 * right(p),
            100.0 * low,
            100.0 * high
        );
    }
    text
}

fn accepted(p: &Point) -> f64 {
    p.accepted as f64 / p.of.max(1) as f64
}

fn right(p: &Point) -> f64 {
    p.right as f64 / p.accepted.max(1) as f64
}

fn svg(title: &str, points: &[Point], target: &Selective) -> String {
    let lowest = points.iter().map(right).fold(1.0, f64::min);
    // Whole steps of five per cent, so that two curves can be laid side by side.
    let floor = ((lowest * 20.0).floor() / 20.0).min(0.95);
    let names = ["plates whose read is accepted, % of all", "accepted reads that are right"];
    let axes = Axes { floor, names };
    axes.svg(title, |s| {
        line(s, &axes, points);
        aim(s, &axes, target);
    })
}

fn line(s: &mut String, axes: &Axes, points: &[Point]) {
    let place = |p: &Point, v: f64| format!("{:.1},{:.1}", axes.x(accepted(p)), axes.y(v));
    let high = points.iter().map(|p| place(p, wilson(p.right, p.accepted)[1]));
    let low = points.iter().rev().map(|p| place(p, wilson(p.right, p.accepted)[0]));
    let band: Vec<String> = high.chain(low).collect();
    let curve: Vec<String> = points.iter().map(|p| place(p, right(p))).collect();
    let _ = writeln!(
        s,
        "<polygon points=\"{}\" fill=\"#2a6fb0\" fill-opacity=\"0.15\"/>\n\
         <polyline points=\"{}\" fill=\"none\" stroke=\"#2a6fb0\" stroke-width=\"2\"/>",
        band.join(" "),
        curve.join(" ")
    );
    for named in NAMED {
        // The last point that a threshold accepts.
        let Some(p) = points.iter().rev().find(|p| p.threshold >= named) else { continue };
        let (x, y) = (axes.x(accepted(p)), axes.y(right(p)));
        let _ = writeln!(
            s,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"#2a6fb0\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"11\" fill=\"#2a6fb0\">{named}</text>",
            y + 16.0
        );
    }
}

fn aim(s: &mut String, axes: &Axes, target: &Selective) {
    let y = axes.y(target.target);
    let words = match target.threshold {
        Some(t) => format!(
            "{:.1} % right: {:.1} % accepted, from {t:.3}",
            100.0 * target.target,
            100.0 * target.accepted
        ),
        None => format!("{:.1} % right: at no threshold", 100.0 * target.target),
    };
    let _ = writeln!(
        s,
        "<line x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#b03a2a\" stroke-dasharray=\"6 4\"/>\n\
         <text x=\"{:.1}\" y=\"44\" fill=\"#b03a2a\">{words}</text>",
        axes.x(0.0),
        axes.x(1.0),
        MARGIN[0]
    );
    if target.threshold.is_some() {
        let at = target.right_n as f64 / target.accepted_n.max(1) as f64;
        let _ = writeln!(
            s,
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"5\" fill=\"#b03a2a\"/>",
            axes.x(target.accepted),
            axes.y(at)
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::selective::{points, selective};
    use super::*;

    const READS: [(f32, bool); 5] =
        [(0.99, true), (0.9, true), (0.8, false), (0.7, true), (0.0, false)];

    #[test]
    fn data_has_a_line_per_threshold() {
        let text = csv(&points(&READS));
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 5);
        assert!(lines[3].starts_with("0.8000,3,2,5,60.00,66.67,"), "{}", lines[3]);
    }

    #[test]
    fn drawing_says_what_the_target_accepts_and_stays_in_its_frame() {
        let target = selective(&READS, 0.995);
        let text = svg("a", &points(&READS), &target);
        assert!(text.contains("99.5 % right: 40.0 % accepted, from 0.900"), "{text}");
        for part in text.split("cx=\"").skip(1) {
            let x: f64 = part.split('"').next().unwrap().parse().unwrap();
            assert!((MARGIN[0]..=drawing::SIZE.0).contains(&x), "{x}");
        }
        let none = svg("nothing", &points(&[]), &selective(&[], 0.995));
        assert!(none.contains("at no threshold"));
    }
}
