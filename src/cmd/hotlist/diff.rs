//! `outrider hotlist diff`: shows what changes for cars, and how many bytes they fetch for it.

use anyhow::bail;
use clap::Args;

use super::{ListKeyArgs, StoreArgs, bytes, holding, key_of, print_json};
use crate::authoring::publish::difference;
use crate::hotlist::format::Record;

/// Arguments of `outrider hotlist diff`.
#[derive(Debug, Args)]
#[command(
    about = "Show what differs between two versions, and the bytes that a car will fetch",
    after_help = "Examples:\n  \
        outrider hotlist diff --store stolen --list-key stolen.list.key\n  \
        outrider hotlist diff --store stolen --list-key stolen.list.key --from 11 --to 12 --entries"
)]
pub(super) struct DiffArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    list_key: ListKeyArgs,
    /// The version that a car has [default: the one before --to].
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// The version that it will have [default: the newest].
    #[arg(long, value_name = "N")]
    to: Option<u64>,
    /// List every entry that differs. Shows plates.
    #[arg(long)]
    entries: bool,
    /// Report as JSON.
    #[arg(long, conflicts_with = "entries")]
    json: bool,
}

impl DiffArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (store, keys) = (self.store.open()?, self.list_key.load()?);
        let versions: Vec<u64> = store.versions()?.into_iter().map(|(v, _)| v).collect();
        let to = self.to.or(versions.last().copied());
        let from = self.from.or_else(|| versions.iter().rev().find(|v| Some(**v) < to).copied());
        let (Some(from), Some(to)) = (from, to) else {
            let Some(first) = to.filter(|_| !self.json && !self.entries) else {
                bail!("{} has no two versions to compare", store.folder().display());
            };
            let manifest = store.manifest(first)?;
            println!(
                "{} version {first} is the first: {} entries, all of them new; a car fetches {}",
                manifest.list,
                manifest.counts.entries,
                bytes(manifest.counts.bytes)
            );
            return Ok(());
        };
        let (from, to) = (store.manifest(from)?, store.manifest(to)?);
        let (from_key, to_key) = (key_of(&keys, &from)?, key_of(&keys, &to)?);
        let show = self.entries;
        let d = difference(&store, (from_key, &from), (to_key, &to), |was, is| {
            if show {
                match (was, is) {
                    (Some(was), Some(is)) => {
                        println!("~ {}\n  {}", line(was), line(is));
                    }
                    (Some(was), None) => println!("- {}", line(was)),
                    (None, Some(is)) => println!("+ {}", line(is)),
                    (None, None) => {}
                }
            }
        })?;
        if self.json {
            return print_json(&d);
        }
        println!(
            "{} version {} -> {}: {} added, {} removed, {} changed, {} newly revoked",
            to.list,
            d.from,
            d.to,
            d.change.added,
            d.change.removed,
            d.change.changed,
            d.newly_revoked
        );
        println!(
            "  a car with version {} fetches {} messages, {}; one without any, {}",
            d.from,
            d.messages,
            bytes(d.bytes),
            bytes(d.all_bytes)
        );
        println!(
            "  {} in version {}, {} in version {}",
            holding(from.revoked.len()),
            d.from,
            holding(to.revoked.len()),
            d.to
        );
        Ok(())
    }
}

fn line(r: &Record<'_>) -> String {
    format!(
        "{} {} {} {:?} {} {}",
        r.plate.expose(),
        r.jurisdiction,
        r.category,
        r.priority,
        r.case,
        r.reason
    )
}
