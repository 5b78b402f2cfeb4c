//! Fetches packages of models from the broker, and has them tried where policy says so.
//!
//! In: first lines and parts through [`downlink`](crate::downlink), not verified; the policy in force. Out: a package that
//! waits for a maintainer, or one that was tried. Costs: one thread that mostly waits; at most four parts under way.
//! Leaves to others: whether a package is taken up and what becomes of it (`follow.rs`).
//!
//! Nothing is fetched unless policy says so, and nothing that no signer in force has signed: the first line is verified
//! before a part is asked for, and a part is kept only if it has its signed digest. So whoever owns the broker can
//! withhold a package, and make the car ask now and then for a part that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use super::arrivals::Arrival;
use super::follow::FromFleet;
use super::install::{InstallError, NOT_VERIFIED};
use super::installed::Models;
use super::package::{Kind, PART_BYTES, Statement};
use crate::audit::Actor;
use crate::backoff::Backoff;
use crate::health::ModelFate;
use crate::inbound::{Inbound, Topic};
use crate::policy::FromBroker;
use crate::threads::Turns;
use crate::trust::Role;

/// Most parts that are asked for and have not come: 256 KiB, so that lists keep most of a slow line.
const WINDOW: usize = 4;

/// A part that was asked for this long ago makes room for another: a line of 10 kbit/s brings one in this time. It stays
/// asked for.
const MAKES_ROOM_AFTER: Duration = Duration::from_secs(60);

/// Time between two looks at what changes without a message.
pub(super) const TURN: Duration = Duration::from_millis(500);

/// Capacity of the channel from the downlink: every part under way, and the first lines.
const CHANNEL: usize = WINDOW + 4;

/// Time until a part whose bytes were not those that were signed is asked for again.
const BAD_FIRST: Duration = Duration::from_secs(60);
const BAD_MOST: Duration = Duration::from_secs(6 * 3_600);

/// So many such parts one after the other, and nothing is asked for until the broker may have better ones: a broker that
/// sends anything must not fill a mobile line.
const MOST_BAD_IN_A_ROW: u32 = 8;

/// Time until a package that could not be kept or looked at is tried again.
const DISK_FIRST: Duration = Duration::from_secs(60);
const DISK_MOST: Duration = Duration::from_secs(3_600);

/// Time until a refused first line is looked at again: who may sign, or the time, may be known then.
const LOOK_AGAIN: Duration = Duration::from_secs(60);

/// Time until a package is tried again whose trial gave no result, and how often.
const TRIAL_FIRST: Duration = Duration::from_secs(600);
const TRIAL_MOST: Duration = Duration::from_secs(24 * 3_600);
const MOST_VAIN: u32 = 5;

/// Trials that may end the program: the first may be a power cut.
const MOST_BEGUN: u32 = 2;

/// A first line that was heard.
struct Heard {
    line: Vec<u8>,
    /// Why it was refused, as it was recorded; `None` if it was not.
    refused: Option<String>,
}

/// Fetches what comes over the broker.
pub(super) struct Follower {
    models: Arc<Models>,
    from: FromFleet,
    to: SyncSender<Inbound>,
    inbound: Receiver<Inbound>,
    turns: Turns,
    look_again: Turns,
    /// Whether first lines are subscribed to.
    listens: bool,
    /// The last first line of each kind.
    heard: BTreeMap<Kind, Heard>,
    /// Parts that were asked for.
    asked: BTreeMap<(Kind, String), Instant>,
    /// Parts whose bytes were not those that were signed, and when they are asked for again.
    bad: BTreeMap<(Kind, String), (Backoff, Instant)>,
    /// Kinds whose package has room on the disk.
    room: BTreeSet<Kind>,
    /// Bad parts since the last good one.
    bad_in_a_row: u32,
    broker: Wait,
    disk: Wait,
    trial: Wait,
    trust_seen: u64,
}

/// Pauses after failures.
struct Wait {
    pauses: Backoff,
    until: Option<Instant>,
}

impl Wait {
    fn new(first: Duration, most: Duration) -> Self {
        Self { pauses: Backoff::new(first, most), until: None }
    }

    fn failed(&mut self) {
        self.until = Some(Instant::now() + self.pauses.failed());
    }

    fn worked(&mut self) {
        self.pauses.worked();
        self.until = None;
    }

    fn is_over(&self) -> bool {
        self.until.is_none_or(|until| Instant::now() >= until)
    }
}

