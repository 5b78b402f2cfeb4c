//! `outrider models install`: has the running daemon try a package, and use it if it passes.

use std::path::PathBuf;

use anyhow::bail;
use clap::Args;

use crate::cmd::signed::ask_daemon;
use crate::cmd::which_car::WhichCar;
use crate::models::{
    Comparison, INSTALL, INSTALL_WAITING, Install, InstallWaiting, Kind, MOST_PART, Outcome, PART,
    Part,
};

/// Arguments of `outrider models install`.
#[derive(Debug, Args)]
#[command(
    about = "Have this car try a signed package, and use it if it passes",
    after_help = "The running daemon verifies the signature, reads the built-in pictures with the models in force and with the \
        new one, and measures both at the cameras' size. A package that reads worse or is too slow is refused, and nothing \
        changes. One that passes is in force at once. The car goes back by itself where the package does not load, the \
        program ends twice before its first minute is over, or the cameras are read more slowly than the trial promised.\n\n\
        --waiting does the same with a package that came over the broker, where policy lets packages come (models.from_broker): \
        outrider models list shows what waits.\n\nA maintainer must be signed in (outrider login).\n\nExamples:\n  \
        outrider models install ocr-9.model\n  outrider models install --waiting\n  outrider models install --waiting --kind ocr\n  outrider models install ocr-9.model --json | jq .trial.after"
)]
pub(super) struct InstallArgs {
    /// The package, as `models pack` wrote it.
    #[arg(required_unless_present = "waiting", conflicts_with = "waiting")]
    file: Option<PathBuf>,
    /// Take the package that came over the broker and waits.
    #[arg(long)]
    waiting: bool,
    /// Which model, where packages of several wait.
    #[arg(long, value_enum, requires = "waiting")]
    kind: Option<Kind>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    car: WhichCar,
}

impl InstallArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let state = self.car.state()?;
        let outcome: Outcome = match &self.file {
            Some(file) => {
                let bytes = super::read_package(file)?;
                for (n, part) in bytes.chunks(MOST_PART).enumerate() {
                    let at = (n * MOST_PART) as u64;
                    let part = Part { at, bytes: data_encoding::BASE64.encode(part) };
                    let () = ask_daemon(&state, PART, &part)?;
                }
                ask_daemon(&state, INSTALL, &Install { bytes: bytes.len() as u64 })?
            }
            None => ask_daemon(&state, INSTALL_WAITING, &InstallWaiting { kind: self.kind })?,
        };
        if self.json {
            println!("{}", serde_json::to_string_pretty(&outcome)?);
        } else if let Some(trial) = &outcome.trial {
            print!("{}", table(trial));
        }
        match outcome {
            Outcome { refused: Some(why), .. } => {
                bail!("package refused, nothing has changed: {why}")
            }
            Outcome { package: Some(package), .. } if !self.json => {
                println!("{package} is in force; its first minute is watched");
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// What was measured, before and after.
fn table(trial: &Comparison) -> String {
    let Comparison { before, after } = trial;
    let (was, is) = (&before.score, &after.score);
    let mut rows = vec![
        (
            format!("plates read right, of {}", is.plates),
            was.right.to_string(),
            is.right.to_string(),
        ),
        ("certain and wrong".into(), was.wrong.to_string(), is.wrong.to_string()),
        ("issuers right".into(), was.issuers_right.to_string(), is.issuers_right.to_string()),
        ("issuers wrong".into(), was.issuers_wrong.to_string(), is.issuers_wrong.to_string()),
    ];
    for (camera, speed) in &after.speed {
        let of = |speed: &crate::models::Speed| format!("{:.1} ms", speed.frame_ms);
        let before = before.speed.get(camera).map_or("?".into(), of);
        rows.push((format!("{camera}, {}x{}", speed.width, speed.height), before, of(speed)));
    }
    let mut text = format!("{:28}  {:>10}  {:>10}\n", "", "in force", "new");
    for (what, before, after) in rows {
        text += &format!("{what:28}  {before:>10}  {after:>10}\n");
    }
    text
}
