//! How passes whose frames are alike are read: every frame of each pass by the reader as the car reads it, and the vote
//! over them, at 30 frames a second and at 15, with the weighing of frames that is in force and others.
//!
//! ```text
//! cargo run --release --features testing --example vote_typefaces -- FOLDER [SHARED,WIDTH,POWER ...] > votes.jsonl
//! ```
//! FOLDER is what `python -m outrider_train.passes render` (models/training) writes: one picture a pass, its frames one
//! below the other, and `passes.jsonl`. Printed is one JSON object a pass: what each frame said, and the reads that each
//! vote let out. The detector takes no part: boxes are the rendered ones with its usual error, and score 0.8. Costs one
//! look at each frame, 18 a pass.

#![allow(clippy::unwrap_used, reason = "a measuring tool")]

use std::path::Path;
use std::time::Duration;

use outrider::camera_id::CameraId;
use outrider::clock::FrameTime;
use outrider::config::{ModelsConfig, ReadingConfig};
use outrider::geometry::Rect;
use outrider::onboard::testing::{JoinAndVote, VotedRead};
use outrider::onboard::vision::candidate::{Candidate, Confidence, Detection, Sighted};
use outrider::onboard::vision::{Reader, picture_file, still};
use serde::{Deserialize, Serialize};

/// The detector's score of every frame.
const SCORE: f32 = 0.8;
/// What the vote asks of its least certain character before a read goes out: the default, and less, to see what such
/// votes are worth.
const GATES: [f32; 2] = [0.95, 0.8];
/// Size of the camera's picture in which the plates are said to stand.
const SIZE: (u32, u32) = (1280, 720);

#[derive(Deserialize)]
struct Pass {
    file: String,
    frames: Vec<Seen>,
}

/// One frame: its time, the plate's box in the pass's picture, and in the camera's.
#[derive(Deserialize)]
struct Seen {
    ms: u64,
    r#box: [f32; 4],
    seen: [f32; 4],
}

#[derive(Serialize)]
struct Row<'a> {
    file: &'a str,
    /// Text and least certain character of every frame.
    frames: Vec<(String, f32)>,
    votes: Vec<Vote>,
}

#[derive(Serialize)]
struct Vote {
    fps: u32,
    /// `in force`, or the three numbers of another one.
    how: String,
    gate: f32,
    /// Text, least certain character, whether it corrects another.
    reads: Vec<(String, f32, bool)>,
}

/// What frames share, the width that counts in full, the power of narrower ones' share of it.
type Weighing = (f32, f32, i32);

fn main() {
    let mut args = std::env::args().skip(1);
    let folder = args.next().expect("FOLDER of passes");
    let weighings: Vec<Weighing> = args.map(|a| parse(&a)).collect();
    let folder = Path::new(&folder);
    let mut reader = Reader::load(&ModelsConfig::default()).expect("the default models");
    let passes = std::fs::read_to_string(folder.join("passes.jsonl")).expect("FOLDER/passes.jsonl");
    for line in passes.lines() {
        let pass: Pass = serde_json::from_str(line).unwrap();
        let candidates = read(&mut reader, folder, &pass);
        let frames = candidates.iter().map(|c| (c.text().to_string(), c.weakest().get()));
        let row = Row {
            file: &pass.file,
            frames: frames.collect(),
            votes: votes(&pass, &candidates, &weighings),
        };
        println!("{}", serde_json::to_string(&row).unwrap());
    }
}

/// `0.6,80,1`.
fn parse(text: &str) -> Weighing {
    let parts: Vec<_> = text.split(',').collect();
    let [shared, width, power] = parts[..] else { panic!("{text}: not three numbers") };
    (shared.parse().unwrap(), width.parse().unwrap(), power.parse().unwrap())
}

/// What is read in each frame, its box put where the camera's picture has it.
fn read(reader: &mut Reader, folder: &Path, pass: &Pass) -> Vec<Candidate> {
    let rect = |[x, y, w, h]: [f32; 4]| Rect { x, y, w, h };
    let score = Confidence::new(SCORE);
    reader.decode(&still(picture_file::read(&folder.join(&pass.file)).unwrap())).unwrap();
    let boxes: Vec<_> = pass
        .frames
        .iter()
        .map(|f| Detection { bbox: rect(f.r#box), corners: None, score })
        .collect();
    let mut candidates = reader.read_at(&boxes).unwrap();
    for (candidate, frame) in candidates.iter_mut().zip(&pass.frames) {
        candidate.detection.bbox = rect(frame.seen);
    }
    candidates
}

/// Every vote over the frames of one pass: the one in force, and others.
fn votes(pass: &Pass, candidates: &[Candidate], weighings: &[Weighing]) -> Vec<Vote> {
    let mut out = Vec::new();
    for every in [1, 2] {
        for gate in GATES {
            let config = ReadingConfig { min_confidence: gate, ..ReadingConfig::default() };
            let mut add = |how: String, mut vote: JoinAndVote| {
                let mut reads: Vec<VotedRead> = Vec::new();
                for n in (0..candidates.len()).step_by(every) {
                    reads.extend(vote.reads(sighted(n, pass, &candidates[n])));
                }
                reads.extend(vote.finish());
                let said =
                    |r: &VotedRead| (r.plate.expose().to_owned(), r.weakest.get(), r.revises);
                let fps = 30 / u32::try_from(every).unwrap();
                out.push(Vote { fps, how, gate, reads: reads.iter().map(said).collect() });
            };
            add("in force".into(), JoinAndVote::with(&config));
            for &(shared, width, power) in weighings {
                let vote = JoinAndVote::weighing(&config, shared, width, power);
                add(format!("{shared},{width},{power}"), vote);
            }
        }
    }
    out
}

fn sighted(n: usize, pass: &Pass, candidate: &Candidate) -> Sighted {
    Sighted {
        camera: CameraId::new("front"),
        sequence: n as u64,
        captured: FrameTime {
            monotonic: Duration::from_millis(pass.frames[n].ms),
            wall: jiff::Timestamp::UNIX_EPOCH,
        },
        size: SIZE,
        candidates: vec![candidate.clone()],
        unread: Vec::new(),
    }
}
