//! Limits the attempts at a PIN: a few are free, after them pauses double.
//!
//! In: that a number was tried, and whether the PIN was right. Out: how long to wait. It also
//! writes the file that a restart reads. Pauses count on the boot clock, which nobody can set, and
//! begin anew with a restart: switching the car off and on shortens no pause.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::files::{self, Readers};

/// Wrong PINs for one number before the first pause.
const FREE: u32 = 3;

/// The first pause for a number, and the longest.
const FIRST: Duration = Duration::from_secs(30);
const MOST: Duration = Duration::from_secs(3600);

/// Wrong PINs for all numbers together before everybody has to wait. One of them is forgotten every
/// [`FORGET`].
const FREE_OVER_ALL: u32 = 12;

/// The first pause for everybody, and the longest: somebody who types nonsense must not shut out a
/// whole shift.
const FIRST_OVER_ALL: Duration = Duration::from_secs(10);
const MOST_OVER_ALL: Duration = Duration::from_secs(600);

/// Time after which one wrong PIN of [`FREE_OVER_ALL`] is forgotten.
const FORGET: Duration = Duration::from_secs(600);

/// Most numbers that are remembered at once.
const MOST_NUMBERS: usize = 256;

/// Name of the file in the state folder.
const FILE: &str = "sign-in.json";

/// The file's content.
#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    /// For each user, the wrong PINs since the last right one.
    numbers: BTreeMap<String, u32>,
    /// Recent wrong PINs for all numbers.
    all: u32,
}

#[derive(Debug, Clone, Copy, Default)]
struct Failures {
    n: u32,
    /// When the next attempt is allowed, on the boot clock.
    until: Duration,
    /// Whether a user of the policy has the number; other texts that were typed are not written to
    /// the file.
    known: bool,
}

/// The recent attempts in one car.
#[derive(Debug)]
pub(super) struct Attempts {
    path: PathBuf,
    numbers: BTreeMap<String, Failures>,
    all: Failures,
    /// When a wrong PIN of all numbers was last forgotten.
    forgot: Duration,
}

fn pause(n: u32, free: u32, first: Duration, most: Duration) -> Duration {
    match n.checked_sub(free) {
        None => Duration::ZERO,
        Some(doubled) => first.saturating_mul(1 << doubled.min(20)).min(most),
    }
}

