//! Shapes of any file, in one form.

use crate::patch::{Patch, Size};
use crate::problem::Trouble;
use crate::rle::Rle;
use crate::rule::{Rule, coco, opencv, pillow, pillow_shapes};

/// Farthest coordinate from 0 that a shape may have, in pixels.
const FARTHEST: f64 = 1e6;

/// Geometry of one shape, in pixels: (0, 0) is the image's upper left corner.
#[derive(Clone, Debug, PartialEq)]
pub enum Geometry {
    /// Polygons whose pixels are those of any of them.
    Polygons {
        /// Corners `[x, y]`; the last is joined with the first.
        rings: Vec<Vec<[f64; 2]>>,
        /// Tool whose pixels they get.
        rule: Rule,
    },
    /// A mask as run lengths over the whole image.
    Runs(Rle),
    /// A mask over a part of the image.
    Mask {
        /// Column and row of the mask's upper left pixel.
        corner: [i64; 2],
        /// Width of the mask in pixels.
        width: u32,
        /// True for pixels of the shape, row by row.
        bits: Vec<bool>,
    },
    /// LabelMe's circle: its centre, and a point of its rim.
    Circle([[f64; 2]; 2]),
    /// LabelMe's rectangle: two opposite corners, whose pixels are included.
    Rectangle([[f64; 2]; 2]),
    /// LabelMe's line through points, 10 pixels wide.
    Line(Vec<[f64; 2]>),
    /// LabelMe's point: a disc of 5 pixels' radius.
    Point([f64; 2]),
    /// An ellipse; a pixel is of it if the pixel's centre is in it.
    Ellipse {
        /// Its centre.
        centre: [f64; 2],
        /// Half its axes.
        radii: [f64; 2],
        /// Degrees by which the first axis is turned from x towards y, clockwise on a screen.
        degrees: f64,
    },
}

impl Geometry {
    /// Rasterises the shape as its tool does.
    pub fn patch(&self, size: Size) -> Patch {
        match self {
            Geometry::Polygons { rings, rule } => polygons(rings, *rule, size),
            Geometry::Runs(runs) => runs.to_patch(),
            Geometry::Mask { corner, width, bits } => mask(*corner, *width, bits, size),
            Geometry::Circle([centre, rim]) => pillow_shapes::circle(*centre, *rim, size),
            Geometry::Rectangle([one, other]) => pillow_shapes::rectangle(*one, *other, size),
            Geometry::Line(points) => pillow_shapes::line(points, size),
            Geometry::Point(centre) => pillow_shapes::point(*centre, size),
            Geometry::Ellipse { centre, radii, degrees } => ellipse(*centre, *radii, *degrees, size),
        }
    }

    /// Checks that points suffice, that coordinates are numbers, and that the shape meets its image.
    pub(crate) fn check(&self, size: Size) -> Result<(), Trouble> {
        let points: Vec<[f64; 2]> = match self {
            Geometry::Polygons { rings, .. } => {
                if let Some(ring) = rings.iter().find(|ring| ring.len() < 3) {
                    return Err(Trouble::Points { shape: "polygon", found: ring.len(), needs: "3 or more" });
                }
                rings.concat()
            }
            Geometry::Runs(_) => return Ok(()),
            Geometry::Mask { corner, width, bits } => {
                let height = bits.len() / (*width).max(1) as usize;
                let corner = corner.map(|value| value as f64);
                vec![corner, [corner[0] + f64::from(*width), corner[1] + height as f64]]
            }
            Geometry::Circle([centre, rim]) => {
                let radius = (centre[0] - rim[0]).hypot(centre[1] - rim[1]);
                vec![centre.map(|value| value - radius), centre.map(|value| value + radius)]
            }
            Geometry::Rectangle(corners) => corners.to_vec(),
            Geometry::Line(points) => points.clone(),
            Geometry::Point(centre) => vec![*centre],
            Geometry::Ellipse { centre, radii, .. } => {
                let reach = radii[0].max(radii[1]);
                vec![centre.map(|value| value - reach), centre.map(|value| value + reach)]
            }
        };
        if let Some(value) = points.iter().flatten().find(|value| value.is_nan() || value.abs() > FARTHEST) {
            return Err(Trouble::Coordinate(*value));
        }
        let bound = |axis: usize, start: f64, pick: fn(f64, f64) -> f64| {
            points.iter().map(|point| point[axis]).fold(start, pick)
        };
        let [left, top] = [0, 1].map(|axis| bound(axis, f64::INFINITY, f64::min));
        let [right, bottom] = [0, 1].map(|axis| bound(axis, f64::NEG_INFINITY, f64::max));
        let (width, height) = (size.width(), size.height());
        if right < 0.0 || bottom < 0.0 || left > f64::from(width) || top > f64::from(height) {
            return Err(Trouble::Outside { left, top, right, bottom, width, height });
        }
        Ok(())
    }
}

fn polygons(rings: &[Vec<[f64; 2]>], rule: Rule, size: Size) -> Patch {
    let one = |ring: &Vec<[f64; 2]>| match rule {
        Rule::Coco => coco::polygon(ring, size).to_patch(),
        Rule::Pillow => pillow::polygon(ring, size),
        Rule::OpenCv => opencv::polygon(ring, size),
    };
    match rings {
        [ring] => one(ring),
        _ => {
            let mut patch = Patch::whole(size);
            rings.iter().for_each(|ring| patch.add(&one(ring)));
            patch
        }
    }
}

fn mask([left, top]: [i64; 2], width: u32, bits: &[bool], size: Size) -> Patch {
    let columns = width.max(1) as usize;
    let height = bits.len() / columns;
    let mut patch = Patch::over(size, [left, top], [left + i64::from(width) - 1, top + height as i64 - 1]);
    for (y, row) in bits.chunks_exact(columns).enumerate() {
        for (x, _) in row.iter().enumerate().filter(|(_, bit)| **bit) {
            patch.set(left + x as i64, top + y as i64);
        }
    }
    patch
}

fn ellipse(centre: [f64; 2], radii: [f64; 2], degrees: f64, size: Size) -> Patch {
    let reach = radii[0].abs().max(radii[1].abs());
    let bound = |side: f64| centre.map(|value| (value + side * reach).floor().clamp(-1e9, 1e9) as i64);
    let (from, to) = (bound(-1.0), bound(1.0));
    let mut patch = Patch::over(size, from, to);
    let (sine, cosine) = degrees.to_radians().sin_cos();
    for y in from[1].max(0)..=to[1].min(i64::from(size.height())) {
        for x in from[0].max(0)..=to[0].min(i64::from(size.width())) {
            let [dx, dy] = [x as f64 + 0.5 - centre[0], y as f64 + 0.5 - centre[1]];
            let along = (dx * cosine + dy * sine) / radii[0];
            let across = (dy * cosine - dx * sine) / radii[1];
            if along * along + across * across <= 1.0 {
                patch.set(x, y);
            }
        }
    }
    patch
}

/// One annotation of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// Id in its file, or its position there, from 0.
    pub id: String,
    /// Category's id; `None` paints the background.
    pub category: Option<u64>,
    /// True for pixels that are to be ignored: a crowd, or a shape that its tool leaves out.
    pub crowd: bool,
    /// Geometry in pixels.
    pub geometry: Geometry,
}