impl Follower {
    pub(super) fn new(models: Arc<Models>, from: FromFleet) -> Self {
        let (to, inbound) = sync_channel(CHANNEL);
        Self {
            models,
            from,
            to,
            inbound,
            turns: Turns::every(TURN),
            look_again: Turns::every(LOOK_AGAIN),
            listens: false,
            heard: BTreeMap::new(),
            asked: BTreeMap::new(),
            bad: BTreeMap::new(),
            room: BTreeSet::new(),
            bad_in_a_row: 0,
            broker: Wait::new(BAD_FIRST, BAD_MOST),
            disk: Wait::new(DISK_FIRST, DISK_MOST),
            trial: Wait::new(TRIAL_FIRST, TRIAL_MOST),
            trust_seen: 0,
        }
    }

    fn rule(&self) -> FromBroker {
        self.from.policy.rules().models.from_broker
    }

    /// The kinds that this car reads with.
    fn kinds(&self) -> impl Iterator<Item = Kind> + use<> {
        let reads_issuers = self.models.config.jurisdiction().is_some();
        Kind::ALL.into_iter().filter(move |kind| *kind != Kind::Jurisdiction || reads_issuers)
    }

    /// Processes what has arrived, waiting at most for `patience`; then asks for what is missing.
    pub(super) fn turn(&mut self, patience: Duration) {
        self.obey();
        if let Ok(inbound) = self.inbound.recv_timeout(patience.min(self.turns.wait())) {
            self.dispatch(&inbound);
            // No more than the channel holds: whoever fills it must not delay what is due.
            for inbound in self.inbound.try_iter().take(CHANNEL).collect::<Vec<_>>() {
                self.dispatch(&inbound);
            }
        }
        if self.turns.is_due() {
            self.tick();
        }
        self.ask();
    }

    /// Listens as policy says. What has come and may come no more is removed.
    pub(super) fn obey(&mut self) {
        let listens = self.rule() != FromBroker::Off;
        if listens && !self.listens {
            for kind in self.kinds() {
                self.from.downlink.subscribe(Topic::Model(kind.word().into()), self.to.clone());
            }
        }
        if !listens {
            for kind in self.kinds().filter(|_| self.listens) {
                self.from.downlink.unsubscribe(&Topic::Model(kind.word().into()));
            }
            self.heard.clear();
            self.forget_where(|fate| matches!(fate, ModelFate::Fetching | ModelFate::Waiting));
        }
        self.listens = listens;
    }

    fn forget_where(&self, gone: impl Fn(ModelFate) -> bool) {
        for kind in Kind::ALL {
            let mut arrivals = self.models.arrivals();
            if arrivals.last(kind).is_some_and(|last| gone(last.fate)) {
                arrivals.forget(kind);
            }
        }
    }

    fn dispatch(&mut self, inbound: &Inbound) {
        let kind = |word: &str| Kind::ALL.into_iter().find(|kind| kind.word() == word);
        match &inbound.topic {
            Topic::Model(word) if self.listens => {
                let Some(kind) = kind(word) else { return };
                self.hear(kind, &inbound.payload);
            }
            Topic::ModelPart(word, part) => {
                let Some(kind) = kind(word) else { return };
                self.take_part(kind, part, &inbound.payload);
            }
            _ => {}
        }
    }

    fn hear(&mut self, kind: Kind, line: &[u8]) {
        // An empty message takes a package from the broker; nobody has signed that.
        if line.is_empty() || self.heard.get(&kind).is_some_and(|heard| heard.line == line) {
            return;
        }
        self.heard.insert(kind, Heard { line: line.to_owned(), refused: None });
        self.announce(kind);
    }

    fn announce(&mut self, kind: Kind) {
        let Some(heard) = self.heard.get_mut(&kind) else { return };
        let Err(e) = self.models.announce(kind, &heard.line) else {
            heard.refused = None;
            return;
        };
        if matches!(e, InstallError::Disk(_)) {
            self.disk.failed();
        }
        let why = e.to_string();
        // A refusal that names the time is not another one a minute later.
        let alike = |a: &str, b: &str| {
            let words = |text: &str| text.replace(|c: char| c.is_ascii_digit(), "");
            words(a) == words(b)
        };
        if !heard.refused.as_ref().is_some_and(|before| alike(before, &why)) {
            self.models.note_refusal(None, format!("{kind}, {NOT_VERIFIED}"), why.clone());
        }
        heard.refused = Some(why);
    }

    fn take_part(&mut self, kind: Kind, part: &str, bytes: &[u8]) {
        let key = (kind, part.to_owned());
        if self.asked.remove(&key).is_none() {
            return;
        }
        self.from.downlink.unsubscribe(&Topic::ModelPart(kind.word().into(), part.into()));
        let kept = self.models.arrivals().keep(kind, part, bytes);
        match kept {
            Ok(true) => {
                self.bad.remove(&key);
                self.bad_in_a_row = 0;
                self.broker.worked();
                self.disk.worked();
            }
            Ok(false) => {
                let fresh = || (Backoff::new(BAD_FIRST, BAD_MOST), Instant::now());
                let (pauses, until) = self.bad.entry(key).or_insert_with(fresh);
                *until = Instant::now() + pauses.failed();
                self.bad_in_a_row += 1;
                // Those that were under way when the pause began make it no longer.
                if self.bad_in_a_row >= MOST_BAD_IN_A_ROW && self.broker.is_over() {
                    self.broker.failed();
                }
                tracing::warn!(%kind, part, bytes = bytes.len(), "part of a model package is not the one that was signed");
            }
            Err(e) => {
                tracing::error!(%kind, error = %e, "part of a model package not kept");
                self.disk.failed();
            }
        }
    }

