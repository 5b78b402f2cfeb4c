//! `outrider man`: writes the manual pages from the command line's own help when a package is built.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Args, CommandFactory as _};

use super::Cli;

/// Arguments of `outrider man`.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// Folder for the pages: outrider.1, outrider-run.1 and so on.
    directory: PathBuf,
}

impl ManArgs {
    /// Writes a page for the program and for every subcommand that is shown.
    pub fn run(self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.directory)
            .with_context(|| format!("cannot make {}", self.directory.display()))?;
        let mut command = Cli::command();
        command.build();
        page(&command, &self.directory)
    }
}

fn page(command: &clap::Command, folder: &Path) -> anyhow::Result<()> {
    // `build` gives a subcommand the name of the way to it: outrider-hotlist-sign.
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let mut text = Vec::new();
    // Without a date, so that the same source gives the same page.
    clap_mangen::Man::new(command.clone().disable_help_subcommand(true))
        .title(name.to_uppercase())
        .render(&mut text)?;
    let path = folder.join(format!("{name}.1"));
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    for inner in command.get_subcommands() {
        if !inner.is_hide_set() && inner.get_name() != "help" {
            page(inner, folder)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_subcommand_has_a_page_under_its_whole_name() {
        let dir = tempfile::tempdir().unwrap();
        ManArgs { directory: dir.path().to_owned() }.run().unwrap();
        for (name, words) in [
            ("outrider", "In\\-vehicle licence\\-plate reader"),
            ("outrider-check", "fit for duty"),
            ("outrider-hotlist-sign", "outrider hotlist sign"),
        ] {
            let text = fs::read_to_string(dir.path().join(format!("{name}.1"))).unwrap();
            assert!(text.contains(words), "{name}: {text}");
            assert!(text.contains(&format!(".TH {}", name.to_uppercase())), "{name}: {text}");
        }
        assert!(!dir.path().join("outrider-man.1").exists(), "what is hidden has no page");
        assert!(!dir.path().join("outrider-help.1").exists());
    }
}
