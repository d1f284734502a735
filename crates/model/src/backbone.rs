//! Encoder of a configuration by its name, and the published weights that it starts from.

use crate::named::Weights;
use crate::published::{Name, Published, published_of};
use crate::{Backbone, Config, Layers};
use contract::Invalid;

impl Config {
    /// Returns the name of the encoder, which published weights are found by; None if there is none.
    pub fn backbone(&self) -> Option<&'static str> {
        match self {
            Self::Unet(_) => None,
            Self::MobilenetV2Unet(config) => (config.width_multiplier == 1.0).then_some("mobilenet_v2"),
            Self::ResnetUnet(config) => Some(match config.layers {
                Layers::Eighteen => "resnet18",
                Layers::ThirtyFour => "resnet34",
                Layers::Fifty => "resnet50",
            }),
            Self::Segmenter(config) => Some(config.encoder.name.name()),
        }
    }

    /// Returns the published weights that the network starts from; None if it starts from others or none.
    ///
    /// # Errors
    ///
    /// Fails if there are none of that name for the network, or they are given on request only.
    pub fn published(&self) -> Result<Option<&'static Published>, Invalid> {
        let Some(Weights::Named(name)) = self.common().weights else { return Ok(None) };
        let refused = |problem: String| Err(Invalid { key: "weights".into(), problem });
        let Some(backbone) = self.backbone() else {
            return refused(match self {
                Self::MobilenetV2Unet(_) => format!("'{name}' is published for width_multiplier 1 alone"),
                _ => format!("'{name}' is for networks with an encoder from elsewhere, such as segmenter"),
            });
        };
        of_encoder(backbone, name).map(Some).or_else(refused)
    }
}

impl Backbone {
    /// Returns the name in configurations.
    pub fn name(self) -> &'static str {
        match self {
            Self::Resnet18 => "resnet18",
            Self::Resnet34 => "resnet34",
            Self::Resnet50 => "resnet50",
            Self::Resnet101 => "resnet101",
            Self::MobilenetV2 => "mobilenet_v2",
            Self::MobilenetV3Large => "mobilenet_v3_large",
            Self::MobilenetV3Small => "mobilenet_v3_small",
            Self::EfficientnetB0 => "efficientnet_b0",
            Self::EfficientnetB1 => "efficientnet_b1",
            Self::EfficientnetB2 => "efficientnet_b2",
            Self::EfficientnetB3 => "efficientnet_b3",
            Self::EfficientnetB4 => "efficientnet_b4",
            Self::EfficientnetV2S => "efficientnet_v2_s",
            Self::EfficientnetLite0 => "efficientnet_lite0",
            Self::EfficientnetLite1 => "efficientnet_lite1",
            Self::EfficientnetLite2 => "efficientnet_lite2",
            Self::ConvnextTiny => "convnext_tiny",
            Self::ConvnextSmall => "convnext_small",
            Self::MitB0 => "mit_b0",
            Self::MitB1 => "mit_b1",
            Self::MitB2 => "mit_b2",
            Self::MitB3 => "mit_b3",
            Self::VitSmallPatch14Dinov2 => "vit_small_patch14_dinov2",
            Self::VitBasePatch14Dinov2 => "vit_base_patch14_dinov2",
            Self::VitSmallPatch16Dinov3 => "vit_small_patch16_dinov3",
            Self::VitBasePatch16Dinov3 => "vit_base_patch16_dinov3",
        }
    }
}

/// Returns the published weights `name` of an encoder, which can be fetched; the error says what else there is to do.
fn of_encoder(encoder: &str, name: Name) -> Result<&'static Published, String> {
    let known: Vec<String> = published_of(encoder).map(|published| format!("'{}'", published.name)).collect();
    match published_of(encoder).find(|published| published.name == name) {
        Some(published) if published.folder.is_some() => Ok(published),
        Some(Published { licence, source, .. }) => Err(format!(
            "'{name}' of {encoder} is given only to those who ask {source} ({licence}): ask for the file, and set \
             weights.path to it, with encoder_only"
        )),
        None if known.is_empty() => Err(format!("no weights of {encoder} are known by name: set weights.path")),
        None => Err(format!("'{name}' is not published for {encoder}, but {}", known.join(" and "))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn published(config: &str) -> Result<Option<&'static Published>, Invalid> {
        let config: Config = serde_json::from_str(config).unwrap();
        // A wrong name is a wrong configuration.
        assert_eq!(config.check().err(), config.published().err());
        config.published()
    }

    #[test]
    fn published_weights_are_those_of_the_encoder() {
        for (config, file) in [
            (r#"{"kind": "resnet_unet", "weights": "imagenet"}"#, "resnet34-b627a593.pth"),
            (r#"{"kind": "resnet_unet", "layers": 18, "weights": "imagenet"}"#, "resnet18-f37072fd.pth"),
            (r#"{"kind": "resnet_unet", "layers": 50, "weights": "imagenet_v2"}"#, "resnet50-11ad3fa6.pth"),
            (r#"{"kind": "mobilenet_v2_unet", "weights": "imagenet"}"#, "mobilenet_v2-b0353104.pth"),
        ] {
            assert_eq!(published(config).unwrap().unwrap().file, file);
        }
        for none in ["", r#", "weights": null"#, r#", "weights": {"path": "x"}"#] {
            assert_eq!(published(&format!(r#"{{"kind": "resnet_unet"{none}}}"#)), Ok(None));
        }
    }

    #[test]
    fn every_encoder_has_its_name_and_published_weights() {
        for backbone in Backbone::ALL {
            assert_eq!(serde_json::to_value(backbone).unwrap(), backbone.name());
            assert!(published_of(backbone.name()).next().is_some(), "{}", backbone.name());
        }
        let segmenter = r#"{"kind": "segmenter", "encoder": {"name": "mit_b1"}, "weights": "imagenet",
            "decoder": {"kind": "segformer"}}"#;
        assert_eq!(published(segmenter).unwrap().unwrap().file, "smp_mit_b1.safetensors");
        let dinov3 = r#"{"kind": "segmenter", "encoder": {"name": "vit_small_patch16_dinov3"}, "weights": "lvd1689m",
            "decoder": {"kind": "upernet"}}"#;
        assert!(published(dinov3).unwrap_err().to_string().contains("DINOv3 License"));
    }

    #[test]
    fn weights_that_nobody_published_are_refused_with_the_way_out() {
        let said = |config: &str| published(config).unwrap_err().to_string();
        assert_eq!(
            said(r#"{"kind": "resnet_unet", "layers": 50, "weights": "lvd142m"}"#),
            "weights: 'lvd142m' is not published for resnet50, but 'imagenet' and 'imagenet_v2'"
        );
        let narrow = r#"{"kind": "mobilenet_v2_unet", "width_multiplier": 0.5, "weights": "imagenet"}"#;
        assert_eq!(said(narrow), "weights: 'imagenet' is published for width_multiplier 1 alone");
        assert!(said(r#"{"kind": "unet", "weights": "imagenet"}"#).contains("such as segmenter"));
    }

    #[test]
    fn those_that_are_given_on_request_have_no_address() {
        let on_request = published_of("vit_small_patch16_dinov3").next().unwrap();
        assert_eq!((on_request.name, on_request.url()), (Name::Lvd1689m, None));
        let refused = of_encoder("vit_small_patch16_dinov3", Name::Lvd1689m).unwrap_err();
        assert!(refused.contains("set weights.path to it"), "{refused}");
    }
}
