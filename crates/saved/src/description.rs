//! `model.json`: the description of a saved network, for all who run it.

use crate::Error;
use crate::file::{Checksum, read};
use data::{Channels, Color, Layout, Normalize, Range, Resize, Split};
use export::{INPUT, OUTPUT};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

/// Name of the file.
pub const DESCRIPTION: &str = "model.json";

/// Version of its format.
pub const VERSION: u64 = 1;

/// Maximum number of bytes that are read of it: thousands of times what is written.
const LONGEST: u64 = 16 << 20;

/// Description of a saved network. oxiseg reads `files` and `run`; the rest is for other programs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Description {
    /// [`VERSION`] of the format.
    pub format: u64,
    /// Checksums of the other files in the folder, by their names.
    pub files: BTreeMap<String, Checksum>,
    /// Origin of the network.
    pub run: Origin,
    /// Classes, by their ids.
    pub classes: Vec<Class>,
    /// Input of `model.pt` and `model.onnx`.
    pub input: Port,
    /// Output of `model.pt` and `model.onnx`.
    pub output: Port,
    /// Height and width of the images in training.
    pub size: [u32; 2],
    /// Resizing to this size.
    pub resize: Resize,
    /// Normalisation, which `model.pt` and `model.onnx` do themselves.
    pub normalize: Option<Normalize>,
    /// Validation scores; None for a class that did not occur.
    pub scores: BTreeMap<String, Option<f64>>,
    /// Agreement of each file with the trained network; None where it was not compared.
    pub parity: BTreeMap<String, Option<Agreement>>,
}

/// Origin of a network.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Folder of the checkpoint.
    #[serde(default)]
    pub checkpoint: String,
    /// Number of epochs that it was trained for.
    pub epoch: u64,
    /// Number of steps.
    pub step: u64,
    /// The checkpoint's record, with the configuration of the training.
    pub about: Value,
}

/// A class of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// Value in class maps.
    pub id: u8,
    /// Name.
    pub name: String,
    /// Colour in pictures.
    pub color: Color,
}

/// Input or output of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Kind of its values.
    pub kind: String,
    /// `[N, C, H, W]`; -1 is any number.
    pub shape: [i64; 4],
    /// Meaning of its values.
    pub values: String,
}

/// Result of the comparison of a file with the trained network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Agreement {
    /// Number of validation samples that were compared.
    pub samples: i64,
    /// Share of the pixels that have the same class.
    pub class_agreement: f64,
    /// Largest difference of two logits.
    pub max_error: f64,
    /// Largest absolute value of a logit.
    pub largest_logit: f64,
    /// Mean IoU on all validation samples in f32, and with this file: for `model.int8.onnx`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean_iou: Option<[f64; 2]>,
}

/// Describes the numbers of an image in the network's input.
fn meaning(layout: &Layout) -> String {
    let bands = match &layout.channels {
        Channels::Bands(bands) => format!("bands {bands:?} of the image (the first is 1)"),
        Channels::Count(1) => "the band of the image".into(),
        Channels::Count(count) => format!("{count} bands of the image"),
    };
    let bands = if layout.clip { format!("{bands}, clipped to the range") } else { bands };
    match (&layout.range, layout.unit()) {
        _ if layout.is_plain() => "RGB or grey, from 0 to 1".into(),
        _ if layout.standardize => format!("{bands}, each with mean 0 and standard deviation 1"),
        (Some(Range::Each(ranges)), _) => format!("{bands}, from 0 to 1, which are {ranges:?} in the files"),
        (_, [low, high]) => format!("{bands}, from 0 to 1, which are {low} and {high} in the files"),
    }
}

/// Returns the classes of a data set.
pub fn classes(data: &data::Config) -> Vec<Class> {
    let named = data.classes().into_iter().zip(data.colors());
    (0..=u8::MAX).zip(named).map(|(id, (name, color))| Class { id, name, color }).collect()
}

impl Description {
    /// Says that the files that others run take images of this size only.
    pub fn fix_size(&mut self, [height, width]: [i64; 2]) {
        for port in [&mut self.input, &mut self.output] {
            (port.shape[2], port.shape[3]) = (height, width);
        }
    }

    /// Describes a network that was trained on `data`. Agreements and files are added once they are known.
    pub fn new(data: &data::Config, scores: &BTreeMap<String, f64>, run: Origin) -> Self {
        let classes = classes(data);
        let port = |name: &str, channels: i64, values: &str| Port {
            name: name.into(),
            kind: "f32".into(),
            shape: [-1, channels, -1, -1],
            values: values.into(),
        };
        Self {
            format: VERSION,
            files: BTreeMap::new(),
            run,
            input: port(INPUT, data.channels().into(), &meaning(&data.layout())),
            output: port(OUTPUT, classes.len() as i64, "logits"),
            classes,
            size: data.size(),
            resize: data.resize(),
            normalize: data.pipeline(Split::Validation).normalize,
            // JSON has no NaN.
            scores: scores.iter().map(|(name, score)| (name.clone(), score.is_finite().then_some(*score))).collect(),
            parity: BTreeMap::new(),
        }
    }

    /// Reads the description of the network that is saved in `folder`.
    ///
    /// # Errors
    ///
    /// Fails if there is none, or one of another format.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let path = folder.join(DESCRIPTION);
        let text = read(&path, 0..=LONGEST).map_err(|source| Error::NoNetwork { folder: folder.into(), source })?;
        let description: Self = match serde_json::from_slice(&text) {
            Ok(description) => description,
            Err(source) => return Err(Error::Description { path, source }),
        };
        match description.format {
            VERSION => Ok(description),
            format => Err(Error::Format { path, format }),
        }
    }

    /// Writes the description into `folder`, with the checksums of the files that are there.
    ///
    /// # Errors
    ///
    /// Fails if a file cannot be read, or the description not written.
    pub fn write(mut self, folder: &Path) -> Result<(), Error> {
        let of = |path: &Path| {
            let path = path.to_path_buf();
            |source| Error::Io { path, source }
        };
        for entry in fs::read_dir(folder).map_err(of(folder))? {
            let entry = entry.map_err(of(folder))?;
            let (name, path) = (entry.file_name().to_string_lossy().into_owned(), entry.path());
            self.files.insert(name, regular::open(&path).and_then(Checksum::of).map_err(of(&path))?);
        }
        let path = folder.join(DESCRIPTION);
        // As a value, whose keys are sorted.
        let text = serde_json::to_value(&self).map(|value| format!("{value:#}\n"));
        let text = text.map_err(|error| Error::Io { path: path.clone(), source: io::Error::other(error) })?;
        fs::write(&path, text).map_err(of(&path))
    }
}
