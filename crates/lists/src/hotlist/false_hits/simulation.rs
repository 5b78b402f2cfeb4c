//! Compares the estimate of false hits with simulated misreads.
//!
//! A million plates are on the road: a thousand series of four letters, each with all of its
//! thousand numbers, as Ontario issues them. A plate passes and is misread in one character, as
//! readers do (`CONFUSIONS`); the result is looked up. Nothing of the estimate is used.

use std::collections::HashSet;

use super::tests::shape;
use super::*;

/// A small random generator, the same on every run.
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % n as u64) as usize
    }
}

/// The plates on the road, and the series to which they belong.
fn road(random: &mut Random) -> Vec<String> {
    let letters = b"ABCDEFGHJKLMNPRSTUVWXYZ";
    let mut series = HashSet::new();
    while series.len() < 1_000 {
        let text: String = (0..4).map(|_| char::from(letters[random.below(23)])).collect();
        series.insert(text);
    }
    let mut series: Vec<_> = series.into_iter().collect();
    series.sort();
    series.iter().flat_map(|s| (0..1_000).map(move |n| format!("{s}{n:03}"))).collect()
}

/// Characters and what is read in their place, each pair as often as it occurs. The first line is
/// measured: the substitutions that plate-ocr-small 0.5.0 made on the 217 labelled frames of the
/// development half, label errors set aside, each counted twice; they are few. The rest are the
/// pairs that look alike on plates, once each, so that a character at any place can be misread.
const CONFUSIONS: [(&str, u8); 67] = [
    ("7Z", 2),
    ("8B", 2),
    ("FP", 2),
    ("4L", 2),
    ("1T", 2),
    ("ZB", 2),
    ("BZ", 2),
    ("0D", 1),
    ("D0", 1),
    ("17", 1),
    ("71", 1),
    ("1L", 1),
    ("L1", 1),
    ("2Z", 1),
    ("Z2", 1),
    ("27", 1),
    ("72", 1),
    ("38", 1),
    ("83", 1),
    ("3B", 1),
    ("B3", 1),
    ("4A", 1),
    ("A4", 1),
    ("5S", 1),
    ("S5", 1),
    ("56", 1),
    ("65", 1),
    ("6G", 1),
    ("G6", 1),
    ("68", 1),
    ("86", 1),
    ("7T", 1),
    ("T7", 1),
    ("80", 1),
    ("08", 1),
    ("89", 1),
    ("98", 1),
    ("B8", 1),
    ("CG", 1),
    ("GC", 1),
    ("EF", 1),
    ("FE", 1),
    ("MN", 1),
    ("NM", 1),
    ("UV", 1),
    ("VU", 1),
    ("VY", 1),
    ("YV", 1),
    ("HN", 1),
    ("NH", 1),
    ("PR", 1),
    ("RP", 1),
    ("KX", 1),
    ("XK", 1),
    ("WV", 1),
    ("VW", 1),
    ("JU", 1),
    ("UJ", 1),
    ("PF", 1),
    ("94", 1),
    ("49", 1),
    ("35", 1),
    ("53", 1),
    ("TY", 1),
    ("YT", 1),
    ("DC", 1),
    ("CD", 1),
];

/// A misread of a plate: one character that can be confused is replaced.
fn misread(plate: &str, random: &mut Random) -> Option<String> {
    let mut ways = Vec::new();
    for (at, c) in plate.bytes().enumerate() {
        for (pair, times) in CONFUSIONS {
            let pair = pair.as_bytes();
            if pair[0] == c {
                ways.extend(std::iter::repeat_n((at, pair[1]), usize::from(times)));
            }
        }
    }
    let (at, c) = *ways.get(random.below(ways.len().max(1)))?;
    let mut out = plate.as_bytes().to_vec();
    out[at] = c;
    String::from_utf8(out).ok()
}

/// The number of false hits that a list gives in a busy shift.
fn counted(road: &[String], listed: &[String], random: &mut Random) -> f64 {
    let keys: HashSet<u64> =
        listed.iter().map(|p| crate::plate::Plate::parse(p).unwrap().key().get()).collect();
    let (mut reads, mut hits) = (0_u32, 0_u32);
    for _ in 0..600_000 {
        let plate = &road[random.below(road.len())];
        let Some(text) = misread(plate, random) else { continue };
        reads += 1;
        let own = crate::plate::Plate::parse(plate).unwrap().key().get();
        let key = crate::plate::Plate::parse(&text).unwrap().key().get();
        // A hit counts even if the car itself is listed, because it is for another entry.
        hits += u32::from(key != own && keys.contains(&key));
    }
    SHIFT_READS as f64 * MISREAD_RATE * f64::from(hits) / f64::from(reads)
}

#[test]
fn estimate_errs_by_little_and_towards_more_false_hits() {
    let mut random = Random(7);
    let road = road(&mut random);
    let some = |n: usize, random: &mut Random| -> Vec<String> {
        let mut out: Vec<_> = (0..n).map(|_| road[random.below(road.len())].clone()).collect();
        out.sort();
        out.dedup();
        out
    };
    let apart = some(212, &mut random);
    let tenth = some(105_000, &mut random);
    let lists = [
        ("200 side by side", road[300_100..300_300].to_vec()),
        ("212 apart", apart),
        ("five whole series", road[500_000..505_000].to_vec()),
        ("a tenth of all", tenth),
    ];
    for (name, listed) in lists {
        let counted = counted(&road, &listed, &mut random);
        let told = expected_false_hits(&shape(&listed), Matching::Exact, SHIFT_READS, MISREAD_RATE);
        let times = told / counted;
        eprintln!("{name}: counted {counted:.4}, told {told:.4}");
        assert!((0.8..=6.0).contains(&times), "{name}: counted {counted}, told {told}");
        // Earlier estimates were 2,832 for neighbouring plates and 0.0 for scattered ones, both
        // with look-alikes.
        assert!(!name.starts_with('2') || (0.01..1.0).contains(&told), "{name}: {told}");
    }
}
