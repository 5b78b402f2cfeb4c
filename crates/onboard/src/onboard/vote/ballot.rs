//! One track's evidence: what every character is likely to be, frame upon frame.
//!
//! In: one frame's slots and their weight. Out: a distribution per character. Frames may give texts
//! of different length (a character missed, a screw read as one), so each is first aligned with what
//! there is, as one sequence with a profile; a character that a frame did not see is evidence for
//! there being none, and a new one is held against all frames that came before.
//!
//! # Not as sure as the product
//!
//! Adding up log probabilities is right for independent looks. Frames of one pass are not: the same
//! dirt, angle and typeface show in all of them, and neighbouring frames share blur and light too. So
//! the weighted *mean* of the log likelihoods is taken, times the number of independent looks that
//! the frames are worth:
//!
//! - frames in sequence: each new one adds (1 - r) / (1 + r) of a look, what it adds in a first-order
//!   autoregressive sequence with correlation r = exp(-change), where `change` says how differently
//!   the plate was seen this time (size, place, time);
//! - and what all frames share caps the sum: m looks count as m / (1 + (m - 1) [`Weighing::shared`]), the
//!   design effect of samples drawn in clusters.
//!
//! A car that waits in front of the camera for a minute is worth little more than one look, and
//! nothing is ever worth more than 1 / [`Weighing::shared`] of them. `docs/decisions/0104` has the measurement.

use arrayvec::ArrayVec;

use crate::onboard::vision::candidate::Slots;
use crate::plate::{MAX_PLATE_LEN, SYMBOLS, fold, symbol_index};

/// Symbols that lists can tell apart, by their place in [`SYMBOLS`], and then: no character here.
/// (The places of O, Q and I stay empty.)
pub(super) const NONE: usize = 36;
const N: usize = NONE + 1;

/// Log likelihoods or probabilities of one character position.
pub(super) type Column = [f32; N];

/// Positions kept while aligning: a plate's length and some room for what turns out to be none.
const MOST_COLUMNS: usize = MAX_PLATE_LEN + 4;

/// Share of every frame's distribution that is spread over all symbols, so that no single frame can
/// rule anything out: at most a factor of 1,000 for or against.
const DOUBT: f32 = 0.06;

/// How often a frame misses a character that is there; more often at the ends, where a plate is
/// covered or leaves the picture.
const MISSED: f32 = 0.07;
const MISSED_AT_END: f32 = 0.15;

/// How often a frame shows a character where there is none: a screw, a frame's edge, a sticker.
const INVENTED: f32 = 0.02;

/// How often a frame shows a character as another one. Without it an alignment would rather drop a
/// character and invent one than see a 7 where there was a 2.
const MISTAKEN: f32 = 0.05;

/// Symbols that lists can tell apart. Before anything is seen, a character being there is as likely
/// as none, and each symbol one in so many; likewise, what is invented may be any of them.
const SYMBOLS_APART: f32 = 33.0;

/// What a frame's evidence counts for beside the others of its pass.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::onboard) struct Weighing {
    /// Correlation that all frames of one pass share. With none, a vote that says 0.99 is right nine times in ten.
    pub(in crate::onboard) shared: f32,
    /// Plate width in pixels from which on a frame's vote counts in full.
    pub(in crate::onboard) full_width: f32,
    /// Narrower ones count by this power of their share of it.
    pub(in crate::onboard) power: i32,
}

impl Weighing {
    /// What the car uses: a North-American character is about 15 pixels high on a plate of 80, the field's usual minimum, and
    /// narrower plates count in proportion. What frames share was measured in typefaces that nothing was trained on
    /// (docs/decisions/0104).
    pub(in crate::onboard) const IN_FORCE: Self = Self { shared: 0.6, full_width: 80.0, power: 1 };

    /// The weight of a frame in which the plate is so many pixels wide, 0 to 1.
    pub(super) fn of_width(&self, pixels: f32) -> f32 {
        (pixels / self.full_width).min(1.0).powi(self.power)
    }
}

