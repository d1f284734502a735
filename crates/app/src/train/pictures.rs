//! Writes the part of the log that is for TensorBoard alone: pictures, distributions, curves, and a description of the
//! run.

mod graph;

use crate::common::closer::{self, Best, Details, Shown};
use crate::common::config::{Config, flat};
use crate::common::network::Network;
use crate::common::output;
use crate::common::paint::{self, Style};
use crate::report::SAMPLES;
use anyhow::Result;
use contract::Progress;
use data::{Color, Loader};
use executors::Training;
use font8x8::UnicodeFonts;
use image::{GrayImage, Rgb, RgbImage, imageops};
use metric::{Confusion, Threshold};
use optim::Gradients;
use serde_json::Value;
use session::Session;
use summary::{Counts, Histogram, Hyper, Image, Stage};
use tch::{Device, Kind, Tensor};

/// Scores that runs are compared by.
pub const COMPARED: [&str; 4] = ["loss", "accuracy", "mean_iou", "mean_dice"];
/// Approximate number of values taken from a larger tensor, at a constant stride.
const VALUES: i64 = 16_384;
/// Pixels between the parts of a picture, and side of a letter.
const GAP: u32 = 4;
const LETTER: u32 = 8;

/// Pictures, curves and distributions of a training, and the look at its best network.
pub struct Pictures<'p> {
    config: &'p Config,
    network: &'p Network,
    input: &'p Loader,
    gradients: &'p Gradients,
    has_graph: bool,
    /// Look at the best network of this call, if one was requested.
    pub best: Option<Best>,
}

impl<'p> Pictures<'p> {
    /// Creates them for the validation data in `input`; `gradients` gives those of an update.
    pub fn new(config: &'p Config, network: &'p Network, input: &'p Loader, gradients: &'p Gradients) -> Self {
        Self { config, network, input, gradients, has_graph: false, best: None }
    }

    /// Writes the description of the run, whenever it starts or resumes.
    pub fn opening(&self, session: &mut Session, environment: &[(String, String)]) -> Result<()> {
        if !self.config.summary.tensorboard {
            return Ok(());
        }
        let (classes, colors) = (self.config.data.classes(), self.config.data.colors());
        let row = |cells: [&str; 2]| format!("| {} | {} |\n", escaped(cells[0]), escaped(cells[1]));
        let table = |head: [&str; 2], rows: String| format!("{}|---|---|\n{rows}", row(head));
        let environment = environment.iter().map(|(name, value)| row([name, value])).collect();
        let colors = classes.iter().zip(colors).map(|(name, color)| row([name, &color.to_string()])).collect();
        let lines = self.config.resolved()?.lines().map(|line| format!("    {line}\n")).collect::<String>();
        let values: Vec<(String, Hyper)> = flat(self.config).into_iter().filter_map(hyper).collect();
        let scores: Vec<String> = COMPARED.map(String::from).into();
        session.write(|summary| summary.text("configuration", &lines))?;
        session.write(|summary| summary.text("environment", &table(["what", "value"], environment)))?;
        session.write(|summary| summary.text("classes", &table(["class", "colour"], colors)))?;
        session.write(|summary| summary.layout(&classes))?;
        Ok(session.write(|summary| summary.hparams(&values, &scores))?)
    }

    /// Asks for the gradients of the next update if their distributions are due: it is the last of its epoch, that of
    /// the last batch or of batches that are left over.
    pub fn ask(&self, session: &Session, training: &Training) {
        let next = training.progress();
        let due = session.summary().is_some_and(|summary| summary.histograms_due(next.epoch + 1));
        if next.batch + 1 >= training.trainer.input.len() && due {
            self.gradients.ask();
        }
    }

    /// Returns how many first and how many extreme samples the next validation shall keep, if TensorBoard or the report
    /// needs any and this rank writes.
    pub fn wanted(&self, session: &Session) -> Result<Option<[usize; 2]>> {
        let summary = &self.config.summary;
        let Some(log) = session.summary() else { return Ok(None) };
        let first = usize::try_from(log.samples())?;
        Ok(match (summary.tensorboard, summary.report) {
            (false, false) => None,
            (true, false) => Some([first, first]),
            (_, true) => Some([first, first.max(SAMPLES)]),
        })
    }

    /// Takes in the validation at the end of an epoch: writes precision-recall curves, the predictions for the first
    /// and the worst samples, and the distributions of weights and gradients, and keeps the look at the best network.
    /// After the first epoch, also writes the network's graph, which would have delayed that epoch.
    pub fn validated(
        &mut self,
        session: &mut Session,
        at: Progress,
        confusion: Confusion,
        look: Option<Details>,
    ) -> Result<()> {
        if let Some(look) = look {
            self.write(session, at, &look)?;
            let checkpoint = &self.config.checkpoint.keep;
            let score = output::score(session.validation(), &checkpoint.best);
            self.best = Best::of(self.best.take(), checkpoint.mode, score, at, (confusion, look));
        }
        self.histograms(session, at)
    }

