//! What a camera offers, and which of it to take.
//!
//! [`choose`] does the thinking on plain data; asking the driver is [`Offer::ask`].

use std::fmt;

use super::abi::{self, Fraction};
use super::device::Device;
use crate::config::{CameraConfig, PixelFormat};

/// Formats in order of preference: JPEG costs the least on the bus, so that cameras run at full
/// rate; then colour over none; then a byte a pixel over two, of which the picture keeps one.
const PREFERENCE: [PixelFormat; 7] = [
    PixelFormat::Mjpeg,
    PixelFormat::Yuyv,
    PixelFormat::Nv12,
    PixelFormat::Grey,
    PixelFormat::Y10,
    PixelFormat::Y12,
    PixelFormat::Y16,
];

/// What is looked for when the configuration leaves the size out.
const WANTED_SIZE: (u32, u32) = (1920, 1080);
/// What is looked for when the configuration leaves the rate out.
const WANTED_RATE: f64 = 30.0;
/// A size that the camera only manages at a lower rate than this is passed over for a smaller one:
/// at 100 km/h a car moves 2 m between frames at 15 per second.
const USEFUL_RATE: f64 = 15.0;
/// 29.97 is what an installer means by 30.
const RATE_TOLERANCE: f64 = 0.02;

/// More than any driver lists; a broken one may list for ever.
const MOST_LISTED: u32 = 512;

/// The formats that a camera offers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Offer {
    /// In the driver's order.
    pub formats: Vec<FormatOffer>,
}

/// One pixel format and its sizes.
#[derive(Debug, Clone, PartialEq)]
pub struct FormatOffer {
    /// Four letters, such as `MJPG`.
    pub fourcc: String,
    /// The same as a format that we can read, if it is one.
    pub format: Option<PixelFormat>,
    pub(super) code: [u8; 4],
    /// In the driver's order. Empty: the driver does not say.
    pub sizes: Vec<SizeOffer>,
}

/// A size, or a range of sizes, and its rates.
#[derive(Debug, Clone, PartialEq)]
pub struct SizeOffer {
    /// Pixels per row.
    pub width: Span,
    /// Rows.
    pub height: Span,
    /// Frames per second.
    pub rates: Rates,
}

/// A number, or a range in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Least.
    pub least: u32,
    /// Most.
    pub most: u32,
    /// From one to the next, at least 1.
    pub step: u32,
}

/// Frame rates of one size.
#[derive(Debug, Clone, PartialEq)]
pub enum Rates {
    /// The driver does not say.
    Unknown,
    /// These, per second.
    Listed(Vec<f64>),
    /// Any from least to most, per second.
    Between(f64, f64),
}

/// What to ask the driver for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Choice {
    pub(super) format: PixelFormat,
    pub(super) code: [u8; 4],
    pub(super) width: u32,
    pub(super) height: u32,
    /// `None`: whatever the camera does by itself.
    pub(super) fps: Option<f64>,
}

/// Why nothing fits.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Misfit {
    /// No format that we can read, or not the wanted one.
    Format { wanted: String, offered: String },
    /// A setting, its value, and what the camera offers instead.
    Setting { field: &'static str, value: String, range: String },
}

impl Span {
    fn only(value: u32) -> Self {
        Self { least: value, most: value, step: 1 }
    }

    fn nearest(self, wanted: u32) -> u32 {
        let clamped = wanted.clamp(self.least, self.most.max(self.least));
        clamped - (clamped - self.least) % self.step.max(1)
    }
}

impl fmt::Display for SizeOffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (w, h) = (self.width, self.height);
        write!(f, "{}x{}", w.least, h.least)?;
        if (w.least, h.least) != (w.most, h.most) {
            write!(f, " to {}x{}", w.most, h.most)?;
        }
        Ok(())
    }
}

impl fmt::Display for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown => f.write_str("not listed"),
            Self::Between(least, most) => write!(f, "{} to {}", Rate(*least), Rate(*most)),
            Self::Listed(rates) => {
                for (i, rate) in rates.iter().enumerate() {
                    write!(f, "{}{}", if i == 0 { "" } else { ", " }, Rate(*rate))?;
                }
                Ok(())
            }
        }
    }
}

