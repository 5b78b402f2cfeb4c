use std::collections::BTreeMap;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use tempfile::TempDir;

use super::*;
use crate::dsse::SigningKey;
use crate::entry::Matching;
use crate::hotlist::Entry;
use crate::hotlist::format::{ListKey, ListKeys, Manifest, Record, synthetic_entries};
use crate::plate::{Jurisdiction, ListedPlate};

struct Desk {
    dir: TempDir,
    store: Store,
    keys: ListKeys,
    author: SigningKey,
    /// Rows that the import of the next work file could not read.
    unread: u64,
}

fn now() -> Timestamp {
    "2026-11-24T06:00:00Z".parse().unwrap()
}

fn with() -> Building<'static> {
    Building {
        agency: "opp",
        matching: Matching::Exact,
        now: now(),
        life: SignedDuration::from_hours(24 * 7),
        most_change: 20,
        confirm_size: false,
        allow_empty: false,
        rebase: false,
        end_revocations: false,
    }
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("store")).unwrap();
        let keys = ListKeys::one(ListKey::parse(&"07".repeat(32)).unwrap());
        Self { dir, store, keys, author: SigningKey::parse(&"01".repeat(32)).unwrap(), unread: 0 }
    }

    fn work(&self, entries: &[Entry]) -> WorkFile {
        let path = self.dir.path().join("stolen.hotlist");
        let mut sorted: Vec<_> = entries.iter().map(Record::of).collect();
        sorted.sort_by_key(Record::key);
        let header = WorkHeader {
            list: "stolen".into(),
            category: "stolen_vehicle".into(),
            key: self.keys.newest().id(),
            source_time: "2026-11-24T05:00:00Z".parse().unwrap(),
            entries: entries.len() as u64,
            mapping: "test".into(),
            left_out: self.unread,
            quarantined: self.unread,
        };
        write_work(&path, &header, self.keys.newest(), sorted.into_iter(), |_| {}).unwrap();
        WorkFile::open(&path).unwrap()
    }

    fn build(&self, entries: &[Entry], with: &Building<'_>) -> Result<Built, PublishError> {
        build(&self.store, &mut self.work(entries), &self.keys, with, |_| {})
    }

    fn release(&self, entries: &[Entry]) -> Built {
        let built = self.build(entries, &with()).unwrap();
        self.sign(&built.manifest);
        built
    }

    fn sign(&self, manifest: &Manifest) {
        self.store.put_signed(manifest.version, &manifest.sign(&self.author)).unwrap();
    }

    fn verify(&self, version: u64) -> Result<Verified, PublishError> {
        let authors = [self.author.public()];
        verify(&self.store, self.keys.newest(), version, &authors, now())
    }

    fn read(&self, manifest: &Manifest) -> Vec<Entry> {
        let key = self.keys.get(manifest.key).unwrap();
        let mut reader = self.store.read(key, &manifest.layers, false).unwrap();
        let mut out = Vec::new();
        while let Some(record) = reader.advance().unwrap() {
            out.push(record.to_entry());
        }
        out
    }
}

/// Every hundredth entry changed, from `offset` on: a third each removed, added, changed.
fn one_percent(entries: &[Entry], offset: usize) -> Vec<Entry> {
    let mut out = Vec::new();
    for (n, entry) in entries.iter().enumerate() {
        match (n + offset) % 300 {
            0 => {}
            100 => {
                let mut changed = entry.clone();
                changed.caution = format!("armed {offset}");
                out.push(changed);
            }
            200 => {
                out.push(entry.clone());
                let mut added = entry.clone();
                let plate = format!("N{}{offset}", &entry.plate.expose()[..5]);
                added.plate = ListedPlate::parse(&plate).unwrap();
                out.push(added);
            }
            _ => out.push(entry.clone()),
        }
    }
    out.sort_by_key(|e| Record::of(e).key());
    out.dedup_by_key(|e| Record::of(e).key());
    out
}

