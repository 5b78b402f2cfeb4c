//! Number plates as they are made: a design, a text in our own face, slightly pressed and worn.
//!
//! A plate is drawn once, large, with ever smaller copies (mip levels), and then only sampled: some
//! 20 ms to make, 0.3 MB to keep.

use image::{Rgb, RgbImage};

use super::chance::{self, Chance};
use super::stroke::Style;
use super::text;

/// The design of a plate. The names say whose plates each design resembles.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Design {
    /// Blue on white, name above and motto below, `ABCD 123`.
    Ontario,
    /// Blue on white, `A12 BCD`.
    Quebec,
    /// Dark blue on white under a blue band with hills below, `ABC 1234`.
    NewYork,
    /// Blue on gold, as older plates still are, `ABC 1234`.
    Gold,
    /// Long, black on white with a blue band at the left, `AB CD 123`.
    German,
    /// Long, black on yellow with a blue band at the left, `AB 123 C`.
    Dutch,
}

impl Design {
    /// Width and height in metres.
    pub fn size_m(self) -> (f32, f32) {
        match self {
            Self::German | Self::Dutch => (0.52, 0.11),
            _ => (0.305, 0.152),
        }
    }

    /// Who issues it, as an ISO 3166 code.
    pub fn jurisdiction(self) -> &'static str {
        match self {
            Self::Ontario => "CA-ON",
            Self::Quebec => "CA-QC",
            Self::NewYork | Self::Gold => "US-NY",
            Self::German => "DE",
            Self::Dutch => "NL",
        }
    }

    /// A random text in this design's format. Ambiguous letters are left out, as issuers do.
    pub fn random_text(self, chance: &mut Chance) -> String {
        let format = match self {
            Self::Ontario => "LLLL NNN",
            Self::Quebec => "LNN LLL",
            Self::NewYork | Self::Gold => "LLL NNNN",
            Self::German => "LL LL NNN",
            Self::Dutch => "LL NNN L",
        };
        format
            .chars()
            .map(|c| match c {
                // Ontario and most other issuers use no I, O or Q.
                'L' => char::from(*chance.pick(b"ABCDEFGHJKLMNPRSTUVWXYZ")),
                'N' => char::from(*chance.pick(b"0123456789")),
                c => c,
            })
            .collect()
    }
}

/// A plate ready to be sampled: the picture and its smaller copies, each half as large as the one
/// before.
pub struct Texture {
    levels: Vec<RgbImage>,
    size_m: (f32, f32),
}

impl Texture {
    /// Draws a plate.
    pub fn plate(design: Design, text: &str, seed: u64) -> Self {
        let image = draw(design, text, seed);
        let mut levels = vec![image];
        while let Some(last) = levels.last().filter(|l| l.width() > 16 && l.height() > 8) {
            levels.push(halved(last));
        }
        Self { levels, size_m: design.size_m() }
    }

    /// Width and height in metres.
    pub fn size_m(&self) -> (f32, f32) {
        self.size_m
    }

    /// The full picture.
    pub fn image(&self) -> &RgbImage {
        &self.levels[0]
    }

    /// The colour at (`u`, `v`), each 0 to 1, from the copy in which one step of the caller is
    /// about one pixel: `step` is that step in pixels of the full picture.
    #[cfg(feature = "drives")]
    pub(super) fn sample(&self, u: f32, v: f32, step: f32) -> [f32; 3] {
        let level = (step.max(1.0).log2() as usize).min(self.levels.len() - 1);
        let image = &self.levels[level];
        let (w, h) = (image.width() as usize, image.height() as usize);
        let x = (u * w as f32 - 0.5).clamp(0.0, w as f32 - 1.001);
        let y = (v * h as f32 - 0.5).clamp(0.0, h as f32 - 1.001);
        let (x0, y0) = (x as usize, y as usize);
        let (fx, fy) = (x - x0 as f32, y - y0 as f32);
        let raw = image.as_raw();
        let at = |dx: usize, dy: usize, c: usize| {
            f32::from(raw[((y0 + dy).min(h - 1) * w + (x0 + dx).min(w - 1)) * 3 + c])
        };
        std::array::from_fn(|c| {
            let top = at(0, 0, c) + (at(1, 0, c) - at(0, 0, c)) * fx;
            let bottom = at(0, 1, c) + (at(1, 1, c) - at(0, 1, c)) * fx;
            (top + (bottom - top) * fy) / 255.0
        })
    }
}

fn halved(image: &RgbImage) -> RgbImage {
    RgbImage::from_fn(image.width() / 2, image.height() / 2, |x, y| {
        let at = |dx, dy| image.get_pixel(2 * x + dx, 2 * y + dy).0;
        let four = [at(0, 0), at(1, 0), at(0, 1), at(1, 1)];
        Rgb(std::array::from_fn(|c| {
            (four.iter().map(|p| u32::from(p[c])).sum::<u32>().div_ceil(4)) as u8
        }))
    })
}

