//! Our own stroke typeface: the capitals and digits of plates, and further characters for labels.
//! The path language is described in [`super::stroke`].
//!
//! Drawn after how plates are pressed: narrow, of one weight, with characters kept apart where
//! they are easily taken for each other. 0 is narrower than O, 1 has a flag and I has feet, B has
//! square corners where 8 is waisted, D likewise against 0, G has a shelf, Q a long tail, and Z
//! is all corners where 2 is round.

use super::stroke::{Outline, Style};

/// A character, its width in capitals' heights, and its paths.
type Glyph = (char, f32, &'static str);

#[rustfmt::skip]
const DIGITS_AND_CAPITALS: [Glyph; 36] = [
    ('0', 0.50, "m 0 .29 q 0 0 .5 0 q 1 0 1 .29 l 1 .71 q 1 1 .5 1 q 0 1 0 .71 z"),
    ('1', 0.30, "m 0 .2 l .8 0 m .8 0 l .8 1"),
    ('2', 0.50, "m 0 .27 q 0 0 .5 0 q 1 0 1 .26 q 1 .444 .72 .6 l .04 .97 m 0 1 l 1 1"),
    ('3', 0.50, "m .02 .23 q .02 0 .5 0 q .95 0 .95 .235 q .95 .47 .52 .47 l .4 .47 m .5 .47 q 1 .47 1 .73 q 1 1 .5 1 q 0 1 0 .75"),
    ('4', 0.54, "m .76 1 l .76 0 m .66 .05 l .03 .7 m 0 .72 l 1 .72"),
    ('5', 0.50, "m .94 0 l .08 0 l .05 .45 m .05 .45 q .2 .37 .5 .37 q 1 .37 1 .68 q 1 1 .5 1 q 0 1 0 .77"),
    ('6', 0.50, "m .95 .22 q .9 0 .5 0 q 0 0 0 .35 l 0 .7 q 0 1 .5 1 q 1 1 1 .7 q 1 .41 .5 .41 q 0 .41 0 .66"),
    ('7', 0.49, "m 0 0 l 1 0 m .96 .03 l .33 1"),
    ('8', 0.51, "m .5 .46 q .06 .46 .06 .23 q .06 0 .5 0 q .94 0 .94 .23 q .94 .46 .5 .46 q 0 .46 0 .73 q 0 1 .5 1 q 1 1 1 .73 q 1 .46 .5 .46 z"),
    ('9', 0.50, "m .05 .78 q .1 1 .5 1 q 1 1 1 .65 l 1 .3 q 1 0 .5 0 q 0 0 0 .3 q 0 .59 .5 .59 q 1 .59 1 .34"),
    ('A', 0.58, "m 0 1 l .46 0 m 1 1 l .54 0 m .25 .7 l .75 .7"),
    ('B', 0.52, "m 0 .46 l .55 .46 q .94 .46 .94 .23 q .94 0 .55 0 l 0 0 l 0 1 l .55 1 q 1 1 1 .73 q 1 .46 .55 .46"),
    ('C', 0.52, "m 1 .28 q 1 0 .5 0 q 0 0 0 .3 l 0 .7 q 0 1 .5 1 q 1 1 1 .72"),
    ('D', 0.53, "m 0 0 l .42 0 q 1 0 1 .34 l 1 .66 q 1 1 .42 1 l 0 1 z"),
    ('E', 0.47, "m 1 0 l 0 0 l 0 1 l 1 1 m 0 .48 l .84 .48"),
    ('F', 0.46, "m 1 0 l 0 0 l 0 1 m 0 .5 l .82 .5"),
    ('G', 0.54, "m 1 .28 q 1 0 .5 0 q 0 0 0 .3 l 0 .7 q 0 1 .5 1 q 1 1 1 .72 l 1 .55 l .6 .55"),
    ('H', 0.53, "m 0 0 l 0 1 m 1 0 l 1 1 m 0 .48 l 1 .48"),
    ('I', 0.34, "m .5 0 l .5 1 m 0 0 l 1 0 m 0 1 l 1 1"),
    ('J', 0.46, "m 1 0 l 1 .7 q 1 1 .5 1 q 0 1 0 .72"),
    ('K', 0.55, "m 0 0 l 0 1 m 1 0 l .06 .6 m .38 .42 l 1 1"),
    ('L', 0.45, "m 0 0 l 0 1 l 1 1"),
    ('M', 0.66, "m 0 1 l 0 0 m .03 0 l .5 .66 l .97 0 m 1 0 l 1 1"),
    ('N', 0.55, "m 0 1 l 0 0 m .03 0 l .97 1 m 1 1 l 1 0"),
    ('O', 0.60, "m 0 .36 q 0 0 .5 0 q 1 0 1 .36 l 1 .64 q 1 1 .5 1 q 0 1 0 .64 z"),
    ('P', 0.51, "m 0 1 l 0 0 l .52 0 q 1 0 1 .27 q 1 .54 .52 .54 l 0 .54"),
    ('Q', 0.60, "m 0 .36 q 0 0 .5 0 q 1 0 1 .36 l 1 .64 q 1 1 .5 1 q 0 1 0 .64 z m .58 .7 l 1 1"),
    ('R', 0.53, "m 0 1 l 0 0 l .52 0 q 1 0 1 .26 q 1 .52 .52 .52 l 0 .52 m .48 .52 l 1 1"),
    ('S', 0.51, "m .97 .25 q .97 0 .5 0 q .03 0 .03 .24 q .03 .43 .5 .49 q 1 .55 1 .75 q 1 1 .5 1 q 0 1 0 .75"),
    ('T', 0.50, "m 0 0 l 1 0 m .5 0 l .5 1"),
    ('U', 0.53, "m 0 0 l 0 .7 q 0 1 .5 1 q 1 1 1 .7 l 1 0"),
    ('V', 0.56, "m 0 0 l .46 1 m 1 0 l .54 1"),
    ('W', 0.74, "m 0 0 l .24 1 m .26 1 l .5 .22 l .74 1 m .76 1 l 1 0"),
    ('X', 0.56, "m 0 0 l 1 1 m 1 0 l 0 1"),
    ('Y', 0.55, "m 0 0 l .5 .54 l 1 0 m .5 .54 l .5 1"),
    ('Z', 0.51, "m 0 0 l 1 0 m .96 .03 l .04 .97 m 0 1 l 1 1"),
];

#[rustfmt::skip]
const SMALL_LETTERS_AND_SIGNS: [Glyph; 62] = [
    ('a', 0.46, "m 1 .31 l 1 1 m 1 .655 q 1 .31 .5 .31 q 0 .31 0 .655 q 0 1 .5 1 q 1 1 1 .655"),
    ('b', 0.47, "m 0 0 l 0 1 m 0 .655 q 0 .31 .5 .31 q 1 .31 1 .655 q 1 1 .5 1 q 0 1 0 .655"),
    ('c', 0.43, "m .98 .5 q .94 .31 .52 .31 q 0 .31 0 .655 q 0 1 .52 1 q .94 1 .98 .81"),
    ('d', 0.47, "m 1 0 l 1 1 m 1 .655 q 1 .31 .5 .31 q 0 .31 0 .655 q 0 1 .5 1 q 1 1 1 .655"),
    ('e', 0.46, "m 0 .65 l 1 .65 q 1 .31 .5 .31 q 0 .31 0 .655 q 0 1 .52 1 q .88 1 .96 .86"),
    ('f', 0.34, "m 1 0 q .4 0 .4 .22 l .4 1 m 0 .33 l .95 .33"),
    ('g', 0.46, "m 1 .31 l 1 1.05 q 1 1.3 .5 1.3 q .1 1.3 .05 1.2 m 1 .655 q 1 .31 .5 .31 q 0 .31 0 .655 q 0 1 .5 1 q 1 1 1 .655"),
    ('h', 0.46, "m 0 0 l 0 1 m 0 .62 q 0 .31 .52 .31 q 1 .31 1 .62 l 1 1"),
    ('i', 0.16, "m .5 .31 l .5 1 m .5 .03 l .5 .04"),
    ('j', 0.26, "m .8 .31 l .8 1.08 q .8 1.3 .3 1.3 l 0 1.3 m .8 .03 l .8 .04"),
    ('k', 0.45, "m 0 0 l 0 1 m .95 .31 l .06 .75 m .4 .6 l 1 1"),
    ('l', 0.16, "m .5 0 l .5 1"),
    ('m', 0.70, "m 0 .31 l 0 1 m 0 .6 q 0 .31 .27 .31 q .5 .31 .5 .6 l .5 1 m .5 .6 q .5 .31 .77 .31 q 1 .31 1 .6 l 1 1"),
    ('n', 0.46, "m 0 .31 l 0 1 m 0 .62 q 0 .31 .52 .31 q 1 .31 1 .62 l 1 1"),
    ('o', 0.48, "m 1 .655 q 1 .31 .5 .31 q 0 .31 0 .655 q 0 1 .5 1 q 1 1 1 .655 z"),
    ('p', 0.47, "m 0 .31 l 0 1.3 m 0 .655 q 0 .31 .5 .31 q 1 .31 1 .655 q 1 1 .5 1 q 0 1 0 .655"),
    ('q', 0.47, "m 1 .31 l 1 1.3 m 1 .655 q 1 .31 .5 .31 q 0 .31 0 .655 q 0 1 .5 1 q 1 1 1 .655"),
    ('r', 0.34, "m 0 .31 l 0 1 m 0 .65 q 0 .31 .7 .31 l .95 .31"),
    ('s', 0.42, "m .95 .46 q .86 .31 .5 .31 q .05 .31 .05 .48 q .05 .62 .5 .65 q 1 .69 1 .83 q 1 1 .5 1 q .1 1 .02 .86"),
    ('t', 0.34, "m .4 .05 l .4 .8 q .4 1 .95 1 m 0 .33 l .95 .33"),
    ('u', 0.46, "m 0 .31 l 0 .7 q 0 1 .48 1 q 1 1 1 .7 m 1 .31 l 1 1"),
    ('v', 0.46, "m 0 .31 l .46 1 m 1 .31 l .54 1"),
    ('w', 0.66, "m 0 .31 l .24 1 m .26 1 l .5 .4 l .74 1 m .76 1 l 1 .31"),
    ('x', 0.46, "m 0 .31 l 1 1 m 1 .31 l 0 1"),
    ('y', 0.46, "m 0 .31 l .5 1 m 1 .31 l .3 1.3 l .1 1.3"),
    ('z', 0.44, "m 0 .31 l 1 .31 m .96 .33 l .04 .97 m 0 1 l 1 1"),
    ('\u{c9}', 0.47, "m 1 0 l 0 0 l 0 1 l 1 1 m 0 .48 l .84 .48 m .4 -.22 l .75 -.36"),
    ('.', 0.16, "m .5 .99 l .5 1"),
    (',', 0.18, "m .7 .97 l .2 1.16"),
    (':', 0.16, "m .5 .99 l .5 1 m .5 .4 l .5 .41"),
    (';', 0.18, "m .7 .97 l .2 1.16 m .7 .4 l .7 .41"),
    ('-', 0.34, "m 0 .56 l 1 .56"),
    ('\u{2013}', 0.50, "m 0 .56 l 1 .56"),
    ('_', 0.50, "m 0 1.15 l 1 1.15"),
    ('/', 0.42, "m 0 1.1 l 1 -.1"),
    ('%', 0.74, "m .82 0 l .18 1 m .18 0 q .36 0 .36 .2 q .36 .4 .18 .4 q 0 .4 0 .2 q 0 0 .18 0 z m .82 .6 q 1 .6 1 .8 q 1 1 .82 1 q .64 1 .64 .8 q .64 .6 .82 .6 z"),
    ('(', 0.26, "m 1 -.1 q 0 .2 0 .5 q 0 .8 1 1.1"),
    (')', 0.26, "m 0 -.1 q 1 .2 1 .5 q 1 .8 0 1.1"),
    ('[', 0.26, "m 1 -.08 l 0 -.08 l 0 1.08 l 1 1.08"),
    (']', 0.26, "m 0 -.08 l 1 -.08 l 1 1.08 l 0 1.08"),
    ('+', 0.46, "m 0 .56 l 1 .56 m .5 .3 l .5 .82"),
    ('=', 0.46, "m 0 .44 l 1 .44 m 0 .7 l 1 .7"),
    ('<', 0.44, "m 1 .28 l 0 .58 l 1 .88"),
    ('>', 0.44, "m 0 .28 l 1 .58 l 0 .88"),
    ('?', 0.44, "m 0 .24 q 0 0 .5 0 q 1 0 1 .24 q 1 .4 .72 .5 q .5 .58 .5 .72 m .5 .99 l .5 1"),
    ('!', 0.16, "m .5 0 l .5 .68 m .5 .99 l .5 1"),
    ('\'', 0.16, "m .5 0 l .5 .2"),
    ('"', 0.30, "m .1 0 l .1 .2 m .9 0 l .9 .2"),
    ('#', 0.56, "m .35 .05 l .2 .95 m .8 .05 l .65 .95 m .05 .32 l 1 .32 m 0 .68 l .95 .68"),
    ('*', 0.40, "m .5 .05 l .5 .45 m .05 .14 l .95 .36 m .95 .14 l .05 .36"),
    ('&', 0.60, "m 1 1 l .22 .3 q .1 0 .42 0 q .72 0 .72 .2 q .72 .36 .4 .47 q 0 .58 0 .76 q 0 1 .4 1 q .85 1 .95 .56"),
    ('@', 0.80, "m .7 .5 q .7 .3 .5 .3 q .3 .3 .3 .5 q .3 .7 .5 .7 q .7 .7 .7 .5 l .7 .7 l .84 .7 q 1 .7 1 .45 q 1 0 .5 0 q 0 0 0 .5 q 0 1 .5 1 l .8 1"),
    ('\u{b7}', 0.16, "m .5 .55 l .5 .56"),
    ('\u{b0}', 0.28, "m 0 .14 q 0 0 .5 0 q 1 0 1 .14 q 1 .28 .5 .28 q 0 .28 0 .14 z"),
    ('\u{2248}', 0.50, "m 0 .52 q 0 .4 .25 .4 l .75 .5 q 1 .5 1 .38 m 0 .8 q 0 .68 .25 .68 l .75 .78 q 1 .78 1 .66"),
    ('\u{2192}', 0.62, "m 0 .56 l 1 .56 m .62 .3 l 1 .56 l .62 .82"),
    ('|', 0.14, "m .5 -.1 l .5 1.1"),
    ('\u{d7}', 0.44, "m 0 .32 l 1 .84 m 1 .32 l 0 .84"),
    ('\u{2212}', 0.46, "m 0 .56 l 1 .56"),
    ('$', 0.50, "m .97 .25 q .97 .08 .5 .08 q .03 .08 .03 .27 q .03 .44 .5 .49 q 1 .55 1 .73 q 1 .92 .5 .92 q 0 .92 0 .75 m .5 -.04 l .5 1.04"),
    ('~', 0.50, "m 0 .62 q 0 .5 .25 .5 l .75 .62 q 1 .62 1 .5"),
    ('\u{fffd}', 0.50, "m 0 0 l 1 0 l 1 1 l 0 1 z"),
];

/// The strokes of a character; a hollow box for one that the typeface does not have.
pub(super) fn outline(c: char, style: Style) -> Outline {
    let (_, width, paths) = find(c);
    Outline::new(paths, *width, style)
}

/// How wide a character's cell is, in capitals' heights. Spaces have a cell and no ink.
pub(super) fn width(c: char, style: Style) -> f32 {
    if c == ' ' { 0.24 * style.stretch } else { (find(c).1 * style.stretch).max(style.weight) }
}

fn find(c: char) -> &'static Glyph {
    let mut all = DIGITS_AND_CAPITALS.iter().chain(&SMALL_LETTERS_AND_SIGNS);
    all.find(|g| g.0 == c).unwrap_or(&SMALL_LETTERS_AND_SIGNS[SMALL_LETTERS_AND_SIGNS.len() - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const STYLE: Style = Style { weight: 0.14, rounding: 0.03, stretch: 1.0 };

    /// A 16 x 24 mask, 1 where there is ink.
    fn mask(c: char) -> Vec<f32> {
        let outline = outline(c, STYLE);
        let w = width(c, STYLE);
        (0..24 * 16)
            .map(|i| {
                let (x, y) = ((i % 16) as f32 + 0.5, (i / 16) as f32 + 0.5);
                (0.5 - outline.distance(x / 16.0 * w, y / 24.0) * 24.0).clamp(0.0, 1.0)
            })
            .collect()
    }

    #[test]
    fn every_glyph_is_well_formed_and_stays_in_its_cell() {
        for (c, w, _) in DIGITS_AND_CAPITALS.iter().chain(&SMALL_LETTERS_AND_SIGNS) {
            let [left, _, right, _] = outline(*c, STYLE).ink();
            assert!(left > -0.01 && right < w.max(STYLE.weight) + 0.01, "{c}: {left}..{right}");
        }
        for c in outrider_base::plate::SYMBOLS {
            assert_eq!(find(char::from(*c)).0, char::from(*c));
        }
    }

    #[test]
    fn no_two_plate_characters_are_drawn_alike() {
        let all: Vec<_> = DIGITS_AND_CAPITALS.iter().map(|g| (g.0, mask(g.0))).collect();
        for (i, (a, mask_a)) in all.iter().enumerate() {
            for (b, mask_b) in &all[..i] {
                let apart: f32 = mask_a.iter().zip(mask_b).map(|(x, y)| (x - y).abs()).sum();
                // The closest pair by design are 0 and O (stretched to one width here).
                assert!(apart > 8.0, "{a} and {b} differ in {apart} of 384 cells");
            }
        }
    }
}