/// Change per second of time, per tenth of growth and per plate width of movement; and of any new
/// frame, whose sensor noise is its own.
const CHANGE: (f32, f32, f32, f32) = (1.0, 0.5, 0.5, 0.1);

/// How differently a plate was seen since the frame before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Change {
    /// Seconds.
    pub(super) seconds: f32,
    /// Natural logarithm of the width's ratio, either way.
    pub(super) growth: f32,
    /// Distance in plate widths.
    pub(super) moved: f32,
}

/// The evidence so far.
pub(super) struct Ballot {
    columns: Vec<Evidence>,
    /// Correlation that all frames share: [`Weighing::shared`].
    shared: f32,
    /// Sum of the frames' weights.
    weight: f32,
    frames: u32,
    looks: f32,
}

#[derive(Clone)]
struct Evidence {
    /// Weighted sums of log likelihoods.
    logs: Column,
    /// Weighted sums of the raw probabilities, to choose between O, Q and 0 for the eye.
    raw: [f32; 36],
    /// Frames whose own likeliest symbol this was.
    agree: [u16; N],
}

/// One character after the vote.
#[derive(Debug, Clone)]
pub(super) struct Elected {
    /// Place of the folded symbol in [`SYMBOLS`], or [`NONE`].
    pub(super) symbol: usize,
    /// The symbol for the eye: of those folded together the one seen most.
    pub(super) shown: u8,
    /// Probability per folded symbol.
    pub(super) p: Column,
    /// Share of each raw symbol within its folded one.
    pub(super) share: [f32; 36],
    /// Frames whose own likeliest symbol was the elected one.
    pub(super) agree: u32,
}

impl Default for Ballot {
    fn default() -> Self {
        Self::sharing(Weighing::IN_FORCE.shared)
    }
}

impl Ballot {
    /// An empty one, of frames that share this much.
    pub(super) fn sharing(shared: f32) -> Self {
        Self { columns: Vec::new(), shared, weight: 0.0, frames: 0, looks: 0.0 }
    }

    /// Frames that voted.
    pub(super) fn frames(&self) -> u32 {
        self.frames
    }

    /// How many independent looks they are worth.
    pub(super) fn looks(&self) -> f32 {
        if self.looks <= 1.0 {
            self.looks
        } else {
            self.looks / (1.0 + (self.looks - 1.0) * self.shared)
        }
    }

    /// Adds one frame's slots. `weight` is above 0; `change` is what is new since the last one.
    pub(super) fn add(&mut self, slots: &Slots, weight: f32, change: Change) {
        let seen: ArrayVec<(Column, [f32; 36]), MAX_PLATE_LEN> =
            slots.iter().map(|slot| (likelihoods(&slot.0), slot.0)).collect();
        if seen.is_empty() {
            return;
        }
        if self.frames == 0 {
            self.columns = seen.iter().map(|_| Evidence::unseen(0.0, 0, false)).collect();
            self.looks = 1.0;
        } else {
            let r = (-(CHANGE.0 * change.seconds
                + CHANGE.1 * change.growth.abs() * 10.0
                + CHANGE.2 * change.moved
                + CHANGE.3))
                .exp();
            self.looks += (1.0 - r) / (1.0 + r);
        }
        let places = self.align(&seen);
        self.enter(&seen, &places, weight);
        self.weight += weight;
        self.frames += 1;
    }

    /// The characters, in order, those included that are likelier not to be there.
    pub(super) fn elect(&self) -> Vec<Elected> {
        let sharpness = self.looks() / self.weight.max(f32::MIN_POSITIVE);
        self.columns.iter().map(|column| column.elect(sharpness)).collect()
    }