#[test]
fn update_weighs_what_changed_however_scattered() {
    let desk = Desk::new();
    let list = synthetic_entries(6_000);
    let first = desk.release(&list);
    assert_eq!((first.manifest.version, first.rebased), (1, true));
    let again = desk.release(&list);
    assert_eq!((again.new_bytes, again.change), (0, Change::default()));

    let next = one_percent(&list, 0);
    let built = desk.release(&next);
    assert!(!built.rebased && built.manifest.layers.len() == 2);
    assert_eq!(desk.read(&built.manifest), next);
    let share = built.new_bytes * 100 / built.manifest.counts.bytes;
    assert!(share <= 3, "{} of {}", built.new_bytes, built.manifest.counts.bytes);
    desk.verify(3).unwrap();

    let key = desk.keys.newest();
    let mut told = 0;
    let (from, to) = (&first.manifest, &built.manifest);
    let d = difference(&desk.store, (key, from), (key, to), |_, _| told += 1).unwrap();
    assert_eq!(d.change, built.change);
    assert_eq!((told, d.bytes), (d.change.records(), built.new_bytes));
}

#[test]
fn many_updates_merge_and_rebase_and_always_say_the_same_as_the_list() {
    let desk = Desk::new();
    let mut list = synthetic_entries(600);
    let (mut rebased, mut most) = (0, 0);
    for day in 0..32 {
        let built = desk.release(&list);
        assert_eq!(desk.read(&built.manifest), list, "day {day}");
        assert_eq!(built.manifest.counts.entries, list.len() as u64);
        rebased += u32::from(built.rebased);
        most = most.max(built.manifest.layers.len());
        list = one_percent(&list, day * 7);
    }
    assert!((2..=4).contains(&rebased), "{rebased} of 32 versions have a new base");
    assert!((10..=12).contains(&most), "{most} layers at most");
    desk.verify(32).unwrap();
}

#[test]
fn sudden_shrink_or_growth_needs_a_word() {
    let desk = Desk::new();
    let list = synthetic_entries(1_000);
    desk.release(&list);
    let message = desk.build(&list[..700], &with()).unwrap_err().to_string();
    assert!(message.starts_with("the list would go from "), "{message}");
    assert!(message.contains("more than 20 % at once") && message.contains("--confirm-size"));
    assert_eq!(desk.store.newest(false).unwrap().unwrap().version, 1, "nothing was made");
    let confirmed = Building { confirm_size: true, ..with() };
    let built = desk.build(&list[..700], &confirmed).unwrap();
    assert!(built.manifest.resized, "cars are told that it is meant");
    let all = built.manifest.counts.bytes;
    assert!(built.new_bytes * 2 > all, "what the refused build left behind is new for cars");
    let desk = Desk::new();
    desk.release(&list[..100]);
    assert!(matches!(desk.build(&list, &with()), Err(PublishError::Size { .. })));
}

#[test]
fn first_version_with_nothing_on_it_must_be_meant() {
    let desk = Desk::new();
    let refused = desk.build(&[], &with()).unwrap_err();
    assert!(matches!(refused, PublishError::Empty), "{refused}");
    assert!(refused.to_string().contains("--allow-empty"));
    assert!(desk.store.newest(true).unwrap().is_none(), "nothing was made");
    let meant = Building { allow_empty: true, ..with() };
    assert_eq!(desk.build(&[], &meant).unwrap().manifest.counts.entries, 0);
}

#[test]
fn revocation_goes_on_until_the_source_drops_the_entry() {
    let desk = Desk::new();
    let list = synthetic_entries(500);
    desk.release(&list);
    let (wrong, of) = (list[42].plate, list[42].jurisdiction);
    let life = SignedDuration::from_hours(24);
    let revoking =
        |plate, jurisdiction| Revoking { plate, jurisdiction, now: now(), life, keys: &desk.keys };
    let revoked = revoke(&desk.store, &revoking(wrong, Some(of))).unwrap();
    desk.sign(&revoked.manifest);
    assert_eq!((revoked.manifest.version, revoked.manifest.revoked.len()), (2, 1));
    let first = desk.store.manifest(1).unwrap();
    assert_eq!(revoked.manifest.layers, first.layers, "no chunk is new");
    let seen = inspect(&desk.store, desk.keys.newest(), &revoked.manifest, now(), |_| {}).unwrap();
    assert_eq!(seen.revoked, 1);

    assert_eq!(desk.release(&list).manifest.revoked, revoked.manifest.revoked, "still listed");
    let without: Vec<_> = list.iter().filter(|e| e.plate != wrong).cloned().collect();
    assert_eq!(desk.release(&without).manifest.revoked, []);
    let gone = revoke(&desk.store, &revoking(wrong, None));
    assert!(matches!(gone, Err(PublishError::NotListed(_))));
    let elsewhere = Jurisdiction::parse("DE").unwrap();
    assert!(revoke(&desk.store, &revoking(list[1].plate, Some(elsewhere))).is_err());
}

