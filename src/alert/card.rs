//! What the officer's screen says about one hit.
//!
//! In: a [`Hit`]. Out: a [`Card`], the one form in which a plate reaches the page: the camera's
//! text beside the list's, character by character, so that a person can compare before acting.

use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;

use crate::entry::Priority;
use crate::gps::{Fix, Position};
use crate::hits::{KeptHit, Odds};
use crate::onboard::{Hit, Match, MatchKind};
use crate::plate::syntax::Syntax;
use crate::plate::{Agreement, Jurisdiction, fold, pattern};
use crate::records::disposition::Told;
use crate::wire::{EntryReport, PositionReport};

/// One hit as the page shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Card {
    /// The hit's ULID.
    pub id: String,
    /// Category as listed, such as `stolen_vehicle`.
    pub category: String,
    /// Priority of the alert, which decides colour and tone: the entry's, or a lower one where the jurisdictions do
    /// not agree.
    pub priority: Priority,
    /// Priority as listed.
    pub listed_priority: Priority,
    /// Exact or approximate.
    pub match_kind: MatchKind,
    /// Camera's and list's characters side by side.
    pub pairs: Vec<Pair>,
    /// Jurisdiction on the plate, if it was read.
    pub jurisdiction_read: Option<String>,
    /// How sure the jurisdiction is, 0 to 1; none where it was not read.
    pub jurisdiction_confidence: Option<f32>,
    /// Jurisdiction on the list, if it says.
    pub jurisdiction_listed: Option<String>,
    /// How the two compare.
    pub jurisdictions: Agreement,
    /// Whether the read has a usual format of the jurisdiction that the list states.
    pub syntax: Syntax,
    /// Whether the list was stale at the time of the alert.
    pub stale: bool,
    /// Name of the list.
    pub list: String,
    /// Time of the list's source.
    pub list_time: Timestamp,
    /// Free text.
    pub reason: String,
    /// Who put the plate on the list.
    pub source: String,
    /// The source's case number.
    pub case: String,
    /// Make, model, colour, year as listed.
    pub vehicle: String,
    /// What to beware of, as listed, such as `armed`; empty if the list says nothing.
    pub caution: String,
    /// What to do, as listed, such as `stop` or `report only`; empty if the list says nothing.
    pub action: String,
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
    /// Further entries that the same read matches.
    pub others: Vec<Other>,
    /// How likely it is that this is a misread, in words; absent where that cannot be known.
    pub odds: Option<String>,
    /// What has been decided about the hit, and which decisions are possible next.
    pub standing: Told,
}

/// A further entry that the same read matches, in short.
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
            priority: found.priority,
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
            priority: entry.told.unwrap_or(entry.priority),
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
    /// The list has a wildcard here.
    Open,
    /// Not equal: to be compared by eye.
    Differs,
}

impl Card {
    /// The card of a hit.
    pub fn of(hit: &Hit, odds: Option<Odds>) -> Self {
        let entry = hit.entry();
        Self {
            id: hit.id().to_string(),
            category: entry.category.to_string(),
            priority: hit.priority(),
            listed_priority: entry.priority,
            match_kind: hit.match_kind(),
            pairs: pairs(hit.plate().expose(), entry.plate.expose()),
            // Never taken from the list: where none was read, the card says so.
            jurisdiction_read: known(hit.jurisdiction()),
            jurisdiction_confidence: hit.jurisdiction_confidence().map(|p| p.get()),
            jurisdiction_listed: known(entry.jurisdiction),
            jurisdictions: hit.jurisdictions(),
            syntax: hit.syntax(),
            stale: hit.stale(),
            list: hit.list().name.to_string(),
            list_time: hit.list().source_time,
            reason: entry.reason.clone(),
            source: entry.source.clone(),
            case: entry.case.clone(),
            vehicle: entry.vehicle.to_string(),
            caution: entry.caution.clone(),
            action: entry.action.clone(),
            camera: hit.camera().to_string(),
            seen: hit.seen().wall,
            frames: hit.frames(),
            weakest: hit.weakest().get(),
            position: *hit.position(),
            plate_px: hit.crop().width,
            others: hit.others().iter().map(Other::of).collect(),
            odds: odds.map(|odds| odds.in_words()),
            standing: Told::default(),
        }
    }
}

impl Card {
    /// The card of a hit that was kept, after a restart. `plate_px` is the kept picture's width.
    pub fn of_kept(kept: &KeptHit, plate_px: u32, standing: Told) -> Self {
        let (report, entry) = (&kept.report, &kept.report.entry);
        Self {
            id: report.id.clone(),
            category: entry.category.clone(),
            priority: entry.told.unwrap_or(entry.priority),
            listed_priority: entry.priority,
            match_kind: entry.matched,
            pairs: pairs(&report.read.plate, &entry.plate),
            jurisdiction_read: known(report.read.jurisdiction),
            jurisdiction_confidence: report.read.jurisdiction_confidence,
            jurisdiction_listed: known(entry.jurisdiction),
            jurisdictions: entry.jurisdictions.unwrap_or_else(|| {
                Jurisdiction::compare(report.read.jurisdiction, entry.jurisdiction)
            }),
            syntax: entry.syntax,
            stale: entry.list_stale,
            list: entry.list.clone(),
            list_time: entry.list_source_time,
            reason: kept.detail.reason.clone(),
            source: entry.source.clone(),
            case: entry.case.clone(),
            vehicle: kept.detail.vehicle.clone(),
            caution: kept.detail.caution.clone(),
            action: kept.detail.action.clone(),
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
            odds: kept
                .detail
                .reading
                .as_ref()
                .and_then(|reading| reading.odds)
                .map(|odds| odds.in_words()),
            standing,
        }
    }
}

/// Lays two texts side by side so that the fewest places differ; a place where one has a character
/// too many stays empty on the other side.
pub fn pairs(read: &str, listed: &str) -> Vec<Pair> {
    let listed = &*pattern::over(listed, read);
    let (a, b): (Vec<char>, Vec<char>) = (read.chars().collect(), listed.chars().collect());
    // Cost of aligning the rests from (i, j) on: a gap costs more than a wrong character, because
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
    use crate::onboard::of_jurisdiction_for_tests;
    use rstest::rstest;

    /// What the officer's page shows of a plate's jurisdiction.
    #[rstest]
    #[case::as_listed("CA-ON", Agreement::Same, Priority::High)]
    #[case::of_another("US-NY", Agreement::Other, Priority::Low)]
    #[case::not_read("unknown", Agreement::NotRead, Priority::High)]
    fn card_says_whose_plate_was_read_and_how_sure(
        #[case] read: &str,
        #[case] jurisdictions: Agreement,
        #[case] told: Priority,
    ) {
        let hit = of_jurisdiction_for_tests(crate::hits::testing_hit(1), read, 0.97);
        let card = Card::of(&hit, None);
        let is_read = (read != "unknown").then_some(read);
        assert_eq!(card.jurisdiction_read.as_deref(), is_read);
        assert_eq!(card.jurisdiction_confidence, is_read.map(|_| 0.97));
        assert_eq!(card.jurisdiction_listed.as_deref(), Some("CA-ON"));
        assert_eq!((card.jurisdictions, card.priority), (jurisdictions, told));
        assert_eq!(card.listed_priority, Priority::High);
        let json = serde_json::to_value(&card).unwrap();
        assert_eq!(json["jurisdictions"], serde_json::to_value(jurisdictions).unwrap());
    }

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
