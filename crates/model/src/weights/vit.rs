//! Names of vision transformers in Meta's files of DINOv2 and DINOv3, which differ from timm's.

use crate::encoder::ENCODER;
use contract::StateDict;
use tch::Tensor;

/// Ends of the names of tensors that only pretraining uses, or that follow from the architecture.
const UNUSED: [&str; 3] = [".mask_token", ".rope_embed.periods", ".qkv.bias_mask"];

/// Parts of names there and in timm's DINOv3.
const NAMES: [(&str, &str); 3] =
    [(".storage_tokens", ".reg_token"), (".ls1.gamma", ".gamma_1"), (".ls2.gamma", ".gamma_2")];

/// Renames the tensors of such a file to timm's names, which the network has, and removes those that it does not need:
/// DINOv3's biases of queries, keys and values too, if they are 0.
pub(super) fn rename(tensors: &mut Vec<(String, (String, Tensor))>, network: &StateDict) {
    if !network.contains_key(&format!("{ENCODER}.cls_token")) {
        return;
    }
    let zero = |tensor: &Tensor| tensor.f_count_nonzero(None::<i64>).is_ok_and(|count| count.int64_value(&[]) == 0);
    tensors.retain(|(name, (_, tensor))| {
        let unused = UNUSED.iter().any(|unused| name.ends_with(unused)) || name.ends_with(".qkv.bias") && zero(tensor);
        network.contains_key(name) || !unused
    });
    for (name, _) in tensors.iter_mut().filter(|(name, _)| !network.contains_key(name)) {
        let renamed = NAMES.iter().map(|(there, here)| name.replace(there, here));
        if let Some(renamed) = renamed.into_iter().find(|renamed| network.contains_key(renamed)) {
            *name = renamed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{WeightsConfig, adopt};
    use crate::{Backbone, BackboneConfig, Config, SegmenterConfig};
    use contract::{StateDict, Stateful};
    use tch::nn::VarStore;
    use tch::{Device, Kind, Tensor};

    fn network(name: Backbone) -> StateDict {
        let encoder = BackboneConfig { name, ..BackboneConfig::default() };
        let store = VarStore::new(Device::Cpu);
        let config = Config::Segmenter(SegmenterConfig { encoder, ..SegmenterConfig::default() });
        drop(config.build(&store, 3, 2).unwrap());
        store.state()
    }

    fn zeros(size: &[i64]) -> Tensor {
        Tensor::zeros(size, (Kind::Float, Device::Cpu))
    }

    /// Returns the encoder's weights by the names that Meta's files have.
    fn published(network: &StateDict) -> StateDict {
        let own = network.iter().filter_map(|(name, tensor)| Some((name.strip_prefix("encoder.")?, tensor)));
        let renamed = own.map(|(name, tensor)| {
            let name = if name == "reg_token" { "storage_tokens".into() } else { name.replace("gamma_1", "ls1.gamma") };
            (name.replace("gamma_2", "ls2.gamma"), tensor.shallow_clone())
        });
        let mut all: StateDict = renamed.collect();
        all.insert("mask_token".into(), zeros(&[1, 384]));
        all
    }

    #[test]
    fn files_of_dinov2_and_dinov3_become_the_encoder() {
        let config = WeightsConfig { path: "x".into(), encoder_only: true, skip_head: false };
        for name in [Backbone::VitSmallPatch14Dinov2, Backbone::VitSmallPatch16Dinov3] {
            let network = network(name);
            let mut found = published(&network);
            if name == Backbone::VitSmallPatch16Dinov3 {
                found.insert("rope_embed.periods".into(), zeros(&[16]));
                for block in 0..12 {
                    found.insert(format!("blocks.{block}.attn.qkv.bias"), zeros(&[1152]));
                    found.insert(format!("blocks.{block}.attn.qkv.bias_mask"), zeros(&[1152]));
                }
            }
            let adopted = adopt(found, &network, &config).unwrap();
            let own: Vec<_> = network.iter().filter(|(name, _)| name.starts_with("encoder.")).collect();
            assert_eq!(adopted.len(), own.len());
            assert!(own.iter().all(|(name, tensor)| adopted[*name].equal(tensor)));
        }
    }

    #[test]
    fn a_bias_that_is_not_zero_is_not_dropped() {
        let config = WeightsConfig { path: "x".into(), encoder_only: true, skip_head: false };
        let network = network(Backbone::VitSmallPatch16Dinov3);
        let mut found = published(&network);
        found.insert("blocks.3.attn.qkv.bias".into(), zeros(&[1152]) + 1e-3);
        let mismatch = adopt(found, &network, &config).unwrap_err();
        assert_eq!(mismatch.unexpected, ["blocks.3.attn.qkv.bias"]);
        assert!(mismatch.missing.is_empty() && mismatch.misshapen.is_empty());
    }
}
