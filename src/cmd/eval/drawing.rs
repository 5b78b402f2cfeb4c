//! A drawing of shares against shares (SVG): its frame, its axes and their lines.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::Context as _;

/// Size of a drawing, and its margins: left, top, right, bottom.
pub(super) const SIZE: (f64, f64) = (760.0, 460.0);
pub(super) const MARGIN: [f64; 4] = [70.0, 56.0, 24.0, 56.0];

/// Writes data (CSV) or a drawing (SVG), by the name's ending.
pub(super) fn write(
    path: &Path,
    csv: impl FnOnce() -> String,
    svg: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
    let text = match ending.as_str() {
        "csv" => csv(),
        "svg" => svg(),
        _ => anyhow::bail!("{}: a curve is written as .csv or .svg", path.display()),
    };
    std::fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// From shares, 0 to 1, to places in the drawing.
pub(super) struct Axes {
    /// Lowest share drawn upwards.
    pub(super) floor: f64,
    /// What is drawn along and upwards.
    pub(super) names: [&'static str; 2],
}

impl Axes {
    pub(super) fn x(&self, share: f64) -> f64 {
        MARGIN[0] + share * (SIZE.0 - MARGIN[0] - MARGIN[2])
    }

    pub(super) fn y(&self, share: f64) -> f64 {
        let above = ((share - self.floor) / (1.0 - self.floor)).clamp(0.0, 1.0);
        SIZE.1 - MARGIN[3] - above * (SIZE.1 - MARGIN[1] - MARGIN[3])
    }

    /// A drawing: title and lines first, then what `draw` adds.
    pub(super) fn svg(&self, title: &str, draw: impl FnOnce(&mut String)) -> String {
        let (w, h) = SIZE;
        let mut s = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {h}\" width=\"{w}\" height=\"{h}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{w}\" height=\"{h}\" fill=\"#fff\"/>\n\
             <text x=\"{}\" y=\"24\" font-size=\"16\" font-weight=\"bold\">{}</text>\n",
            MARGIN[0],
            escaped(title)
        );
        self.grid(&mut s);
        draw(&mut s);
        s += "</svg>\n";
        s
    }

    fn grid(&self, s: &mut String) {
        let (left, right, bottom) = (self.x(0.0), self.x(1.0), self.y(self.floor));
        let step = match self.floor {
            floor if floor < 0.5 => 0.1,
            floor if floor < 0.8 => 0.05,
            _ => 0.02,
        };
        let lines = ((1.0 - self.floor) / step + 1e-6) as usize;
        for i in 0..=lines {
            let v = 1.0 - step * i as f64;
            let y = self.y(v);
            let _ = writeln!(
                s,
                "<line x1=\"{left:.1}\" x2=\"{right:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" fill=\"#444\">{:.0} %</text>",
                left - 8.0,
                y + 4.0,
                100.0 * v
            );
        }
        for i in 0..=10 {
            let x = self.x(f64::from(i) / 10.0);
            let _ = writeln!(
                s,
                "<line x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{bottom:.1}\" y2=\"{:.1}\" stroke=\"#888\"/>\
                 <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\" fill=\"#444\">{}</text>",
                bottom + 5.0,
                bottom + 20.0,
                i * 10
            );
        }
        let middle = (MARGIN[1] + bottom) / 2.0;
        let _ = writeln!(
            s,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>\n\
             <text x=\"16\" y=\"{middle:.1}\" text-anchor=\"middle\" transform=\"rotate(-90 16 {middle:.1})\">{}</text>",
            (left + right) / 2.0,
            SIZE.1 - 14.0,
            self.names[0],
            self.names[1]
        );
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ending_of_the_name_decides() {
        let folder = tempfile::tempdir().unwrap();
        for (name, holds) in [("c.svg", Some("drawing")), ("c.CSV", Some("data")), ("c.pdf", None)]
        {
            let path = folder.path().join(name);
            let written = write(&path, || "data".into(), || "drawing".into());
            assert_eq!(written.is_ok(), holds.is_some(), "{name}");
            assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), holds);
        }
    }

    #[test]
    fn titles_are_text() {
        let axes = Axes { floor: 0.0, names: ["along", "upwards"] };
        assert!(axes.svg("a < b", |_| ()).contains("a &lt; b"));
    }
}
