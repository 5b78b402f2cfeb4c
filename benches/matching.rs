//! What comes after the models: joining, voting, look-up.
//!
//! `exact` and `lattice` are the budget of DESIGN 5 (1 M entries: 200 ns and 20 µs): a look-up of a
//! plate that is not listed, over random plates so that caches are cold as on the road, and the
//! matching of a read whose vote left 64 alternatives. `join and vote` is one plate in one frame.
//! Lists of the broker, 1 M and 5 M entries in sealed blocks: memory, the same two look-ups, what a
//! hit costs, what building aside costs, and look-ups one by one while lists are being swapped.
//! `wildcards` is what a thousand patterns add to a read: it should be lost beside an exact look-up.

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use outrider::hotlist::sync::made_up::MadeUp;
use outrider::hotlist::{self, Hotlist, Hotlists};
use outrider::onboard::testing::{JoinAndVote, ReadMatcher, doubtful_slots, frame};
use outrider::plate::{Plate, PlateKey};
use outrider::policy::ListsRules;

const ENTRIES: u64 = 1_000_000;

/// The same numbers on every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    /// Ontario's pattern: four letters, three digits.
    fn plate(&mut self) -> String {
        let mut n = self.next();
        let mut take = |of: u64| {
            let c = n % of;
            n /= of;
            c as u8
        };
        let letters: String = (0..4).map(|_| char::from(b'A' + take(26))).collect();
        let digits: String = (0..3).map(|_| char::from(b'0' + take(10))).collect();
        letters + &digits
    }
}

fn csv() -> String {
    let mut random = Random(20_261_123);
    let mut text = String::from("plate,jurisdiction,category,reason,case\n");
    for n in 0..ENTRIES {
        let plate = random.plate();
        text.push_str(&format!("{plate},CA-ON,stolen_vehicle,reported stolen,26-{n}\n"));
    }
    text
}

fn list(text: &str) -> Hotlist {
    let config = toml::from_str("name = \"big\"\npath = \"big.csv\"\nmatching = \"look_alike\"")
        .expect("a name and a path are enough");
    let now = "2026-11-23T07:00:00Z".parse().expect("a time");
    hotlist::parse(text.as_bytes(), &config, now, &TimeZone::UTC).expect("a list").0
}

fn matching(c: &mut Criterion) {
    let text = csv();
    let big = list(&text);
    let (index, rows) = big.bytes();
    eprintln!("{} entries: index {index} bytes, rows {rows} bytes", big.len());

    let mut group = c.benchmark_group("list of 1 M");
    group.sample_size(10);
    group.bench_function("read from CSV", |b| b.iter(|| list(black_box(&text)).len()));
    group.finish();

    let mut random = Random(7);
    let keys: Vec<_> =
        (0..1 << 16).map(|_| Plate::parse(&random.plate()).expect("a plate").key()).collect();
    let now = big.stamp().source_time;
    let mut at = 0;
    c.bench_function("exact look-up among 1 M", |b| {
        b.iter(|| {
            at = (at + 1) % keys.len();
            big.look_up(black_box(keys[at]), now).next().is_some()
        });
    });

    let mut look = ReadMatcher::new(&Arc::new(Hotlists::of(vec![big])));
    c.bench_function("lattice match among 1 M, 64 texts", |b| {
        b.iter_batched(
            || doubtful_slots(&random.plate()),
            |slots| look.step(slots),
            BatchSize::SmallInput,
        );
    });
}

/// A list as the broker's author seals it and a car holds it.
fn sealed(c: &mut Criterion, millions: u64) {
    let key = "07".repeat(32);
    let made = MadeUp::new("peel", "big", &key, millions * 1_000_000);
    let list = made.hotlist();
    let (index, rows) = list.bytes();
    eprintln!(
        "{millions} M entries in {} messages of {:.1} MB: index {:.1} MB, sealed rows {:.1} MB",
        made.messages.len(),
        made.manifest.counts.bytes as f64 / 1e6,
        index as f64 / 1e6,
        rows as f64 / 1e6
    );
    let mut group = c.benchmark_group(format!("sealed list of {millions} M"));
    group.sample_size(10);
    group.bench_function("built aside", |b| b.iter(|| made.hotlist().len()));

    let mut random = Random(7);
    let keys: Vec<_> =
        (0..1 << 16).map(|_| Plate::parse(&random.plate()).expect("a plate").key()).collect();
    let now = list.stamp().source_time;
    let mut at = 0;
    group.bench_function("exact look-up", |b| {
        b.iter(|| {
            at = (at + 1) % keys.len();
            list.look_up(black_box(keys[at]), now).next().is_some()
        });
    });
    let mut n = 0;
    group.bench_function("hit, its chunk opened", |b| {
        b.iter_batched(
            || {
                n = (n + 7_919) % (millions * 1_000_000);
                Plate::parse(&made.plate(n)).expect("a plate").key()
            },
            |key| list.look_up(key, now).next().expect("it is listed"),
            BatchSize::SmallInput,
        );
    });

    let service = Arc::new(Hotlists::of(vec![list]));
    let mut look = ReadMatcher::new(&service);
    group.bench_function("lattice match, 64 texts", |b| {
        b.iter_batched(
            || doubtful_slots(&random.plate()),
            |slots| look.step(slots),
            BatchSize::SmallInput,
        );
    });
    group.finish();
    while_swapping(&made, &service, &keys);
}

