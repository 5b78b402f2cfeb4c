//! Models that arrive after the program: signed packages that are tried before they are used, and given up when they are
//! worse.
//!
//! In: a package by file and a maintainer who is signed in, or one from the broker (`fetch.rs`, `follow.rs`,
//! `arrivals.rs`) and a policy that lets it come. Out: readers for the cameras, and what people should know.
//! A package is verified (`package.rs`), written beside the shipped models, tried on pictures that are built in and on
//! this machine's speed (`golden.rs`, `trial.rs`), put in force by one sealed record (`kept.rs`), and watched for its
//! first minute (`probation.rs`). docs/decisions/0137 and 0141 have the reasons.

mod answer;
mod arrivals;
mod exchange;
mod fetch;
mod follow;
mod golden;
mod in_parts;
mod install;
mod installed;
mod kept;
mod package;
mod probation;
mod state;
mod trial;

pub use answer::{
    INSTALL, INSTALL_WAITING, Install, InstallWaiting, LIST, MOST_PART, PART, Part, ROLL_BACK,
    RollBack, RolledBack, SEEN, Seen, answer,
};
pub use follow::FromFleet;
pub use in_parts::{InParts, in_parts};
pub use install::{InstallError, Outcome};
pub use installed::{Models, Parts};
pub use kept::{Installed, Kept, KeptError, Probation, Record, Slot, Told};
pub use package::{
    Files, Kind, MODEL_TYPE, MOST_PACKAGE, PART_BYTES, Package, PackageError, Signed, Stated,
    Statement, pack, unverified,
};
pub use state::{Came, Model, OfKind, State, on_disk, settings_on_disk};
pub use trial::{Comparison, Measured, Score, Speed, TrialError};
