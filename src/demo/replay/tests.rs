use std::error::Error;

use super::*;
use crate::onboard::ModelStamp;
use crate::onboard::vision::Picture;
use crate::onboard::vision::candidate::Sighted;
use crate::onboard::vision::jpeg::encode_rgb;

#[test]
fn drive_file_names_what_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("drive.toml");
    let message = |text: &str| {
        std::fs::write(&file, text).unwrap();
        let refused = Drive::open(folder.path(), &ReadingConfig::default());
        refused.err().expect("refused").to_string()
    };
    assert!(message("[drive]\nfps = 900").ends_with("drive.fps = 900: must be 2 to 120"));
    assert!(message("[drive]\nspede = 3").contains("spede"));
    assert!(message("[expect]\nread_rate = \"high\"").contains("read_rate"));
}

/// Sees nothing, in frames that can be decoded.
struct Blank(Picture);

impl FrameReader for Blank {
    fn read_frame(&mut self, frame: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        self.0.refill(&frame.pixels)?;
        Ok(Sighted {
            camera: frame.camera.clone(),
            sequence: frame.sequence,
            captured: frame.captured,
            size: self.0.size(),
            candidates: Vec::new(),
            unread: Vec::new(),
        })
    }

    fn stamp(&self) -> Arc<ModelStamp> {
        Arc::default()
    }
}

/// What is left out of a drive of these pictures, and how many were looked at.
fn left_out(pictures: &[&[u8]], list: &str, track: &str) -> (Vec<String>, u64) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("frames")).unwrap();
    for (n, picture) in pictures.iter().enumerate() {
        std::fs::write(folder.path().join(format!("frames/{n}.jpg")), picture).unwrap();
    }
    for (name, text) in [("hotlist.csv", list), ("track.nmea", track)] {
        if !text.is_empty() {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
    }
    let reading = ReadingConfig::default();
    let drive = Drive::open(folder.path(), &reading).unwrap();
    let blank = || Ok::<_, ReplayError>(Box::new(Blank(Picture::default())) as _);
    let replayed = drive.play(&reading, blank).unwrap();
    let looked = replayed.health.cameras.values().map(|c| c.looked).sum();
    let shorter = |line: String| line.replace(&folder.path().display().to_string(), "DIR");
    (replayed.left_out.into_iter().map(shorter).collect(), looked)
}

#[test]
fn what_a_replay_leaves_out_it_says() {
    let good = encode_rgb(&[99; 64 * 48 * 3], 64, 48, 80).unwrap();
    let list = "plate,state\nCKSV841,ON\n";
    assert_eq!(left_out(&[&good, &good], list, ""), (vec![], 2));
    // Many bad frames in a row: the recording is not begun anew, and the rest is looked at.
    let cut = &good[..good.len() - 30];
    let mut pictures = vec![&good[..], &good];
    pictures.splice(1..1, vec![cut; 400]);
    let (told, looked) = left_out(&pictures, list, "");
    assert_eq!(looked, 2);
    assert_eq!(told, ["replay: 400 of 402 frames are damaged and not read"]);
    let (told, _) = left_out(&[&good, b""], list, "");
    assert_eq!(told, ["replay: 1 of 2 frames are damaged and not read"]);
    let (told, _) = left_out(&[&good], "plate,state\nCKSV841,ON\nC*,ON\n", "");
    assert_eq!(told.len(), 2);
    assert!(told[0].starts_with("list DIR/hotlist.csv: line 3 does not serve: "), "{told:?}");
    assert_eq!(told[1], "list DIR/hotlist.csv: 1 rows skipped, 1 serve");
    let (told, _) = left_out(&[&good], list, "43.7 -79.6\n");
    assert!(told[0].starts_with("track DIR/track.nmea: no RMC sentence"), "{told:?}");
    // The same car listed twice takes nothing away.
    let twice = "plate,state\nCKSV841,ON\nCKSV841,ON\n";
    assert_eq!(left_out(&[&good], twice, ""), (vec![], 1));
}

/// A reader that dies: a replay that nobody read any more is not one without hits.
struct Faulty;

impl FrameReader for Faulty {
    fn read_frame(&mut self, _: &Frame) -> Result<Sighted, Box<dyn Error + Send + Sync>> {
        panic!("a fault, on purpose")
    }

    fn stamp(&self) -> Arc<ModelStamp> {
        Arc::default()
    }
}

#[test]
fn replay_that_ended_early_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let good = encode_rgb(&[99; 64 * 48 * 3], 64, 48, 80).unwrap();
    (0..9).for_each(|n| std::fs::write(folder.path().join(format!("{n}.jpg")), &good).unwrap());
    let reading = ReadingConfig::default();
    let drive = Drive::open(folder.path(), &reading).unwrap();
    let replayed = drive.play(&reading, || Ok::<_, ReplayError>(Box::new(Faulty) as _)).unwrap();
    let told = "ended early: reading/replay: a fault inside stopped it: restart";
    assert_eq!(replayed.left_out, [told]);
}

#[test]
fn film_of_a_folder_is_found() {
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(film(folder.path()), folder.path());
    std::fs::write(folder.path().join("frames.avi"), "").unwrap();
    assert_eq!(film(folder.path()), folder.path().join("frames.avi"));
    std::fs::create_dir(folder.path().join("frames")).unwrap();
    assert_eq!(film(folder.path()), folder.path().join("frames"));
}
