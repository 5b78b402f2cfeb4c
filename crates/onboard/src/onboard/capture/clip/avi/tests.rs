//! AVI files as writers leave them, and as damage leaves those.

use std::io::Cursor;

use proptest::prelude::*;

use super::*;

fn chunk(id: &[u8; 4], body: &[u8]) -> Vec<u8> {
    let mut out = [id.as_slice(), &(body.len() as u32).to_le_bytes(), body].concat();
    out.resize(out.len().next_multiple_of(2), 0);
    out
}

fn list(kind: &[u8; 4], parts: &[Vec<u8>]) -> Vec<u8> {
    chunk(b"LIST", &[kind.as_slice(), &parts.concat()].concat())
}

fn stream_header(kind: &[u8; 4], code: &[u8; 4], scale: u32, rate: u32) -> Vec<u8> {
    let mut body = [kind.as_slice(), code].concat();
    body.resize(20, 0);
    body.extend([scale.to_le_bytes(), rate.to_le_bytes()].concat());
    body.resize(56, 0);
    chunk(b"strh", &body)
}

/// An AVI file as ffmpeg writes it: sound first, then video at `rate` / 1001.
pub(in super::super) fn avi(code: &[u8; 4], rate: u32, frames: &[&[u8]]) -> Vec<u8> {
    let mut format = vec![0; 16];
    format.extend(code);
    format.resize(40, 0);
    let header = list(
        b"hdrl",
        &[
            chunk(b"avih", &[33_333_u32.to_le_bytes().as_slice(), &[0; 52]].concat()),
            list(b"strl", &[stream_header(b"auds", &[0; 4], 1, 8_000), chunk(b"strf", &[1; 18])]),
            list(b"strl", &[stream_header(b"vids", code, 1_001, rate), chunk(b"strf", &format)]),
        ],
    );
    let frames: Vec<_> =
        frames.iter().flat_map(|f| [chunk(b"00wb", b"sound"), chunk(b"01dc", f)]).collect();
    let body = [
        b"AVI ".to_vec(),
        header,
        chunk(b"JUNK", &[0; 33]),
        list(b"movi", &frames),
        chunk(b"idx1", &[0; 32]),
    ]
    .concat();
    chunk(b"RIFF", &body)
}

fn play(bytes: &[u8]) -> Vec<Result<(u64, Vec<u8>), String>> {
    let mut avi = Avi::open(Cursor::new(bytes)).unwrap();
    std::iter::from_fn(|| avi.next().transpose())
        .map(|next| match next {
            Ok((n, Pixels::Mjpeg(bytes))) => Ok((n, bytes)),
            Ok((_, other)) => panic!("{other:?}"),
            Err(Flaw { why, .. }) => Err(why),
        })
        .collect()
}

#[test]
fn frames_come_out_in_order_and_empty_ones_leave_a_gap() {
    let file = avi(b"MJPG", 30_000, &[b"one", b"", b"three", b"four"]);
    let (zero, two, three) = (b"one".to_vec(), b"three".to_vec(), b"four".to_vec());
    assert_eq!(play(&file), [Ok((0, zero)), Ok((2, two)), Ok((3, three))]);
    let rate = Avi::open(Cursor::new(file)).unwrap().rate().unwrap();
    assert!((rate - 29.97).abs() < 0.001, "{rate}");
}

#[test]
fn recording_cut_by_a_power_failure_plays_to_its_last_whole_frame() {
    let mut file = avi(b"mjpg", 30_000, &[b"one", b"two---"]);
    // The index and the last four bytes are missing, the list's size was never filled in.
    file.truncate(file.len() - (8 + 32) - 4);
    let at = file.windows(4).position(|w| w == b"movi").unwrap() - 4;
    file[at..at + 4].copy_from_slice(&[0; 4]);
    assert_eq!(
        play(&file),
        [
            Ok((0, b"one".to_vec())),
            Err("the recording ends in the middle of frame 2: 6 bytes wanted, 2 left".into())
        ]
    );
}

#[test]
fn second_part_of_a_large_recording_goes_on() {
    let mut file = avi(b"MJPG", 30_000, &[b"one"]);
    let more = [b"AVIX".to_vec(), list(b"movi", &[list(b"rec ", &[chunk(b"01dc", b"two")])])];
    file.extend(chunk(b"RIFF", &more.concat()));
    assert_eq!(play(&file), [Ok((0, b"one".to_vec())), Ok((1, b"two".to_vec()))]);
}

/// A JPEG, as far as the code reads into it.
fn picture(n: u8, length: usize) -> Vec<u8> {
    let mut out = vec![0xff, 0xd8, n];
    out.resize(length.max(3), n);
    out
}

fn plain(frames: &[&[u8]]) -> Vec<u8> {
    avi(b"MJPG", 30_000, frames)
}

