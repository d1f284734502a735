//! The table of published weights.

use super::{Name, Published};

/// Means and standard deviations of ImageNet.
const IMAGENET: [[f64; 3]; 2] = [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]];
/// Means and standard deviations that map to the range from -1 to 1.
const HALVES: [[f64; 3]; 2] = [[0.5; 3]; 2];

const RESNET: [&str; 1] = ["fc."];
const MOBILENET_V2: [&str; 2] = ["features.18.", "classifier."];
const MOBILENET_V3: [&str; 1] = ["classifier."];
const EFFICIENTNET: [&str; 2] = ["features.8.", "classifier."];
const EFFICIENTNET_V2_S: [&str; 2] = ["features.7.", "classifier."];
const CONVNEXT: [&str; 1] = ["classifier."];

type Unused = &'static [&'static str];

const fn torchvision(encoder: &'static str, name: Name, file: &'static str, mib: f64, unused: Unused) -> Published {
    let (folder, [mean, std]) = ("https://download.pytorch.org/models/", IMAGENET);
    let (licence, source) = ("BSD-3-Clause", "torchvision");
    Published { encoder, name, folder: Some(folder), remote: file, file, mib, licence, source, mean, std, unused }
}

const fn lite(encoder: &'static str, file: &'static str, mib: f64) -> Published {
    let folder = "https://github.com/rwightman/pytorch-image-models/releases/download/v0.1-weights/";
    let ([mean, std], unused) = (HALVES, &["conv_head.", "bn2.", "classifier."]);
    Published {
        encoder,
        name: Name::Imagenet,
        folder: Some(folder),
        remote: file,
        file,
        mib,
        licence: "Apache-2.0",
        source: "timm",
        mean,
        std,
        unused,
    }
}

const DINOV2_SMALL: &str = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vits14/";
const DINOV2_BASE: &str = "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/";

const fn dinov2(encoder: &'static str, folder: &'static str, file: &'static str, mib: f64) -> Published {
    let ([mean, std], licence, source) = (IMAGENET, "Apache-2.0", "Meta AI");
    Published {
        encoder,
        name: Name::Lvd142m,
        folder: Some(folder),
        remote: file,
        file,
        mib,
        licence,
        source,
        mean,
        std,
        unused: &["mask_token"],
    }
}

const fn dinov3(encoder: &'static str, file: &'static str, mib: f64) -> Published {
    let ([mean, std], licence, source) = (IMAGENET, "DINOv3 License, on request", "Meta AI");
    let name = Name::Lvd1689m;
    Published { encoder, name, folder: None, remote: file, file, mib, licence, source, mean, std, unused: &[] }
}

/// Folders of fixed revisions.
const MIT_B0: &str = "https://huggingface.co/smp-hub/mit_b0.imagenet/resolve/9ce53d104d92d75aabb00aae70677aaab67e7c84/";
const MIT_B1: &str = "https://huggingface.co/smp-hub/mit_b1.imagenet/resolve/a04bf4f13a549bce677cf79b04852e7510782817/";
const MIT_B2: &str = "https://huggingface.co/smp-hub/mit_b2.imagenet/resolve/868ab6f13871dcf8c3d9f90ee4519403475b65ef/";
const MIT_B3: &str = "https://huggingface.co/smp-hub/mit_b3.imagenet/resolve/32558d12a65f1daa0ebcf4f4053c4285e2c1cbda/";

const fn mit(encoder: &'static str, folder: &'static str, file: &'static str, mib: f64) -> Published {
    let [mean, std] = IMAGENET;
    Published {
        encoder,
        name: Name::Imagenet,
        folder: Some(folder),
        remote: "model.safetensors",
        file,
        mib,
        licence: "NVIDIA Source Code License, non-commercial",
        source: "NVIDIA, through segmentation_models.pytorch",
        mean,
        std,
        unused: &["head."],
    }
}

