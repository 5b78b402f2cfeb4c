//! Whether the pictures fall behind, because this computer decodes them more slowly than they come.
//!
//! In: from time to time, how much time has passed here and in the stream. Out: how far the stream
//! is behind, once it is for good. The difference of the two clocks says nothing by itself; what it
//! has grown by since it was smallest is how much is waiting between the camera and us.

use std::time::Duration;

/// Furthest that pictures may be behind: a car drives 30 m in that time.
const MOST: f64 = 1.0;

/// So many reports in a row must say so: after a pause of the network it catches up at once.
const IN_A_ROW: u32 = 3;

/// By how much the camera's clock may be slow, as a fraction: quartz keeps to a tenth of this.
const DRIFT: f64 = 0.001;

/// Watches one stream.
#[derive(Debug, Default)]
pub(super) struct Lag {
    /// The smallest difference, and when it was seen or last allowed to grow.
    least: Option<(f64, f64)>,
    late: u32,
}

impl Lag {
    /// Takes note that the picture of the stream's time `shown` came at `at`, both counted from any
    /// beginning. Returns how far the stream is behind if that is too far for too long.
    pub(super) fn note(&mut self, at: Duration, shown: Duration) -> Option<Duration> {
        let at = at.as_secs_f64();
        let apart = at - shown.as_secs_f64();
        let least = match self.least {
            Some((least, since)) => (least + (at - since).max(0.0) * DRIFT).min(apart),
            None => apart,
        };
        self.least = Some((least, at));
        let behind = apart - least;
        self.late = if behind > MOST { self.late + 1 } else { 0 };
        (self.late >= IN_A_ROW).then(|| Duration::from_secs_f64(behind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said after reports every half second of a stream that runs at `speed`.
    fn after(seconds: f64, speed: f64) -> Option<f64> {
        let mut lag = Lag::default();
        let reports = (seconds * 2.0) as u32;
        (0..reports).find_map(|n| {
            let at = f64::from(n) / 2.0;
            let shown = Duration::from_secs_f64(at * speed);
            lag.note(Duration::from_secs_f64(at + 3.0), shown).map(|_| at)
        })
    }

    #[test]
    fn stream_that_is_decoded_too_slowly_is_noticed_soon_and_another_never() {
        // A tenth too slow: a second behind after ten, and three reports.
        assert_eq!(after(60.0, 0.9), Some(11.5));
        assert_eq!(after(36_000.0, 1.0), None);
        // A camera's clock that is slow by 500 ppm, over ten hours.
        assert_eq!(after(36_000.0, 0.999_5), None);
        assert_eq!(after(36_000.0, 1.000_5), None);
    }

    #[test]
    fn pause_that_is_caught_up_with_is_no_lag_and_one_that_stays_is() {
        let mut lag = Lag::default();
        let mut note = |at: f64, shown: f64| {
            lag.note(Duration::from_secs_f64(at), Duration::from_secs_f64(shown))
        };
        assert_eq!(note(1.0, 0.0), None);
        assert_eq!(note(3.5, 0.5), None, "nothing came for two seconds");
        assert_eq!(note(4.0, 2.9), None, "and then all at once");
        for (n, expected) in [(0, None), (1, None), (2, Some(2))] {
            let at = 7.0 + f64::from(n) / 2.0;
            let behind = note(at, at - 3.0).map(|behind| behind.as_secs_f64().round() as u32);
            assert_eq!(behind, expected, "report {n}");
        }
    }
}
