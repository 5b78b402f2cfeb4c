use std::path::Path;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::hotlist::{Entry, Priority};
use crate::plate::Jurisdiction;

fn zone() -> TimeZone {
    TimeZone::get("America/Toronto").unwrap()
}

struct Imported {
    entries: Vec<Entry>,
    report: Report,
    quarantine: String,
}

fn run(bytes: &[u8], mapping: &Mapping, defaults: &Defaults) -> Result<Imported, ImportError> {
    let (mut reader, mut quarantine) = (bytes, Vec::new());
    let zone = zone();
    let importing = Importing { mapping, defaults, zone: &zone, quarantine: &mut quarantine };
    let (gathered, report) = import(&mut reader, importing)?;
    let entries = gathered.records().map(|r| r.to_entry()).collect();
    Ok(Imported { entries, report, quarantine: String::from_utf8(quarantine).unwrap() })
}

fn sample(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("hotlists/samples");
    std::fs::read(folder.join(name)).unwrap()
}

fn read(mapping: &str, file: &str) -> Imported {
    run(&sample(file), &Mapping::find(mapping).unwrap(), &Defaults::default()).unwrap()
}

/// An entry as one line: what an officer would be told.
fn line(e: &Entry) -> String {
    let date = |t: Option<jiff::Timestamp>| t.map_or("-".into(), |t| t.to_string());
    format!(
        "{} {} {} {:?} [{}] {} {} {} {} {} !{}",
        e.plate.expose(),
        e.jurisdiction,
        e.category,
        e.priority,
        e.vehicle,
        e.case,
        e.source,
        date(e.effective),
        date(e.expires),
        e.reason,
        e.caution,
    )
}

#[rstest]
#[case("ncic-fixed", "synthetic-ncic-fixed.txt", (11, 5, 2, 1, 1))]
#[case("ncic-csv", "synthetic-ncic-csv.csv", (5, 3, 1, 0, 0))]
#[case("clew-svs", "synthetic-svs.tbl", (5, 4, 1, 0, 0))]
#[case("clew-sfr", "synthetic-sfr.tbl", (5, 4, 1, 0, 0))]
#[case("clew-slr", "synthetic-slr.tbl", (5, 4, 1, 0, 0))]
#[case("new-york", "synthetic-new-york.txt", (6, 3, 1, 0, 0))]
#[case("openalpr-csv", "synthetic-openalpr.csv", (4, 3, 1, 0, 0))]
#[case("genetec", "synthetic-genetec.txt", (4, 3, 1, 0, 0))]
#[case("vigilant", "synthetic-vigilant.csv", (5, 2, 0, 1, 0))]
#[case("predator-json", "synthetic-predator.json", (4, 2, 2, 0, 0))]
#[case("illinois-leads", "synthetic-leads.txt", (4, 2, 1, 0, 0))]
#[case("plain", "synthetic-plain.txt", (6, 3, 1, 1, 1))]
#[case("outrider-csv", "synthetic-outrider.csv", (5, 4, 1, 0, 0))]
fn every_mapping_reads_its_sample(
    #[case] mapping: &str,
    #[case] file: &str,
    #[case] counts: (u64, u64, u64, u64, u64),
) {
    let read = read(mapping, file);
    let r = &read.report;
    let found = (r.rows, r.entries, r.quarantined, r.repeats, r.junk);
    assert_eq!(found, counts, "{r}{}", read.quarantine);
    let dropped = r.rows - r.entries - r.quarantined - r.repeats - r.junk;
    assert_eq!(r.dropped_rows(), dropped);
}