/// A rate with no more digits than it needs: 30, 29.97.
struct Rate(f64);

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", (self.0 * 100.0).round() / 100.0)
    }
}

impl Rates {
    /// The offered rate that serves a wanted one, if the wanted one is offered.
    fn serving(&self, wanted: f64) -> Option<f64> {
        let close = |rate: f64| (rate - wanted).abs() <= wanted * RATE_TOLERANCE;
        match self {
            Self::Unknown => Some(wanted),
            Self::Listed(rates) => rates
                .iter()
                .copied()
                .filter(|r| close(*r))
                .min_by(|a, b| (a - wanted).abs().total_cmp(&(b - wanted).abs())),
            Self::Between(least, most) => {
                let rate = wanted.clamp(*least, most.max(*least));
                close(rate).then_some(rate)
            }
        }
    }

    /// The offered rate that is nearest to the usual one.
    fn usual(&self) -> Option<f64> {
        match self {
            Self::Unknown => None,
            Self::Listed(rates) => rates
                .iter()
                .copied()
                .min_by(|a, b| (a - WANTED_RATE).abs().total_cmp(&(b - WANTED_RATE).abs())),
            Self::Between(least, most) => Some(WANTED_RATE.clamp(*least, most.max(*least))),
        }
    }

    fn highest(&self) -> f64 {
        match self {
            // What is not listed is not held against it.
            Self::Unknown => f64::INFINITY,
            Self::Listed(rates) => rates.iter().copied().fold(0.0, f64::max),
            Self::Between(_, most) => *most,
        }
    }
}

/// Chooses format, size and rate: what the configuration says, else what serves best.
pub(super) fn choose(offer: &Offer, config: &CameraConfig) -> Result<Choice, Misfit> {
    let usable: Vec<(PixelFormat, &FormatOffer)> = PREFERENCE
        .iter()
        .filter(|format| config.format.is_none_or(|wanted| wanted == **format))
        .filter_map(|format| {
            offer.formats.iter().find(|o| o.format == Some(*format)).map(|o| (*format, o))
        })
        .collect();
    if usable.is_empty() {
        let offered: Vec<_> = offer.formats.iter().map(|o| o.fourcc.as_str()).collect();
        return Err(Misfit::Format {
            wanted: config
                .format
                .map_or("mjpeg, yuyv, nv12, grey, y10, y12 or y16".into(), |f| f.to_string()),
            offered: if offered.is_empty() { "none".into() } else { offered.join(", ") },
        });
    }
    let fitting = |format: &FormatOffer| sizes_for(format, config);
    // The first format that does all that is asked; if none does, what the first lacks is said.
    for (format, offered) in &usable {
        for (width, height, rates) in fitting(offered) {
            let fps = match config.fps {
                Some(wanted) => match rates.serving(wanted) {
                    Some(fps) => Some(fps),
                    None => continue,
                },
                None => rates.usual(),
            };
            return Ok(Choice { format: *format, code: offered.code, width, height, fps });
        }
    }
    Err(misfit(&usable, config))
}

/// The sizes of a format that serve, best first.
fn sizes_for(format: &FormatOffer, config: &CameraConfig) -> Vec<(u32, u32, Rates)> {
    let wanted = (config.width.unwrap_or(WANTED_SIZE.0), config.height.unwrap_or(WANTED_SIZE.1));
    let explicit = config.width.is_some() && config.height.is_some();
    if format.sizes.is_empty() {
        return vec![(wanted.0, wanted.1, Rates::Unknown)];
    }
    let mut sizes: Vec<_> = format
        .sizes
        .iter()
        .map(|s| (s.width.nearest(wanted.0), s.height.nearest(wanted.1), s.rates.clone()))
        .filter(|(w, h, _)| !explicit || (*w, *h) == wanted)
        .collect();
    let needed = config.fps.unwrap_or(USEFUL_RATE) * (1.0 - RATE_TOLERANCE);
    sizes.sort_by_key(|(w, h, rates)| {
        (rates.highest() < needed, w.abs_diff(wanted.0) + h.abs_diff(wanted.1))
    });
    sizes
}