    fn tick(&mut self) {
        let changes = self.models.trust.as_ref().map_or(0, |trust| trust.changes());
        let trust_changed = std::mem::replace(&mut self.trust_seen, changes) != changes;
        if trust_changed {
            self.drop_withdrawn();
        }
        if self.look_again.is_due() || trust_changed {
            let refused = self.heard.iter().filter(|(_, heard)| heard.refused.is_some());
            for kind in refused.map(|(kind, _)| *kind).collect::<Vec<_>>() {
                self.announce(kind);
            }
        }
        let may_look = self.disk.is_over() && self.models.current_trust().is_some();
        for kind in Kind::ALL.into_iter().filter(|_| may_look) {
            self.complete(kind);
        }
        if self.rule() == FromBroker::Install && self.trial.is_over() && self.disk.is_over() {
            self.try_one();
        }
        self.look_for_room();
        self.models.tell_fleet();
    }

    /// What nobody vouches for any more is forgotten.
    fn drop_withdrawn(&self) {
        let Some(trust) = self.models.current_trust() else { return };
        for kind in Kind::ALL {
            let mut arrivals = self.models.arrivals();
            let Some(last) = arrivals.last(kind) else { continue };
            if !trust.stands(&last.signer, &Role::Models) {
                tracing::warn!(
                    package = last.words(),
                    "signer of a model package withdrawn, forgotten"
                );
                arrivals.forget(kind);
            }
        }
    }

    /// Looks at a package of which no part is missing.
    fn complete(&mut self, kind: Kind) {
        let (statement, file) = {
            let mut arrivals = self.models.arrivals();
            let Some(last) = arrivals.last(kind) else { return };
            if last.fate != ModelFate::Fetching || !arrivals.missing(kind).is_empty() {
                return;
            }
            let statement = last.statement.clone();
            (statement, arrivals.whole(kind))
        };
        let Some(file) = self.read(file) else { return };
        match self.models.look_at_whole(&file) {
            Ok(()) => {
                tracing::info!(%kind, package = statement.words(), "model package has come");
                self.models.arrivals().change(kind, |last| last.fate = ModelFate::Waiting);
            }
            Err(e) => self.not_to_be_tried(&statement, &e),
        }
    }

    /// Writes down that a package is not to be tried, unless it may be at another time.
    fn not_to_be_tried(&mut self, statement: &Statement, why: &InstallError) {
        // The time or who may sign is not known just now, and looking costs a reading of the whole.
        if why.may_pass() {
            return self.disk.failed();
        }
        if !matches!(why, InstallError::InForce(_)) {
            let package = format!("{} {}", statement.kind, statement.words());
            self.models.note_refusal(Some(Actor::System), package, why.to_string());
        }
        self.models.conclude(statement, Some(why));
    }

    /// The bytes, if the disk gave them and all were whole.
    fn read(&mut self, file: std::io::Result<Option<Vec<u8>>>) -> Option<Vec<u8>> {
        file.unwrap_or_else(|e| {
            tracing::error!(error = %e, "model package cannot be read");
            self.disk.failed();
            None
        })
    }

    /// Tries a package that waits, if now is a good time.
    fn try_one(&mut self) {
        let waiting = {
            let arrivals = self.models.arrivals();
            let due = |last: &&Arrival| last.fate == ModelFate::Waiting && last.vain < MOST_VAIN;
            arrivals.all().find(due).cloned()
        };
        let Some(waiting) = waiting else { return };
        if !self.is_good_time() {
            return;
        }
        let (kind, statement) = (waiting.statement.kind, waiting.statement);
        if waiting.begun >= MOST_BEGUN {
            return self.not_to_be_tried(&statement, &InstallError::Ended(waiting.begun));
        }
        let file = self.models.arrivals().whole(kind);
        let Some(file) = self.read(file) else { return };
        // Since it came, a person may have installed it from its file, and given it up.
        if let Err(e) = self.models.look_at_whole(&file) {
            return self.not_to_be_tried(&statement, &e);
        }
        let begun = self.models.arrivals().begin_trial(kind);
        if let Err(e) = begun {
            tracing::error!(error = %e, "model package not tried, because that cannot be written down");
            self.trial.failed();
            return;
        }
        let (_, error) = self.models.install_or_why(Actor::Author(waiting.signer), &file);
        self.models.conclude(&statement, error.as_ref());
        match error {
            Some(e) if e.may_pass() => self.trial.failed(),
            _ => self.trial.worked(),
        }
    }

