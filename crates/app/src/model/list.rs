//! `app model list`: the encoders and decoders that a segmenter can have, and what they cost.

use super::summary::{Row, parameters, rows, shape};
use crate::cli;
use crate::common::output;
use anyhow::Result;
use model::{Backbone, BackboneConfig, Common, DecoderConfig, Fused, Segmenter, SegmenterConfig, published_of};
use serde::Serialize;
use serde_json::json;
use tch::Device;
use tch::nn::VarStore;

/// Channels of the images, and number of classes.
const CHANNELS: i64 = 3;
const CLASSES: i64 = 2;

/// An encoder or a decoder.
#[derive(Debug, Serialize)]
struct Listed {
    /// Name in a configuration.
    name: String,
    /// Number of parameters; a decoder's with those of its head.
    parameters: usize,
    /// Floating-point operations of convolutions, linear layers and attention: two for each multiplication.
    flops: u64,
    /// Strides of an encoder's feature maps; none for a decoder.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    strides: Vec<i64>,
    /// Published weights of an encoder, the usual ones first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    weights: Vec<Weights>,
}

/// Published weights.
#[derive(Debug, Serialize)]
struct Weights {
    /// Value of `model.weights`.
    name: String,
    source: &'static str,
    licence: &'static str,
    /// Address of the file; null if it is given on request only.
    url: Option<String>,
    /// Size of the file.
    mib: f64,
}

/// `app model list`
pub fn run(args: &cli::List) -> Result<()> {
    let size = args.size.as_deref().map_or([224, 224], |size| [size[0], size[1]]);
    let light = DecoderConfig::all().swap_remove(0);
    let encoders = Backbone::ALL.iter().map(|&name| {
        let (network, store) = network(name, &light);
        let (parameters, flops) = cost(&network, &store, size, true)?;
        let (name, weights) = (name.name().into(), weights(name));
        Ok(Listed { name, parameters, flops, strides: network.strides(), weights })
    });
    let encoders = encoders.collect::<Result<Vec<_>>>()?;
    let of_decoders = Backbone::default();
    let decoders = DecoderConfig::all().into_iter().map(|decoder| {
        let (network, store) = network(of_decoders, &decoder);
        let (parameters, flops) = cost(&network, &store, size, false)?;
        let name = serde_json::to_value(&decoder)?["kind"].as_str().unwrap_or_default().into();
        Ok(Listed { name, parameters, flops, strides: Vec::new(), weights: Vec::new() })
    });
    let decoders = decoders.collect::<Result<Vec<_>>>()?;
    if args.json {
        let all = json!({
            "size": size, "encoders": encoders, "decoders": decoders, "decoders_with": of_decoders.name(),
        });
        return output::print(&all.to_string());
    }
    output::print(&table(size, &encoders, &decoders, of_decoders.name()))
}

/// Returns the published weights of an encoder.
fn weights(name: Backbone) -> Vec<Weights> {
    let published = published_of(name.name()).map(|published| Weights {
        name: published.name.to_string(),
        source: published.source,
        licence: published.licence,
        url: published.url(),
        mib: published.mib,
    });
    published.collect()
}

/// Returns the names of weights, and in parentheses their publisher and licence.
fn named(weights: &[Weights]) -> String {
    let Some(first) = weights.first() else { return String::new() };
    let names: Vec<&str> = weights.iter().map(|weights| weights.name.as_str()).collect();
    format!("{} ({}; {})", names.join(", "), first.source, first.licence)
}

fn network(name: Backbone, decoder: &DecoderConfig) -> (Segmenter, VarStore) {
    let encoder = BackboneConfig { name, ..BackboneConfig::default() };
    let common = Common { fused: Fused::Off, ..Common::default() };
    let config = SegmenterConfig { encoder, decoder: decoder.clone(), common, ..SegmenterConfig::default() };
    let store = VarStore::new(Device::Cpu);
    (Segmenter::new(&store.root(), CHANNELS, CLASSES, &config), store)
}

/// Returns parameters and floating-point operations of the encoder, or of all but the encoder.
fn cost(network: &Segmenter, store: &VarStore, [height, width]: [i64; 2], encoder: bool) -> Result<(usize, u64)> {
    let of_encoder = |layer: &str| layer.starts_with("encoder.");
    let parameters = parameters(store, false).into_iter().filter(|(layer, _)| of_encoder(layer) == encoder);
    let rows = rows(store, network, [1, CHANNELS, height, width])?;
    let flops = rows.iter().filter(|row: &&Row| of_encoder(&row.layer) == encoder).map(|row| row.flops).sum();
    Ok((parameters.map(|(_, count)| count).sum(), flops))
}

