//! The command line: one file per subcommand.

pub mod audit;
#[expect(
    clippy::disallowed_types,
    reason = "tries whether the console's port is free, sends nothing"
)]
pub mod check;
pub mod demo;
pub mod disposition;
pub mod eval;
pub mod evidence;
pub mod hold;
pub mod hotlist;
pub mod hotplate;
pub mod model_args;
pub mod pictures;
pub mod policy;
pub mod provision;
pub mod query;
pub mod read;
pub mod replay;
pub mod report;
pub mod run;
mod secret;
pub mod unlock;

use clap::{Parser, Subcommand};

/// In-vehicle licence-plate reader whose privacy promises anyone can verify.
#[derive(Debug, Parser)]
#[command(name = "outrider", version, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log level: error, warn, info, debug or trace, or a tracing filter [default: info; warn for
    /// demo and replay, whose own words go to the same place].
    #[arg(long, global = true, env = "OUTRIDER_LOG")]
    pub log: Option<String>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run on the car's cameras until a signal stops it.
    Run(run::RunArgs),
    /// Say whether this car is fit for duty, and what to do where it is not.
    Check(check::CheckArgs),
    /// Watch the whole system on a drive that it renders itself.
    Demo(demo::DemoArgs),
    /// Run a recorded or rendered drive through the pipeline, as fast as it goes.
    Replay(replay::ReplayArgs),
    /// Find and read the plates in pictures.
    Read(read::ReadArgs),
    /// Measure the models on a labelled folder.
    Eval(eval::EvalArgs),
    /// Verify, export or show the audit log.
    Audit(audit::AuditArgs),
    /// Keep a hit past its retention, or end that.
    Hold(hold::HoldArgs),
    /// Make, sign and publish lists of plates.
    Hotlist(hotlist::HotlistArgs),
    /// Make, change and destroy keys.
    Provision(provision::ProvisionArgs),
    /// Type the passphrase of the device key to a daemon that waits for it.
    Unlock(unlock::UnlockArgs),
    /// Look one plate up in what this car still keeps, on grounds and on record.
    Query(query::QueryArgs),
    /// Say what a hit was, and what came of it.
    Disposition(disposition::DispositionArgs),
    /// Write everything about a hit into one signed file, or check such a file.
    Evidence(evidence::EvidenceArgs),
    /// Write the transparency report.
    Report(report::ReportArgs),
    /// Write, explain, sign and publish what cars may keep, match and allow.
    Policy(policy::PolicyArgs),
    /// Add, list and remove entries for a shift in the running car.
    Hotplate(hotplate::HotplateArgs),
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
    /// What is logged.
    pub fn log_filter(&self) -> &str {
        let usual = match self.command {
            Command::Demo(_) | Command::Replay(_) => "warn,rumqttd=off",
            _ => "info",
        };
        self.log.as_deref().unwrap_or(usual)
    }

    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Run(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Demo(args) => args.run(),
            Command::Replay(args) => args.run(),
            Command::Read(args) => args.run(),
            Command::Eval(args) => args.run(),
            Command::Audit(args) => args.run(),
            Command::Hold(args) => args.run(),
            Command::Hotlist(args) => args.run(),
            Command::Provision(args) => args.run(),
            Command::Unlock(args) => args.run(),
            Command::Query(args) => args.run(),
            Command::Disposition(args) => args.run(),
            Command::Evidence(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Policy(args) => args.run(),
            Command::Hotplate(args) => args.run(),
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