    fn write(&mut self, session: &mut Session, at: Progress, Details { detail, gallery }: &Details) -> Result<()> {
        if !self.config.summary.tensorboard {
            return Ok(());
        }
        let data = &self.config.data;
        let curves = data.classes().into_iter().zip(detail.thresholds()?);
        let curves = curves.map(|(class, counts)| (class, counts.into_iter().map(counted).collect())).collect();
        session.write(|summary| summary.pr_curves(Stage::Validation, at.epoch, at.step, curves))?;
        let (first, mut worst) = (gallery.first()?, gallery.worst()?);
        worst.truncate(usize::try_from(session.summary().map_or(0, |summary| summary.samples()))?);
        for (name, predicted) in [("samples", first), ("worst", worst)] {
            let shown = closer::show(self.input, data, &predicted);
            match shown.and_then(|shown| shown.iter().map(|shown| panel(shown, data)).collect()) {
                Ok(panels) => {
                    session.write(|summary| summary.images(Stage::Validation, at.epoch, at.step, name, panels))?
                }
                // They were readable a moment ago. No picture is worth an epoch.
                Err(error) => log::warn!("TensorBoard lacks '{name}' of epoch {}: {error:#}", at.epoch),
            }
        }
        if !std::mem::replace(&mut self.has_graph, true) {
            match graph::of(self.config) {
                Ok(graph) => session.write(|summary| summary.graph(graph))?,
                // A network that libtorch cannot trace is no reason to stop.
                Err(error) => log::warn!("TensorBoard has no graph of the network: {error:#}"),
            }
        }
        Ok(())
    }

    /// Writes the distributions of the weights and of the last update's gradients, if they are due.
    fn histograms(&self, session: &mut Session, at: Progress) -> Result<()> {
        let gradients = self.gradients.take();
        if !session.summary().is_some_and(|summary| summary.histograms_due(at.epoch)) {
            return Ok(());
        }
        let weights: Vec<(String, Tensor)> = contract::parameters(&self.network.store).into_iter().collect();
        let mut all = Vec::new();
        for (prefix, tensors) in [("weights", weights.as_slice()), ("gradients", gradients.as_slice())] {
            for (name, tensor) in tensors {
                all.push((format!("{prefix}/{}", name.replace('.', "/")), distribution(tensor)?));
            }
        }
        Ok(session.write(|summary| summary.histograms(at.epoch, at.step, all))?)
    }
}

fn counted(at: Threshold) -> Counts {
    let Threshold { true_positives, false_positives, true_negatives, false_negatives } = at;
    Counts { true_positives, false_positives, true_negatives, false_negatives }
}

/// Escapes what Markdown would take for a mark.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// Converts a configuration value to one that runs are compared by; None for lists and null.
fn hyper((key, value): (String, Value)) -> Option<(String, Hyper)> {
    let value = match value {
        Value::Number(number) => Hyper::Number(number.as_f64()?),
        Value::String(text) => Hyper::Text(text),
        Value::Bool(flag) => Hyper::Flag(flag),
        Value::Null | Value::Array(_) | Value::Object(_) => return None,
    };
    Some((key, value))
}

fn distribution(tensor: &Tensor) -> Result<Histogram> {
    let flat = tensor.detach().f_flatten(0, -1)?;
    let count = flat.size()[0];
    let some = flat.f_slice(0, None::<i64>, None::<i64>, (count / VALUES).max(1))?;
    let values = some.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?;
    Ok(Histogram::of(&Vec::<f32>::try_from(values)?))
}

/// Draws input, target and prediction side by side, with the class colours below.
fn panel(shown: &Shown, data: &data::Config) -> Result<Image> {
    let (width, height) = shown.photograph.dimensions();
    let (classes, colors) = (data.classes(), data.colors());
    let legend = Legend::new(&classes, 3 * width + 2 * GAP);
    let mut picture = RgbImage::from_pixel(legend.width, height + GAP + legend.height(), Rgb([255; 3]));
    let parts = [shown.photograph.clone(), map(&shown.target, &colors), map(&shown.prediction, &colors)];
    for (part, number) in parts.iter().zip(0..) {
        imageops::replace(&mut picture, part, number * i64::from(width + GAP), 0);
    }
    legend.draw(&mut picture, height + GAP, &colors);
    Ok(Image::new(picture.width(), picture.height(), picture.into_raw())?)
}

