//! The rules of a policy, as they stand in the signed document and in the ceiling.
//!
//! There are two kinds of rules. A *cap* (`Option`) limits what the car's configuration may ask
//! for; a cap that is left out leaves the configuration alone. A *grant* (`bool`, a set of
//! permissions) allows what no configuration can; a grant that is left out is not given. So an
//! empty policy changes nothing, and whatever a policy adds is either a limit or a stated
//! permission.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::people::{SignInRules, User};
use crate::audit::{Actor, Person};
use crate::config::{HumanDuration, Retention, UnreadJurisdiction};
use crate::entry::{Matching, Priority};

/// The rules of a policy, or of a ceiling.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// What may be kept in the car.
    #[serde(skip_serializing_if = "is_default")]
    pub keeping: KeepingRules,
    /// What lists may do.
    #[serde(skip_serializing_if = "is_default")]
    pub lists: ListsRules,
    /// Entries that officers add in the car.
    #[serde(skip_serializing_if = "is_default")]
    pub hotplates: HotplateRules,
    /// Look-ups in what the car keeps.
    #[serde(skip_serializing_if = "is_default")]
    pub lookups: LookupRules,
    /// Packages of models.
    #[serde(skip_serializing_if = "is_default")]
    pub models: ModelRules,
    /// How alerts are given.
    #[serde(skip_serializing_if = "is_default")]
    pub alerts: AlertRules,
    /// What has to be done before a hit counts.
    #[serde(skip_serializing_if = "is_default")]
    pub verify: VerifyRules,
    /// Who may do what in the car.
    #[serde(skip_serializing_if = "is_default")]
    pub roles: RoleRules,
    /// How long somebody stays signed in.
    #[serde(skip_serializing_if = "is_default")]
    pub sign_in: SignInRules,
    /// Who may sign in, by number. A car without users shows alerts, and nobody can enter anything
    /// in it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub users: BTreeMap<String, User>,
}

/// What may be kept in the car.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KeepingRules {
    /// Longest that a read which matches nothing may be kept: `"0s"`, `"session"` or a duration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub non_hit: Option<Retention>,
    /// Whether pictures of such plates may be kept too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thumbnails: Option<bool>,
    /// Longest that a delivered hit may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hits: Option<HumanDuration>,
    /// Longest that the picture of a delivered hit may be kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hit_images: Option<HumanDuration>,
}

/// What lists may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListsRules {
    /// Categories whose entries may raise alerts; all where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categories: Option<BTreeSet<String>>,
    /// Rules for every list that is not named below.
    #[serde(skip_serializing_if = "is_default")]
    pub every: ListRules,
    /// Rules for lists by name; a rule that is left out here is the one for every list.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, ListRules>,
}

/// What a list may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListRules {
    /// The loosest matching: `exact`, `look_alike` or `wildcard`. Wildcards are a grant: where this
    /// is left out, a list may use look-alikes but not wildcards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    /// Highest value of a list's `amber_after`: the age of the source at which the officer is
    /// warned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amber_after: Option<HumanDuration>,
    /// Highest value of a list's `red_after`: the age of the source at which the list is stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub red_after: Option<HumanDuration>,
    /// What a stale list does: `tell` (its alerts say STALE LIST) or `stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past_red: Option<PastRed>,
    /// Largest growth of a new version that needs no confirmation, in percent of the entries
    /// before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_percent: Option<u32>,
    /// Largest shrinkage of a new version that needs no confirmation, in percent of the entries
    /// before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shrink_percent: Option<u32>,
    /// Most false hits expected among 10,000 reads, a busy shift, at which approximate matching is
    /// still used; a list that exceeds it is matched exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_hits: Option<u32>,
}

/// What a list whose source is older than `red_after` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastRed {
    /// It raises no alerts any more.
    Stop,
    /// Its alerts say STALE LIST.
    Tell,
}

/// Entries that officers add in the car.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HotplateRules {
    /// Longest that one may last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<HumanDuration>,
    /// Most at once; 0 forbids them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// Whether they may be partial plates (`?`, `*`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wildcards: bool,
    /// Hotplates that are removed in every car, by their identifier.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked: BTreeSet<String>,
    /// All hotplates that were added before this time are removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_before: Option<Timestamp>,
}

