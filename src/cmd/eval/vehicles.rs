//! `outrider eval DIR --vehicles FILE`: how often is a vehicle's colour said, and how often rightly?
//!
//! In: a labelled folder, whose boxes say where the plates are, and a list made by eye, one object per line: `{file, box, class,
//! colour, or}`. `box` counts the picture's boxes from 0, `colour` and `class` are `unknown` where nobody can say, `or`
//! is the colour that it might be as well. Out: [`Figures`]. A colour that was said of a vehicle labelled `unknown` is
//! wrong. No model runs. The class has no estimator; what is counted is the one thing that a plate itself might say of it: one about as high
//! as wide is a motorcycle's.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};

use super::super::pictures;
use super::labels;
use super::report::percent;
use super::selective::wilson;
use crate::geometry::Rect;
use crate::onboard::vision::Picture;
use crate::onboard::vision::vehicle::{Colour, Looks, Unseen, look};

/// Height of a plate as a fraction of its width from which it might be a motorcycle's.
const TALL: f32 = 0.8;

/// Strengths at which the curve is counted; a colour is said from 1.
const STEPS: [f32; 11] = [2.0, 1.5, 1.25, 1.1, 1.0, 0.9, 0.8, 0.7, 0.5, 0.3, 0.0];

/// A line of the list.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    file: String,
    #[serde(rename = "box")]
    number: usize,
    class: Class,
    colour: Known,
    #[serde(default)]
    or: Option<Colour>,
}

/// What a vehicle is. Pickups and goods vans are trucks; minivans and off-roaders are cars.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Class {
    Car,
    Truck,
    Motorcycle,
    Bus,
    Trailer,
    Unknown,
}

/// A colour as labelled.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(untagged)]
enum Known {
    As(Colour),
    Not(Unknown),
}

#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Unknown {
    Unknown,
}

impl Known {
    fn colour(self) -> Option<Colour> {
        match self {
            Self::As(colour) => Some(colour),
            Self::Not(Unknown::Unknown) => None,
        }
    }
}

/// A labelled vehicle and what was seen of it.
struct Case {
    label: Line,
    looks: Result<Looks, Unseen>,
    tall: bool,
}

impl Case {
    fn is_right(&self, colour: Colour) -> bool {
        self.label.colour.colour() == Some(colour)
    }

    fn is_either(&self, colour: Colour) -> bool {
        self.is_right(colour) || self.label.or == Some(colour)
    }
}

/// How often something was said, and how often rightly.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Said {
    /// Labelled vehicles.
    pub(super) n: usize,
    /// Of these, those of which it was said.
    pub(super) said: usize,
    /// Of these, those of which rightly.
    pub(super) right: usize,
    /// 95 % interval of the share of these by Wilson's score.
    pub(super) interval: [f64; 2],
}

impl Said {
    fn of(n: usize, right: impl Iterator<Item = bool>) -> Self {
        let right: Vec<bool> = right.collect();
        let (said, right) = (right.len(), right.iter().filter(|r| **r).count());
        Self { n, said, right, interval: wilson(right, said) }
    }

    fn cells(&self) -> String {
        let share = |part: usize, of: usize| (of > 0).then(|| part as f64 / of as f64);
        let right = percent(share(self.right, self.said), Some(&self.interval), self.said);
        format!("{} | {}", percent(share(self.said, self.n), None, self.n), right)
    }
}

/// A point of the curve.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Point {
    /// Least strength.
    pub(super) strength: f32,
    #[serde(flatten)]
    pub(super) said: Said,
    /// Right where the second colour of a label counts as well.
    pub(super) either: usize,
}

/// The figures.
#[derive(Debug, Serialize)]
pub(super) struct Figures {
    /// Labelled vehicles in pictures that could be read.
    pub(super) n: usize,
    /// Vehicles in pictures that could not be.
    pub(super) unreadable: usize,
    pub(super) colour: Said,
    /// Right where the second colour of a label counts as well.
    pub(super) colour_either: usize,
    /// By what was said.
    pub(super) by_colour: BTreeMap<Colour, Said>,
    /// By label, what was said of how many; `unknown` for nothing.
    pub(super) confusion: BTreeMap<String, BTreeMap<String, usize>>,
    /// Why nothing was even guessed.
    pub(super) unseen: BTreeMap<Unseen, usize>,
    pub(super) curve: Vec<Point>,
    /// Whether a tall plate is a motorcycle's.
    pub(super) motorcycle: Said,
    /// Labels by class.
    pub(super) classes: BTreeMap<Class, usize>,
    /// Milliseconds that a look takes, decoding left out.
    pub(super) ms_per_plate: f64,
}

/// Measures a labelled folder.
pub(super) fn measure(folder: &Path, list: &Path) -> anyhow::Result<Figures> {
    let mut by_file = by_file(list)?;
    let (mut cases, mut unreadable, mut spent) = (Vec::new(), 0, Duration::ZERO);
    let mut picture = Picture::default();
    for one in labels::load(folder)? {
        let file = one.path.strip_prefix(folder).unwrap_or(&one.path).to_string_lossy();
        let Some(lines) = by_file.remove(&*file) else { continue };
        let boxes = boxes(&lines, &one).with_context(|| list.display().to_string())?;
        let frame = pictures::load(&one.path);
        if let Err(e) = frame.and_then(|frame| Ok(picture.refill(&frame.pixels)?)) {
            eprintln!("{}: {e:#}", one.path.display());
            unreadable += lines.len();
            continue;
        }
        for (label, bbox) in lines.into_iter().zip(boxes) {
            let start = Instant::now();
            let looks = look(&picture, &bbox);
            spent += start.elapsed();
            cases.push(Case { label, looks, tall: bbox.h >= TALL * bbox.w });
        }
    }
    if let Some(file) = by_file.keys().next() {
        anyhow::bail!("{}: {file} is not in {}/labels.jsonl", list.display(), folder.display());
    }
    Ok(figures(&cases, unreadable, spent))
}

