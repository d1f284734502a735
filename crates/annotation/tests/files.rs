//! Files of each format are read into class maps.

use annotation::coco::{self, panoptic};
use annotation::{Format, IGNORE, Image, Order, Reader, Set, names};

fn read(format: Format, classes: Option<&[&str]>, file: &str, text: &str, image: Option<(&str, u32, u32)>) -> Set {
    let classes = classes.map(|classes| classes.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let mut reader = Reader::new(format, classes.as_deref());
    let find = |_: &str| image.map(|(name, width, height)| Image { file_name: name.to_owned(), width, height });
    reader.read(file, text.as_bytes(), &find).unwrap();
    reader.finish()
}

fn map(set: &Set, image: usize, order: Order) -> Vec<u8> {
    set.images[image].class_map(&set.classes().unwrap(), order)
}

#[test]
fn coco_instances() {
    let json = r#"{"info": {}, "licenses": [], "images": [
          {"id": 9, "file_name": "a.jpg", "width": 6, "height": 3, "license": 1},
          {"id": 4, "file_name": "b.jpg", "width": 2, "height": 2}],
        "categories": [{"id": 90, "name": "dog", "supercategory": "animal"}, {"id": 18, "name": "cat"}],
        "annotations": [
          {"id": 1, "image_id": 9, "category_id": 90, "iscrowd": 0, "area": 2.0, "bbox": [0, 0, 2, 1],
           "segmentation": [[0, 0, 2, 0, 2, 1, 0, 1]]},
          {"id": 2, "image_id": 9, "category_id": 18, "iscrowd": 0, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]},
          {"id": 3, "image_id": 9, "category_id": 18, "iscrowd": 1,
           "segmentation": {"size": [3, 6], "counts": [15, 3]}},
          {"id": 4, "image_id": 4, "category_id": 18, "segmentation": {"counts": "112", "size": [2, 2]}}]}"#;
    let set = coco::parse("train.json", json.as_bytes()).unwrap();
    assert_eq!(set.problems, []);
    assert_eq!(set.class_names(), ["background", "cat", "dog"]);
    // The larger cat first, so that the dog lies on top; and as the file has them.
    assert_eq!(
        map(&set, 0, Order::Area),
        [[2, 2, 1, 1, 0, IGNORE], [1, 1, 1, 1, 0, IGNORE], [1, 1, 1, 1, 0, IGNORE]].concat()
    );
    assert_eq!(map(&set, 0, Order::File)[..6], [1, 1, 1, 1, 0, IGNORE]);
    assert_eq!(map(&set, 1, Order::Area), [0, 0, 1, 0]);
}

fn png(color: png::ColorType, depth: png::BitDepth, width: u32, height: u32, data: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, width, height);
    encoder.set_color(color);
    encoder.set_depth(depth);
    encoder.write_header().unwrap().write_image_data(data).unwrap();
    bytes
}

fn panoptic_json(segments: &str) -> String {
    format!(
        r#"{{"images": [{{"id": 1, "file_name": "a.jpg", "width": 2, "height": 2}}],
            "categories": [{{"id": 7, "name": "sky", "isthing": 0}}, {{"id": 3, "name": "cat", "isthing": 1}}],
            "annotations": [{{"image_id": 1, "file_name": "a.png", "segments_info": [{segments}]}}]}}"#
    )
}

#[test]
fn coco_panoptic() {
    let json = panoptic_json(
        r#"{"id": 66051, "category_id": 3, "iscrowd": 0}, {"id": 2, "category_id": 7},
           {"id": 5, "category_id": 3, "iscrowd": 1}"#,
    );
    let file = panoptic::parse("panoptic.json", json.as_bytes()).unwrap();
    assert_eq!((file.problems.len(), file.images.len(), file.images[0].png.as_str()), (0, 1, "a.png"));
    let bytes = png(png::ColorType::Rgb, png::BitDepth::Eight, 2, 2, &[3, 2, 1, 2, 0, 0, 5, 0, 0, 0, 0, 0]);
    let classes = file.classes().unwrap();
    let (map, problems) = file.images[0].class_map(&bytes, &classes).unwrap();
    assert_eq!((map, problems.len()), (vec![1, 2, IGNORE, IGNORE], 0));
    // A segment that the JSON lacks, a wrong size, and a PNG of one channel.
    let bytes = png(png::ColorType::Rgb, png::BitDepth::Eight, 2, 2, &[9; 12]);
    let (map, problems) = file.images[0].class_map(&bytes, &classes).unwrap();
    assert_eq!(map, [IGNORE; 4]);
    let text = problems[0].to_string();
    assert_eq!(text, "a.png, image a.jpg, annotation 592137: the PNG has a segment 592137 that the file does not list");
    let bytes = png(png::ColorType::Rgb, png::BitDepth::Eight, 1, 2, &[9; 6]);
    let error = file.images[0].class_map(&bytes, &classes).unwrap_err().to_string();
    assert_eq!(error, "a.png holds no mask: it has 1 × 2 pixels, but the image 2 × 2");
    let bytes = png(png::ColorType::Grayscale, png::BitDepth::Eight, 2, 2, &[9; 4]);
    let error = file.images[0].class_map(&bytes, &classes).unwrap_err().to_string();
    assert_eq!(error, "a.png holds no mask: it has the colour type Grayscale of Eight bits and not RGB of 8");
}