    /// For each slot of a frame its column, or `None` where it is to become a new one: the alignment
    /// that makes frame and evidence likeliest together. (Needleman and Wunsch.)
    fn align(&self, seen: &[(Column, [f32; 36])]) -> ArrayVec<Option<usize>, MAX_PLATE_LEN> {
        let elected = self.elect();
        let (n, m) = (elected.len(), seen.len());
        let at_end = |j: usize| j == 0 || j + 1 == n;
        // What a column loses by not being seen, a slot by being new, and both gain by meeting.
        let unseen = |j: usize| {
            let miss = if at_end(j) { MISSED_AT_END } else { MISSED };
            let none = elected[j].p[NONE];
            (none + (1.0 - none) * miss).ln()
        };
        let new = INVENTED.ln();
        let meet = |j: usize, i: usize| {
            let p: f32 = (0..N).map(|s| elected[j].p[s] * seen[i].0[s]).sum();
            (MISTAKEN + (1.0 - MISTAKEN) * p.min(1.0)).ln()
        };
        let mut best = [[0.0_f32; MAX_PLATE_LEN + 1]; MOST_COLUMNS + 1];
        for j in 0..=n {
            for i in 0..=m {
                if (j, i) == (0, 0) {
                    continue;
                }
                let mut top = f32::NEG_INFINITY;
                if j > 0 {
                    top = top.max(best[j - 1][i] + unseen(j - 1));
                }
                if i > 0 {
                    top = top.max(best[j][i - 1] + new);
                }
                if j > 0 && i > 0 {
                    top = top.max(best[j - 1][i - 1] + meet(j - 1, i - 1));
                }
                best[j][i] = top;
            }
        }
        let mut places: ArrayVec<Option<usize>, MAX_PLATE_LEN> =
            seen.iter().map(|_| None).collect();
        let (mut j, mut i) = (n, m);
        while i > 0 && j > 0 {
            let here = best[j][i];
            if here == best[j - 1][i - 1] + meet(j - 1, i - 1) {
                (j, i) = (j - 1, i - 1);
                places[i] = Some(j);
            } else if here == best[j - 1][i] + unseen(j - 1) {
                j -= 1;
            } else {
                i -= 1;
            }
        }
        places
    }

    /// Enters a frame's slots into the columns that they were aligned with.
    fn enter(&mut self, seen: &[(Column, [f32; 36])], places: &[Option<usize>], weight: f32) {
        let last = self.columns.len().saturating_sub(1);
        let mut old = std::mem::take(&mut self.columns).into_iter().enumerate();
        let mut columns = Vec::with_capacity(MOST_COLUMNS + 1);
        for (i, ((p, raw), place)) in seen.iter().zip(places).enumerate() {
            let mut column = match place {
                Some(place) => loop {
                    let (j, mut column) = old.next().expect("places go up");
                    if j == *place {
                        break column;
                    }
                    column.missed(weight, j == 0 || j == last);
                    columns.push(column);
                },
                None => Evidence::unseen(self.weight, self.frames, i == 0 || i + 1 == seen.len()),
            };
            column.saw(p, raw, weight);
            columns.push(column);
        }
        for (j, mut column) in old {
            column.missed(weight, j == 0 || j == last);
            columns.push(column);
        }
        self.columns = columns;
        // What is likeliest to be none goes first: rubbish must not grow without bound.
        while self.columns.len() > MOST_COLUMNS {
            let none = |c: &Evidence| c.elect(1.0).p[NONE];
            let places = 0..self.columns.len();
            let emptiest = places
                .max_by(|a, b| none(&self.columns[*a]).total_cmp(&none(&self.columns[*b])))
                .expect("there are more than the most");
            self.columns.remove(emptiest);
        }
    }
}

impl Evidence {
    /// A position that frames worth `weight` did not see.
    fn unseen(weight: f32, frames: u32, at_end: bool) -> Self {
        let mut column = Self {
            logs: std::array::from_fn(|s| if is_voted_on(s) { 0.0 } else { NEVER }),
            raw: [0.0; 36],
            agree: [0; N],
        };
        column.missed(weight, at_end);
        column.agree[NONE] = u16::try_from(frames).unwrap_or(u16::MAX);
        column
    }