    /// A trial takes a core and is timed: not while the car drives, while it is hot, or while a new package has to show
    /// in its first minute how fast it is.
    fn is_good_time(&self) -> bool {
        let cameras = &self.models.cameras;
        let hot = cameras
            .iter()
            .any(|camera| !self.models.health.camera(&camera.name).least_pause().is_zero());
        (self.from.stands)() && !hot && self.models.record().probation.is_none()
    }

    /// Looks whether what is missing has room on the disk: its parts, and the same again for the trial.
    fn look_for_room(&mut self) {
        let keeping = &self.models.keeping;
        let free = rustix::fs::statvfs(&keeping.directory).map(|s| s.f_bavail * s.f_frsize);
        let free = free.unwrap_or(0).saturating_sub(keeping.disk_reserve.get());
        let (mut why, mut needs) = (None, Vec::new());
        for kind in Kind::ALL {
            let arrivals = self.models.arrivals();
            let Some(last) = arrivals.last(kind).filter(|l| l.fate == ModelFate::Fetching) else {
                continue;
            };
            let (here, _) = arrivals.progress(kind);
            let needed = (2 * last.statement.length()).saturating_sub((here * PART_BYTES) as u64);
            needs.push((kind, needed, last.words()));
        }
        self.room = with_room(free, needs.iter().map(|(kind, needed, _)| (*kind, *needed)));
        for (_, needed, words) in needs.iter().filter(|(kind, ..)| !self.room.contains(kind)) {
            why = Some(format!(
                "{words} is not fetched: it takes {needed} bytes beside keeping.disk_reserve and what else comes, and {free} are free"
            ));
        }
        let bad = self.bad.keys().filter(|(kind, part)| {
            self.models.arrivals().missing(*kind).iter().any(|missing| missing == part)
        });
        let bad = bad.count();
        if bad > 0 {
            why = Some(format!(
                "{bad} parts at the broker are not those that were signed: publish the package again"
            ));
        }
        *self.models.not_fetched.lock().expect("no holder panics") = why;
    }

    /// Asks for missing parts, as many as the window allows; no more for those that are not missing.
    fn ask(&mut self) {
        let missing: BTreeSet<(Kind, String)> = {
            let arrivals = self.models.arrivals();
            let of = |kind: Kind| arrivals.missing(kind).into_iter().map(move |part| (kind, part));
            self.room.iter().copied().flat_map(of).collect()
        };
        let topic = |(kind, part): &(Kind, String)| {
            Topic::ModelPart(kind.word().into(), part.as_str().into())
        };
        let left: Vec<_> = self.asked.keys().filter(|k| !missing.contains(*k)).cloned().collect();
        for key in left {
            self.asked.remove(&key);
            self.from.downlink.unsubscribe(&topic(&key));
        }
        self.bad.retain(|key, _| missing.contains(key) || !self.room.contains(&key.0));
        if !self.disk.is_over() || !self.broker.is_over() {
            return;
        }
        let now = Instant::now();
        let fresh = self.asked.values().filter(|at| at.elapsed() < MAKES_ROOM_AFTER).count();
        let due = missing.into_iter().filter(|key| {
            !self.asked.contains_key(key)
                && self.bad.get(key).is_none_or(|(_, until)| now >= *until)
        });
        for key in due.take(WINDOW.saturating_sub(fresh)).collect::<Vec<_>>() {
            self.from.downlink.subscribe(topic(&key), self.to.clone());
            self.asked.insert(key, now);
        }
    }
}

/// Which of these have room in so many bytes, one beside the other.
fn with_room(mut free: u64, needs: impl Iterator<Item = (Kind, u64)>) -> BTreeSet<Kind> {
    let fits = |(kind, needed): (Kind, u64)| {
        free = free.checked_sub(needed)?;
        Some(kind)
    };
    // One that does not fit keeps a smaller one from nothing.
    needs.filter_map(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_that_come_at_once_do_not_count_on_the_same_room() {
        let needs = [(Kind::Detector, 60), (Kind::Ocr, 50), (Kind::Jurisdiction, 40)];
        let room = |free| with_room(free, needs.into_iter()).into_iter().collect::<Vec<_>>();
        assert_eq!(room(150), [Kind::Detector, Kind::Ocr, Kind::Jurisdiction]);
        assert_eq!(room(149), [Kind::Detector, Kind::Ocr]);
        assert_eq!(room(100), [Kind::Detector, Kind::Jurisdiction]);
        assert_eq!(room(59), [Kind::Ocr]);
        assert!(room(0).is_empty());
    }
}
