//! A saved network as its folder holds it: read and verified, not yet built.

use crate::Error;
use crate::description::{DESCRIPTION, Description};
use crate::file::{Checksum, read};
use crate::format;
use contract::{Invalid, StateDict, Stateful};
use data::Split;
use export::{Format, Frozen, Normalized};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use tch::nn::{ModuleT, VarStore};
use tch::{Device, Kind, TchError, Tensor};

/// A saved network whose files were read and verified. Nothing in them is executed.
#[derive(Debug)]
pub struct Stored {
    /// Its description.
    pub description: Description,
    /// Path of the file that holds the network.
    pub file: PathBuf,
    folder: PathBuf,
    format: Format,
    bytes: Vec<u8>,
}

/// Sections of a configuration that decide how a network is built and what it sees.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sections {
    /// Classes, and the preparation of images.
    pub data: data::Config,
    /// The network.
    pub model: model::Config,
}

/// Content of the file that holds a network.
pub enum Content {
    /// Weights of the network that the configuration describes.
    Weights(StateDict),
    /// The network itself, which normalises images.
    Network(Frozen),
}

impl Stored {
    /// Reads the network that is saved in `folder`: `model.safetensors`, or `model.pt` where that was not saved.
    ///
    /// # Errors
    ///
    /// Fails unless the folder holds a description of a known format, and a file that has the checksum in it.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let description = Description::read(folder)?;
        let found = [Format::Safetensors, Format::TorchScript]
            .into_iter()
            .find_map(|format| Some((format, description.files.get(format.file())?)));
        let (format, expected) = found.ok_or_else(|| Error::NoFile { folder: folder.into() })?;
        let file = folder.join(format.file());
        let bytes = match read(&file, expected.bytes..=expected.bytes) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::InvalidData => return Err(Error::Damaged { path: file }),
            Err(source) => return Err(Error::Io { path: file, source }),
        };
        match Checksum::of(&*bytes) {
            Ok(found) if found == *expected => Ok(Self { description, file, folder: folder.into(), format, bytes }),
            _ => Err(Error::Damaged { path: file }),
        }
    }

    /// Returns the path of the description, which records the configuration.
    pub fn origin(&self) -> PathBuf {
        self.folder.join(DESCRIPTION)
    }

    /// Returns the configuration of the training, as the saved network is used: it computes in f32 wherever it was
    /// trained, and a `model.pt` normalises images itself. Its format is the one that the description has.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] if the description records none.
    pub fn configuration(&self) -> Result<Value, Error> {
        let mut config = self.description.run.about.get("config").cloned().ok_or_else(|| {
            self.refused(" does not say with which configuration it was trained: app train did not write it".into())
        })?;
        let precision = serde_json::to_value(model::Precision::Fp32).unwrap_or_default();
        let normalize = (self.format == Format::TorchScript).then_some(("data.normalize", Value::Null));
        for (key, value) in [("model.precision", precision)].into_iter().chain(normalize) {
            if let Some((section, name)) = format::section(&mut config, key) {
                section.insert(name.into(), value);
            }
        }
        Ok(config)
    }

    /// Returns the sections of the [`configuration`](Self::configuration) that this crate knows, checked.
    ///
    /// # Errors
    ///
    /// [`Error::Configuration`] with the key, if a value is not valid.
    pub fn sections(&self) -> Result<Sections, Error> {
        let mut config = self.configuration()?;
        format::upgrade(&mut config, &self.origin().display().to_string(), &resolve)?;
        let sections: Sections =
            serde_json::from_value(config).map_err(|error| self.refused(format!(": run.about.config: {error}")))?;
        let invalid = |section: &'static str| {
            move |invalid: Invalid| self.refused(format!(": run.about.config.{section}.{invalid}"))
        };
        sections.data.check().map_err(invalid("data"))?;
        sections.model.check().map_err(invalid("model"))?;
        Ok(sections)
    }

    /// Returns the content of the file; a network is placed on `device`.
    ///
    /// # Errors
    ///
    /// Fails if the file holds anything that an export does not write.
    pub fn content(self, device: Device) -> Result<Content, Error> {
        let Self { file, bytes, .. } = self;
        Ok(match self.format {
            Format::TorchScript => {
                Content::Network(Frozen::read(&file, &bytes, &weights::constants(&file, &bytes)?, device)?)
            }
            _ => Content::Weights(weights::parse(&file, &bytes)?),
        })
    }

    fn refused(&self, problem: String) -> Error {
        Error::Configuration { origin: self.origin().display().to_string(), problem }
    }
}

fn resolve(config: &Value) -> Option<Value> {
    serde_json::to_value(Sections::deserialize(config).ok()?).ok()
}

/// Writes weights as a `model.safetensors`.
///
/// # Errors
///
/// Fails if the file cannot be written.
pub fn write_weights(path: &Path, state: &StateDict, kind: Kind) -> Result<(), Error> {
    let plain = |(name, tensor): (&String, &Tensor)| Ok((name.clone(), tensor.f_to_kind(kind)?.f_contiguous()?));
    let plain = state.iter().map(plain).collect::<Result<Vec<_>, TchError>>()?;
    Ok(Tensor::write_safetensors(&plain, path)?)
}

/// Loads the weights of a `model.safetensors`, which may have 16 bits, into the variables of a network. `path` names
/// the file in errors.
///
/// # Errors
///
/// [`Error::Mismatch`] if they are not those of the network. Nothing is changed then.
pub fn load_weights(path: &Path, store: &VarStore, weights: StateDict) -> Result<(), Error> {
    let float = |(name, tensor): (String, Tensor)| Ok::<_, Error>((name, tensor.f_to_kind(Kind::Float)?));
    let weights = weights.into_iter().map(float).collect::<Result<_, _>>()?;
    contract::load(&store.state(), &weights).map_err(|source| Error::Mismatch { path: path.into(), source })
}

/// Wraps a network so that it takes images from 0 to 1, as they are before the data's normalisation.
///
/// # Errors
///
/// Fails if libtorch does.
pub fn normalized(network: Box<dyn ModuleT>, data: &data::Config, device: Device) -> Result<Normalized, Error> {
    let normalize = data.pipeline(Split::Validation).normalize;
    let constants = normalize.as_ref().map(|normalize| [normalize.mean.as_slice(), &normalize.std]);
    Ok(Normalized::new(network, constants, device)?)
}
