//! What the page shows, kept in memory: the newest hits and the status.
//!
//! Whoever connects first gets all of it, then each change as it happens. A page that falls behind
//! is cut off and comes back by itself, so that nothing waits for it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, OnceLock};

use serde::Serialize;
use tokio::sync::broadcast;
use ulid::Ulid;

use super::status::Status;
use crate::alert::card::Card;
use crate::config::Screen;
use crate::entry::Priority;
use crate::hits::{Forgotten, HitImage};
use crate::plate::names;
use crate::records::disposition::{Judge, Told};

/// Hits kept for the page. A shift sees a handful; the store has all of them.
const CARDS: usize = 50;

/// Hits kept in all: high ones that nobody has judged stay past [`CARDS`].
const CARDS_MOST: usize = 200;

/// Changes a page may be behind before it is cut off.
const BEHIND: usize = 64;

/// One server-sent event: its name and its JSON.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) json: Arc<str>,
}

impl Event {
    fn new(name: &'static str, value: &impl Serialize) -> Self {
        let json = serde_json::to_string(value).expect("maps have text keys, numbers are finite");
        Self { name, json: json.into() }
    }
}

/// Who serves the page.
#[derive(Debug, Clone, Serialize)]
pub struct Hello {
    /// Unit number.
    pub vehicle: String,
    /// Agency.
    pub agency: String,
    /// Our version; a page of another one loads itself anew.
    pub version: String,
    /// Whether the car is a drawn one, in which text fields open at any speed.
    pub nobody_drives: bool,
    /// The terminal in the car, by which the page chooses its sizes.
    pub screen: Screen,
}

/// Gives a picture of a hit that the board has no more, if it may be shown.
pub type Older = Box<dyn Fn(&str, HitImage) -> Option<Vec<u8>> + Send + Sync>;

/// The pictures of one hit, as JPEG. Empty is none.
#[derive(Debug, Clone, Default)]
pub struct Pictures {
    /// The plate.
    pub plate: Vec<u8>,
    /// The vehicle around it, every other plate covered.
    pub context: Vec<u8>,
}

impl From<Vec<u8>> for Pictures {
    fn from(plate: Vec<u8>) -> Self {
        Self { plate, context: Vec::new() }
    }
}

/// Takes it that an officer has seen a hit.
pub type Answer = Box<dyn Fn(&str) + Send + Sync>;

/// The newest hits and the status.
pub struct Board {
    hello: Event,
    nobody_drives: bool,
    /// Guards what a new page gets; held to copy or to add, never over I/O.
    shown: Mutex<Shown>,
    changes: broadcast::Sender<Event>,
    older: OnceLock<Older>,
    answer: OnceLock<Answer>,
}

#[derive(Debug, Default)]
struct Shown {
    cards: VecDeque<OnBoard>,
    status: Option<(Status, Event)>,
}

/// A hit as a page that comes now gets it.
#[derive(Debug)]
struct OnBoard {
    card: Card,
    /// Told by this run, so that it stays raised until it is judged; not one of before the start.
    raised: bool,
    plate: Arc<[u8]>,
    context: Arc<[u8]>,
}

impl OnBoard {
    /// A high hit of this run stays until somebody has judged it.
    fn is_to_be_judged(&self) -> bool {
        self.raised && self.card.priority == Priority::High && self.card.standing.is.is_none()
    }

    fn event(&self) -> Event {
        Event::new(if self.raised { "again" } else { "earlier" }, &self.card)
    }
}

/// What the page gets first: who serves it, and the names of issuers.
#[derive(Serialize)]
struct First<'a> {
    #[serde(flatten)]
    hello: &'a Hello,
    issuers: BTreeMap<&'static str, &'static str>,
}

impl Board {
    /// An empty board.
    pub fn new(hello: &Hello) -> Self {
        let issuers = names::NAMES.iter().copied().collect();
        Self {
            hello: Event::new("hello", &First { hello, issuers }),
            nobody_drives: hello.nobody_drives,
            shown: Mutex::default(),
            changes: broadcast::channel(BEHIND).0,
            older: OnceLock::new(),
            answer: OnceLock::new(),
        }
    }

    /// Shows a hit.
    pub fn show(&self, card: &Card, pictures: impl Into<Pictures>) {
        self.add(card, pictures.into(), true, Event::new("hit", card));
    }

    /// Puts a hit of before the start into the list, without raising it.
    pub fn recall(&self, card: &Card, pictures: impl Into<Pictures>) {
        self.add(card, pictures.into(), false, Event::new("earlier", card));
    }

    /// Whether the car is a drawn one.
    pub(super) fn nobody_drives(&self) -> bool {
        self.nobody_drives
    }

    /// Whether a hit is shown here: what is not is nobody's to judge on the page.
    pub fn has(&self, id: &str) -> bool {
        let shown = self.shown.lock().expect("no holder panics");
        shown.cards.iter().any(|on| on.card.id == id)
    }

