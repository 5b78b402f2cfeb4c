//! Keeps lists from files in service as the files change, and reports the state of each in health.
//!
//! A changed file is read once it has not changed between two checks, so that a copy in progress is
//! not taken for a list. If a file cannot be read, is missing or has become empty, the version
//! before stays in service, and health says so: an empty list must be intended (it has a header or
//! a comment).

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::turnover::{TOLD_FOR, sudden_change};
use super::{Freshness, Hotlist, Hotlists, file};
use crate::clock::{Clock, FrameTime};
use crate::config::{HotlistConfig, ListSource};
use crate::health::{Health, PartState};

/// Time between two checks of the files. Revocations must take effect within a minute (FIELD 3e); a
/// change takes effect after two checks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The time of a file's last change, and its length.
type Mark = (SystemTime, u64);

/// Watches the files of all lists.
pub struct Watch {
    lists: Vec<Watched>,
    service: Arc<Hotlists>,
    clock: Arc<dyn Clock>,
    health: Arc<Health>,
}

struct Watched {
    config: HotlistConfig,
    /// The file that was read, or tried.
    read: Option<Mark>,
    /// The file at the last check.
    seen: Option<Mark>,
    /// What is wrong with the file, if anything is.
    trouble: Option<Trouble>,
    /// A warning about the list in service.
    told: Option<String>,
    /// A sudden change, and when it happened.
    sudden: Option<(String, Duration)>,
}

/// Why the file is not used, so that the version before stays in service.
type Trouble = String;

impl Watch {
    /// Reads every list that comes from a file once. One that cannot be read is reported in health,
    /// and tried again.
    pub fn new(lists: Vec<HotlistConfig>, clock: Arc<dyn Clock>, health: Arc<Health>) -> Self {
        let lists = lists
            .into_iter()
            .filter(|list| list.source == ListSource::File)
            .map(|config| Watched {
                config,
                read: None,
                seen: None,
                trouble: None,
                told: None,
                sudden: None,
            })
            .collect();
        let mut watch = Self { lists, service: Arc::default(), clock, health };
        for i in 0..watch.lists.len() {
            watch.lists[i].seen = watch.lists[i].mark();
        }
        watch.step();
        watch
    }

    /// The lists in service.
    pub fn service(&self) -> Arc<Hotlists> {
        self.service.clone()
    }

    /// Checks every file once.
    pub fn step(&mut self) {
        let FrameTime { wall: now, monotonic } = self.clock.now();
        for list in &mut self.lists {
            list.read_again_if_changed(&self.service, monotonic);
            let serving = self.service.lists();
            let serving = serving.iter().find(|l| *l.stamp().name == *list.config.name);
            let state = match (serving, &list.trouble) {
                (None, Some(trouble)) => PartState::Down(trouble.clone()),
                (None, None) => PartState::Starting,
                (Some(old), Some(trouble)) => PartState::Impaired(format!(
                    "{trouble}; what was read before serves, source of {}",
                    old.stamp().source_time
                )),
                (Some(serving), None) => {
                    let aged = match serving.freshness(now) {
                        Freshness::Fresh => None,
                        Freshness::Amber => Some(aged(serving, "old", list.config.amber_after)),
                        Freshness::Red => Some(aged(serving, "stale", list.config.red_after)),
                    };
                    let said: Vec<_> = [aged, list.told.clone(), list.sudden(monotonic)]
                        .into_iter()
                        .flatten()
                        .collect();
                    if said.is_empty() {
                        PartState::Working
                    } else {
                        PartState::Impaired(said.join("; "))
                    }
                }
            };
            self.health.set(&format!("hotlist/{}", list.config.name), state);
        }
    }

