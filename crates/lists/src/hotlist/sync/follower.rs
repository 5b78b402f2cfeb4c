//! Follows one list from the broker into service: a state machine without sockets and threads.
//!
//! In: manifests and chunks as they arrive, the time. Out: which chunks to request; a list in
//! service, replaced as a whole. Whatever is wrong with what arrives, the list in service stays,
//! and health says what is wrong.
//!
//! ```text
//! manifest ─ check ─┬─ refused: said, nothing changes
//!                   └─ verified: its revocations are in force from here on
//!                        └─ wanted (on disk) ─ pages ─ chunks, each proven as it comes
//!                             └─ all there: index built aside ─ held (on disk) ─ in service ─ sweep
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::cache::{Cache, State, Sudden};
use super::check::{Known, SyncError, Verified};
use super::fault;
use super::wanted::{self, Here, Wanted};
use crate::audit::{Actor, Audit, AuditEvent};
use crate::backoff::Backoff;
use crate::clock::Clock;
use crate::config::HotlistConfig;
use crate::dated::MOST_FIRST;
use crate::dsse::{Envelope, KeyId};
use crate::entry::Matching;
use crate::health::Health;
use crate::hotlist::blocks::MemorySeal;
use crate::hotlist::chunked::{self, Revoked};
use crate::hotlist::format::{Address, ListKeys, Manifest};
use crate::hotlist::turnover::sudden_change;
use crate::hotlist::{Hotlist, Hotlists, ListStamp};
use crate::policy::ListRules;
use crate::trust::HeldTrust;

mod author;
mod reporting;

/// What a follower works with.
pub(super) struct Parts {
    pub(super) config: HotlistConfig,
    pub(super) agency: String,
    pub(super) keys: Arc<ListKeys>,
    /// The key that encrypts chunks while they are in memory.
    pub(super) seal: Arc<MemorySeal>,
    pub(super) cache: Cache,
    pub(super) trust: Arc<HeldTrust>,
    pub(super) service: Arc<Hotlists>,
    pub(super) audit: Option<Audit>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Arc<Health>,
}

/// The version in service.
struct Held {
    manifest: Manifest,
    message: String,
    here: Here,
    /// Number of its entries that are left out, because their chunks are damaged on the disk.
    lost: u64,
    /// Whether the key that signed it has been withdrawn.
    withdrawn: bool,
}

/// What the disk has refused and still has to take.
struct Owed {
    /// Chunks and pages that are in memory only.
    chunks: BTreeSet<Address>,
    /// Whether the state on the disk is older than the version in service.
    state: bool,
    /// When writing is tried again, on the boot clock.
    until: Option<Duration>,
    pauses: Backoff,
}

impl Default for Owed {
    fn default() -> Self {
        let pauses = Backoff::new(DISK_AGAIN_FIRST, DISK_AGAIN_MOST);
        Self { chunks: BTreeSet::new(), state: false, until: None, pauses }
    }
}

/// First pause before the disk is tried again: each attempt fetches the refused chunks from the
/// broker again.
const DISK_AGAIN_FIRST: Duration = Duration::from_secs(5);
const DISK_AGAIN_MOST: Duration = Duration::from_secs(300);

/// One list.
pub(super) struct Follower {
    parts: Parts,
    /// The highest verified version, by the key that signed it.
    floors: BTreeMap<KeyId, u64>,
    /// The highest verified version by an author who is no longer known.
    floor: u64,
    held: Option<Held>,
    wanted: Option<Wanted>,
    /// The newest verified manifest, and its message: its revocations are in force.
    newest: Option<(Manifest, String)>,
    /// The last message that could not be followed; it is examined again when trust changes or a
    /// person confirms.
    put_off: Option<Vec<u8>>,
    refused: Option<SyncError>,
    /// The error of the disk when it last refused something.
    disk: Option<String>,
    /// What the disk still has to take before the version in service replaces the one before on the
    /// disk.
    owed: Owed,
    /// The message with the manifest in service according to the state on the disk: all of it is on
    /// the disk.
    on_disk: Option<String>,
    /// The version that was in force and of which nothing is left.
    gone: Option<u64>,
    /// A sudden change that is being reported.
    sudden: Option<Sudden>,
    trust_seen: u64,
    /// Whether somebody vouched for the time at the last check.
    vouched_seen: bool,
    confirmed_seen: Option<u64>,
    /// The policy's rules for the list at the last check.
    rules_seen: ListRules,
    /// The refusal that was recorded last: the broker sends a bad manifest again and again.
    noted: Option<String>,
}

