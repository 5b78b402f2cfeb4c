//! What health says of a list that is followed: which version serves, how old, and what is wrong.

use std::time::Duration;

use jiff::Timestamp;

use super::{Follower, Held};
use crate::config::HotlistConfig;
use crate::health::PartState;
use crate::hotlist::Freshness;

/// Time without a chunk after which those that are missing are said to be: the broker sends what it
/// has within seconds, also over a slow line.
const OVERDUE: Duration = Duration::from_secs(60);

impl Follower {
    /// Says in health how the list stands.
    pub(super) fn tell(&self) {
        let now = self.parts.clock.now().wall;
        let part = format!("hotlist/{}", self.parts.config.name);
        self.parts.health.set(&part, self.state(now));
    }

    fn state(&self, now: Timestamp) -> PartState {
        let serving = self.held.as_ref().filter(|held| held.manifest.expires > now);
        let trouble = self.trouble();
        let fetching = self.wanted.as_ref().map(|wanted| {
            let (version, missing) = (wanted.manifest.version, wanted.missing.len());
            format!("fetching version {version}, chunks to come: {missing}")
        });
        match (serving, &self.held, trouble, fetching) {
            (Some(held), _, Some(trouble), _) => PartState::Impaired(format!(
                "{trouble}; version {} of {} serves",
                held.manifest.version, held.manifest.source_time
            )),
            (Some(held), _, None, _) => self.aged(held, now),
            (None, Some(held), trouble, _) => PartState::Down(format!(
                "version {} expired at {}{}",
                held.manifest.version,
                held.manifest.expires,
                trouble.map_or(String::new(), |t| format!("; {t}"))
            )),
            (None, None, Some(trouble), _) => PartState::Down(trouble),
            (None, None, None, Some(fetching)) => PartState::Down(fetching),
            (None, None, None, None) => {
                PartState::Down("nothing has come from the broker yet".into())
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        if let Some(refused) = &self.refused {
            return Some(refused.to_string());
        }
        if let Some(wanted) = &self.wanted {
            let version = wanted.manifest.version;
            if let Some(bad) = wanted.bad.values().next() {
                return Some(format!("version {version} is not whole: {bad}"));
            }
            let quiet = self.parts.clock.now().monotonic.saturating_sub(wanted.moved);
            if quiet >= OVERDUE {
                return Some(format!(
                    "version {version} is not whole: chunks that do not come: {}",
                    wanted.missing.len()
                ));
            }
        }
        if self.held.as_ref().is_some_and(|held| held.withdrawn) {
            return Some(
                "its author's key is withdrawn: have another author publish a version".into(),
            );
        }
        self.disk.as_ref().map(|e| format!("the disk does not take the list: {e}"))
    }

    fn aged(&self, held: &Held, now: Timestamp) -> PartState {
        let config = &self.parts.config;
        let (word, limit) = match freshness(held.manifest.source_time, config, now) {
            Freshness::Fresh => return PartState::Working,
            Freshness::Amber => ("old", config.amber_after),
            Freshness::Red => ("stale", config.red_after),
        };
        let since = held.manifest.source_time;
        PartState::Impaired(format!(
            "the list is {word}: its source is of {since}, more than {limit} ago"
        ))
    }
}

fn freshness(source: Timestamp, config: &HotlistConfig, now: Timestamp) -> Freshness {
    Freshness::of(source, now, config.amber_after.get(), config.red_after.get())
}
