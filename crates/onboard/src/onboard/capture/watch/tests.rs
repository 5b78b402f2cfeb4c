//! The loop with scripted sources.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::thread::{self, JoinHandle};
use std::time::Instant;

use rstest::rstest;

use super::*;
use crate::clock::SimulatedClock;
use crate::onboard::frame::{Pixels, Raw};

/// The next step of a scripted source.
enum Step {
    /// A JPEG of this many bytes, with the driver's sequence number.
    Jpeg(u64, usize),
    /// A grey picture: sequence, width, height, bytes.
    Grey(u64, u32, u32, usize),
    /// No frame for this time.
    Silence(Duration),
    /// The cable is pulled.
    Unplug,
    /// The recording ends.
    End,
}
use Step::*;

/// Plays its steps, then stays silent. Time passes only on the simulated clock.
struct Script {
    steps: VecDeque<Step>,
    clock: Arc<SimulatedClock>,
    live: bool,
}

impl FrameSource for Script {
    fn next_frame(&mut self, timeout: Duration) -> Result<Option<Frame>, CaptureError> {
        let stalled = || CaptureError::Stalled { camera: "script".into(), waited: timeout };
        match self.steps.pop_front() {
            Some(Jpeg(n, bytes)) => Ok(Some(self.frame(n, Pixels::Mjpeg(vec![0xff; bytes])))),
            Some(Grey(n, width, height, bytes)) => {
                Ok(Some(self.frame(n, Pixels::Grey(Raw { width, height, bytes: vec![0; bytes] }))))
            }
            Some(Silence(left)) => {
                self.clock.advance(timeout.min(left));
                if left > timeout {
                    self.steps.push_front(Silence(left - timeout));
                }
                Err(stalled())
            }
            Some(Unplug) => Err(CaptureError::Gone {
                path: "/dev/video0".into(),
                source: std::io::Error::from_raw_os_error(libc::ENODEV),
            }),
            Some(End) => Ok(None),
            None => {
                // Real time passes too, so that an idle loop does not spin.
                thread::sleep(Duration::from_millis(1));
                Err(stalled())
            }
        }
    }

    fn live(&self) -> bool {
        self.live
    }
}

impl Script {
    fn frame(&self, sequence: u64, pixels: Pixels) -> Frame {
        self.clock.advance(Duration::from_millis(33));
        Frame { camera: CameraId::new("front"), sequence, captured: self.clock.now(), pixels }
    }
}

type Opens = VecDeque<Result<Vec<Step>, CaptureError>>;

struct Rig {
    slot: Arc<Slot<Frame>>,
    health: Arc<Health>,
    thread: JoinHandle<()>,
}

/// Runs the loop with `opens`, one entry per attempt to open; later attempts find no camera.
fn rig(opens: Vec<Result<Vec<Step>, CaptureError>>, live: bool) -> Rig {
    rig_with(Arc::default(), opens, live)
}

fn rig_with(health: Arc<Health>, opens: Vec<Result<Vec<Step>, CaptureError>>, live: bool) -> Rig {
    let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap()));
    let slot = Arc::new(Slot::new());
    let opens: Mutex<Opens> = Mutex::new(opens.into());
    let script_clock = clock.clone();
    let open: Opener = Box::new(move || {
        let steps = opens.lock().unwrap().pop_front().unwrap_or_else(|| Err(not_found()))?;
        Ok(Box::new(Script { steps: steps.into(), clock: script_clock.clone(), live }))
    });
    let capture = Capture::new(CameraId::new("front"), open, slot.clone(), clock, health.clone())
        .with_patience(Patience {
            retry: Duration::from_millis(1),
            retry_at_most: Duration::from_millis(4),
            ..Patience::default()
        });
    let thread = thread::spawn(move || capture.run());
    Rig { slot, health, thread }
}

fn not_found() -> CaptureError {
    CaptureError::NotFound {
        camera: "front".into(),
        wanted: "\"HD Cam\"".into(),
        present: "none".into(),
    }
}

impl Rig {
    fn counts(&self) -> Arc<CameraHealth> {
        self.health.camera(&CameraId::new("front"))
    }

