//! CVAT for images 1.1: polygons, masks, boxes and ellipses.

use crate::collect::Collector;
use crate::image::{Image, agree};
use crate::problem::{Error, Trouble};
use crate::rule::Rule;
use crate::set::Annotated;
use crate::shape::Geometry;
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};
use std::collections::HashMap;

/// State of the reader within the file.
struct Document<'a> {
    file: &'a str,
    collector: &'a mut Collector,
    find: &'a dyn Fn(&str) -> Option<Image>,
    /// Open elements.
    path: Vec<String>,
    /// True once an element was there.
    begun: bool,
    /// Name of another format that the file is of, and the way out.
    other: Option<(&'static str, &'static str)>,
    /// Text of the innermost `name`.
    text: String,
    /// The open image, and its shapes with their `z_order`.
    image: Option<(Annotated, Vec<(i64, Drawn)>)>,
}

/// A shape that waits for the image's end: its id, label, and geometry.
type Drawn = (String, String, Result<Geometry, Trouble>);

/// Reads an export.
pub(crate) fn read(
    collector: &mut Collector,
    file: &str,
    bytes: &[u8],
    find: &dyn Fn(&str) -> Option<Image>,
) -> Result<(), Error> {
    let xml = |reason: String, at: u64| Error::Xml { file: file.to_owned(), reason, at };
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let text = std::str::from_utf8(bytes)
        .map_err(|error| xml("the file is no UTF-8".to_owned(), error.valid_up_to() as u64))?;
    let mut reader = Reader::from_str(text);
    let (path, text) = (Vec::new(), String::new());
    let mut document = Document { file, collector, find, path, begun: false, other: None, text, image: None };
    loop {
        let event = reader.read_event().map_err(|error| xml(error.to_string(), reader.error_position()))?;
        let result = match &event {
            Event::Start(element) => document.open(element),
            Event::Empty(element) => document.open(element).inspect(|()| document.close()),
            Event::End(_) => {
                document.close();
                Ok(())
            }
            Event::Text(text) => {
                document.text.push_str(&text.xml10_content());
                Ok(())
            }
            Event::GeneralRef(name) => {
                let entity = quick_xml::escape::resolve_xml_entity(&name.xml10_content());
                document.text.push_str(entity.unwrap_or_default());
                Ok(())
            }
            Event::Eof => match document.path.last() {
                Some(name) => Err(format!("the file ends within <{name}>")),
                None if document.begun => return Ok(()),
                None => Err("the file has no element".to_owned()),
            },
            _ => Ok(()),
        };
        result.map_err(|reason| xml(reason, reader.buffer_position()))?;
        if let Some((found, advice)) = document.other {
            return Err(Error::OtherFormat { file: file.to_owned(), found, advice });
        }
    }
}

/// Most elements that may stand in one another; CVAT's own are under ten.
const DEEPEST: usize = 64;

impl Document<'_> {
    fn open(&mut self, element: &BytesStart) -> Result<(), String> {
        if self.path.len() >= DEEPEST {
            return Err(format!("elements stand more than {DEEPEST} deep in one another"));
        }
        let name = element.name().as_ref().to_owned();
        self.text.clear();
        self.begun = true;
        let parent = self.path.last().map(String::as_str);
        match (parent, name.as_str()) {
            (None, "annotations") => {}
            (None, _) => {
                let advice = "export the task as CVAT for images 1.1, whose root is <annotations>";
                self.other = Some(("XML of another kind", advice));
            }
            (Some("annotations"), "track") => {
                let advice = "export the task as CVAT for images 1.1, which has each frame's shapes";
                self.other = Some(("CVAT for video", advice));
            }
            (Some("annotations"), "image") => self.open_image(&attributes(element)?),
            (Some("image"), kind) => {
                if let Some((image, shapes)) = &mut self.image {
                    let attributes = attributes(element)?;
                    let id = format!("{kind} {}", shapes.len());
                    let label = attributes.get("label").cloned().unwrap_or_default();
                    let order = attributes.get("z_order").and_then(|order| order.parse().ok()).unwrap_or(0);
                    let geometry = geometry(kind, &attributes, image);
                    shapes.push((order, (id, label, geometry)));
                }
            }
            _ => {}
        }
        self.path.push(name);
        Ok(())
    }

    fn open_image(&mut self, attributes: &HashMap<String, String>) {
        let name = attributes.get("name").cloned().unwrap_or_default();
        let number = |key: &str| attributes.get(key).and_then(|text| text.parse::<u64>().ok());
        let claimed = number("width").zip(number("height")).map(|(width, height)| [width, height]);
        match agree(&name, claimed, (self.find)(&name)) {
            Ok((file_name, size)) => {
                self.image = Some((Annotated { file_name, size, shapes: Vec::new() }, Vec::new()));
            }
            Err(trouble) => {
                let id = attributes.get("id").map(|id| format!("id {id}"));
                let image = if name.is_empty() { id } else { Some(name) };
                self.collector.problem(self.file, image.as_deref(), None, trouble);
            }
        }
    }

    fn close(&mut self) {
        let name = self.path.pop();
        let in_labels = self.path.ends_with(&["labels".to_owned(), "label".to_owned()]);
        match name.as_deref() {
            Some("name") if in_labels => self.collector.declare(self.text.trim()),
            Some("image") if self.path.len() == 1 => {
                if let Some((mut image, mut shapes)) = self.image.take() {
                    shapes.sort_by_key(|(order, _)| *order);
                    for (_, (id, label, geometry)) in shapes {
                        self.collector.shape(self.file, &mut image, id, &label, geometry);
                    }
                    self.collector.image(self.file, image);
                }
            }
            _ => {}
        }
    }
}

