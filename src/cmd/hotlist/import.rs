//! `outrider hotlist import`: makes a work file from a source's file.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use zeroize::Zeroizing;

use super::{bar, print_json};
use crate::authoring::import::{
    Defaults, Importing, Mapping, Opening, Progress, explain, import, names, open, valid_category,
};
use crate::authoring::publish::{WorkHeader, write_work};
use crate::hotlist::format::{ListKeys, valid_list_name};
use crate::plate::Jurisdiction;

/// Arguments of `outrider hotlist import`.
#[derive(Debug, Args)]
#[command(
    about = "Read a source's file by a mapping into a work file",
    after_help = "Ends with an error and writes no work file if no entry is left or too many rows are wrong.\n\nExamples:\n  \
        outrider hotlist import --mappings\n  \
        outrider hotlist import ncic.zip --mapping ncic-fixed --list stolen --list-key stolen.list.key \
        --password-file ncic.pass\n  \
        outrider hotlist import shift.txt --mapping plain --category bolo --jurisdiction CA-ON --dry-run\n  \
        outrider hotlist import ncic.txt --mapping ncic-fixed --explain 4711\n  \
        outrider hotlist import --show-mapping ncic-fixed > ours.toml"
)]
pub(super) struct ImportArgs {
    /// The source's file: plain, gzip or zip.
    #[arg(required_unless_present_any = ["mappings", "show_mapping"])]
    file: Option<PathBuf>,
    /// How the source writes its rows: the name of a built-in mapping, or the path of a .toml file.
    #[arg(long, required_unless_present_any = ["mappings", "show_mapping"])]
    mapping: Option<String>,
    /// Name of the list.
    #[arg(long, required_unless_present_any = ["mappings", "show_mapping", "explain", "dry_run"])]
    list: Option<String>,
    /// File with the list's keys: the work file is encrypted with the newest.
    #[arg(
        long,
        value_name = "FILE",
        required_unless_present_any = ["mappings", "show_mapping", "explain", "dry_run"]
    )]
    list_key: Option<PathBuf>,
    /// The work file [default: LIST.hotlist].
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
    /// File for line and reason of every row that is left out [default: beside the work file].
    #[arg(long, value_name = "FILE")]
    quarantine: Option<PathBuf>,
    /// Category of rows that state none.
    #[arg(long)]
    category: Option<String>,
    /// Issuer of the plates of rows that state none, such as CA-ON.
    #[arg(long)]
    jurisdiction: Option<String>,
    /// A category that the mapping switches off and that is wanted here; may be repeated.
    #[arg(long)]
    with: Vec<String>,
    /// Take plates with ? and * as patterns. Policy decides whether cars match them.
    #[arg(long)]
    patterns: bool,
    /// Time of the source [default: the file's own date].
    #[arg(long, value_name = "TIME")]
    source_time: Option<Timestamp>,
    /// Which file of a zip with several.
    #[arg(long)]
    member: Option<String>,
    /// File whose first line is the zip's password; without it the password is asked for at the terminal.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Largest share of rows with something wrong, in percent, with which the import still succeeds. One wrong row alone
    /// does not fail it.
    #[arg(long, value_name = "PERCENT", default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=100))]
    most_bad: u32,
    /// Largest share of rows whose category the mapping does not list, in percent, with which the import still
    /// succeeds.
    #[arg(long, value_name = "PERCENT", default_value_t = 50, value_parser = clap::value_parser!(u32).range(0..=100))]
    most_unlisted: u32,
    /// Take a file without any entry: the list is intended to be empty.
    #[arg(long)]
    allow_empty: bool,
    /// Show how one line is read, field by field, and write nothing.
    #[arg(long, value_name = "LINE")]
    explain: Option<u64>,
    /// Read and report, write nothing.
    #[arg(long)]
    dry_run: bool,
    /// Report as JSON.
    #[arg(long)]
    json: bool,
    /// List the built-in mappings.
    #[arg(long, exclusive = true)]
    mappings: bool,
    /// Print a built-in mapping, as a start for one of your own.
    #[arg(long, value_name = "NAME", exclusive = true)]
    show_mapping: Option<String>,
}