/// Look-ups in what the car keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookupRules {
    /// Whether a new entry may be compared with earlier reads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub past_reads: bool,
}

/// Packages of models.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelRules {
    /// What becomes of a signed package that comes over the broker. More than `off` is a grant.
    #[serde(skip_serializing_if = "is_default")]
    pub from_broker: FromBroker,
}

/// What a car does with a signed package of models from the broker, the least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromBroker {
    /// It is not fetched.
    #[default]
    Off,
    /// It is fetched and verified, and waits for a maintainer.
    Wait,
    /// It is fetched, verified and tried, and used if it passes.
    Install,
}

/// How alerts are given. None of these keeps or matches more: one signature is enough.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRules {
    /// How long an entry that has raised an alert stays quiet, in place of the configuration's
    /// value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realert_after: Option<HumanDuration>,
    /// Priorities that may be muted; `high` never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute: Option<BTreeSet<Priority>>,
    /// What happens to a hit whose entry states a jurisdiction while none was read, in place of the
    /// configuration's value: `alert` with the entry's priority, or `lower` to medium at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unread_jurisdiction: Option<UnreadJurisdiction>,
}

/// What has to be done before a hit counts as grounds to act as listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerifyRules {
    /// An officer has compared characters and jurisdiction with the picture. `true` is all that it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sight: Option<Always>,
    /// Dispatch has confirmed that the entry is active. To go without is a grant; left out, it is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dispatch: Option<bool>,
}

impl VerifyRules {
    /// Whether dispatch has to confirm before a hit counts.
    pub fn asks_dispatch(self) -> bool {
        self.dispatch.unwrap_or(true)
    }
}

/// What no policy can leave out: written as `true`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "bool", into = "bool")]
pub struct Always;

impl TryFrom<bool> for Always {
    type Error = &'static str;

    fn try_from(asked: bool) -> Result<Self, Self::Error> {
        let why = "verify.sight = false: no policy lets a hit count that nobody has compared with its picture; \
                   leave it out, or write true";
        if asked { Ok(Self) } else { Err(why) }
    }
}

impl From<Always> for bool {
    fn from(Always: Always) -> Self {
        true
    }
}

/// Who may do what in the car. A role that is left out may do what [`Who::usual`] says.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RoleRules {
    /// Officers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub officer: Option<BTreeSet<Permission>>,
    /// Supervisors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub supervisor: Option<BTreeSet<Permission>>,
    /// Auditors.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub auditor: Option<BTreeSet<Permission>>,
    /// Maintainers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maintainer: Option<BTreeSet<Permission>>,
}

/// A person's role in the car.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// Drives the car and acts on alerts.
    Officer,
    /// Is responsible for officers.
    Supervisor,
    /// Reviews what was done and exports evidence of it; acts on nothing.
    Auditor,
    /// Maintains the equipment; sees what the page shows and enters nothing.
    Maintainer,
}

/// What a person may do in the car.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Add a hotplate.
    AddHotplate,
    /// Remove a hotplate.
    RemoveHotplate,
    /// Look a plate up in what the car keeps from today.
    LookUp,
    /// Look a plate up across days.
    LookUpAcrossDays,
    /// Take evidence out of the car.
    ExportEvidence,
    /// Confirm a list that has grown or shrunk too much.
    ConfirmList,
}

impl Permission {
    /// All permissions.
    pub const ALL: [Self; 6] = [
        Self::AddHotplate,
        Self::RemoveHotplate,
        Self::LookUp,
        Self::LookUpAcrossDays,
        Self::ExportEvidence,
        Self::ConfirmList,
    ];

    /// The words for it, after "may".
    pub fn words(self) -> &'static str {
        match self {
            Self::AddHotplate => "add hotplates",
            Self::RemoveHotplate => "remove hotplates",
            Self::LookUp => "look plates up within a day",
            Self::LookUpAcrossDays => "look plates up across days",
            Self::ExportEvidence => "export evidence",
            Self::ConfirmList => "confirm a list that changed too much",
        }
    }
}

impl Who {
    /// All roles, the most powerful first: somebody with several acts in the first of them unless
    /// another is stated.
    pub const ALL: [Self; 4] = [Self::Supervisor, Self::Officer, Self::Auditor, Self::Maintainer];

