//! The inside of this module, for benches.

use super::letterbox::{Colour, Feeder, Fit, InputSpec, Layout};
use super::picture::Picture;
use super::scale::{AREA, Region};

/// Makes a detector's 640x384 input from pictures.
pub struct Letterbox(Feeder);

impl Default for Letterbox {
    fn default() -> Self {
        Self(Feeder::new(InputSpec {
            width: 640,
            height: 384,
            layout: Layout::Blocks,
            bytes: true,
            colour: Colour::Bgr,
            scale: 1.0 / 255.0,
            mean: [0.0; 3],
            fit: Fit::Letterbox { centre: false, fill: 114 },
            filter: AREA,
        }))
    }
}

impl Letterbox {
    /// Fills the input.
    pub fn fill(&mut self, picture: &Picture) {
        self.0.put(0, picture, &Region::Box(picture.bounds()));
    }
}
