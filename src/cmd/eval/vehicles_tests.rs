//! The harness on rendered cars, whose paint is known.

use image::RgbImage;
use rstest::rstest;

use super::*;
use crate::render::car::{Body, Car};
use crate::render::chance::Chance;
use crate::render::light::TimeOfDay;
use crate::render::plate::{Design, Texture};
use crate::render::scene::{Placed, Scene, Vehicle, plates_in_view};
use crate::render::view::View;

const VIEW: View =
    View { width: 1280, height: 720, focal: 1700.0, yaw_deg: 0.0, horizon: 0.4, above_m: 1.35 };

/// A saturated red and blue, a mid-grey, and black.
const PAINTS: [(&str, [f32; 3]); 4] = [
    ("red", [0.62, 0.05, 0.06]),
    ("blue", [0.05, 0.16, 0.58]),
    ("grey", [0.52, 0.54, 0.56]),
    ("black", [0.10, 0.10, 0.11]),
];

/// Writes one picture for each paint, their labels, and the list of vehicles.
fn folder(time: TimeOfDay) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut boxes, mut list) = (String::new(), String::new());
    let mut scene = Scene::new(VIEW, time, 0.0, 7);
    for (i, (colour, paint)) in PAINTS.into_iter().enumerate() {
        let car = Car::new(Body::Hatchback, paint);
        let plate = Texture::plate(Design::Quebec, "A12 BCD", 3);
        let placed = Placed {
            car: &car,
            plate_m: plate.size_m(),
            across_m: 0.0,
            ahead_m: 6.0,
            oncoming: false,
            closing_mps: 0.0,
        };
        let mut frame = RgbImage::new(VIEW.width, VIEW.height);
        let drawn = [Vehicle { placed, plate: &plate }];
        scene.draw(&mut frame, &drawn, 0.0, 0.0, &mut Chance::new(i as u64));
        let b = Rect::around(&plates_in_view(&VIEW, &[placed], 0.0)[0].corners);
        let file = format!("{colour}.png");
        frame.save(folder.path().join(&file)).unwrap();
        let _ = writeln!(
            boxes,
            r#"{{"file":"{file}","w":{},"h":{},"boxes":[[{},{},{},{}]],"text":[null]}}"#,
            VIEW.width, VIEW.height, b.x, b.y, b.w, b.h
        );
        let _ = writeln!(list, r#"{{"file":"{file}","box":0,"class":"car","colour":"{colour}"}}"#);
    }
    std::fs::write(folder.path().join("labels.jsonl"), boxes).unwrap();
    std::fs::write(folder.path().join("vehicles.jsonl"), list).unwrap();
    folder
}

fn measured(folder: &Path) -> anyhow::Result<Figures> {
    measure(folder, &folder.join("vehicles.jsonl"))
}

#[test]
fn vivid_paint_of_rendered_cars_is_said_and_grey_and_black_are_not() {
    let folder = folder(TimeOfDay::Day);
    let figures = measured(folder.path()).unwrap();
    assert_eq!((figures.n, figures.unreadable), (4, 0));
    let expected = Said { n: 4, said: 2, right: 2, interval: wilson(2, 2) };
    assert_eq!(figures.colour, expected, "{}", figures.markdown());
    assert_eq!(figures.by_colour.keys().copied().collect::<Vec<_>>(), [Colour::Blue, Colour::Red]);
    assert_eq!(figures.confusion["grey"], BTreeMap::from([("unknown".to_owned(), 1)]));
    assert_eq!(figures.classes, BTreeMap::from([(Class::Car, 4)]));
    assert_eq!(figures.curve.last().unwrap().said.said, 4, "the curve ends where all is guessed");
    assert!(figures.ms_per_plate > 0.0);
}

/// A harness that cannot find a fault would count these as right.
#[test]
fn wrong_and_doubtful_labels_are_counted_as_such() {
    let folder = folder(TimeOfDay::Day);
    let list = r#"{"file":"red.png","box":0,"class":"truck","colour":"blue"}
{"file":"blue.png","box":0,"class":"car","colour":"purple","or":"blue"}
{"file":"grey.png","box":0,"class":"unknown","colour":"unknown"}
"#;
    std::fs::write(folder.path().join("vehicles.jsonl"), list).unwrap();
    let figures = measured(folder.path()).unwrap();
    assert_eq!((figures.n, figures.colour.said, figures.colour.right), (3, 2, 0));
    assert_eq!(figures.colour_either, 1);
    assert_eq!(figures.confusion["blue"], BTreeMap::from([("red".to_owned(), 1)]));
    let text = figures.markdown();
    assert!(text.contains("| blue | red 1 |") && text.contains("1 Truck"), "{text}");
}

#[test]
fn infrared_is_unknown() {
    let folder = folder(TimeOfDay::Infrared);
    let figures = measured(folder.path()).unwrap();
    assert_eq!(figures.colour.said, 0);
    assert_eq!(figures.unseen, BTreeMap::from([(Unseen::NoColour, 4)]));
}

#[rstest]
#[case(r#"{"file":"red.png","box":1,"class":"car","colour":"red"}"#, "red.png has no box 1")]
#[case(r#"{"file":"x.png","box":0,"class":"car","colour":"red"}"#, "x.png is not in")]
#[case(r#"{"file":"red.png","box":0,"class":"car","colour":"pink"}"#, "line 1: needs file")]
#[case("", "has no vehicles")]
fn list_that_does_not_fit_the_folder_says_so(#[case] list: &str, #[case] expected: &str) {
    let folder = tempfile::tempdir().unwrap();
    let boxes = r#"{"file":"red.png","w":640,"h":480,"boxes":[[9,9,90,40]],"text":[null]}"#;
    RgbImage::new(640, 480).save(folder.path().join("red.png")).unwrap();
    std::fs::write(folder.path().join("labels.jsonl"), boxes).unwrap();
    std::fs::write(folder.path().join("vehicles.jsonl"), list).unwrap();
    let error = format!("{:#}", measured(folder.path()).unwrap_err());
    assert!(error.contains(expected) && error.contains("vehicles.jsonl"), "{error}");
}
