//! Draws the worst cases as one picture, the wrong reads of highest confidence first.

use std::path::Path;

use anyhow::Context as _;
use image::imageops::{FilterType, overlay, resize};
use image::{Rgb, RgbImage};

use super::score::Case;
use crate::onboard::vision::candidate::Crop;
use crate::render::text;

/// Columns and size of a cell in pixels: a plate at twice the size at which it is often seen.
const COLUMNS: u32 = 5;
const CELL: (u32, u32) = (260, 132);
/// Height of the plate's picture within the cell.
const PICTURE: u32 = 88;

/// The wrong cases that the sheet shows.
pub(super) struct Worst {
    most: usize,
    kept: Vec<(f32, Case, RgbImage)>,
}

impl Worst {
    pub(super) fn new(most: usize) -> Self {
        Self { most, kept: Vec::new() }
    }

    /// Offers a case; a read that is right is not taken. A confident wrong read is the worst, a
    /// plate that was not found comes last.
    pub(super) fn offer(&mut self, case: &Case, crop: impl FnOnce() -> Crop) {
        if self.most == 0 || case.label.is_none() || case.is_folded() {
            return;
        }
        let crop = crop();
        let picture = RgbImage::from_raw(crop.width, crop.height, crop.rgb);
        self.kept.push((case.weakest, case.clone(), picture.unwrap_or_default()));
        self.kept.sort_by(|a, b| b.0.total_cmp(&a.0));
        self.kept.truncate(self.most);
    }

    /// Writes the sheet; the ending of the name says in which format.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<usize> {
        let n = u32::try_from(self.kept.len()).expect("a sheet is small");
        let rows = n.div_ceil(COLUMNS).max(1);
        let grey = Rgb([28, 30, 34]);
        let mut sheet = RgbImage::from_pixel(COLUMNS * CELL.0, rows * CELL.1, grey);
        for (i, (weakest, case, picture)) in (0..).zip(&self.kept) {
            let (x, y) = ((i % COLUMNS) * CELL.0, (i / COLUMNS) * CELL.1);
            if picture.width() > 0 {
                let (w, h) = (CELL.0 - 8, PICTURE - 4);
                let scale =
                    (w as f32 / picture.width() as f32).min(h as f32 / picture.height() as f32);
                let size = |v: u32| ((v as f32 * scale) as u32).max(1);
                let small = resize(
                    picture,
                    size(picture.width()),
                    size(picture.height()),
                    FilterType::Triangle,
                );
                overlay(&mut sheet, &small, i64::from(x + 4), i64::from(y + 4));
            }
            let left = (x + 6) as f32;
            let label = case.label.as_deref().unwrap_or_default();
            let read = if case.read.is_empty() { "-" } else { &case.read };
            let line = |row: u32| (y + PICTURE + 4 + row * 20) as f32;
            text::draw(&mut sheet, left, line(0), 12.0, Rgb([240, 240, 240]), label);
            let said = format!("{read} {:.2} {}", weakest, case.source);
            text::draw(&mut sheet, left, line(1), 12.0, Rgb([255, 176, 0]), &said);
        }
        sheet.save(path).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(self.kept.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn case(label: &str, read: &str, weakest: f32) -> Case {
        Case {
            source: "us".into(),
            file: "a.jpg".into(),
            label: Some(label.into()),
            read: read.into(),
            weakest,
            detected: Some(true),
            width: Some(80.0),
            ..Case::default()
        }
    }

    #[test]
    fn sheet_keeps_the_most_confident_wrong_reads() {
        let mut worst = Worst::new(2);
        let crop = Crop { width: 4, height: 2, rgb: vec![200; 24] };
        for (label, read, p) in
            [("A1", "A1", 0.99), ("B8", "BB", 0.3), ("C3", "CC", 0.9), ("D4", "", 0.0)]
        {
            worst.offer(&case(label, read, p), || crop.clone());
        }
        let labels: Vec<_> = worst.kept.iter().map(|k| k.1.label.clone().unwrap()).collect();
        assert_eq!(labels, ["C3", "B8"]);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("worst.png");
        assert_eq!(worst.write(&path).unwrap(), 2);
        assert_eq!(image::open(&path).unwrap().to_rgb8().dimensions(), (1300, 132));
    }
}
