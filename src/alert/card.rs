//! What the officer's screen says about one hit.
//!
//! In: a [`Hit`]. Out: a [`Card`], the one form in which a plate reaches the page: the camera's
//! text beside the list's, character by character, so that a person can compare before acting.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::gps::{Fix, Position};
use crate::hotlist::Priority;
use crate::onboard::{Hit, Match, MatchKind};
use crate::plate::syntax::Syntax;
use crate::plate::{Jurisdiction, fold, pattern};
use crate::uplink::KeptHit;
use crate::uplink::wire::{EntryReport, PositionReport};

/// One hit as the page shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// The hit's ULID.
    pub id: String,
    /// Category as listed, such as `stolen_vehicle`.
    pub category: String,
    /// Chooses colour and tone.
    pub priority: Priority,
    /// Exact or approximate.
    pub match_kind: MatchKind,
    /// Camera's and list's characters side by side.
    pub pairs: Vec<Pair>,
    /// Jurisdiction on the plate, if it was read.
    pub jurisdiction_read: Option<String>,
    /// Jurisdiction on the list, if it says.
    pub jurisdiction_listed: Option<String>,
    /// Whether the read has a usual format of the jurisdiction that the list states.
    pub syntax: Syntax,
    /// Whether the list was stale when it alarmed.
    pub stale: bool,
    /// Name of the list.
    pub list: String,
    /// When the list's source last said so.
    pub list_time: Timestamp,
    /// Free text.
    pub reason: String,
    /// Who put the plate on the list.
    pub source: String,
    /// The source's case number.
    pub case: String,
    /// Make, model, colour, year as listed.
    pub vehicle: String,
    /// Which camera saw it.
    pub camera: String,
    /// When.
    pub seen: Timestamp,
    /// Frames that took part in the vote.
    pub frames: u32,
    /// The least certain character's probability, 0 to 1.
    pub weakest: f32,
    /// Where the car was.
    pub position: Position,
    /// Width of the plate picture in pixels: how much there is to compare.
    pub plate_px: u32,
    /// Further entries that the same read met.
    pub others: Vec<Other>,
}

/// A further entry that the same read met, in short.
#[derive(Debug, Clone, Serialize)]
pub struct Other {
    /// Its text on the list.
    pub listed: String,
    /// Category as listed.
    pub category: String,
    /// How urgent.
    pub priority: Priority,
    /// Exact or approximate.
    pub match_kind: MatchKind,
    /// Jurisdiction on the list, if it says.
    pub jurisdiction: Option<String>,
    /// Name of the list.
    pub list: String,
}

impl Other {
    fn of(found: &Match) -> Self {
        Self {
            listed: found.entry.plate.expose().to_owned(),
            category: found.entry.category.to_string(),
            priority: found.entry.priority,
            match_kind: found.kind,
            jurisdiction: known(found.entry.jurisdiction),
            list: found.list.name.to_string(),
        }
    }
}

impl Other {
    fn of_kept(entry: &EntryReport) -> Self {
        Self {
            listed: entry.plate.clone(),
            category: entry.category.clone(),
            priority: entry.priority,
            match_kind: entry.matched,
            jurisdiction: known(entry.jurisdiction),
            list: entry.list.clone(),
        }
    }
}

fn known(jurisdiction: Jurisdiction) -> Option<String> {
    (!jurisdiction.is_unknown()).then(|| jurisdiction.to_string())
}

/// One place of the two texts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    /// What the camera read here.
    pub read: Option<char>,
    /// What the list has here.
    pub listed: Option<char>,
    /// How they compare.
    pub mark: Mark,
}

/// How two characters compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mark {
    /// Equal.
    Same,
    /// Written differently, but lists do not keep them apart: O and 0, I and 1.
    Folded,
    /// The list leaves this place open.
    Open,
    /// Not equal: to be compared by eye.
    Differs,
}

impl Card {
    /// Says all that is known of a hit.
    pub fn of(hit: &Hit) -> Self {
        let entry = hit.entry();
        Self {
            id: hit.id().to_string(),
            category: entry.category.to_string(),
            priority: entry.priority,
            match_kind: hit.match_kind(),
            pairs: pairs(hit.plate().expose(), entry.plate.expose()),
            // Never guessed from the list: not read is said.
            jurisdiction_read: known(hit.jurisdiction()),
            jurisdiction_listed: known(entry.jurisdiction),
            syntax: hit.syntax(),
            stale: hit.stale(),
            list: hit.list().name.to_string(),
            list_time: hit.list().source_time,
            reason: entry.reason.clone(),
            source: entry.source.clone(),
            case: entry.case.clone(),
            vehicle: entry.vehicle.to_string(),
            camera: hit.camera().to_string(),
            seen: hit.seen().wall,
            frames: hit.frames(),
            weakest: hit.weakest().get(),
            position: *hit.position(),
            plate_px: hit.crop().width,
            others: hit.others().iter().map(Other::of).collect(),
        }
    }
}