    fn state(&self) -> PartState {
        self.health.state("camera/front").unwrap_or(PartState::Off)
    }

    /// Polls until `done` holds.
    fn until(&self, what: &str, done: impl Fn(&Self) -> bool) {
        let started = Instant::now();
        while !done(self) {
            assert!(started.elapsed() < Duration::from_secs(20), "waited for {what}");
            thread::sleep(Duration::from_millis(1));
        }
    }

    fn down(&self, why: &str) {
        self.until(why, |r| matches!(r.state(), PartState::Down(d) if d.contains(why)));
    }

    fn stop(self) {
        self.slot.close();
        self.thread.join().unwrap();
    }
}

#[test]
fn stalled_camera_is_down_and_opened_again() {
    let rig = rig(
        vec![
            Ok(vec![Jpeg(0, 9), Jpeg(1, 9), Silence(Duration::from_secs(600))]),
            Ok(vec![Jpeg(0, 9)]),
        ],
        true,
    );
    rig.until("the third frame", |r| r.counts().frames.get() == 3);
    rig.until("working", |r| r.state() == PartState::Working);
    assert_eq!(rig.counts().interruptions.get(), 1);
    rig.stop();
}

#[test]
fn stall_is_noticed_within_two_seconds_of_the_last_frame() {
    let rig = rig(vec![Ok(vec![Jpeg(0, 9), Silence(Duration::from_secs(600))])], true);
    // The loop reports how long it waited by the simulated clock.
    rig.until("down or retrying", |r| r.counts().interruptions.get() == 1);
    let patience = Patience::default();
    assert!(patience.stall + patience.slice < Duration::from_secs(2));
    rig.stop();
}

#[rstest]
#[case::one_long_silence(vec![Jpeg(0, 9), Silence(Duration::from_secs(600))], "no frame for 1.5s")]
#[case::nothing_but_empty_frames(
    std::iter::once(Jpeg(0, 9)).chain((1..100).map(|n| Jpeg(n, 0))).collect(),
    "only broken frames for 1.5s: 0 bytes"
)]
#[case::broken_from_the_start(
    (0..100).map(|n| Jpeg(n, 0)).collect(),
    "only broken frames for 1.5s: 0 bytes"
)]
#[case::never_a_frame(vec![Silence(Duration::from_secs(600))], "no frame for 4.0s")]
#[case::unplugged(vec![Jpeg(0, 9), Unplug], "camera /dev/video0 stopped: unplugged")]
fn officer_reads_why_a_camera_is_down(#[case] steps: Vec<Step>, #[case] message: &str) {
    // One attempt only: the thread waits in its first pause during the check.
    let clock = Arc::new(SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap()));
    let (slot, health) = (Arc::new(Slot::new()), Arc::new(Health::default()));
    let mut steps = Some(steps);
    let source_clock = clock.clone();
    let open: Opener = Box::new(move || {
        let steps = steps.take().expect("opened once").into();
        Ok(Box::new(Script { steps, clock: source_clock.clone(), live: true }))
    });
    let capture = Capture::new(CameraId::new("front"), open, slot.clone(), clock, health.clone())
        .with_patience(Patience {
            retry: Duration::from_secs(600),
            retry_at_most: Duration::from_secs(600),
            ..Patience::default()
        });
    let rig = Rig { slot, health, thread: thread::spawn(move || capture.run()) };
    rig.down(message);
    rig.stop();
}

#[test]
fn camera_of_whose_frames_none_can_be_read_is_opened_again_every_ten_seconds() {
    let minute = || (0..1_000).map(|n| Jpeg(n, 9)).collect();
    // The reading thread reports it; the frames themselves arrive normally.
    let health: Arc<Health> = Arc::default();
    let front = health.camera(&CameraId::new("front"));
    front.set_unreadable(Some("damaged JPEG (9 bytes)".into()));
    let rig = rig_with(health, vec![Ok(minute()), Ok(vec![])], true);
    rig.until("second life", |r| r.counts().interruptions.get() == 1);
    let frames = rig.counts().frames.get();
    assert!((300..=310).contains(&frames), "{frames} frames of 33 ms");
    rig.stop();
}

