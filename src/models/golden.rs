//! The golden set: pictures with known plates, built into the program, on which models are compared.
//!
//! All of them are drawn by our own renderer (`crates/render/examples/golden_set.rs`): six designs by day, at dusk, at
//! night and in infrared, near and far, and six roads without a plate, four of them with lettering. They are no measure
//! of how well a model reads real plates; they show that one is damaged, or has forgotten what the one before knew.

use crate::plate::Jurisdiction;

/// A picture, and what it shows.
pub(super) struct Golden {
    /// The picture, a JPEG.
    pub(super) jpeg: &'static [u8],
    /// The plate's issuer and text; nothing on a road without a plate.
    pub(super) plate: Option<(Jurisdiction, &'static str)>,
}

/// What each picture shows, a line for each.
const LABELS: &str = include_str!("golden/labels.txt");

/// The pictures, in the order of their lines.
macro_rules! pictures {
    ($($n:literal)*) => { [$(include_bytes!(concat!("golden/", $n, ".jpg"))),*] };
}

const PICTURES: [&[u8]; 36] = pictures!(
    "00" "01" "02" "03" "04" "05" "06" "07" "08" "09" "10" "11" "12" "13" "14" "15" "16" "17"
    "18" "19" "20" "21" "22" "23" "24" "25" "26" "27" "28" "29" "30" "31" "32" "33" "34" "35"
);

/// The whole set.
pub(super) fn set() -> Vec<Golden> {
    let lines = LABELS.lines().zip(PICTURES);
    lines
        .map(|(line, jpeg)| {
            let mut words = line.split(' ').skip(1);
            let (issuer, text) = (words.next().unwrap_or("-"), words.next().unwrap_or("-"));
            let plate = (text != "-")
                .then(|| (Jurisdiction::parse(issuer).expect("a test has read every line"), text));
            Golden { jpeg, plate }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_picture_has_its_line_and_every_line_its_picture() {
        let set = set();
        assert_eq!((LABELS.lines().count(), set.len()), (PICTURES.len(), PICTURES.len()));
        assert_eq!(set.iter().filter(|golden| golden.plate.is_none()).count(), 6);
        for (n, line) in LABELS.lines().enumerate() {
            assert!(line.starts_with(&format!("{n:02} ")), "{line}");
        }
        for golden in set {
            assert!(golden.jpeg.starts_with(&[0xff, 0xd8]), "a JPEG");
            assert!(golden.plate.is_none_or(|(_, text)| text.len() >= 5));
        }
    }
}