impl ImportArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        if self.mappings {
            for name in names() {
                println!("{name:<16} {}", Mapping::find(name)?.about);
            }
            return Ok(());
        }
        if let Some(name) = &self.show_mapping {
            let text = Mapping::text(name)
                .with_context(|| format!("no mapping {name:?}: one of {}", names().join(", ")))?;
            print!("{text}");
            return Ok(());
        }
        let file = self.file.as_deref().expect("clap sees to it");
        let mapping = Mapping::find(self.mapping.as_deref().expect("clap sees to it"))?;
        let defaults = self.defaults()?;
        if let Some(line) = self.explain {
            return self.explain(file, &mapping, &defaults, line);
        }
        self.import(file, &mapping, &defaults)
    }

    fn defaults(&self) -> anyhow::Result<Defaults> {
        for name in self.category.iter().chain(&self.with) {
            if !valid_category(name) {
                bail!("category {name:?}: must be 1 to 32 of a-z, 0-9 and _");
            }
        }
        Ok(Defaults {
            category: self.category.clone(),
            jurisdiction: Jurisdiction::parse(self.jurisdiction.as_deref().unwrap_or_default())?,
            with: self.with.iter().cloned().collect(),
            patterns: self.patterns,
        })
    }

    /// Opens the source, asks for a password if need be, and hands the bytes on.
    fn reading<T>(
        &self,
        file: &Path,
        progress: &Progress,
        then: impl FnOnce(&mut dyn io::BufRead) -> T,
    ) -> anyhow::Result<T> {
        let mut failed = None;
        let mut ask = || match &self.password_file {
            Some(path) => match crate::secret_file::read(path) {
                Ok(text) => {
                    Some(Zeroizing::new(text.lines().next().unwrap_or_default().to_owned()))
                }
                Err(e) => {
                    failed = Some(e);
                    None
                }
            },
            None => ask_password(file),
        };
        let opening = Opening { member: self.member.as_deref(), password: &mut ask };
        let opened = open(file, opening, progress, then);
        match failed {
            Some(e) => Err(e.into()),
            None => Ok(opened?),
        }
    }

    fn explain(
        &self,
        file: &Path,
        mapping: &Mapping,
        defaults: &Defaults,
        line: u64,
    ) -> anyhow::Result<()> {
        let zone = TimeZone::system();
        let told = self.reading(file, &Progress::default(), |reader| {
            explain(reader, mapping, defaults, &zone, line)
        })??;
        let Some(told) = told else {
            bail!(
                "line {line} of {} is no row: it is a comment or a header, or behind the end",
                file.display()
            );
        };
        if self.json {
            return print_json(&told);
        }
        print!("{told}");
        Ok(())
    }

    fn import(&self, file: &Path, mapping: &Mapping, defaults: &Defaults) -> anyhow::Result<()> {
        let meta = std::fs::metadata(file).with_context(|| file.display().to_string())?;
        let list = self.list.clone().unwrap_or_else(|| "list".into());
        if !valid_list_name(&list) {
            bail!("--list {list:?}: must be 1 to 32 letters, digits, - or _");
        }
        let out = self.out.clone().unwrap_or_else(|| PathBuf::from(format!("{list}.hotlist")));
        let keys = self.list_key.as_deref().map(ListKeys::load).transpose()?;
        let quarantine_path = match (&self.quarantine, self.dry_run) {
            (Some(path), _) => Some(path.clone()),
            (None, true) => None,
            (None, false) => Some(out.with_extension("quarantine.tsv")),
        };
        let mut quarantine: Box<dyn io::Write> = match &quarantine_path {
            Some(path) => {
                let mut options = OpenOptions::new();
                options.write(true).create(true).truncate(true).mode(0o600);
                let file = options.open(path).with_context(|| path.display().to_string())?;
                Box::new(BufWriter::new(file))
            }
            None => Box::new(io::sink()),
        };

        let progress = Progress::default();
        let bar = bar(meta.len(), "{wide_bar} {bytes}/{total_bytes} {eta}");
        let ticking = bar.clone();
        let (counted, stop) = (progress.clone(), std::sync::Arc::new(std::sync::OnceLock::new()));
        let stopped = stop.clone();
        let ticker = std::thread::spawn(move || {
            while stopped.get().is_none() {
                ticking.set_position(counted.bytes());
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        });
        let zone = TimeZone::system();
        let read = self.reading(file, &progress, |reader| {
            let quarantine = &mut *quarantine;
            import(reader, Importing { mapping, defaults, zone: &zone, quarantine })
        });
        let _ = stop.set(());
        let _ = ticker.join();
        bar.finish_and_clear();
        let (gathered, report) =
            read?.with_context(|| format!("{} as {}", file.display(), mapping.name))?;
        quarantine.flush()?;
        let judged = report.judge(self.most_bad, self.most_unlisted, self.allow_empty);
        let told_where = || {
            if let Some(path) =
                quarantine_path.as_deref().filter(|_| report.quarantined + report.repeats > 0)
            {
                println!("lines and reasons of what was left out: {}", path.display());
            }
        };
        if let Err(refused) = judged {
            match self.json {
                true => print_json(&report)?,
                false => {
                    print!("{report}");
                    told_where();
                }
            }
            bail!("nothing written: {refused}");
        }

        if let (false, Some(keys)) = (self.dry_run, &keys) {
            let source_time = match self.source_time {
                Some(time) => time,
                None => Timestamp::try_from(meta.modified()?)?,
            };
            // The name travels in clear, so it must not be a word of a row.
            let named = self.category.as_deref().or(report.main_category());
            let category = named.or(mapping.category.as_deref()).unwrap_or("listed").to_owned();
            let whole = Timestamp::from_second(source_time.as_second())?;
            let header = WorkHeader::of(&list, &category, keys.newest(), whole, &report);
            let bar = super::bar(report.entries, "sealing {wide_bar} {pos}/{len} {eta}");
            write_work(&out, &header, keys.newest(), gathered.records(), |n| bar.set_position(n))?;
            bar.finish_and_clear();
        }
        if self.json {
            return print_json(&report);
        }
        print!("{report}");
        if !self.dry_run {
            println!("written to {}", out.display());
        }
        told_where();
        Ok(())
    }
}

/// Asks in the terminal, without showing what is typed.
fn ask_password(file: &Path) -> Option<Zeroizing<String>> {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    let stdin = io::stdin();
    if !stdin.is_terminal() {
        return None;
    }
    eprint!("password of {}: ", file.display());
    let before = tcgetattr(&stdin).ok()?;
    let mut hidden = before.clone();
    hidden.local_modes &= !LocalModes::ECHO;
    tcsetattr(&stdin, OptionalActions::Flush, &hidden).ok()?;
    // All its room is allocated at once, because a buffer that grows leaves copies behind.
    let mut line = Zeroizing::new(String::with_capacity(1_024));
    let read = stdin.read_line(&mut line);
    let _ = tcsetattr(&stdin, OptionalActions::Flush, &before);
    eprintln!();
    read.ok()?;
    Some(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}
