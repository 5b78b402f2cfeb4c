//! `outrider hotlist inspect`: shows what a version contains.

use clap::Args;
use jiff::Timestamp;

use super::{ListKeyArgs, StoreArgs, ago, bytes, holding, key_of, print_json};
use crate::authoring::publish::inspect;
use crate::entry::Matching;
use crate::hotlist::false_hits::{MISREAD_RATE, SHIFT_READS, Shape, expected_false_hits, in_words};

/// Arguments of `outrider hotlist inspect`.
#[derive(Debug, Args)]
#[command(
    about = "Show what a version contains: counts, ages, bytes, categories, issuers",
    after_help = "Examples:\n  \
        outrider hotlist inspect --store stolen --list-key stolen.list.key\n  \
        outrider hotlist inspect --store stolen --list-key stolen.list.key --version-number 12 --json"
)]
pub(super) struct InspectArgs {
    #[command(flatten)]
    store: StoreArgs,
    #[command(flatten)]
    list_key: ListKeyArgs,
    /// Which version [default: the newest].
    #[arg(long, value_name = "N")]
    version_number: Option<u64>,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
}

impl InspectArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let (store, keys) = (self.store.open()?, self.list_key.load()?);
        let manifest = match self.version_number {
            Some(version) => store.manifest(version)?,
            None => store.newest_or_error(false)?,
        };
        let now = Timestamp::now();
        let key = key_of(&keys, &manifest)?;
        let (mut plates, mut patterns) = (Vec::new(), Vec::new());
        let seen = inspect(&store, key, &manifest, now, |record| match record.plate.key() {
            Some(key) => plates.push(key.get()),
            None => patterns.push(record.plate),
        })?;
        let shape = Shape::of_keys(&plates, &patterns);
        let ways = [Matching::Exact, Matching::LookAlike, Matching::Wildcard];
        let false_hits =
            ways.map(|way| (way, expected_false_hits(&shape, way, SHIFT_READS, MISREAD_RATE)));
        if self.json {
            let false_hits: std::collections::BTreeMap<String, f64> =
                false_hits.iter().map(|(way, n)| (way.to_string(), *n)).collect();
            return print_json(&serde_json::json!({
                "manifest": manifest, "holds": seen, "expected_false_hits": false_hits,
            }));
        }
        let signed = store.versions()?.contains(&(manifest.version, true));
        println!(
            "{} of {}, version {} ({})",
            manifest.list,
            manifest.agency,
            manifest.version,
            if signed { "with a signature, not checked here" } else { "not signed" }
        );
        println!(
            "  source of {} ({}), issued {}, expires {}",
            manifest.source_time,
            ago(manifest.source_time, now),
            manifest.issued,
            manifest.expires
        );
        println!(
            "  {} entries in {} chunks and {} layers, {}; list key {}",
            seen.entries,
            manifest.counts.chunks,
            manifest.layers.len(),
            bytes(manifest.counts.bytes),
            manifest.key
        );
        for (n, layer) in manifest.layers.iter().enumerate() {
            let chunks: u64 = layer.pages.iter().map(|p| u64::from(p.chunks)).sum();
            let what = if n == 0 { "base" } else { "changes" };
            println!("    layer {n}, {what}: {} records in {chunks} chunks", layer.records);
        }
        for (what, counts) in [
            ("categories", &seen.categories),
            ("issuers", &seen.jurisdictions),
            ("priorities", &seen.priorities),
        ] {
            let words: Vec<_> = counts.iter().map(|(name, n)| format!("{name} {n}")).collect();
            println!("  {what}: {}", words.join(", "));
        }
        for (what, n) in [
            ("patterns", seen.patterns),
            ("covert", seen.covert),
            ("not in force now", seen.out_of_force),
            ("revoked", seen.revoked),
        ] {
            if n > 0 {
                println!("  {what}: {n}");
            }
        }
        println!("  {}", holding(manifest.revoked.len()));
        if manifest.key != keys.newest().id() {
            println!(
                "  CAUTION: it is sealed with an older list key than the newest, {}",
                keys.newest().id()
            );
        }
        let words: Vec<_> =
            false_hits.iter().map(|(way, n)| format!("{way} {}", in_words(*n))).collect();
        println!(
            "  expected false hits among {SHIFT_READS} reads, {:.0} % of them wrong: {}",
            MISREAD_RATE * 100.0,
            words.join(", ")
        );
        Ok(())
    }
}
