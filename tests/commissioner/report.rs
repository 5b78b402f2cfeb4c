//! What was searched, what was found, and what decides.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use comfy_table::{Table, presets};

use crate::boxed::Boxed;
use crate::common::forensic;
use crate::common::search::{Places, Search};
use crate::planted::{HITS, Needles, STRANGERS, VEHICLES};

/// What is printed, and what decides.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) rows: Vec<[String; 6]>,
    pub(crate) broken: Vec<String>,
}

#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Expect {
    /// Nothing may be found.
    None,
    /// A control: all of them have to be found.
    All(usize),
}

impl Report {
    pub(crate) fn look(
        &mut self,
        mode: &str,
        moment: &str,
        place: &str,
        places: &Places,
        search: &Search,
        expect: Expect,
    ) {
        let bytes: usize = places.values().map(Vec::len).sum();
        let found = search.look_all(places);
        let what: BTreeSet<usize> = found.values().flatten().map(|f| f.what).collect();
        let (verdict, well) = match expect {
            Expect::None => (if what.is_empty() { "none" } else { "FOUND" }, what.is_empty()),
            Expect::All(n) => {
                (if what.len() >= n { "control: found" } else { "CONTROL FAILS" }, what.len() >= n)
            }
        };
        if !well {
            let first = found.iter().next().map(|(place, finds)| format!("{finds:?} in {place}"));
            self.broken.push(format!("{mode}, {moment}, {place}: {verdict} {first:?}"));
        }
        self.row(mode, moment, &format!("{place} ({})", places.len()), bytes, what.len(), verdict);
    }

    pub(crate) fn row(
        &mut self,
        mode: &str,
        moment: &str,
        place: &str,
        bytes: usize,
        found: usize,
        verdict: &str,
    ) {
        let kb = format!("{}", bytes.div_ceil(1_000));
        self.rows.push([
            mode.into(),
            moment.into(),
            place.into(),
            kb,
            found.to_string(),
            verdict.into(),
        ]);
    }

    pub(crate) fn claim(&mut self, mode: &str, moment: &str, claim: &str, holds: bool) {
        if !holds {
            self.broken.push(format!("{mode}, {moment}: not so: {claim}"));
        }
        let verdict = if holds { "yes" } else { "NO" };
        self.rows.push([
            mode.into(),
            moment.into(),
            claim.into(),
            String::new(),
            String::new(),
            verdict.into(),
        ]);
    }

    /// Opens every database with every key and searches what comes out.
    pub(crate) fn open(
        &mut self,
        mode: &str,
        moment: &str,
        state: &Path,
        search: &Search,
        expect: Expect,
    ) -> forensic::Opened {
        let opened = forensic::open_all(state);
        let place = format!(
            "{} databases opened with {} keys, {} stay shut: rows, free pages, journals",
            opened.databases, opened.keys, opened.shut
        );
        self.look(mode, moment, &place, &opened.places, search, expect);
        opened
    }

    /// Files, talk, databases: nothing of strangers, and hits where hits belong.
    pub(crate) fn all_quiet(&mut self, mode: &str, moment: &str, car: &Boxed, needles: &Needles) {
        self.look(
            mode,
            moment,
            "files it could write",
            &car.files(),
            &needles.strangers,
            Expect::None,
        );
        for (place, places) in car.told() {
            self.look(mode, moment, place, &places, &needles.strangers, Expect::None);
        }
        self.open(mode, moment, &car.state(), &needles.strangers, Expect::None);
    }
}

pub(crate) fn print(report: &Report, needles: &Needles, took: Duration) {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    table.set_header([
        "non_hit",
        "when",
        "what was searched (files or texts)",
        "kB",
        "found",
        "verdict",
    ]);
    for row in &report.rows {
        table.add_row(row);
    }
    println!("\nThe commissioner's test\n");
    println!(
        "{VEHICLES} vehicles passed in each mode, {HITS} of them on the list. Looked for: the plates of the\n\
         other {STRANGERS} in clear, reversed, UTF-16, base64 and hexadecimal, and the pictures of\n\
         theirs by their own bytes: {} needles in all.\n",
        needles.strangers.needles()
    );
    println!("{table}\n");
    match report.broken.len() {
        0 => println!(
            "VERDICT: nothing found that should be gone, every control found. {:.0} s.",
            took.as_secs_f32()
        ),
        n => println!("VERDICT: {n} PROMISES BROKEN"),
    }
}
