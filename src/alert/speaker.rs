//! The loudspeaker: ALSA playback of 16-bit samples.
//!
//! The device is kept open between tones, so that an alert does not wait for it; ALSA's software
//! mixing lets other programs play beside. What reaches the device is written in pieces of 10 ms,
//! so that a more urgent tone can cut in.

use alsa::pcm::{Access, Format, HwParams, PCM, State};
use alsa::{Direction, Output, ValueOr};

use super::sound::Annunciator;
use super::tone;

/// Why no tone sounds.
#[derive(Debug, thiserror::Error)]
pub enum SoundError {
    /// The device is missing, busy, or refuses what we play.
    #[error("sound device {device:?}: {reason}: see aplay -L for the names, and set alert.device")]
    Device {
        /// As configured.
        device: String,
        /// What ALSA says.
        reason: String,
    },
}

/// Samples written at once: 10 ms.
const PIECE: usize = tone::RATE as usize / 100;

/// Sound that ALSA may hold, in microseconds: what a more urgent tone has to wait for at most.
///
/// 60 ms rode out the scheduling of a machine with both cores busy.
const BUFFER_US: u32 = 60_000;

/// An ALSA playback device.
pub struct Speaker {
    device: String,
    open: Option<Open>,
}

struct Open {
    pcm: PCM,
    channels: usize,
}

impl Speaker {
    /// Names a device; it is opened by [`Annunciator::ready`].
    pub fn new(device: impl Into<String>) -> Self {
        Self { device: device.into(), open: None }
    }

    fn error(&self, reason: impl Into<String>) -> SoundError {
        SoundError::Device { device: self.device.clone(), reason: reason.into() }
    }

    fn open(&self) -> Result<Open, SoundError> {
        // ALSA writes its complaints to standard error unless somebody takes them; the last one is
        // often the only one that names the cause.
        let complaints = Output::local_error_handler().ok();
        let why = |e: alsa::Error| {
            let said = complaints.as_ref().and_then(|said| {
                said.borrow().buffer_string(|text| {
                    let text = String::from_utf8_lossy(text).into_owned();
                    text.lines().next().map(|l| l.rsplit(") ").next().unwrap_or(l).to_owned())
                })
            });
            let errno = std::io::Error::from_raw_os_error(e.errno());
            match said {
                Some(said) if !said.is_empty() => self.error(format!("{errno} ({said})")),
                _ => self.error(errno.to_string()),
            }
        };
        let pcm = PCM::new(&self.device, Direction::Playback, false).map_err(why)?;
        let channels = {
            let hw = HwParams::any(&pcm).map_err(why)?;
            hw.set_access(Access::RWInterleaved).map_err(why)?;
            hw.set_format(Format::s16()).map_err(why)?;
            hw.set_rate(tone::RATE, ValueOr::Nearest).map_err(why)?;
            // A bare hardware device may know stereo only.
            let channels = hw.set_channels_near(1).map_err(why)?;
            hw.set_buffer_time_near(BUFFER_US, ValueOr::Nearest).map_err(why)?;
            pcm.hw_params(&hw).map_err(why)?;
            channels
        };
        Ok(Open { pcm, channels: channels as usize })
    }
}

impl Open {
    fn write(&self, samples: &[i16]) -> Result<(), alsa::Error> {
        let io = self.pcm.io_i16()?;
        let frames: Vec<i16> =
            samples.iter().flat_map(|s| std::iter::repeat_n(*s, self.channels)).collect();
        let mut rest = frames.as_slice();
        while !rest.is_empty() {
            match io.writei(rest) {
                Ok(n) => rest = &rest[n * self.channels..],
                // Probably an underrun or a suspend in between: ALSA recovers from those itself.
                Err(e) => self.pcm.try_recover(e, true)?,
            }
        }
        Ok(())
    }

    fn play(&self, samples: &[i16], go_on: &dyn Fn() -> bool) -> Result<(), alsa::Error> {
        if self.pcm.state() != State::Prepared {
            self.pcm.prepare()?;
        }
        for (n, piece) in samples.chunks(PIECE).enumerate() {
            if !go_on() {
                let rest = &samples[n * PIECE..];
                let fade = rest.iter().take(tone::FADE).enumerate();
                let fade: Vec<i16> = fade
                    .map(|(i, s)| (f32::from(*s) * tone::ramp(tone::FADE - 1 - i)) as i16)
                    .collect();
                self.write(&fade)?;
                break;
            }
            self.write(piece)?;
        }
        self.pcm.drain()
    }
}

impl Annunciator for Speaker {
    fn ready(&mut self) -> Result<(), SoundError> {
        if self.open.is_none() {
            self.open = Some(self.open()?);
        }
        Ok(())
    }

    fn play(&mut self, samples: &[i16], go_on: &dyn Fn() -> bool) -> Result<(), SoundError> {
        self.ready()?;
        let open = self.open.as_ref().expect("ready() opened it");
        if let Err(e) = open.play(samples, go_on) {
            self.open = None;
            return Err(self.error(std::io::Error::from_raw_os_error(e.errno()).to_string()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::tone::tests::{ALL, assert_is_a_burst};
    use crate::entry::Priority;

    /// A device that writes what it is given to a file, unpaced: the file is measured, never time.
    fn file_device(path: &std::path::Path) -> Speaker {
        Speaker::new(format!("file:'{}',raw", path.display()))
    }

    fn read(path: &std::path::Path) -> Vec<i16> {
        let bytes = std::fs::read(path).unwrap();
        bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]])).collect()
    }

    #[test]
    fn what_alsa_is_given_is_the_burst_sample_by_sample() {
        let dir = tempfile::tempdir().unwrap();
        for priority in ALL {
            let path = dir.path().join(format!("{priority:?}.raw"));
            let mut speaker = file_device(&path);
            let samples = tone::samples(priority, 80);
            speaker.ready().unwrap();
            speaker.play(&samples, &|| true).unwrap();
            drop(speaker);
            let heard = read(&path);
            // The device may be handed a whole last period; what is past the tone is silence.
            assert_eq!(&heard[..samples.len()], &samples, "{priority:?}");
            assert!(heard[samples.len()..].iter().all(|s| *s == 0));
            assert_is_a_burst(&heard, priority);
        }
    }

    #[test]
    fn tone_cut_short_fades_instead_of_clicking() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("cut.raw");
        let mut speaker = file_device(&path);
        let asked = std::cell::Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            asked.get() <= 10
        };
        let whole = tone::samples(Priority::Low, 100);
        speaker.play(&whole, &go_on).unwrap();
        drop(speaker);
        let heard = read(&path);
        let end = heard.iter().rposition(|s| *s != 0).unwrap();
        assert!((10 * PIECE..10 * PIECE + tone::FADE).contains(&end), "ended at {end}");
        let steepest = |heard: &[i16]| {
            heard.windows(2).map(|w| (i32::from(w[1]) - i32::from(w[0])).abs()).max().unwrap()
        };
        let (cut, whole) = (steepest(&heard), steepest(&whole));
        assert!(cut <= whole + 1, "a click: {cut} from sample to sample, the wave itself {whole}");
    }

    #[test]
    fn missing_device_is_named_with_what_to_do() {
        let error = Speaker::new("plughw:CARD=Nowhere,DEV=0").ready().unwrap_err().to_string();
        assert!(error.starts_with("sound device \"plughw:CARD=Nowhere,DEV=0\": "), "{error}");
        assert!(error.ends_with("see aplay -L for the names, and set alert.device"), "{error}");
        assert!(!error.contains('\n'), "{error}");
    }
}
