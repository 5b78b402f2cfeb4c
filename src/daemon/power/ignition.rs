//! Decides what an ignition line means. No I/O, no clock of its own.
//!
//! In: what the line shows, whether the car moves, and the time on the awake clock. Out: a [`Standing`]. The machine
//! is on its way off only after the ignition was seen on, and then seen off for the whole grace without a break.
//!
//! The clock is the awake one. The wall clock jumps. The boot clock counts sleep, in which nobody looks at the line:
//! a computer that was suspended with the ignition off and is woken by it would find its grace long over, and power off
//! under the hands of the officer who has just turned the key.

use std::time::Duration;

use crate::clock::Awake;

/// How long the ignition must be off before that is told: an engine that is cranked takes the voltage away for a
/// second or so.
pub(super) const SETTLES: Duration = Duration::from_secs(2);

/// What one look at the line gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// Whether the ignition was on at any time since the look before.
    pub was_on: bool,
    /// Whether it is on now.
    pub is_on: bool,
}

/// What the ignition line means now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// The line has not said that the ignition is on since the start: it powers nothing off.
    NotYetOn,
    /// The ignition is on.
    On,
    /// It is off, and the car powers off in this time.
    Off(Duration),
    /// It is off, and the car moves: the line is not to be believed.
    OffAndMoving,
    /// It was off for the whole grace.
    Over,
}

/// An ignition line over time.
#[derive(Debug)]
pub(super) struct Ignition {
    grace: Duration,
    seen: Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Line {
    NeverOn,
    On,
    /// Off since then, without a break.
    Off(Awake),
    /// Off while the car moved.
    Contradicted,
    /// It was on, and is out of sight now.
    Lost,
}

impl Ignition {
    /// Nothing has been seen yet.
    pub(super) fn new(grace: Duration) -> Self {
        Self { grace, seen: Line::NeverOn }
    }

    /// Takes a look at the line.
    pub(super) fn step(&mut self, now: Awake, line: Seen, moving: bool) -> Standing {
        self.seen = match (line, self.seen) {
            (Seen { is_on: true, .. }, _) => Line::On,
            (Seen { was_on: false, .. }, Line::NeverOn) => Line::NeverOn,
            // A car that moves has its engine on, or is towed: neither is to go dark.
            _ if moving => Line::Contradicted,
            // Off without a break.
            (Seen { was_on: false, .. }, Line::Off(since)) => Line::Off(since),
            _ => Line::Off(now),
        };
        match self.seen {
            Line::NeverOn => Standing::NotYetOn,
            Line::Contradicted => Standing::OffAndMoving,
            Line::Off(since) => match self.grace.checked_sub(now.since(since)) {
                // A dip is not told, and is not the end of anything.
                Some(_) if now.since(since) < SETTLES => Standing::On,
                Some(left) if !left.is_zero() => Standing::Off(left),
                _ => Standing::Over,
            },
            Line::On | Line::Lost => Standing::On,
        }
    }

