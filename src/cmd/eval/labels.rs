//! `labels.jsonl`: what a labelled folder says is in its pictures.
//!
//! One object per line: `{file, w, h, boxes: [[x, y, w, h]], text: [string or null], source}`.
//! A text of null labels a place only. `jurisdiction` says who issued each plate: an ISO 3166 code such as
//! `US-CA`, or null where nobody knows, one per box or one for all of them. A picture that shows nothing but the plate,
//! whose box is as large as the picture or left out, is a *crop*: it is read, but does not count for detection.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Deserialize;

use crate::geometry::Rect;
use crate::plate::Jurisdiction;

/// One labelled picture.
#[derive(Debug, Clone)]
pub(super) struct Labelled {
    pub(super) path: PathBuf,
    /// First folder of the file's name, or where it came from.
    pub(super) source: String,
    pub(super) plates: Vec<LabelledPlate>,
    /// The picture is a plate and nothing else.
    pub(super) is_crop: bool,
}

/// One labelled plate.
#[derive(Debug, Clone)]
pub(super) struct LabelledPlate {
    /// Where; none in a crop.
    pub(super) bbox: Option<Rect>,
    /// What it says, letters and digits only; none where only its place is known.
    pub(super) text: Option<String>,
    /// Whose it is; unknown where nobody says.
    pub(super) jurisdiction: Jurisdiction,
}

/// A line as written; keys that nobody here needs are left alone.
#[derive(Deserialize)]
struct Line {
    file: String,
    w: Option<f32>,
    h: Option<f32>,
    #[serde(default)]
    boxes: Vec<[f32; 4]>,
    #[serde(default)]
    text: Vec<Option<String>>,
    #[serde(default)]
    jurisdiction: Whose,
    #[serde(default)]
    source: String,
}

/// One jurisdiction for all plates of a picture, or one for each.
#[derive(Deserialize, Default)]
#[serde(untagged)]
enum Whose {
    #[default]
    Nobody,
    All(Jurisdiction),
    Each(Vec<Option<Jurisdiction>>),
}

impl Whose {
    fn of(&self, plate: usize) -> Jurisdiction {
        match self {
            Self::Nobody => Jurisdiction::UNKNOWN,
            Self::All(all) => *all,
            Self::Each(each) => each.get(plate).copied().flatten().unwrap_or_default(),
        }
    }
}

/// Reads a folder's `labels.jsonl`.
pub(super) fn load(folder: &Path) -> anyhow::Result<Vec<Labelled>> {
    let path = folder.join("labels.jsonl");
    let text = std::fs::read_to_string(&path)
        .with_context(|| format!("cannot read {} (a labelled folder has one)", path.display()))?;
    let mut lines = Vec::new();
    for (i, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
        let line: Line = serde_json::from_str(line)
            .with_context(|| format!("{} line {}", path.display(), i + 1))?;
        lines.push(line);
    }
    anyhow::ensure!(!lines.is_empty(), "{} has no labels", path.display());
    let by_folder = several_folders(&lines);
    Ok(lines.into_iter().map(|line| labelled(folder, line, by_folder)).collect())
}

fn first_folder(file: &str) -> Option<&str> {
    file.split_once('/').map(|(first, _)| first)
}

/// Whether the files lie in more than one folder, each then a source of its own.
fn several_folders(lines: &[Line]) -> bool {
    let first = first_folder(&lines[0].file);
    lines.iter().any(|l| first_folder(&l.file) != first)
}

fn labelled(folder: &Path, line: Line, by_folder: bool) -> Labelled {
    let source = match first_folder(&line.file) {
        Some(first) if by_folder || line.source.is_empty() => first.to_owned(),
        _ if line.source.is_empty() => "all".to_owned(),
        _ => line.source.clone(),
    };
    let is_crop = match line.boxes[..] {
        [] => line.text.iter().flatten().count() == 1,
        [b] => is_whole(&b, line.w, line.h),
        _ => false,
    };
    let texts = line.text.into_iter().map(|t| t.map(|t| normal(&t)).filter(|t| !t.is_empty()));
    let plates = if is_crop {
        texts
            .take(1)
            .map(|text| LabelledPlate { bbox: None, text, jurisdiction: line.jurisdiction.of(0) })
            .collect()
    } else {
        let texts = texts.chain(std::iter::repeat(None));
        line.boxes
            .iter()
            .zip(texts)
            .enumerate()
            .map(|(i, ([x, y, w, h], text))| LabelledPlate {
                bbox: Some(Rect { x: *x, y: *y, w: *w, h: *h }),
                text,
                jurisdiction: line.jurisdiction.of(i),
            })
            .collect()
    };
    Labelled { path: folder.join(line.file), source, plates, is_crop }
}

/// A box that leaves out less than two pixels on every side.
fn is_whole(b: &[f32; 4], w: Option<f32>, h: Option<f32>) -> bool {
    let (Some(w), Some(h)) = (w, h) else { return false };
    b[0] < 2.0 && b[1] < 2.0 && b[0] + b[2] > w - 2.0 && b[1] + b[3] > h - 2.0
}

/// Letters raised, everything but letters and digits dropped.
pub(super) fn normal(text: &str) -> String {
    text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_uppercase()).collect()
}

/// A label that is known to be wrong: set aside, and listed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct KnownError {
    /// Source, `*` for any.
    source: String,
    /// The text as labelled.
    text: String,
    /// What the picture shows.
    pub(super) why: String,
}

