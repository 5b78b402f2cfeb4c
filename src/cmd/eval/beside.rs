//! Lists the reads that no label covers, with their pictures and with what a person saw there.
//!
//! In: what was read away from every label. Out: a folder with `reads.jsonl` (every text, counted or
//! not), `reads.txt` (the counted ones, a line each) and a crop of each with its surroundings, so that
//! a person can look at it. Where only one plate per picture is labelled, many of these reads are of plates.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::labels::Labelled;
use super::looked_at::{self, Place};
use super::score;
use super::selective::wilson;
use crate::onboard::vision::candidate::{Candidate, Crop};
use crate::onboard::vision::jpeg;

/// How much of its surroundings a crop shows, as a fraction of its own size on each side.
const AROUND: f32 = 0.7;
const QUALITY: u8 = 88;

/// A text away from every label.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Beside {
    pub(super) source: String,
    pub(super) file: String,
    /// Left, top, width, height.
    #[serde(rename = "box")]
    pub(super) bbox: [f32; 4],
    pub(super) text: String,
    /// Probability of the least certain character, as of a labelled plate.
    pub(super) weakest: f32,
    /// The detector's score.
    pub(super) score: f32,
    /// How plausible it is that this is a plate at all.
    pub(super) plausibility: f32,
    /// Whether it counts as a read: plausible, whatever its confidence.
    pub(super) is_read: bool,
    /// What a person saw there: whether it is a plate, and a description.
    pub(super) is_plate: Option<bool>,
    pub(super) what: Option<String>,
    /// File of its crop in the folder, if one was written.
    pub(super) crop: Option<String>,
}

impl Beside {
    pub(super) fn of(
        labelled: &Labelled,
        candidate: &Candidate,
        least: f32,
        places: &[Place],
    ) -> Self {
        let file = labelled.path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let b = candidate.detection.bbox;
        let place = looked_at::at(places, &file, &b);
        Self {
            source: labelled.source.clone(),
            bbox: [b.x, b.y, b.w, b.h].map(|v| (v * 10.0).round() / 10.0),
            text: candidate.text().to_string(),
            weakest: score::weakest_folded(candidate),
            score: candidate.detection.score.get(),
            plausibility: candidate.plausibility(),
            is_read: score::is_read(candidate, least),
            is_plate: place.map(|p| p.is_plate),
            what: place.map(|p| p.what.clone()),
            crop: None,
            file,
        }
    }

    /// Whether it counts as a read away from every label.
    pub(super) fn counts(&self, from: f32) -> bool {
        self.is_read && self.weakest >= from
    }

    /// `file x y plate|other|? what`, as a list of places looked at has it, and what was read.
    fn line(&self) -> String {
        let [x, y, w, h] = self.bbox;
        let kind = self.is_plate.map_or("?", |p| if p { "plate" } else { "other" });
        let what = self.what.as_deref().unwrap_or("not looked at");
        format!(
            "{} {:.0} {:.0} {kind} {what} | {} {:.2}, detector {:.2}",
            self.file,
            x + w / 2.0,
            y + h / 2.0,
            self.text,
            self.weakest,
            self.score
        )
    }
}

/// What the reads beside labels are, as far as a person has looked at them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct LookedAt {
    pub(super) plates: usize,
    /// Signs, badges and the like.
    pub(super) others: usize,
    pub(super) not_looked_at: usize,
    /// Others and those not looked at, per 100 frames.
    pub(super) unexplained_per_100_frames: f64,
    /// 95 % interval by Wilson's score, each frame counting once.
    pub(super) interval: [f64; 2],
}

impl LookedAt {
    pub(super) fn of(counted: &[&Beside], frames: usize) -> Self {
        let count = |what: Option<bool>| counted.iter().filter(|b| b.is_plate == what).count();
        let (plates, others, unseen) = (count(Some(true)), count(Some(false)), count(None));
        let unexplained = others + unseen;
        Self {
            plates,
            others,
            not_looked_at: unseen,
            unexplained_per_100_frames: 100.0 * unexplained as f64 / frames.max(1) as f64,
            interval: wilson(unexplained.min(frames), frames).map(|v| 100.0 * v),
        }
    }
}

/// A folder to which crops are written while the pictures are there.
pub(super) struct Folder(PathBuf);

