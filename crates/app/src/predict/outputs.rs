//! Writes the files of one image, row by row.

mod geo;
mod npy;
mod png;

use super::predicted::Rows;
use crate::cli::Also;
use crate::common::files::{Partial, Replace};
use crate::common::paint::{self, Style};
use crate::common::seal::{Beside, CLASSES_TIF, POLYGONS, PROBABILITIES, PROBABILITIES_TIF, beside};
use ::png::{BitDepth, ColorType};
use anyhow::{Context, Result};
use data::{Color, IGNORE, Layout, Orientation, Pixels, Shown, Strips};
use geo::{Polygons, Tif};
use npy::Npy;
use png::Png;
use std::fs;
use std::path::{Path, PathBuf};

/// Output files of every image, and their style.
pub struct Plan {
    /// Files in addition to the class map.
    pub also: Vec<Also>,
    /// Names and colours of the classes.
    pub names: Vec<String>,
    pub colors: Vec<Color>,
    /// EXIF orientation: apply it or ignore it.
    pub orientation: Orientation,
    /// The images as they are shown.
    pub layout: Layout,
    /// Existing files that may be replaced.
    pub replace: Replace,
}

impl Plan {
    /// Returns whether any file holds probabilities.
    pub fn has_probabilities(&self) -> bool {
        self.also.iter().any(|what| matches!(what, Also::Png16 | Also::Npy | Also::GeotiffProbabilities))
    }

    /// Returns the files of an image under the name `base`.
    pub fn paths(&self, base: &Path) -> Vec<PathBuf> {
        let mut suffixes = vec![MAP.to_string()];
        for what in &self.also {
            match what {
                Also::Overlay => suffixes.push(OVERLAY.into()),
                Also::Contour => suffixes.push(CONTOUR.into()),
                Also::Color => suffixes.push(COLOR.into()),
                Also::Png16 => suffixes.extend((0..self.colors.len()).map(probability)),
                Also::Npy => suffixes.push(PROBABILITIES.into()),
                Also::Geotiff => suffixes.push(CLASSES_TIF.into()),
                Also::GeotiffProbabilities => suffixes.push(PROBABILITIES_TIF.into()),
                Also::Polygons => suffixes.push(POLYGONS.into()),
            }
        }
        suffixes.iter().map(|suffix| with(base, suffix)).collect()
    }
}

/// Suffixes of an image's output files.
const MAP: &str = ".png";
const OVERLAY: &str = "_overlay.png";
const CONTOUR: &str = "_contour.png";
const COLOR: &str = "_color.png";

fn probability(class: usize) -> String {
    format!("_probability_{class}.png")
}

fn with(base: &Path, suffix: &str) -> PathBuf {
    let mut path = base.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

/// Files of one image. They are published together once they are complete, or not at all.
pub struct Outputs<'a> {
    plan: &'a Plan,
    width: usize,
    files: Vec<Output>,
    /// The image, if it is drawn over or may have unknown pixels; once more for the rows of probabilities.
    image: Option<Strips>,
    /// Brightness of the image, if it is drawn over.
    shown: Option<Shown>,
    of_probabilities: Option<Strips>,
    /// Number of rows whose classes were written, and the class ids of the last one.
    done: usize,
    above: Vec<u8>,
    /// Number of rows whose probabilities were written.
    numbers_done: usize,
}

enum Output {
    Ids(Png),
    Drawn(Style, Png),
    /// A file for each class.
    Png16(Vec<Png>),
    Npy(Npy),
    Tif(Tif),
    ProbabilitiesTif(Tif),
    Polygons(Polygons),
}

impl<'a> Outputs<'a> {
    /// Starts the files of the image `file`, of this height and width, under the name `base` with their suffixes.
    pub fn create(plan: &'a Plan, base: &Path, file: &Path, size: [u32; 2]) -> Result<Self> {
        let classes = plan.colors.len();
        if let Some(folder) = base.parent() {
            fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        }
        let grey = |suffix: &str, depth| Png::create(&with(base, suffix), size, ColorType::Grayscale, depth);
        let drawn = |suffix: &str, style| {
            let png = Png::create(&with(base, suffix), size, ColorType::Rgb, BitDepth::Eight)?;
            Ok::<_, anyhow::Error>(Output::Drawn(style, png))
        };
        let mut files = vec![Output::Ids(grey(MAP, BitDepth::Eight)?)];
        for what in &plan.also {
            files.push(match what {
                Also::Overlay => drawn(OVERLAY, Style::Overlay)?,
                Also::Contour => drawn(CONTOUR, Style::Contour)?,
                Also::Color => drawn(COLOR, Style::Color)?,
                Also::Png16 => {
                    let of_class = |id: usize| grey(&probability(id), BitDepth::Sixteen);
                    Output::Png16((0..classes).map(of_class).collect::<Result<_>>()?)
                }
                Also::Npy => Output::Npy(Npy::create(&with(base, PROBABILITIES), size, classes)?),
                Also::Geotiff => Output::Tif(Tif::of_classes(&with(base, CLASSES_TIF), size, geo::place(file))?),
                Also::GeotiffProbabilities => {
                    let path = with(base, PROBABILITIES_TIF);
                    Output::ProbabilitiesTif(Tif::of_probabilities(&path, size, classes, geo::place(file))?)
                }
                Also::Polygons => {
                    Output::Polygons(Polygons::create(&with(base, POLYGONS), size, &plan.names, geo::place(file))?)
                }
            });
        }
        let over = |what: &Also| matches!(what, Also::Overlay | Also::Contour);
        let is_drawn = plan.also.iter().any(over);
        let shown = is_drawn.then(|| Shown::of_file(file, &plan.layout, plan.orientation)).transpose()?;
        let is_read = is_drawn || !plan.layout.is_plain();
        let image = is_read.then(|| Strips::open(file, plan.layout.clone(), plan.orientation)).transpose()?;
        let may_be_unknown = plan.also.contains(&Also::GeotiffProbabilities) && !plan.layout.is_plain();
        let of_probabilities = may_be_unknown.then(|| Strips::open(file, plan.layout.clone(), plan.orientation));
        Ok(Self {
            plan,
            width: size[1] as usize,
            files,
            image,
            shown,
            of_probabilities: of_probabilities.transpose()?,
            done: 0,
            above: Vec::new(),
            numbers_done: 0,
        })
    }

