//! What the page shows, kept in memory: the newest hits and the status.
//!
//! Whoever connects first gets all of it, then each change as it happens. A page that falls behind
//! is cut off and comes back by itself, so that nothing waits for it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use serde::Serialize;
use tokio::sync::broadcast;

use super::status::Status;
use crate::alert::card::Card;

/// Hits kept for the page. A shift sees a handful; the store has all of them.
const CARDS: usize = 50;

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
}

/// The newest hits and the status.
#[derive(Debug)]
pub struct Board {
    hello: Event,
    /// Guards what a new page gets; held to copy or to add, never over I/O.
    shown: Mutex<Shown>,
    changes: broadcast::Sender<Event>,
}

#[derive(Debug, Default)]
struct Shown {
    cards: VecDeque<(String, Event, Arc<[u8]>)>,
    status: Option<(Status, Event)>,
}

impl Board {
    /// An empty board.
    pub fn new(hello: &Hello) -> Self {
        Self {
            hello: Event::new("hello", hello),
            shown: Mutex::default(),
            changes: broadcast::channel(BEHIND).0,
        }
    }

    /// Shows a hit. `jpeg` is the plate's picture.
    pub fn show(&self, card: &Card, jpeg: Vec<u8>) {
        self.add(card, jpeg, Event::new("hit", card));
    }

    /// Puts a hit of before the start into the list, without raising it.
    pub fn recall(&self, card: &Card, jpeg: Vec<u8>) {
        self.add(card, jpeg, Event::new("earlier", card));
    }

    fn add(&self, card: &Card, jpeg: Vec<u8>, event: Event) {
        let mut shown = self.shown.lock().expect("no holder panics");
        shown.cards.push_back((card.id.clone(), Event::new("earlier", card), jpeg.into()));
        if shown.cards.len() > CARDS {
            shown.cards.pop_front();
        }
        // Sent under the lock, so that a page connecting now gets it once.
        let _ = self.changes.send(event);
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

    /// The picture of a hit that is still on the board.
    pub fn picture(&self, id: &str) -> Option<Arc<[u8]>> {
        let shown = self.shown.lock().expect("no holder panics");
        shown.cards.iter().find(|(card, _, _)| card == id).map(|(_, _, jpeg)| jpeg.clone())
    }

    /// All that a new page needs, and the changes from there on.
    pub(super) fn join(&self) -> (Vec<Event>, broadcast::Receiver<Event>) {
        let shown = self.shown.lock().expect("no holder panics");
        let mut first = vec![self.hello.clone()];
        first.extend(shown.status.iter().map(|(_, event)| event.clone()));
        first.extend(shown.cards.iter().map(|(_, event, _)| event.clone()));
        (first, self.changes.subscribe())
    }
}

/// Whether a person should learn of it before the next beat: rates and ages can wait.
fn differs(old: &Status, new: &Status) -> bool {
    let states = |s: &Status| s.cameras.iter().map(|c| (c.id.clone(), c.state)).collect::<Vec<_>>();
    states(old) != states(new)
        || old.parts != new.parts
        || old.hotplates != new.hotplates
        || old.past != new.past
}
