//! Arguments, logging, dispatch; turns the outcome into an exit code.

use std::process::ExitCode;

use clap::Parser;
use outrider::cmd::Cli;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = match EnvFilter::try_new(cli.log_filter()) {
        Ok(filter) => filter,
        Err(e) => {
            eprintln!("error: --log {:?}: {e}", cli.log_filter());
            return ExitCode::from(2);
        }
    };
    // Standard output is for results: others pipe it.
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("error: {}", outrider::cmd::one_line(&e));
            ExitCode::FAILURE
        }
    }
}
