//! Published weights of encoders, by name: addresses, licences, and the preprocessing that they were trained with.
//!
//! Addresses, sizes and preprocessing are compared with those that torchvision, timm and segmentation_models.pytorch
//! name, and names and shapes of the tensors with the encoders here (`tests/reference/published.py`).

mod table;

pub use table::{PUBLISHED, published_of};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Name of published weights: what they were trained on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Name {
    /// ImageNet-1k with its labels.
    Imagenet,
    /// The same by a newer recipe: torchvision's second version.
    ImagenetV2,
    /// LVD-142M without labels: DINOv2.
    Lvd142m,
    /// LVD-1689M without labels: DINOv3.
    Lvd1689m,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Self::Imagenet => "imagenet",
            Self::ImagenetV2 => "imagenet_v2",
            Self::Lvd142m => "lvd142m",
            Self::Lvd1689m => "lvd1689m",
        })
    }
}

/// Published weights of one encoder.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Published {
    /// Encoder, by its name in configurations (`resnet34`).
    pub encoder: &'static str,
    /// Name of the weights.
    pub name: Name,
    /// Address of the folder with the file, with a slash at its end; None if it is given on request only.
    pub folder: Option<&'static str>,
    /// Name of the file in that folder.
    pub remote: &'static str,
    /// Name of the file in a cache, and at a mirror.
    pub file: &'static str,
    /// Size of the file in MiB.
    pub mib: f64,
    /// Licence of the weights.
    pub licence: &'static str,
    /// Publisher.
    pub source: &'static str,
    /// Means of red, green and blue that inputs are normalised with, on a scale from 0 to 1.
    pub mean: [f64; 3],
    /// Standard deviations, likewise.
    pub std: [f64; 3],
    /// Prefixes of tensors that classify, and that an encoder does not have.
    pub unused: &'static [&'static str],
}

impl Published {
    /// Returns the address of the file; None if it is given on request only.
    pub fn url(&self) -> Option<String> {
        Some(format!("{}{}", self.folder?, self.remote))
    }

    /// Returns the first digits of the file's SHA-256, which torch's convention makes part of its name
    /// (`resnet34-b627a593.pth`); empty if none are published.
    pub fn sha256(&self) -> &'static str {
        let digits = self.file.strip_suffix(".pth").and_then(|stem| stem.rsplit_once('-')).map(|(_, digits)| digits);
        let is_hash = |digits: &&str| digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
        digits.filter(is_hash).unwrap_or("")
    }

    /// Returns means and standard deviations for images with `channels` channels: of the weights' three channels their
    /// average for one, and those of channel `i mod 3` for others.
    pub fn normalize(&self, channels: u32) -> [Vec<f64>; 2] {
        [self.mean, self.std].map(|values| match channels {
            1 => vec![values.iter().sum::<f64>() / 3.0],
            _ => values.into_iter().cycle().take(channels as usize).collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_of_the_hash_are_part_of_the_name_or_missing() {
        let digits = |encoder: &str| published_of(encoder).next().unwrap().sha256();
        assert_eq!(digits("resnet34"), "b627a593");
        assert_eq!(digits("efficientnet_lite0"), "0aa007d2");
        assert_eq!((digits("vit_small_patch14_dinov2"), digits("mit_b0")), ("", ""));
    }

    #[test]
    fn a_name_is_written_as_in_a_configuration_and_its_file_is_its_own() {
        for (place, published) in PUBLISHED.iter().enumerate() {
            assert_eq!(serde_json::to_value(published.name).unwrap(), published.name.to_string());
            let others = &PUBLISHED[..place];
            assert!(others.iter().all(|other| other.file != published.file), "{}", published.file);
            assert!(
                !published_of(published.encoder).any(|other| other.name == published.name && other != published),
                "{} {}",
                published.encoder,
                published.name
            );
        }
    }

    #[test]
    fn other_channels_are_normalised_like_those_that_their_weights_come_from() {
        let published = published_of("resnet18").next().unwrap();
        assert_eq!(published.normalize(3), [published.mean.to_vec(), published.std.to_vec()]);
        let [mean, std] = published.normalize(1);
        assert!((mean[0] - 0.449).abs() < 1e-12 && (std[0] - 0.226).abs() < 1e-12);
        assert_eq!(published.normalize(5)[0], [0.485, 0.456, 0.406, 0.485, 0.456]);
    }
}
