//! The state of the connection to the broker, and what follows from it: a state machine without
//! sockets and without a clock of its own.
//!
//! In: events, with their time on the boot clock. Out: when to try again, how many messages to send
//! without an acknowledgement, whether pictures are sent now or later. Costs: nothing.

use std::time::Duration;

use serde::Serialize;

use crate::backoff::Backoff;

/// The state of the connection, in one word for the officer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LinkState {
    /// No connection: hits wait on the disk.
    Offline,
    /// Connected, and messages are acknowledged quickly.
    Live,
    /// Connected, but acknowledgements take long: texts are sent before pictures.
    Slow,
    /// Connected, and catching up after a time without coverage: texts are sent before pictures.
    Backlog,
}

/// An event of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Happened {
    /// The broker accepted the connection.
    Connected,
    /// The connection ended, or could not be made.
    Lost,
    /// The oldest unanswered message has waited this long (zero: none is unanswered).
    Unanswered(Duration),
    /// This many messages wait in the outbox.
    Waiting(usize),
}

/// How to send in this state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Most messages that are sent without an acknowledgement.
    pub window: usize,
    /// Whether all texts go before the first picture.
    pub texts_first: bool,
    /// Only each n-th health message is sent.
    pub health_divisor: u32,
}

/// An acknowledgement that takes longer than this makes the state slow. Two round trips over a
/// satellite modem take 3 s.
const SLOW_AFTER: Duration = Duration::from_secs(5);
/// More waiting messages than this are a backlog: ten hits with their pictures.
const BACKLOG_OVER: usize = 20;
/// With fewer waiting messages the backlog is over; it is less than [`BACKLOG_OVER`], so that the
/// state does not flutter.
const BACKLOG_UNDER: usize = 5;
/// First pause after a lost connection; pauses double up to the configured longest.
const RETRY_FIRST: Duration = Duration::from_millis(500);
/// A connection that lasted this long worked: pauses start small again. After one that ends sooner
/// (a broker that accepts and disconnects), the pauses keep growing.
const PROVEN_AFTER: Duration = Duration::from_secs(10);

/// The state machine.
#[derive(Debug, Clone)]
pub struct Link {
    state: LinkState,
    /// Scattered at random, for a fleet that lost its broker at one moment.
    pauses: Backoff,
    connected_at: Duration,
    retry_at: Duration,
    slow: bool,
    waiting: usize,
}

impl Link {
    /// Starts offline, ready to try at once.
    pub fn new(retry_most: Duration, seed: u64) -> Self {
        Self {
            state: LinkState::Offline,
            pauses: Backoff::new(RETRY_FIRST, retry_most).scattered(seed),
            connected_at: Duration::ZERO,
            retry_at: Duration::ZERO,
            slow: false,
            waiting: 0,
        }
    }

    /// Takes an event that happened at `now` on the boot clock. Returns the new state.
    pub fn step(&mut self, now: Duration, happened: Happened) -> LinkState {
        match happened {
            Happened::Connected => {
                self.connected_at = now;
                self.slow = false;
                self.state = LinkState::Live;
            }
            Happened::Lost => {
                let lasted = now.saturating_sub(self.connected_at);
                if self.state != LinkState::Offline && lasted >= PROVEN_AFTER {
                    self.pauses.worked();
                }
                self.retry_at = now + self.pauses.failed();
                self.state = LinkState::Offline;
            }
            Happened::Unanswered(oldest) => self.slow = oldest > SLOW_AFTER,
            Happened::Waiting(n) => self.waiting = n,
        }
        if self.state != LinkState::Offline {
            let catching_up = match self.state {
                LinkState::Backlog => self.waiting >= BACKLOG_UNDER,
                _ => self.waiting > BACKLOG_OVER,
            };
            self.state = match (self.slow, catching_up) {
                (true, _) => LinkState::Slow,
                (false, true) => LinkState::Backlog,
                (false, false) => LinkState::Live,
            };
        }
        self.state
    }

