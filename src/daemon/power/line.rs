//! The ignition line itself: one line of a GPIO chip, by the kernel's character device.

use std::path::PathBuf;
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::line::{EdgeDetection, EdgeKind, Value};

use super::ignition::Seen;
use crate::config::ActiveLevel;

/// Changes that one look takes; the kernel keeps sixteen of a line.
const MOST_CHANGES: usize = 16;

/// An ignition line, or a substitute for one.
pub trait IgnitionLine: Send {
    /// Waits for a change, at most for `timeout`, and says what was seen since the look before. After an error the line
    /// must be opened anew.
    fn look(&mut self, timeout: Duration) -> Result<Seen, LineError>;
}

/// Opens an ignition line; called again whenever it is lost.
pub type OpenLine = Box<dyn FnMut() -> Result<Box<dyn IgnitionLine>, LineError> + Send>;

/// Why a line cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It cannot be opened.
    #[error(
        "cannot open line {line} of {chip}: {source}: see power.chip and power.line, and whether unit and udev let the \
         daemon's user have the chip"
    )]
    NotOpened {
        /// The chip.
        chip: PathBuf,
        /// The line's number.
        line: u32,
        /// The system's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It was open, and its chip has gone or fails.
    #[error("lost line {line} of {chip}: {source}")]
    Lost {
        /// The chip.
        chip: PathBuf,
        /// The line's number.
        line: u32,
        /// The system's error.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// A line of a GPIO chip, asked for as an input. Nobody else can have it meanwhile.
pub(crate) struct GpioLine {
    chip: PathBuf,
    line: u32,
    request: Request,
}

impl GpioLine {
    /// Opens it.
    pub(crate) fn open(chip: PathBuf, line: u32, active: ActiveLevel) -> Result<Self, LineError> {
        let mut wanted = Request::builder();
        wanted.on_chip(&chip).with_consumer("outrider ignition").with_line(line).as_input();
        if active == ActiveLevel::Low {
            wanted.as_active_low();
        }
        // Edges as well as levels: the ignition may have been on for a moment between two looks.
        match wanted.with_edge_detection(EdgeDetection::BothEdges).request() {
            Ok(request) => Ok(Self { chip, line, request }),
            Err(e) => Err(LineError::NotOpened { chip, line, source: e.into() }),
        }
    }

    fn seen(&self, timeout: Duration) -> gpiocdev::Result<Seen> {
        let mut was_on = false;
        if self.request.wait_edge_event(timeout)? {
            for _ in 0..MOST_CHANGES {
                was_on |= self.request.read_edge_event()?.kind == EdgeKind::Rising;
                if !self.request.has_edge_event()? {
                    break;
                }
            }
        }
        let is_on = self.request.lone_value()? == Value::Active;
        Ok(Seen { was_on: was_on || is_on, is_on })
    }
}

impl IgnitionLine for GpioLine {
    fn look(&mut self, timeout: Duration) -> Result<Seen, LineError> {
        self.seen(timeout).map_err(|e| LineError::Lost {
            chip: self.chip.clone(),
            line: self.line,
            source: e.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_chip_is_named_and_what_to_do_about_it() {
        for path in ["/dev/gpiochip-of-nobody", "/dev/null"] {
            let error =
                GpioLine::open(path.into(), 17, ActiveLevel::High).err().unwrap().to_string();
            assert!(error.starts_with(&format!("cannot open line 17 of {path}: ")), "{error}");
            assert!(error.contains("power.chip"), "{error}");
        }
    }
}
