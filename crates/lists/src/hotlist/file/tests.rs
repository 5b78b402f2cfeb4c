use jiff::ToSpan as _;
use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::entry::{Matching, Priority};
use crate::hotlist::{Entry, Freshness};
use crate::plate::Plate;

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
         ABCDEFGHIJK12,NY,,\n\
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
            "line 5: jurisdiction of the form \"AAAAAAA\" is neither ISO 3166 nor a state or province",
            "line 6: plate is empty",
            "line 7: priority of the form \"AAAAAA\" is none of low, medium, high",
            "line 8: expires of the form \"AAAA AAAA\" is not a date in the mapping's forms within 1950 to 2100",
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

/// The same list as a spreadsheet, a Mac, a report or a foreign keyboard writes it.
#[rstest]
#[case::cr_alone(b"plate,state,expires\rABC123,NY,2026-12-31\rABC124,ON,\r", 2)]
#[case::mixed_ends(b"plate,state,expires\rABC123,NY,2026-12-31\r\nABC124,ON,\nABC125,ON,", 3)]
#[case::sep(b"sep=;\r\nplate;state;expires\r\nABC123;NY;2026-12-31\r\nABC124;ON;\r\n", 2)]
#[case::sep_in_quotes(b"\"sep=,\"\nplate,state,expires\nABC123,NY,2026-12-31\n", 1)]
#[case::bars(b"plate|state|expires\nABC123|NY|2026-12-31\n", 1)]
#[case::guards(
    b"plate,state,expires\n=\"ABC123\",NY,=\"2026-12-31\"\n\"=\"\"ABC124\"\"\",NY,\n'ABC125,NY,\n",
    3
)]
#[case::unseen("plate,state,expires\nABC\u{a0}123,\u{a0}NY,2026-12-31\u{200b}\n\u{200b}ABC124,NY,\n".as_bytes(), 2)]
#[case::cyrillic("plate,state,expires\nАВС123,NY,2026-12-31\n".as_bytes(), 1)]
#[case::wide("plate,state,expires\nＡＢＣ１２３,NY,2026-12-31\n".as_bytes(), 1)]
#[case::windows_1252(
    b"plate,state,expires,reason\nABC123,NY,2026-12-31,caf\xe9\nW\xdc124,NY,,\n",
    2
)]
#[case::footers(b"LPR EXTRACT\nTotal records: 1\n", 0)]
#[case::footer(
    b"plate,state,expires\nABC123,NY,2026-12-31\nTOTAL RECORDS,1,\n(1 rows affected)\n-----\n",
    1
)]
#[case::header_again(
    b"plate,state,expires\nABC123,NY,2026-12-31\nPlate,State,Expires\nABC124,NY,\n",
    2
)]
#[case::titles(b"Stolen vehicles\nas of this week; ask the desk\n\nplate,state,expires\nABC123,NY,2026-12-31\n", 1)]
#[case::empty_columns(
    b"plate,state,expires,,,,,\nABC123,NY,2026-12-31\nABC124,NY,,,,,,\n,,,,,,,\n,,\n",
    2
)]
fn lists_as_they_come(#[case] bytes: &[u8], #[case] entries: usize) {
    let zone = TimeZone::get("America/Toronto").unwrap();
    let read = parse(bytes, &config(), noon(), &zone);
    if entries == 0 {
        assert!(read.is_err());
        return;
    }
    let (list, skipped) = read.unwrap();
    assert_eq!((list.len(), &skipped[..]), (entries, &[][..]));
    let [entry] = &look_up(&list, "ABC123")[..] else { panic!("ABC123 is listed") };
    assert_eq!(entry.jurisdiction.as_str(), "US-NY");
    assert_eq!(entry.expires, Some("2027-01-01T05:00:00Z".parse().unwrap()));
}

