//! The lists in service: replaced as a whole while the daemon runs, looked up without waiting, each
//! limited by the rules in force.

use std::collections::BTreeSet;
use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tracing::warn;

use super::chunked::Revoked;
use super::false_hits::{MISREAD_RATE, SHIFT_READS, Shape, expected_false_hits};
use super::patterns::Patterns;
use super::{Entry, Freshness, HOTPLATES, Hotlist, Matching};
use crate::clock::When;
use crate::plate::Plate;
use crate::policy::{ListRules, ListsRules, PastRed};

/// A list in service, with the limits that the rules set. It dereferences to the list.
#[derive(Debug, Clone)]
pub struct Serving {
    list: Arc<Hotlist>,
    /// Computed once for each version.
    shape: Arc<Shape>,
    /// Empty unless wildcards are used.
    patterns: Arc<Patterns>,
    matching: Matching,
    stricter: Option<String>,
    ages: (Duration, Duration),
    past_red: PastRed,
    categories: Categories,
    covert: bool,
}

/// Categories that may raise alerts; all if `None`.
type Categories = Option<Arc<BTreeSet<String>>>;

impl Serving {
    fn of(
        list: Arc<Hotlist>,
        shape: Arc<Shape>,
        rules: &ListsRules,
        categories: &Categories,
        covert: &BTreeSet<String>,
    ) -> Self {
        let wanted = list.matching();
        // Each hotplate was admitted under rules of its own.
        let (rule, categories) = match list.stamp().name.as_ref() == HOTPLATES {
            true => (ListRules { matching: Some(wanted), ..ListRules::default() }, None),
            false => (rules.of(&list.stamp().name), categories.clone()),
        };
        let (matching, stricter) = Self::matching_under(&rule, wanted, &shape);
        if let Some(why) = &stricter {
            warn!(list = %list.stamp().name, why, "list matched more strictly than it asks for");
        }
        let patterns = match matching {
            Matching::Wildcard => Patterns::of(list.patterns()),
            Matching::Exact | Matching::LookAlike => Patterns::default(),
        };
        let (amber, red) = list.ages();
        let ages = (
            rule.amber_after.map_or(amber, |d| amber.min(d.get())),
            rule.red_after.map_or(red, |d| red.min(d.get())),
        );
        let past_red = rule.past_red.unwrap_or(PastRed::Tell);
        let patterns = Arc::new(patterns);
        let covert = covert.contains(list.stamp().name.as_ref());
        Self { list, shape, patterns, matching, stricter, ages, past_red, categories, covert }
    }

    /// The loosest matching that is wanted and allowed, and gives no more false hits than allowed;
    /// and why it is stricter than wanted, if it is.
    fn matching_under(
        rule: &ListRules,
        wanted: Matching,
        shape: &Shape,
    ) -> (Matching, Option<String>) {
        let mut matching = wanted.min(rule.loosest());
        let mut why = (matching < wanted)
            .then(|| format!("asks for {wanted} matching, policy allows {matching}"));
        if let Some(most) = rule.false_hits {
            let expected = |m| expected_false_hits(shape, m, SHIFT_READS, MISREAD_RATE);
            while matching > Matching::Exact && expected(matching) > f64::from(most) {
                why = Some(format!(
                    "{matching} matching would give {:.1} false hits in {SHIFT_READS} reads, policy \
                     allows {most}",
                    expected(matching)
                ));
                matching = match matching {
                    Matching::Wildcard => Matching::LookAlike,
                    Matching::LookAlike | Matching::Exact => Matching::Exact,
                };
            }
        }
        let instead = match matching {
            Matching::Exact => "exactly",
            Matching::LookAlike | Matching::Wildcard => "by look-alikes",
        };
        (matching, why.map(|why| format!("{why}: matched {instead}")))
    }

    /// How it is matched: as it asks for, within the rules.
    pub fn matching(&self) -> Matching {
        self.matching
    }

    /// Why it is matched more strictly than it asks for, if it is.
    pub fn stricter(&self) -> Option<&str> {
        self.stricter.as_deref()
    }

    /// How old its source is, by its settings or the rules, whichever are stricter.
    pub fn freshness(&self, now: Timestamp) -> Freshness {
        Freshness::of(self.list.stamp().source_time, now, self.ages.0, self.ages.1)
    }

    /// Whether it is certainly so old that it must not raise alerts any more.
    pub fn stopped(&self, now: impl Into<When>) -> bool {
        let when = now.into().not_before(self.list.stamp().source_time);
        self.past_red == PastRed::Stop && self.freshness(when.earliest) == Freshness::Red
    }

