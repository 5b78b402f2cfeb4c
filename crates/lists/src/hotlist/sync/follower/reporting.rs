//! What health says of a list that is followed: the version in service, its age, and what is wrong.

use std::time::Duration;

use jiff::Timestamp;

use super::{Follower, Held, Sudden};
use crate::config::HotlistConfig;
use crate::health::PartState;
use crate::hotlist::Freshness;
use crate::hotlist::turnover::TOLD_FOR;

/// Time without a chunk after which missing ones are reported: the broker sends what it has within
/// seconds, even over a slow connection.
const OVERDUE: Duration = Duration::from_secs(60);

impl Follower {
    /// Reports the list's state in health.
    pub(super) fn report_to_health(&self) {
        let now = self.parts.clock.now().wall;
        let part = format!("hotlist/{}", self.parts.config.name);
        self.parts.health.set(&part, self.state(now));
    }

    fn state(&self, now: Timestamp) -> PartState {
        let standing = self.parts.clock.standing();
        let serves = |held: &&Held| {
            let dated = held.manifest.dated(held.manifest.version);
            held.manifest.expires > now && !held.withdrawn && dated.check(&standing).is_ok()
        };
        let serving = self.held.as_ref().filter(serves);
        let trouble = self.trouble();
        let fetching = self.wanted.as_ref().map(|wanted| {
            let (version, missing) = (wanted.manifest.version, wanted.missing.len());
            format!("fetching version {version}, chunks still missing: {missing}")
        });
        match (serving, &self.held, trouble, fetching) {
            (Some(held), _, Some(trouble), _) => PartState::Impaired(format!(
                "{trouble}; version {} of {} serves",
                held.manifest.version, held.manifest.source_time
            )),
            (Some(held), _, None, _) => self.impaired(held, now),
            (None, Some(held), trouble, _) if held.manifest.expires > now => {
                let version = held.manifest.version;
                let trouble = trouble.unwrap_or_else(|| "it is dated in the future".into());
                PartState::Down(format!("{trouble}; version {version} is out of service"))
            }
            (None, Some(held), trouble, _) => PartState::Down(format!(
                "version {} expired at {}{}",
                held.manifest.version,
                held.manifest.expires,
                trouble.map_or(String::new(), |t| format!("; {t}"))
            )),
            (None, None, Some(trouble), _) => PartState::Down(trouble),
            (None, None, None, Some(fetching)) => PartState::Down(fetching),
            (None, None, None, None) => {
                PartState::Down("nothing has arrived from the broker yet".into())
            }
        }
    }

    fn trouble(&self) -> Option<String> {
        if let Some(Held { lost: lost @ 1.., manifest, .. }) = &self.held {
            let (version, entries) = (manifest.version, manifest.counts.entries);
            let missing = self.wanted.as_ref().map_or(0, |wanted| wanted.missing.len());
            return Some(format!(
                "version {version} is damaged on the disk: {lost} of {entries} entries are left out until it \
                 is complete again, chunks still missing: {missing}"
            ));
        }
        if let Some(refused) = &self.refused {
            return Some(refused.to_string());
        }
        if let Some(wanted) = &self.wanted {
            let version = wanted.manifest.version;
            if let Some(bad) = wanted.bad.values().next() {
                return Some(format!("version {version} is not complete: {bad}"));
            }
            let quiet = self.parts.clock.now().monotonic.saturating_sub(wanted.moved);
            if quiet >= OVERDUE {
                return Some(format!(
                    "version {version} is not complete: chunks that do not arrive: {}",
                    wanted.missing.len()
                ));
            }
        }
        if self.held.as_ref().is_some_and(|held| held.withdrawn) {
            return Some(
                "its author's key is withdrawn: have another author publish a version".into(),
            );
        }
        if let Some(version) = self.gone {
            return Some(format!(
                "version {version} was in force and is missing from the disk: waiting for it or a newer one"
            ));
        }
        self.disk.as_ref().map(|e| format!("the list cannot be written to the disk: {e}"))
    }

    /// The state of a list that is in service.
    fn impaired(&self, held: &Held, now: Timestamp) -> PartState {
        let told = |sudden: &&Sudden| {
            let left = sudden.since.duration_until(now);
            left.as_secs() < TOLD_FOR.as_secs() as i64
        };
        let sudden = self.sudden.as_ref().filter(told).map(|sudden| sudden.what.clone());
        match (self.aged(held, now), sudden) {
            (PartState::Impaired(aged), Some(sudden)) => {
                PartState::Impaired(format!("{aged}; {sudden}"))
            }
            (PartState::Working, Some(sudden)) => PartState::Impaired(sudden),
            (state, _) => state,
        }
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
