//! Sets of images and annotations that tests share.

use super::super::support::root;
use image::GrayImage;
use serde_json::{Value, json};
use std::fs;
use std::path::Path;

pub const SIDE: u32 = 32;

/// A square: its category, left, top, and length.
type Square = (usize, u32, u32, u32);

/// Returns the squares of an image, a light and a dark one.
pub fn squares(number: u32) -> Vec<Square> {
    let shift = number * 5 % 9;
    vec![(0, 2 + shift, 3, 10), (1, 3, 18 - shift % 4, 11)]
}

/// Returns the class map of an image: 1 is light, 2 is dark.
pub fn half(number: u32) -> Vec<u8> {
    let squares = squares(number);
    let inside = |at: u32, from: u32, length: u32| (from..from + length).contains(&at);
    let class = |x: u32, y: u32| {
        let of = squares.iter().rev().find(|(_, left, top, side)| inside(x, *left, *side) && inside(y, *top, *side));
        of.map_or(0, |(category, ..)| *category as u8 + 1)
    };
    (0..SIDE).flat_map(|y| (0..SIDE).map(move |x| (x, y))).map(|(x, y)| class(x, y)).collect()
}

/// Draws `count` grey images of the squares into a folder.
pub fn draw(folder: &Path, count: u32) {
    fs::create_dir_all(folder).unwrap();
    for number in 0..count {
        let map = half(number);
        let image = GrayImage::from_fn(SIDE, SIDE, |x, y| {
            let noise = ((x * 31 + y * 17 + number * 13) % 23) as u8;
            image::Luma([noise + [110, 200, 20][usize::from(map[(y * SIDE + x) as usize])]])
        });
        image.save(folder.join(format!("{number:02}.png"))).unwrap();
    }
}

/// Returns COCO's file for the images of [`draw`].
pub fn coco_file(count: u32) -> Value {
    let image =
        |number: u32| json!({"id": number, "file_name": format!("{number:02}.png"), "width": SIDE, "height": SIDE});
    let shape = |(number, (category, left, top, side)): (u32, Square)| {
        let [left, top, side] = [left, top, side].map(f64::from);
        let corners = [left, top, left + side, top, left + side, top + side, left, top + side];
        json!({"id": 10 * number + category as u32, "image_id": number, "category_id": ([3, 8][category]),
               "segmentation": [corners]})
    };
    let shapes = (0..count).flat_map(|number| squares(number).into_iter().map(move |square| (number, square)));
    json!({
        "images": (0..count).map(image).collect::<Vec<_>>(),
        "annotations": shapes.map(shape).collect::<Vec<_>>(),
        "categories": [{"id": 8, "name": "dark"}, {"id": 3, "name": "light"}]
    })
}

/// Returns YOLO's text for squares. Its polygons include their outlines.
pub fn yolo_text(squares: &[Square]) -> String {
    let line = |(category, left, top, side): &Square| {
        let [left, top, right, bottom] =
            [*left, *top, left + side - 1, top + side - 1].map(|at| (f64::from(at) + 0.5) / f64::from(SIDE));
        format!("{category} {left} {top} {right} {top} {right} {bottom} {left} {bottom}\n")
    };
    squares.iter().map(line).collect()
}

/// A shape on an image of its own, and the mask that its tool makes of it.
#[derive(Clone)]
pub struct Case {
    pub name: String,
    pub width: u32,
    pub height: u32,
    pub points: Vec<[f64; 2]>,
    /// Compressed run lengths.
    pub mask: String,
    /// LabelMe's kind of shape.
    pub kind: String,
}

pub fn points(case: &Value) -> Vec<[f64; 2]> {
    serde_json::from_value(case["points"].clone()).unwrap()
}

/// Returns whether a shape's box meets its image: the others are problems.
pub fn meets(case: &Value) -> bool {
    let reach = match case["kind"].as_str() {
        Some("circle") => {
            let points = points(case);
            (points[0][0] - points[1][0]).hypot(points[0][1] - points[1][1])
        }
        _ => 0.0,
    };
    let all = points(case);
    let all = if reach > 0.0 { &all[..1] } else { &all[..] };
    let [low, high] = [f64::min as fn(f64, f64) -> f64, f64::max]
        .map(|pick| [0, 1].map(|axis| all.iter().map(|point| point[axis]).reduce(pick).unwrap()));
    let length = |key: &str| case[key].as_f64().unwrap();
    high.iter().all(|value| value + reach >= 0.0)
        && low[0] - reach <= length("width")
        && low[1] - reach <= length("height")
}

/// Returns the cases of a tool, which `crates/annotation/tests/reference/make.py` made with it.
pub fn cases(tool: &str, wanted: impl Fn(&Value) -> bool) -> Vec<Case> {
    let path = root().join(format!("crates/annotation/tests/reference/{tool}.json"));
    let all: Vec<Value> = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let case = |(number, case): (usize, Value)| Case {
        name: format!("{number:03}"),
        width: case["width"].as_u64().unwrap() as u32,
        height: case["height"].as_u64().unwrap() as u32,
        points: points(&case),
        mask: case["mask"].as_str().unwrap().into(),
        kind: case["kind"].as_str().unwrap_or_default().into(),
    };
    all.into_iter().filter(|case| wanted(case)).enumerate().map(case).collect()
}

/// Returns LabelMe's file of one shape.
pub fn labelme_file(case: &Case) -> Value {
    let shape = json!({"label": "thing", "points": case.points, "shape_type": case.kind});
    json!({"shapes": [shape], "imagePath": format!("../images/{}.png", case.name),
           "imageHeight": case.height, "imageWidth": case.width})
}
