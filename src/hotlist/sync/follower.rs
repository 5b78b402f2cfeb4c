//! One list on its way from the broker into service: a state machine without sockets and threads.
//!
//! In: manifests and chunks as they come, the time. Out: which chunks to ask for; a list in service,
//! replaced as a whole. Whatever is wrong with what comes, the list that serves goes on serving, and
//! health says what is wrong.
//!
//! ```text
//! manifest ─ check ─┬─ refused: said, nothing changes
//!                   └─ verified: its revocations are in force from here on
//!                        └─ wanted (on disk) ─ pages ─ chunks, each proven as it comes
//!                             └─ all there: index built aside ─ held (on disk) ─ in service ─ sweep
//! ```

use std::io;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::cache::{Cache, Confirmation, State};
use super::check::{Known, SyncError, Verified};
use super::fault;
use super::wanted::{Here, Wanted};
use crate::audit::{Actor, Audit, AuditEvent, Change};
use crate::clock::Clock;
use crate::config::HotlistConfig;
use crate::dsse::Envelope;
use crate::health::Health;
use crate::hotlist::blocks::MemorySeal;
use crate::hotlist::chunked::{self, Revoked};
use crate::hotlist::format::{Address, ListKeys, MANIFEST_TYPE, Manifest};
use crate::hotlist::{Hotlist, Hotlists, ListStamp, Matching};
use crate::policy::ListRules;
use crate::trust::{HeldTrust, Role};

mod telling;

/// What a follower works with.
pub(super) struct Parts {
    pub(super) config: HotlistConfig,
    pub(super) agency: String,
    pub(super) keys: Arc<ListKeys>,
    /// What chunks are sealed with while they are in memory.
    pub(super) seal: Arc<MemorySeal>,
    pub(super) cache: Cache,
    pub(super) trust: Arc<HeldTrust>,
    pub(super) service: Arc<Hotlists>,
    pub(super) audit: Option<Audit>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) health: Arc<Health>,
}

/// The version that serves.
struct Held {
    manifest: Manifest,
    message: String,
    here: Here,
    /// Whether the key that signed it may sign no more.
    withdrawn: bool,
}

/// One list.
pub(super) struct Follower {
    parts: Parts,
    highest: u64,
    held: Option<Held>,
    wanted: Option<Wanted>,
    /// The newest manifest that was verified, and its message: what it revokes is in force.
    newest: Option<(Manifest, String)>,
    /// What came last and could not be followed, to be looked at again when trust changes or a person
    /// confirms.
    put_off: Option<Vec<u8>>,
    refused: Option<SyncError>,
    /// What the disk said when it did not take something.
    disk: Option<String>,
    trust_seen: u64,
    confirmed_seen: Option<u64>,
    /// What policy said of the list when it was looked at last.
    rules_seen: ListRules,
    /// The refusal that was written down last: the broker sends a bad manifest again and again.
    noted: Option<String>,
}

impl Follower {
    /// Takes a list up where it was: what served before serves again, before any network; what was
    /// being fetched is gone on with.
    pub(super) fn open(parts: Parts) -> Self {
        let mut this = Self {
            highest: 0,
            held: None,
            wanted: None,
            newest: None,
            put_off: None,
            refused: None,
            disk: None,
            trust_seen: 0,
            confirmed_seen: None,
            rules_seen: ListRules::default(),
            noted: None,
            parts,
        };
        this.resume();
        this.tell();
        this
    }

    /// The list's name.
    pub(super) fn name(&self) -> &str {
        &self.parts.config.name
    }

    fn resume(&mut self) {
        let state = self.parts.cache.state().unwrap_or_else(|e| {
            self.disk = Some(e.to_string());
            State::default()
        });
        self.highest = state.highest;
        self.confirmed_seen = self.confirmed();
        self.trust_seen = self.parts.trust.changes();
        self.rules_seen = self.rules();
        if let Some(message) = state.held {
            // Ours: it was verified before it was sealed.
            if let Some(manifest) = parse(&message) {
                self.newest = Some((manifest.clone(), message));
                let mut again = self.wanted(manifest);
                again.look_around(&self.parts, None);
                match again.missing.first() {
                    None => self.serve(again, false),
                    Some(address) => {
                        warn!(list = self.name(), %address, "cached list is not whole, fetching");
                        self.wanted = Some(again);
                    }
                }
            }
        }
        if let Some(message) = state.newest {
            self.take(message.as_bytes());
        }
    }

