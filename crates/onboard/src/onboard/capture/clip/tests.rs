//! Recordings of every kind through [`open_path`].

use std::fs;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::clock::SimulatedClock;

#[path = "../../../../../../tests/common/skips.rs"]
mod skips;

const SLICE: Duration = Duration::from_secs(5);

fn clock() -> Arc<SimulatedClock> {
    Arc::new(SimulatedClock::starting_at("2026-11-23T07:00:00Z".parse().unwrap()))
}

fn fast() -> ClipOptions {
    ClipOptions { pace: Pace::AsFastAsRead, ..ClipOptions::default() }
}

fn open(path: &Path, options: ClipOptions) -> Result<Box<dyn FrameSource>, CaptureError> {
    open_path(path, CameraId::new("clip"), clock(), options)
}

fn all(mut source: Box<dyn FrameSource>) -> Vec<Result<Frame, CaptureError>> {
    std::iter::from_fn(|| source.next_frame(SLICE).transpose()).collect()
}

fn jpeg(grey: u8) -> Vec<u8> {
    let mut out = Vec::new();
    let image = image::GrayImage::from_pixel(16, 8, image::Luma([grey]));
    image.write_to(&mut io::Cursor::new(&mut out), image::ImageFormat::Jpeg).unwrap();
    out
}

/// A JPEG with a thumbnail in its header: another JPEG, with an end marker of its own.
fn jpeg_with_thumbnail(grey: u8) -> Vec<u8> {
    let (plain, small) = (jpeg(grey), jpeg(0));
    let length = u16::try_from(small.len() + 2).unwrap().to_be_bytes();
    [&plain[..2], &[0xff, 0xe1], &length, &small, &plain[2..]].concat()
}

fn sizes(frames: &[Result<Frame, CaptureError>]) -> Vec<String> {
    frames
        .iter()
        .map(|f| match f {
            Ok(frame) => format!("{} {:?}", frame.sequence, frame.pixels),
            Err(error) => error.to_string(),
        })
        .collect()
}

#[test]
fn folder_gives_jpegs_as_they_are_and_decodes_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("f10.JPG"), jpeg(9)).unwrap();
    fs::write(folder.path().join("notes.txt"), "no picture").unwrap();
    image::RgbImage::from_pixel(3, 2, image::Rgb([1, 2, 3]))
        .save(folder.path().join("f2.png"))
        .unwrap();
    let frames = all(open(folder.path(), fast()).unwrap());
    assert_eq!(
        sizes(&frames),
        ["0 Rgb(3x2, 18 bytes)".into(), format!("1 Mjpeg({} bytes)", jpeg(9).len())]
    );
}

#[test]
fn picture_that_cannot_be_decoded_is_named_and_the_next_one_comes() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.png"), b"\x89PNG\r\n\x1a\n, cut off").unwrap();
    fs::write(folder.path().join("2.jpg"), jpeg(9)).unwrap();
    let told = sizes(&all(open(folder.path(), fast()).unwrap()));
    let name = format!("camera clip ({}) sent a broken frame: 1.png: ", folder.path().display());
    assert!(told[0].starts_with(&name), "{}", told[0]);
    assert!(told[1].starts_with("1 Mjpeg"), "{}", told[1]);
}

#[test]
fn picture_of_a_kind_that_is_not_read_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.jpg"), jpeg(9)).unwrap();
    fs::write(folder.path().join("2.HEIC"), b"\0\0\0\x18ftypheic").unwrap();
    let told = sizes(&all(open(folder.path(), fast()).unwrap()));
    assert!(told[1].contains("2.HEIC: not a picture that can be read"), "{told:?}");
}

#[test]
fn truncated_jpeg_is_passed_on_for_the_decoder_to_judge() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.jpg"), &jpeg(9)[..100]).unwrap();
    assert_eq!(sizes(&all(open(folder.path(), fast()).unwrap())), ["0 Mjpeg(100 bytes)"]);
}

#[rstest]
#[case::empty_file("x.avi", b"", "the file is empty")]
#[case::no_frame("x.avi", b"RIFF\0\0\0\0AVI LIST", "the AVI file ends before its first frame")]
#[case::no_size("x.y4m", b"YUV4MPEG2 W0 H0\n", "not a Y4M stream: W is \"0\", must be 2 to 16384")]
fn unreadable_recording_is_refused_by_name(
    #[case] name: &str,
    #[case] bytes: &[u8],
    #[case] why: &str,
) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, bytes).unwrap();
    let told = open(&path, fast()).err().unwrap().to_string();
    assert_eq!(told, format!("recording {}: {why}", path.display()));
}

#[test]
fn missing_file_and_folder_without_pictures_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let told = |path: &Path| open(path, fast()).err().unwrap().to_string();
    assert_eq!(
        told(folder.path()),
        format!(
            "recording {}: no pictures in it (jpg, jpeg, png, bmp, webp)",
            folder.path().display()
        )
    );
    let missing = folder.path().join("drive.avi");
    assert_eq!(
        told(&missing),
        format!("recording {}: No such file or directory (os error 2)", missing.display())
    );
}

