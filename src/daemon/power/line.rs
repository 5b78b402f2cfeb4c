//! The ignition line itself: one line of a GPIO chip, by the kernel's character device.

use std::path::Path;
use std::time::Duration;

use gpiocdev::line::{EdgeDetection, EdgeKind, Value};

use super::ignition::Seen;
use crate::config::ActiveLevel;
use crate::daemon::gpio::{HeldLine, LineError};

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

/// A line of a GPIO chip, asked for as an input.
pub(crate) struct GpioLine {
    held: HeldLine,
    /// Whether the chip tells of changes. One without interrupts, as many vehicle computers and USB bridges have it, has
    /// levels alone.
    tells_changes: bool,
}

impl GpioLine {
    /// Opens it.
    pub(crate) fn open(chip: &Path, line: u32, active: ActiveLevel) -> Result<Self, LineError> {
        let keys = "power.chip and power.line";
        let opened = |tells_changes: bool| {
            let held = HeldLine::open((chip, line), "outrider ignition", active, keys, |wanted| {
                wanted.as_input();
                if tells_changes {
                    wanted.with_edge_detection(EdgeDetection::BothEdges);
                }
            });
            held.map(|held| Self { held, tells_changes })
        };
        // Changes as well as levels: the ignition may have been on for a moment between two looks. The kernel refuses them
        // where the chip has no interrupts; whatever else is wrong is wrong without them too.
        opened(true).or_else(|_| opened(false))
    }

    fn seen(&self, timeout: Duration) -> gpiocdev::Result<Seen> {
        let request = &self.held.request;
        let mut was_on = false;
        if !self.tells_changes {
            std::thread::sleep(timeout);
        } else if request.wait_edge_event(timeout)? {
            for _ in 0..MOST_CHANGES {
                was_on |= request.read_edge_event()?.kind == EdgeKind::Rising;
                if !request.has_edge_event()? {
                    break;
                }
            }
        }
        let is_on = request.lone_value()? == Value::Active;
        Ok(Seen { was_on: was_on || is_on, is_on })
    }
}

impl IgnitionLine for GpioLine {
    fn look(&mut self, timeout: Duration) -> Result<Seen, LineError> {
        self.seen(timeout).map_err(|e| self.held.lost(e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_chip_is_named_and_what_to_do_about_it() {
        for path in ["/dev/gpiochip-of-nobody", "/dev/null"] {
            let error =
                GpioLine::open(path.as_ref(), 17, ActiveLevel::High).err().unwrap().to_string();
            assert!(error.starts_with(&format!("cannot open line 17 of {path}: ")), "{error}");
            assert!(error.contains("power.chip"), "{error}");
        }
    }
}
