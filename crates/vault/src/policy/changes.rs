//! The differences between two policies and their direction: the one place that defines *widening*.
//!
//! In: the rules before and the rules after. Out: a [`Change`] for each difference, with its
//! direction and a sentence for people. Every struct of the rules is destructured here, so a new
//! field does not compile until somebody has decided what widens it.
//!
//! A difference *widens* if the car may then keep more, match more, let more people do more, or
//! warn later that a list is old. What cannot be ordered ("session" against a duration) counts as
//! widening. It *silences* if cars that raised alerts raise them no longer: fewer categories, a
//! longer quiet time after an alert, more priorities that may be muted, lists that stop when they
//! are stale or can no longer change, no hotplates; or if the record of a hit goes within a day.
//! Both take two people.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::Serialize;

use super::people::{SignInRules, User};
use super::rules::{
    AlertRules, FromBroker, HotplateRules, KeepingRules, ListRules, ListsRules, LookupRules,
    ModelRules, PastRed, Permission, RoleRules, Rules, VerifyRules, Who,
};
use super::words;
use crate::config::{HumanDuration, ReadingConfig, Retention, UnreadJurisdiction};
use crate::entry::Priority;

/// The direction of a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Less is kept, matched or allowed: one signature is enough.
    Narrows,
    /// Neither: one signature is enough.
    Neutral,
    /// More is kept, matched or allowed: two signatures are needed.
    Widens,
    /// Something raises no alert any more, or what proves it goes: listed cars would pass silently.
    /// Two signatures are needed, as for widening.
    Silences,
}

impl Direction {
    /// Whether two people must sign.
    pub fn needs_two(self) -> bool {
        matches!(self, Self::Widens | Self::Silences)
    }
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// The rule, such as `keeping.non_hit`.
    pub what: String,
    /// The old value as written in a policy; empty if the rule was left out.
    pub old: String,
    /// The new value.
    pub new: String,
    /// The direction.
    pub direction: Direction,
    /// The difference in a sentence.
    pub says: String,
}

/// What the sentence of a silencing change says.
const SILENT: &str = "what alarmed alarms NO MORE";

/// A delivered hit that is deleted sooner than this proves nothing to anybody.
const BRIEF: HumanDuration = HumanDuration::from_secs(24 * 3600);

/// Hotplates that last less than this are useless.
const SHORTEST_HOTPLATE: HumanDuration = HumanDuration::from_secs(3600);

/// How sentences speak of a rule.
struct Words {
    /// The beginning: "keeps reads that match nothing".
    lead: &'static str,
    /// The end where the rule is left out.
    unsaid: &'static str,
    more: &'static str,
    less: &'static str,
}

/// The differences from `old` to `new`.
pub fn changes(old: &Rules, new: &Rules) -> Vec<Change> {
    let Rules { keeping, lists, hotplates, lookups, models, alerts, verify, roles, sign_in, users } =
        new;
    let mut diff = Diff(Vec::new());
    diff.keeping(&old.keeping, keeping);
    diff.lists(&old.lists, lists);
    diff.hotplates(&old.hotplates, hotplates);
    diff.lookups(&old.lookups, lookups);
    diff.models(old.models, *models);
    diff.alerts(&old.alerts, alerts);
    diff.verify(old.verify, *verify);
    diff.roles(&old.roles, roles);
    diff.sign_in(&old.sign_in, sign_in);
    diff.users(&old.users, users);
    diff.0
}

/// Whether `a` never keeps more than `b`. A session and a duration cannot be compared: one ends
/// with the drive, however long that is, and the other survives it.
pub fn retention_within(a: Retention, b: Retention) -> bool {
    match (a, b) {
        (Retention::Nothing, _) | (Retention::Session, Retention::Session) => true,
        (Retention::For(a), Retention::For(b)) => a <= b,
        _ => false,
    }
}

struct Diff(Vec<Change>);