impl Card {
    /// Says what was kept of a hit, after a restart. `plate_px` is the kept picture's width.
    pub fn of_kept(kept: &KeptHit, plate_px: u32) -> Self {
        let (report, entry) = (&kept.report, &kept.report.entry);
        Self {
            id: report.id.clone(),
            category: entry.category.clone(),
            priority: entry.priority,
            match_kind: entry.matched,
            pairs: pairs(&report.read.plate, &entry.plate),
            jurisdiction_read: known(report.read.jurisdiction),
            jurisdiction_listed: known(entry.jurisdiction),
            syntax: entry.syntax,
            stale: entry.list_stale,
            list: entry.list.clone(),
            list_time: entry.list_source_time,
            reason: kept.detail.reason.clone(),
            source: entry.source.clone(),
            case: entry.case.clone(),
            vehicle: kept.detail.vehicle.clone(),
            camera: report.camera.to_string(),
            seen: report.seen,
            frames: report.read.frames,
            weakest: report.read.weakest_character,
            position: match report.position {
                PositionReport::None => Position::NoFix,
                PositionReport::Known {
                    latitude,
                    longitude,
                    accuracy_m,
                    heading_deg,
                    age_ms,
                    interpolated,
                } => Position::Fixed {
                    fix: Fix {
                        latitude,
                        longitude,
                        accuracy_m,
                        heading_deg,
                        // Neither is kept.
                        speed_mps: None,
                        time: None,
                        three_d: false,
                    },
                    age: Duration::from_millis(age_ms),
                    interpolated,
                },
            },
            plate_px,
            others: report.other_entries.iter().map(Other::of_kept).collect(),
        }
    }
}

/// Lays two texts side by side so that the fewest places differ; a place where one has a character
/// too many stays empty on the other side.
pub fn pairs(read: &str, listed: &str) -> Vec<Pair> {
    let listed = &*pattern::over(listed, read);
    let (a, b): (Vec<char>, Vec<char>) = (read.chars().collect(), listed.chars().collect());
    // Cost of aligning what is left from (i, j): a gap costs more than a wrong character, for
    // models mistake characters far more often than they invent them.
    const GAP: u32 = 3;
    let cost = |x: char, y: char| match mark(x, y) {
        Mark::Same => 0,
        Mark::Folded | Mark::Open => 1,
        Mark::Differs => 2,
    };
    let mut left = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..=a.len()).rev() {
        for j in (0..=b.len()).rev() {
            left[i][j] = match (i == a.len(), j == b.len()) {
                (true, true) => 0,
                (true, false) => left[i][j + 1] + GAP,
                (false, true) => left[i + 1][j] + GAP,
                (false, false) => (left[i + 1][j + 1] + cost(a[i], b[j]))
                    .min(left[i + 1][j] + GAP)
                    .min(left[i][j + 1] + GAP),
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        let both = i < a.len() && j < b.len();
        let (read, listed) = if both && left[i][j] == left[i + 1][j + 1] + cost(a[i], b[j]) {
            (Some(a[i]), Some(b[j]))
        } else if i < a.len() && left[i][j] == left[i + 1][j] + GAP {
            (Some(a[i]), None)
        } else {
            (None, Some(b[j]))
        };
        i += usize::from(read.is_some());
        j += usize::from(listed.is_some());
        let mark = match (read, listed) {
            (Some(x), Some(y)) => mark(x, y),
            _ => Mark::Differs,
        };
        out.push(Pair { read, listed, mark });
    }
    out
}

fn mark(x: char, y: char) -> Mark {
    let folded = |c: char| u8::try_from(c).map(fold);
    match (x == y, folded(x) == folded(y)) {
        _ if y == '?' => Mark::Open,
        (true, _) => Mark::Same,
        (false, true) => Mark::Folded,
        (false, false) => Mark::Differs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("CKSV841", "CKSV841", "=======")]
    #[case("CKSV841", "CKSVB41", "====x==")]
    #[case("O1ABQ", "01AB0", "~===~")]
    #[case("ABC123", "ABC1123", "====+==")]
    #[case("1ABC123", "ABC123", "-======")]
    #[case("CKSV841", "CK?V*", "==o=ooo")]
    #[case("8", "", "-")]
    fn texts_side_by_side(#[case] read: &str, #[case] listed: &str, #[case] expected: &str) {
        let pairs = pairs(read, listed);
        let signs: String = pairs
            .iter()
            .map(|p| match (p.read, p.listed, p.mark) {
                (Some(_), None, _) => '-',
                (None, Some(_), _) => '+',
                (_, _, Mark::Same) => '=',
                (_, _, Mark::Folded) => '~',
                (_, _, Mark::Open) => 'o',
                (_, _, Mark::Differs) => 'x',
            })
            .collect();
        assert_eq!(signs, expected);
        assert_eq!(pairs.iter().filter_map(|p| p.read).collect::<String>(), read);
        let laid = pattern::over(listed, read);
        assert_eq!(pairs.iter().filter_map(|p| p.listed).collect::<String>(), laid);
    }
}
