//! LabelMe's JSON.

use crate::collect::Collector;
use crate::image::{Image, agree};
use crate::json;
use crate::patch::Size;
use crate::png_mask;
use crate::problem::{Error, Trouble};
use crate::rule::Rule;
use crate::set::Annotated;
use crate::shape::Geometry;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

/// The image itself (`imageData`) is passed over.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct File {
    shapes: Vec<Shape>,
    image_path: String,
    image_height: Option<u64>,
    image_width: Option<u64>,
}

#[derive(Deserialize)]
struct Shape {
    label: String,
    points: Vec<Vec<f64>>,
    shape_type: Option<String>,
    mask: Option<String>,
}

/// Reads the annotation of one image.
pub(crate) fn read(
    collector: &mut Collector,
    file: &str,
    bytes: &[u8],
    find: &dyn Fn(&str) -> Option<Image>,
) -> Result<(), Error> {
    let raw: File = json::parse(file, "LabelMe's annotation", bytes)?;
    // LabelMe on Windows writes backslashes.
    let path = raw.image_path.replace('\\', "/");
    let claimed = raw.image_width.zip(raw.image_height).map(|(width, height)| [width, height]);
    let (file_name, size) = match agree(&path, claimed, find(&path)) {
        Ok(agreed) => agreed,
        Err(trouble) => {
            collector.problem(file, Some(&path).filter(|path| !path.is_empty()).map(String::as_str), None, trouble);
            return Ok(());
        }
    };
    let mut image = Annotated { file_name, size, shapes: Vec::new() };
    for (index, shape) in raw.shapes.into_iter().enumerate() {
        let geometry = geometry(&shape, size);
        collector.shape(file, &mut image, index.to_string(), &shape.label, geometry);
    }
    collector.image(file, image);
    Ok(())
}

fn geometry(shape: &Shape, size: Size) -> Result<Geometry, Trouble> {
    let pair = |point: &Vec<f64>| match point[..] {
        [x, y] => Ok([x, y]),
        _ => Err(Trouble::Malformed(format!("a point has {} coordinates and needs 2", point.len()))),
    };
    let points = shape.points.iter().map(pair).collect::<Result<Vec<[f64; 2]>, _>>()?;
    let two = |shape| match points[..] {
        [one, other] => Ok([one, other]),
        _ => Err(Trouble::Points { shape, found: points.len(), needs: "2" }),
    };
    let polygon = |rings| Geometry::Polygons { rings, rule: Rule::Pillow };
    match shape.shape_type.as_deref().unwrap_or("polygon") {
        "polygon" => Ok(polygon(vec![points])),
        "oriented_rectangle" if points.len() == 4 => Ok(polygon(vec![points])),
        "oriented_rectangle" => Err(Trouble::Points { shape: "oriented rectangle", found: points.len(), needs: "4" }),
        "circle" => two("circle").map(Geometry::Circle),
        "rectangle" => two("rectangle").map(Geometry::Rectangle),
        "line" => two("line").map(|points| Geometry::Line(points.to_vec())),
        "linestrip" if points.len() > 1 => Ok(Geometry::Line(points)),
        "linestrip" => Err(Trouble::Points { shape: "line strip", found: points.len(), needs: "2 or more" }),
        "point" => match points[..] {
            [point] => Ok(Geometry::Point(point)),
            _ => Err(Trouble::Points { shape: "point", found: points.len(), needs: "1" }),
        },
        "mask" => mask(shape.mask.as_deref(), two("mask")?, size),
        other => Err(Trouble::UnknownShape(format!("\"{other}\""))),
    }
}

/// Decodes a mask: a PNG over the box between two corners, whose pixels are included.
fn mask(text: Option<&str>, corners: [[f64; 2]; 2], size: Size) -> Result<Geometry, Trouble> {
    let text = text.ok_or_else(|| Trouble::Mask("there is none".to_owned()))?;
    let png = STANDARD.decode(text).map_err(|error| Trouble::Mask(format!("it is no base64: {error}")))?;
    let (width, bits) = png_mask::nonzero(&png, size).map_err(Trouble::Mask)?;
    let [from, to] = corners.map(|corner| corner.map(|value| value as i64));
    let height = bits.len() as i64 / i64::from(width.max(1));
    let wanted = [0, 1].map(|axis| to[axis].saturating_sub(from[axis]).saturating_add(1));
    if wanted != [i64::from(width), height] {
        let [w, h] = wanted;
        return Err(Trouble::Mask(format!("it has {width} × {height} pixels, but its box {w} × {h}")));
    }
    Ok(Geometry::Mask { corner: from, width, bits })
}
