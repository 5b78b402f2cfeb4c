//! The tables of `drives_4k`, in Markdown.

use std::time::Duration;

use super::study::percent;
use super::{Cost, LANES, Pass, RATES, Row, SPEEDS, Seen};

/// Prints every table of these rows, one for each closing speed.
pub(super) fn print(rows: &[Row]) {
    by_speed(rows);
    by_lane(rows);
    found_soon(rows);
    costs(rows);
}

fn by_speed(rows: &[Row]) {
    println!("## By closing speed\n");
    heading("closing, km/h");
    for (speed, row) in SPEEDS.iter().zip(rows) {
        let passes: Vec<_> = row.passes.iter().collect();
        read_rows(&speed.to_string(), &passes);
    }
    read_rows("all", &rows.iter().flat_map(|row| &row.passes).collect::<Vec<_>>());
}

fn by_lane(rows: &[Row]) {
    println!("\n## By lane\n");
    heading("lane");
    for (lane, name) in LANES.into_iter().enumerate() {
        let passes = rows.iter().flat_map(|row| &row.passes).filter(|p| p.lane == lane);
        read_rows(name, &passes.collect::<Vec<_>>());
    }
}

fn heading(first: &str) {
    println!(
        "| {first} | frames a second | passes | read, 1920x1080 | read, 3840x2160 | first read, 1920x1080, m | first read, 3840x2160, m | misread, 1920x1080 | misread, 3840x2160 |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
}

fn read_rows(first: &str, passes: &[&Pass]) {
    for (rate, (fps, _)) in RATES.into_iter().enumerate() {
        let share = |size: usize, hit: fn(&Seen) -> bool| {
            percent(passes.iter().filter(|p| hit(&p.seen[rate][size])).count(), passes.len())
        };
        let first_read = |size: usize| {
            quartiles(passes.iter().filter_map(|p| p.seen[rate][size].first_read_m).collect())
        };
        println!(
            "| {first} | {fps} | {} | {} | {} | {} | {} | {} | {} |",
            passes.len(),
            share(0, |s| s.outcome.read),
            share(1, |s| s.outcome.read),
            first_read(0),
            first_read(1),
            share(0, |s| s.outcome.misread),
            share(1, |s| s.outcome.misread),
        );
    }
}

/// `31 (28-35) n=12`: the middle one, and where the middle half lies.
fn quartiles(mut of: Vec<f32>) -> String {
    if of.is_empty() {
        return "none".to_owned();
    }
    of.sort_by(f32::total_cmp);
    let at = |share: f32| of[((of.len() - 1) as f32 * share).round() as usize];
    format!("{:.0} ({:.0}-{:.0}) n={}", at(0.5), at(0.25), at(0.75), of.len())
}

fn found_soon(rows: &[Row]) {
    println!("\n## Found within three frames of being wide enough\n");
    println!(
        "| closing, km/h | frames a second | passes | 3840x2160, as a camera's frames | crops of 1920x1080 around each plate |"
    );
    println!("|---|---|---|---|---|");
    for (speed, row) in SPEEDS.iter().zip(rows) {
        found_rows(&speed.to_string(), row.passes.iter());
    }
    let moving = SPEEDS.iter().zip(rows).filter(|(speed, _)| **speed > 0.0);
    found_rows("all that move", moving.flat_map(|(_, row)| &row.passes));
}

fn found_rows<'a>(first: &str, passes: impl Iterator<Item = &'a Pass> + Clone) {
    for (rate, (fps, _)) in RATES.into_iter().enumerate() {
        let soon: Vec<_> = passes.clone().filter_map(|p| p.soon[rate]).collect();
        let found = soon.iter().filter(|s| s.0).count();
        let in_crops = soon.iter().filter(|s| s.1).count();
        println!(
            "| {first} | {fps} | {} | {} | {} |",
            soon.len(),
            percent(found, soon.len()),
            percent(in_crops, soon.len())
        );
    }
}

fn costs(rows: &[Row]) {
    println!(
        "\n## CPU\n\nMilliseconds of one thread for each frame, at 1920x1080 and at 3840x2160.\n"
    );
    println!(
        "| closing, km/h | frames a second | finding and reading | ratio | of these finding | ratio | decoding, apart |"
    );
    println!("|---|---|---|---|---|---|---|");
    let mut all = [[Cost::default(); 2]; 2];
    for (speed, row) in SPEEDS.iter().zip(rows) {
        for (rate, (sum, costs)) in all.iter_mut().zip(row.costs).enumerate() {
            cost_row(&speed.to_string(), rate, costs);
            sum.iter_mut().zip(costs).for_each(|(sum, cost)| sum.add(cost));
        }
    }
    for (rate, costs) in all.into_iter().enumerate() {
        cost_row("all", rate, costs);
    }
}

fn cost_row(first: &str, rate: usize, costs: [Cost; 2]) {
    let of = |what: fn(&Cost) -> Duration| {
        costs.map(|cost| what(&cost).as_secs_f64() * 1e3 / f64::from(cost.frames.max(1)))
    };
    let ([a, b], [find, find_large], [decode, decode_large]) =
        (of(|c| c.find + c.read), of(|c| c.find), of(|c| c.decode));
    println!(
        "| {first} | {} | {a:.1}, {b:.1} | {:.2} | {find:.1}, {find_large:.1} | {:.2} | {decode:.1}, {decode_large:.1} |",
        RATES[rate].0,
        b / a,
        find_large / find,
    );
}

impl Cost {
    fn add(&mut self, other: Self) {
        self.frames += other.frames;
        self.decode += other.decode;
        self.find += other.find;
        self.read += other.read;
    }
}