#[test]
fn labelme_shapes() {
    use base64::Engine;
    let bits = png(png::ColorType::Grayscale, png::BitDepth::One, 3, 2, &[0b1010_0000, 0b0100_0000]);
    let mask = base64::engine::general_purpose::STANDARD.encode(bits);
    let json = format!(
        r#"{{"version": "5.4.1", "flags": {{}}, "imagePath": "..\\images\\a.jpg", "imageData": "AAAA",
          "imageHeight": 4, "imageWidth": 5, "shapes": [
          {{"label": "b", "points": [[0, 0], [1.9, 1.2]], "shape_type": "rectangle", "group_id": null}},
          {{"label": "a", "points": [[2, 2], [4, 3]], "shape_type": "mask", "mask": "{mask}"}},
          {{"label": "_background_", "points": [[1, 1], [1, 1], [1, 1]]}},
          {{"label": "__ignore__", "points": [[4, 0], [4, 0], [4, 0]], "flags": {{}}}}]}}"#
    );
    let set = read(Format::LabelMe, None, "a.json", &json, None);
    assert_eq!(set.problems, []);
    assert_eq!(set.images[0].file_name, "../images/a.jpg");
    assert_eq!(set.class_names(), ["background", "a", "b"]);
    let expected = [[2, 2, 0, 0, IGNORE], [2, 0, 0, 0, 0], [0, 0, 1, 0, 1], [0, 0, 0, 1, 0]];
    assert_eq!(map(&set, 0, Order::File), expected.concat());
    // A list sets the order, and the classes that a file lacks.
    let set = read(Format::LabelMe, Some(&["b", "c", "a"]), "a.json", &json, Some(("a.jpg", 5, 4)));
    assert_eq!(set.images[0].file_name, "a.jpg");
    assert_eq!(map(&set, 0, Order::File)[..10], [1, 1, 0, 0, IGNORE, 1, 0, 0, 0, 0]);
}

#[test]
fn yolo_segments() {
    let text = "1 0 0 0.5 0 0.5 0.5 0 0.5\n\n0 0.75 0 0.75 1 0.75 0.5\n";
    let set = read(Format::Yolo, Some(&["person", "car"]), "labels/a.txt", text, Some(("a.png", 4, 4)));
    assert_eq!(set.problems, []);
    assert_eq!((set.images[0].file_name.as_str(), set.images[0].shapes[1].id.as_str()), ("a.png", "line 3"));
    let expected = [[2, 2, 2, 1], [2, 2, 2, 1], [2, 2, 2, 1], [0, 0, 0, 1]];
    assert_eq!(map(&set, 0, Order::Area), expected.concat());
}

#[test]
fn yolo_names() {
    let expected = ["person", "traffic light", "it's: one"];
    for text in [
        "path: x\nnames:\n  0: person # first\n  1: traffic light\n  2: \"it's: one\"\nnc: 3\n",
        "names:\n  2: \"it's: one\"\n  0: person\n\n  # note\n  1: 'traffic light'\n",
        "names: [person, 'traffic light', \"it's: one\"]  # all\n",
        "nc: 3\nnames: [\n  person,\n  traffic light, # two\n  \"it's: one\",\n]\ntrain: y\n",
        "names: {0: person, 1: traffic light, 2: \"it's: one\"}",
        "names:\n- person\n- traffic light\n- \"it's: one\"\nval: z\n",
        "\u{feff}names:\r\n  - person\r\n  - traffic light\r\n  - \"it's: one\"\r\n",
    ] {
        assert_eq!(names::from_yaml("data.yaml", text).unwrap(), expected, "{text}");
    }
    assert_eq!(names::from_text("classes.txt", "a\r\nb c\n\n").unwrap(), ["a", "b c"]);
}

