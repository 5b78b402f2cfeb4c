//! The demo's hotlist: some of those who will come along, with reasons that an officer would see.
//! Every person, case and agency in it is made up, like the plates.

use std::fmt::Write as _;

use super::scenario::{DriveScenario, Visit};
use crate::plate::{Plate, PlateKey, fold};

/// A list to be written to a file, and which vehicles of the drive are on it.
pub struct DemoList {
    /// CSV with a header, as an agency's export would be.
    pub csv: String,
    /// Places in [`DriveScenario::encounters`] of those whose own plate is listed.
    pub listed: Vec<usize>,
    /// Those whose plate resembles a listed one in a single character.
    pub resembling: Vec<usize>,
}

/// Category, priority, reason, source, vehicle.
const REASONS: [[&str; 5]; 7] = [
    ["stolen_vehicle", "high", "Taken from a driveway overnight", "Peel Regional", "2022 Lexus RX"],
    ["amber_alert", "high", "Child abduction, last seen 40 minutes ago", "OPP", ""],
    ["wanted_person", "high", "Registered owner wanted, armed robbery", "Halton Regional", ""],
    ["suspended_driver", "medium", "Registered owner's licence is suspended", "MTO", ""],
    ["expired_registration", "low", "Registration expired more than a year ago", "MTO", ""],
    ["missing_person", "high", "Vulnerable person, may be confused", "Toronto Police", ""],
    ["stolen_plate", "medium", "Plate reported stolen, vehicle differs", "Peel Regional", ""],
];

/// One in this many of those who can be read is on the list: far more than on any road, because
/// people watch a demo for a minute.
const ONE_IN: usize = 5;

/// Pairs of characters that readers take for each other and that lists nevertheless keep apart.
const ALIKE: [(u8, u8); 9] = [
    (b'8', b'B'),
    (b'5', b'S'),
    (b'2', b'Z'),
    (b'0', b'D'),
    (b'6', b'G'),
    (b'B', b'8'),
    (b'S', b'5'),
    (b'Z', b'2'),
    (b'D', b'0'),
];

impl DemoList {
    /// Puts every fifth of those who can be read on a list, and beside them a plate that resembles
    /// one who is not.
    pub fn of(plan: &DriveScenario, visits: &[Visit], legible_frames: u32) -> Self {
        let mut list = Self {
            csv: "plate,jurisdiction,category,priority,reason,source,vehicle\n".into(),
            listed: Vec::new(),
            resembling: Vec::new(),
        };
        let mut readable: Vec<_> =
            visits.iter().filter(|v| v.legible_frames >= legible_frames).collect();
        readable.sort_by_key(|v| v.visible.0);
        let mut reasons = REASONS.iter().cycle();
        for (i, visit) in readable.iter().enumerate() {
            let encounter = &plan.encounters[visit.vehicle];
            let jurisdiction = encounter.design.jurisdiction();
            if i % ONE_IN == 1 {
                let [category, priority, reason, source, vehicle] =
                    reasons.next().expect("the reasons go round");
                let plate = as_listed(&encounter.plate);
                let _ = writeln!(
                    list.csv,
                    "{plate},{jurisdiction},{category},{priority},\"{reason}\",{source},{vehicle}"
                );
                list.listed.push(visit.vehicle);
            } else if i % ONE_IN == 3
                && list.resembling.is_empty()
                && let Some(other) = look_alike(&encounter.plate)
                && plan.encounters.iter().all(|e| e.plate.key() != other.key())
            {
                let _ = writeln!(
                    list.csv,
                    "{},{jurisdiction},stolen_vehicle,high,\"Taken at a shopping centre\",Niagara Regional,",
                    other.expose()
                );
                list.resembling.push(visit.vehicle);
            }
        }
        list
    }

    /// Whether a vehicle of the drive is on the list or resembles one that is, so that an alert is right.
    pub fn may_leave(&self, vehicle: usize) -> bool {
        self.listed.contains(&vehicle) || self.resembling.contains(&vehicle)
    }
}

/// A plate as police systems write it: the letter O where the plate has a zero, at its first one.
/// Lists and reads meet all the same.
fn as_listed(plate: &Plate) -> String {
    plate.expose().replacen('0', "O", 1)
}

/// The same plate with one character changed to one that is easily taken for it.
fn look_alike(plate: &Plate) -> Option<Plate> {
    let text = plate.expose().as_bytes();
    let (at, other) = ALIKE.iter().find_map(|(of, other)| {
        let at = text.iter().position(|c| fold(*c) == *of)?;
        Some((at, *other))
    })?;
    let mut changed = text.to_vec();
    changed[at] = other;
    Plate::parse(std::str::from_utf8(&changed).ok()?).ok()
}

/// Plates of the drive that must not leave: all but those that alert.
pub fn must_stay(plan: &DriveScenario, list: &DemoList) -> Vec<Plate> {
    let told: Vec<PlateKey> = (0..plan.encounters.len())
        .filter(|&i| list.may_leave(i))
        .map(|i| plan.encounters[i].plate.key())
        .collect();
    let all = plan.encounters.iter().map(|e| e.plate);
    all.filter(|plate| !told.contains(&plate.key())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::scenario::{DriveSettings, Side};

    #[test]
    fn list_names_some_of_those_who_come_and_nobody_else_must_leave() {
        let plan = DriveScenario::plan(DriveSettings { seconds: 60.0, ..Default::default() });
        let visits = plan.visits(Side::Left, 40.0);
        let list = DemoList::of(&plan, &visits, 3);
        assert!(list.listed.len() >= 3, "{:?}", list.listed);
        assert_eq!(list.resembling.len(), 1);
        assert_eq!(list.csv.lines().count(), 1 + list.listed.len() + 1);
        let stay = must_stay(&plan, &list);
        assert_eq!(stay.len() + list.listed.len() + 1, plan.encounters.len());
    }

    #[test]
    fn resembling_plate_differs_in_one_character_even_after_folding() {
        let plate = Plate::parse("KLM 8402").unwrap();
        let other = look_alike(&plate).unwrap();
        assert_eq!(other.expose(), "KLMB402");
        assert_ne!(other.key(), plate.key());
        assert_eq!(Plate::parse(&as_listed(&plate)).unwrap().key(), plate.key());
    }
}
