//! The command line: one file per subcommand.

#[expect(
    clippy::disallowed_types,
    reason = "tries whether the console's port is free, sends nothing"
)]
pub mod check;
pub mod eval;
pub mod model_args;
pub mod pictures;
pub mod read;
pub mod run;

use clap::{Parser, Subcommand};

/// In-vehicle licence-plate reader whose privacy promises anyone can verify.
#[derive(Debug, Parser)]
#[command(name = "outrider", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log level: error, warn, info, debug or trace, or a tracing filter.
    #[arg(long, global = true, env = "OUTRIDER_LOG", default_value = "info")]
    pub log: String,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run on the car's cameras until a signal stops it.
    Run(run::RunArgs),
    /// Say whether this car is fit for duty, and what to do where it is not.
    Check(check::CheckArgs),
    /// Find and read the plates in pictures.
    Read(read::ReadArgs),
    /// Measure the models on a labelled folder.
    Eval(eval::EvalArgs),
    /// Print a completion script for a shell.
    #[command(after_help = "Example: outrider completions bash > /etc/bash_completion.d/outrider")]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
}

/// An error and its causes on one line. A cause that the line names already is not said twice:
/// messages meant to be read alone name their cause themselves.
pub fn one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if !line.contains(&cause) {
            line += if line.is_empty() { "" } else { ": " };
            line += &cause;
        }
    }
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

impl Cli {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Read(args) => args.run(),
            Command::Eval(args) => args.run(),
            Command::Completions { shell } => {
                clap_complete::generate(
                    shell,
                    &mut <Self as clap::CommandFactory>::command(),
                    "outrider",
                    &mut std::io::stdout(),
                );
                Ok(())
            }
        }
    }
}