#[test]
fn bare_jpeg_stream_is_cut_at_the_right_places() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drive.mjpeg");
    let pictures = [jpeg(1), jpeg_with_thumbnail(2), jpeg(3)];
    fs::write(&path, pictures.concat()).unwrap();
    let bytes: Vec<_> = all(open(&path, fast()).unwrap())
        .into_iter()
        .map(|f| f.unwrap().pixels.bytes().to_vec())
        .collect();
    assert_eq!(bytes, pictures);
}

#[test]
fn jpeg_stream_cut_short_says_where() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drive.mjpeg");
    let whole = [jpeg(1), jpeg(2), jpeg(3)].concat();
    fs::write(&path, &whole[..whole.len() - 1]).unwrap();
    let told = sizes(&all(open(&path, fast()).unwrap()));
    assert!(told[2].ends_with("the recording ends in the middle of picture 3"), "{}", told[2]);
    assert_eq!(told.len(), 3);
}

#[test]
fn damaged_picture_of_a_jpeg_stream_costs_itself_and_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drive.mjpeg");
    let one = |n| jpeg_with_thumbnail(n);
    let play = |parts: &[&[u8]]| {
        fs::write(&path, parts.concat()).unwrap();
        sizes(&all(open(&path, fast()).unwrap()))
    };
    let length = format!("Mjpeg({} bytes)", one(1).len());
    // Cut in the middle: the next picture begins there.
    let told = play(&[&one(1), &one(2)[..one(2).len() - 4], &one(3)]);
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(told[1].ends_with("picture 2 ends in the middle: the next one begins"), "{told:?}");
    assert_eq!(told[2], format!("2 {length}"));
    // Its start is missing.
    let told = play(&[&one(1), &jpeg(2)[2..], &one(3)]);
    assert!(told[1].ends_with("are what is left of a damaged one"), "{told:?}");
    assert_eq!((told.len(), &told[2]), (3, &format!("1 {length}")));
    // The text between pictures in a network stream is no damage, nor is a second end marker.
    let between = b"\xff\xd9\r\n--frame\r\nContent-Type: image/jpeg\r\n\r\n";
    let told = play(&[&one(1), between, &one(2), between]);
    assert_eq!(told, [format!("0 {length}"), format!("1 {length}")]);
    // One picture and the beginning of a second are a stream that was cut.
    let told = play(&[&one(1), &one(2)[..80]]);
    assert!(told[1].ends_with("the recording ends in the middle of picture 2"), "{told:?}");
}

/// A disk that fails under a recording.
struct Failing;

impl Pictures for Failing {
    fn next(&mut self) -> Result<Option<(u64, Pixels)>, Flaw> {
        Err(io::Error::from_raw_os_error(libc::EIO).into())
    }

    fn rate(&self) -> Option<f64> {
        None
    }
}

#[test]
fn recording_that_cannot_be_read_on_is_said_once_and_over() {
    let clip = Clip {
        path: "drive.avi".into(),
        camera: CameraId::new("clip"),
        clock: clock(),
        options: ClipOptions { repeat: true, ..fast() },
        interval: Duration::from_millis(33),
        pictures: Box::new(Failing),
        began: None,
        rounds_before: 0,
        in_this_round: 0,
        due: None,
        over: false,
    };
    let told = sizes(&all(Box::new(clip)));
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("cannot be read any further"), "{told:?}");
}

#[test]
fn single_picture_is_a_recording_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("car.jpg");
    fs::write(&path, jpeg_with_thumbnail(1)).unwrap();
    assert_eq!(all(open(&path, fast()).unwrap()).len(), 1);
}

#[test]
fn avi_is_stamped_by_its_own_rate_however_fast_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("drive.avi");
    let picture = jpeg(7);
    fs::write(&path, avi::tests::avi(b"MJPG", 10_010, &[&picture, &[], &picture])).unwrap();
    let stamps: Vec<_> = all(open(&path, fast()).unwrap())
        .into_iter()
        .map(|f| f.unwrap())
        .map(|f| (f.sequence, f.captured.monotonic.as_millis(), f.captured.wall.to_string()))
        .collect();
    // The empty chunk is a dropped frame: its number and its time pass.
    assert_eq!(
        stamps,
        [(0, 0, "2026-11-23T07:00:00Z".into()), (2, 200, "2026-11-23T07:00:00.2Z".into())]
    );
}

#[test]
fn repeating_recording_goes_on_counting() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["1.jpg", "2.jpg"] {
        fs::write(folder.path().join(name), jpeg(9)).unwrap();
    }
    let options = ClipOptions { repeat: true, fps: Some(10.0), ..fast() };
    let mut source = open(folder.path(), options).unwrap();
    let got: Vec<_> = (0..5)
        .map(|_| source.next_frame(SLICE).unwrap().unwrap())
        .map(|f| (f.sequence, f.captured.monotonic.as_millis()))
        .collect();
    assert_eq!(got, [(0, 0), (1, 100), (2, 200), (3, 300), (4, 400)]);
}