impl Diff {
    fn keeping(&mut self, old: &KeepingRules, new: &KeepingRules) {
        let KeepingRules { non_hit, thumbnails, hits, hit_images } = new;
        let keep = |lead| Words {
            lead,
            unsaid: "for as long as each car's configuration says",
            more: "keeps MORE",
            less: "keeps LESS",
        };
        self.cap(
            "keeping.non_hit",
            (&old.non_hit, non_hit),
            &keep("keeps reads that match nothing"),
            |a, b| retention_within(*a, *b),
            |r| match r {
                Retention::Nothing => "not at all".into(),
                Retention::Session => "until the car is switched off".into(),
                Retention::For(d) => format!("for {}", words::spelled(*d)),
            },
        );
        let yes_no = |yes: &bool| if *yes { "too" } else { "never" }.to_owned();
        self.cap(
            "keeping.thumbnails",
            (&old.thumbnails, thumbnails),
            &Words {
                unsaid: "if the car's configuration says so",
                ..keep("keeps pictures of plates that match nothing")
            },
            |a, b| a <= b,
            yes_no,
        );
        let brief = |d: &Option<HumanDuration>| d.is_some_and(|d| d < BRIEF);
        self.longest("keeping.hits", (&old.hits, hits), &keep("keeps delivered hits"));
        self.silences("keeping.hits", "destroys what PROVES a hit within a day", brief(hits));
        let images = (&old.hit_images, hit_images);
        self.longest("keeping.hit_images", images, &keep("keeps pictures of delivered hits"));
        let proof = "destroys what PROVES a hit within a day";
        self.silences("keeping.hit_images", proof, brief(hit_images));
    }

    fn lists(&mut self, old: &ListsRules, new: &ListsRules) {
        let ListsRules { categories, every, named } = new;
        let words = Words {
            lead: "alarms for",
            unsaid: "entries of any category",
            more: "matches MORE",
            less: "matches LESS",
        };
        let one_of = |set: &BTreeSet<String>| match set.is_empty() {
            true => "no category".to_owned(),
            false => {
                let names: Vec<_> = set.iter().map(String::as_str).collect();
                format!("entries of {}", names.join(", "))
            }
        };
        let pair = (&old.categories, categories);
        self.cap("lists.categories", pair, &words, |a, b| a.is_subset(b), one_of);
        self.silences("lists.categories", SILENT, true);
        let whose = match old.named.is_empty() && named.is_empty() {
            true => "every list",
            false => "every other list",
        };
        self.list("lists.every", whose, &old.every, every);
        let names: BTreeSet<_> = old.named.keys().chain(named.keys()).collect();
        for name in names {
            // The effective rules are compared, not the written ones: a list may lose its own rules
            // while the rules for every list say the same.
            let (before, after) = (old.of(name), new.of(name));
            self.list(&format!("lists.named.{name}"), &format!("list {name}"), &before, &after);
        }
    }

    fn list(&mut self, at: &str, whose: &str, old: &ListRules, new: &ListRules) {
        let ListRules {
            matching: _, // by what it comes to: left out, it means look-alikes
            amber_after,
            red_after,
            past_red,
            growth_percent,
            shrink_percent,
            false_hits,
        } = new;
        let from = self.0.len();
        let matches = |lead| Words {
            lead,
            unsaid: "where each car's configuration says",
            more: "matches MORE",
            less: "matches LESS",
        };
        self.cap(
            &format!("{at}.matching"),
            (&Some(old.loosest()), &Some(new.loosest())),
            &matches("matches"),
            |a, b| a <= b,
            |m| words::matching(*m).into(),
        );
        let warns = |lead| Words {
            lead,
            unsaid: "after the age in each car's configuration",
            more: "warns LATER",
            less: "warns EARLIER",
        };
        let pair = (&old.amber_after, amber_after);
        self.longest(&format!("{at}.amber_after"), pair, &warns("calls its source old"));
        let pair = (&old.red_after, red_after);
        let what = format!("{at}.red_after");
        self.longest(&what, pair, &warns("calls its source stale"));
        self.silences(&what, SILENT, *past_red == Some(PastRed::Stop));
        self.cap(
            &format!("{at}.past_red"),
            (
                &Some(old.past_red.unwrap_or(PastRed::Tell)),
                &Some(past_red.unwrap_or(PastRed::Tell)),
            ),
            &matches("once stale,"),
            |a, b| a <= b,
            |p| match p {
                PastRed::Stop => "no longer alarms".into(),
                PastRed::Tell => "alarms and says STALE LIST".into(),
            },
        );
        self.silences(&format!("{at}.past_red"), SILENT, true);
        let accepts = |lead| Words {
            lead,
            unsaid: "as much as each car's configuration says",
            more: "accepts MORE unconfirmed",
            less: "accepts LESS unconfirmed",
        };
        let percent = |p: &u32| format!("by up to {p} % at once");
        let pair = (&old.growth_percent, growth_percent);
        let words = accepts("may grow");
        let what = format!("{at}.growth_percent");
        self.cap(&what, pair, &words, |a, b| a <= b, percent);
        self.silences(&what, "what is new alarms NO MORE", *growth_percent == Some(0));
        let pair = (&old.shrink_percent, shrink_percent);
        let words = accepts("may shrink");
        self.cap(&format!("{at}.shrink_percent"), pair, &words, |a, b| a <= b, percent);
        let pair = (&old.false_hits, false_hits);
        let words =
            Words { unsaid: "however many false hits", ..matches("matches approximately at") };
        self.cap(
            &format!("{at}.false_hits"),
            pair,
            &words,
            |a, b| a <= b,
            |n| format!("up to {n} expected false hits in 10,000 reads"),
        );
        for change in &mut self.0[from..] {
            change.says = format!("{whose}: {}", change.says);
        }
    }

