"""Writes published.json: the published weights of encoders, as torchvision, timm and segmentation_models.pytorch have
them.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 segmentation_models_pytorch==0.6.0
    python tests/reference/published.py

Nothing is fetched. `published` has for each encoder and name of weights the address, the preprocessing, the size in MiB
where a library states it, and the listing of its tensors; `tensors` has the listings: names and shapes, from networks
that are built without weights. DINOv2 is published with a mask token that timm's network lacks, and with the name of a
file alone, so both are added here. `first_conv` has what segmentation_models.pytorch makes of a first layer for other
numbers of channels: sums and single values over a weight of sines.
"""

import json
from pathlib import Path

import segmentation_models_pytorch
import timm
import torch
import torchvision
from segmentation_models_pytorch.encoders._utils import patch_first_conv
from torch import nn

TORCHVISION = {
    "resnet18": "ResNet18",
    "resnet34": "ResNet34",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "mobilenet_v2": "MobileNet_V2",
    "mobilenet_v3_large": "MobileNet_V3_Large",
    "mobilenet_v3_small": "MobileNet_V3_Small",
    "efficientnet_b0": "EfficientNet_B0",
    "efficientnet_b1": "EfficientNet_B1",
    "efficientnet_b2": "EfficientNet_B2",
    "efficientnet_b3": "EfficientNet_B3",
    "efficientnet_b4": "EfficientNet_B4",
    "efficientnet_v2_s": "EfficientNet_V2_S",
    "convnext_tiny": "ConvNeXt_Tiny",
    "convnext_small": "ConvNeXt_Small",
}

# Names of weights here, by those of torchvision.
VERSIONS = {"IMAGENET1K_V1": "imagenet", "IMAGENET1K_V2": "imagenet_v2"}

# Encoder and weights here, and the network of timm with its tag.
TIMM = {
    "efficientnet_lite0": ("imagenet", "tf_efficientnet_lite0.in1k"),
    "efficientnet_lite1": ("imagenet", "tf_efficientnet_lite1.in1k"),
    "efficientnet_lite2": ("imagenet", "tf_efficientnet_lite2.in1k"),
    "vit_small_patch14_dinov2": ("lvd142m", "vit_small_patch14_dinov2.lvd142m"),
    "vit_base_patch14_dinov2": ("lvd142m", "vit_base_patch14_dinov2.lvd142m"),
    "vit_small_patch16_dinov3": ("lvd1689m", "vit_small_patch16_dinov3.lvd1689m"),
    "vit_base_patch16_dinov3": ("lvd1689m", "vit_base_patch16_dinov3.lvd1689m"),
}

CHANNELS = [1, 2, 3, 4, 5, 7]


def listed(network):
    shapes = {name: list(tensor.shape) for name, tensor in network.state_dict().items()}
    return {name: shape for name, shape in shapes.items() if not name.endswith("num_batches_tracked")}


def of_torchvision(published, tensors):
    for encoder, name in TORCHVISION.items():
        tensors[encoder] = listed(getattr(torchvision.models, encoder)(weights=None))
        for weights in getattr(torchvision.models, f"{name}_Weights"):
            preprocessing = weights.transforms()
            published[f"{encoder}/{VERSIONS[weights.name]}"] = {
                "url": weights.url,
                "mib": weights.meta["_file_size"],
                "mean": preprocessing.mean,
                "std": preprocessing.std,
                "tensors": encoder,
            }


def of_timm(published, tensors):
    for encoder, (name, network) in TIMM.items():
        built = timm.create_model(network, pretrained=False)
        settings = built.pretrained_cfg
        tensors[encoder] = listed(built)
        if "dinov2" in network:
            tensors[encoder]["mask_token"] = [1, built.embed_dim]
        published[f"{encoder}/{name}"] = {
            "url": settings["url"] or None,
            "licence": settings["license"],
            "mean": list(settings["mean"]),
            "std": list(settings["std"]),
            "tensors": encoder,
        }


def of_smp(published, tensors):
    for size in range(4):
        encoder = f"mit_b{size}"
        settings = segmentation_models_pytorch.encoders.encoders[encoder]["pretrained_settings"]["imagenet"]
        # Nothing of it is published apart from what the hub answers; the numbers are those of all encoders there.
        tensors[encoder] = listed(segmentation_models_pytorch.encoders.get_encoder(encoder, weights=None))
        published[f"{encoder}/imagenet"] = {
            "url": "https://huggingface.co/{repo_id}/resolve/{revision}/model.safetensors".format(**settings),
            "tensors": encoder,
        }


def first_conv():
    weight = torch.arange(4 * 3 * 3 * 3, dtype=torch.float64).sin().float().reshape(4, 3, 3, 3)
    found = {}
    for channels in CHANNELS:
        network = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False))
        network[0].weight.data.copy_(weight)
        # The library leaves networks of three channels alone.
        if channels != 3:
            patch_first_conv(network, channels, pretrained=True)
        patched = network[0].weight.detach().double()
        places = torch.arange(patched.numel(), dtype=torch.float64).reshape(patched.shape)
        found[str(channels)] = {
            "shape": list(patched.shape),
            "sum": patched.sum().item(),
            "weighted": (patched * places.cos()).sum().item(),
            "last": patched.flatten()[-1].item(),
        }
    return found


def main():
    published, tensors = {}, {}
    of_torchvision(published, tensors)
    of_timm(published, tensors)
    of_smp(published, tensors)
    listing = {"published": published, "first_conv": first_conv(), "tensors": tensors}
    text = json.dumps(listing, separators=(",", ":")).replace('},"', '},\n"')
    Path(__file__).with_name("published.json").write_text(text + "\n")


if __name__ == "__main__":
    torch.manual_seed(0)
    main()