/// The numbers of the frames in a file, and the faults.
fn told(bytes: &[u8]) -> (Vec<u64>, Vec<String>) {
    let (mut numbers, mut words) = (Vec::new(), Vec::new());
    for played in play(bytes) {
        match played {
            Ok((n, _)) => numbers.push(n),
            Err(why) => words.push(why),
        }
    }
    (numbers, words)
}

/// Removes the padding byte of every chunk that has one.
fn unpadded(file: &[u8]) -> Vec<u8> {
    let movi = file.windows(4).position(|w| w == b"movi").unwrap() + 4;
    let (mut out, mut at) = (file[..movi].to_vec(), movi);
    while at + 8 <= file.len() {
        let size = u32_at(file, at + 4) as usize;
        out.extend(&file[at..at + 8 + size]);
        at += 8 + size.next_multiple_of(2);
    }
    out
}

#[test]
fn odd_chunks_are_read_with_and_without_their_padding() {
    let frames = [picture(1, 3), picture(2, 5), picture(3, 6), Vec::new(), picture(5, 7)];
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let file = plain(&frames);
    let whole = (vec![0, 1, 2, 4], vec![]);
    assert_eq!(told(&file), whole);
    let file = unpadded(&file);
    assert!(play(&file).len() == 4);
    assert_eq!(told(&file), whole);
    // Padding that is not zero, from a writer that writes out its buffer.
    let mut noisy = plain(&frames);
    let at = noisy.windows(5).position(|w| w == [0xff, 0xd8, 1, 0, b'0']).unwrap();
    noisy[at + 3] = b'1';
    assert_eq!(told(&noisy), whole);
}

#[test]
fn zeros_between_chunks_are_no_damage() {
    let mut file = plain(&[&picture(1, 4), &picture(2, 4), &picture(3, 4)]);
    for (before, zeros) in [(&b"LIST"[..], 0), (b"LIST", 514), (b"01dc", 2_040), (b"00wb", 3)] {
        let from = file.windows(4).position(|w| w == b"JUNK").unwrap();
        let at = from + file[from..].windows(4).position(|w| w == before).unwrap();
        file.splice(at..at, vec![0; zeros]);
    }
    assert_eq!(told(&file), (vec![0, 1, 2], vec![]));
}

#[test]
fn header_with_a_chunk_of_odd_length_and_no_padding_is_read() {
    let mut file = plain(&[&picture(1, 4)]);
    let at = file.windows(4).position(|w| w == b"JUNK").unwrap();
    file.splice(at..at, *b"strn\x03\0\0\0Cam");
    assert_eq!(told(&file).0, [0]);
}

#[test]
fn one_damaged_header_costs_what_it_hit_and_is_said() {
    let frames: Vec<_> = (0..6).map(|n| picture(n, 40)).collect();
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let clean = plain(&frames);
    let third = clean.windows(11).position(|w| w[..4] == *b"01dc" && w[10] == 2).unwrap();
    // The name is damaged.
    let mut file = clean.clone();
    file[third..third + 4].fill(1);
    let (numbers, words) = told(&file);
    assert_eq!((numbers.len(), words.len()), (5, 1), "{words:?}");
    assert!(words[0].starts_with("damaged after frame 2: no chunk begins"), "{words:?}");
    // The size is damaged: it swallows what follows, ends in the middle, or is larger than the
    // file.
    for size in [59_u32, 13, 1_000, u32::MAX] {
        let mut file = clean.clone();
        file[third + 4..third + 8].copy_from_slice(&size.to_le_bytes());
        let (numbers, words) = told(&file);
        assert!(numbers.len() >= 5 && !words.is_empty(), "{size}: {numbers:?} {words:?}");
    }
    // The chunk of sound before it is damaged.
    let mut file = clean;
    file[third - 10..third - 6].copy_from_slice(&0x00ff_ffff_u32.to_le_bytes());
    let (numbers, words) = told(&file);
    assert!(numbers.len() >= 5 && words.len() == 1, "{numbers:?} {words:?}");
    assert!(words[0].contains("chunk 00wb says it has 16777215 bytes"), "{words:?}");
}

#[test]
fn only_video_is_played_whatever_its_chunks_are_numbered() {
    let mut file = plain(&[&picture(1, 4), &picture(2, 4)]);
    for at in 0..file.len() - 4 {
        if file[at..at + 4] == *b"01dc" {
            file[at..at + 4].copy_from_slice(b"00dc");
        }
    }
    assert_eq!(told(&file).0, [0, 1]);
}

