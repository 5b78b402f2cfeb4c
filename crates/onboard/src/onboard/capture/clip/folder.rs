//! A folder of pictures as a recording, in the order in which a person would number them.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Flaw, Pictures};
use crate::onboard::frame::Pixels;
use crate::onboard::vision::picture_file;

/// Extensions of pictures that can be read.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "bmp", "webp"];

/// Extensions of pictures that cannot be read: each such file is reported.
const OTHERS: [&str; 8] = ["tif", "tiff", "heic", "heif", "avif", "gif", "jp2", "dng"];

/// The pictures that were not played yet.
pub(super) struct Folder {
    left: VecDeque<PathBuf>,
    next: u64,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Flaw> {
        let mut files = Vec::new();
        for entry in fs::read_dir(path)? {
            let file = entry?.path();
            if has_ending(&file, &ENDINGS) || has_ending(&file, &OTHERS) {
                files.push(file);
            }
        }
        files.retain(|file| file.is_file());
        if !files.iter().any(|file| has_ending(file, &ENDINGS)) {
            return Err(Flaw::new(format!("no pictures in it ({})", ENDINGS.join(", "))));
        }
        files.sort_by(|a, b| natural(&name(a), &name(b)));
        Ok(Self { left: files.into(), next: 0 })
    }

    pub(super) fn of_one(path: &Path) -> Self {
        Self { left: [path.to_owned()].into(), next: 0 }
    }
}

impl Pictures for Folder {
    fn next(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        let Some(file) = self.left.pop_front() else { return Ok(None) };
        let number = self.next;
        self.next += 1;
        picture_file::read(&file)
            .map(|pixels| Some((number, pixels)))
            .map_err(|e| Flaw::new(format!("{}: {e}", name(&file))))
    }

    fn rate(&self) -> Option<f64> {
        None
    }
}

fn has_ending(file: &Path, endings: &[&str]) -> bool {
    let ending = file.extension().and_then(|e| e.to_str());
    ending.is_some_and(|e| endings.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

fn name(file: &Path) -> String {
    file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Compares names by the numbers in them: frame2 comes before frame10.
fn natural(a: &str, b: &str) -> Ordering {
    let (mut left, mut right) = (a, b);
    loop {
        let digits = |s: &str| s.len() - s.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (n, m) = (digits(left), digits(right));
        let ordering = if n > 0 && m > 0 {
            let (x, y) = (left[..n].trim_start_matches('0'), right[..m].trim_start_matches('0'));
            (left, right) = (&left[n..], &right[m..]);
            x.len().cmp(&y.len()).then_with(|| x.cmp(y))
        } else {
            match (left.chars().next(), right.chars().next()) {
                (Some(x), Some(y)) => {
                    (left, right) = (&left[x.len_utf8()..], &right[y.len_utf8()..]);
                    x.cmp(&y)
                }
                // Names that differ in leading zeros alone still need an order.
                (None, None) => return a.cmp(b),
                (x, y) => return x.is_some().cmp(&y.is_some()),
            }
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_are_ordered_by_their_numbers() {
        let mut names = ["f10.jpg", "f9.jpg", "f010.jpg", "e.jpg", "f.jpg", "f1.jpg", "f1b.jpg"];
        names.sort_by(|a, b| natural(a, b));
        assert_eq!(names, ["e.jpg", "f.jpg", "f1.jpg", "f1b.jpg", "f9.jpg", "f010.jpg", "f10.jpg"]);
    }
}
