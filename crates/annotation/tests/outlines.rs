//! Outlines give the map back, have the areas that others find, and stay simple when corners go.

use annotation::coco::{self, write};
use annotation::{Area, By, FeatureCollection, IGNORE, Neighbours, Options, Order, Size, outlines};
use proptest::prelude::*;
use serde::Deserialize;

/// Fills polygons by pixel centres: even-odd, with a ray to the left.
fn fill(areas: &[Area], width: usize, height: usize, rest: u8) -> Vec<u8> {
    let mut map = vec![rest; width * height];
    for (index, pixel) in map.iter_mut().enumerate() {
        let [x, y] = [(index % width) as f64 + 0.5, (index / width) as f64 + 0.5];
        for area in areas {
            let mut crossings = 0;
            for ring in area.polygons.iter().flat_map(|polygon| polygon.rings()) {
                for (from, to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
                    let [from, to] = [from, to].map(|point| point.map(f64::from));
                    let crosses = (from[1] > y) != (to[1] > y);
                    let at = from[0] + (y - from[1]) / (to[1] - from[1]) * (to[0] - from[0]);
                    crossings += usize::from(crosses && at < x);
                }
            }
            if crossings % 2 == 1 {
                assert_eq!(*pixel, rest, "two areas have pixel {x}, {y}");
                *pixel = area.class;
            }
        }
    }
    map
}

fn maps() -> impl Strategy<Value = (usize, usize, Vec<u8>)> {
    (1_usize..14, 1_usize..14, 1_u8..5).prop_flat_map(|(width, height, classes)| {
        let value = (0..=classes).prop_map(move |value| if value == classes { IGNORE } else { value });
        (Just(width), Just(height), proptest::collection::vec(value, width * height))
    })
}

const ALL: [By; 3] = [By::Class, By::Component(Neighbours::Four), By::Component(Neighbours::Eight)];

/// Checks that all rings are closed lines that meet in corners only, if at all.
fn check_simple(areas: &[Area]) {
    let rings: Vec<&Vec<[u32; 2]>> =
        areas.iter().flat_map(|area| &area.polygons).flat_map(|polygon| polygon.rings()).collect();
    let mut lines = Vec::new();
    for ring in rings {
        assert!(ring.len() > 2);
        let mut corners = ring.clone();
        corners.sort_unstable();
        corners.dedup();
        assert_eq!(corners.len(), ring.len(), "a ring passes a corner twice: {ring:?}");
        lines.extend(ring.iter().zip(ring.iter().cycle().skip(1)).map(|(from, to)| [*from, *to]));
    }
    let side = |[a, b]: [[u32; 2]; 2], p: [u32; 2]| {
        let [a, b, p] = [a, b, p].map(|point| point.map(i64::from));
        ((b[0] - a[0]) * (p[1] - a[1]) - (b[1] - a[1]) * (p[0] - a[0])).signum()
    };
    for (index, &one) in lines.iter().enumerate() {
        for &other in &lines[..index] {
            let crosses =
                side(one, other[0]) * side(one, other[1]) < 0 && side(other, one[0]) * side(other, one[1]) < 0;
            assert!(!crosses, "{one:?} crosses {other:?}");
        }
    }
}

