//! A reader that can be exchanged for another while its camera runs.
//!
//! In: the next reader, from any thread. Out: frames are read by it from the next frame on. Costs: one attempt to lock
//! per frame, which never waits. Leaves to others: which reader that is (`installed.rs`).

use std::error::Error;
use std::sync::{Arc, Mutex};

use crate::geometry::Rect;
use crate::onboard::frame::Frame;
use crate::onboard::vision::candidate::{Crop, Sighted};
use crate::onboard::{FrameReader, ModelStamp};

/// Where the next reader is put. Held to put one in or to take it out.
pub(super) type Desk = Arc<Mutex<Option<Box<dyn FrameReader>>>>;

/// A camera's reader.
pub(super) struct Exchanged {
    now: Box<dyn FrameReader>,
    next: Desk,
}

impl Exchanged {
    /// Begins with this reader; returns where the next one is to be put.
    pub(super) fn begin(now: Box<dyn FrameReader>) -> (Self, Desk) {
        let next = Desk::default();
        (Self { now, next: next.clone() }, next)
    }
}

impl FrameReader for Exchanged {
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        // Whoever puts one in holds the lock for a moment: it is taken with the next frame then.
        if let Some(next) = self.next.try_lock().ok().and_then(|mut next| next.take()) {
            self.now = next;
        }
        self.now.read_frame(frame)
    }

    fn context(&mut self, plate: &Rect, plates: &[Rect]) -> Option<Crop> {
        self.now.context(plate, plates)
    }

    fn stamp(&self) -> Arc<ModelStamp> {
        self.now.stamp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::onboard::frame::{Pixels, Raw};
    use crate::onboard::vision::still;

    struct Named(&'static str);

    impl FrameReader for Named {
        fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
            let (camera, sequence, captured) = (frame.camera.clone(), 0, frame.captured);
            let (candidates, unread) = (Vec::new(), Vec::new());
            Ok(Sighted { camera, sequence, captured, size: (1, 1), candidates, unread })
        }

        fn stamp(&self) -> Arc<ModelStamp> {
            let ocr = self.0.to_owned();
            Arc::new(ModelStamp { detector: String::new(), ocr, jurisdiction: None })
        }
    }

    #[test]
    fn next_frame_is_read_by_the_reader_that_was_put_in() {
        let (mut reader, desk) = Exchanged::begin(Box::new(Named("old")));
        let frame = still(Pixels::Grey(Raw { width: 1, height: 1, bytes: vec![0] }));
        reader.read_frame(&frame).unwrap();
        assert_eq!(reader.stamp().ocr, "old");
        *desk.lock().unwrap() = Some(Box::new(Named("new")));
        let held = desk.lock().unwrap();
        reader.read_frame(&frame).unwrap();
        assert_eq!(reader.stamp().ocr, "old", "it waits for nobody");
        drop(held);
        reader.read_frame(&frame).unwrap();
        assert_eq!(reader.stamp().ocr, "new");
        assert!(desk.lock().unwrap().is_none());
    }
}
