use std::path::Path;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::entry::Priority;
use crate::hotlist::Entry;
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
#[case("ncic-fixed", "synthetic-ncic-fixed.txt", (11, 6, 1, 1, 1))]
#[case("ncic-csv", "synthetic-ncic-csv.csv", (5, 3, 1, 0, 0))]
#[case("clew-svs", "synthetic-svs.tbl", (4, 4, 0, 0, 0))]
#[case("clew-sfr", "synthetic-sfr.tbl", (4, 4, 0, 0, 0))]
#[case("clew-slr", "synthetic-slr.tbl", (4, 4, 0, 0, 0))]
#[case("new-york", "synthetic-new-york.txt", (6, 3, 1, 0, 0))]
#[case("openalpr-csv", "synthetic-openalpr.csv", (4, 3, 1, 0, 0))]
#[case("genetec", "synthetic-genetec.txt", (4, 3, 1, 0, 0))]
#[case("vigilant", "synthetic-vigilant.csv", (5, 2, 0, 1, 0))]
#[case("predator-json", "synthetic-predator.json", (4, 2, 2, 0, 0))]
#[case("illinois-leads", "synthetic-leads.txt", (5, 3, 1, 0, 0))]
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
    SYN0002 US-CO stolen_vehicle High [2009 BLK YAMA CYL car] V900000003 LA0570200 2026-11-10T05:00:00Z -  !
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
    11	effective of the form "99999999" is not a date in the mapping's forms within 1950 to 2100
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
    assert!(
        message.contains("(name, age) is the mapping's plate column: is this the right mapping?"),
        "{message}"
    );
    let mapping = Mapping::find("plain").unwrap();
    let message = run(b"<html>\n<body>\n", &mapping, &Defaults::default()).err().unwrap();
    let message = message.to_string();
    assert!(message.starts_with("none of the 2 rows is usable; the first problem, line 1: "));
}

/// What an import says where the mapping does not fit: lines, columns' names and kinds of errors.
#[rstest]
#[case::row_taken_for_a_header("vigilant", "SYN0001,CA,Nobody A. Smithson,1970-01-01\n")]
#[case::row_in_one_cell(
    "genetec",
    "NOBODY SMITHSON 1970#QC#SYN0001\nNOBODY SMITHSON 1970#QC#SYN0002\n"
)]
#[case::column_that_has_moved(
    "genetec",
    "NOBODY SMITHSON 1970;QC;SYN0001;;\nSmithson;QC;SYN0002;;\n"
)]
#[case::unlisted(
    "vigilant",
    "Plate,State,Alert\nSYN0001,CA,Smithson\nSYN0002,CA,NOBODY SMITHSON\n"
)]
#[case::state("vigilant", "Plate,State,Alert\nSYN0001,Smithson,BOLO\n")]
#[case::date("vigilant", "Plate,State,Alert,Date\nSYN0001,CA,BOLO,NOBODY 1970\n")]
#[case::priority("outrider-csv", "Plate,Priority,Covert\nSYN0001,Smithson,x\nSYN0001,,Smithson\n")]
#[case::quote("outrider-csv", "Plate,Reason\nSYN0001,\"NOBODY SMITHSON\nSYN0002,\"a\" Smithson\n")]
#[case::cells("outrider-csv", "Plate,Reason\nSYN0001,x,NOBODY SMITHSON\n")]
#[case::fixed("ncic-fixed", "SMITHSON,NOBODY 1970-01-01 12 STREET ANYTOWN SYN0001\n")]
#[case::tagged("illinois-leads", "NAM/SMITHSON, NOBODY DOB/19700101\nNAM/SMITHSON\n")]
#[case::json(
    "predator-json",
    "{\"SYN0001\": {\"name\": \"Smithson 1970\"}, \"SYN0002\": Smithson}"
)]
#[case::json_key("predator-json", "{\"SMITHSON, NOBODY 1970\": {}, \"Smithson\": 1970}")]
#[case::plain("plain", "NOBODY/SMITHSON 1970\nSYN0001\n")]
fn nothing_that_a_row_says_is_told(#[case] mapping: &str, #[case] text: &str) {
    let mapping = Mapping::find(mapping).unwrap();
    let mut quarantine = Vec::new();
    let (zone, defaults, mut reader) = (zone(), Defaults::default(), text.as_bytes());
    let importing = Importing {
        mapping: &mapping,
        defaults: &defaults,
        zone: &zone,
        quarantine: &mut quarantine,
    };
    let said = match import(&mut reader, importing) {
        Ok((_, report)) => {
            let judged =
                report.judge(10, 50, false).map_or_else(|e| e.to_string(), |()| String::new());
            format!("{report}{judged}{}", serde_json::to_string(&report).unwrap())
        }
        Err(e) => format!("{e} {e:?}"),
    };
    let said = format!("{said}{}", String::from_utf8(quarantine).unwrap()).to_lowercase();
    for content in ["smithson", "nobody", "1970", "syn000", "anytown"] {
        assert!(!said.contains(content), "{content}: {said}");
    }
}

#[test]
fn list_in_the_place_of_a_mapping_is_not_repeated() {
    for text in [
        "Plate,Name\nSYN0001,Nobody Smithson\n",
        "SYN0001 = Smithson\n",
        "kind = \"Smithson\"\n",
        "quotes = \"Smithson\"\n",
    ] {
        let e = Mapping::parse("feed.csv", text).unwrap_err();
        assert!(!format!("{e} {e:?}").contains("Smithson"), "{e}");
    }
}