/// Returns an element's attributes.
fn attributes(element: &BytesStart) -> Result<HashMap<String, String>, String> {
    let mut attributes = HashMap::new();
    for attribute in element.attributes() {
        let attribute = attribute.map_err(|error| error.to_string())?;
        let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|error| error.to_string())?;
        attributes.insert(attribute.key.as_ref().to_owned(), value.into_owned());
    }
    Ok(attributes)
}

fn geometry(kind: &str, attributes: &HashMap<String, String>, image: &Annotated) -> Result<Geometry, Trouble> {
    let text = |key: &str| {
        attributes.get(key).ok_or_else(|| Trouble::Malformed(format!("<{kind}> has no attribute \"{key}\"")))
    };
    let number = |key: &str| parse::<f64>(text(key)?, key);
    let degrees = attributes.get("rotation").map_or(Ok(0.0), |text| parse::<f64>(text, "rotation"))?;
    match kind {
        "polygon" => {
            let ring = text("points")?.split(';').map(point).collect::<Result<_, _>>()?;
            Ok(Geometry::Polygons { rings: vec![ring], rule: Rule::Coco })
        }
        "box" => {
            let [left, top, right, bottom] = [number("xtl")?, number("ytl")?, number("xbr")?, number("ybr")?];
            let [cx, cy] = [(left + right) / 2.0, (top + bottom) / 2.0];
            // CVAT turns a box around its centre.
            let (sine, cosine) = degrees.to_radians().sin_cos();
            let turn = |[x, y]: [f64; 2]| {
                let [dx, dy] = [x - cx, y - cy];
                if degrees == 0.0 { [x, y] } else { [cx + dx * cosine - dy * sine, cy + dx * sine + dy * cosine] }
            };
            let ring = [[left, top], [right, top], [right, bottom], [left, bottom]].map(turn).to_vec();
            Ok(Geometry::Polygons { rings: vec![ring], rule: Rule::Coco })
        }
        "ellipse" => Ok(Geometry::Ellipse {
            centre: [number("cx")?, number("cy")?],
            radii: [number("rx")?, number("ry")?],
            degrees,
        }),
        "mask" => mask(text("rle")?, ["left", "top", "width", "height"].map(|key| parse(text(key)?, key)), image),
        "polyline" | "points" | "tag" | "cuboid" | "skeleton" => Err(Trouble::NoArea(kind.to_owned())),
        _ => Err(Trouble::UnknownShape(format!("<{kind}>"))),
    }
}

fn parse<T: std::str::FromStr>(text: &str, key: &str) -> Result<T, Trouble> {
    text.trim().parse().map_err(|_| Trouble::Malformed(format!("{key}=\"{text}\" is no number")))
}

/// Reads `x,y`.
fn point(text: &str) -> Result<[f64; 2], Trouble> {
    let pair = text.split_once(',').and_then(|(x, y)| Some([x.trim().parse().ok()?, y.trim().parse().ok()?]));
    pair.ok_or_else(|| Trouble::Malformed(format!("\"{text}\" is no point x,y")))
}

/// Reads a mask's runs: row by row in its box, beginning with the pixels that are not set.
fn mask(rle: &str, place: [Result<i64, Trouble>; 4], image: &Annotated) -> Result<Geometry, Trouble> {
    let [left, top, width, height] = place;
    let (left, top, width, height) = (left?, top?, width?, height?);
    let (columns, rows) = (i64::from(image.size.width()), i64::from(image.size.height()));
    if !(1..=columns).contains(&width) || !(1..=rows).contains(&height) {
        let reason = format!("its box has {width} × {height} pixels, but the image {columns} × {rows}");
        return Err(Trouble::Mask(reason));
    }
    let expected = (width * height) as usize;
    let mut bits = Vec::with_capacity(expected);
    let mut value = false;
    for count in rle.split(',') {
        let count = parse::<u32>(count, "rle")? as usize;
        if count > expected - bits.len() {
            return Err(Trouble::Mask(format!("its runs have more than the {expected} pixels of its box")));
        }
        bits.resize(bits.len() + count, value);
        value = !value;
    }
    if bits.len() < expected {
        return Err(Trouble::Mask(format!("its runs have {} pixels, but its box {expected}", bits.len())));
    }
    Ok(Geometry::Mask { corner: [left, top], width: width as u32, bits })
}