    /// The line cannot be read: what is not seen is not off.
    pub(super) fn lost(&mut self) {
        if self.seen != Line::NeverOn {
            self.seen = Line::Lost;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GRACE: Duration = Duration::from_secs(60);

    const ON: Seen = Seen { was_on: true, is_on: true };
    const OFF: Seen = Seen { was_on: false, is_on: false };
    /// On and off again between two looks.
    const BLIP: Seen = Seen { was_on: true, is_on: false };

    fn at(seconds: f64) -> Awake {
        Awake::after_boot(Duration::from_secs_f64(seconds))
    }

    fn left(seconds: u64) -> Standing {
        Standing::Off(Duration::from_secs(seconds))
    }

    #[test]
    fn ignition_that_goes_off_is_told_after_it_has_settled_and_ends_after_the_grace() {
        let mut ignition = Ignition::new(GRACE);
        for (time, line, expected) in [
            (100.0, ON, Standing::On),
            (101.0, OFF, Standing::On),
            (102.9, OFF, Standing::On),
            (103.0, OFF, left(58)),
            (160.0, OFF, left(1)),
            (161.0, OFF, Standing::Over),
            // It comes back while the daemon stops.
            (162.0, ON, Standing::On),
        ] {
            assert_eq!(ignition.step(at(time), line, false), expected, "{time}");
        }
    }

    #[test]
    fn engine_that_is_cranked_and_a_key_that_is_turned_back_end_nothing() {
        let mut ignition = Ignition::new(GRACE);
        for (time, line, expected) in [
            (0.0, ON, Standing::On),
            (10.0, OFF, Standing::On),
            (11.0, ON, Standing::On),
            (20.0, OFF, Standing::On),
            (70.0, OFF, left(10)),
            (79.9, ON, Standing::On),
            (80.0, OFF, Standing::On),
            (130.0, OFF, left(10)),
            // Between two looks it was on for a moment.
            (139.9, BLIP, Standing::On),
            (198.9, OFF, left(1)),
            (199.9, OFF, Standing::Over),
        ] {
            assert_eq!(ignition.step(at(time), line, false), expected, "{time}");
        }
    }

    #[test]
    fn line_that_says_off_in_a_car_that_moves_is_not_believed() {
        let mut ignition = Ignition::new(GRACE);
        assert_eq!(ignition.step(at(0.0), ON, true), Standing::On);
        assert_eq!(ignition.step(at(1.0), OFF, true), Standing::OffAndMoving);
        assert_eq!(ignition.step(at(500.0), OFF, true), Standing::OffAndMoving);
        assert_eq!(ignition.step(at(501.0), OFF, false), Standing::On, "it settles anew");
        assert_eq!(ignition.step(at(551.0), OFF, false), left(10));
        assert_eq!(ignition.step(at(561.0), OFF, false), Standing::Over);
    }

    #[test]
    fn time_in_which_the_line_was_out_of_sight_counts_for_nothing() {
        let mut ignition = Ignition::new(GRACE);
        ignition.step(at(0.0), ON, false);
        ignition.step(at(1.0), OFF, false);
        ignition.lost();
        assert_eq!(ignition.step(at(500.0), OFF, false), Standing::On);
        assert_eq!(ignition.step(at(559.0), OFF, false), left(1));
        assert_eq!(ignition.step(at(560.0), OFF, false), Standing::Over);
        let mut never = Ignition::new(GRACE);
        never.step(at(0.0), OFF, false);
        never.lost();
        assert_eq!(never.step(at(500.0), OFF, false), Standing::NotYetOn);
    }

    /// What may happen: time passes, and somebody looks, or the line is lost.
    fn life() -> impl Strategy<Value = Vec<(u64, Option<Seen>, bool)>> {
        let seen = prop_oneof![
            3 => Just(Some(OFF)), 1 => Just(Some(ON)), 1 => Just(Some(BLIP)), 1 => Just(None),
        ];
        prop::collection::vec((0_u64..40_000, seen, prop::bool::weighted(0.1)), 0..80)
    }

    proptest! {
        /// However it bounces, is lost, or the car moves: never earlier than the grace after it was last on, was lost
        /// or was contradicted, never unless it was on once; and the time that is told is what is left of that.
        #[test]
        fn no_line_powers_a_car_off_before_the_whole_grace_was_seen_off(life in life()) {
            let mut ignition = Ignition::new(GRACE);
            let mut now = Duration::from_secs(7);
            let mut last_not_off = None;
            let mut was_ever_on = false;
            for (pause_ms, look, moving) in life {
                now += Duration::from_millis(pause_ms);
                let Some(line) = look else {
                    ignition.lost();
                    last_not_off = Some(now);
                    continue;
                };
                let standing = ignition.step(Awake::after_boot(now), line, moving);
                was_ever_on |= line.was_on;
                if line.was_on || moving || last_not_off.is_none() {
                    last_not_off = Some(now);
                }
                let off_for = now - last_not_off.unwrap();
                match standing {
                    Standing::Over => {
                        prop_assert!(was_ever_on && !line.is_on && !moving);
                        prop_assert!(off_for >= GRACE, "after {off_for:?}");
                    }
                    Standing::Off(left) => {
                        prop_assert!(was_ever_on && !line.is_on);
                        prop_assert!(off_for >= SETTLES && off_for + left >= GRACE);
                    }
                    Standing::NotYetOn => prop_assert!(!was_ever_on),
                    Standing::OffAndMoving => prop_assert!(was_ever_on && moving && !line.is_on),
                    Standing::On => prop_assert!(was_ever_on),
                }
            }
        }

        /// A line that stays off ends, whatever it did before: the car's battery is worth something too.
        #[test]
        fn line_that_stays_off_ends_after_the_grace(life in life()) {
            let mut ignition = Ignition::new(GRACE);
            let mut now = Duration::ZERO;
            for (pause_ms, look, moving) in life {
                now += Duration::from_millis(pause_ms);
                match look {
                    Some(line) => _ = ignition.step(Awake::after_boot(now), line, moving),
                    None => ignition.lost(),
                }
            }
            ignition.step(Awake::after_boot(now), ON, false);
            now += Duration::from_millis(250);
            ignition.step(Awake::after_boot(now), OFF, false);
            now += GRACE;
            prop_assert_eq!(ignition.step(Awake::after_boot(now), OFF, false), Standing::Over);
        }
    }
}