impl Desk {
    /// Revokes an entry and signs.
    fn revoke(&self, entry: &Entry) -> Manifest {
        let (plate, jurisdiction) = (entry.plate, Some(entry.jurisdiction));
        let life = SignedDuration::from_hours(24);
        let what = Revoking { plate, jurisdiction, now: now(), life, keys: &self.keys };
        let revoked = revoke(&self.store, &what).unwrap();
        self.sign(&revoked.manifest);
        revoked.manifest
    }

    /// Puts a new list key before those there are.
    fn rotate(&mut self) {
        let path = self.dir.path().join("rotated.key");
        let text = format!("{}\n{}\n", "08".repeat(32), "07".repeat(32));
        crate::secret_file::create(&path, &text).unwrap();
        self.keys = ListKeys::load(&path).unwrap();
    }

    /// Whether a version revokes an entry, as a car finds out.
    fn revokes(&self, manifest: &Manifest, entry: &Entry) -> bool {
        use crate::hotlist::format::revocation_tag;
        let key = self.keys.get(manifest.key).unwrap();
        manifest.revokes(&revocation_tag(key, entry.plate, entry.jurisdiction))
    }
}

#[test]
fn revocation_outlives_a_new_list_key_and_a_new_base() {
    let mut desk = Desk::new();
    let list = synthetic_entries(500);
    desk.release(&list);
    desk.revoke(&list[42]);
    let based = desk.build(&list, &Building { rebase: true, ..with() }).unwrap();
    assert!(based.rebased && desk.revokes(&based.manifest, &list[42]));
    desk.sign(&based.manifest);
    desk.rotate();
    let rotated = desk.release(&list);
    assert_eq!(rotated.manifest.key, desk.keys.newest().id());
    assert!(
        desk.revokes(&rotated.manifest, &list[42]) && !desk.revokes(&rotated.manifest, &list[43])
    );
    assert_eq!(rotated.revocations, Standing { holding: 1, waiting: 0, ended: 0 });
    let without: Vec<_> = list.iter().filter(|e| e.plate != list[42].plate).cloned().collect();
    let dropped = desk.release(&without);
    assert_eq!(dropped.revocations, Standing { holding: 0, waiting: 0, ended: 1 });
}

#[test]
fn revocation_outlives_a_store_whose_chunks_are_gone() {
    let desk = Desk::new();
    let list = synthetic_entries(500);
    desk.release(&list);
    desk.revoke(&list[42]);
    for address in desk.store.addresses().unwrap() {
        std::fs::remove_file(desk.store.folder().join("chunk").join(address.to_string())).unwrap();
    }
    assert!(matches!(desk.build(&list, &with()), Err(PublishError::Missing(_))));
    let built = desk.build(&list, &Building { rebase: true, ..with() }).unwrap();
    assert!(desk.revokes(&built.manifest, &list[42]));
    desk.sign(&built.manifest);
    desk.verify(built.manifest.version).unwrap();
}

