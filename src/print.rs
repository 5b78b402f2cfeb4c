//! Printing to standard output and standard error without a panic when nobody reads any more.
//!
//! The macros of the standard library panic when the reader of a pipe has seen enough (`| head -1`). The macros of
//! this file have the same names and replace them in the whole crate, because this module comes first in `lib.rs`: no
//! subcommand can use the others by mistake. When the reader has left, the program ends quietly with the code of
//! SIGPIPE, as other command-line programs do. When output cannot be written for another reason, such as a
//! full disk behind `>`, that is an error.

use std::fmt;
use std::io::{self, Write as _};

/// Exit code of a program whose reader has left: 128 and the number of SIGPIPE.
pub const READER_LEFT: u8 = 141;

/// As in the standard library.
macro_rules! println {
    () => { $crate::print::out(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::out(format_args!("{}\n", format_args!($($text)*))) };
}

/// As in the standard library.
macro_rules! print {
    ($($text:tt)*) => { $crate::print::out(format_args!($($text)*)) };
}

/// As in the standard library.
macro_rules! eprintln {
    () => { $crate::print::err(format_args!("\n")) };
    ($($text:tt)*) => { $crate::print::err(format_args!("{}\n", format_args!($($text)*))) };
}

/// As in the standard library.
macro_rules! eprint {
    ($($text:tt)*) => { $crate::print::err(format_args!($($text)*)) };
}

/// Writes to standard output.
pub fn out(text: fmt::Arguments<'_>) {
    let mut out = io::stdout().lock();
    if let Err(e) = out.write_fmt(text).and_then(|()| out.flush()) {
        gone(&e);
    }
}

/// Writes to standard error. A failure is ignored, because there is no place left to report it.
pub fn err(text: fmt::Arguments<'_>) {
    let _ = io::stderr().lock().write_fmt(text);
}

/// Ends the program, because its output cannot be written.
fn gone(e: &io::Error) -> ! {
    if e.kind() == io::ErrorKind::BrokenPipe {
        std::process::exit(i32::from(READER_LEFT));
    }
    err(format_args!("error: standard output: {e}\n"));
    std::process::exit(1);
}

/// Whether an error means that the reader of standard output has left. A broker that hung up makes another
/// kind of error, or one that is wrapped in an error of ours.
pub fn reader_left(error: &anyhow::Error) -> bool {
    let broken = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|e| e.kind() == io::ErrorKind::BrokenPipe);
    broken && nobody_reads(&io::stdout())
}

fn nobody_reads(out: &io::Stdout) -> bool {
    use rustix::event::{PollFd, PollFlags, poll};
    let mut fds = [PollFd::new(out, PollFlags::empty())];
    let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
    poll(&mut fds, Some(&now)).is_ok() && fds[0].revents().contains(PollFlags::ERR)
}
