//! The last few fixes, and where the car was between them.

use std::collections::VecDeque;
use std::sync::{Arc, RwLock};
use std::time::Duration;

use jiff::Timestamp;

use super::{Fix, Position};
use crate::clock::FrameTime;

/// Reports that are kept: six seconds of a receiver with 10 Hz, which is longer than any frame
/// waits for its vote.
const HISTORY: usize = 64;

/// Speed in metres a second below which a receiver's course is noise and is not interpolated.
const COURSE_MEANS_SOMETHING: f32 = 1.0;

/// Largest difference between the receiver's time and the wall clock at which they agree: a report
/// arrives up to a second after its instant.
const AGREES_WITHIN: Duration = Duration::from_secs(2);

/// The boot-clock time at which a report arrived, and its fix; `None` if it had none.
type Heard = (Duration, Option<Fix>);

/// A receiver's recent reports, shared: cheap to clone, one writer, any number of readers.
#[derive(Clone)]
pub struct Fixes {
    max_age: Duration,
    /// Oldest first. Locked for a copy or a scan of [`HISTORY`] entries.
    recent: Arc<RwLock<VecDeque<Heard>>>,
}

impl Fixes {
    /// Starts empty. A fix that is further than `max_age` from an instant is not its position.
    pub fn new(max_age: Duration) -> Self {
        Self { max_age, recent: Arc::default() }
    }

    /// Takes the report that arrived at `at` on the boot clock: a fix, or that there is none.
    ///
    /// gpsd repeats a fix when a later sentence of the same cycle adds to it; the first stamp is
    /// nearer to the instant of the fix, so it is kept.
    pub fn push(&self, at: Duration, fix: Option<Fix>) {
        let mut recent = self.recent.write().expect("no holder panics");
        if let (Some(fix), Some((_, Some(last)))) = (fix, recent.back_mut())
            && fix.time.is_some()
            && fix.time == last.time
        {
            *last = fix;
            return;
        }
        if recent.back().is_some_and(|(last, _)| at < *last) {
            return;
        }
        if recent.len() == HISTORY {
            recent.pop_front();
        }
        recent.push_back((at, fix));
    }

    /// Where the car was at an instant of the boot clock.
    ///
    /// Between two fixes the position is interpolated; otherwise it is the nearest fix, not moved,
    /// with its age. There is no position once the receiver has reported that it lost its fix.
    pub fn at(&self, monotonic: Duration) -> Position {
        let recent = self.recent.read().expect("no holder panics");
        let split = recent.partition_point(|(at, _)| *at <= monotonic);
        let before = split.checked_sub(1).map(|i| recent[i]);
        let after = recent.get(split).copied();
        drop(recent);

        let near = |entry: Option<Heard>| {
            entry
                .and_then(|(at, fix)| Some((at, fix?)))
                .filter(|(at, _)| at.abs_diff(monotonic) <= self.max_age)
        };
        match (near(before), near(after)) {
            (Some((t0, a)), Some((t1, b))) if t1 - t0 <= self.max_age => {
                let share = (monotonic - t0).as_secs_f64() / (t1 - t0).as_secs_f64();
                Position::Fixed {
                    fix: between(&a, &b, share),
                    age: (monotonic - t0).min(t1 - monotonic),
                    interpolated: t0 != monotonic,
                }
            }
            (before, after) => {
                let nearest = [before, after]
                    .into_iter()
                    .flatten()
                    .min_by_key(|(at, _)| at.abs_diff(monotonic));
                match nearest {
                    Some((at, fix)) => {
                        Position::Fixed { fix, age: at.abs_diff(monotonic), interpolated: false }
                    }
                    None => Position::NoFix,
                }
            }
        }
    }
}

impl Fixes {
    /// The receiver's time at an instant of the boot clock; `None` without a fix.
    pub fn time_at(&self, monotonic: Duration) -> Option<Timestamp> {
        let recent = self.recent.read().expect("no holder panics");
        let split = recent.partition_point(|(at, _)| *at <= monotonic);
        let (heard, fix) = recent[split.checked_sub(1)?];
        let since = monotonic - heard;
        drop(recent);
        fix?.time.filter(|_| since <= self.max_age)?.checked_add(since).ok()
    }

    /// Whether the receiver's time agrees with the wall clock, so that GPS vouches for it.
    pub fn vouch_for(&self, now: FrameTime) -> bool {
        let Position::Fixed { fix: Fix { time: Some(time), .. }, age, .. } = self.at(now.monotonic)
        else {
            return false;
        };
        let apart = now.wall.duration_since(time).unsigned_abs();
        apart <= AGREES_WITHIN + age
    }
}