impl Follower {
    /// Resumes a list: what was in service before is put in service again, before any network, and
    /// fetching continues.
    pub(super) fn open(parts: Parts) -> Self {
        let mut this = Self {
            floors: BTreeMap::new(),
            floor: 0,
            held: None,
            wanted: None,
            newest: None,
            put_off: None,
            refused: None,
            disk: None,
            owed: Owed::default(),
            on_disk: None,
            gone: None,
            sudden: None,
            trust_seen: 0,
            vouched_seen: false,
            confirmed_seen: None,
            rules_seen: ListRules::default(),
            noted: None,
            parts,
        };
        this.resume();
        this.report_to_health();
        this
    }

    /// The list's name.
    pub(super) fn name(&self) -> &str {
        &self.parts.config.name
    }

    fn resume(&mut self) {
        self.gone = self.parts.cache.lost_version();
        if let Some(version) = self.gone {
            error!(list = self.name(), version, "hotlist that was in service is gone, fetching");
        }
        let state = self.parts.cache.state().unwrap_or_else(|e| {
            self.disk = Some(e.to_string());
            State::default()
        });
        self.parts.cache.set_damaged_aside();
        self.sudden = self.parts.cache.sudden();
        self.on_disk = state.held.clone();
        self.floors = state.floors;
        // The state was written before versions were kept by key. A version that leaves no room for
        // others is not counted.
        if self.floors.is_empty() {
            self.floor = state.highest.min(MOST_FIRST);
        }
        self.confirmed_seen = self.confirmed();
        self.trust_seen = self.parts.trust.changes();
        self.vouched_seen = self.parts.clock.standing().vouched();
        self.rules_seen = self.rules();
        if let Some(message) = state.held {
            // This car sealed it, so it was verified before.
            if let Some(manifest) = parse(&message) {
                self.newest = Some((manifest.clone(), message));
                let mut again = self.wanted(manifest);
                again.collect_present(&self.parts, None);
                match again.missing.first() {
                    None => self.serve(again, false),
                    Some(address) => {
                        warn!(list = self.name(), %address, "cached list is not whole, fetching");
                        self.serve_in_part(again);
                    }
                }
            }
        }
        if let Some(message) = state.newest {
            self.process_manifest(message.as_bytes());
        }
    }

    fn wanted(&self, manifest: Manifest) -> Wanted {
        Wanted::new(manifest, self.parts.clock.now().monotonic)
    }

    /// Takes a message from the manifest's topic.
    pub(super) fn manifest(&mut self, message: &[u8]) {
        self.process_manifest(message);
        self.report_to_health();
    }

    fn process_manifest(&mut self, message: &[u8]) {
        let now = self.parts.clock.standing();
        let trust = self.parts.trust.current();
        let known = Known {
            config: &self.parts.config,
            agency: &self.parts.agency,
            keys: &self.parts.keys,
            trust: trust.as_deref(),
            highest: self.highest(),
            // A list that was taken out of service is not compared with.
            held: self.held.as_ref().filter(|held| !held.withdrawn).map(|held| &held.manifest),
            rules: self.rules(),
            confirmed: self.confirmed(),
            now,
        };
        let verified = known.check(message).and_then(|verified| {
            let two_faced = |other: &Manifest| {
                other.version == verified.manifest.version && *other != verified.manifest
            };
            match self.newest.iter().any(|(newest, _)| two_faced(newest)) {
                true => Err(SyncError::TwoFaced {
                    list: verified.manifest.list,
                    version: verified.manifest.version,
                }),
                false => Ok(verified),
            }
        });
        self.refused = None;
        match verified {
            Ok(verified) => self.follow(verified, message),
            Err(e) => {
                if self.note_refusal(None, &e) {
                    warn!(list = self.name(), error = %e, "hotlist version refused");
                }
                // With a trust document, or another one, the result may differ.
                self.put_off = Some(message.to_vec());
                self.refused = Some(e);
            }
        }
    }