proptest! {
    #[test]
    fn outlines_give_the_map_back((width, height, map) in maps()) {
        let size = Size::new(width as u64, height as u64).unwrap();
        for by in ALL {
            let areas = outlines(&map, size, &Options { by, ..Options::default() }).unwrap();
            prop_assert_eq!(&fill(&areas, width, height, IGNORE), &map);
            check_simple(&areas);
            for area in &areas {
                let enclosed: f64 = area.polygons.iter().map(|polygon| polygon.area()).sum();
                prop_assert_eq!(enclosed, area.pixels as f64);
            }
            let pixels: u64 = areas.iter().map(|area| area.pixels).sum();
            prop_assert_eq!(pixels, map.iter().filter(|class| **class != IGNORE).count() as u64);
        }
    }

    #[test]
    fn simplified_outlines_do_not_cross((width, height, map) in maps(), tolerance in 0.5_f64..4.0) {
        let size = Size::new(width as u64, height as u64).unwrap();
        let map: Vec<u8> = map.iter().map(|class| class % 4).collect();
        let exact = outlines(&map, size, &Options::default()).unwrap();
        let areas = outlines(&map, size, &Options { tolerance, ..Options::default() }).unwrap();
        check_simple(&areas);
        prop_assert_eq!(areas.len(), exact.len());
        // Neighbours share their boundaries, so the map stays covered, once.
        let covered: f64 = areas.iter().flat_map(|area| &area.polygons).map(|polygon| polygon.area()).sum();
        prop_assert_eq!(covered, (width * height) as f64);
        for (area, exact) in areas.iter().zip(&exact) {
            prop_assert!(area.polygons.iter().all(|polygon| polygon.area() > 0.0));
            prop_assert_eq!((area.class, area.pixels), (exact.class, exact.pixels));
        }
    }

    #[test]
    fn cocos_file_gives_the_map_back((width, height, map) in maps()) {
        let size = Size::new(width as u64, height as u64).unwrap();
        let names: Vec<String> = ["a", "b", "c"].map(str::to_owned).to_vec();
        let known: Vec<u8> = map.iter().map(|class| if *class == IGNORE { 0 } else { *class }).collect();
        for by in ALL {
            for form in [write::Form::Polygons { tolerance: 0.0 }, write::Form::Runs] {
                let mut file = write::Instances::new(&names);
                file.add("x.png", &map, size, by, form).unwrap();
                let set = coco::parse("out.json", &serde_json::to_vec(&file).unwrap()).unwrap();
                prop_assert_eq!(&set.problems, &[]);
                let back = set.images[0].class_map(&set.classes().unwrap(), Order::File);
                prop_assert_eq!(&back, &known);
                let json = serde_json::to_value(&file).unwrap();
                for (annotation, shape) in json["annotations"].as_array().unwrap().iter().zip(&set.images[0].shapes) {
                    prop_assert_eq!(annotation["area"].as_u64().unwrap(), shape.geometry.patch(size).area());
                }
            }
        }
    }
}

#[derive(Deserialize)]
struct Case {
    height: u64,
    width: u64,
    map: Vec<u8>,
    #[serde(rename = "4")]
    four: Vec<(u8, f64, f64)>,
    #[serde(rename = "8")]
    eight: Vec<(u8, f64, f64)>,
}

#[test]
fn components_are_rasterios() {
    let path = format!("{}/tests/reference/areas.json", env!("CARGO_MANIFEST_DIR"));
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert!(cases.len() > 10);
    for case in cases {
        let size = Size::new(case.width, case.height).unwrap();
        for (neighbours, expected) in [(Neighbours::Four, &case.four), (Neighbours::Eight, &case.eight)] {
            let by = By::Component(neighbours);
            let areas = outlines(&case.map, size, &Options { by, ..Options::default() }).unwrap();
            let perimeter = |area: &Area| {
                let rings = area.polygons.iter().flat_map(|polygon| polygon.rings());
                let lines = rings.flat_map(|ring| ring.iter().zip(ring.iter().cycle().skip(1)));
                lines.map(|(a, b)| f64::from(a[0].abs_diff(b[0]) + a[1].abs_diff(b[1]))).sum::<f64>()
            };
            let mut found: Vec<_> =
                areas.iter().map(|area| (area.class, area.pixels as f64, perimeter(area))).collect();
            found.sort_by(|one, other| one.partial_cmp(other).unwrap());
            assert_eq!(found, *expected);
        }
    }
}