/// The list, by picture.
fn by_file(list: &Path) -> anyhow::Result<BTreeMap<String, Vec<Line>>> {
    let text =
        std::fs::read_to_string(list).with_context(|| format!("cannot read {}", list.display()))?;
    let mut by_file: BTreeMap<String, Vec<Line>> = BTreeMap::new();
    for (n, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let line: Line = serde_json::from_str(line).with_context(|| {
            format!("{} line {n}: needs file, box, class, colour", list.display())
        })?;
        by_file.entry(line.file.clone()).or_default().push(line);
    }
    anyhow::ensure!(!by_file.is_empty(), "{} has no vehicles", list.display());
    Ok(by_file)
}

/// Where the plates of the listed vehicles are.
fn boxes(lines: &[Line], one: &labels::Labelled) -> anyhow::Result<Vec<Rect>> {
    let at = |line: &Line| {
        one.plates.get(line.number).and_then(|plate| plate.bbox).with_context(|| {
            format!("{} has no box {}: boxes count from 0", line.file, line.number)
        })
    };
    lines.iter().map(at).collect()
}

fn figures(cases: &[Case], unreadable: usize, spent: Duration) -> Figures {
    let n = cases.len();
    let guesses: Vec<(&Case, Looks)> =
        cases.iter().filter_map(|c| Some((c, c.looks.ok()?))).collect();
    let from = |least: f32| guesses.iter().filter(move |(_, looks)| looks.strength >= least);
    let said: Vec<(&Case, Colour)> =
        guesses.iter().filter_map(|(c, looks)| Some((*c, looks.said()?))).collect();
    let point = |strength: f32| Point {
        strength,
        said: Said::of(n, from(strength).map(|(c, looks)| c.is_right(looks.colour))),
        either: from(strength).filter(|(c, looks)| c.is_either(looks.colour)).count(),
    };
    let mut by_colour = BTreeMap::new();
    for (_, colour) in &said {
        let own = said.iter().filter(|(_, other)| other == colour);
        by_colour
            .entry(*colour)
            .or_insert_with(|| Said::of(n, own.map(|(c, _)| c.is_right(*colour))));
    }
    let mut confusion: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    let (mut unseen, mut classes) = (BTreeMap::new(), BTreeMap::new());
    for case in cases {
        let name = |colour: Option<Colour>| colour.map_or("unknown".to_owned(), |c| c.to_string());
        let said = case.looks.ok().and_then(|looks| looks.said());
        let row = confusion.entry(name(case.label.colour.colour())).or_default();
        *row.entry(name(said)).or_default() += 1;
        *classes.entry(case.label.class).or_default() += 1;
        if let Err(why) = case.looks {
            *unseen.entry(why).or_default() += 1;
        }
    }
    let motorcycle = |c: &Case| c.label.class == Class::Motorcycle;
    Figures {
        n,
        unreadable,
        colour: Said::of(n, said.iter().map(|(c, colour)| c.is_right(*colour))),
        colour_either: said.iter().filter(|(c, colour)| c.is_either(*colour)).count(),
        by_colour,
        confusion,
        unseen,
        curve: STEPS.map(point).to_vec(),
        motorcycle: Said::of(n, cases.iter().filter(|c| c.tall).map(motorcycle)),
        classes,
        ms_per_plate: spent.as_secs_f64() * 1000.0 / n.max(1) as f64,
    }
}

impl Figures {
    /// Tables that read as text, too.
    pub(super) fn markdown(&self) -> String {
        let mut s = String::new();
        let _ = writeln!(
            s,
            "{} vehicles, {} in pictures that could not be read; {:.3} ms a plate, decoding left out.\n",
            self.n, self.unreadable, self.ms_per_plate
        );
        s.push_str("| | said % | of these right % |\n|---|---|---|\n");
        let _ = writeln!(s, "| colour | {} |", self.colour.cells());
        for (colour, said) in &self.by_colour {
            let _ = writeln!(s, "| {colour} | {} |", said.cells());
        }
        let _ = writeln!(s, "| a tall plate is a motorcycle's | {} |\n", self.motorcycle.cells());
        s.push_str("| label | said |\n|---|---|\n");
        for (label, said) in &self.confusion {
            let said: Vec<_> = said.iter().map(|(said, n)| format!("{said} {n}")).collect();
            let _ = writeln!(s, "| {label} | {} |", said.join(", "));
        }
        s.push_str("\n| from strength | said % | of these right % | right or the label's second colour |\n|---|---|---|---|\n");
        for p in &self.curve {
            let _ = writeln!(
                s,
                "| {} | {} | {} of {} |",
                p.strength,
                p.said.cells(),
                p.either,
                p.said.said
            );
        }
        let counted = |name: &dyn std::fmt::Debug, n: &usize| format!("{n} {name:?}");
        let unseen: Vec<_> = self.unseen.iter().map(|(why, n)| counted(why, n)).collect();
        let classes: Vec<_> = self.classes.iter().map(|(class, n)| counted(class, n)).collect();
        let _ = write!(
            s,
            "\nNothing guessed: {}. Labels by class: {}.",
            unseen.join(", "),
            classes.join(", ")
        );
        s
    }
}

#[cfg(test)]
#[cfg(feature = "demo")]
#[path = "vehicles_tests.rs"]
mod tests;
