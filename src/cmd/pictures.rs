//! Picture files for the offline tools: which there are, and what is in them.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use image::RgbImage;

use crate::onboard::frame::{Frame, Pixels, Raw};
use crate::onboard::vision::{Picture, VisionError, still};

/// Name endings that count as pictures when a folder is read.
const ENDINGS: [&str; 5] = ["jpg", "jpeg", "png", "bmp", "webp"];

/// The picture files that `paths` name, folders searched through, in order of name. A path that is
/// named itself is taken whatever it is called.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found)?;
        } else {
            found.push(path.clone());
        }
    }
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
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
            found.push(path);
        }
    }
    Ok(())
}

/// Reads a file. A JPEG stays as it is, so that it takes the same way as a camera's.
pub fn load(path: &Path) -> anyhow::Result<Frame> {
    let bytes = std::fs::read(path)?;
    if bytes.is_empty() {
        return Err(VisionError::EmptyFrame.into());
    }
    if bytes.starts_with(&[0xff, 0xd8]) {
        return Ok(still(Pixels::Mjpeg(bytes)));
    }
    Ok(still(rgb(&bytes)?))
}

/// Decodes a file that no camera would send: PNG and the like, or a JPEG in CMYK.
pub fn rgb(bytes: &[u8]) -> anyhow::Result<Pixels> {
    let image = image::load_from_memory(bytes).context("not a picture that can be read")?;
    let image = image.into_rgb8();
    let (width, height) = image.dimensions();
    Ok(Pixels::Rgb(Raw { width, height, bytes: image.into_raw() }))
}

/// The last picture looked at, in colour, to draw on.
pub fn canvas(picture: &Picture) -> RgbImage {
    let (width, height) = picture.size();
    RgbImage::from_raw(width, height, picture.to_rgb()).expect("three bytes per pixel")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_searched_and_sorted_and_other_files_left_out() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("sub")).unwrap();
        for name in ["b.JPG", "a.png", "notes.txt", "sub/c.webp"] {
            std::fs::write(folder.path().join(name), "x").unwrap();
        }
        let names: Vec<_> = find(&[folder.path().to_owned()])
            .unwrap()
            .iter()
            .map(|p| p.strip_prefix(folder.path()).unwrap().display().to_string())
            .collect();
        assert_eq!(names, ["a.png", "b.JPG", "sub/c.webp"]);
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