    /// Whether this role may give dispositions; policy cannot grant that to other roles.
    pub fn judges(self) -> bool {
        matches!(self, Self::Officer | Self::Supervisor)
    }

    /// Whether who is this sees what others did: the hit log, look-ups, the audit log.
    pub fn reviews(self) -> bool {
        matches!(self, Self::Supervisor | Self::Auditor)
    }

    /// Whether this role may install a package of models and take one out of force; policy cannot
    /// grant that to other roles.
    pub fn maintains(self) -> bool {
        matches!(self, Self::Maintainer)
    }

    /// Whether this role may put hits under a legal hold, and end that.
    pub fn holds(self) -> bool {
        matches!(self, Self::Supervisor | Self::Auditor)
    }

    /// What the role may do where no policy says otherwise.
    pub fn usual(self) -> BTreeSet<Permission> {
        match self {
            Self::Officer => BTreeSet::from([
                Permission::AddHotplate,
                Permission::RemoveHotplate,
                Permission::LookUp,
            ]),
            Self::Supervisor => BTreeSet::from(Permission::ALL),
            Self::Auditor => BTreeSet::from([Permission::ExportEvidence]),
            Self::Maintainer => BTreeSet::new(),
        }
    }

    /// A person of this role, as the audit log names people.
    pub fn actor(self, person: Person) -> Actor {
        match self {
            Self::Officer => Actor::Officer(person),
            Self::Supervisor => Actor::Supervisor(person),
            Self::Auditor => Actor::Auditor(person),
            Self::Maintainer => Actor::Maintainer(person),
        }
    }

    /// The role's name in one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Officer => "officer",
            Self::Supervisor => "supervisor",
            Self::Auditor => "auditor",
            Self::Maintainer => "maintainer",
        }
    }

    /// The role's name in the plural.
    pub fn words(self) -> &'static str {
        match self {
            Self::Officer => "officers",
            Self::Supervisor => "supervisors",
            Self::Auditor => "auditors",
            Self::Maintainer => "maintainers",
        }
    }
}

impl RoleRules {
    /// What a role may do.
    pub fn of(&self, who: Who) -> BTreeSet<Permission> {
        let said = match who {
            Who::Officer => &self.officer,
            Who::Supervisor => &self.supervisor,
            Who::Auditor => &self.auditor,
            Who::Maintainer => &self.maintainer,
        };
        said.clone().unwrap_or_else(|| who.usual())
    }
}

impl ListsRules {
    /// What the list of this name may do.
    pub fn of(&self, name: &str) -> ListRules {
        match self.named.get(name) {
            None => self.every.clone(),
            Some(own) => own.clone().filled_from(&self.every),
        }
    }

    /// Whether entries of this category may raise alerts.
    pub fn allows(&self, category: &str) -> bool {
        self.categories.as_ref().is_none_or(|allowed| allowed.contains(category))
    }
}

impl ListRules {
    /// The loosest matching that a list may use.
    pub fn loosest(&self) -> Matching {
        self.matching.unwrap_or(Matching::LookAlike)
    }
}

impl Rules {
    /// The rules after the policy's end: its limits stay, its grants lapse.
    #[must_use]
    pub fn lapsed(&self) -> Self {
        let mut rules = self.clone();
        // Who may sign in stays: a car whose policy has run out at midnight must not shut its officers out.
        let Rules {
            keeping: _,
            lists,
            hotplates,
            lookups,
            models,
            alerts: _,
            verify,
            roles,
            sign_in: _,
            users: _,
        } = &mut rules;
        for list in std::iter::once(&mut lists.every).chain(lists.named.values_mut()) {
            list.matching = list.matching.map(|m| m.min(Matching::LookAlike));
        }
        hotplates.wildcards = false;
        lookups.past_reads = false;
        models.from_broker = FromBroker::Off;
        verify.dispatch = verify.dispatch.filter(|asked| *asked);
        let RoleRules { officer, supervisor, auditor, maintainer } = roles;
        for (said, who) in [
            (officer, Who::Officer),
            (supervisor, Who::Supervisor),
            (auditor, Who::Auditor),
            (maintainer, Who::Maintainer),
        ] {
            if let Some(said) = said {
                *said = said.intersection(&who.usual()).copied().collect();
            }
        }
        rules
    }
}