    /// Checks every two seconds, on a thread of its own, until the handle is dropped.
    pub fn spawn(mut self) -> WatchHandle {
        let (wake, woken): (SyncSender<()>, Receiver<()>) = sync_channel(1);
        let thread = crate::threads::spawn("hotlists", move || {
            loop {
                match woken.recv_timeout(LOOK_EVERY) {
                    Err(RecvTimeoutError::Timeout) => self.step(),
                    // The caller knows that the files are complete: two checks are made, one after
                    // the other.
                    Ok(()) => {
                        self.step();
                        self.step();
                    }
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        })
        .expect("the system has room for a thread");
        WatchHandle { wake: Some(wake), thread: Some(thread) }
    }
}

/// A running watch; dropping it ends the thread.
pub struct WatchHandle {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WatchHandle {
    /// Checks the files now and not at the next round.
    pub fn check_now(&self) {
        // If the channel is full, a check is already requested.
        let _ = self.wake.as_ref().map(|wake| wake.try_send(()));
    }
}

impl Drop for WatchHandle {
    fn drop(&mut self) {
        drop(self.wake.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn aged(list: &Hotlist, word: &str, limit: crate::config::HumanDuration) -> String {
    let since = list.stamp().source_time;
    format!("the list is {word}: its source is of {since}, more than {limit} ago")
}

impl Watched {
    fn mark(&self) -> Option<Mark> {
        let meta = fs::metadata(&self.config.path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    }

    /// A sudden change, while it is to be reported.
    fn sudden(&self, now: Duration) -> Option<String> {
        let (what, since) = self.sudden.as_ref()?;
        (now.saturating_sub(*since) < TOLD_FOR).then(|| what.clone())
    }

    /// Reads the file again once it has changed and then stayed the same for a step.
    fn read_again_if_changed(&mut self, service: &Hotlists, now: Duration) {
        let name = self.config.name.as_str();
        let mark = self.mark();
        let settled = mark == self.seen;
        self.seen = mark;
        let serving = service.lists().iter().any(|l| *l.stamp().name == *name);
        match mark {
            None => self.trouble = Some(format!("{} is not there", self.config.path.display())),
            Some(_) if !settled || mark == self.read => {}
            Some((_, 0)) => {
                self.read = mark;
                self.trouble = Some(format!(
                    "{} has 0 bytes; a list meant to be empty needs a comment line",
                    self.config.path.display()
                ));
            }
            Some(_) => {
                self.read = mark;
                match file::load(&self.config) {
                    Ok(loaded) => {
                        for row in loaded.lost().take(20) {
                            warn!(list = name, line = row.line, why = %row.why, "hotlist row skipped");
                        }
                        let (told, skipped) = (loaded.trouble(), loaded.skipped.len());
                        let list = loaded.list;
                        info!(
                            list = name,
                            entries = list.len(),
                            skipped,
                            replaced = serving,
                            "hotlist in service"
                        );
                        let before = service.lists();
                        let before = before.iter().find(|l| *l.stamp().name == *name);
                        let change = before.and_then(|before| sudden_change(before, &list));
                        if let Some(change) = &change {
                            warn!(list = name, change, "hotlist changed suddenly");
                        }
                        // A second change does not cancel the report of the first.
                        if let Some(change) = change {
                            self.sudden = Some((change, now));
                        }
                        (self.trouble, self.told) = (None, told);
                        service.put(list);
                    }
                    Err(error) => {
                        warn!(list = name, %error, "hotlist not read");
                        self.trouble = Some(error.to_string());
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::clock::SystemClock;
    use crate::plate::Plate;

    fn watch(path: &Path) -> (Watch, Arc<Health>) {
        let config = format!("name = \"stolen\"\npath = {:?}", path.display().to_string());
        let health = Arc::new(Health::default());
        let lists = vec![toml::from_str(&config).unwrap()];
        (Watch::new(lists, Arc::new(SystemClock), health.clone()), health)
    }

    fn state(health: &Health) -> String {
        match health.state("hotlist/stolen").unwrap() {
            PartState::Down(why) => format!("down: {why}"),
            PartState::Impaired(why) => format!("impaired: {why}"),
            state => format!("{state:?}"),
        }
    }

    fn listed(service: &Hotlists, plate: &str) -> bool {
        let key = Plate::parse(plate).unwrap().key();
        let now = SystemClock.now().wall;
        service.lists().iter().any(|list| list.look_up(key, now).next().is_some())
    }

    #[test]
    fn list_replaced_while_running_serves_once_it_stands_still() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stolen.txt");
        fs::write(&path, "CKSV841\n").unwrap();
        let (mut watch, health) = watch(&path);
        let service = watch.service();
        let mut view = service.lookups();
        assert!(listed(&service, "CKSV841") && state(&health) == "Working");

        fs::write(&path, "BMNT220\nAHK512\n").unwrap();
        watch.step();
        assert!(listed(&service, "CKSV841"), "a file that has just changed may be half written");
        watch.step();
        assert!(!listed(&service, "CKSV841") && listed(&service, "BMNT220"));
        assert_eq!(view.lists()[0].len(), 2, "a look-up's view follows");
    }

    #[test]
    fn list_that_comes_late_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stolen.txt");
        let (mut watch, health) = watch(&path);
        assert_eq!(state(&health), format!("down: {} is not there", path.display()));
        fs::write(&path, "CKSV841\n").unwrap();
        watch.step();
        watch.step();
        assert!(listed(&watch.service(), "CKSV841"));
        assert_eq!(state(&health), "Working");
    }

    #[test]
    fn emptied_lost_or_spoilt_file_leaves_the_version_before_in_service() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stolen.csv");
        for spoil in ["", "<html>\n", "name,state\nx,y\n"] {
            fs::write(&path, "plate\nCKSV841\n").unwrap();
            let (mut watch, health) = watch(&path);
            fs::write(&path, spoil).unwrap();
            watch.step();
            watch.step();
            assert!(listed(&watch.service(), "CKSV841"));
            assert!(state(&health).starts_with("impaired: "), "{}", state(&health));
            assert!(state(&health).contains("what was read before serves"), "{}", state(&health));
            fs::remove_file(&path).unwrap();
            watch.step();
            assert!(listed(&watch.service(), "CKSV841"));
            assert!(state(&health).contains("is not there"), "{}", state(&health));
        }
    }

    #[test]
    fn every_row_that_is_lost_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stolen.csv");
        fs::write(&path, "plate,state\nCKSV841,ON\nAB*1,ON\n").unwrap();
        let (watch, health) = self::watch(&path);
        assert!(listed(&watch.service(), "CKSV841"));
        assert!(state(&health).contains("1 of 2 rows do not serve; the first, line 3: plate has"));
        // One row in a thousand is also a car that passes unnoticed.
        let mut rows: String = (0..1_000).map(|n| format!("ABC{n:03},ON\n")).collect();
        rows += "CKSV842,Ontario\n";
        fs::write(&path, format!("plate,state\n{rows}")).unwrap();
        let (_watch, health) = self::watch(&path);
        assert!(
            state(&health).starts_with("impaired: 1 of 1001 rows do not serve"),
            "{}",
            state(&health)
        );
    }

    #[test]
    fn column_that_may_end_entries_and_is_not_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stolen.csv");
        fs::write(&path, "plate,Recovered\nCKSV841,yes\n").unwrap();
        let (_watch, health) = self::watch(&path);
        assert!(state(&health).contains("nothing reads column Recovered"), "{}", state(&health));
    }

    #[test]
    fn shrink_growth_and_replacement_are_told_of_small_lists_too() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stolen.txt");
        for (before, after, word) in [
            ("AAA111\nBBB222\nCCC333\n", "AAA111\n", "has shrunk"),
            ("AAA111\n", "AAA111\nBBB222\n", "has grown"),
            ("AAA111\nBBB222\nCCC333\n", "DDD444\nEEE555\nFFF666\n", "has other entries"),
        ] {
            fs::write(&path, before).unwrap();
            let (mut watch, health) = self::watch(&path);
            assert_eq!(state(&health), "Working");
            fs::write(&path, after).unwrap();
            let changed = SystemTime::now() + Duration::from_secs(5);
            fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
            watch.step();
            watch.step();
            assert!(state(&health).contains(word), "{word}: {}", state(&health));
        }
        let thousand =
            |from: usize| (from..from + 1_000).map(|n| format!("ABC{n:04}\n")).collect::<String>();
        fs::write(&path, thousand(0)).unwrap();
        let (mut watch, health) = self::watch(&path);
        fs::write(&path, thousand(10)).unwrap();
        let changed = SystemTime::now() + Duration::from_secs(5);
        fs::File::options().write(true).open(&path).unwrap().set_modified(changed).unwrap();
        watch.step();
        watch.step();
        assert_eq!(state(&health), "Working", "a day's turnover is no news");
    }

    #[test]
    fn watching_ends_with_its_handle() {
        let dir = tempfile::tempdir().unwrap();
        let (watch, _) = watch(&dir.path().join("none.txt"));
        drop(watch.spawn());
    }
}