fn map(classes: &GrayImage, colors: &[Color]) -> RgbImage {
    let width = classes.width() as usize;
    let mut picture = RgbImage::new(classes.width(), classes.height());
    for (y, (rgb, ids)) in picture.chunks_exact_mut(3 * width).zip(classes.chunks_exact(width)).enumerate() {
        paint::draw(Style::Color, rgb, ids, None, y, colors);
    }
    picture
}

/// Legend of the classes: each name behind a square of its colour, in as many rows as they need.
struct Legend<'c> {
    width: u32,
    rows: Vec<Vec<(usize, &'c str)>>,
}

impl<'c> Legend<'c> {
    /// Lays out a legend of at least this `width`; wider only where a single name is.
    fn new(classes: &'c [String], width: u32) -> Self {
        let mut legend = Self { width, rows: Vec::new() };
        let mut x = width;
        for (id, name) in classes.iter().enumerate() {
            let wide = Self::wide(name);
            legend.width = legend.width.max(wide);
            if x + wide > legend.width {
                legend.rows.push(Vec::new());
                x = 0;
            }
            x += wide;
            if let Some(row) = legend.rows.last_mut() {
                row.push((id, name));
            }
        }
        legend
    }

    /// Returns the width of an entry: a square, a gap, the name, and two gaps.
    fn wide(name: &str) -> u32 {
        LETTER * (1 + name.chars().count() as u32) + 3 * GAP
    }

    fn height(&self) -> u32 {
        self.rows.len() as u32 * (LETTER + GAP)
    }

    fn draw(&self, picture: &mut RgbImage, top: u32, colors: &[Color]) {
        for (row, y) in self.rows.iter().zip((top..).step_by((LETTER + GAP) as usize)) {
            let mut x = 0;
            for &(id, name) in row {
                let color = colors.get(id).copied().unwrap_or(Color([0; 3])).0;
                dots(x, y, [0xff; 8], |x, y| picture.put_pixel(x, y, Rgb(color)));
                for (letter, number) in name.chars().zip(0..) {
                    // Letters that the fonts do not have become a box.
                    let shape = font8x8::BASIC_FONTS.get(letter).or_else(|| font8x8::LATIN_FONTS.get(letter));
                    let shape = shape.unwrap_or([0x7e, 0x42, 0x42, 0x42, 0x42, 0x42, 0x7e, 0]);
                    let x = x + LETTER + GAP + number * LETTER;
                    dots(x, y, shape, |x, y| picture.put_pixel(x, y, Rgb([0; 3])));
                }
                x += Self::wide(name);
            }
        }
    }
}

/// Calls `dot` for each pixel of a shape at `x`, `y`: a byte a row, its lowest bit at the left.
fn dots(x: u32, y: u32, shape: [u8; 8], mut dot: impl FnMut(u32, u32)) {
    for (row, down) in shape.into_iter().zip(0..) {
        (0..LETTER).filter(|right| row >> right & 1 == 1).for_each(|right| dot(x + right, y + down));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_three_parts_and_a_legend_that_holds_every_name() {
        let data: data::Config = serde_json::from_str(r#"{"kind": "shapes", "size": [16, 16]}"#).unwrap();
        let colors = data.colors();
        let target = GrayImage::from_fn(16, 16, |x, _| image::Luma([u8::from(x > 8)]));
        let shown = Shown {
            name: "a".into(),
            photograph: RgbImage::from_pixel(16, 16, Rgb([9, 8, 7])),
            prediction: GrayImage::new(16, 16),
            target,
        };
        let image = panel(&shown, &data).unwrap();
        let at = |x: u32, y: u32| {
            let place = ((y * image.width() + x) * 3) as usize;
            [image.rgb()[place], image.rgb()[place + 1], image.rgb()[place + 2]]
        };
        assert_eq!([at(3, 3), at(20, 3), at(32, 3), at(43, 3)], [[9, 8, 7], colors[0].0, colors[1].0, colors[0].0]);
        let longest = data.classes().iter().map(|name| Legend::wide(name)).max().unwrap();
        assert!(image.width() >= longest.max(56) && image.height() >= 20 + 12);
        assert_eq!(at(0, 20), colors[0].0, "the square of the first class");
        let black = (0..image.width()).flat_map(|x| (20..image.height()).map(move |y| (x, y)));
        assert!(black.filter(|(x, y)| at(*x, *y) == [0; 3]).count() > 30, "letters");
    }

    #[test]
    fn of_a_large_tensor_a_part_is_looked_at() {
        let values = Tensor::arange(1_000_000, (Kind::Float, Device::Cpu));
        let found = distribution(&values).unwrap();
        assert!((15_000.0..20_000.0).contains(&found.num) && found.min == 0.0 && found.max > 990_000.0);
        assert_eq!(distribution(&Tensor::from_slice(&[1f32, 3.0])).unwrap().sum, 4.0);
    }
}