fn table(size: [i64; 2], encoders: &[Listed], decoders: &[Listed], of_decoders: &str) -> String {
    let line = |name: &str, parameters: &str, flops: &str, strides: &str, weights: &str| -> String {
        format!("{name:<24} {parameters:>12} {flops:>8}  {strides:<14} {weights}").trim_end().into()
    };
    let row = |listed: &Listed| {
        let strides = listed.strides.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ");
        let gigas = format!("{:.2}", listed.flops as f64 / 1e9);
        line(&listed.name, &listed.parameters.to_string(), &gigas, &strides, &named(&listed.weights))
    };
    let mut lines = vec![line("encoder", "parameters", "GFLOP", "strides", "weights")];
    lines.extend(encoders.iter().map(row));
    lines.extend([String::new(), line("decoder", "parameters", "GFLOP", "", "")]);
    lines.extend(decoders.iter().map(row));
    let shape = shape(&[1, CHANNELS, size[0], size[1]]);
    lines.push(format!("\nfor {shape}; decoders with {of_decoders} and {CLASSES} classes, heads included"));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// torchvision's `num_params` and `_ops` (billion multiply-adds at 224×224) without the classifiers: for
    /// EfficientNets also without the last convolution 1×1, and without squeeze-and-excitation's rounding.
    #[test]
    fn encoders_cost_what_is_published() {
        let light = DecoderConfig::all().swap_remove(0);
        for (name, parameters, operations) in [
            (Backbone::Resnet18, 11_689_512 - 513_000, 1.814e9 - 512e3),
            (Backbone::Resnet101, 44_549_160 - 2_049_000, 7.801e9 - 2_048e3),
            (Backbone::MobilenetV2, 3_504_872 - 1_281_000, 0.301e9 - 1_280e3),
            (Backbone::MobilenetV3Large, 5_483_032 - (960 * 1280 + 1280 + 1_281_000), 0.217e9 - 2_509e3),
            (Backbone::EfficientnetB0, 5_288_548 - (1_281_000 + 320 * 1280 + 2560), 0.386e9 - 1_280e3 - 20_070e3),
            (
                Backbone::EfficientnetV2S,
                21_458_488 - (1_281_000 + 256 * 1280 + 2560),
                (8.366e9 - 1_280e3) * (224.0f64 / 384.0).powi(2) - 16_056e3,
            ),
            (Backbone::ConvnextTiny, 28_589_128 - (769_000 + 1536), 4.456e9 - 768e3),
        ] {
            let (network, store) = network(name, &light);
            let (found, flops) = cost(&network, &store, [224, 224], true).unwrap();
            assert_eq!(found, parameters, "{name:?}");
            let off = flops as f64 / 2.0 / operations - 1.0;
            assert!(off.abs() < 5e-3, "{name:?}: {flops}, {operations}");
        }
    }

    #[test]
    fn attention_is_counted() {
        let light = DecoderConfig::all().swap_remove(0);
        let (network, store) = network(Backbone::VitSmallPatch14Dinov2, &light);
        // 504 × 504 pixels are 1296 patches, 518 × 518 would be 1369: T tokens of C channels need 12 blocks of
        // T · 12 C² and T² · 2 C multiplications, and the embedding T · 14² · 3 C.
        let (_, flops) = cost(&network, &store, [504, 504], true).unwrap();
        let (patches, tokens, channels) = (1296.0, 1297.0, 384.0f64);
        let expected =
            12.0 * (tokens * 12.0 * channels.powi(2) + tokens * tokens * 2.0 * channels) + patches * 588.0 * channels;
        let off = flops as f64 / 2.0 / expected - 1.0;
        assert!(off.abs() < 1e-6, "{flops}, {expected}");
    }

    #[test]
    fn the_table_has_every_encoder_and_decoder() {
        let listed = |name: &str, strides| Listed {
            name: name.into(),
            parameters: 11_176_512,
            flops: 3_627_000_000,
            strides,
            weights: if name == "fpn" { Vec::new() } else { weights(Backbone::Resnet50) },
        };
        let table = table([224, 224], &[listed("resnet18", vec![2, 4])], &[listed("fpn", Vec::new())], "resnet34");
        let lines: Vec<&str> = table.lines().collect();
        let weights = "imagenet, imagenet_v2 (torchvision; BSD-3-Clause)";
        assert_eq!(lines[1], format!("resnet18                     11176512     3.63  2 4            {weights}"));
        assert_eq!(lines[4], "fpn                          11176512     3.63");
        assert!(lines[6].starts_with("for 1×3×224×224; decoders with resnet34"), "{table}");
    }
}