    fn saw(&mut self, p: &Column, raw: &[f32; 36], weight: f32) {
        for (log, p) in self.logs.iter_mut().zip(p) {
            *log += weight * p.ln();
        }
        for (sum, p) in self.raw.iter_mut().zip(raw) {
            *sum += weight * p;
        }
        let mut p = *p;
        p[NONE] *= SYMBOLS_APART;
        let best = likeliest(&p);
        self.agree[best] = self.agree[best].saturating_add(1);
    }

    fn missed(&mut self, weight: f32, at_end: bool) {
        let miss = if at_end { MISSED_AT_END } else { MISSED };
        for log in &mut self.logs[..NONE] {
            *log += weight * miss.ln();
        }
        self.logs[NONE] += weight * (1.0 - INVENTED).ln();
        self.agree[NONE] = self.agree[NONE].saturating_add(1);
    }

    fn elect(&self, sharpness: f32) -> Elected {
        let top = self.logs.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let mut p = self.logs.map(|log| ((log - top) * sharpness).exp());
        p[NONE] *= SYMBOLS_APART;
        let sum: f32 = p.iter().sum();
        p.iter_mut().for_each(|p| *p /= sum);
        let symbol = likeliest(&p);
        let mut whole = [0.0; 36];
        for (s, raw) in self.raw.iter().enumerate() {
            whole[folded(s)] += raw;
        }
        let mut share = [0.0; 36];
        let mut shown = SYMBOLS.get(symbol).copied().unwrap_or(b'0');
        let mut most = f32::NEG_INFINITY;
        for (s, raw) in self.raw.iter().enumerate() {
            let group = folded(s);
            // Of what was never seen, the folded symbol stands for all.
            let sole = f32::from(u8::from(s == group));
            share[s] = if whole[group] > 0.0 { raw / whole[group] } else { sole };
            if group == symbol && *raw > most {
                (most, shown) = (*raw, SYMBOLS[s]);
            }
        }
        Elected { symbol, shown, p, share, agree: u32::from(self.agree[symbol]) }
    }
}

/// Log likelihood of what is not voted on: a folded symbol stands for it.
const NEVER: f32 = -1e6;

/// The symbol that stands for this one.
fn folded(symbol: usize) -> usize {
    usize::from(symbol_index(fold(SYMBOLS[symbol])))
}

fn is_voted_on(symbol: usize) -> bool {
    symbol == NONE || folded(symbol) == symbol
}

fn likeliest(p: &Column) -> usize {
    (0..N).max_by(|a, b| p[*a].total_cmp(&p[*b])).expect("there are 37")
}

/// A slot as likelihoods: folded, with room for there being no character, and for doubt.
fn likelihoods(slot: &[f32; 36]) -> Column {
    let mut p = [0.0; N];
    for (s, mass) in slot.iter().enumerate() {
        // A model's numbers are not to be trusted to be numbers.
        p[folded(s)] += if mass.is_finite() { mass.clamp(0.0, 1.0) } else { 0.0 };
    }
    let seen: f32 = p.iter().sum();
    p[NONE] = (1.0 - seen).max(INVENTED);
    let sum = seen + p[NONE];
    std::array::from_fn(|s| {
        if s == NONE {
            ((1.0 - DOUBT) * p[s] / sum + DOUBT / 2.0) / SYMBOLS_APART
        } else if is_voted_on(s) {
            (1.0 - DOUBT) * p[s] / sum + DOUBT / 2.0 / SYMBOLS_APART
        } else {
            f32::MIN_POSITIVE
        }
    })
}

impl Elected {
    /// Probability of a symbol before folding.
    pub(super) fn of_symbol(&self, symbol: usize) -> f32 {
        self.p[folded(symbol)] * self.share[symbol]
    }
}
