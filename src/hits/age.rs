//! The age clock of `hits.db`: how long something has been kept, whatever the wall clock does.
//!
//! In: both clocks, now and then. Out: milliseconds that never go back and normally are
//! those since 1970. Costs: a row. Leaves to others: what is too old (`keep.rs`).
//!
//! Each update adds the longer of the times that the two clocks say have passed since the last update. When the
//! wall clock was set back, that is what the boot clock says; when it starts in 1970 at each boot and is set
//! right later, it is what has passed since the latest time that it ever had. So a wrong clock keeps nothing
//! longer; a clock that is set forward by mistake keeps things for a shorter time.

use rusqlite::{Connection, OptionalExtension as _, params};

use crate::clock::{BootId, Clock};

/// Steps shorter than this on both clocks are put off: each step rounds up by a millisecond at most, so
/// that a year ages by a thousandth too much.
const LEAST_STEP_MS: i64 = 1_000;

/// What the clocks say, in whole milliseconds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    boot: BootId,
    boot_ms: i64,
    wall_ms: i64,
}

impl Now {
    pub(super) fn of(clock: &dyn Clock) -> Self {
        let now = clock.now();
        Self {
            boot: clock.boot(),
            boot_ms: i64::try_from(now.monotonic.as_millis()).unwrap_or(i64::MAX),
            wall_ms: now.wall.as_millisecond(),
        }
    }

    pub(super) fn wall_ms(&self) -> i64 {
        self.wall_ms
    }
}

/// The age clock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Age {
    last: Now,
    highest_ms: i64,
    age_ms: i64,
    /// Both clocks at the moment, in this run, at which the wall clock was first plausible.
    anchor: Option<Now>,
}

impl Age {
    /// Begins at `at_least_ms` or the wall clock, whichever is later.
    fn new(now: Now, at_least_ms: i64) -> Self {
        let start = now.wall_ms.max(at_least_ms);
        let anchor = (now.wall_ms >= at_least_ms).then_some(now);
        Self { last: now, highest_ms: start, age_ms: start, anchor }
    }

    /// Reads it, and makes it in a database that has none.
    pub(super) fn load(db: &Connection, now: Now) -> rusqlite::Result<Self> {
        let found = db
            .query_row("SELECT boot, boot_ms, wall_ms, highest_ms, age_ms FROM age", (), |row| {
                Ok(Self {
                    last: Now {
                        boot: BootId::from_bytes(row.get(0)?),
                        boot_ms: row.get(1)?,
                        wall_ms: row.get(2)?,
                    },
                    highest_ms: row.get(3)?,
                    age_ms: row.get(4)?,
                    anchor: None,
                })
            })
            .optional()?;
        let mut age = match found {
            Some(found) => found,
            None => {
                // Of a database without an age clock: acknowledgements have the wall clock's time.
                let latest: Option<i64> =
                    db.query_row("SELECT max(acked_ms) FROM outbox", (), |row| row.get(0))?;
                Self::new(now, latest.unwrap_or(i64::MIN))
            }
        };
        age.step(now);
        age.save(db)?;
        Ok(age)
    }

    /// Adds the time that has passed. Returns whether there is something to save.
    pub(super) fn step(&mut self, now: Now) -> bool {
        if self.anchor.is_none() && now.wall_ms >= self.highest_ms {
            self.anchor = Some(now);
        }
        let same = now.boot == self.last.boot;
        // Of another boot, its own clock says the least that has passed.
        let by_boot = if same { now.boot_ms - self.last.boot_ms } else { now.boot_ms };
        let by_wall = if now.wall_ms >= self.highest_ms {
            now.wall_ms - self.highest_ms
        } else {
            now.wall_ms - self.last.wall_ms
        };
        let moved = by_boot.max(by_wall).max(0);
        let back = now.wall_ms < self.last.wall_ms;
        if same && !back && moved < LEAST_STEP_MS {
            return false;
        }
        self.age_ms = self.age_ms.saturating_add(moved);
        self.highest_ms = self.highest_ms.max(now.wall_ms);
        self.last = now;
        true
    }