    fn follow(&mut self, verified: Verified, message: &[u8]) {
        let Verified { manifest, author, obstacle } = verified;
        let floor = self.floors.entry(author.clone()).or_default();
        *floor = manifest.version.max(*floor);
        if self.newest.as_ref().is_none_or(|(newest, _)| *newest != manifest) {
            info!(
                list = self.name(),
                version = manifest.version,
                entries = manifest.counts.entries,
                revoked = manifest.revoked.len(),
                author = %author,
                "hotlist version verified"
            );
            let text = String::from_utf8_lossy(message).into_owned();
            self.newest = Some((manifest.clone(), text));
            self.revoke();
            if !manifest.revoked.is_empty() {
                let event = AuditEvent::ListRevoked {
                    list: manifest.list.clone(),
                    version: manifest.version.to_string(),
                    entries: manifest.revoked.len() as u64,
                };
                self.note(Actor::Author(author.clone()), event);
            }
        }
        if let Some(obstacle) = obstacle {
            if self.note_refusal(Some(manifest.version), &obstacle) {
                warn!(list = self.name(), error = %obstacle, "hotlist version held back");
            }
            self.put_off = Some(message.to_vec());
            self.refused = Some(obstacle);
            self.wanted = None;
            self.keep();
            return;
        }
        self.put_off = None;
        if self.held.as_ref().is_some_and(|held| held.manifest == manifest && held.lost == 0) {
            self.wanted = None;
            return;
        }
        if self.wanted.as_ref().is_some_and(|wanted| wanted.manifest == manifest) {
            return;
        }
        fault::step("verified");
        let mut wanted = self.wanted(manifest);
        wanted.collect_present(&self.parts, self.held.as_ref().map(|held| &held.here));
        self.wanted = Some(wanted);
        self.keep();
        fault::step("wanted");
        self.finish_if_whole();
    }

    /// Takes a chunk or page that arrived.
    pub(super) fn chunk(&mut self, address: Address, bytes: &[u8]) {
        if self.owed.chunks.contains(&address) {
            return self.rewrite_chunk(address, bytes);
        }
        let Some(wanted) = &mut self.wanted else { return };
        if !wanted.missing.contains(&address) {
            return;
        }
        wanted.moved = self.parts.clock.now().monotonic;
        match wanted.accept(&self.parts, address, bytes) {
            Ok(()) => {
                wanted.bad.remove(&address);
                if let Err(e) = self.parts.cache.keep_chunk(&address, bytes) {
                    self.disk_failed(&e);
                    self.owed.chunks.insert(address);
                    self.put_off_disk();
                }
                self.finish_if_whole();
            }
            Err(e) => {
                let version = wanted.manifest.version;
                let (list, why) = (self.parts.config.name.clone(), e.to_string());
                wanted.bad.insert(address, e);
                let kind = format!("list/{list}/chunk");
                let event = AuditEvent::ListRefused {
                    list,
                    version: version.to_string(),
                    why: why.clone(),
                };
                if self.parts.audit.as_ref().is_none_or(|audit| audit.refused(&kind, event)) {
                    warn!(list = self.name(), version, error = why, "chunk refused");
                }
            }
        }
        self.report_to_health();
    }

