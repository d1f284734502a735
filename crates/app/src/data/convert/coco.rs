//! COCO's file of instances from class maps or predictions.

use super::texts::{is_due, names, put};
use crate::cli;
use crate::common::beside::{LEGEND, map_of};
use crate::common::files::Replace;
use crate::common::targets::{Inputs, Targets};
use crate::common::usage::usage;
use annotation::coco::write::{Form, Instances};
use annotation::{By, MAX_PIXELS, Neighbours, Size};
use anyhow::{Context, Result};
use data::{Layout, Orientation};
use png::{BitDepth, ColorType, Decoder, Limits, Transformations};
use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};

/// Writes the annotations of all class maps in a folder.
pub(super) fn write(args: &cli::Convert) -> Result<()> {
    let names = class_names(args)?;
    let maps = maps(&args.source)?;
    let images = args.images.as_deref().map(images).transpose()?;
    let mut inputs = Inputs::default();
    let mut instances = Instances::new(&names);
    for map in &maps {
        let path = args.source.join(map);
        let ([height, width], ids) = read(&path)?;
        let name = match &images {
            Some(images) => {
                let (name, image) = image_of(images, map, args)?;
                inputs.add(&image);
                let found = data::dimensions(&image, &Layout::from(3), Orientation::default())?;
                if found != [height, width] {
                    let (shown, image) = (path.display(), image.display());
                    let problem =
                        format!("{shown} has {width} × {height} pixels, and {image} {} × {}", found[1], found[0]);
                    return Err(usage(problem));
                }
                name
            }
            None => map.clone(),
        };
        inputs.add(&path);
        let size = Size::new(width.into(), height.into())?;
        let form = Form::Polygons { tolerance: 0.0 };
        let added = instances.add(&name, &ids, size, By::Component(Neighbours::Four), form);
        added.with_context(|| path.display().to_string())?;
    }
    let text = format!("{}\n", serde_json::to_string(&instances)?);
    let replace = Replace::with(args.overwrite);
    let is_due = is_due(&args.output, &text, replace)?;
    Targets::new(inputs, Replace::All).add(&args.output, &args.output)?;
    put(&args.output, &text, is_due)?;
    log::info!("Wrote the annotations of {} images to {}", maps.len(), args.output.display());
    Ok(())
}

/// Returns the names of the classes 1, 2, ….
fn class_names(args: &cli::Convert) -> Result<Vec<String>> {
    if let Some(path) = &args.names {
        return names(path);
    }
    let path = args.source.join(LEGEND);
    let shown = path.display();
    let text = fs::read(&path).map_err(|error| {
        usage(format!("{shown}, which would name the classes: {error}; give --names, a text with a name a line"))
    })?;
    let classes: Vec<saved::Class> =
        serde_json::from_slice(&text).map_err(|error| usage(format!("{shown} is no list of classes: {error}")))?;
    if let Some((at, class)) = (0..).zip(&classes).find(|(at, class)| class.id != *at) {
        let (name, id) = (&class.name, class.id);
        return Err(usage(format!("{shown}: the class {name} has the id {id} and stands in the place of {at}")));
    }
    if let Some(first) = classes.first().filter(|class| class.name != "background") {
        log::warn!("{shown}: the class 0 ({}) is taken for the background, which has no annotations", first.name);
    }
    Ok(classes.into_iter().skip(1).map(|class| class.name).collect())
}

/// Finds the class maps: paths below the folder, in the order of their names.
fn maps(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for file in data::walk(folder) {
        let file = file?;
        if let Some(path) = below(&file, folder).filter(|path| path.ends_with(".png")) {
            found.push(path);
        }
    }
    let all: HashSet<&Path> = found.iter().map(Path::new).collect();
    let is_map = |path: &&String| !map_of(Path::new(path)).is_some_and(|map| all.contains(&*map));
    let kept: Vec<String> = found.iter().filter(is_map).cloned().collect();
    if kept.is_empty() {
        return Err(usage(format!("no class map (.png) in {}", folder.display())));
    }
    Ok(kept)
}

/// Finds images by their paths below the folder, without extensions.
fn images(folder: &Path) -> Result<HashMap<String, Vec<PathBuf>>> {
    let mut found = HashMap::<String, Vec<PathBuf>>::new();
    for file in data::walk(folder) {
        let file = file?;
        let Some(path) = below(&file, folder).filter(|_| data::may_be_image(&file)) else { continue };
        let stem = path.rsplit_once('.').map_or(&*path, |(stem, _)| stem);
        found.entry(stem.to_owned()).or_default().push(file);
    }
    Ok(found)
}

/// Returns the image of a class map, with its path below the folder of images.
fn image_of(images: &HashMap<String, Vec<PathBuf>>, map: &str, args: &cli::Convert) -> Result<(String, PathBuf)> {
    let folder = args.images.as_deref().unwrap_or(Path::new(""));
    let stem = map.trim_end_matches(".png");
    match images.get(stem).map(Vec::as_slice) {
        Some([image]) => Ok((below(image, folder).unwrap_or_default(), image.clone())),
        Some(several) => Err(usage(format!("{} images in {} are called {stem}", several.len(), folder.display()))),
        None => {
            let map = args.source.join(map);
            Err(usage(format!("there is no image of {} in {}", map.display(), folder.display())))
        }
    }
}

/// Returns the path below a folder, with slashes.
fn below(file: &Path, folder: &Path) -> Option<String> {
    let parts = file.strip_prefix(folder).ok()?.iter().map(|part| part.to_str());
    parts.collect::<Option<Vec<&str>>>().map(|parts| parts.join("/"))
}

/// Reads a class map, with its height and width.
fn read(path: &Path) -> Result<([u32; 2], Vec<u8>)> {
    let shown = || path.display().to_string();
    let limits = Limits { bytes: 256 << 20 };
    let mut decoder = Decoder::new_with_limits(BufReader::new(File::open(path).with_context(shown)?), limits);
    decoder.set_transformations(Transformations::IDENTITY);
    let mut reader = decoder.read_info().with_context(shown)?;
    let info = reader.info();
    let (width, height) = (info.width, info.height);
    let is_map = info.bit_depth == BitDepth::Eight
        && matches!(info.color_type, ColorType::Grayscale | ColorType::Indexed)
        && u64::from(width) * u64::from(height) <= MAX_PIXELS;
    if !is_map {
        let (color, depth) = (info.color_type, info.bit_depth as u8);
        return Err(usage(format!(
            "{} is no class map, which is a PNG of one channel with 8 bits: it is {color:?} of {depth} bits with \
             {width} × {height} pixels",
            path.display()
        )));
    }
    let mut ids = vec![0; width as usize * height as usize];
    reader.next_frame(&mut ids).with_context(shown)?;
    Ok(([height, width], ids))
}