/// All published weights; of each encoder the usual ones first.
#[rustfmt::skip]
pub const PUBLISHED: &[Published] = &[
    torchvision("resnet18", Name::Imagenet, "resnet18-f37072fd.pth", 44.661, &RESNET),
    torchvision("resnet34", Name::Imagenet, "resnet34-b627a593.pth", 83.275, &RESNET),
    torchvision("resnet50", Name::Imagenet, "resnet50-0676ba61.pth", 97.781, &RESNET),
    torchvision("resnet50", Name::ImagenetV2, "resnet50-11ad3fa6.pth", 97.79, &RESNET),
    torchvision("resnet101", Name::Imagenet, "resnet101-63fe2227.pth", 170.511, &RESNET),
    torchvision("resnet101", Name::ImagenetV2, "resnet101-cd907fc2.pth", 170.53, &RESNET),
    torchvision("mobilenet_v2", Name::Imagenet, "mobilenet_v2-b0353104.pth", 13.555, &MOBILENET_V2),
    torchvision("mobilenet_v2", Name::ImagenetV2, "mobilenet_v2-7ebf99e0.pth", 13.598, &MOBILENET_V2),
    torchvision("mobilenet_v3_large", Name::Imagenet, "mobilenet_v3_large-8738ca79.pth", 21.114, &MOBILENET_V3),
    torchvision("mobilenet_v3_large", Name::ImagenetV2, "mobilenet_v3_large-5c1a4163.pth", 21.107, &MOBILENET_V3),
    torchvision("mobilenet_v3_small", Name::Imagenet, "mobilenet_v3_small-047dcff4.pth", 9.829, &MOBILENET_V3),
    torchvision("efficientnet_b0", Name::Imagenet, "efficientnet_b0_rwightman-7f5810bc.pth", 20.451, &EFFICIENTNET),
    torchvision("efficientnet_b1", Name::Imagenet, "efficientnet_b1_rwightman-bac287d4.pth", 30.134, &EFFICIENTNET),
    torchvision("efficientnet_b1", Name::ImagenetV2, "efficientnet_b1-c27df63c.pth", 30.136, &EFFICIENTNET),
    torchvision("efficientnet_b2", Name::Imagenet, "efficientnet_b2_rwightman-c35c1473.pth", 35.174, &EFFICIENTNET),
    torchvision("efficientnet_b3", Name::Imagenet, "efficientnet_b3_rwightman-b3899882.pth", 47.184, &EFFICIENTNET),
    torchvision("efficientnet_b4", Name::Imagenet, "efficientnet_b4_rwightman-23ab8bcd.pth", 74.489, &EFFICIENTNET),
    torchvision("efficientnet_v2_s", Name::Imagenet, "efficientnet_v2_s-dd5fe13b.pth", 82.704, &EFFICIENTNET_V2_S),
    torchvision("convnext_tiny", Name::Imagenet, "convnext_tiny-983f1562.pth", 109.119, &CONVNEXT),
    torchvision("convnext_small", Name::Imagenet, "convnext_small-0c510722.pth", 191.703, &CONVNEXT),
    lite("efficientnet_lite0", "tf_efficientnet_lite0-0aa007d2.pth", 17.9),
    lite("efficientnet_lite1", "tf_efficientnet_lite1-bde8b488.pth", 20.9),
    lite("efficientnet_lite2", "tf_efficientnet_lite2-dcccb7df.pth", 23.5),
    dinov2("vit_small_patch14_dinov2", DINOV2_SMALL, "dinov2_vits14_pretrain.pth", 84.1),
    dinov2("vit_base_patch14_dinov2", DINOV2_BASE, "dinov2_vitb14_pretrain.pth", 330.3),
    dinov3("vit_small_patch16_dinov3", "vit_small_patch16_dinov3.safetensors", 82.3),
    dinov3("vit_base_patch16_dinov3", "vit_base_patch16_dinov3.safetensors", 326.7),
    mit("mit_b0", MIT_B0, "smp_mit_b0.safetensors", 12.7),
    mit("mit_b1", MIT_B1, "smp_mit_b1.safetensors", 50.2),
    mit("mit_b2", MIT_B2, "smp_mit_b2.safetensors", 92.3),
    mit("mit_b3", MIT_B3, "smp_mit_b3.safetensors", 168.1),
];

/// Returns the published weights of an encoder, in the order of the table.
pub fn published_of(encoder: &str) -> impl Iterator<Item = &'static Published> {
    PUBLISHED.iter().filter(move |published| published.encoder == encoder)
}