fn misfit(usable: &[(PixelFormat, &FormatOffer)], config: &CameraConfig) -> Misfit {
    let (format, offered) = usable[0];
    let fitting = sizes_for(offered, config);
    if let (true, Some(width), Some(height)) = (fitting.is_empty(), config.width, config.height) {
        let sizes: Vec<_> = offered.sizes.iter().map(ToString::to_string).collect();
        return Misfit::Setting {
            field: "width, height",
            value: format!("{width}x{height}"),
            range: format!("one of {} ({format})", sizes.join(", ")),
        };
    }
    let (width, height, rates) = &fitting[0];
    Misfit::Setting {
        field: "fps",
        value: Rate(config.fps.unwrap_or(WANTED_RATE)).to_string(),
        range: format!("one of {rates} ({format} at {width}x{height})"),
    }
}

impl Offer {
    /// Asks the driver.
    pub(super) fn ask(device: &Device) -> Self {
        let mut formats = Vec::new();
        for index in 0..MOST_LISTED {
            let asked = abi::FormatDescription { index, kind: abi::CAPTURE, ..Default::default() };
            let Some(found) = device.ask(&abi::ENUM_FMT, asked) else { break };
            let format = readable(found.fourcc);
            // Sizes of what cannot be read are of no use, and some drivers list 80 formats.
            let sizes = if format.is_some() { sizes(device, found.fourcc) } else { Vec::new() };
            let fourcc = four_letters(found.fourcc);
            formats.push(FormatOffer { fourcc, format, code: found.fourcc, sizes });
        }
        Self { formats }
    }
}

/// The format that a code stands for, where it is one that we can read.
fn readable(code: [u8; 4]) -> Option<PixelFormat> {
    Some(match &code {
        b"MJPG" | b"JPEG" => PixelFormat::Mjpeg,
        b"YUYV" => PixelFormat::Yuyv,
        b"NV12" => PixelFormat::Nv12,
        b"GREY" => PixelFormat::Grey,
        b"Y10 " => PixelFormat::Y10,
        b"Y12 " => PixelFormat::Y12,
        b"Y16 " => PixelFormat::Y16,
        _ => return None,
    })
}

/// A code as text. The top bit of the last letter stands for "big-endian".
fn four_letters(code: [u8; 4]) -> String {
    let letters = code.map(|b| b & 0x7f);
    let text = String::from_utf8_lossy(&letters).trim().to_owned();
    if code[3] & 0x80 == 0 { text } else { format!("{text}-BE") }
}

fn sizes(device: &Device, fourcc: [u8; 4]) -> Vec<SizeOffer> {
    let mut sizes = Vec::new();
    for index in 0..MOST_LISTED {
        let asked = abi::FrameSize { index, fourcc, ..Default::default() };
        let Some(found) = device.ask(&abi::ENUM_FRAMESIZES, asked) else { break };
        let [a, b, c, d, e, f] = found.range;
        let discrete = found.kind == abi::DISCRETE;
        let (width, height) = if discrete {
            (Span::only(a), Span::only(b))
        } else {
            (Span { least: a, most: b, step: c.max(1) }, Span { least: d, most: e, step: f.max(1) })
        };
        let at = (width.nearest(WANTED_SIZE.0), height.nearest(WANTED_SIZE.1));
        sizes.push(SizeOffer { width, height, rates: rates(device, fourcc, at) });
        if !discrete {
            break;
        }
    }
    sizes
}

fn rates(device: &Device, fourcc: [u8; 4], (width, height): (u32, u32)) -> Rates {
    let mut listed = Vec::new();
    for index in 0..MOST_LISTED {
        let asked = abi::FrameInterval { index, fourcc, width, height, ..Default::default() };
        let Some(found) = device.ask(&abi::ENUM_FRAMEINTERVALS, asked) else { break };
        let [first, second, _] = found.range.map(per_second);
        if found.kind != abi::DISCRETE {
            // The shortest interval is the highest rate.
            return match (first, second) {
                (Some(most), Some(least)) => Rates::Between(least, most),
                _ => Rates::Unknown,
            };
        }
        listed.extend(first);
    }
    if listed.is_empty() { Rates::Unknown } else { Rates::Listed(listed) }
}

