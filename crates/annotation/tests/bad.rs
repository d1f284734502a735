//! Bad input is named: the file, the image, the annotation, and what is wrong.

use annotation::coco::{self, panoptic};
use annotation::{Error, Format, Image, Reader, Set, names};
use proptest::prelude::*;

/// Returns what a set left out.
fn left_out(set: Result<Set, Error>) -> Vec<String> {
    set.unwrap().problems.iter().map(ToString::to_string).collect()
}

fn coco_with(images: &str, annotations: &str) -> Result<Set, Error> {
    let json = format!(
        r#"{{"images": [{{"id": 7, "file_name": "a.jpg", "width": 6, "height": 4}}{images}],
            "categories": [{{"id": 3, "name": "cat"}}], "annotations": [{annotations}]}}"#
    );
    coco::parse("t.json", json.as_bytes())
}

fn annotation(segmentation: &str) -> String {
    format!(r#"{{"id": 5, "image_id": 7, "category_id": 3, "segmentation": {segmentation}}}"#)
}

#[test]
fn cocos_annotations() {
    let five = "t.json, image a.jpg, annotation 5: ";
    for (segmentation, expected) in [
        ("[[0, 0, 3, 3]]", "the polygon has 2 points and needs 3 or more"),
        ("[[]]", "the polygon has 0 points and needs 3 or more"),
        ("[[0, 0, 3, 3, 1]]", "the polygon has 5 coordinates: x and y come in pairs"),
        ("[]", "the annotation has no segmentation, only a box"),
        ("null", "the annotation has no segmentation, only a box"),
        ("[[0, 0, 1e300, 3, 1, 1]]", "1e300 is no pixel coordinate"),
        ("[[7, 0, 9, 0, 9, 2]]", "the shape from (7, 0) to (9, 2) is outside its image of 6 × 4 pixels"),
        ("[[0, -9, 2, -9, 2, -1]]", "the shape from (0, -9) to (2, -1) is outside its image of 6 × 4 pixels"),
        (r#"{"size": [4, 5], "counts": [20]}"#, "the annotation is for 5 × 4 pixels, but the image has 6 × 4"),
        (
            r#"{"size": [4, 6], "counts": [20, 1]}"#,
            "the run lengths are no mask: the runs have 21 pixels and the image 24",
        ),
        (
            r#"{"size": [4, 6], "counts": "~"}"#,
            "the run lengths are no mask: byte 126 at position 0 is none of the characters 0 to o",
        ),
        (r#"{"size": [4, 6], "counts": "P"}"#, "the run lengths are no mask: run 0 is cut off or too long"),
        (r#"{"size": [4, 6], "counts": "O"}"#, "the run lengths are no mask: run 0 has -1 pixels"),
    ] {
        let found = left_out(coco_with("", &annotation(segmentation)));
        assert_eq!(found, [format!("{five}{expected}")], "{segmentation}");
    }
    let good = annotation("[[0, 0, 3, 0, 3, 3]]");
    let found = left_out(coco_with("", &format!("{good}, {good}")));
    assert_eq!(found, [format!("{five}this id stands in the file twice; the first one is used")]);
    let found = left_out(coco_with("", &good.replace("\"category_id\": 3", "\"category_id\": 4")));
    assert_eq!(found, [format!("{five}category 4 is not in the list of categories")]);
    let found = left_out(coco_with("", &good.replace("\"image_id\": 7", "\"image_id\": 8")));
    assert_eq!(found, ["t.json, image 8, annotation 5: image id 8 is not in the file's list of images"]);
}

#[test]
fn cocos_images() {
    let image = |id: u32, name: &str, width: u64| {
        format!(r#", {{"id": {id}, "file_name": "{name}", "width": {width}, "height": 4}}"#)
    };
    let found = left_out(coco_with(&image(7, "b.jpg", 6), ""));
    assert_eq!(found, ["t.json, image b.jpg: this image stands in the file twice; the first one is used"]);
    let found = left_out(coco_with(&image(8, "", 6), ""));
    assert_eq!(found, ["t.json, image 8: the image has no file name"]);
    for width in [0, 1 << 29, u64::MAX] {
        let annotation = annotation("[[0, 0, 3, 0, 3, 3]]").replace("\"image_id\": 7", "\"image_id\": 8");
        let found = left_out(coco_with(&image(8, "b.jpg", width), &annotation));
        let size = format!("the image's size is given as {width} × 4: it must have 1 to 536870912 pixels");
        assert_eq!(found, [format!("t.json, image b.jpg: {size}")]);
    }
}

#[test]
fn files_that_are_not_cocos() {
    for (text, expected) in [
        ("", "t.json cannot be read as COCO's instances: EOF while parsing a value at line 1 column 0"),
        ("{\"images\": [", "t.json cannot be read as COCO's instances: EOF while parsing a list at line 1 column 12"),
        (
            "{\"images\": [], \"annotations\": []}",
            "t.json cannot be read as COCO's instances: missing field `categories` at line 1 column 33",
        ),
        (
            "{\"images\": [], \"categories\": [],\n \"annotations\": [{\"id\": 1, \"segmentation\": [[1, NaN]]}]}",
            "t.json cannot be read as COCO's instances: NaN near line 2 column 49 is no number of JSON",
        ),
        (
            "[{\"image_id\": 1}]",
            "t.json is a list, as COCO's results are: give it the file of annotations, which begins with {\"images\": …",
        ),
        (
            "{\"images\": [], \"annotations\": [], \"categories\": [{\"id\": 1, \"name\": \"a\"}, {\"id\": 1, \"name\": \"b\"}]}",
            "t.json: two categories have the id 1: give each category an id of its own",
        ),
    ] {
        assert_eq!(coco::parse("t.json", text.as_bytes()).unwrap_err().to_string(), expected);
    }
    let many: Vec<String> = (0..255).map(|id| format!(r#"{{"id": {id}, "name": "{id}"}}"#)).collect();
    let json = format!(r#"{{"images": [], "annotations": [], "categories": [{}]}}"#, many.join(","));
    let error = coco::parse("t.json", json.as_bytes()).unwrap().classes().unwrap_err().to_string();
    assert!(error.starts_with("255 categories: a class map has room for 254"), "{error}");
}

#[test]
fn panoptic_annotations() {
    let json = r#"{"images": [{"id": 1, "file_name": "a.jpg", "width": 2, "height": 2}],
        "categories": [{"id": 3, "name": "cat"}], "annotations": [
        {"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 4, "category_id": 3}, {"id": 4, "category_id": 3, "iscrowd": 1},
         {"id": 6, "category_id": 9}]},
        {"image_id": 1, "file_name": "b.png", "segments_info": []},
        {"image_id": 2, "file_name": "c.png", "segments_info": []}]}"#;
    let file = panoptic::parse("p.json", json.as_bytes()).unwrap();
    let found: Vec<String> = file.problems.iter().map(ToString::to_string).collect();
    let expected = [
        "p.json, image a.jpg, annotation 4: this id stands in the file twice; the first one is used",
        "p.json, image a.jpg, annotation 6: category 9 is not in the list of categories",
        "p.json, image a.jpg, annotation b.png: this id stands in the file twice; the first one is used",
        "p.json, annotation c.png: image id 2 is not in the file's list of images",
    ];
    assert_eq!(found, expected);
    let error = file.images[0].class_map(b"no png", &file.classes().unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("a.png holds no mask: "), "{error}");
}

fn read(format: Format, classes: Option<&[&str]>, file: &str, text: &str) -> Result<Set, Error> {
    let classes = classes.map(|classes| classes.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
    let mut reader = Reader::new(format, classes.as_deref());
    let find = |name: &str| name.starts_with('a').then(|| Image { file_name: name.to_owned(), width: 6, height: 4 });
    reader.read(file, text.as_bytes(), &find)?;
    Ok(reader.finish())
}

#[test]
fn labelmes_shapes() {
    let file = |image: &str, shape: &str| {
        format!(r#"{{"imagePath": "{image}", "imageHeight": 4, "imageWidth": 6, "shapes": [{shape}]}}"#)
    };
    let shape = |kind: &str, points: &str| format!(r#"{{"label": "cat", "shape_type": "{kind}", "points": {points}}}"#);
    for (kind, points, expected) in [
        ("polygon", "[[0, 0], [1, 1]]", "the polygon has 2 points and needs 3 or more"),
        ("circle", "[[0, 0]]", "the circle has 1 points and needs 2"),
        ("rectangle", "[[0, 0], [1, 1], [2, 2]]", "the rectangle has 3 points and needs 2"),
        ("line", "[]", "the line has 0 points and needs 2"),
        ("linestrip", "[[0, 0]]", "the line strip has 1 points and needs 2 or more"),
        ("point", "[[0, 0], [1, 1]]", "the point has 2 points and needs 1"),
        ("oriented_rectangle", "[[0, 0], [1, 1]]", "the oriented rectangle has 2 points and needs 4"),
        ("polygon", "[[0, 0], [1], [2, 2]]", "a point has 1 coordinates and needs 2"),
        (
            "polygon",
            "[[9, 9], [10, 9], [9, 10]]",
            "the shape from (9, 9) to (10, 10) is outside its image of 6 × 4 pixels",
        ),
        ("spline", "[[0, 0]]", "shapes of the kind \"spline\" are not known"),
        ("mask", "[[0, 0], [1, 1]]", "the mask cannot be decoded: there is none"),
    ] {
        let found = left_out(read(Format::LabelMe, None, "a.json", &file("a.jpg", &shape(kind, points))));
        assert_eq!(found, [format!("a.json, image a.jpg, annotation 0: {expected}")]);
    }
    let masked = |text: &str| {
        let shape =
            format!(r#"{{"label": "cat", "shape_type": "mask", "points": [[0, 0], [1, 1]], "mask": "{text}"}}"#);
        left_out(read(Format::LabelMe, None, "a.json", &file("a.jpg", &shape))).remove(0)
    };
    assert!(masked("!").contains("the mask cannot be decoded: it is no base64"));
    assert!(masked("AAAA").contains("the mask cannot be decoded: "));
    let good = shape("polygon", "[[0, 0], [1, 1], [3, 0]]");
    let found = left_out(read(Format::LabelMe, Some(&["dog"]), "a.json", &file("a.jpg", &good)));
    assert_eq!(found, ["a.json, image a.jpg, annotation 0: category \"cat\" is not in the list of categories"]);
    let found = left_out(read(Format::LabelMe, None, "a.json", &file("", &good)));
    assert_eq!(found, ["a.json: the image has no file name"]);
    let found = left_out(read(Format::LabelMe, None, "a.json", &file("a.jpg", &good).replace("6,", "5,")));
    assert_eq!(found, ["a.json, image a.jpg: the annotation is for 5 × 4 pixels, but the image has 6 × 4"]);
    let unknown = file("b.jpg", &good).replace("\"imageHeight\": 4", "\"imageHeight\": null");
    let found = left_out(read(Format::LabelMe, None, "a.json", &unknown));
    let expected = "the size of the image is not known: it is not in the file, and no image of this name was found";
    assert_eq!(found, [format!("a.json, image b.jpg: {expected}")]);
    let error = read(Format::LabelMe, None, "a.json", "{}").unwrap_err().to_string();
    assert_eq!(error, "a.json cannot be read as LabelMe's annotation: missing field `shapes` at line 1 column 2");
}

#[test]
fn yolos_lines() {
    for (line, expected) in [
        ("0 0.5 0.5 0.2 0.2", "the annotation has no segmentation, only a box"),
        ("0 0 0 1", "the polygon has 3 coordinates: x and y come in pairs"),
        ("0 0 0", "the polygon has 1 points and needs 3 or more"),
        ("0 0 0 1 0 1 nan", "NaN is no pixel coordinate"),
        ("0 0 0 1 0 1 1.5", "1.5 is no relative coordinate: it must be between 0 and 1"),
        ("0 0 0 1 0 1 -3", "-3 is no relative coordinate: it must be between 0 and 1"),
        ("2 0 0 1 0 1 1", "category 2 is not in the list of categories"),
        ("-1 0 0 1 0 1 1", "category -1 is not in the list of categories"),
        ("0.5 0 0 1 0 1 1", "category 0.5 is not in the list of categories"),
        ("cat 0 0 1 0 1 1", "\"cat\" is no number"),
        ("0 0 0 1 0 1 x", "\"x\" is no number"),
    ] {
        let found = left_out(read(Format::Yolo, Some(&["a", "b"]), "labels/a.txt", &format!("\n{line}\n")));
        assert_eq!(found, [format!("labels/a.txt, image a, annotation line 2: {expected}")]);
    }
    let found = left_out(read(Format::Yolo, Some(&["a"]), "labels/z.txt", ""));
    assert!(found[0].starts_with("labels/z.txt, image z: the size of the image is not known"));
    let mut reader = Reader::new(Format::Yolo, None);
    reader.read("a.txt", &[0xff], &|_| None).unwrap();
    assert_eq!(reader.finish().problems[0].to_string(), "a.txt, image a: the file is no UTF-8 text");
}

#[test]
fn yolos_names() {
    for (text, expected) in [
        ("nc: 3\n", "d.yaml, line 1: there is no key `names` at the beginning of a line"),
        ("names: 3\n", "d.yaml, line 1: `names` is neither a list nor a mapping from 0, 1, …"),
        ("names:\n", "d.yaml, line 1: there are no names"),
        ("names: [a,\n b", "d.yaml, line 1: the bracket is not closed"),
        ("names:\n  0: a\n  2: b\n", "d.yaml, line 3: the key 2 stands where 1 is due: keys must be 0, 1, …"),
        ("names:\n  - a\n  - a\n", "d.yaml, line 3: the name \"a\" stands twice"),
        ("names:\n  - a\n  -\n", "d.yaml, line 3: the name is empty"),
        ("names:\n  - *x\n", "d.yaml, line 2: \"*x\" is no plain name: put it in quotes"),
        ("names:\n  a\n", "d.yaml, line 2: \"a\" is neither `- name` nor `0: name`"),
        (
            "names:\n  - \"a\\\"\"\n",
            "d.yaml, line 2: the quoted name \"a\\\"\" is not closed, or has escapes: write it without",
        ),
    ] {
        assert_eq!(names::from_yaml("d.yaml", text).unwrap_err().to_string(), expected);
    }
    assert_eq!(names::from_text("c.txt", "a\n\nb").unwrap_err().to_string(), "c.txt, line 2: the name is empty");
}

#[test]
fn label_studios_regions() {
    let export = |data: &str, region: &str| {
        format!(r#"[{{"id": 1, "data": {data}, "annotations": [{{"result": [{region}]}}]}}]"#)
    };
    let image = r#"{"image": "http://host/up/a.jpg?x=1"}"#;
    let region = |kind: &str, value: &str, more: &str| {
        format!(r#"{{"id": "r1", "type": "{kind}", "value": {{{value}, "labels": ["cat"]}}{more}}}"#)
    };
    let triangle = r#""points": [[0, 0], [50, 0], [50, 50]]"#;
    for (region, expected) in [
        (region("polygonlabels", r#""points": [[0, 0]]"#, ""), "the polygon has 1 points and needs 3 or more"),
        (region("polygonlabels", "\"x\": 1", ""), "the region has no \"points\""),
        (region("brushlabels", "\"x\": 1", ""), "the region has no \"rle\""),
        (
            region("brushlabels", "\"rle\": [0, 0]", ""),
            "the run lengths are no mask: the bit stream ends after 0 values",
        ),
        (
            region("brushlabels", "\"rle\": [0, 0, 0, 9]", ""),
            "the run lengths are no mask: the runs have 9 pixels and the image 96",
        ),
        (
            region("brushlabels", "\"rle\": [0, 0, 0, 96, 57, 0, 0, 0]", ""),
            "the run lengths are no mask: the bit stream ends after 0 values",
        ),
        (region("rectanglelabels", r#""x": 1, "y": 1, "width": 3"#, ""), "the region has no \"height\""),
        (region("keypointlabels", "\"x\": 1", ""), "a keypointlabels has no area and is left out"),
        (region("videorectangle", "\"x\": 1", ""), "shapes of the kind \"videorectangle\" are not known"),
        (
            region("polygonlabels", triangle, r#", "image_rotation": 90"#),
            "the image was turned by 90° while it was annotated: turn the image itself instead",
        ),
        (region("polygonlabels", triangle, "").replace("[\"cat\"]", "[]"), "no category is given"),
        (
            format!(
                "{}, {}",
                region("polygonlabels", triangle, r#", "original_width": 6, "original_height": 4"#).replace("r1", "r0"),
                region("polygonlabels", triangle, r#", "original_width": 9, "original_height": 4"#)
            ),
            "the annotation is for 9 × 4 pixels, but the image has 6 × 4",
        ),
    ] {
        let found = left_out(read(Format::LabelStudio, None, "e.json", &export(image, &region)));
        assert_eq!(found, [format!("e.json, image a.jpg, annotation r1: {expected}")]);
    }
    let good = region("polygonlabels", triangle, "");
    let found = left_out(read(Format::LabelStudio, None, "e.json", &export("{}", &good)));
    assert_eq!(found, ["e.json, image task 1: the image has no file name"]);
    let twice = export(image, &good).replace("\"annotations\": [", "\"annotations\": [{\"result\": []}, ");
    let found = left_out(read(Format::LabelStudio, None, "e.json", &twice));
    let expected = "the task has 2 annotations; the ground truth, or else the first, is used";
    assert_eq!(found, [format!("e.json, image a.jpg: {expected}")]);
    let minimal = r#"[{"id": 1, "image": "a.jpg", "label": []}]"#;
    let error = read(Format::LabelStudio, None, "e.json", minimal).unwrap_err().to_string();
    assert!(error.starts_with("e.json is another export of Label Studio: export the project as JSON"), "{error}");
}

#[test]
fn cvats_shapes() {
    let file = |shape: &str| {
        format!(r#"<annotations><image id="0" name="a.jpg" width="6" height="4">{shape}</image></annotations>"#)
    };
    for (shape, annotation, expected) in [
        (r#"<polygon label="c" points="0,0;1,1"/>"#, "polygon 0", "the polygon has 2 points and needs 3 or more"),
        (r#"<polygon label="c" points="0,0;1;2,2"/>"#, "polygon 0", "\"1\" is no point x,y"),
        (r#"<polygon label="c" points="0,0;nan,1;2,2"/>"#, "polygon 0", "NaN is no pixel coordinate"),
        (r#"<polygon label="c" points="0,0;inf,1;2,2"/>"#, "polygon 0", "inf is no pixel coordinate"),
        (r#"<polygon label="c"/>"#, "polygon 0", "<polygon> has no attribute \"points\""),
        (r#"<polygon points="0,0;1,1;3,0"/>"#, "polygon 0", "no category is given"),
        (r#"<box label="c" xtl="1" ytl="1" xbr="x" ybr="3"/>"#, "box 0", "xbr=\"x\" is no number"),
        (r#"<polyline label="c" points="0,0;1,1"/>"#, "polyline 0", "a polyline has no area and is left out"),
        (r#"<blob label="c"/>"#, "blob 0", "shapes of the kind <blob> are not known"),
        (
            r#"<mask label="c" rle="9" left="0" top="0" width="2" height="2"/>"#,
            "mask 0",
            "the mask cannot be decoded: its runs have more than the 4 pixels of its box",
        ),
        (
            r#"<mask label="c" rle="1, 2" left="0" top="0" width="2" height="2"/>"#,
            "mask 0",
            "the mask cannot be decoded: its runs have 3 pixels, but its box 4",
        ),
        (
            r#"<mask label="c" rle="1" left="0" top="0" width="99999" height="99999"/>"#,
            "mask 0",
            "the mask cannot be decoded: its box has 99999 × 99999 pixels, but the image 6 × 4",
        ),
    ] {
        let found = left_out(read(Format::Cvat, None, "c.xml", &file(shape)));
        assert_eq!(found, [format!("c.xml, image a.jpg, annotation {annotation}: {expected}")]);
    }
    let two = file("").replace("</annotations>", "<image name=\"a.jpg\" width=\"6\" height=\"4\"/></annotations>");
    let found = left_out(read(Format::Cvat, None, "c.xml", &two));
    assert_eq!(found, ["c.xml, image a.jpg: this image stands in the file twice; the first one is used"]);
    let error = |text: &str| read(Format::Cvat, None, "c.xml", text).unwrap_err().to_string();
    assert!(error("<annotations><track id=\"0\"/></annotations>").starts_with("c.xml is CVAT for video: export"));
    assert!(error("<html/>").starts_with("c.xml is XML of another kind: export"));
    assert_eq!(error("{}"), "c.xml cannot be read as CVAT for images 1.1: the file has no element at byte 2");
    assert!(error("<html><body/></html>").starts_with("c.xml is XML of another kind: export"));
    assert_eq!(
        error("<annotations>"),
        "c.xml cannot be read as CVAT for images 1.1: the file ends within <annotations> at byte 13"
    );
    assert!(error("<annotations></image>").starts_with("c.xml cannot be read as CVAT for images 1.1: "));
    assert!(error(&"<a>".repeat(100)).contains("is XML of another kind"));
    let deep = format!("<annotations>{}", "<a>".repeat(100));
    assert!(error(&deep).contains("elements stand more than 64 deep in one another"));
}

/// Text that is nearly a file: cut off, doubled, and with other numbers.
fn nearly(text: &'static str) -> impl Strategy<Value = String> {
    let numbers = prop_oneof![Just("-1"), Just("1e9"), Just("99999999999999999999"), Just("0"), Just("\"\"")];
    (0..text.len(), 0..text.len(), numbers).prop_map(move |(cut, at, number)| {
        let cut = (0..=cut).rev().find(|cut| text.is_char_boundary(*cut)).unwrap_or(0);
        let mut text = if cut % 3 == 0 { text[..cut].to_owned() } else { text.to_owned() };
        if let Some(digit) = text.get(at..).and_then(|rest| rest.find(|letter: char| letter.is_ascii_digit())) {
            text.replace_range(at + digit..at + digit + 1, number);
        }
        text
    })
}

const COCO: &str = r#"{"images": [{"id": 7, "file_name": "a.jpg", "width": 6, "height": 4}],
    "categories": [{"id": 3, "name": "cat"}], "annotations": [{"id": 1, "image_id": 7, "category_id": 3,
    "iscrowd": 0, "segmentation": [[0, 0, 3, 0, 3, 3]]}, {"id": 2, "image_id": 7, "category_id": 3,
    "segmentation": {"size": [4, 6], "counts": "112i0"}}]}"#;
const CVAT: &str = r#"<annotations><image id="0" name="a.jpg" width="6" height="4"><polygon label="c"
    points="0,0;1,1;3,0" z_order="1"/><mask label="c" rle="1, 2, 1" left="0" top="0" width="2" height="2"/>
    <ellipse label="c" cx="2" cy="2" rx="1" ry="1" rotation="10"/></image></annotations>"#;
const STUDIO: &str = r#"[{"id": 1, "data": {"image": "a.jpg"}, "annotations": [{"result": [{"id": "x",
    "type": "brushlabels", "value": {"rle": [0, 0, 0, 96, 57, 1, 35, 1], "brushlabels": ["a"]}, "original_width": 6,
    "original_height": 4}, {"type": "ellipselabels", "value": {"x": 5, "y": 5, "radiusX": 7, "radiusY": 9}}]}]}]"#;
const LABELME: &str = r#"{"imagePath": "a.jpg", "imageHeight": 4, "imageWidth": 6, "shapes": [{"label": "a",
    "points": [[1, 1], [2, 2]], "shape_type": "circle"}, {"label": "b", "points": [[1, 1], [2, 2], [3, 4]]}]}"#;

fn paint(set: Result<Set, Error>) {
    if let Ok(set) = set {
        let classes = set.classes().unwrap();
        // A hostile size costs no more than its limit; here only small ones are painted.
        for image in set.images.iter().filter(|image| image.size.pixels() < 1 << 20) {
            image.class_map(&classes, annotation::Order::Area);
        }
    }
}

proptest! {
    #[test]
    fn damaged_files_never_panic(
        coco_text in nearly(COCO), cvat in nearly(CVAT), studio in nearly(STUDIO), labelme in nearly(LABELME),
        yolo in "[0-9. nai\n-]{0,60}", yaml in "names:[ \n\\[\\]{}:,\"'#a0-9-]{0,40}", noise in ".{0,60}",
        rle in "[0-o]{0,12}",
    ) {
        paint(coco::parse("t.json", coco_text.as_bytes()));
        paint(coco_with("", &annotation(&format!("{{\"size\": [4, 6], \"counts\": {rle:?}}}"))));
        paint(read(Format::Cvat, None, "c.xml", &cvat));
        paint(read(Format::LabelStudio, None, "e.json", &studio));
        paint(read(Format::LabelMe, None, "a.json", &labelme));
        paint(read(Format::Yolo, Some(&["a", "b"]), "a.txt", &yolo));
        let _ = names::from_yaml("d.yaml", &yaml);
        for format in [Format::Cvat, Format::LabelStudio, Format::LabelMe, Format::Yolo] {
            paint(read(format, None, "a", &noise));
        }
    }
}
