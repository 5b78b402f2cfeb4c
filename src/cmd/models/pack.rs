//! `outrider models pack`: signs a model's folder into one file, at a desk.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use jiff::Timestamp;

use crate::cmd::hotlist::signing_key;
use crate::files::Aside;
use crate::models;

/// Arguments of `outrider models pack`.
#[derive(Debug, Args)]
#[command(
    about = "Sign a model's folder (model.toml, model.onnx) into one file",
    after_help = "The root must have let the key sign models: outrider provision trust grant --models. The version is of all \
        packages for detectors, for OCRs or for jurisdictions; a car takes no lower one than it had.\n\nExample:\n  \
        outrider models pack plate-ocr-small --version 9 --signer workshop.key -o ocr-9.model"
)]
pub(super) struct PackArgs {
    /// The model's folder.
    dir: PathBuf,
    /// The package's version: higher than that of every package of this kind of model that cars have.
    #[arg(long, value_name = "N")]
    version: u64,
    /// File with the signer's secret key (outrider provision author-key).
    #[arg(long, value_name = "KEY")]
    signer: PathBuf,
    /// The file that is written.
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,
}

impl PackArgs {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let Self { dir, version, signer, out } = self;
        let read = |name: &str| {
            let path = dir.join(name);
            std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))
        };
        let (toml, onnx, key) = (read("model.toml")?, read("model.onnx")?, signing_key(&signer)?);
        let now = Timestamp::from_second(Timestamp::now().as_second())?;
        let (statement, file) = models::pack(&toml, &onnx, version, now, &key)?;
        // It is signed and public, so everybody may read the file.
        let mut aside = Aside::begin_with(&out, 0o644)
            .with_context(|| format!("cannot write {}", out.display()))?;
        aside.file().write_all(&file)?;
        aside.put_in_place()?;
        println!(
            "{} {} signed by key {}, {} bytes in {}",
            statement.kind,
            statement.words(),
            key.public().id(),
            file.len(),
            out.display()
        );
        Ok(())
    }
}