#[test]
fn revocation_outlives_an_import_that_says_the_issuer_otherwise() {
    let desk = Desk::new();
    let mut list = synthetic_entries(500);
    list[42].jurisdiction = Jurisdiction::UNKNOWN;
    desk.release(&list);
    desk.revoke(&list[42]);
    list[42].jurisdiction = Jurisdiction::parse("US-OH").unwrap();
    let said = desk.release(&list);
    assert!(desk.revokes(&said.manifest, &list[42]), "the same entry, its issuer read better");
    // Another car of the same characters is another matter.
    let mut other = list[42].clone();
    other.jurisdiction = Jurisdiction::parse("US-NY").unwrap();
    list.push(other.clone());
    let both = desk.release(&list);
    assert!(desk.revokes(&both.manifest, &list[42]) && !desk.revokes(&both.manifest, &other));
}

#[test]
fn revoked_entry_whose_row_could_not_be_read_once_stays_revoked() {
    let mut desk = Desk::new();
    let list = synthetic_entries(500);
    desk.release(&list);
    desk.revoke(&list[42]);
    let without: Vec<_> = list.iter().filter(|e| e.plate != list[42].plate).cloned().collect();
    desk.unread = 1;
    let torn = desk.release(&without);
    assert_eq!(torn.revocations, Standing { holding: 1, waiting: 1, ended: 0 });
    let back = desk.release(&list);
    assert!(desk.revokes(&back.manifest, &list[42]));
    desk.rotate();
    let torn = desk.release(&without);
    assert_eq!(torn.revocations.waiting, 1);
    let back = desk.release(&list);
    assert!(desk.revokes(&back.manifest, &list[42]), "also under another key");
    let ended = desk.build(&without, &Building { end_revocations: true, ..with() }).unwrap();
    assert_eq!(ended.revocations, Standing { holding: 0, waiting: 0, ended: 1 });
}

#[test]
fn work_file_under_the_old_key_is_built_under_the_new_one() {
    let mut desk = Desk::new();
    let list = synthetic_entries(500);
    desk.release(&list);
    let mut work = desk.work(&list);
    desk.rotate();
    assert_ne!(work.header.key, desk.keys.newest().id());
    let built = build(&desk.store, &mut work, &desk.keys, &with(), |_| {}).unwrap();
    assert_eq!(built.manifest.key, desk.keys.newest().id());
    desk.sign(&built.manifest);
    desk.verify(built.manifest.version).unwrap();
    assert_eq!(desk.read(&built.manifest), list);
}

#[test]
fn list_replaced_at_equal_size_needs_the_authors_word() {
    let desk = Desk::new();
    for n in [5, 1_000] {
        let list = synthetic_entries(2 * n);
        let (one, other) = list.split_at(n as usize);
        let first = desk.build(one, &Building { confirm_size: true, ..with() }).unwrap();
        desk.sign(&first.manifest);
        let refused = desk.build(other, &with()).unwrap_err().to_string();
        assert!(
            refused.contains(&format!("from {n} to {n} entries (+0 %; {n} added, {n} removed)")),
            "{refused}"
        );
        assert!(desk.build(other, &Building { confirm_size: true, ..with() }).is_ok());
    }
}

#[test]
fn rotated_list_key_seals_everything_anew() {
    let mut desk = Desk::new();
    let list = synthetic_entries(500);
    let first = desk.release(&list).manifest;
    let path = desk.dir.path().join("list.key");
    let text = format!("{} # new\n{}\n", "08".repeat(32), "07".repeat(32));
    crate::secret_file::create(&path, &text).unwrap();
    desk.keys = ListKeys::load(&path).unwrap();
    let next = desk.release(&list);
    assert!(next.rebased && next.manifest.key != first.key);
    assert_eq!(next.change, Change::default());
    assert_eq!(desk.read(&next.manifest), desk.read(&first));
    desk.keys = ListKeys::one(ListKey::parse(&"09".repeat(32)).unwrap());
    assert!(matches!(desk.build(&list, &with()), Err(PublishError::Key { .. })));
}