#[test]
fn repeating_recording_of_nothing_but_damage_ends() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("1.png"), b"no picture").unwrap();
    let frames = all(open(folder.path(), ClipOptions { repeat: true, ..fast() }).unwrap());
    assert_eq!(frames.len(), 1);
    assert!(frames[0].is_err());
}

#[test]
fn real_time_takes_its_time_and_never_more_than_asked() {
    let folder = tempfile::tempdir().unwrap();
    for n in 0..2 {
        fs::write(folder.path().join(format!("{n}.jpg")), jpeg(9)).unwrap();
    }
    let options = ClipOptions { fps: Some(2.0), ..ClipOptions::default() };
    let mut source = open(folder.path(), options).unwrap();
    assert!(source.live());
    let started = Instant::now();
    let (mut frames, mut waits) = (0, 0);
    loop {
        match source.next_frame(Duration::from_millis(10)) {
            Ok(Some(_)) => frames += 1,
            Ok(None) => break,
            Err(CaptureError::Stalled { .. }) => waits += 1,
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(frames, 2);
    // A busy machine may lengthen a wait but not shorten it.
    assert!(started.elapsed() >= Duration::from_millis(500));
    assert!(waits >= 1, "half a second is longer than a wait of 10 ms");
}

/// Writes a film of 12 frames, 64x48, 12 per second, with the real ffmpeg; `None` where there is none.
fn film_by_ffmpeg(path: &Path, codec: &str) -> Option<()> {
    let made = std::process::Command::new(ffmpeg::PROGRAM)
        .args(["-nostdin", "-v", "error", "-f", "lavfi"])
        .args(["-i", "testsrc=size=64x48:rate=12:duration=1", "-c:v", codec])
        .arg(path)
        .status();
    match made {
        Ok(status) => assert!(status.success(), "ffmpeg could not write the film: {status}"),
        Err(error) => {
            skips::skipped("films by ffmpeg", &format!("it is not installed: {error}"));
            return None;
        }
    }
    Some(())
}

#[rstest]
#[case("drive.avi", 916)]
#[case("drive.mjpeg", 366)]
fn what_ffmpeg_writes_is_read_without_it(#[case] name: &str, #[case] last_ms: u128) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    if film_by_ffmpeg(&path, "mjpeg").is_none() {
        return;
    }
    let played = all(open(&path, fast()).unwrap());
    assert_eq!(played.len(), 12);
    let last = played[11].as_ref().unwrap();
    assert_eq!(last.captured.monotonic.as_millis(), last_ms);
}

/// With the real ffmpeg, where it is installed: the frames of a film come back.
#[test]
fn film_is_read_through_the_real_ffmpeg() {
    let folder = tempfile::tempdir().unwrap();
    let film = folder.path().join("drive.mkv");
    if film_by_ffmpeg(&film, "ffv1").is_none() {
        return;
    }
    let frames = all(open(&film, fast()).unwrap());
    assert_eq!(frames.len(), 12);
    let last = frames[11].as_ref().unwrap();
    assert_eq!(format!("{:?}", last.pixels), "Nv12(64x48, 4608 bytes)");
    assert_eq!(last.captured.monotonic.as_millis(), 916);
    let luma: u64 = last.pixels.bytes()[..64 * 48].iter().map(|b| u64::from(*b)).sum();
    assert!((60..200).contains(&(luma / (64 * 48))), "a picture, not a blank");

    // Cut in the middle, as by a power failure: the whole frames are played, and the rest is
    // reported.
    let whole = fs::read(&film).unwrap();
    fs::write(&film, &whole[..whole.len() / 2]).unwrap();
    let cut = all(open(&film, fast()).unwrap());
    assert!(cut.iter().filter(|f| f.is_ok()).count() >= 3, "{:?}", sizes(&cut));
}

#[test]
fn what_is_no_film_is_refused_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    fs::write(&path, "no film at all").unwrap();
    let told = open(&path, fast()).err().unwrap().to_string();
    assert!(told.starts_with(&format!("recording {}: ", path.display())), "{told}");
    assert!(told.contains("ffmpeg") && !told.contains('\n'), "{told}");
}

proptest! {
    /// Damaged and foreign bytes in a JPEG stream: the stream ends, and no frame is made up.
    #[test]
    fn damaged_jpeg_stream_ends(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let mut stream = [jpeg(1), noise, jpeg_with_thumbnail(2)].concat();
        for (at, value) in damage {
            let at = at.index(stream.len());
            stream[at] = value;
        }
        stream.truncate(cut.index(stream.len()) + 1);
        let mut pictures = mjpeg::JpegStream::new(stream.as_slice());
        let mut bytes = 0;
        for _ in 0..=stream.len() {
            match pictures.next() {
                Ok(Some((_, pixels))) => bytes += pixels.bytes().len(),
                Ok(None) => break,
                Err(_) => {}
            }
        }
        prop_assert!(bytes <= stream.len());
        prop_assert!(matches!(pictures.next(), Ok(None)));
    }
}
