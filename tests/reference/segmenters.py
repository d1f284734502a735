"""Writes segmenters.safetensors: the outputs of the networks in tests/parity/segmenters.rs, as PyTorch computes them.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 segmentation_models_pytorch==0.6.0 safetensors
    pip install --no-deps efficientnet_lite_pytorch==0.1.0
    python tests/reference/segmenters.py [NAME]…

With names it computes those networks anew and keeps the others. It also writes efficientnet_lite0.json: the names and
shapes of the tensors of efficientnet_lite_pytorch.

Encoders are torchvision's, timm's and segmentation_models_pytorch's own, decoders are segmentation_models_pytorch's.
Weights are computed (computed.py). Everything is computed in f64. Of each output a sample of the values is kept, and
the sums of all values and of their squares.
"""

import json
import sys
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from computed import fill, maps, noise
from efficientnet_lite_pytorch import EfficientNet
from safetensors.torch import load_file, save_file
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.deeplabv3.decoder import DeepLabV3PlusDecoder
from segmentation_models_pytorch.decoders.fpn.decoder import FPNDecoder
from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder
from segmentation_models_pytorch.decoders.unetplusplus.decoder import UnetPlusPlusDecoder
from segmentation_models_pytorch.encoders._utils import replace_strides_with_dilation
from torch import nn
from torchvision.models.segmentation.fcn import FCNHead

CLASSES = 3


class Features(nn.Module):
    """torchvision's encoder without its classifier; `ends` are the layers whose outputs are feature maps."""

    def __init__(self, backbone, ends):
        super().__init__()
        self.features, self.ends = backbone.features[: ends[-1] + 1], ends

    def forward(self, x):
        return maps([x], self.features, self.ends)


class Lite(nn.Module):
    """timm's EfficientNet-Lite, with the feature maps of segmentation_models_pytorch."""

    def __init__(self, name):
        super().__init__()
        whole = timm.create_model(name)
        self.conv_stem, self.bn1, self.blocks = whole.conv_stem, whole.bn1, whole.blocks

    def forward(self, x):
        return maps([x, self.bn1(self.conv_stem(x))], self.blocks, [1, 2, 4, 6])


class Joined(nn.Module):
    """An encoder with a decoder of segmentation_models_pytorch."""

    def __init__(self, encoder, decoder, output_stride=32):
        super().__init__()
        self.encoder = encoder
        with torch.no_grad():
            channels = [feature.shape[1] for feature in encoder.eval()(torch.zeros(1, 3, 64, 64))]
        kernel, upsampling = 3, 1
        if decoder == "unet":
            self.decoder, width = UnetDecoder(channels, [256, 128, 64, 32, 16]), 16
        elif decoder == "unet_plus_plus":
            self.decoder, width = UnetPlusPlusDecoder(channels, [256, 128, 64, 32, 16]), 16
        elif decoder == "fpn":
            self.decoder, width, kernel, upsampling = FPNDecoder(channels), 128, 1, 4
        else:
            self.decoder = DeepLabV3PlusDecoder(channels, 5, 256, [12, 24, 36], output_stride, True, 0.5)
            width, kernel, upsampling = 256, 1, 4
        self.segmentation_head = SegmentationHead(width, CLASSES, kernel, upsampling=upsampling)

    def forward(self, x):
        return self.segmentation_head(self.decoder(self.encoder(x)))


def v3(size):
    backbone = getattr(torchvision.models, f"mobilenet_v3_{size}")()
    return Features(backbone, [1, 3, 6, 12, 16] if size == "large" else [0, 1, 3, 8, 12])


def efficientnet(name):
    backbone = getattr(torchvision.models, f"efficientnet_{name}")(stochastic_depth_prob=0.0)
    return Features(backbone, [1, 2, 3, 5, 6] if name == "v2_s" else [0, 2, 3, 5, 7])


def dilated(encoder, rates):
    """Dilates groups of layers as segmentation_models_pytorch does."""
    for layers, rate in rates:
        replace_strides_with_dilation(encoder.features[layers], rate)
    return encoder


def smp_network(kind, encoder, **options):
    return getattr(smp, kind)(encoder, encoder_weights=None, classes=CLASSES, **options)