    fn hotplates(&mut self, old: &HotplateRules, new: &HotplateRules) {
        let HotplateRules { longest, most, wildcards, revoked, revoked_before } = new;
        let words =
            |lead, unsaid| Words { lead, unsaid, more: "matches MORE", less: "matches LESS" };
        let lead = words("lets hotplates run", "for as long as each car's configuration says");
        self.longest("hotplates.longest", (&old.longest, longest), &lead);
        let none = longest.is_some_and(|d| d < SHORTEST_HOTPLATE);
        self.silences("hotplates.longest", SILENT, none);
        self.cap(
            "hotplates.most",
            (&old.most, most),
            &words("allows", "as many hotplates as each car's configuration says"),
            |a, b| a <= b,
            |n| match n {
                0 => "no hotplates".into(),
                1 => "one hotplate in a car".into(),
                n => format!("up to {n} hotplates in a car"),
            },
        );
        self.silences("hotplates.most", SILENT, *most == Some(0));
        let lead = "takes partial plates as hotplates";
        self.grant("hotplates.wildcards", lead, "matches", old.wildcards, *wildcards);
        for (set, other, direction, says) in [
            (revoked, &old.revoked, Direction::Narrows, "is removed from every car"),
            (&old.revoked, revoked, Direction::Neutral, "is no longer named as removed"),
        ] {
            for id in set.difference(other) {
                self.0.push(Change {
                    what: "hotplates.revoked".into(),
                    old: String::new(),
                    new: id.clone(),
                    direction,
                    says: format!("hotplate {id} {says}: one signature does"),
                });
            }
        }
        if old.revoked_before != *revoked_before {
            let written = |at: &Option<Timestamp>| at.map_or(String::new(), |at| at.to_string());
            let says = match revoked_before {
                Some(at) => format!("removes all hotplates that were added before {at}"),
                None => "no longer names a time before which hotplates are removed".into(),
            };
            self.0.push(Change {
                what: "hotplates.revoked_before".into(),
                old: written(&old.revoked_before),
                new: written(revoked_before),
                direction: match revoked_before > &old.revoked_before {
                    true => Direction::Narrows,
                    false => Direction::Neutral,
                },
                says: format!("{says}: one signature does"),
            });
        }
    }

    fn lookups(&mut self, old: &LookupRules, new: &LookupRules) {
        let LookupRules { past_reads } = new;
        let lead = "compares new entries with reads of before";
        self.grant("lookups.past_reads", lead, "matches", old.past_reads, *past_reads);
    }

    fn models(&mut self, old: ModelRules, new: ModelRules) {
        let ModelRules { from_broker } = new;
        let words = Words {
            lead: "packages of models from the broker are",
            unsaid: "not taken",
            more: "lets MORE in",
            less: "lets LESS in",
        };
        // Left out, it means off.
        let pair = (&Some(old.from_broker), &Some(from_broker));
        self.cap(
            "models.from_broker",
            pair,
            &words,
            |a, b| a <= b,
            |from| match from {
                FromBroker::Off => "not taken".into(),
                FromBroker::Wait => "kept until a maintainer installs them".into(),
                FromBroker::Install => "tried, and used where they pass, without a person".into(),
            },
        );
    }

