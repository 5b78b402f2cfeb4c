//! What the measurements on rendered drives have in common: what a pass's reads are worth, the frames, and intervals.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use outrider::clock::FrameTime;
use outrider::cmd::eval::wilson;
use outrider::demo::scenario::{DriveScenario, Side, Visit};
use outrider::onboard::frame::{Frame, Pixels};
use outrider::onboard::testing::VotedRead;

/// How far outside the visible time a read may be stamped, as in the daemon's own score.
const SLACK: Duration = Duration::from_millis(70);

/// What came of one pass.
#[derive(Default, Clone, Copy)]
pub(super) struct Outcome {
    /// Whether its plate was read rightly.
    pub(super) read: bool,
    /// Whether a text was read that nobody carries.
    pub(super) misread: bool,
}

/// What the vote's reads say of one vehicle's pass. A read that no vehicle carries counts as a misread of each one that
/// could be seen at its time.
pub(super) fn judge(plan: &DriveScenario, visit: &Visit, reads: &[VotedRead]) -> Outcome {
    let truth = plan.encounters[visit.vehicle].plate.key();
    let (from, to) = (plan.frame_time(visit.visible.0), plan.frame_time(visit.visible.1));
    let during = |r: &&VotedRead| r.seen + SLACK >= from && r.seen <= to + SLACK;
    let carried = |r: &VotedRead| plan.encounters.iter().any(|e| e.plate.key() == r.plate.key());
    Outcome {
        read: reads.iter().filter(during).any(|r| r.plate.key() == truth),
        misread: reads.iter().filter(during).any(|r| !carried(r)),
    }
}

/// A frame of the drive, as a camera hands it over.
pub(super) fn frame(plan: &DriveScenario, side: Side, n: u64, jpeg: Vec<u8>) -> Frame {
    Frame {
        camera: side.id(),
        sequence: n,
        captured: FrameTime { monotonic: plan.frame_time(n), wall: jiff::Timestamp::UNIX_EPOCH },
        pixels: Pixels::Mjpeg(jpeg),
    }
}

/// Progress on stderr.
pub(super) fn bar(len: usize, of: &str) -> ProgressBar {
    let style = format!("{{bar:40}} {{pos}} of {{len}} {of}, {{eta}} left, {{msg}}");
    let style = ProgressStyle::with_template(&style).expect("the template is well-formed");
    ProgressBar::new(len as u64).with_style(style)
}

/// `93.0 (86.3-96.6)`: percent and its 95 % interval by Wilson's score.
pub(super) fn percent(hits: usize, n: usize) -> String {
    let n = n.max(1);
    let [share, low, high] = {
        let [low, high] = wilson(hits, n);
        [hits as f64 / n as f64, low, high].map(|share| 100.0 * share)
    };
    format!("{share:.1} ({low:.1}-{high:.1})")
}
