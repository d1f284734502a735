//! Class maps from annotations: a PNG of 8 bits for each image, painted as its tool does.

use super::texts::{is_due, put};
use crate::cli::{self, Tool};
use crate::common::beside::LEGEND;
use crate::common::files::{self, Partial, Replace};
use crate::common::seal::{Beside, seal};
use crate::common::targets::{Inputs, Targets};
use crate::common::usage::usage;
use annotation::Classes;
use anyhow::{Context, Result, bail};
use data::{Annotations, Color, Contents, Layout, Orientation, Pictured};
use png::{BitDepth, ColorType, Compression, Encoder};
use serde_json::json;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use terminal::{Step, Watch};

/// Writes a class map for each image, and their legend.
pub(super) fn write(args: &cli::Convert, tool: Tool) -> Result<()> {
    let contents = read(args, tool)?;
    let replace = Replace::with(args.overwrite);
    let classes = Classes::new(&contents.categories)?;
    let names = std::iter::once("background").chain(contents.categories.iter().map(|category| &*category.name));
    let legend = |(id, name): (u8, &str)| saved::Class { id, name: name.into(), color: Color::of_class(id) };
    let legend: Vec<saved::Class> = (0..=u8::MAX).zip(names).map(legend).collect();
    let shown: Vec<String> = legend.iter().map(|class| format!("{} {}", class.id, class.name)).collect();
    let legend = format!("{:#}\n", json!(legend));
    let path = |image: &Pictured| args.output.join(format!("{}.png", image.name));
    let mut inputs = Inputs::default();
    for image in &contents.images {
        inputs.add(&image.path);
        inputs.add(&image.file);
    }
    let (mut targets, mut folders) = (Targets::new(inputs, replace), BTreeSet::from([args.output.clone()]));
    for image in &contents.images {
        targets.add(&path(image), &image.path)?;
        folders.insert(files::folder(&path(image)).to_path_buf());
    }
    targets.check()?;
    let legend_is_due = is_due(&args.output.join(LEGEND), &legend, replace)?;
    for folder in &folders {
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        files::clean(folder, files::LEFT_OVER);
    }
    put(&args.output.join(LEGEND), &legend, legend_is_due)?;
    contents.problems.iter().for_each(|problem| log::warn!("{problem}; the annotation is left out"));
    let mut watch = Watch::new("Painting", 0, contents.images.len() as u64);
    for image in &contents.images {
        let (map, size) = (image.drawing.class_map(&classes, &image.file)?, image.drawing.size());
        place(&path(image), &encoded(&map, [size.height(), size.width()])?, replace)?;
        watch.step(&Step { samples: 1, ..Step::default() });
    }
    drop(watch);
    let (count, output) = (contents.images.len(), args.output.display());
    log::info!("Wrote {count} class maps (grey values: {}) to {output}", shown.join(", "));
    if contents.wrong > 0 {
        bail!("{} annotations could not be painted, so their pixels are those of something else", contents.wrong);
    }
    Ok(())
}

/// Reads the annotations, and checks that each image has the size that it was annotated at.
fn read(args: &cli::Convert, tool: Tool) -> Result<Contents> {
    let text = |path: &Path| {
        let shown = path.display();
        path.to_str().map(str::to_owned).ok_or_else(|| usage(format!("{shown} is no UTF-8: rename it")))
    };
    let names = match &args.names {
        None if tool == Tool::Yolo => Some(yolo_names(&args.source)?),
        names => names.clone(),
    };
    let names = names.as_deref().map(text).transpose()?;
    let images = text(args.images.as_deref().unwrap_or(Path::new("")))?;
    let mut annotations = Annotations::new(PathBuf::new(), images, text(&args.source)?, names);
    annotations.panoptic = args.panoptic.as_deref().map(text).transpose()?;
    let read = annotations.contents(match tool {
        Tool::Coco => data::Tool::Coco,
        Tool::Labelme => data::Tool::LabelMe,
        Tool::Yolo => data::Tool::Yolo,
        Tool::LabelStudio => data::Tool::LabelStudio,
        Tool::Cvat => data::Tool::Cvat,
    });
    let contents = read.map_err(|error| match error {
        // Its advice is for a configuration.
        data::Error::Missing { what, path, .. } => {
            usage(format!("looked for the {what} at {} and found none", path.display()))
        }
        error => error.into(),
    })?;
    for image in &contents.images {
        let [height, width] = data::dimensions(&image.path, &Layout::from(3), Orientation::default())?;
        if let Some(problem) = image.drawing.check_size(&image.file, width, height) {
            bail!("{problem}; annotate the image again, or take it out of the file");
        }
    }
    Ok(contents)
}

/// Finds the list of names of YOLO's texts: in their folder, or up to three above it.
fn yolo_names(source: &Path) -> Result<PathBuf> {
    let real = source.canonicalize().with_context(|| source.display().to_string())?;
    let mut lists = real.ancestors().take(4).map(|folder| folder.join("data.yaml"));
    lists.find(|path| path.is_file()).ok_or_else(|| {
        let shown = source.display();
        usage(format!("no data.yaml in {shown} or the three folders above it: give --names, a data.yaml or a text"))
    })
}

/// Encodes a class map.
fn encoded(map: &[u8], [height, width]: [u32; 2]) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut encoder = Encoder::new(&mut bytes, width, height);
    encoder.set_color(ColorType::Grayscale);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    let written = encoder.write_header().and_then(|mut writer| {
        writer.write_image_data(map)?;
        writer.finish()
    });
    written.context("encoding a PNG")?;
    Ok(bytes)
}

fn place(path: &Path, bytes: &[u8], replace: Replace) -> Result<()> {
    let partial = Partial::of(path, bytes)?;
    seal(&mut partial.file()?, &Beside::new()).with_context(|| partial.doing())?;
    partial.check(replace)?;
    partial.place()
}
