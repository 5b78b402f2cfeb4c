//! What a policy says: the rules, as they stand in the signed document and in the ceiling.
//!
//! Two kinds of rules. A *cap* (`Option`) limits what the car's configuration may ask for; one that is
//! left out leaves the configuration alone. A *grant* (`bool`, a set of permissions) allows what no
//! configuration can; one that is left out is not given. So an empty policy changes nothing, and
//! whatever a policy adds is either a limit or said aloud.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::audit::Actor;
use crate::config::{HumanDuration, Retention};
use crate::hotlist::{Matching, Priority};

/// The rules of a policy, or of a ceiling.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Rules {
    /// What may stay in the car.
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
    /// How hits are told.
    #[serde(skip_serializing_if = "is_default")]
    pub alerts: AlertRules,
    /// Who may do what in the car.
    #[serde(skip_serializing_if = "is_default")]
    pub roles: RoleRules,
}

/// What may stay in the car.
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
    /// Categories whose entries may alarm; all where it is left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub categories: Option<BTreeSet<String>>,
    /// For every list, unless it is named below.
    #[serde(skip_serializing_if = "is_default")]
    pub every: ListRules,
    /// For lists by name; what is left out here is as for every list.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub named: BTreeMap<String, ListRules>,
}

/// What a list may do.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ListRules {
    /// The loosest matching: `exact`, `look_alike` or `wildcard`. Wildcards are a grant: where this
    /// is left out, a list may ask for look-alikes and not for wildcards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub matching: Option<Matching>,
    /// Latest age of the source at which the officer is told that the list is old.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub amber_after: Option<HumanDuration>,
    /// Latest age of the source at which the list counts as stale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub red_after: Option<HumanDuration>,
    /// What a stale list does: `tell` (its alerts say STALE LIST) or `stop`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub past_red: Option<PastRed>,
    /// Most that a new version may grow, in percent of the entries before, until it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth_percent: Option<u32>,
    /// Most that a new version may shrink, in percent of the entries before, until it is confirmed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub shrink_percent: Option<u32>,
    /// Most false hits to be expected among 10,000 reads, a busy shift, for approximate matching to
    /// be used; a list that exceeds it is matched exactly.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub false_hits: Option<u32>,
}

/// What a list whose source is older than `red_after` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PastRed {
    /// It no longer alarms.
    Stop,
    /// Its alerts say STALE LIST.
    Tell,
}

/// Entries that officers add in the car.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct HotplateRules {
    /// Longest that one may run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest: Option<HumanDuration>,
    /// Most at once; 0 forbids them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub most: Option<u32>,
    /// Whether they may be partial plates (`?`, `*`).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub wildcards: bool,
    /// Hotplates that are removed wherever they are, by their identifier.
    #[serde(skip_serializing_if = "BTreeSet::is_empty")]
    pub revoked: BTreeSet<String>,
    /// All that were added before this are removed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revoked_before: Option<Timestamp>,
}

/// Look-ups in what the car keeps.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LookupRules {
    /// Whether a new entry may be compared with reads of before.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub past_reads: bool,
}

/// How hits are told. Neither keeps nor matches more: one signature does.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AlertRules {
    /// For how long an entry that has alarmed stays quiet, in place of the configuration's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realert_after: Option<HumanDuration>,
    /// Priorities that may be muted; `high` never.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mute: Option<BTreeSet<Priority>>,
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
    /// Answers for officers.
    Supervisor,
}

/// What a person may do in the car.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Permission {
    /// Add a hotplate.
    AddHotplate,
    /// Remove a hotplate.
    RemoveHotplate,
    /// Look a plate up in what the car keeps of today.
    LookUp,
    /// Look a plate up across days.
    LookUpAcrossDays,
    /// Take evidence out of the car.
    ExportEvidence,
    /// Confirm a list that has grown or shrunk too much.
    ConfirmList,
}

impl Permission {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::AddHotplate,
        Self::RemoveHotplate,
        Self::LookUp,
        Self::LookUpAcrossDays,
        Self::ExportEvidence,
        Self::ConfirmList,
    ];

    /// In words, after "may".
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
    /// What the role may do where no policy says otherwise.
    pub fn usual(self) -> BTreeSet<Permission> {
        match self {
            Self::Officer => BTreeSet::from([
                Permission::AddHotplate,
                Permission::RemoveHotplate,
                Permission::LookUp,
            ]),
            Self::Supervisor => BTreeSet::from(Permission::ALL),
        }
    }

    /// A person of this role, by number, as the audit log names people.
    pub fn actor(self, number: &str) -> Actor {
        let number = number.trim().to_owned();
        match self {
            Self::Officer => Actor::Officer(number),
            Self::Supervisor => Actor::Supervisor(number),
        }
    }

    /// In one word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Officer => "officer",
            Self::Supervisor => "supervisor",
        }
    }

    /// In the plural.
    pub fn words(self) -> &'static str {
        match self {
            Self::Officer => "officers",
            Self::Supervisor => "supervisors",
        }
    }
}

impl RoleRules {
    /// What a role may do.
    pub fn of(&self, who: Who) -> BTreeSet<Permission> {
        let said = match who {
            Who::Officer => &self.officer,
            Who::Supervisor => &self.supervisor,
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

    /// Whether entries of this category may alarm.
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
    /// The rules once the policy is past its date: its limits hold on, its grants lapse.
    #[must_use]
    pub fn lapsed(&self) -> Self {
        let mut rules = self.clone();
        let Rules { keeping: _, lists, hotplates, lookups, alerts: _, roles } = &mut rules;
        for list in std::iter::once(&mut lists.every).chain(lists.named.values_mut()) {
            list.matching = list.matching.map(|m| m.min(Matching::LookAlike));
        }
        hotplates.wildcards = false;
        lookups.past_reads = false;
        for (said, who) in
            [(&mut roles.officer, Who::Officer), (&mut roles.supervisor, Who::Supervisor)]
        {
            if let Some(said) = said {
                *said = said.intersection(&who.usual()).copied().collect();
            }
        }
        rules
    }
}

impl Rules {
    /// What holds when a policy was in force and cannot be read any more: the car goes on reading,
    /// keeps nothing, matches exactly and lets nobody add anything, until a policy arrives.
    pub fn strictest() -> Self {
        Self {
            keeping: KeepingRules {
                non_hit: Some(Retention::Nothing),
                thumbnails: Some(false),
                // Hits are evidence: how long they stay is not narrowed by an accident.
                hits: None,
                hit_images: None,
            },
            lists: ListsRules {
                every: ListRules { matching: Some(Matching::Exact), ..ListRules::default() },
                ..ListsRules::default()
            },
            hotplates: HotplateRules { most: Some(0), ..HotplateRules::default() },
            lookups: LookupRules::default(),
            alerts: AlertRules::default(),
            roles: RoleRules {
                officer: Some(BTreeSet::new()),
                supervisor: Some(BTreeSet::from([Permission::LookUp, Permission::ExportEvidence])),
            },
        }
    }

    /// These rules, with what they leave out taken from others: what a policy leaves out cannot go
    /// past a ceiling.
    #[must_use]
    pub fn filled_from(&self, from: &Self) -> Self {
        let Self { keeping, lists, hotplates, lookups, alerts, roles } = self.clone();
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
            alerts: AlertRules {
                realert_after: alerts.realert_after.or(from.alerts.realert_after),
                mute: alerts.mute.or_else(|| from.alerts.mute.clone()),
            },
            roles: RoleRules {
                officer: roles.officer.or_else(|| from.roles.officer.clone()),
                supervisor: roles.supervisor.or_else(|| from.roles.supervisor.clone()),
            },
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