pub(super) fn per_second(interval: Fraction) -> Option<f64> {
    let Fraction { numerator, denominator } = interval;
    (numerator > 0 && denominator > 0).then(|| f64::from(denominator) / f64::from(numerator))
}

/// The interval of a rate: NTSC rates as they are meant, others to a thousandth.
pub(super) fn interval(fps: f64) -> Fraction {
    let ntsc = (fps * 1.001).round();
    if (ntsc / 1.001 - fps).abs() < 0.001 && (fps - fps.round()).abs() > 0.001 {
        return Fraction { numerator: 1_001, denominator: ntsc as u32 * 1_000 };
    }
    if (fps - fps.round()).abs() < 1e-6 {
        return Fraction { numerator: 1, denominator: fps.round() as u32 };
    }
    Fraction { numerator: 1_000, denominator: (fps * 1_000.0).round() as u32 }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn size(w: u32, h: u32, rates: &[f64]) -> SizeOffer {
        SizeOffer {
            width: Span::only(w),
            height: Span::only(h),
            rates: Rates::Listed(rates.to_vec()),
        }
    }

    fn format(format: PixelFormat, fourcc: &[u8; 4], sizes: Vec<SizeOffer>) -> FormatOffer {
        FormatOffer { fourcc: four_letters(*fourcc), format: Some(format), code: *fourcc, sizes }
    }

    /// A common webcam: raw at low rates, JPEG at full ones.
    fn webcam() -> Offer {
        Offer {
            formats: vec![
                format(
                    PixelFormat::Yuyv,
                    b"YUYV",
                    vec![size(640, 480, &[30.0, 15.0]), size(1920, 1080, &[5.0])],
                ),
                format(
                    PixelFormat::Mjpeg,
                    b"MJPG",
                    vec![
                        size(640, 480, &[60.0, 30.0]),
                        size(1280, 720, &[60.0, 30.0, 29.97]),
                        size(1920, 1080, &[30.0, 24.0, 15.0]),
                        size(2592, 1944, &[2.0]),
                    ],
                ),
            ],
        }
    }

    fn config(text: &str) -> CameraConfig {
        toml::from_str(&format!("name = \"front\"\n{text}")).unwrap()
    }

    fn chosen(offer: &Offer, text: &str) -> String {
        match choose(offer, &config(text)) {
            Ok(c) => format!("{} {}x{} {:?}", c.format, c.width, c.height, c.fps),
            Err(Misfit::Format { wanted, offered }) => {
                format!("wanted {wanted}, offered {offered}")
            }
            Err(Misfit::Setting { field, value, range }) => {
                format!("{field} = {value}: must be {range}")
            }
        }
    }

    #[rstest]
    #[case::nothing_said("", "mjpeg 1920x1080 Some(30.0)")]
    #[case::rate("fps = 24", "mjpeg 1920x1080 Some(24.0)")]
    #[case::rate_only_a_smaller_size_has("fps = 60", "mjpeg 1280x720 Some(60.0)")]
    #[case::size("width = 640\nheight = 480", "mjpeg 640x480 Some(30.0)")]
    #[case::rate_as_printed_on_the_box(
        "width = 1280\nheight = 720\nfps = 29.9",
        "mjpeg 1280x720 \
        Some(29.97)"
    )]
    #[case::raw_that_would_crawl_at_full_size("format = \"yuyv\"", "yuyv 640x480 Some(30.0)")]
    #[case::raw_at_full_size_when_asked(
        "format = \"yuyv\"\nwidth = 1920\nheight = 1080",
        "yuyv 1920x1080 Some(5.0)"
    )]
    #[case::rate_that_only_another_format_has(
        "width = 1920\nheight = 1080\nfps = 5",
        "yuyv 1920x1080 Some(5.0)"
    )]
    #[case::missing_format("format = \"nv12\"", "wanted nv12, offered YUYV, MJPG")]
    #[case::missing_size(
        "width = 1600\nheight = 900",
        "width, height = 1600x900: must be one \
        of 640x480, 1280x720, 1920x1080, 2592x1944 (mjpeg)"
    )]
    #[case::missing_rate(
        "width = 1920\nheight = 1080\nfps = 60",
        "fps = 60: must be one of 30, \
        24, 15 (mjpeg at 1920x1080)"
    )]
    fn webcam_is_set_up(#[case] text: &str, #[case] outcome: &str) {
        assert_eq!(chosen(&webcam(), text), outcome);
    }

    #[rstest]
    #[case("", "nv12 1920x1080 Some(30.0)")]
    #[case("width = 1002\nheight = 500\nfps = 12.5", "nv12 1002x500 Some(12.5)")]
    #[case(
        "width = 1001\nheight = 500",
        "width, height = 1001x500: must be one of 320x240 to \
        2000x1200 (nv12)"
    )]
    #[case("fps = 90", "fps = 90: must be one of 1 to 60 (nv12 at 1920x1080)")]
    fn sensor_with_ranges_is_set_up(#[case] text: &str, #[case] outcome: &str) {
        let sizes = SizeOffer {
            width: Span { least: 320, most: 2000, step: 2 },
            height: Span { least: 240, most: 1200, step: 2 },
            rates: Rates::Between(1.0, 60.0),
        };
        let offer = Offer { formats: vec![format(PixelFormat::Nv12, b"NV12", vec![sizes])] };
        assert_eq!(chosen(&offer, text), outcome);
    }

    #[test]
    fn driver_that_lists_nothing_is_asked_for_what_is_wanted() {
        let offer = Offer { formats: vec![format(PixelFormat::Grey, b"GREY", vec![])] };
        assert_eq!(chosen(&offer, ""), "grey 1920x1080 None");
        assert_eq!(chosen(&offer, "fps = 9"), "grey 1920x1080 Some(9.0)");
        assert_eq!(
            chosen(&Offer::default(), ""),
            "wanted mjpeg, yuyv, nv12, grey, y10, y12 or y16, offered none"
        );
    }

    /// An infrared camera: no colour in any format, and its sensor's own depth where that is asked for.
    #[rstest]
    #[case::a_byte_a_pixel_first("", "grey 1280x800 Some(120.0)")]
    #[case::ten_bits_when_asked("format = \"y10\"", "y10 1280x800 Some(60.0)")]
    #[case::sixteen_bits_it_does_not_have("format = \"y16\"", "wanted y16, offered Y10, GREY")]
    fn grey_camera_is_set_up(#[case] text: &str, #[case] outcome: &str) {
        let offer = Offer {
            formats: vec![
                format(PixelFormat::Y10, b"Y10 ", vec![size(1280, 800, &[60.0])]),
                format(PixelFormat::Grey, b"GREY", vec![size(1280, 800, &[120.0])]),
            ],
        };
        assert_eq!(chosen(&offer, text), outcome);
    }

    #[rstest]
    #[case(*b"Y10 ", Some(PixelFormat::Y10))]
    #[case(*b"Y12 ", Some(PixelFormat::Y12))]
    #[case(*b"Y16 ", Some(PixelFormat::Y16))]
    #[case::big_endian([b'Y', b'1', b'6', 0xa0], None)]
    #[case::packed_bits(*b"Y10B", None)]
    fn code_stands_for_a_format(#[case] code: [u8; 4], #[case] format: Option<PixelFormat>) {
        assert_eq!(readable(code), format);
    }

    #[test]
    fn codes_are_printed_as_letters() {
        assert_eq!(four_letters(*b"Y16 "), "Y16");
        assert_eq!(four_letters([b'Y', b'1', b'6', 0xa0]), "Y16-BE");
    }

    #[rstest]
    #[case(30.0, 1, 30)]
    #[case(30_000.0 / 1_001.0, 1_001, 30_000)]
    #[case(59.94, 1_001, 60_000)]
    #[case(12.5, 1_000, 12_500)]
    #[case(7.5, 1_000, 7_500)]
    fn rates_become_intervals(#[case] fps: f64, #[case] numerator: u32, #[case] denominator: u32) {
        assert_eq!(interval(fps), Fraction { numerator, denominator });
    }
}