    fn alerts(&mut self, old: &AlertRules, new: &AlertRules) {
        let AlertRules { realert_after, mute, unread_jurisdiction } = new;
        let written = |d: &Option<HumanDuration>| d.map_or(String::new(), |d| d.to_string());
        // The effective value is compared: where the rule is left out, the configuration's default
        // stands for it.
        let usual = ReadingConfig::default().realert_after;
        let quiet = |d: &Option<HumanDuration>| d.unwrap_or(usual);
        self.alert_rule(
            "alerts.realert_after",
            (written(&old.realert_after), written(realert_after)),
            quiet(realert_after) > quiet(&old.realert_after),
            &match realert_after {
                Some(d) => {
                    format!("an entry that has alarmed stays quiet for {}", words::spelled(d.get()))
                }
                None => "an entry that has alarmed stays quiet as each car's configuration says"
                    .to_owned(),
            },
        );
        let written = |set: &Option<BTreeSet<_>>| set.as_ref().map_or(String::new(), words::json);
        let may = |set: &Option<BTreeSet<Priority>>| {
            set.clone().unwrap_or_else(|| BTreeSet::from([Priority::Low, Priority::Medium]))
        };
        self.alert_rule(
            "alerts.mute",
            (written(&old.mute), written(mute)),
            !may(mute).is_subset(&may(&old.mute)),
            &match mute {
                Some(set) if set.is_empty() => "no alert may be muted".to_owned(),
                Some(set) => {
                    format!("alerts of these priorities may be muted: {}", words::json(set))
                }
                None => "low and medium alerts may be muted".to_owned(),
            },
        );
        let usual = ReadingConfig::default().unread_jurisdiction;
        let comes_to = |rule: &Option<UnreadJurisdiction>| rule.unwrap_or(usual);
        let written = |rule: &Option<_>| rule.as_ref().map_or(String::new(), words::json);
        let old = &old.unread_jurisdiction;
        self.alert_rule(
            "alerts.unread_jurisdiction",
            (written(old), written(unread_jurisdiction)),
            // A medium alert can be muted.
            comes_to(unread_jurisdiction) > comes_to(old),
            match unread_jurisdiction {
                Some(UnreadJurisdiction::Lower) => {
                    "a hit whose jurisdiction was not read is told as medium at most"
                }
                Some(UnreadJurisdiction::Alert) => {
                    "a hit whose jurisdiction was not read is told as its entry says"
                }
                None => {
                    "a hit whose jurisdiction was not read is told as each car's configuration says"
                }
            },
        );
    }

    fn verify(&mut self, old: VerifyRules, new: VerifyRules) {
        // By what they come to: sight is asked for whatever is written.
        let VerifyRules { sight: _, dispatch: _ } = new;
        let (old, new) = (old.asks_dispatch(), new.asks_dispatch());
        if old == new {
            return;
        }
        let (direction, says) = match new {
            true => (
                Direction::Narrows,
                "a hit is grounds only once dispatch has confirmed it after sight: people act on LESS, one \
                 signature does",
            ),
            false => (
                Direction::Widens,
                "a hit is grounds once it is confirmed by sight, without dispatch: people act on MORE, needs two \
                 signatures",
            ),
        };
        let (old, new, says) = (old.to_string(), new.to_string(), says.to_owned());
        self.0.push(Change { what: "verify.dispatch".into(), old, new, direction, says });
    }

    fn roles(&mut self, old: &RoleRules, new: &RoleRules) {
        // The effective permissions are compared.
        let RoleRules { officer: _, supervisor: _, auditor: _, maintainer: _ } = new;
        for who in [Who::Officer, Who::Supervisor, Who::Auditor, Who::Maintainer] {
            let role = who.word();
            let (before, after) = (old.of(who), new.of(who));
            for permission in Permission::ALL {
                let may = |set: &BTreeSet<_>| if set.contains(&permission) { "may" } else { "" };
                let (direction, says) =
                    match (before.contains(&permission), after.contains(&permission)) {
                        (false, true) => {
                            (Direction::Widens, "may: lets people do MORE, needs two signatures")
                        }
                        (true, false) => (
                            Direction::Narrows,
                            "may no longer: lets people do LESS, one signature does",
                        ),
                        _ => continue,
                    };
                let (may_words, consequence) = says.split_once(':').expect("written above");
                self.0.push(Change {
                    what: format!("roles.{role}.{}", words::json(&permission).trim_matches('"')),
                    old: may(&before).into(),
                    new: may(&after).into(),
                    direction,
                    says: format!(
                        "{} {may_words} {}:{consequence}",
                        who.words(),
                        permission.words()
                    ),
                });
            }
        }
    }