class WithAuxiliary(nn.Module):
    """ResNet-18 with UNet and torchvision's auxiliary head, whose output alone is returned."""

    def __init__(self):
        super().__init__()
        whole = smp_network("Unet", "resnet18")
        self.encoder, self.decoder, self.segmentation_head = whole.encoder, whole.decoder, whole.segmentation_head
        self.aux_classifier = FCNHead(256, CLASSES)

    def forward(self, x):
        return self.aux_classifier(self.encoder(x)[-2])


class LitePackage(nn.Module):
    """efficientnet_lite_pytorch's EfficientNet-Lite0 with the feature maps of `Lite`."""

    def __init__(self, whole):
        super().__init__()
        self.whole = whole

    def forward(self, x):
        whole = self.whole
        stem = whole._swish(whole._bn0(whole._conv_stem(x)))
        return maps([x, stem], whole._blocks, [2, 4, 10, 15])


def imported_lite():
    """Makes a network that takes efficientnet_lite_pytorch's classifier; each has the weights of its own names."""
    # Without a size, padding is computed for each input.
    whole = EfficientNet.from_name("efficientnet-lite0", image_size=None, num_classes=2)
    shapes = {name: list(tensor.shape) for name, tensor in whole.state_dict().items()}
    path = Path(__file__).parent / "efficientnet_lite0.json"
    path.write_text(json.dumps(shapes, indent=0) + "\n")
    path.chmod(0o644)
    network = Joined(Lite("tf_efficientnet_lite0"), "fpn")
    fill(network)
    fill(whole)
    network.encoder = LitePackage(whole)
    return network


networks = {
    **{f"resnet{n}.unet": lambda n=n: smp_network("Unet", f"resnet{n}") for n in [18, 34, 50, 101]},
    "mobilenet_v2.unet": lambda: smp_network("Unet", "mobilenet_v2"),
    **{f"mobilenet_v3_{n}.unet": lambda n=n: Joined(v3(n), "unet") for n in ["large", "small"]},
    **{
        f"efficientnet_{n}.unet": lambda n=n: Joined(efficientnet(n), "unet")
        for n in ["b0", "b1", "b2", "b3", "b4", "v2_s"]
    },
    **{
        f"efficientnet_lite{n}.unet": lambda n=n: Joined(Lite(f"tf_efficientnet_lite{n}"), "unet")
        for n in [0, 1, 2]
    },
    "resnet18.unet_plus_plus": lambda: smp_network("UnetPlusPlus", "resnet18"),
    "mobilenet_v3_small.unet_plus_plus": lambda: Joined(v3("small"), "unet_plus_plus"),
    "resnet50.fpn": lambda: smp_network("FPN", "resnet50"),
    "efficientnet_lite0.fpn": lambda: Joined(Lite("tf_efficientnet_lite0"), "fpn"),
    "resnet34.deeplab_v3_plus.16": lambda: smp_network("DeepLabV3Plus", "resnet34", encoder_output_stride=16),
    "resnet50.deeplab_v3_plus.8": lambda: smp_network("DeepLabV3Plus", "resnet50", encoder_output_stride=8),
    "mobilenet_v2.deeplab_v3_plus.8": lambda: smp_network("DeepLabV3Plus", "mobilenet_v2", encoder_output_stride=8),
    "efficientnet_b0.deeplab_v3_plus.16": lambda: Joined(
        dilated(efficientnet("b0"), [(slice(6, 8), 2)]), "deeplab_v3_plus", 16
    ),
    "resnet18.auxiliary": WithAuxiliary,
    "imported_lite0": imported_lite,
}
path = Path(__file__).parent / "segmenters.safetensors"
wanted = sys.argv[1:] or list(networks)
recorded = load_file(path) if sys.argv[1:] else {}
inputs = noise(torch.Size([2, 3, 64, 96]), 1000).float().double()
with torch.no_grad():
    for name in wanted:
        network = networks[name]()
        if not name.startswith("imported"):
            fill(network)
        for module in network.modules():
            if isinstance(module, (nn.Dropout, nn.Dropout2d)):
                module.p = 0.0
        network.double()
        for mode in ["evaluated", "trained"]:
            outputs = network.train(mode == "trained")(inputs)
            sums = torch.stack([outputs.sum(), outputs.square().sum()])
            recorded[f"{name}.{mode}"] = torch.cat([outputs[..., ::7, ::9].flatten(), sums])
        count = sum(parameter.numel() for parameter in network.parameters())
        recorded[f"{name}.parameters"] = torch.tensor([count])
        print(f"{name}: {count} parameters", flush=True)
save_file(recorded, path)
path.chmod(0o644)