    /// The addresses to request from the broker, pages first: those that are missing, and now and
    /// then those that the disk has not taken.
    pub(super) fn missing(&self) -> impl Iterator<Item = Address> {
        let due = self.owed.until.is_some_and(|until| self.parts.clock.now().monotonic >= until);
        let again = self.owed.chunks.iter().copied().filter(move |_| due);
        self.wanted.iter().flat_map(|wanted| wanted.missing.iter().copied()).chain(again)
    }

    /// Takes again a chunk that is in memory and that the disk has not taken.
    fn rewrite_chunk(&mut self, address: Address, bytes: &[u8]) {
        let versions = self.wanted.as_ref().map(|wanted| &wanted.manifest);
        let versions = versions.into_iter().chain(self.held.as_ref().map(|held| &held.manifest));
        let proven = versions
            .into_iter()
            .any(|manifest| wanted::proves(&self.parts, manifest, address, bytes));
        if !proven {
            return;
        }
        match self.parts.cache.keep_chunk(&address, bytes) {
            Ok(()) => {
                self.owed.chunks.remove(&address);
                if self.owed.chunks.is_empty() {
                    self.settle();
                }
            }
            Err(e) => {
                self.disk_failed(&e);
                self.put_off_disk();
            }
        }
        self.report_to_health();
    }

    /// After the disk has refused, waits a while before the next attempt.
    fn put_off_disk(&mut self) {
        let now = self.parts.clock.now().monotonic;
        if self.owed.until.is_none_or(|until| now >= until) {
            self.owed.until = Some(now + self.owed.pauses.failed());
        }
    }

    /// Commits the version in service once all of it is on the disk; then the one before may be
    /// removed.
    fn settle(&mut self) {
        let named: BTreeSet<_> = self.addresses_in_use().collect();
        self.owed.chunks.retain(|address| named.contains(address));
        self.owed.state = true;
        if self.keep() && self.owed.chunks.is_empty() {
            self.owed = Owed::default();
            self.sweep();
        } else {
            self.put_off_disk();
        }
    }

    /// The addresses of the version in service and of the one that is fetched, as far as they are
    /// here.
    fn addresses_in_use(&self) -> impl Iterator<Item = Address> {
        let held = self.held.iter().flat_map(|held| held.here.addresses());
        held.chain(self.wanted.iter().flat_map(|wanted| wanted.here.addresses()))
    }

    /// Reacts to what time, people, policy and the trust document have changed.
    pub(super) fn tick(&mut self) {
        let (trust, confirmed) = (self.parts.trust.changes(), self.confirmed());
        let rules = self.rules();
        if trust != self.trust_seen {
            self.check_author();
        }
        // A manifest that was dated later than a wrong clock may be valid now.
        let vouched = self.parts.clock.standing().vouched();
        let news = trust != self.trust_seen
            || vouched && !std::mem::replace(&mut self.vouched_seen, vouched)
            || confirmed != self.confirmed_seen
            || rules != self.rules_seen;
        if news {
            (self.trust_seen, self.confirmed_seen) = (trust, confirmed);
            self.rules_seen = rules;
            if let Some(message) = self.put_off.take() {
                self.process_manifest(&message);
            } else if let Some(before) = self.wanted.take()
                && let Some((_, message)) = self.newest.clone()
            {
                // Its author may have been withdrawn, or policy may refuse such a change now.
                self.process_manifest(message.as_bytes());
                // Otherwise fetching continues: what is here stays, and so does the knowledge of
                // what is bad. The broker does not send that again, so nothing else would report
                // it.
                if self.wanted.as_ref().is_some_and(|wanted| wanted.manifest == before.manifest) {
                    self.wanted = Some(before);
                }
            }
        }
        let now = self.parts.clock.now();
        if self.owed.state
            && self.owed.chunks.is_empty()
            && self.owed.until.is_some_and(|until| now.monotonic >= until)
        {
            self.settle();
        }
        let now = now.wall;
        let name = &self.parts.config.name;
        if let Some(held) = self.held.as_ref().filter(|held| held.manifest.expires <= now)
            && self.parts.service.remove(name)
        {
            error!(list = name, version = held.manifest.version, "hotlist expired, out of service");
        }
        // It was accepted while nobody knew the time, and is dated later than now.
        let standing = self.parts.clock.standing();
        let ahead =
            |held: &&Held| held.manifest.dated(held.manifest.version).check(&standing).is_err();
        if let Some(held) = self.held.as_ref().filter(ahead)
            && self.parts.service.remove(name)
        {
            let (version, issued) = (held.manifest.version, held.manifest.issued);
            error!(list = name, version, %issued, "hotlist dated in the future, out of service");
        }
        self.report_to_health();
    }

