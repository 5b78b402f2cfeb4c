//! A mapping's own text, and a file read by it: the two are divided by the first zero byte.
#![no_main]

use jiff::tz::TimeZone;
use libfuzzer_sys::fuzz_target;
use outrider::authoring::import::{Defaults, Importing, Mapping, import};

fuzz_target!(|bytes: &[u8]| {
    let at = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let (mapping, mut file) = bytes.split_at(at);
    let Ok(text) = std::str::from_utf8(mapping) else { return };
    let Ok(mapping) = Mapping::parse("fuzz", text) else { return };
    let (defaults, zone) = (Defaults::default(), TimeZone::UTC);
    let mut quarantine = std::io::sink();
    let importing =
        Importing { mapping: &mapping, defaults: &defaults, zone: &zone, quarantine: &mut quarantine };
    let _ = import(&mut file, importing);
});