/// The fix at `share` (0 to 1) of the way from `a` to `b`. Its accuracy is the worse of the two,
/// because nothing better is known in between.
fn between(a: &Fix, b: &Fix, share: f64) -> Fix {
    let lerp = |a: f64, b: f64| a + (b - a) * share;
    let both = |a: Option<f32>, b: Option<f32>| Some(lerp(f64::from(a?), f64::from(b?)) as f32);
    // The shorter way round is taken, across the date line or north.
    let around = |a: f64, b: f64| a + ((b - a + 540.0).rem_euclid(360.0) - 180.0) * share;

    let speed_mps = both(a.speed_mps, b.speed_mps);
    let moving = |fix: &Fix| fix.speed_mps.is_some_and(|v| v >= COURSE_MEANS_SOMETHING);
    let heading_deg = match (a.heading_deg, b.heading_deg) {
        (Some(x), Some(y)) if moving(a) && moving(b) => {
            Some(around(f64::from(x), f64::from(y)).rem_euclid(360.0) as f32)
        }
        (x, y) => {
            if share < 0.5 {
                x
            } else {
                y
            }
        }
    };
    let longitude = around(a.longitude, b.longitude);
    Fix {
        latitude: lerp(a.latitude, b.latitude),
        longitude: (longitude + 540.0).rem_euclid(360.0) - 180.0,
        accuracy_m: match (a.accuracy_m, b.accuracy_m) {
            (Some(x), Some(y)) => Some(x.max(y)),
            _ => None,
        },
        speed_mps,
        heading_deg,
        time: match (a.time, b.time) {
            (Some(x), Some(y)) => {
                let whole = y.duration_since(x).as_secs_f64();
                jiff::SignedDuration::try_from_secs_f64(whole * share)
                    .ok()
                    .and_then(|d| x.checked_add(d).ok())
            }
            _ => None,
        },
        three_d: a.three_d && b.three_d,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    fn fix(latitude: f64, longitude: f64) -> Fix {
        Fix {
            latitude,
            longitude,
            accuracy_m: Some(4.0),
            speed_mps: Some(20.0),
            heading_deg: Some(90.0),
            time: None,
            three_d: true,
        }
    }

    fn secs(s: f64) -> Duration {
        Duration::from_secs_f64(s)
    }

    fn with(entries: &[(f64, Option<Fix>)]) -> Fixes {
        let fixes = Fixes::new(secs(3.0));
        for (at, fix) in entries {
            fixes.push(secs(*at), *fix);
        }
        fixes
    }

    #[test]
    fn frame_between_two_fixes_gets_the_place_between() {
        let fixes = with(&[(10.0, Some(fix(43.0, -79.0))), (11.0, Some(fix(43.001, -79.002)))]);
        let Position::Fixed { fix, age, interpolated } = fixes.at(secs(10.75)) else { panic!() };
        assert!((fix.latitude - 43.000_75).abs() < 1e-9);
        assert!((fix.longitude + 79.0015).abs() < 1e-9);
        assert_eq!((age, interpolated), (secs(0.25), true));
    }

    #[test]
    fn frame_after_the_last_fix_gets_it_unmoved_with_its_age() {
        let fixes = with(&[(10.0, Some(fix(43.0, -79.0)))]);
        let Position::Fixed { fix: f, age, interpolated } = fixes.at(secs(10.4)) else { panic!() };
        assert_eq!(f, fix(43.0, -79.0));
        assert_eq!((age, interpolated), (secs(0.4), false));
    }

    #[rstest]
    #[case::nothing_yet(&[], 5.0)]
    #[case::too_old(&[(1.0, Some(fix(43.0, -79.0)))], 4.1)]
    #[case::too_far_ahead(&[(9.0, Some(fix(43.0, -79.0)))], 5.0)]
    #[case::lost_since(&[(4.0, Some(fix(43.0, -79.0))), (4.5, None)], 5.0)]
    fn no_fix_is_said(#[case] entries: &[(f64, Option<Fix>)], #[case] at: f64) {
        assert_eq!(with(entries).at(secs(at)), Position::NoFix);
    }

    #[test]
    fn nothing_is_interpolated_across_a_loss() {
        let fixes =
            with(&[(4.0, Some(fix(43.0, -79.0))), (4.5, None), (5.0, Some(fix(44.0, -79.0)))]);
        let Position::Fixed { fix: f, interpolated, .. } = fixes.at(secs(4.4)) else { panic!() };
        assert_eq!((f.latitude, interpolated), (43.0, false));
    }

    #[test]
    fn date_line_and_north_are_crossed_the_short_way() {
        let mut a = fix(0.0, 179.9);
        let mut b = fix(0.0, -179.9);
        (a.heading_deg, b.heading_deg) = (Some(350.0), Some(30.0));
        let fixes = with(&[(1.0, Some(a)), (2.0, Some(b))]);
        let Position::Fixed { fix, .. } = fixes.at(secs(1.75)) else { panic!() };
        assert!((fix.longitude + 179.95).abs() < 1e-9, "{}", fix.longitude);
        assert!((fix.heading_deg.unwrap() - 20.0).abs() < 1e-3);
    }

    #[test]
    fn repeated_fix_of_one_cycle_keeps_its_first_stamp() {
        let mut a = fix(43.0, -79.0);
        a.time = Some("2026-11-23T07:00:00Z".parse().unwrap());
        let fixes = with(&[(1.0, Some(a)), (1.3, Some(Fix { accuracy_m: Some(2.5), ..a }))]);
        let Position::Fixed { fix, age, .. } = fixes.at(secs(1.5)) else { panic!() };
        assert_eq!((fix.accuracy_m, age), (Some(2.5), secs(0.5)));
    }

    proptest! {
        #[test]
        fn a_position_never_lies_outside_its_two_fixes(
            (lat0, lat1) in (-89.0..89.0_f64, -89.0..89.0_f64),
            (lon0, lon1) in (-90.0..90.0_f64, -90.0..90.0_f64),
            at in 1.0..2.0_f64,
        ) {
            let fixes = with(&[(1.0, Some(fix(lat0, lon0))), (2.0, Some(fix(lat1, lon1)))]);
            let Position::Fixed { fix, age, .. } = fixes.at(secs(at)) else { panic!() };
            prop_assert!(fix.latitude >= lat0.min(lat1) - 1e-9);
            prop_assert!(fix.latitude <= lat0.max(lat1) + 1e-9);
            prop_assert!(fix.longitude >= lon0.min(lon1) - 1e-9);
            prop_assert!(fix.longitude <= lon0.max(lon1) + 1e-9);
            prop_assert!(age <= secs(0.5));
        }
    }
}