#[test]
fn a_staircase_becomes_a_line_and_a_neighbour_follows() {
    let (width, height) = (40_usize, 40_usize);
    let map: Vec<u8> = (0..width * height).map(|index| u8::from(index % width > index / width)).collect();
    let options = Options { tolerance: 1.0, ..Options::default() };
    let areas = outlines(&map, Size::new(40, 40).unwrap(), &options).unwrap();
    assert!(areas.iter().all(|area| area.polygons[0].outer.len() <= 5), "{areas:?}");
    let covered: f64 = areas.iter().map(|area| area.polygons[0].area()).sum();
    assert_eq!(covered, 1600.0);
}

#[test]
fn holes_and_pinched_corners() {
    let map = [
        [1, 1, 1, 1],
        [1, 0, 1, 1],
        [1, 1, 0, 1], // two holes that touch in a corner
        [1, 1, 1, 2],
    ];
    let size = Size::new(4, 4).unwrap();
    let of = |by| outlines(map.as_flattened(), size, &Options { by, left_out: vec![0], ..Options::default() }).unwrap();
    let areas = of(By::Class);
    assert_eq!((areas.len(), areas[0].polygons.len(), areas[0].polygons[0].holes.len()), (2, 1, 2));
    assert_eq!(areas[0].polygons[0].outer, [[0, 0], [4, 0], [4, 3], [3, 3], [3, 4], [0, 4]]);
    assert_eq!(areas[0].polygons[0].holes[0], [[2, 2], [2, 1], [1, 1], [1, 2]]);
    let diagonal = [[3, 0], [0, 3]];
    let size = Size::new(2, 2).unwrap();
    let count = |by| {
        let options = Options { by, left_out: vec![0], ..Options::default() };
        let areas = outlines(diagonal.as_flattened(), size, &options).unwrap();
        areas.iter().map(|area| area.polygons.len()).collect::<Vec<_>>()
    };
    assert_eq!(count(By::Component(Neighbours::Four)), [1, 1]);
    assert_eq!(count(By::Component(Neighbours::Eight)), [2]);
    assert_eq!(count(By::Class), [2]);
}

#[test]
fn a_map_of_another_length_is_refused() {
    let error = outlines(&[0; 5], Size::new(2, 3).unwrap(), &Options::default()).unwrap_err();
    assert_eq!(error.to_string(), "the class map has 5 pixels, but 2 × 3 are 6");
}

#[test]
fn geojson_has_rings_names_areas_and_coordinates() {
    let map = [[1, 1, 1], [1, 0, 1], [1, 1, 1]];
    let size = Size::new(3, 3).unwrap();
    let areas = outlines(map.as_flattened(), size, &Options { left_out: vec![0], ..Options::default() }).unwrap();
    let names = ["background", "house"].map(str::to_owned);
    let mut file = FeatureCollection { areas: &areas, names: &names, affine: None, crs: None };
    let text = serde_json::to_string(&file).unwrap();
    assert_eq!(
        text,
        concat!(
            r#"{"type":"FeatureCollection","features":[{"type":"Feature","#,
            r#""properties":{"class":1,"name":"house","area":8.0},"geometry":{"type":"Polygon","coordinates":["#,
            "[[0.0,0.0],[3.0,0.0],[3.0,3.0],[0.0,3.0],[0.0,0.0]],",
            "[[1.0,2.0],[2.0,2.0],[2.0,1.0],[1.0,1.0],[1.0,2.0]]]}}]}"
        )
    );
    file.affine = Some([500_000.0, 10.0, 0.0, 4_000_000.0, 0.0, -10.0]);
    file.crs = Some("urn:ogc:def:crs:EPSG::32633");
    let json = serde_json::to_value(file).unwrap();
    assert_eq!(json["crs"]["properties"]["name"], "urn:ogc:def:crs:EPSG::32633");
    let feature = &json["features"][0];
    assert_eq!(feature["properties"]["area"], 800.0);
    let outer = &feature["geometry"]["coordinates"][0];
    // Counterclockwise with y up: from the upper left corner down.
    assert_eq!(outer[0], serde_json::json!([500_000.0, 4_000_000.0]));
    assert_eq!(outer[1], serde_json::json!([500_000.0, 3_999_970.0]));
}
