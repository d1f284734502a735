//! Label Studio's export as JSON: polygons, boxes and ellipses in percent, and brushes.

mod brush;

use crate::collect::Collector;
use crate::image::{Image, agree};
use crate::json;
use crate::patch::Size;
use crate::problem::{Error, Trouble};
use crate::rule::Rule;
use crate::set::Annotated;
use crate::shape::Geometry;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Task {
    id: Option<u64>,
    data: Option<Value>,
    annotations: Option<Vec<Annotation>>,
}

#[derive(Deserialize)]
struct Annotation {
    #[serde(default)]
    result: Vec<Region>,
    #[serde(default)]
    was_cancelled: bool,
    #[serde(default)]
    ground_truth: bool,
}

#[derive(Deserialize)]
struct Region {
    #[serde(default)]
    id: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    #[serde(default)]
    value: Shape,
    original_width: Option<u64>,
    original_height: Option<u64>,
    image_rotation: Option<f64>,
}

#[derive(Default, Deserialize)]
struct Shape {
    points: Option<Vec<[f64; 2]>>,
    x: Option<f64>,
    y: Option<f64>,
    width: Option<f64>,
    height: Option<f64>,
    #[serde(rename = "radiusX")]
    radius_x: Option<f64>,
    #[serde(rename = "radiusY")]
    radius_y: Option<f64>,
    rotation: Option<f64>,
    rle: Option<Vec<u8>>,
    polygonlabels: Option<Vec<String>>,
    brushlabels: Option<Vec<String>>,
    rectanglelabels: Option<Vec<String>>,
    ellipselabels: Option<Vec<String>>,
    labels: Option<Vec<String>>,
}

impl Shape {
    /// Returns the first label, whichever control gave it, or an empty text.
    fn label(&self) -> String {
        let controls =
            [&self.polygonlabels, &self.brushlabels, &self.rectanglelabels, &self.ellipselabels, &self.labels];
        controls.into_iter().flatten().flatten().next().cloned().unwrap_or_default()
    }
}

/// Reads an export.
pub(crate) fn read(
    collector: &mut Collector,
    file: &str,
    bytes: &[u8],
    find: &dyn Fn(&str) -> Option<Image>,
) -> Result<(), Error> {
    let tasks: Vec<Task> = json::parse(file, "Label Studio's export", bytes)?;
    for (index, task) in tasks.into_iter().enumerate() {
        let (Some(data), Some(annotations)) = (task.data, task.annotations) else {
            let advice = "export the project as JSON, which has \"data\" and \"annotations\" for each task";
            return Err(Error::OtherFormat { file: file.to_owned(), found: "another export of Label Studio", advice });
        };
        let number = task.id.map_or_else(|| format!("task {index}"), |id| format!("task {id}"));
        match image_name(&data) {
            Some(name) => read_task(collector, file, &name, annotations, find),
            None => collector.problem(file, Some(&number), None, Trouble::NoFileName),
        }
    }
    Ok(())
}

/// Returns the name of a task's image: the last part of `data.image`, or of the only text that `data` has.
fn image_name(data: &Value) -> Option<String> {
    let values = data.as_object()?;
    let address = values.get("image").and_then(Value::as_str).or_else(|| {
        let mut texts = values.values().filter_map(Value::as_str);
        texts.next().filter(|_| texts.next().is_none())
    })?;
    // Local files stand in a query: /data/local-files/?d=folder/image.jpg
    let path = address.split_once("?d=").map_or(address, |(_, path)| path);
    let path = path.split(['?', '#']).next().unwrap_or(path);
    path.rsplit(['/', '\\']).next().filter(|name| !name.is_empty()).map(str::to_owned)
}

fn read_task(
    collector: &mut Collector,
    file: &str,
    name: &str,
    annotations: Vec<Annotation>,
    find: &dyn Fn(&str) -> Option<Image>,
) {
    let mut done: Vec<Annotation> = annotations.into_iter().filter(|annotation| !annotation.was_cancelled).collect();
    if done.len() > 1 {
        collector.problem(file, Some(name), None, Trouble::SeveralAnnotations(done.len()));
    }
    let chosen = done.iter().position(|annotation| annotation.ground_truth).unwrap_or(0);
    let regions = if done.is_empty() { Vec::new() } else { done.swap_remove(chosen).result };
    let claimed = regions
        .iter()
        .find_map(|region| region.original_width.zip(region.original_height))
        .map(|(width, height)| [width, height]);
    let (file_name, size) = match agree(name, claimed, find(name)) {
        Ok(agreed) => agreed,
        Err(trouble) => return collector.problem(file, Some(name), None, trouble),
    };
    let mut image = Annotated { file_name, size, shapes: Vec::new() };
    for region in regions {
        let (id, label) = (region.id.clone(), region.value.label());
        let geometry = geometry(region, size);
        collector.shape(file, &mut image, id, &label, geometry);
    }
    collector.image(file, image);
}

/// Turns percent into pixels.
fn geometry(region: Region, size: Size) -> Result<Geometry, Trouble> {
    if let (Some(found_width), Some(found_height)) = (region.original_width, region.original_height) {
        let (width, height) = (size.width(), size.height());
        if (found_width, found_height) != (u64::from(width), u64::from(height)) {
            return Err(Trouble::SizesDisagree { found_width, found_height, width, height });
        }
    }
    if let Some(degrees) = region.image_rotation.filter(|degrees| *degrees != 0.0) {
        return Err(Trouble::Turned(degrees));
    }
    let [width, height] = [size.width(), size.height()].map(f64::from);
    let shape = region.value;
    let missing = |key: &str| Trouble::Malformed(format!("the region has no \"{key}\""));
    let get = |value: Option<f64>, key: &str| value.ok_or_else(|| missing(key));
    let kind = region.kind.unwrap_or_default();
    match kind.trim_end_matches("labels") {
        "polygon" => {
            let points = shape.points.ok_or_else(|| missing("points"))?;
            let ring = points.iter().map(|[x, y]| [x / 100.0 * width, y / 100.0 * height]).collect();
            Ok(Geometry::Polygons { rings: vec![ring], rule: Rule::Coco })
        }
        "brush" => {
            let rle = shape.rle.ok_or_else(|| missing("rle"))?;
            Ok(Geometry::Mask { corner: [0, 0], width: size.width(), bits: brush::decode(&rle, size)? })
        }
        "rectangle" => {
            let [x, y] = [get(shape.x, "x")? / 100.0 * width, get(shape.y, "y")? / 100.0 * height];
            let [w, h] = [get(shape.width, "width")? / 100.0 * width, get(shape.height, "height")? / 100.0 * height];
            // Label Studio turns a box around its upper left corner.
            let (sine, cosine) = shape.rotation.unwrap_or(0.0).to_radians().sin_cos();
            let corner = |[dx, dy]: [f64; 2]| [x + dx * cosine - dy * sine, y + dx * sine + dy * cosine];
            let ring = [[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]].map(corner).to_vec();
            Ok(Geometry::Polygons { rings: vec![ring], rule: Rule::Coco })
        }
        "ellipse" => Ok(Geometry::Ellipse {
            centre: [get(shape.x, "x")? / 100.0 * width, get(shape.y, "y")? / 100.0 * height],
            radii: [get(shape.radius_x, "radiusX")? / 100.0 * width, get(shape.radius_y, "radiusY")? / 100.0 * height],
            degrees: shape.rotation.unwrap_or(0.0),
        }),
        "keypoint" | "choices" | "textarea" | "rating" | "relation" => Err(Trouble::NoArea(kind)),
        _ => Err(Trouble::UnknownShape(format!("\"{kind}\""))),
    }
}