#[test]
fn work_file_that_was_cut_short_or_changed_is_refused() {
    let desk = Desk::new();
    let list = synthetic_entries(300);
    drop(desk.work(&list));
    let path = desk.dir.path().join("stolen.hotlist");
    let whole = std::fs::read(&path).unwrap();
    let header = whole.iter().rposition(|b| *b == b'\n').unwrap().min(400);
    for cut in [whole.len() - 1, whole.len() / 2, header, 10, 0] {
        std::fs::write(&path, &whole[..cut]).unwrap();
        let refused = WorkFile::open(&path)
            .and_then(|mut work| build(&desk.store, &mut work, &desk.keys, &with(), |_| {}));
        assert!(refused.is_err(), "cut at {cut} of {}", whole.len());
    }
    let mut changed = whole.clone();
    *changed.last_mut().unwrap() ^= 1;
    std::fs::write(&path, &changed).unwrap();
    let mut work = WorkFile::open(&path).unwrap();
    let refused = build(&desk.store, &mut work, &desk.keys, &with(), |_| {});
    assert!(matches!(refused, Err(PublishError::Chunk(_))));
    assert!(desk.store.newest(false).unwrap().is_none(), "nothing was made");
}

fn a_chunk(desk: &Desk) -> std::path::PathBuf {
    let address = *desk.store.addresses().unwrap().first().unwrap();
    desk.store.folder().join("chunk").join(address.to_string())
}

fn released() -> Desk {
    let desk = Desk::new();
    desk.release(&synthetic_entries(2_000));
    desk.verify(1).unwrap();
    desk
}

#[test]
fn verify_finds_a_flipped_bit_in_a_chunk() {
    let desk = released();
    let path = a_chunk(&desk);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[100] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(desk.verify(1), Err(PublishError::Chunk(_))));
}

#[test]
fn verify_finds_a_chunk_that_is_gone() {
    let desk = released();
    std::fs::remove_file(a_chunk(&desk)).unwrap();
    assert!(matches!(desk.verify(1), Err(PublishError::Missing(_))));
}

#[test]
fn verify_finds_a_manifest_signed_by_a_stranger() {
    let mut desk = released();
    let ours = desk.author.public();
    desk.author = SigningKey::parse(&"09".repeat(32)).unwrap();
    desk.sign(&desk.store.manifest(1).unwrap());
    let refused = verify(&desk.store, desk.keys.newest(), 1, &[ours], now());
    assert!(matches!(refused, Err(PublishError::Manifest(_))));
}

#[test]
fn verify_finds_counts_that_are_not_so() {
    let desk = released();
    let mut manifest = desk.store.manifest(1).unwrap();
    manifest.counts.entries -= 1;
    desk.store.put_manifest(&manifest).unwrap();
    desk.sign(&manifest);
    assert!(matches!(desk.verify(1), Err(PublishError::Unsound { .. })));
}

#[test]
fn verify_finds_an_older_version_under_a_newer_ones_name() {
    let desk = released();
    let manifests = desk.store.folder().join("manifest");
    for end in ["json", "signed.json"] {
        std::fs::copy(manifests.join(format!("1.{end}")), manifests.join(format!("7.{end}")))
            .unwrap();
    }
    let refused = desk.verify(7).unwrap_err();
    assert!(matches!(refused, PublishError::Unsound { version: 7, .. }), "{refused}");
    assert!(refused.to_string().ends_with("7.json is version 1, renamed"), "{refused}");
    assert!(desk.store.newest(true).is_err(), "and none is taken for the newest by its name");
    desk.verify(1).unwrap();
}

#[test]
fn file_without_an_end_in_the_authors_folder_is_refused_and_not_read_to_its_end() {
    let desk = released();
    let path = a_chunk(&desk);
    std::fs::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
    assert!(matches!(desk.verify(1), Err(PublishError::Io { .. })));
}

#[test]
fn envelope_of_another_manifest_is_not_taken_into_the_store() {
    let desk = released();
    let mut other = desk.store.manifest(1).unwrap();
    other.category = "wanted".into();
    let refused = desk.store.put_signed(1, &other.sign(&desk.author));
    assert!(matches!(refused, Err(PublishError::Unsound { .. })));
}

/// A broker in memory that may break off.
#[derive(Default)]
struct Memory {
    retained: BTreeMap<String, Vec<u8>>,
    pending: std::collections::VecDeque<(String, Vec<u8>)>,
    taken: Vec<String>,
    /// Messages that it still takes.
    left: Option<usize>,
}

