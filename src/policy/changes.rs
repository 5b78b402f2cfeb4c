//! What one policy changes of another, and which way: the one place that says what *widening* is.
//!
//! In: the rules before and the rules after. Out: a [`Change`] for each difference, with its direction
//! and a sentence for people. Every struct of the rules is taken apart by name here, so a new field
//! does not compile until somebody has decided what widens it.
//!
//! A difference *widens* if the car may then keep more, match more, let more people do more, or warn
//! of an old list later. What cannot be ordered ("session" against a duration) counts as widening.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde::Serialize;

use super::rules::{
    AlertRules, HotplateRules, KeepingRules, ListRules, ListsRules, LookupRules, PastRed,
    Permission, RoleRules, Rules, Who,
};
use super::words;
use crate::config::{HumanDuration, Retention};

/// Which way a difference goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Less is kept, matched or allowed: one signature does.
    Narrows,
    /// Neither: one signature does.
    Neutral,
    /// More is kept, matched or allowed: needs two signatures.
    Widens,
}

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// Which rule, such as `keeping.non_hit`.
    pub what: String,
    /// What it was, as written in a policy; empty if it was not said.
    pub old: String,
    /// What it becomes.
    pub new: String,
    /// Which way that goes.
    pub direction: Direction,
    /// The difference in a sentence.
    pub says: String,
}

/// How a rule is spoken of.
struct Words {
    /// Begins the sentence: "keeps reads that match nothing".
    lead: &'static str,
    /// Ends it where nothing is said.
    unsaid: &'static str,
    more: &'static str,
    less: &'static str,
}

/// What changes from `old` to `new`.
pub fn changes(old: &Rules, new: &Rules) -> Vec<Change> {
    let Rules { keeping, lists, hotplates, lookups, alerts, roles } = new;
    let mut diff = Diff(Vec::new());
    diff.keeping(&old.keeping, keeping);
    diff.lists(&old.lists, lists);
    diff.hotplates(&old.hotplates, hotplates);
    diff.lookups(&old.lookups, lookups);
    diff.alerts(&old.alerts, alerts);
    diff.roles(&old.roles, roles);
    diff.0
}

/// Whether what is kept under `a` is never more than under `b`. Session and a duration cannot be
/// compared: one ends with the drive however long that is, the other survives it.
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
        self.longest("keeping.hits", (&old.hits, hits), &keep("keeps delivered hits"));
        let images = (&old.hit_images, hit_images);
        self.longest("keeping.hit_images", images, &keep("keeps pictures of delivered hits"));
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
        let whose = match old.named.is_empty() && named.is_empty() {
            true => "every list",
            false => "every other list",
        };
        self.list("lists.every", whose, &old.every, every);
        let names: BTreeSet<_> = old.named.keys().chain(named.keys()).collect();
        for name in names {
            // By what it comes to, not by what is written: a list may lose its own rules and keep
            // the same ones as every other list's.
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
        self.longest(&format!("{at}.red_after"), pair, &warns("calls its source stale"));
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
        let accepts = |lead| Words {
            lead,
            unsaid: "as much as each car's configuration says",
            more: "accepts MORE unconfirmed",
            less: "accepts LESS unconfirmed",
        };
        let percent = |p: &u32| format!("by up to {p} % at once");
        let pair = (&old.growth_percent, growth_percent);
        let words = accepts("may grow");
        self.cap(&format!("{at}.growth_percent"), pair, &words, |a, b| a <= b, percent);
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

    fn alerts(&mut self, old: &AlertRules, new: &AlertRules) {
        let AlertRules { realert_after, mute } = new;
        let written = |d: &Option<HumanDuration>| d.map_or(String::new(), |d| d.to_string());
        self.neutral(
            "alerts.realert_after",
            (written(&old.realert_after), written(realert_after)),
            &match realert_after {
                Some(d) => {
                    format!("an entry that has alarmed stays quiet for {}", words::spelled(d.get()))
                }
                None => "an entry that has alarmed stays quiet as each car's configuration says"
                    .to_owned(),
            },
        );
        let written = |set: &Option<BTreeSet<_>>| set.as_ref().map_or(String::new(), words::json);
        self.neutral(
            "alerts.mute",
            (written(&old.mute), written(mute)),
            &match mute {
                Some(set) if set.is_empty() => "no alert may be muted".to_owned(),
                Some(set) => {
                    format!("alerts of these priorities may be muted: {}", words::json(set))
                }
                None => "low and medium alerts may be muted".to_owned(),
            },
        );
    }

    fn roles(&mut self, old: &RoleRules, new: &RoleRules) {
        let RoleRules { officer: _, supervisor: _ } = new; // by what they come to
        for (role, who) in [("officer", Who::Officer), ("supervisor", Who::Supervisor)] {
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

    /// A limit: none is wider than any.
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

    /// A grant: absent is narrower than given.
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

    fn neutral(&mut self, what: &str, (old, new): (String, String), says: &str) {
        if old != new {
            let says = format!("{says}: one signature does");
            self.0.push(Change {
                what: what.into(),
                old,
                new,
                direction: Direction::Neutral,
                says,
            });
        }
    }
}

#[cfg(test)]
#[path = "changes_tests.rs"]
pub(crate) mod tests;
