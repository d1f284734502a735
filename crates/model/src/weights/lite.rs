//! Names of EfficientNet-Lite in efficientnet_lite_pytorch, which are those of EfficientNet-PyTorch.

use crate::encoder::ENCODER;
use contract::StateDict;
use std::collections::BTreeSet;

/// Layers of a block by their names there, with their number among the block's layers. Convolutions and BatchNorms are
/// numbered each for themselves.
const LAYERS: [(&str, usize); 6] =
    [("_expand_conv", 0), ("_depthwise_conv", 1), ("_project_conv", 2), ("_bn0", 0), ("_bn1", 1), ("_bn2", 2)];

/// Renames the tensors of such a file to timm's names, which the network has.
pub(super) fn rename<T>(tensors: &mut [(String, T)], network: &StateDict) {
    let places = places(network);
    let theirs: BTreeSet<String> = tensors.iter().map(|(name, _)| name.clone()).collect();
    let widens = |block: &str| theirs.contains(&format!("{ENCODER}._blocks.{block}._expand_conv.weight"));
    for (name, _) in tensors {
        let Some(own) = name.strip_prefix(ENCODER).and_then(|rest| rest.strip_prefix('.')) else { continue };
        let renamed = match own.split('.').collect::<Vec<_>>().as_slice() {
            ["_conv_stem", part] => Some(format!("conv_stem.{part}")),
            ["_bn0", part] => Some(format!("bn1.{part}")),
            ["_blocks", block, layer, part] => {
                let place = block.parse::<usize>().ok().and_then(|block| places.get(block));
                place
                    .zip(layer_name(layer, widens(block)))
                    .map(|((group, number), layer)| format!("blocks.{group}.{number}.{layer}.{part}"))
            }
            _ => None,
        };
        if let Some(renamed) = renamed {
            *name = format!("{ENCODER}.{renamed}");
        }
    }
}

/// Returns group and number of every block that the network has, in order.
fn places(network: &StateDict) -> Vec<(usize, usize)> {
    let place = |name: &String| {
        let rest = name.strip_prefix(ENCODER)?.strip_prefix(".blocks.")?;
        let mut parts = rest.split('.').map(|part| part.parse::<usize>().ok());
        Some((parts.next()??, parts.next()??))
    };
    let all: BTreeSet<_> = network.keys().filter_map(place).collect();
    all.into_iter().collect()
}

/// Returns timm's name of a block's layer. A block that widens nothing has one layer less, and its last convolution
/// another name.
fn layer_name(layer: &str, widens: bool) -> Option<String> {
    let (_, place) = LAYERS.iter().find(|(name, _)| *name == layer)?;
    if layer.starts_with("_bn") {
        return Some(format!("bn{}", if widens { place + 1 } else { *place }));
    }
    let names = ["conv_pw", "conv_dw", if widens { "conv_pwl" } else { "conv_pw" }];
    Some(names[*place].into())
}
