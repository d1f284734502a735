//! Description of everything that predicted rows depend on: tells whether rows of before belong to a prediction of now.

use super::image::Image;
use crate::cli::How;
use crate::common::network::Trained;
use ::saved::Stored;
use anyhow::{Context, Result};
use contract::Stateful;
use data::{Dataset, Images, Orientation, Resize};
use executors::Tiling;
use serde_json::{Map, Value, json};
use std::fs::File;
use tch::Device;

/// Description of predictions: the networks and the settings.
pub struct Made {
    /// Description that all images share.
    pub common: Map<String, Value>,
    /// Tiles of all images.
    pub tiling: Tiling,
    /// Probabilities of each pixel that are kept with its class: one for each class, or none.
    pub shares: usize,
}

impl Made {
    /// Describes predictions of `networks`, which see images at their own size in tiles of this `tiling`, and whose
    /// classes have these `weights`.
    pub fn by(
        networks: &[Trained],
        tiling: Tiling,
        how: &How,
        weights: Option<&[f32]>,
        probabilities: bool,
    ) -> Result<Self> {
        let all = networks.iter().map(described).collect::<Result<Vec<_>>>()?;
        let classes = networks.first().map_or(0, |trained| trained.network.classes.len());
        let shares = if probabilities { classes } else { 0 };
        let settings = json!({
            "program": env!("CARGO_PKG_VERSION"),
            "networks": all,
            "tile": tiling.tile,
            "overlap": tiling.overlap,
            "mirror": format!("{:?}", how.mirror),
            "scales": how.scales,
            "weights of classes": weights,
            "probabilities": shares,
        });
        let common = settings.as_object().cloned().unwrap_or_default();
        Ok(Self { common, tiling, shares })
    }

    /// Describes the prediction of an image: its file, too.
    pub fn of(&self, image: &Image) -> Result<Map<String, Value>> {
        let file = vec![(image.name.clone(), image.file.clone().into())];
        let source = Images::new(file, [1, 1], 3, Orientation::Ignore, Resize::None).source(0)?;
        let mut made = self.common.clone();
        let path = std::path::absolute(&image.file).unwrap_or_else(|_| image.file.clone());
        made.insert("image".into(), json!(path.to_string_lossy()));
        made.insert("size of the image".into(), json!(image.size));
        made.insert("bytes of the image".into(), json!(source.bytes));
        made.insert("time of the image".into(), json!(source.modified));
        Ok(made)
    }
}

/// Describes a network and the way it sees images.
fn described(trained: &Trained) -> Result<Value> {
    let network = &trained.network;
    let config = serde_json::to_vec(&json!([trained.config.data, trained.config.model]))?;
    Ok(json!({
        "weights": weights(trained).with_context(|| format!("reading {}", trained.checkpoint.display()))?,
        "configuration": blake3::hash(&config).to_hex().to_string(),
        "device": format!("{:?}", network.device),
        "kernels": format!("{:?}", network.kernels),
        "precision": network.precision,
    }))
}

/// Returns a checksum of a network's weights, or of its file where it is run as it was saved.
fn weights(trained: &Trained) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    let state = Stateful::state(&trained.network.store);
    if state.is_empty() {
        hasher.update_reader(File::open(&Stored::read(&trained.checkpoint)?.file)?)?;
    }
    for (name, tensor) in state {
        let tensor = tensor.f_to_device(Device::Cpu)?.f_contiguous()?;
        let bytes_each = tensor.f_kind()?.elt_size_in_bytes();
        let mut bytes = vec![0; tensor.numel() * bytes_each];
        tensor.f_copy_data_u8(&mut bytes, tensor.numel())?;
        hasher.update(format!("{name} {:?} {:?}\n", tensor.size(), tensor.kind()).as_bytes()).update(&bytes);
    }
    Ok(hasher.finalize().to_hex().to_string())
}
