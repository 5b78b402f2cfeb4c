//! `outrider hotplate`: entries for a shift, added to the running car.
//!
//! The command asks the daemon over its control socket; the daemon checks, audits, keeps and serves.
//! Officer and role are as stated here and go into the audit as stated.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};

use crate::config::HumanDuration;
use crate::control;
use crate::hotlist::Priority;
use crate::hotlist::hotplate::{ADD, LIST, REMOVE, Remove, Told, Wanted};
use crate::policy::Who;

/// Add, list and remove entries for a shift in the running car.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider hotplate add CKSV841 --reason \"left the scene, Main St\" --by 4411\n  outrider hotplate add 'CKS*41' --reason \"AMBER alert\" --by 97 --role supervisor --priority high --for 4h\n  outrider hotplate list\n  outrider hotplate remove 01KB0000000000000000000000 --by 4411 --why found"
)]
pub struct HotplateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Add one. It ends by itself, at the end of the shift if nothing else is said.
    Add(AddArgs),
    /// Show those that run.
    List(ListArgs),
    /// Remove one.
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct Daemon {
    /// The car's state folder, where the daemon's control socket is.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/outrider")]
    state: PathBuf,
}

#[derive(Debug, Args)]
struct Person {
    /// Number of the officer who asks; goes into the audit.
    #[arg(long, value_name = "NUMBER")]
    by: String,
    /// In which role.
    #[arg(long, value_enum, default_value_t = Who::Officer)]
    role: Who,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Urgency {
    Low,
    Medium,
    High,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The plate. Where policy grants it, `?` stands for one character and `*` for any run.
    plate: String,
    /// Why: shown on the alert, kept in the audit.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    person: Person,
    /// Who issued the plate, such as CA-ON; left out, any jurisdiction alarms and says so.
    #[arg(long, value_name = "CODE", default_value = "")]
    jurisdiction: String,
    /// The case it belongs to.
    #[arg(long, value_name = "NUMBER", default_value = "")]
    case: String,
    /// How urgent.
    #[arg(long, value_enum, default_value_t = Urgency::Medium)]
    priority: Urgency,
    /// For how long, such as 90m or 4h; left out, a shift.
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<HumanDuration>,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// A JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    daemon: Daemon,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// Its identifier, as `list` shows it.
    id: String,
    #[command(flatten)]
    person: Person,
    /// Why: kept in the audit.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    daemon: Daemon,
}

impl HotplateArgs {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match self.what {
            What::Add(args) => {
                let state = args.daemon.state.clone();
                let told: Told = control::ask(&state, ADD, &args.wanted())?;
                writeln!(out, "{} until {:.0}", told.id, told.expires)?;
            }
            What::List(ListArgs { json, daemon }) => {
                let told: Vec<Told> = ask_for_all(&daemon.state)?;
                match json {
                    true => writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?,
                    false => writeln!(out, "{}", table(&told))?,
                }
            }
            What::Remove(RemoveArgs { id, person, why, daemon }) => {
                let asked = Remove { id, by: person.by, role: person.role, why };
                let () = control::ask(&daemon.state, REMOVE, &asked)?;
                writeln!(out, "removed")?;
            }
        }
        Ok(())
    }
}

fn ask_for_all(state: &Path) -> Result<Vec<Told>, control::AskError> {
    control::ask(state, LIST, &())
}

impl AddArgs {
    fn wanted(self) -> Wanted {
        Wanted {
            plate: self.plate,
            jurisdiction: self.jurisdiction,
            priority: match self.priority {
                Urgency::Low => Priority::Low,
                Urgency::Medium => Priority::Medium,
                Urgency::High => Priority::High,
            },
            reason: self.reason,
            case: self.case,
            by: self.person.by,
            role: self.person.role,
            lasts: self.lasts,
        }
    }
}

fn table(told: &[Told]) -> String {
    if told.is_empty() {
        return "no hotplates".into();
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header(["plate", "from", "until", "by", "reason", "id"]);
    for h in told {
        table.add_row([
            h.plate.clone(),
            h.jurisdiction.clone(),
            format!("{:.0}", h.expires),
            format!("{} {}", h.role.word(), h.by),
            h.reason.clone(),
            h.id.clone(),
        ]);
    }
    table.to_string()
}