    /// Whether entries of this category may raise alerts.
    pub fn allows(&self, category: &str) -> bool {
        self.categories.as_ref().is_none_or(|allowed| allowed.contains(category))
    }

    /// Whether all its entries are covert, whatever they state themselves.
    pub fn covert(&self) -> bool {
        self.covert
    }

    /// How its plates are distributed, from which false hits are computed.
    pub fn shape(&self) -> &Shape {
        &self.shape
    }

    /// The expected number of false hits in a busy shift, with its present matching.
    pub fn expected_false_hits(&self) -> f64 {
        expected_false_hits(&self.shape, self.matching, SHIFT_READS, MISREAD_RATE)
    }

    /// The entries whose pattern a read fits and that are in force at `now`; none unless wildcards
    /// are used.
    pub fn fitting(&self, read: &Plate, now: impl Into<When>) -> impl Iterator<Item = &Entry> {
        let when = now.into().not_before(self.list.stamp().source_time);
        self.patterns.fitting(read, when)
    }

    /// The list.
    pub fn list(&self) -> &Arc<Hotlist> {
        &self.list
    }
}

impl Deref for Serving {
    type Target = Hotlist;

    fn deref(&self) -> &Hotlist {
        &self.list
    }
}

/// The lists in service. There is one per daemon.
#[derive(Debug, Default)]
pub struct Hotlists {
    /// Counts replacements, so that [`Lookups`] notice one without taking the lock.
    generation: AtomicU64,
    /// Locked to copy one pointer, or to compute the limits of one list.
    current: Mutex<Current>,
}

#[derive(Debug, Default)]
struct Current {
    rules: ListsRules,
    covert: BTreeSet<String>,
    serving: Arc<[Serving]>,
}

impl Hotlists {
    /// Starts with these lists in service.
    pub fn of(lists: Vec<Hotlist>) -> Self {
        let service = Self::default();
        for list in lists {
            service.put(list);
        }
        service
    }