    fn wanted(&self, manifest: Manifest) -> Wanted {
        Wanted::new(manifest, self.parts.clock.now().monotonic)
    }

    /// A message from the manifest's topic.
    pub(super) fn manifest(&mut self, message: &[u8]) {
        self.take(message);
        self.tell();
    }

    fn take(&mut self, message: &[u8]) {
        let now = self.parts.clock.now().wall;
        let trust = self.parts.trust.current();
        let known = Known {
            config: &self.parts.config,
            agency: &self.parts.agency,
            keys: &self.parts.keys,
            trust: trust.as_deref(),
            highest: self.highest,
            held: self.held.as_ref().map(|held| &held.manifest),
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
                warn!(list = self.name(), error = %e, "hotlist version refused");
                self.note_refusal(None, &e);
                // Without trust, or with another, it may be another matter.
                self.put_off = Some(message.to_vec());
                self.refused = Some(e);
            }
        }
    }

    fn follow(&mut self, verified: Verified, message: &[u8]) {
        let Verified { manifest, author, obstacle } = verified;
        self.highest = self.highest.max(manifest.version);
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
            warn!(list = self.name(), error = %obstacle, "hotlist version held back");
            self.note_refusal(Some(manifest.version), &obstacle);
            self.put_off = Some(message.to_vec());
            self.refused = Some(obstacle);
            self.wanted = None;
            self.keep();
            return;
        }
        self.put_off = None;
        if self.held.as_ref().is_some_and(|held| held.manifest == manifest) {
            self.wanted = None;
            return;
        }
        if self.wanted.as_ref().is_some_and(|wanted| wanted.manifest == manifest) {
            return;
        }
        fault::step("verified");
        let mut wanted = self.wanted(manifest);
        wanted.look_around(&self.parts, self.held.as_ref().map(|held| &held.here));
        self.wanted = Some(wanted);
        self.keep();
        fault::step("wanted");
        self.finish_if_whole();
    }

    /// A chunk or page that came.
    pub(super) fn chunk(&mut self, address: Address, bytes: &[u8]) {
        let Some(wanted) = &mut self.wanted else { return };
        if !wanted.missing.contains(&address) {
            return;
        }
        wanted.moved = self.parts.clock.now().monotonic;
        match wanted.take(&self.parts, address, bytes) {
            Ok(()) => {
                wanted.bad.remove(&address);
                if let Err(e) = self.parts.cache.keep_chunk(&address, bytes) {
                    self.disk_failed(&e);
                }
                self.finish_if_whole();
            }
            Err(e) => {
                warn!(list = self.parts.config.name, error = %e, "chunk refused");
                wanted.bad.insert(address, e);
            }
        }
        self.tell();
    }

    /// What to ask the broker for, pages first.
    pub(super) fn missing(&self) -> impl Iterator<Item = Address> {
        self.wanted.iter().flat_map(|wanted| wanted.missing.iter().copied())
    }

    /// Looks at what time, people, policy and the trust document have changed.
    pub(super) fn tick(&mut self) {
        let (trust, confirmed) = (self.parts.trust.changes(), self.confirmed());
        let rules = self.rules();
        if trust != self.trust_seen {
            self.look_at_author();
        }
        if confirmed != self.confirmed_seen {
            self.note_confirmation();
        }
        let news = trust != self.trust_seen
            || confirmed != self.confirmed_seen
            || rules != self.rules_seen;
        if news {
            (self.trust_seen, self.confirmed_seen) = (trust, confirmed);
            self.rules_seen = rules;
            if let Some(message) = self.put_off.take() {
                self.take(&message);
            } else if self.wanted.take().is_some()
                && let Some((_, message)) = self.newest.clone()
            {
                // Its author may sign no more, or policy takes no such change. What is on the disk is
                // not fetched again.
                self.take(message.as_bytes());
            }
        }
        let now = self.parts.clock.now().wall;
        let name = &self.parts.config.name;
        if let Some(held) = self.held.as_ref().filter(|held| held.manifest.expires <= now)
            && self.parts.service.remove(name)
        {
            error!(list = name, version = held.manifest.version, "hotlist expired, out of service");
        }
        self.tell();
    }

    /// Whether the key that signed what serves may sign still. It serves on, and that is said.
    fn look_at_author(&mut self) {
        let Some((held, trust)) = self.held.as_mut().zip(self.parts.trust.current()) else {
            return;
        };
        let authors = trust.keys_for(&Role::ListAuthor(self.parts.config.name.clone()));
        let envelope = Envelope::parse(held.message.as_bytes());
        held.withdrawn = !envelope.is_ok_and(|e| e.open(MANIFEST_TYPE, &authors, 1).is_ok());
    }

    /// What policy says of the list now.
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

    /// Builds the list aside, commits it, puts it in service.
    fn serve(&mut self, wanted: Wanted, commit: bool) {
        fault::step("whole");
        let layers = wanted.layers();
        let Wanted { manifest, here, .. } = wanted;
        let built = chunked::build(&manifest, &layers, &here.chunks);
        let built = match built {
            Ok(built) => built,
            Err(e) => {
                error!(list = self.name(), version = manifest.version, error = %e, "hotlist refused");
                let e = SyncError::from(e);
                self.note_refusal(Some(manifest.version), &e);
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
        self.highest = self.highest.max(version);
        let newest = self.newest.as_ref().filter(|(newest, _)| *newest == manifest);
        let message = newest.map(|(_, message)| message.clone()).unwrap_or_default();
        let signer = Envelope::parse(message.as_bytes()).ok();
        let signer = signer.and_then(|envelope| envelope.signers().next().cloned());
        self.held = Some(Held { manifest, message, here, withdrawn: false });
        self.look_at_author();
        let kept = !commit || self.keep();
        if !expired {
            self.parts.service.put(list);
        }
        self.tell();
        fault::step("in-service");
        info!(list = self.name(), version, entries, "hotlist in service");
        if commit {
            let event = AuditEvent::ListServed {
                list: self.name().to_owned(),
                version: version.to_string(),
                entries: entries as u64,
                source_time,
            };
            self.note(signer.map_or(Actor::System, Actor::Author), event);
        }
        if commit && kept {
            self.sweep();
        }
    }

    /// Puts in force what the newest manifest revokes, without building anything.
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

    fn note_confirmation(&self) {
        let Ok(Some(confirmation)) = self.parts.cache.confirmation() else { return };
        let Confirmation { version, by, role, reason } = confirmation;
        let change = Change {
            field: format!("hotlist.{}.confirmed", self.name()),
            old: self.confirmed_seen.map(|version| format!("version {version}")),
            new: Some(format!("version {version}: {reason}")),
        };
        self.note(role.actor(&by), AuditEvent::ConfigChanged { changes: vec![change] });
    }

    fn note_refusal(&mut self, version: Option<u64>, why: &SyncError) {
        let why = why.to_string();
        if self.noted.as_ref() != Some(&why) {
            let version = version.map_or("not believed".into(), |v| v.to_string());
            let list = self.name().to_owned();
            self.note(Actor::System, AuditEvent::ListRefused { list, version, why: why.clone() });
            self.noted = Some(why);
        }
    }

    /// Commits how far the list has come. Returns whether the disk took it.
    fn keep(&mut self) -> bool {
        let held = self.held.as_ref().map(|held| held.message.clone());
        let newest = self.newest.as_ref().map(|(_, message)| message.clone());
        let newest = newest.filter(|newest| Some(newest) != held.as_ref());
        let state = State { v: 1, highest: self.highest, held, newest };
        match self.parts.cache.keep_state(&state) {
            Ok(()) => {
                self.disk = None;
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
        let named = self.held.iter().flat_map(|held| held.here.addresses());
        let wanted = self.wanted.iter().flat_map(|wanted| wanted.here.addresses());
        match self.parts.cache.sweep(&named.chain(wanted).collect()) {
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

    /// The lesser of what the car's settings and the author allow.
    fn matching(&self, manifest: &Manifest) -> Matching {
        manifest.matching.min(self.parts.config.matching)
    }
}

/// The manifest of a message that this car has verified before.
pub(super) fn parse(message: &str) -> Option<Manifest> {
    let envelope = Envelope::parse(message.as_bytes()).ok()?;
    Manifest::parse(envelope.unverified_payload()).ok()
}
