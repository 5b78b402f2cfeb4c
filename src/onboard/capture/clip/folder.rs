//! A folder of pictures as a recording, in the order in which a person would number them.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fs;
use std::path::{Path, PathBuf};

use super::{Flaw, LARGEST_FRAME, Pictures};
use crate::onboard::frame::{Pixels, Raw};

/// What counts as a picture, by its ending.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "bmp", "webp"];

/// The pictures not yet shown.
pub(super) struct Folder {
    left: VecDeque<PathBuf>,
    next: u64,
}

impl Folder {
    pub(super) fn open(path: &Path) -> Result<Self, Flaw> {
        let mut files: Vec<PathBuf> = fs::read_dir(path)?
            .filter_map(|entry| entry.ok().map(|e| e.path()))
            .filter(|file| is_picture(file) && file.is_file())
            .collect();
        if files.is_empty() {
            return Err(Flaw(format!("no pictures in it ({})", ENDINGS.join(", "))));
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
        load(&file)
            .map(|pixels| Some((number, pixels)))
            .map_err(|Flaw(why)| Flaw(format!("{}: {why}", name(&file))))
    }

    fn rate(&self) -> Option<f64> {
        None
    }
}

fn load(file: &Path) -> Result<Pixels, Flaw> {
    if fs::metadata(file)?.len() > LARGEST_FRAME as u64 {
        return Err(Flaw(format!("larger than {} MB", LARGEST_FRAME >> 20)));
    }
    let bytes = fs::read(file)?;
    // A JPEG by its content; an empty file is left to whoever judges empty frames.
    if bytes.is_empty() || bytes.starts_with(&[0xff, 0xd8]) {
        return Ok(Pixels::Mjpeg(bytes));
    }
    let image = image::load_from_memory(&bytes).map_err(|e| Flaw(e.to_string()))?.into_rgb8();
    let (width, height) = image.dimensions();
    Ok(Pixels::Rgb(Raw { width, height, bytes: image.into_raw() }))
}

fn is_picture(file: &Path) -> bool {
    file.extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| ENDINGS.iter().any(|known| e.eq_ignore_ascii_case(known)))
}

fn name(file: &Path) -> String {
    file.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Compares names with numbers in them by the numbers: frame2 before frame10.
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
