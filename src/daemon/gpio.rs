//! What the ignition and the beacon share: lines of GPIO chips, by the kernel's character device, and how one is kept open.
//!
//! In: a chip's path, a line's number. Out: the line, or an error that names both and the settings to look at. A line
//! that cannot be opened or is lost is opened again, with growing pauses, for as long as whoever needs it lives.

use std::path::{Path, PathBuf};
use std::time::Duration;

use gpiocdev::Request;
use gpiocdev::request::Builder;

use crate::backoff::Backoff;
use crate::config::ActiveLevel;
use crate::threads::Pause;

/// Pause before a lost line is opened again; it doubles with each failure, up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Why there is no line.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It cannot be opened.
    #[error(
        "cannot open line {line} of {chip}: {source}: see {keys}, and whether unit and udev let the daemon's user have \
         the chip"
    )]
    NotOpened {
        /// The chip.
        chip: PathBuf,
        /// The line's number.
        line: u32,
        /// The settings that name it.
        keys: &'static str,
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

/// A line of a GPIO chip. Nobody else can have it meanwhile.
pub(super) struct HeldLine {
    chip: PathBuf,
    line: u32,
    /// The kernel's handle.
    pub(super) request: Request,
}

impl HeldLine {
    /// Asks the kernel for it: as `wanted` says, under the consumer's name, at this level. `keys` are the settings to look at.
    pub(super) fn open(
        (chip, line): (&Path, u32),
        consumer: &str,
        active: ActiveLevel,
        keys: &'static str,
        wanted: impl FnOnce(&mut Builder),
    ) -> Result<Self, LineError> {
        let mut builder = Request::builder();
        builder.on_chip(chip).with_consumer(consumer).with_line(line);
        wanted(&mut builder);
        if active == ActiveLevel::Low {
            builder.as_active_low();
        }
        let chip = chip.to_owned();
        match builder.request() {
            Ok(request) => Ok(Self { chip, line, request }),
            Err(e) => Err(LineError::NotOpened { chip, line, keys, source: e.into() }),
        }
    }

    /// The error of a line that was open.
    pub(super) fn lost(&self, e: gpiocdev::Error) -> LineError {
        LineError::Lost { chip: self.chip.clone(), line: self.line, source: e.into() }
    }
}

/// What needs a line, and goes on without it.
pub(super) trait NeedsLine {
    /// What it opens.
    type Line: ?Sized;

    /// Opens it.
    fn open(&mut self) -> Result<Box<Self::Line>, LineError>;

    /// Uses it until it is lost (returns why) or the thread is to end. Tells `pauses` once it has worked.
    fn uses(
        &mut self,
        line: Box<Self::Line>,
        pauses: &mut Backoff,
        pause: &Pause,
    ) -> Option<LineError>;

    /// There is none now; `is_new` unless it was told last time already.
    fn without(&mut self, trouble: &str, is_new: bool);
}

/// Opens the line, and again whenever it is lost, until the thread is to end.
pub(super) fn keep_open(mut needs: impl NeedsLine, pause: &Pause) {
    let mut pauses = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
    let mut last = String::new();
    loop {
        let trouble = match needs.open() {
            Ok(line) => match needs.uses(line, &mut pauses, pause) {
                Some(trouble) => trouble.to_string(),
                None => return,
            },
            Err(trouble) => trouble.to_string(),
        };
        needs.without(&trouble, trouble != last);
        last = trouble;
        if !pause.goes_on_after(pauses.failed()) {
            return;
        }
    }
}
