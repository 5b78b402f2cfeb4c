//! `outrider hotplate`: entries for a shift, added to the running car.
//!
//! The command asks the daemon over its control socket; the daemon checks the entry, records it, keeps it and puts it
//! into service. Whoever is signed in (`outrider login`) asks.

use std::io::Write as _;
use std::path::Path;

use clap::{Args, Subcommand, ValueEnum};
use comfy_table::{Table, presets};

use super::signed;
use super::which_car::WhichCar;
use crate::config::HumanDuration;
use crate::control;
use crate::entry::Priority;
use crate::hotlist::hotplate::{ADD, LIST, REMOVE, Remove, Told, Wanted};
use crate::policy::Who;

/// Add, list and remove entries for a shift in the running car.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  outrider hotplate add - --reason \"left the scene, Main St\"\n  outrider hotplate add 'CKS*41' --reason \"AMBER alert\" --priority high --for 4h\n  outrider hotplate list\n  outrider hotplate remove 01KB0000000000000000000000 --why found"
)]
pub struct HotplateArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    #[command(
        after_help = "Examples:\n  outrider hotplate add - --reason \"left the scene, Main St\" --by 4411\n  outrider hotplate add 'CKS*41' --reason \"AMBER alert\" --by 97 --role supervisor --priority high --for 4h"
    )]
    /// Add a hotplate. It ends by itself, at the end of the shift unless --for says otherwise.
    Add(AddArgs),
    /// Show the hotplates in force.
    #[command(after_help = "Examples:\n  outrider hotplate list\n  outrider hotplate list --json")]
    List(ListArgs),
    /// Remove a hotplate.
    #[command(
        after_help = "Example:\n  outrider hotplate remove 01KB0000000000000000000000 --by 4411 --why found"
    )]
    Remove(RemoveArgs),
}

#[derive(Debug, Args)]
struct Person {
    /// Number of the person who asks; must be the person who is signed in (outrider login).
    #[arg(long, value_name = "NUMBER", default_value = "", hide_default_value = true)]
    by: String,
    /// The role, where the person who is signed in has several.
    #[arg(long, value_enum)]
    role: Option<Who>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Urgency {
    Low,
    Medium,
    High,
}

#[derive(Debug, Args)]
struct AddArgs {
    /// The plate; `-` reads it from standard input, so that no list of processes, no history and no log of sudo shows
    /// it. Where policy grants it, `?` stands for one character and `*` for any run.
    plate: String,
    /// Why: shown on the alert and kept in the audit log.
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    person: Person,
    /// Who issued the plate, such as CA-ON; if left out, a plate of any jurisdiction alerts, and the alert says so.
    #[arg(long, value_name = "CODE", default_value = "")]
    jurisdiction: String,
    /// The case it belongs to.
    #[arg(long, value_name = "NUMBER", default_value = "")]
    case: String,
    /// How urgent.
    #[arg(long, value_enum, default_value_t = Urgency::Medium)]
    priority: Urgency,
    /// For how long, such as 90m or 4h [default: hotplates.shift of the configuration].
    #[arg(long = "for", value_name = "TIME")]
    lasts: Option<HumanDuration>,
    #[command(flatten)]
    car: WhichCar,
}

#[derive(Debug, Args)]
struct ListArgs {
    /// Print a JSON array.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    car: WhichCar,
}

#[derive(Debug, Args)]
struct RemoveArgs {
    /// Its identifier, as `list` shows it.
    id: String,
    #[command(flatten)]
    person: Person,
    /// Why: kept in the audit log.
    #[arg(long)]
    why: String,
    #[command(flatten)]
    car: WhichCar,
}

impl HotplateArgs {
    /// Does what was asked.
    pub fn run(self) -> anyhow::Result<()> {
        let mut out = std::io::stdout().lock();
        match self.what {
            What::Add(args) => {
                let state = args.car.state()?;
                let told: Told = signed::ask_daemon(&state, ADD, &args.wanted()?)?;
                writeln!(out, "{} until {:.0}", told.id, told.expires)?;
            }
            What::List(ListArgs { json, car }) => {
                let told: Vec<Told> = list_running(&car.state()?)?;
                match json {
                    true => writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?,
                    false => writeln!(out, "{}", table(&told))?,
                }
            }
            What::Remove(RemoveArgs { id, person, why, car }) => {
                let asked = Remove { id, by: person.by, role: person.role, why };
                let () = signed::ask_daemon(&car.state()?, REMOVE, &asked)?;
                writeln!(out, "removed")?;
            }
        }
        Ok(())
    }
}

fn list_running(state: &Path) -> Result<Vec<Told>, control::AskError> {
    control::ask(state, LIST, &())
}

impl AddArgs {
    fn wanted(self) -> std::io::Result<Wanted> {
        Ok(Wanted {
            plate: super::typed_plate(self.plate)?,
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
        })
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
