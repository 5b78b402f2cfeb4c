//! What the models need of a plate, and whether a camera gives it: the one place that knows.
//!
//! In: how the plates of the latest reads looked, and the whole picture when somebody looked last. Out: an [`Aim`]: numbers,
//! and for each a word that an officer and an installer understand. The page's start of shift and its aiming view take both
//! from here.

use std::collections::VecDeque;

use jiff::Timestamp;
use serde::Serialize;

use super::glance::View;
use crate::config::ReadingConfig;

/// Width of a plate in pixels that a camera has to give: nearer frames count for more in the vote, but few passes need them. A North-American character is then about 15
/// pixels high, the field's usual minimum; of labelled plates of 50 to 70 pixels a quarter is read wrong, of those from 70
/// on a twentieth (docs/evaluation/accuracy.md, slices by width).
pub const WANTED_WIDTH: f32 = 80.0;

/// Mean luma of a plate below which it is dark: of labelled plates under 60 a fifth is not found, of those from 90 on a
/// tenth (docs/evaluation/accuracy.md, slices by light).
pub const LEAST_LIGHT: f32 = 60.0;

/// Sharpness of a plate (`vision::conditions`) below which it is blurred. Rendered plates of Ontario and Quebec, 90 and
/// 140 pixels wide and blurred step by step, are all read in one look at 0.031 and more; of those 90 pixels wide none is at
/// 0.02 and less (`plates_are_read_as_sharp_as_the_aim_asks` in tests/vision.rs). Twice the first is asked for.
pub const LEAST_SHARPNESS: f32 = 0.06;

/// What the models need.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Needs {
    /// Width in pixels below which a frame does not vote.
    pub least_width: f32,
    /// Width that plates should have where the camera sees most of them.
    pub wanted_width: f32,
    /// Mean luma, 0 to 255.
    pub least_light: f32,
    /// Variance of the Laplacian over that of the luma.
    pub least_sharpness: f32,
}

impl Needs {
    /// Of reading by these settings.
    pub fn of(reading: &ReadingConfig) -> Self {
        Self {
            least_width: reading.min_plate_width,
            wanted_width: WANTED_WIDTH.max(reading.min_plate_width),
            least_light: LEAST_LIGHT,
            least_sharpness: LEAST_SHARPNESS,
        }
    }
}

impl Default for Needs {
    fn default() -> Self {
        Self::of(&ReadingConfig::default())
    }
}

/// How the plate of one read looked in its best frame. Numbers alone.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct PlateLook {
    /// Width in pixels.
    pub width: f32,
    /// Mean luma, 0 to 255.
    pub light: f32,
    /// Variance of the Laplacian over that of the luma.
    pub sharpness: f32,
    /// When.
    pub at: Timestamp,
}

/// Whether a camera gives what the models need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// It does.
    Well,
    /// It does not.
    NotWell,
    /// No plate has been read yet.
    NotKnown,
}

/// One thing that the models need, and a word on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Verdict {
    /// Whether it is given.
    pub fit: Fit,
    /// In words: the number, and what is needed.
    pub says: String,
}

/// How a camera is aimed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aim {
    /// The plate that was read last.
    pub newest: Option<PlateLook>,
    /// The middle one of the latest reads, number by number.
    pub usual: Option<PlateLook>,
    /// How many reads those are.
    pub reads: usize,
    /// The whole picture when somebody looked last.
    pub view: Option<View>,
    /// What is needed.
    pub needs: Needs,
    /// Whether plates are wide enough.
    pub width: Verdict,
    /// Whether they are sharp enough.
    pub focus: Verdict,
    /// Whether they are light enough.
    pub light: Verdict,
}

impl Aim {
    pub(super) fn of(plates: &VecDeque<PlateLook>, view: Option<View>, needs: Needs) -> Self {
        let usual = middle(plates);
        let judge = |word: &dyn Fn(&PlateLook) -> (bool, String)| match &usual {
            None => Verdict { fit: Fit::NotKnown, says: "no plate read yet".into() },
            Some(usual) => {
                let (well, says) = word(usual);
                Verdict { fit: if well { Fit::Well } else { Fit::NotWell }, says }
            }
        };
        let width = judge(&|usual| {
            let (has, full) = (usual.width.round(), needs.wanted_width.round());
            match has {
                w if w < needs.least_width => {
                    (false, format!("{w} px wide, TOO SMALL: {full} wanted"))
                }
                w if w < needs.wanted_width => {
                    (false, format!("{w} px wide, SMALL: {full} wanted"))
                }
                w => (true, format!("{w} px wide")),
            }
        });
        let focus = judge(&|usual| match usual.sharpness {
            s if s < needs.least_sharpness => (false, "BLURRED: clean or focus the lens".into()),
            _ => (true, "sharp".into()),
        });
        let light = judge(&|usual| match usual.light {
            l if l < needs.least_light => (false, "DARK: more exposure or light".into()),
            _ => (true, "light enough".into()),
        });
        let newest = plates.back().copied();
        Self { newest, usual, reads: plates.len(), view, needs, width, focus, light }
    }

    /// The worst of the three.
    pub fn fit(&self) -> Fit {
        let all = [self.width.fit, self.focus.fit, self.light.fit];
        if all.contains(&Fit::NotWell) {
            Fit::NotWell
        } else if all.contains(&Fit::NotKnown) {
            Fit::NotKnown
        } else {
            Fit::Well
        }
    }
}

/// The middle of each number; the time is that of the newest.
fn middle(plates: &VecDeque<PlateLook>) -> Option<PlateLook> {
    let newest = plates.back()?;
    let of = |number: fn(&PlateLook) -> f32| {
        let mut all: Vec<f32> = plates.iter().map(number).collect();
        all.sort_by(f32::total_cmp);
        all[all.len() / 2]
    };
    let (width, light, sharpness) = (of(|p| p.width), of(|p| p.light), of(|p| p.sharpness));
    Some(PlateLook { width, light, sharpness, at: newest.at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn aim(looks: &[(f32, f32, f32)]) -> Aim {
        let look = |&(width, light, sharpness): &(f32, f32, f32)| PlateLook {
            width,
            light,
            sharpness,
            at: Timestamp::UNIX_EPOCH,
        };
        Aim::of(&looks.iter().map(look).collect(), None, Needs::default())
    }

    #[test]
    fn camera_is_judged_by_the_middle_of_its_reads_and_not_before_there_is_one() {
        let nothing = aim(&[]);
        assert_eq!(
            (nothing.fit(), nothing.width.says.as_str()),
            (Fit::NotKnown, "no plate read yet")
        );
        let well = aim(&[(30.0, 10.0, 0.01), (96.4, 120.0, 1.4), (120.0, 130.0, 1.6)]);
        assert_eq!((well.fit(), well.width.says.as_str()), (Fit::Well, "96 px wide"));
        assert_eq!((well.newest.unwrap().width, well.reads), (120.0, 3));
        let small = aim(&[(52.0, 120.0, 1.4)]);
        assert_eq!(small.width.says, "52 px wide, SMALL: 80 wanted");
        assert_eq!(aim(&[(39.0, 120.0, 1.4)]).width.says, "39 px wide, TOO SMALL: 80 wanted");
        let bad = aim(&[(100.0, 30.0, 0.02)]);
        assert_eq!(
            (bad.focus.fit, bad.light.fit, bad.fit()),
            (Fit::NotWell, Fit::NotWell, Fit::NotWell)
        );
        assert!(bad.focus.says.starts_with("BLURRED") && bad.light.says.starts_with("DARK"));
    }
}