#[test]
fn recording_without_its_end_is_told_and_a_finished_one_is_not() {
    let frames = [picture(1, 4), picture(2, 4), picture(3, 4)];
    let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let clean = plain(&frames);
    let movi = clean.windows(4).position(|w| w == b"movi").unwrap() - 4;
    let index = clean.windows(4).position(|w| w == b"idx1").unwrap();
    let unfinished = "the recording was not finished by its writer: it ends after frame 3";
    // The index is missing, and everything else is there.
    assert_eq!(told(&clean[..index]), (vec![0, 1, 2], vec![]));
    // The size was never filled in, but the index shows that the writer finished.
    let mut open = clean.clone();
    open[movi..movi + 4].fill(0);
    assert_eq!(told(&open).1, Vec::<String>::new());
    assert_eq!(told(&open[..index]).1, [unfinished]);
    // Cut between two chunks: nothing is broken, and a frame is missing.
    let cut = index - 12;
    let words = told(&clean[..cut]).1;
    assert_eq!(words, ["the recording was not finished by its writer: it ends after frame 2"]);
    // Cut in a header.
    let words = told(&clean[..cut + 5]).1;
    assert_eq!(words, ["the recording ends in the middle of a chunk after frame 2"]);
    // Preallocated space that is empty.
    let mut room = clean.clone();
    room.resize(room.len() + 5_000, 0);
    assert_eq!(told(&room), (vec![0, 1, 2], vec![]));
    // A camera's own data after the index, and the remains of an older recording.
    let own = [clean.as_slice(), b"\x01GPS 43.7 -79.6"].concat();
    assert_eq!(told(&own), (vec![0, 1, 2], vec![]));
    let older = [clean.as_slice(), &[1, 2, 3, 4], &chunk(b"01dc", &picture(9, 40))].concat();
    let (numbers, words) = told(&older);
    assert_eq!((numbers, words.len()), (vec![0, 1, 2], 1), "{words:?}");
}

#[test]
fn second_part_that_was_cut_is_told() {
    let more = [b"AVIX".to_vec(), list(b"movi", &[chunk(b"01dc", &picture(2, 40))])];
    let mut file = [plain(&[&picture(1, 4)]), chunk(b"RIFF", &more.concat())].concat();
    assert_eq!(told(&file), (vec![0, 1], vec![]));
    file.truncate(file.len() - 48);
    assert_eq!(told(&file).1.len(), 1);
}

#[test]
fn damage_between_frames_is_said_and_ends_the_recording() {
    let mut file = avi(b"MJPG", 30_000, &[b"one"]);
    file.truncate(file.len() - (8 + 32));
    file.extend([0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert_eq!(
        play(&file)[1],
        Err("damaged after frame 1: no chunk begins where one should; no further frame is found"
            .into())
    );
    let mut file = avi(b"MJPG", 30_000, &[b"one"]);
    file.truncate(file.len() - (8 + 32));
    file.extend([b"01dc".as_slice(), &[0xff; 8]].concat());
    assert_eq!(
        play(&file)[1],
        Err("damaged after frame 2: frame 2 says it has 4294967295 bytes; no further frame is found"
            .into())
    );
}

#[test]
fn header_cut_short_and_other_codecs_are_told_apart() {
    let file = avi(b"MJPG", 30_000, &[]);
    let told = |bytes: &[u8]| match Avi::open(Cursor::new(bytes)).err() {
        Some(Refusal::Damaged(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&file[..200]), "the AVI file ends before its first frame");
    let video = file.windows(4).position(|w| w == b"vids").unwrap();
    let mut silent = file.clone();
    silent[video..video + 4].copy_from_slice(b"txts");
    assert_eq!(told(&silent), "an AVI file without video");
    let file = avi(b"H264", 30_000, &[b"x"]);
    assert!(matches!(
        Avi::open(Cursor::new(file)),
        Err(Refusal::OtherCodec(code)) if code == "H264"
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Any damage to a sound file: there is no panic, no endless loop, and no more frames than
    /// bytes.
    #[test]
    fn damaged_files_end(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let frames: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
        let mut file = avi(b"MJPG", 30_000, &frames);
        for (at, value) in damage {
            let at = at.index(file.len());
            file[at] = value;
        }
        file.truncate(cut.index(file.len()) + 1);
        if let Ok(mut avi) = Avi::open(Cursor::new(&file)) {
            let mut steps = 0;
            while !matches!(avi.next(), Ok(None)) {
                steps += 1;
                prop_assert!(steps <= file.len());
            }
        }
    }

    /// Arbitrary bytes.
    #[test]
    fn noise_ends(noise in prop::collection::vec(any::<u8>(), 0..4_000)) {
        let file = [b"RIFF....AVI LIST....movi".as_slice(), &noise].concat();
        let mut avi = Avi {
            chunks: Chunks::from(Cursor::new(&file), 24).unwrap(),
            stream: None,
            rate: None,
            next: 0,
            closed: false,
            indexed: false,
            over: false,
        };
        for _ in 0..=noise.len() {
            if matches!(avi.next(), Ok(None)) {
                break;
            }
        }
        prop_assert!(avi.over);
        let _ = Avi::open(Cursor::new(&file));
    }
}