const BLUE: Rgb<u8> = Rgb([24, 52, 132]);
const NAVY: Rgb<u8> = Rgb([16, 30, 84]);
const BLACK: Rgb<u8> = Rgb([22, 22, 24]);
const WHITE: Rgb<u8> = Rgb([240, 242, 244]);

/// Pixels per metre of the large drawing: a plate that fills a quarter of a 720p picture is still
/// not magnified.
const PIXELS_PER_METRE: f32 = 1400.0;

fn draw(design: Design, plate: &str, seed: u64) -> RgbImage {
    let (wm, hm) = design.size_m();
    let (w, h) = ((wm * PIXELS_PER_METRE) as u32 & !7, (hm * PIXELS_PER_METRE) as u32 & !7);
    let (wf, hf) = (w as f32, h as f32);
    let ground = match design {
        Design::Gold => Rgb([236, 176, 44]),
        Design::Dutch => Rgb([240, 190, 30]),
        _ => WHITE,
    };
    let mut image = RgbImage::from_pixel(w, h, ground);
    match design {
        Design::Ontario => {
            caption(&mut image, 0.075, 0.15, BLUE, "ONTARIO", 1.1);
            caption(&mut image, 0.86, 0.085, BLUE, "YOURS TO DISCOVER", 0.9);
            lettering(&mut image, [0.035, 0.285, 0.965, 0.79], BLUE, plate, 0.145);
        }
        Design::Quebec => {
            caption(&mut image, 0.07, 0.15, BLUE, "QUÉBEC", 1.15);
            caption(&mut image, 0.86, 0.085, BLUE, "JE ME SOUVIENS", 0.95);
            lettering(&mut image, [0.05, 0.28, 0.95, 0.8], BLUE, plate, 0.15);
        }
        Design::NewYork => {
            band(&mut image, 0.0, 0.235, NAVY);
            band(&mut image, 0.235, 0.262, Rgb([224, 170, 40]));
            hills(&mut image, Rgb([196, 212, 232]));
            caption(&mut image, 0.06, 0.13, WHITE, "NEW YORK", 1.15);
            caption(&mut image, 0.885, 0.075, NAVY, "EMPIRE STATE", 1.0);
            lettering(&mut image, [0.04, 0.32, 0.96, 0.83], NAVY, plate, 0.15);
        }
        Design::Gold => {
            band(&mut image, 0.0, 0.2, NAVY);
            caption(&mut image, 0.045, 0.115, Rgb([236, 176, 44]), "NEW YORK", 1.15);
            caption(&mut image, 0.86, 0.085, NAVY, "EMPIRE STATE", 1.0);
            lettering(&mut image, [0.04, 0.27, 0.96, 0.8], NAVY, plate, 0.15);
        }
        Design::German | Design::Dutch => {
            let code = if design == Design::German { "D" } else { "NL" };
            euro_band(&mut image, code);
            lettering(&mut image, [0.115, 0.14, 0.975, 0.86], BLACK, plate, 0.155);
        }
    }
    if !matches!(design, Design::German | Design::Dutch) {
        for x in [0.2, 0.8] {
            dot(&mut image, x * wf, 0.1 * hf, 0.028 * hf, Rgb([96, 98, 102]));
        }
    }
    let rim = match design {
        Design::German | Design::Dutch => BLACK,
        Design::Gold => NAVY,
        _ => Rgb([196, 200, 206]),
    };
    rim_and_wear(&mut image, rim, seed);
    image
}

/// The plate's own characters, as high as the box (fractions of the plate) and never wider: if
/// needed the typeface is made narrower, not smaller. A light and a dark edge represent the
/// embossing.
fn lettering(image: &mut RgbImage, area: [f32; 4], colour: Rgb<u8>, plate: &str, weight: f32) {
    let (w, h) = (image.width() as f32, image.height() as f32);
    let (left, top, right, bottom) = (area[0] * w, area[1] * h, area[2] * w, area[3] * h);
    let height = bottom - top;
    let mut style = Style { weight, rounding: 0.035, stretch: 1.12 };
    let mut gap = 0.17;
    while text::width_styled(height, plate, style, gap) > right - left && style.stretch > 0.5 {
        style.stretch *= 0.97;
        gap *= 0.98;
        style.weight = (style.weight * 0.99).max(0.12);
    }
    let x = (left + right - text::width_styled(height, plate, style, gap)) / 2.0;
    let edge = (h * 0.008).max(1.0);
    let lit = Rgb([255, 255, 255]);
    let shade = Rgb(colour.0.map(|c| (u16::from(c) / 2 + 70) as u8));
    text::draw_styled(image, x + edge, top + edge, height, shade, plate, style, gap);
    text::draw_styled(image, x - edge, top - edge, height, lit, plate, style, gap);
    text::draw_styled(image, x, top, height, colour, plate, style, gap);
}