#[test]
fn label_studio_regions() {
    let region = |kind: &str, value: &str| {
        format!(
            r#"{{"id": "{kind}", "type": "{kind}labels", "original_width": 10, "original_height": 4, "image_rotation": 0,
            "value": {{{value}, "{kind}labels": ["{kind}"]}}}}"#
        )
    };
    let regions = [
        region("polygon", r#""points": [[0, 0], [20, 0], [20, 50], [0, 50]], "closed": true"#),
        region("rectangle", r#""x": 30, "y": 0, "width": 20, "height": 25, "rotation": 0"#),
        region("ellipse", r#""x": 80, "y": 50, "radiusX": 11, "radiusY": 20, "rotation": 0"#),
    ];
    let json = format!(
        r#"[{{"id": 3, "data": {{"image": "/data/local-files/?d=set/a.jpg"}}, "annotations": [
           {{"id": 1, "was_cancelled": true, "result": []}}, {{"id": 2, "was_cancelled": false, "result": [{}]}}]}}]"#,
        regions.join(",")
    );
    let set = read(Format::LabelStudio, None, "export.json", &json, None);
    assert_eq!(set.problems, []);
    assert_eq!((set.images[0].file_name.as_str(), set.images[0].size.width()), ("a.jpg", 10));
    assert_eq!(set.class_names(), ["background", "ellipse", "polygon", "rectangle"]);
    let expected =
        [[2, 2, 0, 3, 3, 0, 0, 0, 0, 0], [2, 2, 0, 0, 0, 0, 0, 1, 1, 0], [0, 0, 0, 0, 0, 0, 0, 1, 1, 0], [0; 10]];
    assert_eq!(map(&set, 0, Order::Area), expected.concat());
}

#[test]
fn cvat_shapes() {
    let xml = r#"<?xml version="1.0" encoding="utf-8"?>
        <annotations><version>1.1</version>
          <meta><task><name>t</name><labels><label><name>tree &amp; bush</name></label><label><name>car</name></label>
          <label><name>absent</name></label></labels></task></meta>
          <image id="0" name="dir/a.jpg" width="8" height="4">
            <box label="tree &amp; bush" occluded="0" xtl="0.00" ytl="0.00" xbr="4.00" ybr="2.00" z_order="1"></box>
            <mask label="car" source="manual" rle="1, 2, 3" left="0" top="2" width="3" height="2" z_order="0"/>
            <polygon label="car" points="2,0;6,0;6,2;2,2" z_order="0"><attribute name="x">y</attribute></polygon>
            <ellipse label="car" cx="7" cy="3" rx="1.2" ry="0.6" z_order="0"/>
          </image>
        </annotations>"#;
    let set = read(Format::Cvat, None, "annotations.xml", xml, None);
    assert_eq!(set.problems, []);
    assert_eq!(set.class_names(), ["background", "absent", "car", "tree & bush"]);
    let expected =
        [[3, 3, 3, 3, 2, 2, 0, 0], [3, 3, 3, 3, 2, 2, 0, 0], [0, 2, 2, 0, 0, 0, 2, 2], [0, 0, 0, 0, 0, 0, 2, 2]];
    assert_eq!(map(&set, 0, Order::File), expected.concat());
}

#[test]
fn several_files_make_one_set() {
    let mut reader = Reader::new(Format::LabelMe, None);
    for (name, label) in [("b", "zebra"), ("a", "ant")] {
        let json = format!(
            r#"{{"imagePath": "{name}.jpg", "imageHeight": 2, "imageWidth": 2,
              "shapes": [{{"label": "{label}", "points": [[0, 0]], "shape_type": "point"}}]}}"#
        );
        reader.read(&format!("{name}.json"), json.as_bytes(), &|_| None).unwrap();
    }
    let set = reader.finish();
    assert_eq!(set.class_names(), ["background", "ant", "zebra"]);
    assert_eq!((map(&set, 0, Order::Area), map(&set, 1, Order::Area)), (vec![2; 4], vec![1; 4]));
    assert_eq!(set.images[0].check_size("b.json", 2, 2), None);
    let problem = set.images[0].check_size("b.json", 3, 2).unwrap().to_string();
    assert_eq!(problem, "b.json, image b.jpg: the annotation is for 2 × 2 pixels, but the image has 3 × 2");
}
