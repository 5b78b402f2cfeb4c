//! Tells a hit: tone first, then screen. Never waits for either.

use std::sync::Arc;

use tracing::info;

use super::card::Card;
use super::console::board::Board;
use super::sound::Sounder;
use crate::health::Health;
use crate::onboard::Hit;

/// Where hits are told.
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

    /// Tells a hit. `jpeg` is its plate's picture.
    pub fn tell(&self, hit: &Hit, jpeg: Vec<u8>) {
        self.sounder.alert(hit.entry().priority);
        self.board.show(&Card::of(hit), jpeg);
        self.health.alerted.one();
        info!(hit = %hit.id(), camera = %hit.camera(), priority = ?hit.entry().priority, "hit told");
    }
}