    /// Tells every page where a hit stands now.
    pub fn stand(&self, id: &str, told: &Told) {
        #[derive(Serialize)]
        struct News<'a> {
            hit: &'a str,
            standing: &'a Told,
        }
        let mut shown = self.shown.lock().expect("no holder panics");
        if let Some(on) = shown.cards.iter_mut().find(|on| on.card.id == id) {
            on.card.standing = told.clone();
            let _ = self.changes.send(Event::new("standing", &News { hit: id, standing: told }));
        }
    }

    /// Tells every page anew where each hit stands: the policy that says so has changed.
    pub fn stand_anew(&self, judge: &Judge) {
        let ids: Vec<_> = {
            let shown = self.shown.lock().expect("no holder panics");
            shown.cards.iter().map(|on| on.card.id.clone()).collect()
        };
        for id in ids {
            if let Ok(hit) = ulid::Ulid::from_string(&id)
                && let Ok(told) = judge.stands(hit)
            {
                self.stand(&id, &told);
            }
        }
    }

    fn add(&self, card: &Card, pictures: Pictures, raised: bool, event: Event) {
        let mut shown = self.shown.lock().expect("no holder panics");
        let Pictures { plate, context } = pictures;
        let (plate, context) = (plate.into(), context.into());
        shown.cards.push_back(OnBoard { card: card.clone(), raised, plate, context });
        shown.forget();
        // Sent under the lock, so that a page connecting now gets it once.
        let _ = self.changes.send(event);
    }

    /// Shows no more what the car keeps no longer: neither to pages that come, nor on those that are open.
    pub fn forget(&self, forgotten: &Forgotten) {
        #[derive(Serialize)]
        struct Gone {
            hits: Vec<String>,
            pictures: Vec<String>,
        }
        let names = |ids: &[Ulid]| ids.iter().map(ToString::to_string).collect();
        let gone = Gone { hits: names(&forgotten.hits), pictures: names(&forgotten.pictures) };
        let mut shown = self.shown.lock().expect("no holder panics");
        shown.cards.retain(|on| !gone.hits.contains(&on.card.id));
        for on in shown.cards.iter_mut().filter(|on| gone.pictures.contains(&on.card.id)) {
            (on.plate, on.context) = (Arc::default(), Arc::default());
        }
        // Open pages may have hits that the board has no more.
        let _ = self.changes.send(Event::new("gone", &gone));
    }

    /// Shows a status; one that tells nothing new is not sent again unless `beat`.
    pub fn status(&self, status: Status, beat: bool) {
        let mut shown = self.shown.lock().expect("no holder panics");
        let news = shown.status.as_ref().is_none_or(|(old, _)| differs(old, &status));
        if !news && !beat {
            return;
        }
        let event = Event::new("status", &status);
        shown.status = Some((status, event.clone()));
        let _ = self.changes.send(event);
    }

    /// The status that was shown last.
    pub(super) fn latest(&self) -> Option<Status> {
        let shown = self.shown.lock().expect("no holder panics");
        shown.status.as_ref().map(|(status, _)| status.clone())
    }

    /// Names where pictures of hits come from that the board has no more. The first to be named stays.
    pub fn older_from(&self, older: Older) {
        let _ = self.older.set(older);
    }

    /// Names who learns that a hit has been seen. The first to be named stays.
    pub fn answers_to(&self, answer: Answer) {
        let _ = self.answer.set(answer);
    }

    /// An officer has seen this hit: its tone need not come again. Says nothing of what the hit is.
    pub(super) fn answered(&self, id: &str) {
        if let Some(answer) = self.answer.get() {
            answer(id);
        }
    }

    /// A picture of a hit: from memory, or for one that is older from where hits are kept, which may take a disk.
    pub fn picture(&self, id: &str, image: HitImage) -> Option<Arc<[u8]>> {
        let on_board = {
            let shown = self.shown.lock().expect("no holder panics");
            shown.cards.iter().find(|on| on.card.id == id).map(|on| match image {
                HitImage::Plate => on.plate.clone(),
                HitImage::Context => on.context.clone(),
            })
        };
        on_board.or_else(|| self.older.get().and_then(|older| older(id, image)).map(Into::into))
    }

    /// All that a new page needs, and the changes from there on.
    pub(super) fn join(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let shown = self.shown.lock().expect("no holder panics");
        let mut first = vec![self.hello.clone()];
        first.extend(shown.status.iter().map(|(_, event)| event.clone()));
        first.extend(shown.cards.iter().map(OnBoard::event));
        (first, self.changes.subscribe())
    }
}

impl Shown {
    /// Drops the oldest that nobody waits for.
    fn forget(&mut self) {
        while self.cards.len() > CARDS {
            let done = self.cards.iter().position(|on| !on.is_to_be_judged());
            let oldest = if self.cards.len() > CARDS_MOST { Some(0) } else { done };
            // All of them wait: the newest is among them.
            let Some(oldest) = oldest.filter(|at| *at + 1 < self.cards.len()) else { return };
            self.cards.remove(oldest);
        }
    }
}

/// Whether a person should learn of it before the next beat: rates and ages can wait.
fn differs(old: &Status, new: &Status) -> bool {
    let states = |s: &Status| s.cameras.iter().map(|c| (c.id.clone(), c.state)).collect::<Vec<_>>();
    states(old) != states(new)
        || old.parts != new.parts
        || old.hotplates != new.hotplates
        || old.past != new.past
        || (&old.car.muted, &old.car.sounding) != (&new.car.muted, &new.car.sounding)
        || old.sessions != new.sessions
}