impl Rules {
    /// The rules if a policy was in force and cannot be read any more: until a policy arrives, the
    /// car goes on reading, keeps nothing, matches exactly and lets nobody add anything.
    pub fn strictest() -> Self {
        Self {
            keeping: KeepingRules {
                non_hit: Some(Retention::Nothing),
                thumbnails: Some(false),
                // Hits are evidence: an accident must not shorten how long they are kept.
                hits: None,
                hit_images: None,
            },
            lists: ListsRules {
                every: ListRules { matching: Some(Matching::Exact), ..ListRules::default() },
                ..ListsRules::default()
            },
            hotplates: HotplateRules { most: Some(0), ..HotplateRules::default() },
            lookups: LookupRules::default(),
            models: ModelRules::default(),
            alerts: AlertRules::default(),
            verify: VerifyRules::default(),
            roles: RoleRules {
                officer: Some(BTreeSet::new()),
                supervisor: Some(BTreeSet::from([Permission::LookUp, Permission::ExportEvidence])),
                ..RoleRules::default()
            },
            sign_in: SignInRules::default(),
            // Nobody can sign in, so nobody can enter anything.
            users: BTreeMap::new(),
        }
    }

    /// These rules, with those that are left out taken from `from`: so what a policy leaves out
    /// does not go past a ceiling.
    #[must_use]
    pub fn filled_from(&self, from: &Self) -> Self {
        let Self {
            keeping,
            lists,
            hotplates,
            lookups,
            models,
            alerts,
            verify,
            roles,
            sign_in,
            users,
        } = self.clone();
        let KeepingRules { non_hit, thumbnails, hits, hit_images } = keeping;
        let HotplateRules { longest, most, wildcards, revoked, revoked_before } = hotplates;
        let mut filled = lists;
        filled.categories = filled.categories.or_else(|| from.lists.categories.clone());
        let names: BTreeSet<_> =
            filled.named.keys().chain(from.lists.named.keys()).cloned().collect();
        filled.named = names
            .into_iter()
            .map(|name| {
                let rules = filled.of(&name).filled_from(&from.lists.of(&name));
                (name, rules)
            })
            .collect();
        filled.every = filled.every.filled_from(&from.lists.every);
        Self {
            keeping: KeepingRules {
                non_hit: non_hit.or(from.keeping.non_hit),
                thumbnails: thumbnails.or(from.keeping.thumbnails),
                hits: hits.or(from.keeping.hits),
                hit_images: hit_images.or(from.keeping.hit_images),
            },
            lists: filled,
            hotplates: HotplateRules {
                longest: longest.or(from.hotplates.longest),
                most: most.or(from.hotplates.most),
                wildcards,
                revoked,
                revoked_before,
            },
            lookups,
            models,
            alerts: AlertRules {
                realert_after: alerts.realert_after.or(from.alerts.realert_after),
                mute: alerts.mute.or_else(|| from.alerts.mute.clone()),
                unread_jurisdiction: alerts.unread_jurisdiction.or(from.alerts.unread_jurisdiction),
            },
            // Going without dispatch is a grant: what is left out is asked for.
            verify,
            roles: RoleRules {
                officer: roles.officer.or_else(|| from.roles.officer.clone()),
                supervisor: roles.supervisor.or_else(|| from.roles.supervisor.clone()),
                auditor: roles.auditor.or_else(|| from.roles.auditor.clone()),
                maintainer: roles.maintainer.or_else(|| from.roles.maintainer.clone()),
            },
            sign_in: sign_in.filled_from(&from.sign_in),
            users,
        }
    }
}

impl ListRules {
    fn filled_from(self, from: &Self) -> Self {
        let Self {
            matching,
            amber_after,
            red_after,
            past_red,
            growth_percent,
            shrink_percent,
            false_hits,
        } = self;
        Self {
            matching: matching.or(from.matching),
            amber_after: amber_after.or(from.amber_after),
            red_after: red_after.or(from.red_after),
            past_red: past_red.or(from.past_red),
            growth_percent: growth_percent.or(from.growth_percent),
            shrink_percent: shrink_percent.or(from.shrink_percent),
            false_hits: false_hits.or(from.false_hits),
        }
    }
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
