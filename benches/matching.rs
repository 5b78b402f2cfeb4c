//! What comes after the models: joining, voting, look-up.
//!
//! `exact` and `lattice` are the budget of DESIGN 5 (1 M entries: 200 ns and 20 µs): a look-up of a
//! plate that is not listed, over random plates so that caches are cold as on the road, and the
//! matching of a read whose vote left 64 alternatives. `join and vote` is one plate in one frame.

use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use jiff::tz::TimeZone;
use outrider::hotlist::{self, Hotlist, Hotlists};
use outrider::onboard::testing::{JoinAndVote, Look, doubtful_slots, frame};
use outrider::plate::Plate;

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

    let mut look = Look::new(&Arc::new(Hotlists::of(vec![big])));
    c.bench_function("lattice match among 1 M, 64 texts", |b| {
        b.iter_batched(
            || doubtful_slots(&random.plate()),
            |slots| look.step(slots),
            BatchSize::SmallInput,
        );
    });
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

criterion_group!(benches, matching, joining);
criterion_main!(benches);