    /// The policy's rules for the list now.
    fn rules(&self) -> ListRules {
        self.parts.service.rules_of(self.name())
    }

    fn confirmed(&self) -> Option<u64> {
        self.parts.cache.confirmation().ok().flatten().map(|c| c.version)
    }

    fn finish_if_whole(&mut self) {
        if self.wanted.as_ref().is_some_and(|wanted| wanted.missing.is_empty())
            && let Some(wanted) = self.wanted.take()
        {
            self.serve(wanted, true);
        }
    }

    /// Builds the list, commits it, puts it in service.
    fn serve(&mut self, wanted: Wanted, commit: bool) {
        fault::step("whole");
        let layers = wanted.layers();
        let in_part = !wanted.missing.is_empty();
        let Wanted { manifest, here, .. } = wanted;
        let built = match in_part {
            true => chunked::build_in_part(&manifest, &layers, &here.chunks),
            false => chunked::build(&manifest, &layers, &here.chunks),
        };
        let built = match built {
            Ok(built) => built,
            Err(e) => {
                let e = SyncError::from(e);
                if self.note_refusal(Some(manifest.version), &e) {
                    let version = manifest.version;
                    error!(list = self.name(), version, error = %e, "hotlist refused");
                }
                self.refused = Some(e);
                return;
            }
        };
        fault::step("built");
        let config = &self.parts.config;
        let list = Hotlist::chunked(
            self.stamp(&manifest),
            self.matching(&manifest),
            (config.amber_after.get(), config.red_after.get()),
            built,
            self.revoked(),
        );
        let (version, entries, source_time) = (manifest.version, list.len(), manifest.source_time);
        let expired = manifest.expires <= self.parts.clock.now().wall;
        let newest = self.newest.as_ref().filter(|(newest, _)| *newest == manifest);
        let message = newest.map(|(_, message)| message.clone()).unwrap_or_default();
        let signer = Envelope::parse_remembered(message.as_bytes()).ok();
        let signer = signer.and_then(|envelope| envelope.signers().next().cloned());
        self.gone = None;
        let lost = manifest.counts.entries.saturating_sub(entries as u64);
        self.held = Some(Held { manifest, message, here, lost, withdrawn: false });
        self.check_author();
        let stands = self.held.as_ref().is_some_and(|held| !held.withdrawn);
        let mut sudden = None;
        if !expired && stands {
            sudden = self.report_sudden_change(&list);
            self.parts.service.put(list);
        }
        if commit {
            self.settle();
        }
        self.report_to_health();
        fault::step("in-service");
        info!(list = self.name(), version, entries, "hotlist in service");
        if commit {
            let event = AuditEvent::ListServed {
                list: self.name().to_owned(),
                version: version.to_string(),
                entries: entries as u64,
                source_time,
                sudden,
            };
            self.note(signer.map_or(Actor::System, Actor::Author), event);
        }
    }

    /// Puts the undamaged part of a version in service, and fetches the rest. Entries that the
    /// damaged part may have removed or changed are left out.
    fn serve_in_part(&mut self, again: Wanted) {
        let mut part = self.wanted(again.manifest.clone());
        (part.here, part.missing) = (again.here.clone(), again.missing.clone());
        if !part.here.is_empty() {
            self.serve(part, false);
        }
        self.wanted = Some(again);
    }

