//! Ultralytics' text files of segments: a line for each, with its class and relative corners.

pub mod names;

use crate::collect::Collector;
use crate::image::{Image, agree};
use crate::patch::Size;
use crate::problem::{Error, Trouble};
use crate::rule::Rule;
use crate::set::Annotated;
use crate::shape::Geometry;

/// Relative coordinates that Ultralytics still takes.
const RELATIVE: std::ops::RangeInclusive<f32> = -0.01..=1.01;

/// Reads the annotation of one image.
pub(crate) fn read(
    collector: &mut Collector,
    file: &str,
    bytes: &[u8],
    find: &dyn Fn(&str) -> Option<Image>,
) -> Result<(), Error> {
    let name = file.rsplit(['/', '\\']).next().unwrap_or(file);
    let name = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let text = std::str::from_utf8(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
    let agreed = agree(name, None, find(name));
    let (text, (file_name, size)) = match (text, agreed) {
        (Ok(text), Ok(agreed)) => (text, agreed),
        (Err(_), _) => {
            let trouble = Trouble::Malformed("the file is no UTF-8 text".to_owned());
            collector.problem(file, Some(name), None, trouble);
            return Ok(());
        }
        (_, Err(trouble)) => {
            collector.problem(file, Some(name), None, trouble);
            return Ok(());
        }
    };
    let mut image = Annotated { file_name, size, shapes: Vec::new() };
    let categories = collector.listed();
    for (line, text) in text.lines().enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let id = format!("line {}", line + 1);
        match row(text, size, categories.len()) {
            Ok((class, geometry)) => collector.shape(file, &mut image, id, &categories[class], Ok(geometry)),
            Err(trouble) => collector.problem(file, Some(&image.file_name), Some(&id), trouble),
        }
    }
    collector.image(file, image);
    Ok(())
}

/// Reads a line: the class, then x and y in turn.
fn row(text: &str, size: Size, classes: usize) -> Result<(usize, Geometry), Trouble> {
    let mut words = text.split_whitespace();
    let number = |word: &str| word.parse::<f32>().map_err(|_| Trouble::Malformed(format!("\"{word}\" is no number")));
    let class = words.next().unwrap_or_default();
    let index = number(class)?;
    // Ultralytics reads classes as floats too.
    let index = if index.fract() == 0.0 && index >= 0.0 { index as usize } else { usize::MAX };
    let values = words.map(number).collect::<Result<Vec<f32>, _>>()?;
    if values.len() == 4 {
        return Err(Trouble::NoSegmentation);
    }
    if index >= classes {
        return Err(Trouble::UnknownCategory(class.to_owned()));
    }
    let (points, []) = values.as_chunks::<2>() else { return Err(Trouble::OddCoordinates(values.len())) };
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(Trouble::Coordinate(f64::from(*value)));
    }
    if let Some(value) = values.iter().find(|value| !RELATIVE.contains(value)) {
        return Err(Trouble::Relative(f64::from(*value)));
    }
    // In 32 bits, as Ultralytics multiplies: truncation follows.
    let scaled = |&[x, y]: &[f32; 2]| [x * size.width() as f32, y * size.height() as f32].map(f64::from);
    let ring = points.iter().map(scaled).collect();
    Ok((index, Geometry::Polygons { rings: vec![ring], rule: Rule::OpenCv }))
}
