//! Places in labelled pictures that a person has looked at: plates that nobody labelled, and things that a
//! reader may take for one.
//!
//! In: a list made by hand, `file x y plate|other what-is-there` per line, `#` for remarks; x and y
//! are pixels of the picture and lie within the thing. Out: what a read beside every label is. The
//! list is of places, not of texts, so it stays true when the models change.

use std::path::Path;

use super::labels;
use crate::geometry::{Point, Rect};

/// What a person saw at a place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Place {
    file: String,
    at: Point,
    pub(super) is_plate: bool,
    pub(super) what: String,
}

/// Reads the list.
pub(super) fn load(path: &Path) -> anyhow::Result<Vec<Place>> {
    labels::listed(path, "file, x, y, plate or other, what is there", place)
}

fn place(line: &str) -> Option<Place> {
    let mut words = line.splitn(5, char::is_whitespace);
    let file = words.next()?.to_owned();
    let at = Point { x: words.next()?.parse().ok()?, y: words.next()?.parse().ok()? };
    let is_plate = match words.next()? {
        "plate" => true,
        "other" => false,
        _ => return None,
    };
    Some(Place { file, at, is_plate, what: words.next()?.trim().to_owned() })
}

/// What is known of a box in a picture.
pub(super) fn at<'a>(places: &'a [Place], file: &str, bbox: &Rect) -> Option<&'a Place> {
    places.iter().find(|p| p.file == file && bbox.contains(p.at))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> anyhow::Result<Vec<Place>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("looked-at.txt");
        std::fs::write(&path, text).unwrap();
        load(&path)
    }

    #[test]
    fn place_is_found_by_the_box_around_it() {
        let places =
            read("# remark\na.jpg 50 60 plate of the car behind\n\na.jpg 200 60.5 other badge\n")
                .unwrap();
        let b = |x| Rect { x, y: 50.0, w: 40.0, h: 20.0 };
        assert!(at(&places, "a.jpg", &b(40.0)).unwrap().is_plate);
        let badge = at(&places, "a.jpg", &b(190.0)).unwrap();
        assert_eq!((badge.is_plate, badge.what.as_str()), (false, "badge"));
        assert_eq!(at(&places, "b.jpg", &b(40.0)), None);
        assert_eq!(at(&places, "a.jpg", &b(100.0)), None);
    }

    #[test]
    fn line_that_says_nothing_is_named() {
        for bad in ["a.jpg 1 2 plate", "a.jpg 1 2 perhaps a badge", "a.jpg one 2 plate x"] {
            let error = format!("{:#}", read(&format!("# x\n{bad}\n")).unwrap_err());
            assert!(error.contains("looked-at.txt line 2: needs file"), "{error}");
        }
    }
}