    fn sign_in(&mut self, old: &SignInRules, new: &SignInRules) {
        // The effective values are compared: each has a default where it is left out.
        let SignInRules { idle: _, shift: _ } = new;
        for (what, lead, old, new) in [
            ("sign_in.idle", "asks for the PIN again after", old.idle(), new.idle()),
            ("sign_in.shift", "ends a shift after", old.shift(), new.shift()),
        ] {
            let words = Words {
                lead,
                unsaid: "",
                more: "trusts LONGER",
                less: "trusts for a SHORTER time",
            };
            let say = |d: &HumanDuration| words::spelled(d.get());
            self.cap(what, (&Some(old), &Some(new)), &words, |a, b| a <= b, say);
        }
    }

    /// A hash is never shown: a sentence only says that the PIN changes.
    fn users(&mut self, old: &BTreeMap<String, User>, new: &BTreeMap<String, User>) {
        let more = "lets people do MORE, needs two signatures";
        let less = "lets people do LESS, one signature does";
        let numbers: BTreeSet<_> = old.keys().chain(new.keys()).collect();
        for number in numbers {
            let at = format!("users.{number}");
            match (old.get(number), new.get(number)) {
                (None, Some(user)) => {
                    let until = match user.trained_until {
                        Some(day) => format!(" until {day}"),
                        None => String::new(),
                    };
                    let roles = role_words(&user.roles);
                    let says = format!(
                        "{} may sign in as {roles}{until}: {more}",
                        described(number, user)
                    );
                    self.person(at, (String::new(), roles), Direction::Widens, says);
                }
                (Some(user), None) => {
                    let says = format!("{} may no longer sign in: {less}", described(number, user));
                    let roles = role_words(&user.roles);
                    self.person(at, (roles, String::new()), Direction::Narrows, says);
                }
                (Some(old), Some(new)) => self.user(number, old, new),
                (None, None) => {}
            }
        }
    }

    fn user(&mut self, number: &str, old: &User, new: &User) {
        let User { name, roles, trained_until, pin } = new;
        let (at, who) = (format!("users.{number}"), described(number, new));
        for role in Who::ALL {
            let (direction, may) = match (old.roles.contains(&role), roles.contains(&role)) {
                (false, true) => {
                    (Direction::Widens, "may act as: lets people do MORE, needs two signatures")
                }
                (true, false) => (
                    Direction::Narrows,
                    "may no longer act as: lets people do LESS, one signature does",
                ),
                _ => continue,
            };
            let (may, consequence) = may.split_once(':').expect("written above");
            let said = |yes: bool| if yes { "may".to_owned() } else { String::new() };
            let values =
                (said(direction == Direction::Narrows), said(direction == Direction::Widens));
            let says = format!("{who} {may} {}:{consequence}", role.word());
            self.person(format!("{at}.roles.{}", role.word()), values, direction, says);
        }
        if *pin != old.pin {
            let says = format!(
                "{who} signs in with another PIN, and whoever has set it can act in that name: lets people \
                 do MORE, needs two signatures"
            );
            let at = format!("{at}.pin");
            self.person(at, ("one".into(), "another".into()), Direction::Widens, says);
        }
        if *trained_until != old.trained_until {
            let written = |day: &Option<_>| {
                day.map_or(String::new(), |day: jiff::civil::Date| day.to_string())
            };
            let longer = match (old.trained_until, *trained_until) {
                (_, None) => true,
                (None, Some(_)) => false,
                (Some(old), Some(new)) => new > old,
            };
            let until = trained_until.map_or("without an end".into(), |day| format!("until {day}"));
            let (direction, consequence) = match longer {
                true => (Direction::Widens, "lets people do MORE, needs two signatures"),
                false => (Direction::Narrows, "lets people do LESS, one signature does"),
            };
            let says = format!("the training of {who} holds {until}: {consequence}");
            let values = (written(&old.trained_until), written(trained_until));
            self.person(format!("{at}.trained_until"), values, direction, says);
        }
        if *name != old.name {
            let says =
                format!("{} is shown as {name:?}: one signature does", described(number, old));
            let values = (old.name.clone(), name.clone());
            self.person(format!("{at}.name"), values, Direction::Neutral, says);
        }
    }