#[test]
fn delimiters_that_a_source_may_use_are_found() {
    let mapping = Mapping::find("genetec").unwrap();
    for d in [';', ',', '\t'] {
        let text = "Stolen;QC;SYN0001;2026-01-31;2027-05-31\nStolen;QC;SYN0002;;\n"
            .replace(';', &d.to_string());
        let read = run(text.as_bytes(), &mapping, &Defaults::default()).unwrap();
        assert_eq!((read.entries.len(), read.report.quarantined), (2, 0));
        assert_eq!(read.report.categories, [("stolen_vehicle".to_owned(), 2)].into());
    }
}

#[test]
fn report_that_is_no_success_is_judged_so() {
    let report =
        |rows, entries, quarantined| Report { rows, entries, quarantined, ..Report::default() };
    assert!(matches!(
        report(18, 8, 10).judge(10, 50, false),
        Err(Refused::Bad { percent: 56, .. })
    ));
    assert_eq!(report(18, 8, 10).judge(60, 50, false), Ok(()));
    assert_eq!(report(18, 17, 1).judge(0, 50, false), Ok(()), "a single row decides nothing");
    assert_eq!(report(1_000, 990, 10).judge(10, 50, false), Ok(()));
    assert!(matches!(report(18, 0, 0).judge(100, 100, true), Err(Refused::Empty { .. })));
    assert!(matches!(report(0, 0, 0).judge(100, 100, false), Err(Refused::Empty { .. })));
    assert_eq!(report(0, 0, 0).judge(10, 50, true), Ok(()));
    let mut moved = report(10, 2, 0);
    moved.unlisted = [("A".to_owned(), 8)].into();
    assert!(matches!(moved.judge(10, 50, false), Err(Refused::Unlisted { .. })));
}

#[test]
fn country_and_state_columns_say_what_their_codes_are() {
    let mapping = Mapping::find("outrider-csv").unwrap();
    let of = |column: &str| {
        let text = format!("Plate,{column}\nWÜ-AB 12,DE\n");
        run(text.as_bytes(), &mapping, &Defaults::default()).unwrap().entries[0]
            .jurisdiction
            .to_string()
    };
    assert_eq!([of("Jurisdiction"), of("Country"), of("State")], ["DE", "DE", "US-DE"]);
}

#[test]
fn zero_for_o_and_ncics_own_codes() {
    for (name, file) in
        [("ncic-csv", "synthetic-ncic-csv.csv"), ("ncic-fixed", "synthetic-ncic-fixed.txt")]
    {
        let mapping = Mapping::find(name).unwrap();
        let row = String::from_utf8(sample(file)).unwrap();
        let row = row.lines().find(|l| l.contains("SYN0001")).unwrap().trim_end().to_owned();
        let (state, at) = if name == "ncic-csv" { (",TX,", 1) } else { ("   CA", 3) };
        for (code, issuer) in [
            ("0H", "US-OH"),
            ("C0", "US-CO"),
            ("M0", "US-MO"),
            ("0N", "CA-ON"),
            ("NB", "US-NE"),
            ("NK", "CA-NB"),
        ] {
            let mut other = state.to_owned();
            other.replace_range(at..at + 2, code);
            let read =
                run(row.replace(state, &other).as_bytes(), &mapping, &Defaults::default()).unwrap();
            assert_eq!(read.entries[0].jurisdiction.as_str(), issuer, "{name}");
        }
    }
}

#[test]
fn leads_as_agencies_get_it() {
    let read = read("illinois-leads", "synthetic-leads.txt");
    let lines: Vec<_> = read.entries.iter().map(line).collect();
    assert_eq!(
        lines,
        [
            "SYN0001 US-WI stolen_vehicle High [2005 RED DODG MAG car] V26A0001 IL LEADS 2026-11-02T06:00:00Z -  !",
            "SYN0002 US-IL wanted_person High [car] W26A0002 IL LEADS - -  !",
            "SYN0003 US-OH stolen_plate High [2019 BLK YAMA motorcycle] P900000003 IL LEADS 2026-11-03T06:00:00Z -  !",
        ]
    );
}

#[test]
fn two_digits_of_a_year_are_this_century() {
    let mapping = Mapping::find("vigilant").unwrap();
    let text = b"Plate,State,Alert,Expiration\nSYN0001,CA,Stolen Vehicle,12/31/26\nSYN0002,CA,BOLO,12/31/0026\n";
    let read = run(text, &mapping, &Defaults::default()).unwrap();
    assert_eq!(read.entries[0].expires, Some("2027-01-01T05:00:00Z".parse().unwrap()));
    assert!(
        read.quarantine.starts_with("3\texpires of the form \"99/99/9999\" is not a date"),
        "{}",
        read.quarantine
    );
}

#[test]
fn mapping_declares_one_order_of_dates() {
    let text =
        Mapping::text("vigilant").unwrap().replace("\"%m/%d/%Y\",", "\"%m/%d/%Y\", \"%d/%m/%Y\",");
    let e = Mapping::parse("mine", &text).unwrap_err().to_string();
    assert!(e.contains("dates: declare one order"), "{e}");
}

#[test]
fn wrong_encoding_is_said_not_guessed() {
    let mapping = Mapping::find("plain").unwrap();
    let read = run(b"ABC123\nAB\xff12\n", &mapping, &Defaults::default()).unwrap();
    assert_eq!(read.quarantine, "2\tis not text in the mapping's encoding\n");
}

#[test]
fn open_quote_costs_its_own_row_and_no_other() {
    let mapping = Mapping::find("openalpr-csv").unwrap();
    let mut csv =
        "Plate Number,Description,State/Province\nAAA111,\"never closed,us-mo\n".to_owned();
    for n in 0..30 {
        csv += &format!("BBB{n:03},fine,us-mo\n");
    }
    let read = run(csv.as_bytes(), &mapping, &Defaults::default()).unwrap();
    assert_eq!(read.entries.len(), 30);
    assert_eq!(read.quarantine, "2\topens a quote that no cell of this row closes\n");
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
