use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::hotlist::{Freshness, Matching};

fn config() -> HotlistConfig {
    toml::from_str("name = \"stolen\"\npath = \"stolen.csv\"\ncategory = \"stolen_vehicle\"")
        .unwrap()
}

fn read(text: &str) -> Result<(Hotlist, Vec<SkippedRow>), HotlistError> {
    parse(text.as_bytes(), &config(), noon(), &TimeZone::get("America/Toronto").unwrap())
}

fn noon() -> Timestamp {
    "2026-11-23T12:00:00Z".parse().unwrap()
}

fn look_up(list: &Hotlist, plate: &str) -> Vec<Entry> {
    list.look_up(Plate::parse(plate).unwrap().key(), noon()).collect()
}

#[test]
fn plain_list_with_comments() {
    let (list, skipped) =
        read("# stolen this week\r\n\r\nCKSV 841\r\nbmnt-220  # blue van\r\n").unwrap();
    assert_eq!((list.len(), skipped.len()), (2, 0));
    let found = look_up(&list, "BMNT220");
    assert_eq!(&*found[0].category, "stolen_vehicle");
    assert!(found[0].jurisdiction.is_unknown());
    assert_eq!(list.matching(), Matching::Exact);
}

#[test]
fn csv_with_every_column() {
    let (list, skipped) = read(
        "\u{feff}Plate Number,Jurisdiction,Category,Priority,Reason,Source,Case Number,Year,Color,Make,Owner Name\n\
         cksv-841,CA-ON,stolen_plate,high,\"taken, 3 Nov\",Peel,26-1234,2019,grey,Honda,A. Person\n",
    )
    .unwrap();
    assert_eq!(skipped, []);
    let [entry] = &look_up(&list, "CKSV841")[..] else { panic!() };
    assert_eq!(entry.plate.expose(), "CKSV841");
    assert_eq!(entry.jurisdiction.as_str(), "CA-ON");
    assert_eq!((&*entry.category, entry.priority), ("stolen_plate", Priority::High));
    assert_eq!(entry.reason, "taken, 3 Nov");
    assert_eq!((entry.source.as_str(), entry.case.as_str()), ("Peel", "26-1234"));
    assert_eq!(entry.vehicle.to_string(), "2019 grey Honda");
    assert!(!format!("{entry:?}").contains("Person"), "person columns are dropped");
}

#[rstest]
#[case::openalpr("Plate Number,Description,State/Province\nABC123,stolen,us-mo\n", "US-MO")]
#[case::bare_state("plate;state;reason\nABC123;ca;stolen\n", "US-CA")]
#[case::bare_province("plate\tprovince\nABC123\tON\n", "CA-ON")]
#[case::country("plate,jurisdiction\nABC123,ca\n", "CA")]
#[case::not_stated("plate,state\nABC123,\n", "unknown")]
fn jurisdictions_as_lists_write_them(#[case] text: &str, #[case] expected: &str) {
    let (list, skipped) = read(text).unwrap();
    assert_eq!(skipped, []);
    assert_eq!(look_up(&list, "ABC123")[0].jurisdiction.as_str(), expected);
}

#[test]
fn bad_rows_are_reported_by_line_and_good_ones_serve() {
    let (list, skipped) = read(
        "plate,state,priority,expires\n\
         ABC123,NY,,\n\
         AB*123,NY,,\n\
         # a comment\n\
         ABC124,Ontario,,\n\
         ,NY,,\n\
         ABC125,NY,urgent,\n\
         ABC126,NY,,next week\n\
         ABCDEFGHIJKLM,NY,,\n\
         ABC127,NY,low,2026-12-01\n",
    )
    .unwrap();
    assert_eq!(list.len(), 2);
    let said: Vec<_> =
        skipped.iter().map(|row| format!("line {}: {}", row.line, row.why)).collect();
    assert_eq!(
        said,
        [
            "line 3: plate has the character '*', which is neither a letter A-Z nor a digit",
            "line 5: state \"Ontario\" is no US state or Canadian province; write it as US-NY or CA-ON",
            "line 6: plate is empty",
            "line 7: priority \"urgent\" is none of low, medium, high",
            "line 8: expires \"next week\" is no date such as 2026-11-23 or 2026-11-23T07:00:00Z",
            "line 9: plate has 13 characters, the most is 12",
        ]
    );
}