    /// The state.
    pub fn state(&self) -> LinkState {
        self.state
    }

    /// How long to wait before the next attempt to connect.
    pub fn retry_in(&self, now: Duration) -> Duration {
        self.retry_at.saturating_sub(now)
    }

    /// How to send in this state.
    pub fn plan(&self) -> Plan {
        match self.state {
            LinkState::Offline => Plan { window: 0, texts_first: true, health_divisor: 1 },
            LinkState::Live => Plan { window: 10, texts_first: false, health_divisor: 1 },
            // Few unacknowledged messages, so that little is sent twice when the connection breaks.
            LinkState::Slow => Plan { window: 2, texts_first: true, health_divisor: 5 },
            LinkState::Backlog => Plan { window: 20, texts_first: true, health_divisor: 1 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: Duration = Duration::from_secs(60);

    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_start_small_after_a_real_connection() {
        let mut link = Link::new(MOST, 1);
        let mut now = s(100);
        let mut pauses = Vec::new();
        for _ in 0..10 {
            link.step(now, Happened::Lost);
            pauses.push(link.retry_in(now).as_secs_f64());
            now += link.retry_in(now);
        }
        for (n, pause) in pauses.iter().enumerate() {
            let whole = (0.5 * f64::from(1 << n)).min(60.0);
            assert!((whole * 0.75..=whole).contains(pause), "{n}: {pauses:?}");
        }
        link.step(now, Happened::Connected);
        link.step(now + s(11), Happened::Lost);
        assert!(link.retry_in(now + s(11)) <= RETRY_FIRST);
    }

    #[test]
    fn broker_that_lets_in_and_throws_out_is_not_hammered() {
        let mut link = Link::new(MOST, 1);
        let mut now = s(100);
        for _ in 0..12 {
            link.step(now, Happened::Connected);
            now += s(1);
            link.step(now, Happened::Lost);
            now += link.retry_in(now);
        }
        link.step(now, Happened::Lost);
        assert!(link.retry_in(now) >= s(45));
    }

    #[test]
    fn days_without_coverage_then_a_backlog_then_live() {
        let mut link = Link::new(MOST, 1);
        link.step(s(0), Happened::Lost);
        assert_eq!(link.step(s(200_000), Happened::Waiting(4_000)), LinkState::Offline);
        assert_eq!(link.plan().window, 0);
        assert_eq!(link.step(s(200_001), Happened::Connected), LinkState::Backlog);
        assert!(link.plan().texts_first);
        assert_eq!(link.step(s(200_100), Happened::Waiting(6)), LinkState::Backlog);
        assert_eq!(link.step(s(200_101), Happened::Waiting(2)), LinkState::Live);
        assert_eq!(link.step(s(200_102), Happened::Waiting(6)), LinkState::Live);
    }

    #[test]
    fn slow_line_sends_texts_first_and_recovers() {
        let mut link = Link::new(MOST, 1);
        link.step(s(1), Happened::Connected);
        assert_eq!(link.step(s(9), Happened::Unanswered(s(6))), LinkState::Slow);
        assert_eq!(link.plan(), Plan { window: 2, texts_first: true, health_divisor: 5 });
        assert_eq!(link.step(s(10), Happened::Unanswered(s(0))), LinkState::Live);
    }

    proptest! {
        #[test]
        fn never_waits_longer_than_the_longest(
            seed: u64,
            steps in prop::collection::vec((0_u64..100, 0_u8..4), 1..200)
        ) {
            let mut link = Link::new(MOST, seed);
            let mut now = s(0);
            for (wait, what) in steps {
                now += s(wait);
                link.step(now, match what {
                    0 => Happened::Connected,
                    1 => Happened::Lost,
                    2 => Happened::Unanswered(s(wait)),
                    _ => Happened::Waiting(wait as usize),
                });
                prop_assert!(link.retry_in(now) <= MOST);
                prop_assert_eq!(link.plan().window == 0, link.state() == LinkState::Offline);
            }
        }
    }
}