impl KnownError {
    pub(super) fn is_about(&self, source: &str, text: &str) -> bool {
        (self.source == "*" || self.source == source) && self.text == text
    }
}

/// Reads a list of known label errors: `source text what-it-shows` per line, `#` for remarks.
pub(super) fn known_errors(path: &Path) -> anyhow::Result<Vec<KnownError>> {
    listed(path, "source, text as labelled, what the picture shows", |line| {
        let mut words = line.splitn(3, char::is_whitespace);
        Some(KnownError {
            source: words.next()?.to_owned(),
            text: normal(words.next()?),
            why: words.next()?.trim().to_owned(),
        })
    })
}

/// Reads a list that a person keeps: an entry per line, `#` for remarks. An error names a wrong line and what it
/// needs.
pub(super) fn listed<T>(
    path: &Path,
    needs: &str,
    entry: impl Fn(&str) -> Option<T>,
) -> anyhow::Result<Vec<T>> {
    let text =
        std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    (1..)
        .zip(text.lines())
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
        .map(|(n, line)| {
            entry(line).with_context(|| format!("{} line {n}: needs {needs}", path.display()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(lines: &str) -> (tempfile::TempDir, Vec<Labelled>) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("labels.jsonl"), lines).unwrap();
        let labels = load(folder.path()).unwrap();
        (folder, labels)
    }

    #[test]
    fn several_folders_are_sources_and_one_folder_is_not() {
        let (_f, labels) = folder(
            r#"{"file":"us/a.jpg","w":9,"h":9,"boxes":[[1,2,3,4]],"text":["ab-1 2"],"source":"x"}
{"file":"eu/b.jpg","w":9,"h":9,"boxes":[],"text":[],"source":"x"}"#,
        );
        assert_eq!((labels[0].source.as_str(), labels[1].source.as_str()), ("us", "eu"));
        assert_eq!(labels[0].plates[0].text.as_deref(), Some("AB12"));
        assert!(labels[1].plates.is_empty() && !labels[1].is_crop);
        let (_f, labels) = folder(
            r#"{"file":"images/a.jpg","boxes":[[1,2,3,4]],"text":[null],"source":"somewhere"}"#,
        );
        assert_eq!(labels[0].source, "somewhere");
        assert_eq!(labels[0].plates[0].text, None);
    }

    #[test]
    fn jurisdictions_are_one_per_box_or_one_for_all_or_unsaid() {
        let (_f, labels) = folder(
            r#"{"file":"a.jpg","boxes":[[1,2,3,4],[5,6,7,8],[9,9,9,9]],"text":["AB1","CD2",null],"jurisdiction":["US-CA",null,"ca-on"]}
{"file":"b.jpg","boxes":[],"text":["FHG521"],"jurisdiction":"US-AK"}
{"file":"c.jpg","boxes":[[1,2,3,4]],"text":["AB1"],"jurisdiction":[]}
{"file":"d.jpg","boxes":[[1,2,3,4]],"text":["AB1"],"jurisdiction":null}
{"file":"e.jpg","boxes":[[1,2,3,4]],"text":["AB1"]}"#,
        );
        let said: Vec<_> = labels
            .iter()
            .flat_map(|l| l.plates.iter().map(|p| p.jurisdiction.to_string()))
            .collect();
        let unknown = "unknown";
        assert_eq!(said, ["US-CA", unknown, "CA-ON", "US-AK", unknown, unknown, unknown]);
    }

    #[test]
    fn jurisdiction_that_is_no_code_is_refused_by_its_line() {
        let folder = tempfile::tempdir().unwrap();
        let line = r#"{"file":"a.jpg","text":["AB1"],"jurisdiction":["California"]}"#;
        std::fs::write(folder.path().join("labels.jsonl"), line).unwrap();
        assert!(format!("{:#}", load(folder.path()).unwrap_err()).contains("labels.jsonl line 1"));
    }

    #[test]
    fn picture_that_is_all_plate_is_a_crop() {
        let (_f, labels) = folder(
            r#"{"file":"a.jpg","w":317,"h":153,"boxes":[[0,0,317,153]],"text":["FHG521"]}
{"file":"b.jpg","w":317,"h":153,"boxes":[],"text":["FHG521"]}
{"file":"c.jpg","w":317,"h":153,"boxes":[[9,0,300,153]],"text":["FHG521"]}"#,
        );
        let crops: Vec<_> = labels.iter().map(|l| l.is_crop).collect();
        assert_eq!(crops, [true, true, false]);
        assert!(labels[1].plates[0].bbox.is_none());
    }

    #[test]
    fn line_that_is_not_json_is_named() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("labels.jsonl"), "{\"file\":\"a.jpg\"}\nplate\n")
            .unwrap();
        assert!(format!("{:#}", load(folder.path()).unwrap_err()).contains("labels.jsonl line 2"));
    }

    #[test]
    fn known_errors_name_source_text_and_reason() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("known.txt");
        std::fs::write(&path, "# remark\nus 5DJ-0529 shows BDJ0529\n").unwrap();
        let known = known_errors(&path).unwrap();
        assert!(known[0].is_about("us", "5DJ0529") && !known[0].is_about("eu", "5DJ0529"));
        std::fs::write(&path, "us\n").unwrap();
        assert!(known_errors(&path).is_err());
    }
}
