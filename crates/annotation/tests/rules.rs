//! Shapes get the pixels that their tools give them (`reference/make.py`).

use annotation::{Format, Geometry, Image, Patch, Reader, Rle, RleError, Rule, Size};
use serde::Deserialize;
use serde::de::DeserializeOwned;

#[derive(Deserialize)]
struct Case {
    height: u64,
    width: u64,
    points: Vec<[f64; 2]>,
    mask: String,
    area: Option<u64>,
    kind: Option<String>,
}

fn cases<T: DeserializeOwned>(name: &str) -> Vec<T> {
    let path = format!("{}/tests/reference/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<T> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() > 10);
    cases
}

fn size(width: u64, height: u64) -> Size {
    Size::new(width, height).unwrap()
}

/// Compares a shape's pixels with the tool's; returns how many of each hundred differ in any pixel.
fn compare(name: &str, geometry: impl Fn(&Case) -> Geometry) {
    let cases: Vec<Case> = cases(name);
    let mut wrong = Vec::new();
    for (index, case) in cases.iter().enumerate() {
        let size = size(case.width, case.height);
        let map = geometry(case).patch(size).to_map(size);
        if Rle::of_value(&map, size, 1).unwrap().to_compressed() != case.mask {
            wrong.push((index, case.kind.clone(), case.points.clone()));
        }
    }
    let (count, first) = (wrong.len(), wrong.first());
    assert!(wrong.is_empty(), "{count} of {} differ from {name}'s, first {first:?}", cases.len());
}

#[test]
fn polygons_have_cocos_pixels() {
    compare("coco", |case| Geometry::Polygons { rings: vec![case.points.clone()], rule: Rule::Coco });
    for case in cases::<Case>("coco") {
        let size = size(case.width, case.height);
        let polygon = Geometry::Polygons { rings: vec![case.points], rule: Rule::Coco };
        assert_eq!(polygon.patch(size).area(), case.area.unwrap());
    }
}

#[test]
fn polygons_have_opencvs_pixels() {
    compare("opencv", |case| Geometry::Polygons { rings: vec![case.points.clone()], rule: Rule::OpenCv });
}

#[test]
fn labelmes_shapes_have_pillows_pixels() {
    compare("labelme", |case| match (case.kind.as_deref().unwrap(), &case.points[..]) {
        ("polygon", points) => Geometry::Polygons { rings: vec![points.to_vec()], rule: Rule::Pillow },
        ("circle", &[centre, rim]) => Geometry::Circle([centre, rim]),
        ("rectangle", &[one, other]) => Geometry::Rectangle([one, other]),
        ("line" | "linestrip", points) => Geometry::Line(points.to_vec()),
        ("point", &[point]) => Geometry::Point(point),
        other => panic!("{other:?}"),
    });
}

#[test]
fn ellipses_have_the_pixels_whose_centres_they_hold() {
    compare("ellipse", |case| {
        let [centre, radii, [degrees, _]] = case.points[..] else { panic!("three points") };
        Geometry::Ellipse { centre, radii, degrees }
    });
}

#[derive(Deserialize)]
struct Runs {
    height: u64,
    width: u64,
    counts: Vec<u32>,
    mask: String,
    other: String,
    union: String,
    area: u64,
}

#[test]
fn run_lengths_are_read_written_and_united_as_by_pycocotools() {
    for case in cases::<Runs>("rle") {
        let size = size(case.width, case.height);
        let runs = Rle::from_string(size, &case.mask).unwrap();
        assert_eq!(runs.counts(), case.counts);
        assert_eq!(runs, Rle::new(size, case.counts).unwrap());
        assert_eq!(runs.to_compressed(), case.mask);
        assert_eq!((runs.area(), runs.to_patch().area()), (case.area, case.area));
        assert_eq!(Rle::of_value(&runs.to_patch().to_map(size), size, 1), Some(runs.clone()));
        let other = Rle::from_string(size, &case.other).unwrap();
        assert_eq!(runs.union(&other).unwrap().to_compressed(), case.union);
    }
}

#[test]
fn damaged_run_lengths_are_named() {
    let of = |text: &str| Rle::from_string(size(4, 4), text).unwrap_err();
    assert_eq!(of("1"), RleError::Total { found: 1, expected: 16 });
    assert_eq!(of("!"), RleError::Character { byte: b'!', at: 0 });
    assert_eq!(of("P"), RleError::Number { run: 0 });
    assert_eq!(of("oooooooooo"), RleError::Number { run: 0 });
    assert_eq!(of("O"), RleError::Value { run: 0, value: -1 });
    assert_eq!(Rle::new(size(4, 4), vec![u32::MAX; 3]).unwrap_err().to_string(), {
        "the runs have 12884901885 pixels and the image 16"
    });
}

#[derive(Deserialize)]
struct Brush {
    height: u32,
    width: u32,
    stream: Vec<u8>,
    mask: String,
}

#[test]
fn brushes_are_decoded_as_by_label_studio() {
    for case in cases::<Brush>("brush") {
        let value = serde_json::json!({ "format": "rle", "rle": case.stream, "brushlabels": ["a"] });
        let region = serde_json::json!({ "id": "r", "type": "brushlabels", "value": value,
            "original_width": case.width, "original_height": case.height });
        let task = serde_json::json!([{ "id": 1, "data": { "image": "/data/upload/1/x.png" },
            "annotations": [{ "result": [region] }] }]);
        let mut reader = Reader::new(Format::LabelStudio, None);
        reader.read("export.json", task.to_string().as_bytes(), &|_| None::<Image>).unwrap();
        let set = reader.finish();
        assert_eq!(set.problems, []);
        let size = set.images[0].size;
        let patch: Patch = set.images[0].shapes[0].geometry.patch(size);
        assert_eq!(Rle::of_value(&patch.to_map(size), size, 1).unwrap().to_compressed(), case.mask);
    }
}

#[test]
fn far_coordinates_cost_no_more_than_near_ones() {
    let image = size(60, 40);
    for far in [1e6, 1e9, 1e300, f64::INFINITY, f64::NAN] {
        let ring = vec![[-far, -far], [far, 0.5 - far], [30.0, far], [far, far], [-far, 3.0]];
        for rule in [Rule::Coco, Rule::Pillow, Rule::OpenCv] {
            Geometry::Polygons { rings: vec![ring.clone()], rule }.patch(image);
        }
        Geometry::Rectangle([[-far, -far], [far, far]]).patch(image);
        Geometry::Line(ring.clone()).patch(image);
        Geometry::Ellipse { centre: [far, far], radii: [far, 0.0], degrees: far }.patch(image);
    }
    let corners = vec![[-1e6, -1e6], [1e6, -1e6], [1e6, 1e6], [-1e6, 1e6]];
    for rule in [Rule::Coco, Rule::Pillow, Rule::OpenCv] {
        let whole = Geometry::Polygons { rings: vec![corners.clone()], rule }.patch(image);
        assert_eq!(whole.area(), 60 * 40, "{rule:?}");
    }
}
