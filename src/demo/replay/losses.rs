//! Lists what a replay leaves out: a replay of which half was never read must
//! not look like one of a quiet road.

use std::path::Path;
use std::time::Duration;

use super::ReplayError;
use crate::gps::{Report, nmea};
use crate::health::{PartState, Snapshot};
use crate::hotlist::{RowError, SkippedRow};
use crate::onboard::capture::{CaptureError, FrameSource};
use crate::onboard::frame::Frame;

/// Lines that name one damaged frame each, at most; the count says how many more there are.
const MOST_NAMED: usize = 8;

/// The reports of a track; also returns what was not understood in it.
pub(super) fn track_of(
    file: &Path,
    left_out: &mut Vec<String>,
    remarks: &mut Vec<String>,
) -> Result<Vec<(Duration, Report)>, ReplayError> {
    let bytes = std::fs::read(file)
        .map_err(|source| ReplayError::Unreadable { path: file.to_owned(), source })?;
    let track = nmea::Track::of(&bytes);
    if let Some(trouble) = track.trouble() {
        let told = format!("track {}: {trouble}", file.display());
        match track.reports.is_empty() {
            true => left_out.push(told),
            false => remarks.push(told),
        }
    }
    Ok(track.reports)
}

/// Lists the rows of a list that are left out. A row that repeats another is no loss.
pub(super) fn rows_left_out(
    file: &Path,
    serve: usize,
    skipped: &[SkippedRow],
    left_out: &mut Vec<String>,
    remarks: &mut Vec<String>,
) {
    let (repeated, bad): (Vec<_>, Vec<_>) =
        skipped.iter().partition(|row| matches!(row.why, RowError::Repeats { .. }));
    let file = file.display();
    for row in bad.iter().take(MOST_NAMED) {
        left_out.push(format!("list {file}: line {} does not serve: {}", row.line, row.why));
    }
    if !bad.is_empty() {
        left_out.push(format!("list {file}: {} rows skipped, {serve} serve", bad.len()));
    }
    if serve == 0 && bad.is_empty() {
        remarks.push(format!("list {file}: no entry in it, so no hit can come of it"));
    }
    if !repeated.is_empty() {
        remarks.push(format!("list {file}: {} rows repeat another", repeated.len()));
    }
}

/// What went wrong with the pictures while they were played.
#[derive(Default)]
pub(super) struct Flaws {
    /// Number of broken frames, and what is wrong with the first few.
    broken: u64,
    named: Vec<String>,
    /// Why a camera's pictures stopped early.
    early: Vec<String>,
}

impl Flaws {
    pub(super) fn broken(&mut self, why: &str) {
        self.broken += 1;
        if self.named.len() < MOST_NAMED {
            self.named.push(why.to_owned());
        }
    }

    pub(super) fn ended(&mut self, why: String) {
        self.early.push(why);
    }

    pub(super) fn report(
        self,
        health: &Snapshot,
        left_out: &mut Vec<String>,
        remarks: &mut Vec<String>,
    ) {
        left_out.extend(self.named.into_iter().map(|why| format!("not read: {why}")));
        left_out.extend(self.early.into_iter().map(|why| format!("ended early: {why}")));
        for (id, counts) in &health.cameras {
            let (bad, came) = (counts.frames_bad, counts.looked + counts.frames_bad);
            if bad > 0 {
                left_out.push(format!("{id}: {bad} of {came} frames are damaged and not read"));
            }
            if counts.frames_skipped > 0 {
                left_out.push(format!("{id}: {} frames not looked at", counts.frames_skipped));
            }
            if counts.frames_lost > 0 {
                let lost = counts.frames_lost;
                remarks.push(format!("{id}: {lost} frames were lost when it was recorded"));
            }
        }
        for (part, state) in &health.parts {
            let thread =
                part == "matcher" || part.starts_with("reading/") || part.starts_with("capture/");
            if let (true, PartState::Down(why)) = (thread, state) {
                left_out.push(format!("ended early: {part}: {why}"));
            }
        }
    }
}

/// A source that has ended.
pub(super) struct Over;

impl FrameSource for Over {
    fn next_frame(&mut self, _: Duration) -> Result<Option<Frame>, CaptureError> {
        Ok(None)
    }
}