impl Attempts {
    /// Reads what was counted before the restart; the pauses begin anew.
    pub(super) fn open(state: &Path, now: Duration) -> Self {
        let path = state.join(FILE);
        let content = match files::read_text(&path, Readers::Owner) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|error| {
                tracing::warn!(file = %path.display(), %error, "count of earlier wrong PINs not read");
                // Counted as if many had been tried, so that damage shortens no pause.
                Content { numbers: BTreeMap::new(), all: FREE_OVER_ALL }
            }),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Content::default(),
            Err(error) => {
                tracing::warn!(file = %path.display(), %error, "count of earlier wrong PINs not read");
                Content { numbers: BTreeMap::new(), all: FREE_OVER_ALL }
            }
        };
        let of = |n| Failures { n, until: now + pause(n, FREE, FIRST, MOST), known: true };
        let numbers = content.numbers.into_iter().take(MOST_NUMBERS);
        let numbers = numbers.map(|(number, n)| (number, of(n))).collect();
        let pause = pause(content.all, FREE_OVER_ALL, FIRST_OVER_ALL, MOST_OVER_ALL);
        let all = Failures { n: content.all, until: now + pause, known: true };
        Self { path, numbers, all, forgot: now }
    }

    /// How long this number may not be tried yet.
    pub(super) fn wait(&mut self, number: &str, now: Duration) -> Option<Duration> {
        self.forget(now);
        let own = self.numbers.get(number).map_or(Duration::ZERO, |failures| failures.until);
        let wait = own.max(self.all.until).saturating_sub(now);
        (!wait.is_zero()).then_some(wait)
    }

    fn forget(&mut self, now: Duration) {
        while self.all.n > 0 && now.saturating_sub(self.forgot) >= FORGET {
            self.all.n -= 1;
            self.forgot += FORGET;
        }
        if self.all.n == 0 {
            self.forgot = now;
        }
    }

    /// Counts a wrong PIN. `known` says whether a user has the number.
    pub(super) fn failed(&mut self, number: &str, known: bool, now: Duration) {
        if !self.numbers.contains_key(number) && self.numbers.len() >= MOST_NUMBERS {
            // Forgets the number whose pause ends first, and unknown numbers before known ones.
            let first = self.numbers.iter().min_by_key(|(_, f)| (f.known, f.until));
            if let Some(number) = first.map(|(number, _)| number.clone()) {
                self.numbers.remove(&number);
            }
        }
        let failures = self.numbers.entry(number.to_owned()).or_default();
        failures.n = failures.n.saturating_add(1);
        failures.known |= known;
        failures.until = now + pause(failures.n, FREE, FIRST, MOST);
        self.forget(now);
        self.all.n = self.all.n.saturating_add(1);
        self.all.until = now + pause(self.all.n, FREE_OVER_ALL, FIRST_OVER_ALL, MOST_OVER_ALL);
        self.write();
    }

    /// Counts a right PIN: the number begins anew. The count for all numbers stays.
    pub(super) fn worked(&mut self, number: &str) {
        if self.numbers.remove(number).is_some() {
            self.write();
        }
    }

    /// If the disk refuses the file, people can still sign in: the pauses hold while the daemon
    /// runs.
    fn write(&self) {
        let known = self.numbers.iter().filter(|(_, failures)| failures.known);
        let numbers = known.map(|(number, failures)| (number.clone(), failures.n)).collect();
        let content = Content { numbers, all: self.all.n };
        let text = serde_json::to_vec(&content).expect("texts and numbers");
        if let Err(error) = files::replace(&self.path, &[&text]) {
            tracing::warn!(file = %self.path.display(), %error, "count of wrong PINs not written");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn pauses_of_a_number_double_up_to_an_hour_and_outlive_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut attempts = Attempts::open(dir.path(), S);
        let mut now = S;
        let mut waits = Vec::new();
        for _ in 0..12 {
            attempts.failed("1234", true, now);
            let wait = attempts.numbers["1234"].until - now;
            waits.push(wait.as_secs());
            now += wait.max(2 * FORGET);
        }
        assert_eq!(waits, [0, 0, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]);
        assert_eq!(attempts.wait("77", now), None, "another number is not made to wait");
        // A restart begins the last pause anew, on another boot clock.
        let mut again = Attempts::open(dir.path(), S);
        assert_eq!(again.wait("1234", S), Some(MOST));
        again.worked("1234");
        assert_eq!(Attempts::open(dir.path(), S).wait("1234", S), None);
    }

    #[test]
    fn trying_many_numbers_makes_everybody_wait_for_ten_minutes_at_most_and_is_forgotten() {
        let dir = tempfile::tempdir().unwrap();
        let mut attempts = Attempts::open(dir.path(), S);
        for n in 0..FREE_OVER_ALL - 1 {
            attempts.failed(&n.to_string(), false, S);
            assert_eq!(attempts.wait("1234", S), None);
        }
        attempts.failed("x", false, S);
        assert_eq!(attempts.wait("1234", S), Some(FIRST_OVER_ALL));
        for n in 0..600 {
            attempts.failed(&format!("u{n}"), false, S);
        }
        assert_eq!(attempts.wait("1234", S), Some(MOST_OVER_ALL));
        assert_eq!(attempts.numbers.len(), MOST_NUMBERS, "what is typed fills no memory");
        // A number that no user has is not in the file: it may be anything, even a PIN.
        let text = std::fs::read_to_string(dir.path().join(FILE)).unwrap();
        assert_eq!(text, "{\"numbers\":{},\"all\":612}");
        let later = S + 700 * FORGET;
        assert_eq!(attempts.wait("1234", later), None);
        assert_eq!(attempts.all.n, 0);
    }

    #[test]
    fn damaged_file_shortens_no_pause() {
        let dir = tempfile::tempdir().unwrap();
        files::replace(&dir.path().join(FILE), &[b"{"]).unwrap();
        assert_eq!(Attempts::open(dir.path(), S).wait("1234", S), Some(FIRST_OVER_ALL));
    }
}
