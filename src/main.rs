//! Arguments, logging, dispatch; turns the outcome into an exit code.

use std::io::IsTerminal as _;
use std::process::ExitCode;

use clap::Parser;
use outrider::cmd::Cli;
use outrider::daemon::{EXIT_NOT_SET_UP, NotSetUp};
use outrider::print;
use outrider::text::Lines;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = match EnvFilter::try_new(cli.log_filter()) {
        Ok(filter) => filter,
        Err(e) => {
            print::err(format_args!("error: --log {:?}: {e}\n", cli.log_filter()));
            return ExitCode::from(2);
        }
    };
    // The log goes to standard error, because standard output is for results, which others pipe.
    // `Lines` makes each entry one line, whatever somebody has written into an error.
    let coloured = std::io::stderr().is_terminal();
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(coloured)
        .with_writer(move || Lines(std::io::stderr(), coloured))
        // Errors of logging would go to the standard error that has just failed.
        .log_internal_errors(false)
        .init();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) if print::reader_left(&e) => ExitCode::from(print::READER_LEFT),
        Err(e) => {
            print::err(format_args!("error: {}\n", outrider::cmd::one_line(&e)));
            match e.is::<NotSetUp>() {
                true => ExitCode::from(EXIT_NOT_SET_UP),
                false => ExitCode::FAILURE,
            }
        }
    }
}