#[test]
fn unplugged_camera_comes_back_and_its_numbers_go_on() {
    let rig = rig(
        vec![
            Ok(vec![Jpeg(40, 9), Jpeg(41, 9), Unplug]),
            Err(not_found()),
            Err(not_found()),
            Ok(vec![Jpeg(0, 9), Jpeg(1, 9), Jpeg(4, 9)]),
        ],
        true,
    );
    rig.until("frames of the second life", |r| r.counts().frames.get() == 5);
    let counts = rig.counts();
    assert_eq!(counts.interruptions.get(), 1);
    assert_eq!(counts.frames_lost.get(), 2, "two were lost between 1 and 4");
    // 40, 41, then 42, 43 and a gap of two.
    rig.until("the last frame", |r| {
        matches!(r.slot.take_for(Duration::ZERO), crate::onboard::capture::newest::Taken::Value(f)
            if f.sequence == 46)
    });
    rig.stop();
}

#[test]
fn camera_that_is_not_there_is_said_and_tried_again() {
    let rig = rig(vec![Err(not_found()), Err(not_found())], true);
    rig.down("camera.front.device = \"HD Cam\": no such camera (present: none)");
    assert_eq!(rig.counts().interruptions.get(), 0, "it never worked");
    rig.stop();
}

#[test]
fn empty_and_short_frames_are_counted_and_never_handed_on() {
    let rig = rig(
        vec![Ok(vec![Jpeg(0, 0), Grey(1, 8, 4, 31), Jpeg(2, 9), Grey(3, 8, 4, 33), End])],
        false,
    );
    let frames: Vec<_> = std::iter::from_fn(|| rig.slot.take()).collect();
    assert_eq!(frames.iter().map(|f| f.sequence).collect::<Vec<_>>(), [2]);
    assert_eq!(rig.counts().frames_bad.get(), 3);
    rig.stop();
}

#[test]
fn frame_size_may_change_mid_stream() {
    let rig =
        rig(vec![Ok(vec![Grey(0, 8, 4, 32), Grey(1, 16, 8, 128), Grey(2, 8, 4, 32), End])], false);
    let sizes: Vec<_> = std::iter::from_fn(|| rig.slot.take())
        .map(|f| match f.pixels {
            Pixels::Grey(raw) => (raw.width, raw.height),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(sizes, [(8, 4), (16, 8), (8, 4)]);
    assert_eq!(rig.counts().frames_bad.get(), 0);
    rig.stop();
}

#[test]
fn slow_reader_costs_skips_and_gets_the_newest() {
    let rig = rig(vec![Ok((0..50).map(|n| Jpeg(n, 9)).collect())], true);
    rig.until("all frames", |r| r.counts().frames.get() == 50);
    rig.until("skips counted", |r| r.counts().frames_skipped.get() == 49);
    assert_eq!(rig.slot.take().map(|f| f.sequence), Some(49));
    rig.stop();
}

#[test]
fn recording_read_as_fast_as_possible_skips_nothing_and_ends() {
    let rig = rig(vec![Ok((0..50).map(|n| Jpeg(n, 9)).chain([End]).collect())], false);
    let numbers: Vec<_> = std::iter::from_fn(|| rig.slot.take()).map(|f| f.sequence).collect();
    assert_eq!(numbers, (0..50).collect::<Vec<_>>());
    rig.down("the recording has ended");
    assert_eq!(rig.counts().frames_skipped.get(), 0);
    rig.stop();
}

#[test]
fn closing_the_slot_stops_a_capture_that_waits_to_try_again() {
    let rig = rig(vec![], true);
    rig.down("no such camera");
    rig.stop();
}

#[test]
fn driver_that_starts_counting_anew_does_not_turn_numbers_back() {
    let mut numbers = Numbering::default();
    let got: Vec<_> = [5, 6, 9, 0, 1, 1, 2].into_iter().map(|n| numbers.next(n)).collect();
    assert_eq!(got, [(5, 0), (6, 0), (9, 2), (10, 0), (11, 0), (12, 0), (13, 0)]);
}