/// Every look-up timed by itself while another thread builds lists and puts them in service.
fn while_swapping(made: &MadeUp, service: &Arc<Hotlists>, keys: &[PlateKey]) {
    let ends = AtomicBool::new(false);
    let now = service.lists()[0].stamp().source_time;
    let timed = |times: &mut Vec<u32>| {
        let mut view = service.lookups();
        for key in keys.iter().cycle().take(2_000_000) {
            let start = Instant::now();
            for list in view.lists() {
                black_box(list.look_up(*key, now).next().is_some());
            }
            times.push(u32::try_from(start.elapsed().as_nanos()).unwrap_or(u32::MAX));
        }
    };
    let mut calm = Vec::new();
    timed(&mut calm);
    let (mut swapping, mut swaps) = (Vec::new(), 0);
    std::thread::scope(|scope| {
        let swapper = scope.spawn(|| {
            let mut swaps = 0;
            while !ends.load(Ordering::Relaxed) {
                service.put(made.hotlist());
                swaps += 1;
            }
            swaps
        });
        while swapping.len() < 20_000_000 && service.generation() < 5 {
            timed(&mut swapping);
        }
        ends.store(true, Ordering::Relaxed);
        swaps = swapper.join().expect("the swapper ends");
    });
    for (what, times) in [("at rest", &mut calm), ("while swapping", &mut swapping)] {
        times.sort_unstable();
        let part = |of: f64| times[((times.len() - 1) as f64 * of) as usize];
        eprintln!(
            "look-ups {what}, one by one (the clock's own 20-40 ns included): median {} ns, 99 % \
             {} ns, 99.99 % {} ns, of {}",
            part(0.5),
            part(0.99),
            part(0.9999),
            times.len()
        );
    }
    eprintln!("lists built and swapped in meanwhile: {swaps}");
}

/// A thousand patterns as partial plates are reported, every kind in turn, beside nothing else.
fn wildcards(c: &mut Criterion) {
    let mut random = Random(11);
    let text: String = (0..1_000)
        .map(|n| {
            let plate = random.plate();
            match n % 4 {
                0 => format!("{}*\n", &plate[..4]),
                1 => format!("*{}\n", &plate[3..]),
                2 => format!("{}?{}\n", &plate[..3], &plate[4..]),
                _ => format!("{}??{}\n", &plate[..2], &plate[4..]),
            }
        })
        .collect();
    let config = toml::from_str("name = \"partial\"\npath = \"p.txt\"\nmatching = \"wildcard\"")
        .expect("a name and a path are enough");
    let now = "2026-11-23T07:00:00Z".parse().expect("a time");
    let list = hotlist::parse(text.as_bytes(), &config, now, &TimeZone::UTC).expect("a list").0;
    let service = Hotlists::of(vec![list]);
    let rules: ListsRules =
        serde_json::from_str(r#"{"every":{"matching":"wildcard"}}"#).expect("rules");
    service.govern(&rules);
    let reads: Vec<_> =
        (0..1 << 12).map(|_| Plate::parse(&random.plate()).expect("a plate")).collect();
    let (lists, mut at) = (service.lists(), 0);
    c.bench_function("a read against 1,000 wildcards", |b| {
        b.iter(|| {
            at = (at + 1) % reads.len();
            lists[0].fitting(black_box(&reads[at]), now).count()
        });
    });
}

fn sealed_1m(c: &mut Criterion) {
    sealed(c, 1);
}

fn sealed_5m(c: &mut Criterion) {
    sealed(c, 5);
}

fn joining(c: &mut Criterion) {
    for plates in [1_usize, 8] {
        let mut pass = JoinAndVote::default();
        let mut n = 0;
        c.bench_function(&format!("join and vote, {plates} plates in a frame"), |b| {
            b.iter_batched(
                || {
                    n += 1;
                    frame(n, plates)
                },
                |sighted| pass.step(sighted),
                BatchSize::SmallInput,
            );
        });
    }
}

criterion_group!(benches, matching, wildcards, joining, sealed_1m, sealed_5m);
criterion_main!(benches);