#[test]
fn utf_16_and_archives_are_lists_too() {
    use std::io::Write as _;
    let text = "plate,state\r\nABC123,NY\r\nABC124,ON\r\n";
    for mark in ["\u{feff}", ""] {
        let bytes: Vec<u8> =
            format!("{mark}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
        assert_eq!(parse(&bytes, &config(), noon(), &TimeZone::UTC).unwrap().0.len(), 2);
    }
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(text.as_bytes()).unwrap();
    let bytes = gz.finish().unwrap();
    assert_eq!(parse(&bytes, &config(), noon(), &TimeZone::UTC).unwrap().0.len(), 2);
    let e = parse(b"%PDF-1.7 ...", &config(), noon(), &TimeZone::UTC).err().unwrap().to_string();
    assert_eq!(
        e,
        "hotlist stolen.csv is a PDF document, and no list: ask its source for the list as CSV"
    );
}

#[test]
fn open_quote_costs_its_own_row_and_no_other() {
    let mut rows = "plate,state,reason\nABC000,NY,\"never closed\n".to_owned();
    rows.extend((1..1_000).map(|n| format!("ABC{n:03},NY,x\n")));
    let (list, skipped) = read(&rows).unwrap();
    assert_eq!((list.len(), skipped.len()), (999, 1));
    assert_eq!(skipped[0].to_string(), "line 2: opens a quote that no cell of this row closes");
    // The quote of a later row closes it, and the lines between are rows.
    let (list, skipped) = read(
        "plate,state,reason\nABC001,NY,\"5' 10\"\" tall\nABC002,NY,x\nABC003,NY,\"ok\"\nABC004,NY,x\n",
    )
    .unwrap();
    assert_eq!((list.len(), skipped.len(), skipped[0].line), (3, 1, 2));
    // Two stray quotes do not make one cell of the rows between them.
    let (list, skipped) =
        read("plate,state,reason\nABC001,NY,\"12\nABC002,NY,x\nABC003,NY,12\"\nABC004,NY,x\n")
            .unwrap();
    assert_eq!((list.len(), skipped.len()), (3, 1));
    // A cell of two lines is one cell.
    let (list, skipped) =
        read("plate,state,reason\nABC001,NY,\"two\nlines\"\nABC002,NY,x\n").unwrap();
    assert_eq!((list.len(), skipped.len()), (2, 0));
    assert_eq!(look_up(&list, "ABC001")[0].reason, "two lines");
}

#[rstest]
#[case::delimiter_in_a_text(
    "plate,reason,expires\nABC123,taken, 3 Nov,2026-12-31\n",
    "has 4 cells, the header names 3"
)]
#[case::torn("plate,state,reason,expires\nABC123\n", "has 1 cells, the header names 4")]
#[case::text_after_a_quote("plate,reason\n\"ABC\"123,x\n", "has text between a closing quote")]
#[case::spreadsheet_number("plate,reason\n12345.0,x\n", "is a number as a spreadsheet rewrites it")]
#[case::exponent("plate,reason\n1.2E+05,x\n", "is a number as a spreadsheet rewrites it")]
#[case::misread("plate,reason\nHBXÂ\u{a0}101,x\n", "is not text in the mapping's encoding")]
#[case::year_26("plate,expires\nABC123,0026-12-31\n", "is not a date in the mapping's forms")]
#[case::undeclared_order(
    "plate,expires\nABC123,12/31/2026\n",
    "is not a date in the mapping's forms"
)]
#[case::no_state("plate,state\nABC123,ZZ\n", "is neither ISO 3166 nor a state or province")]
#[case::footer_in_a_column(
    "plate,state\nTotal records: 12,NY\n",
    "has a column's name, or a word of a footer"
)]
fn row_that_would_lie_is_told(#[case] text: &str, #[case] why: &str) {
    let (list, skipped) = read(&format!("{text}XYZ999,,\n")).unwrap();
    assert_eq!((list.len(), skipped.len()), (1, 1), "{text}");
    assert!(skipped[0].to_string().contains(why), "{}", skipped[0]);
    assert!(!skipped[0].to_string().contains("ABC123"));
}

#[test]
fn declared_order_reads_dates_of_that_order() {
    let mut config = config();
    config.date_order = Some(DateOrder::Mdy);
    let text = b"plate,Valid Until\nABC123,12/31/26\nABC124,11/22/2026\n";
    let (list, skipped) = parse(text, &config, noon(), &TimeZone::UTC).unwrap();
    assert_eq!((list.len(), skipped.len()), (2, 0));
    assert_eq!((look_up(&list, "ABC123").len(), look_up(&list, "ABC124").len()), (1, 0));
}

#[test]
fn columns_that_end_entries_are_read_by_their_usual_names_or_told() {
    for name in
        ["Expiration", "End Date", "Valid Until", "valid_to", "EXPIRES", "Exp. Date", "Until"]
    {
        let (list, skipped) = read(&format!("plate,{name}\nABC123,2020-01-31\n")).unwrap();
        assert_eq!(skipped, []);
        assert!(look_up(&list, "ABC123").is_empty(), "{name}");
    }
    let zone = TimeZone::UTC;
    for name in ["Cancelled On", "Status", "Date recovered", "Active"] {
        let text = format!("plate,{name},Owner Name,Shade\nABC123,x,y,z\n");
        let loaded = super::read(text.as_bytes(), &config(), noon(), &zone).unwrap();
        assert_eq!(loaded.limiting_columns, [name]);
        assert_eq!(loaded.unused_columns, ["Owner Name", "Shade"]);
        assert!(loaded.trouble().unwrap().contains(name));
    }
}

#[test]
fn issuing_state_is_read() {
    let (list, _) =
        read("plate,Issuing State,Country\nABC123,NY,US\nABC124,,DE\nABC125,0H,\n").unwrap();
    let of = |plate| look_up(&list, plate)[0].jurisdiction.to_string();
    assert_eq!([of("ABC123"), of("ABC124"), of("ABC125")], ["US-NY", "DE", "US-OH"]);
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
    // A clock that stands before the list was written cannot determine its age.
    assert_eq!(after(-5), Freshness::Fresh);
    assert_eq!(list.stamp().version.len(), 64);
}

proptest! {
    /// Whatever a file holds, reading it ends, and used and unused rows add up.
    #[test]
    fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&bytes, &config(), noon(), &TimeZone::UTC);
    }

    /// Distance 0 equals set look-up, jurisdictions aside.
    #[test]
    fn look_up_equals_a_set(
        listed in prop::collection::hash_set("[A-D][0-1O]{1,3}", 1..60),
        asked in prop::collection::vec("[A-D][0-1O]{1,3}", 60),
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

#[test]
fn texts_of_a_list_are_one_line_and_turn_nothing_around() {
    let long = "x".repeat(3_000);
    let (list, skipped) = read(&format!(
        "plate,reason,source,case\nCKSV841,\"armed\u{202e}\nNOT \u{200b}A LINE\u{1b}[2J\",{long},a\u{7}b\n"
    ))
    .unwrap();
    assert_eq!((list.len(), skipped.len()), (1, 0), "a listed car is not left out for its text");
    let found = &look_up(&list, "CKSV841")[0];
    for text in [&found.reason, &found.source, &found.case] {
        let bad = ['\n', '\u{202e}', '\u{200b}', '\u{1b}', '\u{7}'];
        assert!(!text.contains(bad) && text.chars().count() <= 201, "{text:?}");
    }
    assert!(found.reason.starts_with("armed") && found.reason.contains("NOT"));
}