#[test]
fn same_characters_from_elsewhere_are_another_plate() {
    let (list, skipped) = read("plate,state\nABC123,NY\nABC123,ON\nABC123,\nABC123,NY\n").unwrap();
    assert_eq!(skipped, [SkippedRow { line: 5, why: RowError::Repeats { of: 2 } }]);
    let from: Vec<_> =
        look_up(&list, "ABC123").iter().map(|e| e.jurisdiction.to_string()).collect();
    assert_eq!(from, ["unknown", "CA-ON", "US-NY"]);
}

#[test]
fn of_two_lines_for_one_plate_the_urgent_one_serves() {
    let (list, skipped) =
        read("plate,state,priority,reason\nABC123,NY,low,expired\nABC123,NY,high,armed\n").unwrap();
    assert_eq!(skipped, [SkippedRow { line: 2, why: RowError::Repeats { of: 3 } }]);
    assert_eq!(look_up(&list, "ABC123")[0].reason, "armed");
}

#[test]
fn zero_written_for_o_meets_and_both_texts_are_kept() {
    let (list, _) = read("AB0123\nABO123\n").unwrap();
    let texts: Vec<_> =
        look_up(&list, "ABQI23").iter().map(|e| e.plate.expose().to_owned()).collect();
    assert_eq!(texts, ["AB0123", "ABO123"]);
}

#[rstest]
#[case::not_yet("2026-11-24", "", 0)]
#[case::today("2026-11-23", "2026-11-23", 1)]
#[case::over("", "2026-11-22", 0)]
#[case::over_since_an_hour("", "2026-11-23T11:00:00Z", 0)]
#[case::still_for_an_hour("", "2026-11-23T13:00:00Z", 1)]
#[case::local_time("", "2026-11-23 08:00", 1)]
fn entries_are_in_force_between_their_dates(
    #[case] effective: &str,
    #[case] expires: &str,
    #[case] found: usize,
) {
    let (list, skipped) =
        read(&format!("plate,effective date,expires\nABC123,{effective},{expires}\n")).unwrap();
    assert_eq!(skipped, []);
    assert_eq!(look_up(&list, "ABC123").len(), found);
}

#[rstest]
#[case::no_plate_column(
    "name,state\nA. Person,NY\n",
    "hotlist stolen.csv: no plate column among its columns (name, state)"
)]
#[case::some_other_file(
    "<html>\n<body>\n",
    "hotlist stolen.csv: none of its 2 rows is usable; the first, line 1: plate has the character '<', which is neither a letter A-Z nor a digit"
)]
fn file_that_is_no_list_is_refused(#[case] text: &str, #[case] message: &str) {
    assert_eq!(read(text).unwrap_err().to_string(), message);
}

#[test]
fn list_with_a_header_and_no_row_is_an_empty_list() {
    assert!(read("plate,state\n").unwrap().0.is_empty());
    assert!(read("# nobody at the moment\n").unwrap().0.is_empty());
}

#[test]
fn age_of_the_source_is_told() {
    let (list, _) = read("ABC123\n").unwrap();
    let after = |hours: i64| list.freshness(noon() + hours.hours());
    assert_eq!(after(23), Freshness::Fresh);
    assert_eq!(after(25), Freshness::Amber);
    assert_eq!(after(49), Freshness::Red);
    // A clock that stands before the list was written cannot tell its age.
    assert_eq!(after(-5), Freshness::Fresh);
    assert_eq!(list.stamp().version.len(), 64);
}

proptest! {
    /// Whatever a file holds, reading it ends, and what serves and what does not add up.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes, &config(), noon(), &TimeZone::UTC);
    }

    /// Distance 0 equals set look-up, jurisdictions aside.
    #[test]
    fn look_up_equals_a_set(
        listed in prop::collection::hash_set("[A-D0-1O]{2,4}", 1..60),
        asked in prop::collection::vec("[A-D0-1O]{2,4}", 60),
    ) {
        let text: String = listed.iter().map(|p| format!("{p}\n")).collect();
        let (list, skipped) = read(&text).unwrap();
        prop_assert!(skipped.is_empty());
        prop_assert_eq!(list.len(), listed.len());
        let fold = |text: &str| text.replace('O', "0");
        for plate in asked {
            let expected = listed.iter().filter(|l| fold(l) == fold(&plate)).count();
            prop_assert_eq!(look_up(&list, &plate).len(), expected);
        }
    }
}
