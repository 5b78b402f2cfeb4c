//! `outrider models rollback` and `outrider models seen`.

use clap::Args;

use crate::cmd::signed::ask_daemon;
use crate::cmd::which_car::WhichCar;
use crate::models::{Kind, ROLL_BACK, RollBack, RolledBack, SEEN, Seen};

/// Arguments of `outrider models rollback`.
#[derive(Debug, Args)]
#[command(
    about = "Go back to the package before, or to the shipped model",
    after_help = "A maintainer must be signed in (outrider login). The package that is given up can be installed \
        again.\n\nExamples:\n  outrider models rollback\n  outrider models rollback ocr"
)]
pub(super) struct RollbackArgs {
    /// Which model; may be left out where one package is in force.
    #[arg(value_enum)]
    kind: Option<Kind>,
    #[command(flatten)]
    car: WhichCar,
}

impl RollbackArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let done: RolledBack =
            ask_daemon(&self.car.state()?, ROLL_BACK, &RollBack { kind: self.kind })?;
        println!("{}: {} is in force", done.kind, done.in_force);
        Ok(())
    }
}

/// Arguments of `outrider models seen`.
#[derive(Debug, Args)]
#[command(
    about = "Say that you have seen why the car went back by itself",
    after_help = "Until then, or until another package is installed, health and the page say so. A maintainer must be signed in \
        (outrider login).\n\nExample:\n  outrider models seen"
)]
pub(super) struct SeenArgs {
    #[command(flatten)]
    car: WhichCar,
}

impl SeenArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let () = ask_daemon(&self.car.state()?, SEEN, &Seen {})?;
        println!("seen");
        Ok(())
    }
}