    /// Puts a list in service, in place of the one with the same name if there is one.
    pub fn put(&self, list: Hotlist) {
        // The list is measured before the lock is taken; the same version was measured before.
        let before = self.lists();
        let same = before.iter().find(|l| l.stamp() == list.stamp() && l.len() == list.len());
        let shape = same.map_or_else(|| Arc::new(Shape::of_list(&list)), |l| l.shape.clone());
        let mut current = self.current.lock().expect("no holder panics");
        let others = current.serving.iter().filter(|l| l.stamp().name != list.stamp().name);
        let mut serving: Vec<_> = others.cloned().collect();
        let categories = categories(&current.rules);
        let (rules, covert) = (&current.rules, &current.covert);
        serving.push(Serving::of(Arc::new(list), shape, rules, &categories, covert));
        current.serving = serving.into();
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Takes a list out of service. Returns whether it was in service.
    pub fn remove(&self, name: &str) -> bool {
        let mut current = self.current.lock().expect("no holder panics");
        let serving: Vec<_> =
            current.serving.iter().filter(|l| *l.stamp().name != *name).cloned().collect();
        let was_in = serving.len() < current.serving.len();
        if was_in {
            current.serving = serving.into();
            self.generation.fetch_add(1, Ordering::Release);
        }
        was_in
    }

    /// Applies these rules to all lists, present and future.
    pub fn govern(&self, rules: &ListsRules) {
        let mut current = self.current.lock().expect("no holder panics");
        current.rules = rules.clone();
        current.recompute();
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// The rules in force for the list of this name.
    pub fn rules_of(&self, name: &str) -> ListRules {
        self.current.lock().expect("no holder panics").rules.of(name)
    }

    /// Makes lists of these names covert: their hits give no cue in the car.
    pub fn conceal(&self, names: impl IntoIterator<Item = String>) {
        let mut current = self.current.lock().expect("no holder panics");
        current.covert = names.into_iter().collect();
        current.recompute();
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Puts other revocations of a list in force without rebuilding it.
    pub(super) fn revoke(&self, name: &str, revoked: Option<&Revoked>) {
        let current = self.lists();
        if let Some(list) = current.iter().find(|l| *l.stamp().name == *name) {
            self.put(list.with_revoked(revoked.cloned()));
        }
    }

    /// The lists in service now.
    pub fn lists(&self) -> Arc<[Serving]> {
        self.current.lock().expect("no holder panics").serving.clone()
    }

    /// A number that grows with every replacement.
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// A view for look-ups, for one thread.
    pub fn lookups(self: &Arc<Self>) -> Lookups {
        let seen = self.generation.load(Ordering::Acquire);
        Lookups { seen, lists: self.lists(), service: self.clone() }
    }
}

impl Current {
    /// Computes anew what each list may do.
    fn recompute(&mut self) {
        let categories = categories(&self.rules);
        let each = self.serving.iter();
        self.serving = each
            .map(|l| {
                let (list, shape) = (l.list.clone(), l.shape.clone());
                Serving::of(list, shape, &self.rules, &categories, &self.covert)
            })
            .collect();
    }
}

fn categories(rules: &ListsRules) -> Categories {
    rules.categories.clone().map(Arc::new)
}

/// One thread's view of the lists, which is updated between look-ups.
#[derive(Debug)]
pub struct Lookups {
    service: Arc<Hotlists>,
    seen: u64,
    lists: Arc<[Serving]>,
}

impl Lookups {
    /// The lists as last replaced. This never waits: while a replacement is in progress, the
    /// previous lists are returned once more.
    pub fn lists(&mut self) -> &[Serving] {
        let generation = self.service.generation.load(Ordering::Acquire);
        if generation != self.seen
            && let Ok(current) = self.service.current.try_lock()
        {
            self.lists = current.serving.clone();
            // A replacement after the load above is noticed next time.
            self.seen = generation;
        }
        &self.lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::HotlistConfig;

    const NOW: &str = "2026-11-24T07:00:00Z";

    fn list(name: &str, matching: &str, rows: &str) -> Hotlist {
        let config: HotlistConfig = toml::from_str(&format!(
            "name = {name:?}\npath = \"list.csv\"\nmatching = {matching:?}\nred_after = \"3d\""
        ))
        .unwrap();
        let zone = &jiff::tz::TimeZone::UTC;
        super::super::parse(rows.as_bytes(), &config, NOW.parse().unwrap(), zone).unwrap().0
    }

    fn rules(json: &str) -> ListsRules {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn without_policy_a_list_may_ask_for_look_alikes_and_not_for_wildcards() {
        let service = Hotlists::of(vec![
            list("a", "look_alike", "CKSV841\n"),
            list("b", "wildcard", "CKS*\n"),
        ]);
        let lists = service.lists();
        assert_eq!((lists[0].matching(), lists[0].stricter()), (Matching::LookAlike, None));
        assert_eq!(lists[1].matching(), Matching::LookAlike);
        assert_eq!(
            lists[1].stricter(),
            Some("asks for wildcard matching, policy allows look_alike: matched by look-alikes")
        );
        service.govern(&rules(r#"{"named":{"b":{"matching":"wildcard"}}}"#));
        assert_eq!(service.lists()[1].matching(), Matching::Wildcard);
        service.govern(&rules(r#"{"every":{"matching":"exact"}}"#));
        assert!(service.lists().iter().all(|l| l.matching() == Matching::Exact));
        service.put(list("c", "look_alike", "BMNT220\n"));
        assert_eq!(service.lists()[2].matching(), Matching::Exact, "and those to come");
    }

    #[test]
    fn list_that_would_cry_wolf_is_matched_exactly_and_says_why() {
        let dense: String = (0..2_000).map(|n| format!("{:04}\n", n * 5)).collect();
        let service = Hotlists::of(vec![list("permits", "look_alike", &dense)]);
        service.govern(&rules(r#"{"every":{"false_hits":100}}"#));
        let lists = service.lists();
        assert_eq!(lists[0].matching(), Matching::Exact);
        let why = lists[0].stricter().unwrap();
        assert!(why.starts_with("look_alike matching would give "), "{why}");
        assert!(why.ends_with("policy allows 100: matched exactly"), "{why}");
        // The same rule allows a list of a few plates to be matched approximately.
        service.put(list("few", "look_alike", "CKSV841\nBMNT220\n"));
        assert_eq!(service.lists()[1].matching(), Matching::LookAlike);
    }

    #[test]
    fn rules_make_a_list_old_earlier_and_never_later() {
        let service = Hotlists::of(vec![list("a", "exact", "CKSV841\n")]);
        let at = |hours: i64| {
            NOW.parse::<Timestamp>().unwrap() + jiff::SignedDuration::from_hours(hours)
        };
        assert_eq!(service.lists()[0].freshness(at(50)), Freshness::Amber);
        service.govern(&rules(r#"{"every":{"amber_after":"30d","red_after":"2d"}}"#));
        let lists = service.lists();
        assert_eq!(lists[0].freshness(at(30)), Freshness::Amber, "its own amber age holds");
        assert_eq!(lists[0].freshness(at(50)), Freshness::Red);
        assert!(!lists[0].stopped(at(50)));
        service.govern(&rules(r#"{"every":{"red_after":"2d","past_red":"stop"}}"#));
        assert!(service.lists()[0].stopped(at(50)) && !service.lists()[0].stopped(at(30)));
    }
}
