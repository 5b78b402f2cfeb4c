//! Checks whether the authors of a list may still sign, and ends what withdrawn ones have signed.
//!
//! In: the trust document in force. Out: the list in service, or out of it; the highest version
//! that counts. Costs: a signature check when the trust document changes.

use tracing::error;

use super::Follower;
use crate::audit::{Actor, AuditEvent};
use crate::dsse::{Envelope, KeyId};
use crate::hotlist::format::MANIFEST_TYPE;
use crate::trust::Role;

impl Follower {
    /// Checks whether the key that signed the version in service may still sign. If it is
    /// withdrawn, the list goes out of service, and its revocations with it. If it is only retired,
    /// the list stays.
    pub(super) fn check_author(&mut self) {
        let Some(trust) = self.parts.trust.current() else { return };
        let standing = trust.standing_for(&Role::ListAuthor(self.parts.config.name.clone()));
        // The signature is verified again: anybody could have named the key without signing.
        let stands = |message: &str| {
            let envelope = Envelope::parse(message.as_bytes());
            envelope.is_ok_and(|e| e.open(MANIFEST_TYPE, &standing, 1).is_ok())
        };
        if self.newest.as_ref().is_some_and(|(_, message)| !stands(message)) {
            self.newest = None;
            self.wanted = None;
            self.revoke();
        }
        let Some(held) = self.held.as_mut() else { return };
        let was = std::mem::replace(&mut held.withdrawn, !stands(&held.message));
        match (was, held.withdrawn) {
            (false, true) => {
                let (list, version) = (self.parts.config.name.clone(), held.manifest.version);
                self.parts.service.remove(&list);
                error!(list, version, "hotlist's author is withdrawn, out of service");
                let why = "its author's key is withdrawn: out of service".to_owned();
                let version = version.to_string();
                self.note(Actor::System, AuditEvent::ListRefused { list, version, why });
            }
            (true, false) => self.back_in_service(),
            _ => {}
        }
    }

    /// Puts the list in service again: its author may sign once more.
    fn back_in_service(&mut self) {
        let Some(held) = self.held.take() else { return };
        if self.newest.is_none() {
            self.newest = Some((held.manifest.clone(), held.message.clone()));
        }
        let mut again = self.wanted(held.manifest.clone());
        again.collect_present(&self.parts, Some(&held.here));
        match again.missing.is_empty() {
            true => self.serve(again, false),
            false => self.serve_in_part(again),
        }
    }

    /// The highest version that counts; versions of withdrawn authors do not.
    pub(super) fn highest(&self) -> u64 {
        let trust = self.parts.trust.current();
        let role = Role::ListAuthor(self.parts.config.name.clone());
        let counts = |by: &KeyId| trust.as_ref().is_none_or(|trust| trust.stands(by, &role));
        let floors = self.floors.iter().filter(|(by, _)| counts(by)).map(|(_, floor)| *floor);
        floors.fold(self.floor, u64::max)
    }
}
