//! Finds and reads picture files for the offline tools.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image::RgbImage;

use crate::onboard::frame::Frame;
use crate::onboard::vision::{Picture, VisionError, picture_file, still};

/// Name endings that count as pictures when a folder is read.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "bmp", "webp"];

/// Name endings of pictures that cannot be read here: each such file is reported, so that a folder of them is not taken
/// for one without plates.
const NOT_READ: [&str; 13] =
    ["tif", "tiff", "heic", "heif", "avif", "gif", "jp2", "jxl", "dng", "cr2", "cr3", "nef", "arw"];

/// The pictures that were found.
#[derive(Debug, Default)]
pub struct Found {
    /// Those that are read.
    pub files: Vec<PathBuf>,
    /// Those that look like pictures and are not read.
    pub left_out: Vec<PathBuf>,
}

impl Found {
    /// A line for each picture that is not read.
    pub fn remarks(&self) -> impl Iterator<Item = String> {
        self.left_out
            .iter()
            .map(|file| format!("{}: not read, only {} are", file.display(), ENDINGS.join(", ")))
    }
}

/// The picture files that `paths` name, folders searched through, in order of name. A path that is
/// named itself is taken whatever it is called.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Found> {
    let mut found = Found::default();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found)?;
        } else {
            found.files.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Found) -> anyhow::Result<()> {
    let entries = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|e| Ok(e?.path())).collect::<Result<Vec<_>, _>>());
    let mut entries =
        entries.with_context(|| format!("cannot read folder {}", folder.display()))?;
    entries.sort();
    for path in entries {
        let ending = path.extension().unwrap_or_default().to_string_lossy().to_ascii_lowercase();
        if path.is_dir() {
            walk(&path, found)?;
        } else if ENDINGS.contains(&ending.as_str()) {
            found.files.push(path);
        } else if NOT_READ.contains(&ending.as_str()) {
            found.left_out.push(path);
        }
    }
    Ok(())
}

/// Reads a file. A JPEG is not decoded here, so that it is decoded as a camera's frame is.
pub fn load(path: &Path) -> anyhow::Result<Frame> {
    let pixels = picture_file::read(path)?;
    if pixels.bytes().is_empty() {
        return Err(VisionError::EmptyFrame.into());
    }
    Ok(still(pixels))
}

/// The picture that was read last, in colour, to draw on.
pub fn canvas(picture: &Picture) -> RgbImage {
    let (width, height) = picture.size();
    RgbImage::from_raw(width, height, picture.to_rgb()).expect("three bytes per pixel")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::frame::Pixels;

    #[test]
    fn folders_are_searched_and_sorted_and_other_files_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["b.JPG", "a.png", "notes.txt", "sub/c.webp"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let names: Vec<_> = find(&[folder.path().to_owned()])
            .unwrap()
            .files
            .iter()
            .map(|p| p.strip_prefix(folder.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a.png", "b.JPG", "sub/c.webp"]);
    }

    #[test]
    fn pictures_that_are_not_read_are_told_apart_from_files_that_are_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["a.png", "b.HEIC", "notes.txt", "sub/c.tiff", "labels.jsonl"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let found = find(&[folder.path().to_owned()]).unwrap();
        assert_eq!(found.files.len(), 1);
        let told: Vec<_> = found.remarks().collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(told[0].contains("b.HEIC: not read, only jpg"), "{told:?}");
        assert!(told[1].contains("c.tiff: not read"), "{told:?}");
    }

    #[test]
    fn png_is_read_as_pixels() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        RgbImage::from_pixel(20, 10, image::Rgb([1, 2, 3])).save(&path).unwrap();
        let Pixels::Rgb(raw) = load(&path).unwrap().pixels else { panic!("pixels") };
        assert_eq!((raw.width, raw.height, &raw.bytes[..3]), (20, 10, &[1_u8, 2, 3][..]));
    }
}