impl Folder {
    pub(super) fn new(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path)
            .with_context(|| format!("cannot make folder {}", path.display()))?;
        Ok(Self(path.to_owned()))
    }

    /// Writes a crop and names it in the read; `cut` cuts a box out of the picture.
    pub(super) fn keep(
        &self,
        beside: &mut Beside,
        candidate: &Candidate,
        cut: impl FnOnce(&crate::geometry::Rect) -> Crop,
    ) -> anyhow::Result<()> {
        let crop = cut(&candidate.detection.bbox.grown(AROUND));
        let stem = Path::new(&beside.file).file_stem().unwrap_or_default().to_string_lossy();
        let [x, y, ..] = beside.bbox;
        let name = format!("{}-{stem}-{x:.0}-{y:.0}.jpg", beside.source);
        let bytes = jpeg::encode_rgb(&crop.rgb, crop.width, crop.height, QUALITY)?;
        let path = self.0.join(&name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        beside.crop = Some(name);
        Ok(())
    }

    /// Writes the lists.
    pub(super) fn finish(&self, all: &[Beside], from: f32, frames: usize) -> anyhow::Result<()> {
        let mut lines = String::new();
        for beside in all {
            lines += &serde_json::to_string(beside)?;
            lines.push('\n');
        }
        let write = |name: &str, text: &str| {
            let path = self.0.join(name);
            std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        write("reads.jsonl", &lines)?;
        write("reads.txt", &list(all, from, frames))
    }
}

/// The counted reads, those that are plates first, then the refused ones.
fn list(all: &[Beside], from: f32, frames: usize) -> String {
    let counted: Vec<&Beside> = all.iter().filter(|b| b.counts(from)).collect();
    let refused: Vec<&Beside> = all.iter().filter(|b| !b.is_read && b.weakest >= from).collect();
    let sum = LookedAt::of(&counted, frames);
    let mut text = format!(
        "# {} reads of {from} and more beside labels in {frames} frames: {} plates, {} others, {} not\n\
         # looked at; unexplained {:.1} per 100 frames ({:.1}-{:.1}).\n\
         # File, x, y, kind, what is there | text read, weakest character, detector's score.\n",
        counted.len(),
        sum.plates,
        sum.others,
        sum.not_looked_at,
        sum.unexplained_per_100_frames,
        sum.interval[0],
        sum.interval[1],
    );
    for kind in [Some(true), Some(false), None] {
        for beside in counted.iter().filter(|b| b.is_plate == kind) {
            let _ = writeln!(text, "{}", beside.line());
        }
    }
    let _ = writeln!(
        text,
        "#\n# {} texts as sure that are hardly plates and are no reads:",
        refused.len()
    );
    for beside in refused {
        let _ = writeln!(text, "{}", beside.line());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn beside(text: &str, weakest: f32, is_plate: Option<bool>) -> Beside {
        Beside {
            source: "us".into(),
            file: "a.jpg".into(),
            bbox: [10.0, 20.0, 60.0, 30.0],
            text: text.into(),
            weakest,
            score: 0.6,
            plausibility: 0.6,
            is_read: true,
            is_plate,
            what: is_plate.map(|p| if p { "car behind" } else { "badge" }.to_owned()),
            crop: None,
        }
    }

    #[test]
    fn what_nobody_looked_at_is_unexplained() {
        let all = [
            beside("ABC123", 0.9, Some(true)),
            beside("BADGE", 0.9, Some(false)),
            beside("XYZ987", 0.9, None),
        ];
        let sum = LookedAt::of(&all.iter().collect::<Vec<_>>(), 200);
        assert_eq!((sum.plates, sum.others, sum.not_looked_at), (1, 1, 1));
        assert_eq!(sum.unexplained_per_100_frames, 1.0);
        assert!(sum.interval[0] < 0.3 && sum.interval[1] > 3.0);
    }

    #[test]
    fn list_names_place_kind_and_text_and_leaves_doubtful_reads_out() {
        let mut refused = beside("CARBRAXX", 1.0, Some(false));
        refused.is_read = false;
        let all = [
            beside("XYZ987", 0.9, None),
            beside("LOW", 0.4, None),
            beside("ABC123", 0.9, Some(true)),
            refused,
        ];
        let text = list(&all, 0.5, 4);
        let lines: Vec<_> = text.lines().filter(|l| !l.starts_with('#')).collect();
        assert_eq!(lines[0], "a.jpg 40 35 plate car behind | ABC123 0.90, detector 0.60");
        assert_eq!(lines[1], "a.jpg 40 35 ? not looked at | XYZ987 0.90, detector 0.60");
        assert_eq!(lines[2], "a.jpg 40 35 other badge | CARBRAXX 1.00, detector 0.60");
        assert_eq!(lines.len(), 3);
        assert!(text.starts_with("# 2 reads of 0.5 and more beside labels in 4 frames: 1 plates"));
    }
}
