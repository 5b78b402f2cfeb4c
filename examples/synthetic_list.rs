//! Writes a synthetic NCIC extract of any size, for measuring: `synthetic_list ROWS [CHANGED_PERCENT]`.
//!
//! Plates, cases and agencies are made up by counting; no vehicle carries them by intent. With a second
//! number, about so many rows in a hundred differ from those of the first, scattered over the list.

use std::io::{BufWriter, Write as _};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let rows: u64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(1_000);
    let changed: f64 = arguments.next().and_then(|n| n.parse().ok()).unwrap_or(0.0);
    let mut out = BufWriter::with_capacity(1 << 20, std::io::stdout().lock());
    for n in 0..rows {
        // Ten thousandths, so that 0.01 % of five million rows are 500.
        let is_changed = (spread(n ^ 0x5eed) % 10_000) < (changed * 100.0) as u64;
        writeln!(out, "{}", row(n, is_changed))?;
    }
    out.flush()
}

/// A row: the type letter and NIC number, agency, date, plate, state, plate year and type, vehicle.
fn row(n: u64, changed: bool) -> String {
    let x = spread(n);
    let letters = b"ABCDEFGHJKLMNPRSTUVWXYZ";
    let letter = |place: u32| char::from(letters[((n / 1_000 / 23_u64.pow(place)) % 23) as usize]);
    let plate = format!("{}{}{}{:03}{}", letter(0), letter(1), letter(2), n % 1_000, letter(3));
    let pick = |shift: u32, of: &[&'static str]| of[((x >> shift) % of.len() as u64) as usize];
    let day = 1 + (x >> 20) % 28;
    format!(
        "{}{:09}{:<9}2026{:02}{day:02}{plate:<10}{}2026PC{}{:<4}{:<3}{:<2}{:<7}",
        pick(0, &["V", "V", "V", "V", "P", "P", "W", "M", "F", "A"]),
        if changed { 900_000_000 + n % 90_000_000 } else { n },
        pick(4, &["LA0570200", "NY0303000", "OH0250000", "TX2270000", "ON0057000", "CA0370000"]),
        1 + (x >> 24) % 11,
        pick(8, &["CA", "NY", "OH", "TX", "ON", "QC", "MI", "PA"]),
        1998 + (x >> 28) % 28,
        pick(12, &["HOND", "TOYT", "FORD", "CHEV", "NISS", "DODG", "YAMA", "VOLK"]),
        pick(16, &["CIV", "COR", "F15", "MAL", "ALT", "RAM", "JET"]),
        pick(32, &["4D", "2D", "PK", "LL", "MC"]),
        pick(36, &["BLK", "WHI", "GRY", "RED", "BLU", "SIL", "GRN"]),
    )
}

/// Spreads a number over all 64 bits (the finaliser of SplitMix64).
fn spread(mut x: u64) -> u64 {
    x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}
