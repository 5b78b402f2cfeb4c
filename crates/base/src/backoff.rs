//! How long to wait before something that has failed is tried again. All retries use it.
//!
//! In: that an attempt failed or worked. Out: a pause, which doubles from the first to the longest.
//! Costs: nothing; it has no clock and no thread of its own. Leaves to others: the waiting, and
//! reporting the failure.
//!
//! The caller decides when an attempt counts as a success: a sound card that opens but plays
//! nothing has not worked.

use std::time::Duration;

/// Pauses that double with each failure.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    /// Failures in a row.
    failures: u32,
    /// Seed of the random scatter; `None` where pauses are not scattered.
    seed: Option<u64>,
}

impl Backoff {
    /// Starts with the pause `first`; no pause is longer than `most`.
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first: first.min(most), most, failures: 0, seed: None }
    }

    /// Shortens each pause by up to a quarter, at random, so that cars which lost their broker at
    /// one moment do not come back at one moment.
    pub fn scattered(self, seed: u64) -> Self {
        Self { seed: Some(seed), ..self }
    }

    /// Counts a failure. Returns the pause before the next attempt.
    pub fn failed(&mut self) -> Duration {
        let doubled = self.first.saturating_mul(1 << self.failures.min(20)).min(self.most);
        self.failures = self.failures.saturating_add(1);
        let Some(seed) = &mut self.seed else { return doubled };
        // Any mixing will do: this spreads cars and keeps no secret.
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let quarter = (*seed >> 33) as f64 / f64::from(1_u32 << 31) / 4.0;
        doubled.mul_f64(1.0 - quarter)
    }

    /// Counts a success: the next pause is the first again.
    pub fn worked(&mut self) {
        self.failures = 0;
    }

    /// Failures in a row.
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: Duration = Duration::from_millis(250);
    const MOST: Duration = Duration::from_secs(4);

    #[test]
    fn pauses_double_to_the_longest_and_start_small_once_it_has_worked() {
        let mut pauses = Backoff::new(FIRST, MOST);
        let seen: Vec<_> = (0..7).map(|_| pauses.failed().as_millis()).collect();
        assert_eq!(seen, [250, 500, 1_000, 2_000, 4_000, 4_000, 4_000]);
        pauses.worked();
        assert_eq!((pauses.failures(), pauses.failed()), (0, FIRST));
    }

    #[test]
    fn no_number_of_failures_overflows_or_outgrows_the_longest() {
        let mut pauses = Backoff::new(Duration::from_secs(1 << 40), Duration::MAX).scattered(7);
        for _ in 0..100 {
            assert!(pauses.failed() > Duration::ZERO);
        }
        let mut pauses = Backoff::new(MOST * 2, MOST);
        assert_eq!(pauses.failed(), MOST, "the longest is the longest, whatever the first is");
    }

    #[test]
    fn two_cars_are_scattered_by_up_to_a_quarter() {
        let mut cars = [1, 2].map(|seed| Backoff::new(FIRST, MOST).scattered(seed));
        let [one, other] = &mut cars;
        let pairs: Vec<_> = (0..8).map(|_| (one.failed(), other.failed())).collect();
        assert!(pairs.iter().any(|(a, b)| a != b), "{pairs:?}");
        for (n, (a, b)) in (0..).zip(&pairs) {
            let whole = (FIRST * (1 << n)).min(MOST);
            assert!([a, b].iter().all(|p| **p <= whole && **p >= whole.mul_f64(0.75)), "{pairs:?}");
        }
    }
}
