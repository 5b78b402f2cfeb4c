//! Alerts the officer to a hit: by a tone first, then on the screen, and in words where that is asked for. It never waits for any of them.

use std::sync::Arc;

use tracing::info;

use super::card::Card;
use super::console::board::{Board, Pictures};
use super::sound::Sounder;
use super::speech::Speech;
use crate::health::Health;
use crate::hits::Odds;
use crate::onboard::Hit;

/// Where hits become alerts.
#[derive(Clone)]
pub struct Desk {
    sounder: Sounder,
    speech: Option<Speech>,
    board: Arc<Board>,
    health: Arc<Health>,
}

impl Desk {
    /// Joins sound, words if there are any, and screen.
    pub fn new(
        sounder: Sounder,
        speech: Option<Speech>,
        board: Arc<Board>,
        health: Arc<Health>,
    ) -> Self {
        Self { sounder, speech, board, health }
    }

    /// Alerts the officer to a hit.
    pub fn alert(&self, hit: &Hit, pictures: Pictures, odds: Option<Odds>) {
        self.sounder.raise(&hit.id().to_string(), hit.priority());
        let card = Card::of(hit, odds);
        self.board.show(&card, pictures);
        self.health.alerted.one();
        if let Some(speech) = &self.speech {
            speech.say(&card, &self.sounder);
        }
        // Scripts of others look for these words in the log.
        info!(hit = %hit.id(), camera = %hit.camera(), priority = ?hit.priority(), "hit told");
    }
}
