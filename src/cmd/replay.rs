//! `outrider replay`: runs a recorded or rendered drive through the pipeline, as fast as possible.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;

use super::model_args::ModelArgs;
use crate::config::ReadingConfig;
use crate::demo::replay::{Drive, Replayed};
use crate::gps::Position;
use crate::onboard::vision::Reader;
use crate::onboard::{Hit, MatchKind};

/// Run a drive through the pipeline on a simulated clock; print hits and counters. Ends with an
/// error if anything of it was left out: damaged frames, rows of the list, a track.
#[derive(Debug, Args)]
#[command(
    after_help = "A drive is a folder with drive.toml (rendered), or one with frames/ or frames.avi, track.nmea\nand hotlist.csv (recorded); a film or a folder of pictures will do.\n\nExamples:\n  outrider replay tests/drives/day\n  outrider replay --json dashcam.avi"
)]
pub struct ReplayArgs {
    /// Folder or film.
    #[arg(value_name = "DIR|FILE")]
    path: PathBuf,
    /// Print one JSON object per hit and line, then one with the counters.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    models: ModelArgs,
}

impl ReplayArgs {
    /// Does what was asked.
    pub fn run(&self) -> anyhow::Result<()> {
        let reading = ReadingConfig::default();
        let models = self.models.config()?;
        let drive = Drive::open(&self.path, &reading)
            .with_context(|| format!("cannot replay {}", self.path.display()))?;
        if !drive.about.is_empty() && !self.json {
            println!("{}", drive.about);
        }
        if let (Some(rows), false) = (drive.rows_that_serve(), self.json) {
            println!("list: {rows} rows serve");
        }
        let began = Instant::now();
        let replayed =
            drive.play(&reading, || anyhow::Ok(Box::new(Reader::load(&models)?) as _))?;
        let seconds = began.elapsed().as_secs_f64();
        for hit in &replayed.hits {
            if self.json {
                println!("{}", in_json(hit));
            } else {
                println!("{}", in_words(hit));
            }
        }
        print_counters(&replayed, seconds, self.json);
        for line in replayed.remarks.iter().chain(&replayed.left_out) {
            eprintln!("{line}");
        }
        anyhow::ensure!(
            replayed.left_out.is_empty(),
            "{} was not replayed whole: see the lines above",
            self.path.display()
        );
        Ok(())
    }
}

/// A hit on one line. It may be printed, because it is on the list that came with the drive.
fn in_words(hit: &Hit) -> String {
    let entry = hit.entry();
    let place = match hit.position() {
        Position::Fixed { fix, .. } => format!("{:.5} {:.5}", fix.latitude, fix.longitude),
        Position::NoFix => "no fix".into(),
    };
    let sign = match hit.match_kind() {
        MatchKind::Exact => "=",
        MatchKind::LookAlike => "\u{2248}",
        MatchKind::Wildcard => "?",
    };
    format!(
        "{}  {:<6} {:<8} {sign} {:<8} {} {}  {}  {place}",
        hit.seen().wall.strftime("%H:%M:%S.%3f"),
        hit.camera(),
        hit.plate().expose(),
        entry.plate.expose(),
        entry.jurisdiction,
        entry.category,
        entry.reason,
    )
}

fn in_json(hit: &Hit) -> serde_json::Value {
    let entry = hit.entry();
    json!({
        "seen": hit.seen().wall,
        "camera": hit.camera(),
        "plate": hit.plate().expose(),
        "weakest": hit.weakest(),
        "frames": hit.frames(),
        "match": hit.match_kind(),
        "listed": entry.plate.expose(),
        "jurisdiction": entry.jurisdiction,
        "category": &*entry.category,
        "priority": entry.priority,
        "reason": entry.reason,
        "position": hit.position(),
    })
}

fn print_counters(replayed: &Replayed, seconds: f64, as_json: bool) {
    let health = &replayed.health;
    let frames: u64 = health.cameras.values().map(|c| c.looked).sum();
    let reads: u64 = health.cameras.values().map(|c| c.reads).sum();
    let fps = (frames as f64 / seconds.max(1e-3) * 10.0).round() / 10.0;
    if as_json {
        let mut line = json!({
            "frames": frames,
            "reads": reads,
            "hits": replayed.hits.len(),
            "non_hits": health.non_hits,
            "fps": fps,
            "frames_bad": health.cameras.values().map(|c| c.frames_bad).sum::<u64>(),
            "frames_lost": health.cameras.values().map(|c| c.frames_lost).sum::<u64>(),
            "left_out": replayed.left_out,
            "remarks": replayed.remarks,
        });
        if let Some(score) = replayed.score {
            for (key, value) in [
                ("passes", score.passes),
                ("reads", score.reads),
                ("correct", score.correct),
                ("misread", score.misread),
                ("repeated", score.repeated),
                ("beyond", score.beyond),
            ] {
                line[key] = value.into();
            }
        }
        println!("{line}");
        return;
    }
    println!("{frames} frames, {fps} a second; {reads} plates read, {} hits", replayed.hits.len());
    if let Some(score) = replayed.score {
        println!(
            "{} vehicles passed with a legible plate: {} read rightly; {} misread, {} repeated, {} beyond those passes",
            score.passes, score.correct, score.misread, score.repeated, score.beyond
        );
    }
}
