//! Trials of scripted readers, whose time is scripted too.

use super::*;

/// Reads so many plates right and so many texts wrong, and takes so long for each frame.
struct Script {
    right: usize,
    wrong: usize,
    issuers: (usize, usize),
    ms: u64,
    set: Vec<Golden>,
    next: usize,
}

impl Contestant for Script {
    fn read(&mut self, _: &Frame, _: f32) -> Result<Seen, VisionError> {
        let n = self.next;
        self.next += 1;
        let mut seen = Seen { texts: Vec::new(), issuers: Vec::new() };
        if let Some((issuer, text)) = self.set[n].plate {
            if n < self.right {
                seen.texts.push((text.to_owned(), true));
            }
            if n < self.issuers.0 {
                seen.issuers.push(issuer);
            }
        }
        if n < self.wrong {
            seen.texts.push(("WR0NG1".into(), true));
            // Read without certainty, it is no misread.
            seen.texts.push(("D0UBT".into(), false));
        }
        if n < self.issuers.1 {
            seen.issuers.push(Jurisdiction::parse("AU-NSW").unwrap());
        }
        Ok(seen)
    }

    fn time(&mut self, frame: &Frame) -> Result<Duration, VisionError> {
        let Pixels::Mjpeg(jpeg) = &frame.pixels else { panic!("a camera sends MJPEG") };
        let (width, height) = image::ImageReader::new(std::io::Cursor::new(jpeg))
            .with_guessed_format()
            .unwrap()
            .into_dimensions()
            .unwrap();
        // Twice the time for a picture of twice the rows.
        assert!(width > 0);
        Ok(Duration::from_millis(self.ms * u64::from(height) / 360))
    }
}

fn script(right: usize, wrong: usize, ms: u64) -> Script {
    Script { right, wrong, issuers: (0, 0), ms, set: golden::set(), next: 0 }
}

fn camera(fps: f64) -> CameraConfig {
    CameraConfig {
        width: Some(640),
        height: Some(360),
        fps: Some(fps),
        ..CameraConfig::named("front")
    }
}

fn tried(mut before: Script, mut after: Script, camera: &CameraConfig) -> Comparison {
    let by = (std::slice::from_ref(camera), &ReadingConfig::default());
    compare(&mut before, &mut after, by, || Duration::ZERO).unwrap()
}

fn objection(before: Script, after: Script, fps: f64) -> Option<String> {
    tried(before, after, &camera(fps)).objection(Kind::Ocr)
}

#[test]
fn equal_better_and_faster_models_pass() {
    let was = || script(28, 2, 20);
    assert_eq!(objection(was(), script(28, 2, 20), 30.0), None);
    assert_eq!(objection(was(), script(30, 0, 10), 30.0), None);
    assert_eq!(objection(was(), script(28, 2, 30), 30.0), None, "one and a half times as slow");
}

#[test]
fn one_plate_fewer_or_one_misread_more_is_refused_with_the_figures() {
    let was = || script(28, 2, 20);
    let fewer = objection(was(), script(27, 2, 10), 30.0).unwrap();
    let says = "it reads worse than the models in force: plates read right of 30 27, before 28";
    assert_eq!(fewer, says);
    let more = objection(was(), script(28, 3, 10), 30.0).unwrap();
    let says =
        "it reads worse than the models in force: texts read with certainty and wrong 3, before 2";
    assert_eq!(more, says);
    let nothing = objection(script(0, 0, 20), script(30, 0, 20), 30.0).unwrap();
    assert!(nothing.starts_with("the models in force read none"), "{nothing}");
}

#[test]
fn issuers_told_wrong_are_refused_for_every_model_and_fewer_right_for_the_jurisdiction() {
    let with = |issuers| Script { issuers, ..script(28, 2, 20) };
    let both = |before, after| tried(with(before), with(after), &camera(30.0));
    assert!(
        both((5, 0), (5, 1)).objection(Kind::Ocr).unwrap().contains("issuers told and wrong 1")
    );
    assert_eq!(both((5, 0), (4, 0)).objection(Kind::Ocr), None);
    assert!(
        both((5, 0), (4, 0)).objection(Kind::Jurisdiction).unwrap().contains("right 4, before 5")
    );
    assert!(both((5, 0), (5, 0)).words().contains("issuers right 5 (5), wrong 0 (0)"));
}

#[test]
fn model_that_is_too_slow_is_refused_with_the_figures() {
    let was = || script(28, 2, 20);
    assert_eq!(
        objection(was(), script(30, 0, 31), 20.0).unwrap(),
        "it is too slow: 31.0 ms for a frame of 640x360, before 20.0 ms, and at most 1.5 times that is taken"
    );
    assert_eq!(
        objection(was(), script(30, 0, 25), 50.0).unwrap(),
        "it is too slow for camera front: 25.0 ms for a frame of 640x360 are 40.0 frames a second, and the camera sends 50"
    );
    // Models in force that do not keep up are no reason to refuse one that is no slower.
    assert_eq!(objection(script(28, 2, 25), script(28, 2, 25), 50.0), None);
}

#[test]
fn time_is_measured_at_each_cameras_own_size() {
    let (mut before, mut after) = (script(28, 2, 20), script(28, 2, 10));
    let large =
        CameraConfig { width: Some(1280), height: Some(720), ..CameraConfig::named("left") };
    let cameras = [camera(30.0), large];
    let by = (&cameras[..], &ReadingConfig::default());
    let both = compare(&mut before, &mut after, by, || Duration::ZERO).unwrap();
    let ms = |of: &Measured, camera: &str| of.speed[camera].frame_ms;
    assert_eq!((ms(&both.before, "front"), ms(&both.after, "front")), (20.0, 10.0));
    assert_eq!((ms(&both.before, "left"), ms(&both.after, "left")), (40.0, 20.0));
    assert_eq!(both.after.speed["left"].camera_fps, 30.0);
}

#[test]
fn trial_that_would_not_end_in_time_is_given_up() {
    let (mut before, mut after) = (script(28, 2, 20), script(28, 2, 20));
    let by = (&[camera(30.0)][..], &ReadingConfig::default());
    let late = || LONGEST + Duration::from_secs(1);
    assert!(matches!(compare(&mut before, &mut after, by, late), Err(TrialError::TooLong)));
}