    fn person(
        &mut self,
        what: String,
        (old, new): (String, String),
        direction: Direction,
        says: String,
    ) {
        self.0.push(Change { what, old, new, direction, says });
    }

    fn longest(
        &mut self,
        what: &str,
        pair: (&Option<HumanDuration>, &Option<HumanDuration>),
        words: &Words,
    ) {
        let after = words.lead.starts_with("calls");
        self.cap(
            what,
            pair,
            words,
            |a, b| a <= b,
            |d| format!("{} {}", if after { "after" } else { "for" }, words::spelled(d.get())),
        );
    }

    /// Makes the last change a silencing one, if it concerns this rule and narrows.
    fn silences(&mut self, what: &str, how: &str, if_so: bool) {
        let Some(last) = self.0.last_mut().filter(|_| if_so) else { return };
        if last.what == what && last.direction == Direction::Narrows {
            last.direction = Direction::Silences;
            let told = last.says.rsplit_once(": ").map_or(&*last.says, |(told, _)| told);
            last.says = format!("{told}: {how}, needs two signatures");
        }
    }

    /// Compares a cap: leaving it out is wider than any value.
    fn cap<T: PartialEq + Serialize>(
        &mut self,
        what: &str,
        (old, new): (&Option<T>, &Option<T>),
        words: &Words,
        within: impl Fn(&T, &T) -> bool,
        say: impl Fn(&T) -> String,
    ) {
        if old == new {
            return;
        }
        let narrows = match (old, new) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(old), Some(new)) => within(new, old),
        };
        let (direction, consequence) = match narrows {
            true => (Direction::Narrows, format!("{}, one signature does", words.less)),
            false => (Direction::Widens, format!("{}, needs two signatures", words.more)),
        };
        let said = |v: &Option<T>| v.as_ref().map_or(words.unsaid.to_owned(), &say);
        let written = |v: &Option<T>| {
            v.as_ref().map_or(String::new(), |v| words::json(v).trim_matches('"').to_owned())
        };
        self.0.push(Change {
            what: what.into(),
            old: written(old),
            new: written(new),
            direction,
            says: format!("{} {} instead of {}: {consequence}", words.lead, said(new), said(old)),
        });
    }

    /// Compares a grant: leaving it out is narrower than giving it.
    fn grant(&mut self, what: &str, lead: &str, verb: &str, old: bool, new: bool) {
        if old == new {
            return;
        }
        let (direction, says) = match new {
            true => (
                Direction::Widens,
                format!("{lead}, which it did not: {verb} MORE, needs two signatures"),
            ),
            false => {
                (Direction::Narrows, format!("no longer {lead}: {verb} LESS, one signature does"))
            }
        };
        let (old, new) = (old.to_string(), new.to_string());
        self.0.push(Change { what: what.into(), old, new, direction, says });
    }

    /// Compares a rule on alerts: a quieter value silences, any other change is neutral.
    fn alert_rule(&mut self, what: &str, (old, new): (String, String), quieter: bool, says: &str) {
        if old != new {
            let (direction, says) = match quieter {
                true => (Direction::Silences, format!("{says}: {SILENT}, needs two signatures")),
                false => (Direction::Neutral, format!("{says}: one signature does")),
            };
            self.0.push(Change { what: what.into(), old, new, direction, says });
        }
    }
}

/// A user as sentences name them.
fn described(number: &str, user: &User) -> String {
    match user.name.is_empty() {
        true => number.to_owned(),
        false => format!("{number} ({})", user.name),
    }
}

fn role_words(roles: &BTreeSet<Who>) -> String {
    roles.iter().map(|role| role.word()).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
#[path = "changes_tests.rs"]
pub(super) mod tests;
