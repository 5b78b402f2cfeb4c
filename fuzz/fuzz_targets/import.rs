//! A source's file: the first byte chooses the mapping.
#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use outrider::authoring::import::{Defaults, Importing, Mapping, import, names};

fuzz_target!(|bytes: &[u8]| {
    let Some((which, mut file)) = bytes.split_first() else { return };
    let names = names();
    let mapping = Mapping::find(names[usize::from(*which) % names.len()]).expect("built in");
    let (defaults, zone) = (Defaults { patterns: which & 0x80 != 0, ..Defaults::default() }, TimeZone::UTC);
    let mut quarantine = Vec::new();
    let importing =
        Importing { mapping: &mapping, defaults: &defaults, zone: &zone, quarantine: &mut quarantine };
    if let Ok((gathered, report)) = import(&mut file, importing) {
        let all = report.entries
            + report.quarantined
            + report.repeats
            + report.junk
            + report.dropped_rows();
        assert_eq!(all, report.rows, "every row is accounted for");
        let keys: Vec<_> = gathered.records().map(|record| record.key()).collect();
        assert!(keys.is_sorted_by(|a, b| a < b));
    }
});