/// A centred line of small print at a height given in fractions of the plate.
fn caption(image: &mut RgbImage, top: f32, height: f32, colour: Rgb<u8>, line: &str, stretch: f32) {
    let (w, h) = (image.width() as f32, image.height() as f32);
    let style = Style { weight: 0.17, rounding: 0.03, stretch };
    let gap = 0.22;
    let x = (w - text::width_styled(height * h, line, style, gap)) / 2.0;
    text::draw_styled(image, x, top * h, height * h, colour, line, style, gap);
}

fn band(image: &mut RgbImage, from: f32, to: f32, colour: Rgb<u8>) {
    let h = image.height() as f32;
    let rows = (from * h) as u32..(to * h) as u32;
    for y in rows {
        for x in 0..image.width() {
            image.put_pixel(x, y, colour);
        }
    }
}

fn hills(image: &mut RgbImage, colour: Rgb<u8>) {
    let (w, h) = (image.width(), image.height());
    for x in 0..w {
        let u = x as f32 / w as f32;
        let crest = 0.72 + 0.05 * (u * 7.0).sin() + 0.04 * (u * 17.0 + 1.0).sin();
        for y in (crest * h as f32) as u32..h {
            image.put_pixel(x, y, colour);
        }
    }
}

fn euro_band(image: &mut RgbImage, code: &str) {
    let (w, h) = (image.width(), image.height());
    let wide = w as f32 * 0.085;
    for y in 0..h {
        for x in 0..wide as u32 {
            image.put_pixel(x, y, Rgb([0, 60, 160]));
        }
    }
    for i in 0..12 {
        let (sin, cos) = (i as f32 / 12.0 * std::f32::consts::TAU).sin_cos();
        let r = wide * 0.3;
        let (x, y) = (wide / 2.0 + r * cos, h as f32 * 0.32 + r * sin);
        dot(image, x, y, wide * 0.05, Rgb([250, 210, 40]));
    }
    let height = h as f32 * 0.24;
    let x = (wide - text::width(height, code)) / 2.0;
    text::draw(image, x, h as f32 * 0.64, height, WHITE, code);
}

fn dot(image: &mut RgbImage, x: f32, y: f32, radius: f32, colour: Rgb<u8>) {
    for py in (y - radius) as u32..=(y + radius) as u32 {
        for px in (x - radius) as u32..=(x + radius) as u32 {
            let far = (px as f32 + 0.5 - x).hypot(py as f32 + 0.5 - y);
            if far <= radius && px < image.width() && py < image.height() {
                image.put_pixel(px, py, colour);
            }
        }
    }
}

/// The embossed rim, and the wear of a few years: dirt that gathers towards the lower edge.
fn rim_and_wear(image: &mut RgbImage, rim: Rgb<u8>, seed: u64) {
    let (w, h) = (image.width() as f32, image.height() as f32);
    let grime = Chance::new(seed).between(0.0, 0.22);
    for (x, y, pixel) in image.enumerate_pixels_mut() {
        let (px, py) = (x as f32 + 0.5, y as f32 + 0.5);
        let r = h * 0.07;
        let (dx, dy) = ((px - w / 2.0).abs() - w / 2.0 + r, (py - h / 2.0).abs() - h / 2.0 + r);
        let outside = dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - r;
        if outside > -h * 0.022 {
            *pixel = rim;
        }
        if outside > 0.0 {
            *pixel = Rgb([34, 34, 36]);
        }
        let dirt = chance::fractal(seed, px / w * 9.0, py / w * 9.0, 4);
        let dirt = grime * (dirt * 1.4 - 0.3 + 0.35 * py / h).clamp(0.0, 1.0);
        for (c, brown) in pixel.0.iter_mut().zip([112.0, 104.0, 92.0]) {
            *c = (f32::from(*c) * (1.0 - dirt) + brown * dirt) as u8;
        }
    }
}

#[cfg(test)]
mod tests {
    use outrider_base::plate::syntax::{Syntax, judge};

    use super::*;

    #[test]
    fn texts_have_a_format_of_their_issuer() {
        let mut chance = Chance::new(1);
        for design in [
            Design::Ontario,
            Design::Quebec,
            Design::NewYork,
            Design::Gold,
            Design::German,
            Design::Dutch,
        ] {
            let text = design.random_text(&mut chance);
            let from = outrider_base::plate::Jurisdiction::parse(design.jurisdiction()).unwrap();
            let plate = outrider_base::plate::Plate::parse(&text).unwrap();
            assert_ne!(judge(&plate, from), Syntax::Incompatible, "{design:?} {text}");
        }
    }

    #[test]
    #[cfg(feature = "drives")]
    fn smaller_copies_keep_the_mean_brightness() {
        let texture = Texture::plate(Design::Ontario, "ABCD 123", 1);
        let mean = |level: usize| {
            let raw = texture.levels[level].as_raw();
            raw.iter().map(|&b| f64::from(b)).sum::<f64>() / raw.len() as f64
        };
        assert!((mean(0) - mean(3)).abs() < 2.0, "{} {}", mean(0), mean(3));
        let [r, g, b] = texture.sample(0.5, 0.5, 4.0);
        assert!([r, g, b].iter().all(|c| (0.0..=1.0).contains(c)));
    }
}
