//! Alerts the officer to a hit: by a tone first, then on the screen. It never waits for either.

use std::sync::Arc;

use tracing::info;

use super::card::Card;
use super::console::board::{Board, Pictures};
use super::sound::Sounder;
use crate::health::Health;
use crate::hits::Odds;
use crate::onboard::Hit;

/// Where hits become alerts.
#[derive(Clone)]
pub struct Desk {
    sounder: Sounder,
    board: Arc<Board>,
    health: Arc<Health>,
}

impl Desk {
    /// Joins sound and screen.
    pub fn new(sounder: Sounder, board: Arc<Board>, health: Arc<Health>) -> Self {
        Self { sounder, board, health }
    }

    /// Alerts the officer to a hit.
    pub fn alert(&self, hit: &Hit, pictures: Pictures, odds: Option<Odds>) {
        self.sounder.raise(&hit.id().to_string(), hit.priority());
        self.board.show(&Card::of(hit, odds), pictures);
        self.health.alerted.one();
        info!(hit = %hit.id(), camera = %hit.camera(), priority = ?hit.priority(), "hit alerted");
    }
}
