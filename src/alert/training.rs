//! Training: hits that nobody had, drawn to practise comparing on, with counts of their own.
//!
//! In: a word on the one in front, as for a hit. Out: a [`Card`] with a drawn plate, where it stands by the same table of moves
//! as a real one, and whether the word was right. Nothing of it is a hit: it is in memory alone, reaches no store, no
//! broker and no counter. Costs a drawn plate each. Leaves to others: who practises, and what comes in front of it.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use serde::Serialize;

use super::card::{Card, pairs};
use crate::entry::Priority;
use crate::gps::Position;
use crate::onboard::MatchKind;
use crate::onboard::vision::jpeg::encode_rgb;
use crate::plate::Agreement;
use crate::plate::syntax::Syntax;
use crate::records::disposition::{Compared, DispositionError, Standing, Told, Word};
use crate::render::chance::Chance;
use crate::render::plate::{Design, Texture};
use crate::wire::TakenBackWhy;

/// Sessions that practise at once: two screens and a few more.
const MOST: usize = 16;

/// Width of the drawn picture in pixels, about: as a camera some way off sees a plate.
const WIDE: usize = 150;

/// Quality of its JPEG.
const QUALITY: u8 = 85;

/// How the identifiers of practice cards begin; hits have ULIDs.
const PREFIX: &str = "TRAINING-";

/// What is drawn.
const DESIGNS: [Design; 3] = [Design::Ontario, Design::Quebec, Design::NewYork];

/// Characters that cameras and people take for each other.
const ALIKE: [(char, char); 5] = [('8', 'B'), ('5', 'S'), ('2', 'Z'), ('6', 'G'), ('0', 'D')];

/// How many were judged rightly, and how many not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Score {
    /// The first word on the card was the right one.
    pub right: u64,
    /// It was not.
    pub wrong: u64,
}

/// One to practise on.
#[derive(Serialize)]
pub struct Practice {
    /// As a hit looks.
    pub card: Card,
    /// So far.
    #[serde(flatten)]
    pub score: Score,
}

/// What came of a word.
#[derive(Debug, Serialize)]
pub struct Lesson {
    /// Where the card stands.
    pub standing: Told,
    /// Whether the word was right, and what the picture shows.
    pub lesson: String,
    /// So far.
    #[serde(flatten)]
    pub score: Score,
}

/// Why there is nothing to say a word on.
#[derive(Debug, thiserror::Error)]
pub enum TrainingError {
    /// It was never begun, or has ended.
    #[error("no training runs here: begin it again")]
    NoneRuns,
    /// No JPEG.
    #[error("no plate can be drawn: {0}")]
    NotDrawn(String),
    /// Not a move.
    #[error(transparent)]
    Move(#[from] DispositionError),
}

/// Who practises, and what on.
#[derive(Default)]
pub struct Training(Mutex<VecDeque<Run>>);

struct Run {
    session: String,
    drawn: Drawn,
    standing: Standing,
    judged: bool,
    score: Score,
    seed: u64,
}

/// A drawn plate, an entry, and what the two are to each other.
struct Drawn {
    card: Card,
    jpeg: Vec<u8>,
    right: Word,
    because: String,
}

impl Training {
    /// Begins, or begins anew. `seed` decides what is drawn.
    pub fn begin(
        &self,
        session: &str,
        seed: u64,
        now: Timestamp,
    ) -> Result<Practice, TrainingError> {
        let drawn = draw(seed, now)?;
        let mut runs = self.lock();
        runs.retain(|run| run.session != session);
        if runs.len() == MOST {
            runs.pop_front();
        }
        let (standing, score) = (Standing::default(), Score::default());
        let card = drawn.card.clone();
        let session = session.to_owned();
        runs.push_back(Run { session, drawn, standing, judged: false, score, seed });
        Ok(Practice { card, score })
    }

    /// The next one.
    pub fn next(&self, session: &str, now: Timestamp) -> Result<Practice, TrainingError> {
        let mut runs = self.lock();
        let run = find(&mut runs, session)?;
        run.seed = run.seed.wrapping_add(1);
        run.drawn = draw(run.seed, now)?;
        (run.standing, run.judged) = (Standing::default(), false);
        Ok(Practice { card: run.drawn.card.clone(), score: run.score })
    }

