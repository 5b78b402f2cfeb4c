//! The command line: one file per subcommand.

pub mod audit;
#[expect(
    clippy::disallowed_types,
    reason = "tries whether the console's port is free, sends nothing"
)]
pub mod check;
#[cfg(feature = "demo")]
pub mod demo;
pub mod disposition;
mod envelope;
pub mod eval;
pub mod evidence;
pub mod hold;
pub mod hotlist;
pub mod hotplate;
pub mod login;
pub mod man;
pub mod model_args;
pub mod models;
mod owners_files;
pub mod pictures;
pub mod policy;
pub mod provision;
pub mod query;
pub mod read;
#[cfg(feature = "demo")]
pub mod replay;
pub mod report;
pub mod run;
mod signed;
pub mod status;
pub mod unlock;
mod which_car;

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use clap::{Parser, Subcommand};

pub use crate::daemon::one_line;

/// In-vehicle licence-plate reader whose privacy promises anyone can verify.
#[derive(Debug, Parser)]
#[command(name = "outrider", version = crate::version::text(), about, max_term_width = 100)]
#[command(
    after_help = "Examples for the car, its daemon, a picture and a policy:\n  outrider check\n  outrider status\n  outrider read car.jpg\n  outrider policy explain draft.toml"
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Log level: error, warn, info, debug or trace, or a tracing filter [default: info; warn for
    /// demo and replay, which print to the same place].
    #[arg(long, global = true, env = "OUTRIDER_LOG")]
    pub log: Option<String>,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run on the car's cameras until a signal stops it.
    Run(run::RunArgs),
    /// Check whether this car is fit for duty, and say what to do where it is not.
    Check(check::CheckArgs),
    /// Ask the running daemon how this car is.
    Status(status::StatusArgs),
    /// Watch the whole system on a drive that it renders itself.
    #[cfg(feature = "demo")]
    Demo(demo::DemoArgs),
    /// Run a recorded or rendered drive through the pipeline, as fast as it goes.
    #[cfg(feature = "demo")]
    Replay(replay::ReplayArgs),
    /// Find and read the plates in pictures.
    Read(read::ReadArgs),
    /// Measure the models on a labelled folder.
    Eval(eval::EvalArgs),
    /// Verify, export or show the audit log.
    Audit(audit::AuditArgs),
    /// Place or end a legal hold, which keeps a hit past its retention.
    Hold(hold::HoldArgs),
    /// Make, sign and publish lists of plates.
    Hotlist(hotlist::HotlistArgs),
    /// Sign packages of models; install them in this car, list them, go back.
    Models(models::ModelsArgs),
    /// Make, change and destroy keys.
    Provision(provision::ProvisionArgs),
    /// Give the passphrase of the device key to a daemon that waits for it.
    Unlock(unlock::UnlockArgs),
    /// Sign in with officer number and PIN, for the commands that follow.
    Login(login::LoginArgs),
    /// Sign out.
    Logout(login::LogoutArgs),
    /// Look one plate up in what this car still keeps; a reason is needed and recorded.
    Query(query::QueryArgs),
    /// Record what a hit was, and what came of it.
    Disposition(disposition::DispositionArgs),
    /// Write everything about a hit into one signed file, or check such a file.
    Evidence(evidence::EvidenceArgs),
    /// Write the transparency report of this car or of many.
    Report(report::ReportArgs),
    /// Write, explain, sign and publish what cars may keep, match and allow.
    Policy(policy::PolicyArgs),
    /// Add, list and remove hotplates: entries for one shift in the running car.
    Hotplate(hotplate::HotplateArgs),
    /// Print a completion script for a shell.
    #[command(
        after_help = "Example:\n  outrider completions bash > /etc/bash_completion.d/outrider"
    )]
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages, one for each subcommand.
    #[command(hide = true)]
    Man(man::ManArgs),
}

impl Command {
    /// Whether plates are in its memory: one that somebody looks up or adds, or those of a list.
    fn holds_plates(&self) -> bool {
        matches!(self, Self::Query(_) | Self::Hotplate(_) | Self::Hotlist(_) | Self::Evidence(_))
    }
}

/// Longest line on which a plate is typed, in bytes.
const LONGEST_TYPED: u64 = 1 << 10;

/// A plate as it was given, or for `-` from standard input: what stands among the arguments of a process is in every
/// list of processes, in the shell's history and, with sudo, in the system's log for as long as that is kept.
fn typed_plate(given: String) -> std::io::Result<String> {
    if given != "-" {
        return Ok(given);
    }
    let mut input = std::io::stdin().lock();
    if input.is_terminal() {
        eprint!("Plate: ");
    }
    let mut line = String::new();
    (&mut input).take(LONGEST_TYPED).read_line(&mut line)?;
    Ok(line.trim().to_owned())
}

impl Cli {
    /// What is logged.
    pub fn log_filter(&self) -> &str {
        let usual = match self.command {
            #[cfg(feature = "demo")]
            Command::Demo(_) | Command::Replay(_) => "warn,rumqttd=off",
            _ => "info",
        };
        self.log.as_deref().unwrap_or(usual)
    }

    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        if self.command.holds_plates() {
            crate::daemon::keep_memory_private();
        }
        match self.command {
            Command::Run(args) => args.run(),
            Command::Check(args) => args.run(),
            Command::Status(args) => args.run(),
            #[cfg(feature = "demo")]
            Command::Demo(args) => args.run(),
            #[cfg(feature = "demo")]
            Command::Replay(args) => args.run(),
            Command::Read(args) => args.run(),
            Command::Eval(args) => args.run(),
            Command::Audit(args) => args.run(),
            Command::Hold(args) => args.run(),
            Command::Hotlist(args) => args.run(),
            Command::Models(args) => args.run(),
            Command::Provision(args) => args.run(),
            Command::Unlock(args) => args.run(),
            Command::Login(args) => args.run(),
            Command::Logout(args) => args.run(),
            Command::Query(args) => args.run(),
            Command::Disposition(args) => args.run(),
            Command::Evidence(args) => args.run(),
            Command::Report(args) => args.run(),
            Command::Policy(args) => args.run(),
            Command::Hotplate(args) => args.run(),
            Command::Man(args) => args.run(),
            Command::Completions { shell } => {
                // Into memory first, because writing it directly would panic where the reader of a pipe has left.
                let mut script = Vec::new();
                let mut command = <Self as clap::CommandFactory>::command();
                clap_complete::generate(shell, &mut command, "outrider", &mut script);
                print!("{}", String::from_utf8_lossy(&script));
                Ok(())
            }
        }
    }
}