#[test]
fn ncic_row_field_by_field() {
    let read = read("ncic-fixed", "synthetic-ncic-fixed.txt");
    let lines: Vec<_> = read.entries.iter().map(line).collect();
    insta::assert_snapshot!(lines.join("\n"), @r#"
    SYN0001 US-CA stolen_vehicle High [2019 GRY HOND CIV car] V900000001 LA0570200 2026-11-09T05:00:00Z -  !
    SYN0002 US-MT stolen_vehicle High [2009 BLK YAMA CYL motorcycle] V900000002 LA0570200 2026-11-10T05:00:00Z -  !
    SYN0O04 US-NY stolen_plate High [car] P900000004 NY0303000 2026-11-12T05:00:00Z -  !
    SYN0005 US-OH wanted_person High [2015 RED FORD F15 truck] W900000005 OH0250000 2026-11-13T05:00:00Z -  !
    SYN0006 CA-QC stolen_canadian High [2021 WHI TOYT COR car] R900000006 ON0057000 2026-11-14T05:00:00Z - Canadian file (CPIC): confirm through CPIC !
    "#);
}

#[test]
fn same_characters_of_two_states_are_two_entries() {
    let mapping = Mapping::find("openalpr-csv").unwrap();
    let csv =
        b"Plate Number,Description,State/Province\nABC123,suv,us-co\nABC123,motorcycle,us-mt\n";
    let read = run(csv, &mapping, &Defaults::default()).unwrap();
    assert_eq!((read.entries.len(), read.report.repeats), (2, 0));
}

#[test]
fn letters_mean_what_the_mapping_says() {
    let ncic = read("ncic-fixed", "synthetic-ncic-fixed.txt").report;
    assert_eq!(ncic.off, [("N".to_owned(), 1)].into());
    assert_eq!(ncic.unlisted, [("Q".to_owned(), 1)].into());
    let new_york = read("new-york", "synthetic-new-york.txt").report;
    assert_eq!(new_york.off, [("S".to_owned(), 1), ("X".to_owned(), 1)].into());
    let mapping = Mapping::find("new-york").unwrap();
    let with = ["suspended_registration".to_owned()].into();
    let asked = Defaults { with, ..Defaults::default() };
    let report = run(&sample("synthetic-new-york.txt"), &mapping, &asked).unwrap().report;
    assert_eq!(report.categories["suspended_registration"], 1);
}

#[test]
fn persons_are_dropped_and_the_report_says_which_columns() {
    let read = read("vigilant", "synthetic-vigilant.csv");
    assert_eq!(read.report.personal_columns, ["Owner Name", "Owner DOB"]);
    for text in [format!("{:?}", read.entries), read.report.to_string(), read.quarantine] {
        assert!(!text.contains("Nobody") && !text.contains("1970"), "{text}");
    }
    let predator = self::read("predator-json", "synthetic-predator.json");
    assert!(predator.report.personal_columns.contains(&"name (member name)".to_owned()));
    assert!(!format!("{:?}", predator.entries).contains("obody"));
    let leads = self::read("illinois-leads", "synthetic-leads.txt");
    assert!(!format!("{:?}", leads.entries).contains("NOBODY"));
}

#[test]
fn quarantine_says_line_and_reason_and_no_content() {
    let read = read("ncic-fixed", "synthetic-ncic-fixed.txt");
    insta::assert_snapshot!(read.quarantine, @r#"
    4	jurisdiction of the form "A9" is neither ISO 3166 nor a state or province
    11	effective of the form "99999999" is no date as the mapping has them
    12	repeats line 2
    "#);
    assert!(!read.quarantine.contains("SYN"));
}

#[test]
fn cell_of_two_lines_does_not_shift_the_numbers_of_the_next() {
    let read = read("outrider-csv", "synthetic-outrider.csv");
    assert!(read.quarantine.starts_with("8\tpriority of the form"), "{}", read.quarantine);
    let two = read.entries.iter().find(|e| e.plate.expose() == "SYN0002").unwrap();
    assert_eq!(two.reason, "Synthetic: two lines");
}

#[test]
fn every_field_of_our_own_csv_arrives() {
    let read = read("outrider-csv", "synthetic-outrider.csv");
    let first = &read.entries[0];
    assert_eq!(
        line(first),
        "SYN0001 CA-ON stolen_vehicle High [2019 grey Honda Civic car] 26-0001 Synthetic PS 2026-11-03T05:00:00Z 2027-02-04T05:00:00Z Synthetic: taken, 3 Nov !armed"
    );
    assert_eq!((first.action.as_str(), first.covert), ("stop", false));
    assert!(first.last_confirmed.is_some());
    let last = read.entries.last().unwrap();
    assert!(last.plate.is_pattern() && last.plate.expose() == "SYN?03*");
    assert!(read.entries.iter().any(|e| e.covert));
}

#[test]
fn patterns_are_taken_only_where_they_are_meant() {
    let mapping = Mapping::find("predator-json").unwrap();
    let bytes = sample("synthetic-predator.json");
    let asked = Defaults { patterns: true, ..Defaults::default() };
    let read = run(&bytes, &mapping, &asked).unwrap();
    assert!(read.entries.iter().any(|e| e.plate.is_pattern()));
    let read = run(&bytes, &mapping, &Defaults::default()).unwrap();
    assert!(read.quarantine.contains("plate has the character '?'"), "{}", read.quarantine);
}

#[test]
fn rows_that_state_nothing_get_what_was_asked_for() {
    let mapping = Mapping::find("plain").unwrap();
    let defaults = Defaults {
        category: Some("bolo".into()),
        jurisdiction: Jurisdiction::parse("CA-ON").unwrap(),
        ..Defaults::default()
    };
    let read = run(b"ABC123\n", &mapping, &defaults).unwrap();
    assert_eq!(line(&read.entries[0]), "ABC123 CA-ON bolo Medium []   - -  !");
    assert_eq!(read.entries[0].priority, Priority::Medium);
}

#[test]
fn another_sources_file_is_refused_as_a_whole() {
    let mapping = Mapping::find("vigilant").unwrap();
    let message =
        run(b"name,age\nx,1\n", &mapping, &Defaults::default()).err().unwrap().to_string();
    assert!(message.contains("(name, age); is this the right mapping?"), "{message}");
    let mapping = Mapping::find("plain").unwrap();
    let message = run(b"<html>\n<body>\n", &mapping, &Defaults::default()).err().unwrap();
    let message = message.to_string();
    assert!(message.starts_with("none of the 2 rows is usable; the first problem, line 1: "));
}

#[test]
fn wrong_encoding_is_said_not_guessed() {
    let mapping = Mapping::find("plain").unwrap();
    let read = run(b"ABC123\nAB\xff12\n", &mapping, &Defaults::default()).unwrap();
    assert_eq!(read.quarantine, "2\tis not text in the mapping's encoding\n");
}

#[test]
fn open_quote_costs_its_rows_and_no_more() {
    let mapping = Mapping::find("openalpr-csv").unwrap();
    let mut csv =
        "Plate Number,Description,State/Province\nAAA111,\"never closed,us-mo\n".to_owned();
    for n in 0..30 {
        csv += &format!("BBB{n:03},fine,us-mo\n");
    }
    let read = run(csv.as_bytes(), &mapping, &Defaults::default()).unwrap();
    assert_eq!(read.entries.len(), 20);
    assert_eq!(read.quarantine, "2\topens a quote that is not closed within ten lines\n");
}

#[test]
fn explaining_shows_places_texts_and_the_entry() {
    let mapping = Mapping::find("ncic-fixed").unwrap();
    let bytes = sample("synthetic-ncic-fixed.txt");
    let told = explain(&mut &bytes[..], &mapping, &Defaults::default(), &zone(), 2).unwrap();
    let text = told.unwrap().to_string();
    assert!(text.contains("plate           characters 27 to 37          \"SYN0001\""), "{text}");
    assert!(text.contains("category        stolen_vehicle"), "{text}");
    let none = explain(&mut &bytes[..], &mapping, &Defaults::default(), &zone(), 99).unwrap();
    assert_eq!(none, None);
    let bad = explain(&mut &bytes[..], &mapping, &Defaults::default(), &zone(), 11).unwrap();
    assert!(bad.unwrap().outcome.starts_with("quarantined: effective of the form"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn no_importer_falls_over_garbage(
        bytes in prop::collection::vec(any::<u8>(), 0..400),
        which in any::<prop::sample::Index>(),
    ) {
        let name = names()[which.index(names().len())];
        let _ = run(&bytes, &Mapping::find(name).unwrap(), &Defaults::default());
    }

    #[test]
    fn no_importer_falls_over_a_spoilt_sample(
        which in 0..13_usize,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20),
    ) {
        let files = [
            ("ncic-fixed", "synthetic-ncic-fixed.txt"), ("ncic-csv", "synthetic-ncic-csv.csv"),
            ("clew-svs", "synthetic-svs.tbl"), ("clew-sfr", "synthetic-sfr.tbl"),
            ("clew-slr", "synthetic-slr.tbl"), ("new-york", "synthetic-new-york.txt"),
            ("openalpr-csv", "synthetic-openalpr.csv"), ("genetec", "synthetic-genetec.txt"),
            ("vigilant", "synthetic-vigilant.csv"), ("predator-json", "synthetic-predator.json"),
            ("illinois-leads", "synthetic-leads.txt"), ("plain", "synthetic-plain.txt"),
            ("outrider-csv", "synthetic-outrider.csv"),
        ];
        let (mapping, file) = files[which];
        let mut bytes = sample(file);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(read) = run(&bytes, &Mapping::find(mapping).unwrap(), &Defaults::default()) {
            let r = &read.report;
            let all = r.entries + r.quarantined + r.repeats + r.junk + r.dropped_rows();
            prop_assert_eq!(all, r.rows, "every row is accounted for");
        }
    }
}