    /// Takes a word on the one in front. The first one counts.
    pub fn judge(
        &self,
        session: &str,
        word: Word,
        compared: Compared,
        why: Option<TakenBackWhy>,
    ) -> Result<Lesson, TrainingError> {
        let mut runs = self.lock();
        let run = find(&mut runs, session)?;
        run.standing = run.standing.after(ulid::Ulid::nil(), word, compared, why)?;
        let right = word == run.drawn.right;
        if !std::mem::replace(&mut run.judged, true) {
            match right {
                true => run.score.right += 1,
                false => run.score.wrong += 1,
            }
        }
        let verdict = if right { "Right" } else { "Not right" };
        let lesson = format!("{verdict}: {}", run.drawn.because);
        Ok(Lesson { standing: Told::from(run.standing), lesson, score: run.score })
    }

    /// Ends it; nothing where none runs.
    pub fn end(&self, session: &str) -> Option<Score> {
        let mut runs = self.lock();
        let at = runs.iter().position(|run| run.session == session)?;
        runs.remove(at).map(|run| run.score)
    }

    /// The picture of the card in front.
    pub fn picture(&self, session: &str, id: &str) -> Option<Vec<u8>> {
        let mut runs = self.lock();
        let run = find(&mut runs, session).ok()?;
        (run.drawn.card.id == id).then(|| run.drawn.jpeg.clone())
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Run>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn find<'a>(runs: &'a mut VecDeque<Run>, session: &str) -> Result<&'a mut Run, TrainingError> {
    runs.iter_mut().find(|run| run.session == session).ok_or(TrainingError::NoneRuns)
}

/// Draws a plate and makes up the entry that it met: the plate itself, one that looks alike, one of another issuer, or the
/// plate as a camera misread it.
fn draw(seed: u64, now: Timestamp) -> Result<Drawn, TrainingError> {
    let mut chance = Chance::new(seed);
    let design = *chance.pick(&DESIGNS);
    let lettering = design.random_text(&mut chance);
    let shown: String = lettering.chars().filter(char::is_ascii_alphanumeric).collect();
    let (other, place) = alike(&shown, &mut chance);
    let (was, is) = (shown.chars().nth(place), other.chars().nth(place));
    let (was, is) = (was.unwrap_or_default(), is.unwrap_or_default());
    let elsewhere = DESIGNS.into_iter().find(|one| *one != design).unwrap_or(design);
    let (read, listed, issuer, right, because) = match chance.below(4) {
        0 => {
            let because = "the picture shows the entry's characters and its state or province";
            (shown.clone(), shown.clone(), design, Word::Confirmed, because.to_owned())
        }
        1 => {
            let because = format!("the picture shows {was} where the list has {is}");
            (shown.clone(), other, design, Word::Misread, because)
        }
        2 => {
            let because = "the characters are the entry's, the state or province is not";
            (shown.clone(), shown.clone(), elsewhere, Word::WrongJurisdiction, because.to_owned())
        }
        _ => {
            let because = format!("the camera read {is}, and the picture shows {was}");
            (other.clone(), other, design, Word::Misread, because)
        }
    };
    let (jpeg, plate_px) = picture(design, &lettering, seed)?;
    let exact = read == listed;
    let card = Card {
        id: format!("{PREFIX}{seed:016x}"),
        category: "stolen_vehicle".into(),
        priority: Priority::High,
        listed_priority: Priority::High,
        match_kind: if exact { MatchKind::Exact } else { MatchKind::LookAlike },
        pairs: pairs(&read, &listed),
        jurisdiction_read: None,
        jurisdiction_confidence: None,
        jurisdiction_listed: Some(issuer.jurisdiction().into()),
        jurisdictions: Agreement::NotRead,
        syntax: Syntax::Compatible,
        stale: false,
        list: "training".into(),
        list_time: now,
        reason: "Drawn to practise on".into(),
        source: "Training".into(),
        case: String::new(),
        vehicle: "no vehicle".into(),
        caution: String::new(),
        action: String::new(),
        camera: "training".into(),
        seen: now,
        frames: 5,
        weakest: 0.96,
        position: Position::NoFix,
        plate_px,
        others: Vec::new(),
        odds: None,
        standing: Told::default(),
    };
    Ok(Drawn { card, jpeg, right, because })
}

/// The same text with one character that looks alike, and where.
fn alike(text: &str, chance: &mut Chance) -> (String, usize) {
    let swap = |c: char| {
        ALIKE.iter().find_map(|(a, b)| match c {
            c if c == *a => Some(*b),
            c if c == *b => Some(*a),
            _ => None,
        })
    };
    let places: Vec<usize> =
        text.chars().enumerate().filter(|(_, c)| swap(*c).is_some()).map(|(i, _)| i).collect();
    // A text without any of them: its last digit is another one.
    let place = match places.as_slice() {
        [] => text.chars().count().saturating_sub(1),
        places => *chance.pick(places),
    };
    let other = |c: char| swap(c).unwrap_or(if c == '7' { '1' } else { '7' });
    let text = text.chars().enumerate().map(|(i, c)| if i == place { other(c) } else { c });
    (text.collect(), place)
}

/// A drawn plate as a camera some way off sees it.
fn picture(design: Design, text: &str, seed: u64) -> Result<(Vec<u8>, u32), TrainingError> {
    let plate = Texture::plate(design, text, seed);
    let (w, h) = (plate.image().width() as usize, plate.image().height() as usize);
    let step = (w / WIDE).max(1);
    let (columns, rows) = (w / step, h / step);
    let raw = plate.image().as_raw();
    let mut rgb = Vec::with_capacity(columns * rows * 3);
    for (y, x, c) in
        (0..rows).flat_map(|y| (0..columns).flat_map(move |x| (0..3).map(move |c| (y, x, c))))
    {
        let at = |k: usize| raw[((y * step + k / step) * w + x * step + k % step) * 3 + c];
        let sum: usize = (0..step * step).map(|k| usize::from(at(k))).sum();
        rgb.push(u8::try_from(sum / (step * step)).unwrap_or(u8::MAX));
    }
    let side = |v: usize| u32::try_from(v).unwrap_or(u32::MAX);
    let jpeg = encode_rgb(&rgb, side(columns), side(rows), QUALITY)
        .map_err(|e| TrainingError::NotDrawn(e.to_string()))?;
    Ok((jpeg, side(columns)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: Compared = Compared { characters: true, jurisdiction: true };

    fn now() -> Timestamp {
        "2026-11-30T08:00:00Z".parse().unwrap()
    }

    #[test]
    fn every_kind_is_drawn_and_its_right_word_is_taken_as_right() {
        let training = Training::default();
        let mut kinds = std::collections::BTreeSet::new();
        for seed in 0..40 {
            let practice = training.begin("a", seed, now()).unwrap();
            assert!(practice.card.id.starts_with(PREFIX) && practice.card.pairs.len() >= 6);
            let right = training.lock()[0].drawn.right;
            let differs = practice.card.match_kind != MatchKind::Exact;
            kinds.insert((right.as_str(), differs));
            let lesson = training.judge("a", right, BOTH, None).unwrap();
            assert!(lesson.lesson.starts_with("Right: "), "{}", lesson.lesson);
            assert_eq!(lesson.score, Score { right: 1, wrong: 0 });
        }
        let all = [
            ("confirmed", false),
            ("misread", false),
            ("misread", true),
            ("wrong_jurisdiction", false),
        ];
        assert_eq!(kinds.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn moves_are_those_of_a_hit_and_the_first_word_counts() {
        let training = Training::default();
        let none = training.judge("a", Word::Misread, BOTH, None).unwrap_err();
        assert!(matches!(none, TrainingError::NoneRuns));
        training.begin("a", 7, now()).unwrap();
        let half = Compared { characters: true, jurisdiction: false };
        assert!(training.judge("a", Word::Confirmed, half, None).is_err(), "both are compared");
        assert!(training.judge("a", Word::DispatchConfirmed, BOTH, None).is_err(), "sight first");
        let first = training.judge("a", Word::Dismissed, BOTH, None).unwrap();
        assert_eq!(first.score, Score { right: 0, wrong: 1 }, "dismissing is never right here");
        assert!(first.lesson.starts_with("Not right: "));
        assert!(training.judge("a", Word::TakenBack, BOTH, None).is_err(), "a reason is asked for");
        let why = Some(TakenBackWhy::LookedAgain);
        let back = training.judge("a", Word::TakenBack, BOTH, why).unwrap();
        assert_eq!((back.standing.is, back.score.wrong), (None, 1));
        let next = training.next("a", now()).unwrap();
        assert_eq!(next.score.wrong, 1);
        assert!(training.picture("a", &next.card.id).is_some());
        assert!(training.picture("b", &next.card.id).is_none(), "another's");
        assert_eq!(training.end("a"), Some(Score { right: 0, wrong: 1 }));
        assert_eq!(training.end("a"), None);
    }

    #[test]
    fn one_character_is_swapped_for_one_that_looks_alike() {
        let mut chance = Chance::new(1);
        for text in ["CKSV841", "HHHH111", "BXRT907"] {
            let (other, place) = alike(text, &mut chance);
            let differ: Vec<_> =
                text.chars().zip(other.chars()).enumerate().filter(|(_, (a, b))| a != b).collect();
            assert_eq!(differ.len(), 1, "{text} {other}");
            assert_eq!(differ[0].0, place);
        }
    }
}