    pub(super) fn save(&self, db: &Connection) -> rusqlite::Result<()> {
        db.prepare_cached(
            "INSERT INTO age (one, boot, boot_ms, wall_ms, highest_ms, age_ms)
             VALUES (1, ?1, ?2, ?3, ?4, ?5)
             ON CONFLICT (one) DO UPDATE SET boot = excluded.boot, boot_ms = excluded.boot_ms,
                 wall_ms = excluded.wall_ms, highest_ms = excluded.highest_ms,
                 age_ms = excluded.age_ms",
        )?
        .execute(params![
            self.last.boot.to_bytes(),
            self.last.boot_ms,
            self.last.wall_ms,
            self.highest_ms,
            self.age_ms
        ])
        .map(|_| ())
    }

    /// What it says.
    pub(super) fn ms(&self) -> i64 {
        self.age_ms
    }

    /// The time against which the end of a legal hold is compared. It errs towards keeping: a wall clock
    /// that jumps forward while we run ends no hold.
    pub(super) fn hold_ms(&self, now: Now) -> i64 {
        match self.anchor {
            Some(a) if a.boot == now.boot => now.wall_ms.min(a.wall_ms + (now.boot_ms - a.boot_ms)),
            _ => now.wall_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: i64 = 3_600_000;
    const YEAR: i64 = 8_760 * HOUR;
    const START: i64 = 1_795_000_000_000;

    fn at(boot: u8, boot_ms: i64, wall_ms: i64) -> Now {
        Now { boot: BootId::from_bytes([boot; 16]), boot_ms, wall_ms }
    }

    fn age() -> Age {
        Age::new(at(1, HOUR, START), i64::MIN)
    }

    /// How far the age clock got from one look to the next.
    fn after(steps: &[Now]) -> i64 {
        let mut age = age();
        for now in steps {
            age.step(*now);
        }
        age.ms() - START
    }

    #[test]
    fn ordinary_days_count_as_they_are() {
        let steps = [at(1, 2 * HOUR, START + HOUR), at(2, HOUR, START + 10 * HOUR)];
        assert_eq!(after(&steps), 10 * HOUR);
    }

    #[test]
    fn clock_set_back_by_years_counts_on() {
        let steps = [at(1, 2 * HOUR, START - 9 * YEAR), at(1, 3 * HOUR, START - 9 * YEAR + HOUR)];
        assert_eq!(after(&steps), 2 * HOUR);
    }

    #[test]
    fn clock_that_starts_in_1970_at_each_boot_counts_the_time_switched_off() {
        let steps = [
            at(2, 0, 0),
            at(2, HOUR / 60, HOUR / 60),
            // Set by the network: half a day has passed since the last time it was right.
            at(2, HOUR / 30, START + 12 * HOUR),
        ];
        let counted = after(&steps);
        assert!((12 * HOUR..12 * HOUR + HOUR / 30).contains(&counted), "{counted}");
    }

    #[test]
    fn clock_set_forward_by_mistake_still_counts_nights_once_it_is_right_again() {
        let wrong = START + 12 * YEAR;
        let mut age = age();
        age.step(at(1, HOUR, wrong));
        age.step(at(1, HOUR, START + HOUR));
        let before = age.ms();
        // Switched off for a day, the right time ever since.
        age.step(at(2, 0, START + 25 * HOUR));
        assert_eq!(age.ms() - before, 24 * HOUR);
    }

    #[test]
    fn jump_forward_while_running_ends_no_hold_and_time_does() {
        let mut age = age();
        let jumped = at(1, 2 * HOUR, START + 12 * YEAR);
        age.step(jumped);
        assert_eq!(age.hold_ms(jumped), START + HOUR);
        let next_day = at(2, 0, START + 24 * HOUR);
        assert_eq!(age.hold_ms(next_day), START + 24 * HOUR);
    }

    proptest! {
        /// Whatever the clocks say, at least as much is counted as has really passed while we ran,
        /// and as the wall clock saw while we did not.
        #[test]
        fn never_less_than_what_passed(
            steps in prop::collection::vec(
                (1_i64..200, prop_oneof![Just(0_i64), -20_i64..20, -90_000_i64..90_000]),
                1..60,
            )
        ) {
            let mut age = age();
            let (mut boot_ms, mut wall_ms, mut passed) = (HOUR, START, 0);
            for (minutes, jump_hours) in steps {
                let ms = minutes * 60_000;
                boot_ms += ms;
                wall_ms += ms + jump_hours * HOUR;
                passed += ms;
                let before = age.ms();
                age.step(at(1, boot_ms, wall_ms));
                prop_assert!(age.ms() >= before);
            }
            prop_assert!(age.ms() - START >= passed);
        }
    }
}