    /// Adds the probabilities of the next rows.
    pub fn add_probabilities(&mut self, rows: &Rows) -> Result<()> {
        let mut unknown = Vec::new();
        if let Some(strips) = &mut self.of_probabilities {
            let mut ignored = Pixels::new(self.plan.layout.depth);
            strips.read((rows.ids.len() / self.width) as u32, &mut ignored)?;
            unknown.extend_from_slice(strips.unknown());
        }
        for output in &mut self.files {
            match output {
                Output::Npy(npy) => npy.write(&rows.probabilities, self.numbers_done)?,
                Output::Png16(all) => {
                    let of_class = rows.ids.len();
                    for (png, probabilities) in all.iter_mut().zip(rows.probabilities.chunks_exact(of_class)) {
                        let wide = |share: &f32| ((share * 65535.0).round() as u16).to_be_bytes();
                        png.write(&probabilities.iter().flat_map(wide).collect::<Vec<u8>>())?;
                    }
                }
                Output::ProbabilitiesTif(tif) => {
                    let pixels = rows.ids.len();
                    let classes = rows.probabilities.len() / pixels.max(1);
                    let mut numbers = Vec::with_capacity(rows.probabilities.len());
                    for pixel in 0..pixels {
                        let is_unknown = unknown.get(pixel).copied().unwrap_or_default();
                        let share = |class: usize| rows.probabilities[class * pixels + pixel];
                        numbers.extend((0..classes).map(|class| if is_unknown { f32::NAN } else { share(class) }));
                    }
                    tif.write(&numbers.into())?;
                }
                Output::Ids(_) | Output::Drawn(..) | Output::Tif(_) | Output::Polygons(_) => {}
            }
        }
        self.numbers_done += rows.ids.len() / self.width;
        Ok(())
    }

    /// Adds the class ids of the next rows.
    pub fn add_ids(&mut self, all: &[u8]) -> Result<()> {
        let count = all.len() / self.width;
        let (mut photograph, mut known) = (Vec::new(), all.to_vec());
        if let Some(strips) = &mut self.image {
            let mut rows = Pixels::new(self.plan.layout.depth);
            strips.read(count as u32, &mut rows)?;
            if let Some(shown) = &self.shown {
                photograph = shown.picture(&rows, strips.unknown());
            }
            let ids = known.iter_mut().zip(strips.unknown());
            ids.filter(|(_, unknown)| **unknown).for_each(|(id, _)| *id = IGNORE);
        }
        let all = &known[..];
        for output in &mut self.files {
            match output {
                Output::Ids(png) => png.write(all)?,
                Output::Drawn(style, png) => {
                    let is_bare = *style == Style::Color;
                    let mut rgb = if is_bare { vec![0; 3 * all.len()] } else { photograph.clone() };
                    let mut above = Some(&*self.above).filter(|above| !above.is_empty());
                    let lines = rgb.chunks_exact_mut(3 * self.width).zip(all.chunks_exact(self.width));
                    for (number, (rgb, ids)) in lines.enumerate() {
                        paint::draw(*style, rgb, ids, above, self.done + number, &self.plan.colors);
                        above = Some(ids);
                    }
                    png.write(&rgb)?;
                }
                Output::Tif(tif) => tif.write(&all.to_vec().into())?,
                Output::Polygons(polygons) => polygons.write(all),
                Output::Npy(_) | Output::Png16(_) | Output::ProbabilitiesTif(_) => {}
            }
        }
        self.done += count;
        self.above = all.chunks_exact(self.width).next_back().unwrap_or_default().to_vec();
        Ok(())
    }

    /// Publishes the files, the class map first, since it knows the files that belong to it.
    pub fn finish(self) -> Result<()> {
        let (mut map, mut others, mut sums) = (None, Vec::new(), Beside::new());
        for output in self.files {
            let (suffix, (file, checksum)) = match output {
                Output::Ids(png) => {
                    map = Some(png);
                    continue;
                }
                Output::Drawn(_, png) => {
                    others.push(png.finish(&Beside::new())?);
                    continue;
                }
                Output::Png16(all) => {
                    for png in all {
                        others.push(png.finish(&Beside::new())?);
                    }
                    continue;
                }
                Output::Npy(npy) => (PROBABILITIES, npy.finish()?),
                Output::Tif(tif) => (CLASSES_TIF, tif.finish()?),
                Output::ProbabilitiesTif(tif) => (PROBABILITIES_TIF, tif.finish()?),
                Output::Polygons(polygons) => (POLYGONS, polygons.finish()?),
            };
            others.push(file);
            sums.insert(suffix, checksum);
        }
        let Some(map) = map else { return Ok(()) };
        // Earlier files that are not rewritten stay ours.
        let mut all_sums = beside(map.path());
        all_sums.extend(sums);
        let map = map.finish(&all_sums)?;
        let all: Vec<Partial> = std::iter::once(map).chain(others).collect();
        // All are checked before one is replaced: the existing class map knows its files.
        all.iter().try_for_each(|file| file.check(self.plan.replace))?;
        all.into_iter().try_for_each(Partial::place)
    }
}

#[cfg(test)]
mod tests;
