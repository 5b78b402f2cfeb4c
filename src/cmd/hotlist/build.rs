//! `outrider hotlist build`: the next version, unsigned.

use std::path::PathBuf;

use clap::Args;
use jiff::Timestamp;

use super::{ListKeyArgs, bar, bytes, holding, life, print_json};
use crate::authoring::publish::{Building, Store, WorkFile, build};
use crate::config::HumanDuration;
use crate::entry::Matching;

/// Arguments of `outrider hotlist build`.
#[derive(Debug, Args)]
#[command(
    about = "Make the next version of a list from a work file, unsigned",
    after_help = "Examples:\n  \
        outrider hotlist build stolen.hotlist --store stolen --agency opp --list-key stolen.list.key\n  \
        outrider hotlist build stolen.hotlist --store stolen --agency opp --list-key stolen.list.key \
        --confirm-size"
)]
pub(super) struct BuildArgs {
    /// The work file that `hotlist import` wrote.
    work: PathBuf,
    /// The list's folder; made if it is not there.
    #[arg(long, value_name = "FOLDER")]
    store: PathBuf,
    #[command(flatten)]
    list_key: ListKeyArgs,
    /// The agency whose cars it is for, as in the topics.
    #[arg(long)]
    agency: String,
    /// The matching that its author wants: exact, look_alike or wildcard. Policy may
    /// allow less.
    #[arg(long, default_value = "exact", value_parser = matching)]
    matching: Matching,
    /// How long cars may use it if no other version comes.
    #[arg(long, value_name = "TIME", default_value = "7d")]
    expires_in: HumanDuration,
    /// Change in the number of entries, or of entries themselves, in percent, that needs --confirm-size.
    #[arg(long, value_name = "PERCENT", default_value_t = 20)]
    most_change: u32,
    /// Confirm that the list did shrink, grow or change that much; the manifest tells the cars so.
    #[arg(long)]
    confirm_size: bool,
    /// Let the first version of a list be empty.
    #[arg(long)]
    allow_empty: bool,
    /// Make a new base although cars then fetch the whole list; also where chunks of the version before are gone.
    #[arg(long)]
    rebase: bool,
    /// End revocations whose entry the import did not find, although it could not read some rows.
    #[arg(long)]
    end_revocations: bool,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

fn matching(text: &str) -> Result<Matching, String> {
    serde_json::from_value(serde_json::Value::String(text.into()))
        .map_err(|_| "must be exact, look_alike or wildcard".into())
}

impl BuildArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let keys = self.list_key.load()?;
        let mut work = WorkFile::open(&self.work)?;
        let store = Store::open(&self.store)?;
        let with = Building {
            agency: &self.agency,
            matching: self.matching,
            now: Timestamp::from_second(Timestamp::now().as_second())?,
            life: life(self.expires_in)?,
            most_change: self.most_change,
            confirm_size: self.confirm_size,
            allow_empty: self.allow_empty,
            rebase: self.rebase,
            end_revocations: self.end_revocations,
        };
        let bar = bar(work.header.entries, "building {wide_bar} {pos}/{len} {eta}");
        let built = build(&store, &mut work, &keys, &with, |n| bar.set_position(n))?;
        bar.finish_and_clear();
        if self.json {
            return print_json(&serde_json::json!({
                "list": built.manifest.list,
                "version": built.manifest.version,
                "entries": built.manifest.counts.entries,
                "change": built.change,
                "revocations": built.revocations,
                "key": built.manifest.key,
                "rebased": built.rebased,
                "layers": built.manifest.layers.len(),
                "bytes": built.manifest.counts.bytes,
                "new_bytes": built.new_bytes,
                "new_messages": built.new_messages,
                "expires": built.manifest.expires,
            }));
        }
        let (m, change) = (&built.manifest, &built.change);
        println!(
            "{} version {}: {} entries ({} added, {} removed, {} changed) in {} layers, {}",
            m.list,
            m.version,
            m.counts.entries,
            change.added,
            change.removed,
            change.changed,
            m.layers.len(),
            bytes(m.counts.bytes),
        );
        let base = if built.rebased { ", with a new base" } else { "" };
        println!(
            "  new for cars: {} messages, {}{base}",
            built.new_messages,
            bytes(built.new_bytes)
        );
        let r = &built.revocations;
        println!(
            "  {}, {} ended because their source no longer lists them",
            holding(m.revoked.len()),
            r.ended
        );
        if r.waiting > 0 {
            println!(
                "  of those, {} were not found by an import that left out {} rows with something wrong",
                r.waiting, work.header.quarantined
            );
        }
        println!("  sealed with list key {}", m.key);
        println!("  source of {}, expires {}", m.source_time, m.expires);
        println!("next: outrider hotlist sign --store {} --author-key FILE", self.store.display());
        Ok(())
    }
}