    /// Reports it if a list that replaces another version changes much at once, from now on and
    /// after a restart.
    fn report_sudden_change(&mut self, after: &Hotlist) -> Option<String> {
        let lists = self.parts.service.lists();
        let before = lists.iter().find(|list| *list.stamp().name == *self.name())?;
        if before.stamp().version == after.stamp().version {
            return None;
        }
        let what = sudden_change(before, after)?;
        warn!(list = self.name(), change = what, "hotlist changed suddenly");
        let sudden = Sudden { what: what.clone(), since: self.parts.clock.now().wall };
        if let Err(e) = self.parts.cache.keep_sudden(&sudden) {
            self.disk_failed(&e);
        }
        self.sudden = Some(sudden);
        Some(what)
    }

    /// Puts the revocations of the newest manifest in force, without building anything.
    fn revoke(&self) {
        self.parts.service.revoke(self.name(), self.revoked().as_ref());
    }

    fn revoked(&self) -> Option<Revoked> {
        let newest = self.newest.as_ref();
        newest.and_then(|(newest, _)| Revoked::of(newest, &self.parts.keys))
    }

    fn note(&self, who: Actor, event: AuditEvent) {
        if let Some(audit) = &self.parts.audit {
            audit.note(who, event);
        }
    }

    /// Records a refusal. Returns whether it deserves a line in the log too: the same refusal again
    /// does not, and of many in a short time the audit log counts the rest.
    fn note_refusal(&mut self, version: Option<u64>, why: &SyncError) -> bool {
        let why = why.to_string();
        if self.noted.as_ref() == Some(&why) {
            return false;
        }
        self.noted = Some(why.clone());
        let version = version.map_or("not believed".into(), |v| v.to_string());
        let list = self.name().to_owned();
        let kind = format!("list/{list}");
        let event = AuditEvent::ListRefused { list, version, why };
        self.parts.audit.as_ref().is_none_or(|audit| audit.refused(&kind, event))
    }

    /// Commits the state of the list, but never names a version in service of which the disk lacks
    /// something. Returns whether the disk took it.
    fn keep(&mut self) -> bool {
        let held = match self.owed.chunks.is_empty() {
            true => self.held.as_ref().map(|held| held.message.clone()),
            false => self.on_disk.clone(),
        };
        let newest = self.newest.as_ref().map(|(_, message)| message.clone());
        let newest = newest.filter(|newest| Some(newest) != held.as_ref());
        let state =
            State { v: 1, highest: self.highest(), floors: self.floors.clone(), held, newest };
        match self.parts.cache.keep_state(&state) {
            Ok(()) => {
                self.on_disk = state.held;
                if self.owed.chunks.is_empty() {
                    self.disk = None;
                }
                true
            }
            Err(e) => {
                self.disk_failed(&e);
                false
            }
        }
    }

    fn disk_failed(&mut self, e: &io::Error) {
        error!(list = self.name(), error = %e, "hotlist not kept on disk");
        self.disk = Some(e.to_string());
    }

    fn sweep(&mut self) {
        match self.parts.cache.sweep(&self.addresses_in_use().collect()) {
            Ok(0) => {}
            Ok(gone) => info!(list = self.name(), gone, "chunks of old versions removed"),
            Err(e) => self.disk_failed(&e),
        }
    }

    fn stamp(&self, manifest: &Manifest) -> ListStamp {
        ListStamp {
            name: self.parts.config.name.as_str().into(),
            version: manifest.version.to_string().into(),
            source_time: manifest.source_time,
        }
    }

    /// The stricter of what the car's settings and the author allow.
    fn matching(&self, manifest: &Manifest) -> Matching {
        manifest.matching.min(self.parts.config.matching)
    }
}

/// The manifest in a message that this car has verified before.
pub(super) fn parse(message: &str) -> Option<Manifest> {
    let envelope = Envelope::parse_remembered(message.as_bytes()).ok()?;
    Manifest::parse(envelope.unverified_payload()).ok()
}
