//! Keeps lists in service as their files change, and says in health how each one stands.
//!
//! A changed file is read once it has stood still for one look, so that a copy in progress is not
//! taken for a list. A file that cannot be read, is gone or has become empty leaves the version
//! before in service, and health says so: an empty list must be meant (a header or a comment).

use std::fs;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use tracing::{info, warn};

use super::{Freshness, Hotlist, Hotlists, file};
use crate::clock::Clock;
use crate::config::{HotlistConfig, ListSource};
use crate::health::{Health, PartState};

/// Time between two looks at the files. Revocations are to take effect within a minute (FIELD 3e);
/// a change serves after two looks.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// Share of rows skipped, duplicates aside, from which on the officer is told: a few bad rows are in
/// every real list, one in twenty means that a column has moved.
const WORTH_TELLING: usize = 20;

/// A file as it was: when it was changed and how long it is.
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
    /// What was read, or tried.
    read: Option<Mark>,
    /// What was seen at the last look.
    seen: Option<Mark>,
    /// What is wrong with the file, if anything.
    trouble: Option<String>,
}

impl Watch {
    /// Reads every list that comes from a file once. One that cannot be read is told in health, and tried again.
    pub fn new(lists: Vec<HotlistConfig>, clock: Arc<dyn Clock>, health: Arc<Health>) -> Self {
        let lists = lists
            .into_iter()
            .filter(|list| list.source == ListSource::File)
            .map(|config| Watched { config, read: None, seen: None, trouble: None })
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

    /// Looks at every file once.
    pub fn step(&mut self) {
        let now = self.clock.now().wall;
        for list in &mut self.lists {
            list.look(&self.service);
            let serving = self.service.lists();
            let serving = serving.iter().find(|l| *l.stamp().name == *list.config.name);
            let state = match (serving, &list.trouble) {
                (None, Some(trouble)) => PartState::Down(trouble.clone()),
                (None, None) => PartState::Starting,
                (Some(old), Some(trouble)) => PartState::Impaired(format!(
                    "{trouble}; what was read before serves, source of {}",
                    old.stamp().source_time
                )),
                (Some(serving), None) => match serving.freshness(now) {
                    Freshness::Fresh => PartState::Working,
                    Freshness::Amber => aged(serving, "old", list.config.amber_after),
                    Freshness::Red => aged(serving, "stale", list.config.red_after),
                },
            };
            self.health.set(&format!("hotlist/{}", list.config.name), state);
        }
    }

    /// Looks every two seconds, on a thread of its own, until the handle is dropped.
    pub fn spawn(mut self) -> WatchHandle {
        let (wake, woken): (SyncSender<()>, Receiver<()>) = sync_channel(1);
        let thread = thread::Builder::new()
            .name("hotlists".into())
            .spawn(move || {
                loop {
                    match woken.recv_timeout(LOOK_EVERY) {
                        Err(RecvTimeoutError::Timeout) => self.step(),
                        // Who asks says that the files are whole: two looks, one after the other.
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

/// A watch at work; dropping it ends it.
pub struct WatchHandle {
    wake: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl WatchHandle {
    /// Looks at the files now rather than at the next turn.
    pub fn look_now(&self) {
        // A full channel is a look that is already asked for.
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

fn aged(list: &Hotlist, word: &str, limit: crate::config::HumanDuration) -> PartState {
    let since = list.stamp().source_time;
    PartState::Impaired(format!(
        "the list is {word}: its source is of {since}, more than {limit} ago"
    ))
}

impl Watched {
    fn mark(&self) -> Option<Mark> {
        let meta = fs::metadata(&self.config.path).ok()?;
        Some((meta.modified().ok()?, meta.len()))
    }

    fn look(&mut self, service: &Hotlists) {
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
                    Ok((list, skipped)) => {
                        let bad = skipped
                            .iter()
                            .filter(|row| !matches!(row.why, super::RowError::Repeats { .. }))
                            .collect::<Vec<_>>();
                        for row in bad.iter().take(20) {
                            warn!(list = name, line = row.line, why = %row.why, "hotlist row skipped");
                        }
                        info!(
                            list = name,
                            entries = list.len(),
                            skipped = skipped.len(),
                            replaced = serving,
                            "hotlist in service"
                        );
                        self.trouble =
                            (bad.len() * WORTH_TELLING > list.len() + bad.len()).then(|| {
                                format!(
                                    "{} of {} rows do not serve; the first, line {}: {}",
                                    bad.len(),
                                    list.len() + skipped.len(),
                                    bad[0].line,
                                    bad[0].why
                                )
                            });
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
    fn many_bad_rows_are_told() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("stolen.csv");
        fs::write(&path, "plate,state\nCKSV841,ON\nAB*1,ON\n").unwrap();
        let (watch, health) = watch(&path);
        assert!(listed(&watch.service(), "CKSV841"));
        assert!(state(&health).contains("1 of 2 rows do not serve; the first, line 3: plate has"));
    }

    #[test]
    fn watching_ends_with_its_handle() {
        let dir = tempfile::tempdir().unwrap();
        let (watch, _) = watch(&dir.path().join("none.txt"));
        drop(watch.spawn());
    }
}
