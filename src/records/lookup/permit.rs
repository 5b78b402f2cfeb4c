//! The one guard before the ring is searched.
//!
//! In: what somebody asks on grounds, or what a signed policy grants for new entries of a published list.
//! Out: a [`Permit`], which names the plates and how far back; the ring answers nothing else. There is no
//! third way, and no way to ask for other plates than the permit was given for. Hotplates have none: adding one
//! would be a look-up without grounds and without a limit. Leaves to others: the record, which each of the two makers writes before anything is shown.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::{LookUpError, LookUps, ONE_DAY, Request};
use crate::audit::AuditError;
use crate::clock::FrameTime;
use crate::entry::HOTPLATES;
use crate::grounds::{Permit, Reason, VagueError, case_number};
use crate::plate::{Plate, PlateKey};
use crate::policy::{Permission, Rules};
use crate::sessions::SignedIn;

/// For a person: a role that may, a reason of the closed list, a real case, within the limits.
pub(super) fn for_person(
    lookups: &LookUps,
    person: &SignedIn,
    request: &Request,
    plate: &Plate,
    since: Timestamp,
    now: FrameTime,
) -> Result<Permit, LookUpError> {
    if let Some(why) = lookups.audit.closed() {
        return Err(AuditError::Closed(why).into());
    }
    Reason::parse(&request.reason)?;
    case_number(&request.case)?;
    if Plate::parse(&request.case).is_ok_and(|p| p.key() == plate.key()) {
        return Err(VagueError::Case(request.case.clone()).into());
    }
    let may = (lookups.permissions)(person.role());
    let across = now.wall.duration_since(since) > ONE_DAY;
    for (needed, asked) in [(Permission::LookUp, true), (Permission::LookUpAcrossDays, across)] {
        if asked && !may.contains(&needed) {
            return Err(LookUpError::Role { role: person.role().word(), what: needed.words() });
        }
    }
    lookups.recent.take(now.monotonic, person.number())?;
    Ok(Permit::after_every_check(BTreeSet::from([plate.key()]), since))
}

/// Proof that the signed policy in force lets new entries be compared with past reads.
#[derive(Debug)]
pub(super) struct Grant(());

impl Grant {
    /// What these rules grant.
    pub(super) fn of(rules: &Rules) -> Option<Self> {
        rules.lookups.past_reads.then_some(Self(()))
    }

    /// For new plates of published lists, each given with the list that has it. Hotplates are left out,
    /// whoever asks.
    pub(super) fn permit<'l>(&self, news: impl Iterator<Item = (&'l str, PlateKey)>) -> Permit {
        let keys = news.filter(|(list, _)| *list != HOTPLATES).map(|(_, key)| key).collect();
        Permit::after_every_check(keys, Timestamp::UNIX_EPOCH)
    }
}
