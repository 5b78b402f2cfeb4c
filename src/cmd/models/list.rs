//! `outrider models list`: which models are shipped, installed, in force, and next to fall back on.

use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;

use crate::config::Config;
use crate::control;
use crate::keys::{DeviceKey, KeyError};
use crate::models::{LIST, Model, State, on_disk};

/// Arguments of `outrider models list`.
#[derive(Debug, Args)]
#[command(
    about = "List shipped and installed models, those in force, and what came over the broker",
    after_help = "A running daemon is asked; without one the state folder is read, which takes the car's key.\n\nExamples:\n  \
        outrider models list\n  outrider models list --json | jq '.models[] | {kind, in_force}'"
)]
pub(super) struct ListArgs {
    /// Report as JSON.
    #[arg(long)]
    json: bool,
    /// The configuration.
    #[arg(long, value_name = "FILE", default_value = "/etc/outrider/outrider.toml")]
    config: PathBuf,
}

impl ListArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let config = Config::load(&self.config)?;
        let state = &config.keeping.directory;
        let told: State = match control::answers(state) {
            true => control::ask(state, LIST, &())?,
            false => match DeviceKey::existing(state) {
                Ok(device) => on_disk(&config, &device)?,
                // A car that was never started has shipped models alone.
                Err(KeyError::Missing { .. }) => State::shipped(&config.models),
                Err(e) => return Err(e.into()),
            },
        };
        let mut out = std::io::stdout().lock();
        match self.json {
            true => writeln!(out, "{}", serde_json::to_string_pretty(&told)?)?,
            false => write!(out, "{}", table(&told))?,
        }
        Ok(())
    }
}

fn table(told: &State) -> String {
    let words = |model: Option<&Model>| model.map_or_else(|| "none".to_owned(), Model::words);
    let mut text = String::new();
    for of in &told.models {
        text += &format!("{}\n  in force   {}\n", of.kind, words(of.in_force.as_ref()));
        text += &format!("  shipped    {}\n", words(of.shipped.as_ref()));
        if of.in_force != of.shipped {
            let back = of.previous.as_ref().or(of.shipped.as_ref());
            text += &format!("  previous   {}\n", words(back));
        }
        for installed in &of.installed {
            text += &format!("  installed  {}\n", installed.words());
        }
    }
    if let Some(kind) = told.on_probation {
        text += &format!("the {kind} has not yet survived its first minute\n");
    }
    for came in &told.came {
        // One that was installed is told above.
        text += &came.words().map_or(String::new(), |words| format!("from the broker: {words}\n"));
    }
    if let Some(why) = &told.not_fetched {
        text += &format!("from the broker: {why}\n");
    }
    let told_of = [("rolled back", &told.rolled_back), ("refused", &told.refused)];
    for (what, told) in told_of.into_iter().filter_map(|(what, told)| Some((what, told.as_ref()?)))
    {
        text += &format!("{what} at {}: {}\n", told.at, told.what);
    }
    if let Some(why) = &told.trouble {
        text += &format!("WRONG: {why}\n");
    }
    text
}