impl Broker for Memory {
    fn send(&mut self, topic: &str, payload: Vec<u8>) -> Result<(), BrokerError> {
        assert!(self.pending.len() < 20, "no more under way than a broker takes");
        self.pending.push_back((topic.into(), payload));
        Ok(())
    }

    fn acknowledged(&mut self) -> Result<Option<String>, BrokerError> {
        if self.left == Some(0) {
            let (at, why) = ("memory".into(), "gone".into());
            return Err(BrokerError::Connection { at, why });
        }
        let Some((topic, payload)) = self.pending.pop_front() else { return Ok(None) };
        self.left = self.left.map(|n| n - 1);
        match payload.is_empty() {
            true => _ = self.retained.remove(&topic),
            false => _ = self.retained.insert(topic.clone(), payload),
        }
        self.taken.push(topic.clone());
        Ok(Some(topic))
    }
}

fn to_memory(desk: &Desk, broker: &mut Memory) -> Result<Published, PublishError> {
    broker.pending.clear();
    publish(&desk.store, &desk.keys, broker, "memory", (1, false), |_, _| {})
}

#[test]
fn manifest_goes_last_and_what_no_recent_one_names_goes() {
    let desk = Desk::new();
    let list = synthetic_entries(5_000);
    desk.release(&list);
    let mut broker = Memory::default();
    let done = to_memory(&desk, &mut broker).unwrap();
    assert_eq!(done.sent as usize + 1, broker.retained.len());
    let last = broker.taken.last().unwrap();
    assert_eq!(last, "alpr/v1/opp/hotlist/stolen/manifest");

    desk.release(&one_percent(&list, 0));
    let done = to_memory(&desk, &mut broker).unwrap();
    assert!(done.had >= 2 && done.sent == 2, "one chunk and its page: {done:?}");
    let rebased = desk.build(&one_percent(&list, 9), &Building { rebase: true, ..with() }).unwrap();
    desk.sign(&rebased.manifest);
    let done = to_memory(&desk, &mut broker).unwrap();
    assert!(done.cleaned > 0);
    let named = desk.store.messages(desk.keys.newest(), &rebased.manifest).unwrap().len();
    assert_eq!(broker.retained.len(), named + 1, "nothing else is left there");
}

#[test]
fn interrupted_at_any_message_it_goes_on_where_it_was() {
    let desk = Desk::new();
    desk.release(&synthetic_entries(6_000));
    let all = desk.store.addresses().unwrap().len();
    assert!(all >= 3);
    for after in 0..all {
        let journal = desk.store.published_path("memory");
        let _ = std::fs::remove_file(&journal);
        let mut broker = Memory { left: Some(after), ..Memory::default() };
        assert!(to_memory(&desk, &mut broker).is_err());
        assert!(!broker.retained.keys().any(|t| t.ends_with("manifest")), "not before its chunks");
        broker.left = None;
        let done = to_memory(&desk, &mut broker).unwrap();
        assert_eq!((done.had as usize, done.sent as usize), (after, all - after));
        assert_eq!(broker.retained.len(), all + 1);
    }
}

#[test]
fn store_forgets_what_no_kept_version_names() {
    let desk = Desk::new();
    let list = synthetic_entries(2_000);
    desk.release(&list);
    let rebased = desk.build(&one_percent(&list, 9), &Building { rebase: true, ..with() }).unwrap();
    let gone = desk.store.clean(desk.keys.newest(), std::slice::from_ref(&rebased.manifest));
    assert!(gone.unwrap() >= 2);
    desk.sign(&rebased.manifest);
    desk.verify(2).unwrap();
}

#[test]
fn files_of_the_store_are_the_authors_alone() {
    use std::os::unix::fs::MetadataExt as _;
    let desk = released();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().mode() & 0o777;
    assert_eq!((mode(&a_chunk(&desk)), mode(desk.store.folder())), (0o600, 0o700));
    assert_eq!(mode(&desk.dir.path().join("stolen.hotlist")), 0o600);
}
