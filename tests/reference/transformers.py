"""Writes transformers.safetensors and transformers.json: logits of the networks in tests/parity/transformers.rs.

    pip install torch==2.11.0 torchvision==0.26.0 timm==1.0.31 segmentation_models_pytorch==0.6.0 safetensors
    python tests/reference/transformers.py

Encoders are torchvision's, timm's and segmentation_models.pytorch's own, decoders the latter's. Weights are computed
(computed.py). Of the logits every 37th value is kept, of each file's tensors the names and shapes.
"""

import json
from pathlib import Path

import segmentation_models_pytorch as smp
import timm
import torch
import torchvision
from computed import fill, maps, names, noise
from safetensors.torch import save_file
from segmentation_models_pytorch.base import SegmentationHead
from segmentation_models_pytorch.decoders.segformer.decoder import SegformerDecoder
from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
from torch import nn
from torch.nn import functional

CLASSES = 3
STEP = 37


class ConvNeXt(nn.Module):
    strides = [4, 8, 16, 32]

    def __init__(self, size):
        super().__init__()
        network = getattr(torchvision.models, f"convnext_{size}")(stochastic_depth_prob=0.0)
        self.features, self.channels = network.features, [96, 192, 384, 768]

    def forward(self, x):
        return maps([x], self.features, [1, 3, 5, 7])[1:]


def transformer(name):
    """Returns timm's vision transformer, whose outputs are resized to a pyramid."""
    network = timm.create_model(name, num_classes=0, dynamic_img_size=True)
    network.channels = [network.embed_dim] * 4

    def forward(x):
        found = network.forward_intermediates(x, [2, 5, 8, 11], norm=True, intermediates_only=True)
        resize = lambda x, factor: functional.interpolate(x, scale_factor=factor, mode="bilinear")
        return [resize(x, factor) for x, factor in zip(found, [4, 2, 1, 0.5])]

    network.forward = forward
    return network


def mix_transformer(name):
    network = smp.encoders.get_encoder(name, weights=None, depth=5)
    network.reset_drop_path(0.0)
    network.channels = network.out_channels[2:]
    whole = network.forward
    network.forward = lambda x: whole(x)[2:]
    return network


class Dense(nn.Module):
    """An encoder with four maps, a decoder of segmentation_models.pytorch and its head."""

    def __init__(self, encoder, decoder, upsampling=4):
        super().__init__()
        self.encoder = encoder
        self.decoder = decoder([3, 0, *encoder.channels])
        self.segmentation_head = SegmentationHead(256, CLASSES, kernel_size=1, upsampling=upsampling)

    def forward(self, x):
        found = self.encoder.forward(x)
        # Decoders take the size of stride 4 from the image; patches of 14 count as 16.
        image = x.new_zeros([1, 1, *(4 * side for side in found[0].shape[2:])])
        return self.segmentation_head(self.decoder([image, x.new_zeros([1, 0, 1, 1]), *found]))


def whole(network):
    if hasattr(network.encoder, "reset_drop_path"):
        network.encoder.reset_drop_path(0.0)
    return network


def cases():
    """Yields names, networks and the inputs' channels, height and width."""
    wide, patches = [3, 64, 96], [3, 56, 84]
    segformer, upernet = SegformerDecoder, UPerNetDecoder
    for size in ["tiny", "small"]:
        yield f"convnext_{size}.segformer", Dense(ConvNeXt(size), segformer), wide
    for size in range(4):
        yield f"mit_b{size}.segformer", Dense(mix_transformer(f"mit_b{size}"), segformer), wide
    for size in ["small", "base"]:
        encoder = transformer(f"vit_{size}_patch14_dinov2")
        yield f"vit_{size}_patch14_dinov2.segformer", Dense(encoder, segformer, 3.5), patches
        yield f"vit_{size}_patch16_dinov3.segformer", Dense(transformer(f"vit_{size}_patch16_dinov3"), segformer), wide
    encoder = transformer("vit_small_patch14_dinov2")
    yield "vit_small_patch14_dinov2.upernet", Dense(encoder, upernet, 3.5), patches
    yield "convnext_tiny.upernet", Dense(ConvNeXt("tiny"), upernet), wide
    for encoder in ["resnet18", "mit_b0"]:
        options = dict(encoder_weights=None, in_channels=4, classes=CLASSES)
        for name, network in [
            ("segformer", smp.Segformer(encoder, **options)),
            ("upernet", smp.UPerNet(encoder, **options)),
            ("pspnet", smp.PSPNet(encoder, encoder_depth=5, upsampling=32, psp_dropout=0.0, **options)),
        ]:
            yield f"{encoder}.{name}.4", whole(network), [4, 64, 96]


def main():
    tensors, shapes = {}, {}
    for name, network, size in cases():
        network = network.double()
        fill(network)
        shapes[name] = {each: list(network.state_dict()[each].shape) for each in names(network)}
        x = noise(torch.Size([2, *size]), 1000)
        for mode in ["evaluated", "trained"]:
            network.train(mode == "trained")
            y = network(x)
            assert list(y.shape) == [2, CLASSES, *size[1:]], (name, y.shape)
            tensors[f"{name}.{mode}"] = y.flatten()[::STEP].clone()
            print(name, mode, y.abs().max().item(), y.std().item())
    here = Path(__file__).parent
    save_file(tensors, here / "transformers.safetensors")
    # Names and shapes of encoders, and of one network for each decoder.
    listed = {name: shapes[name] for name in shapes if name.endswith(".4")}
    for name in shapes.keys() - listed.keys():
        encoder = {each: shape for each, shape in shapes[name].items() if each.startswith("encoder.")}
        listed[name.split(".")[0]] = encoder
    lines = [f"{json.dumps(name)}: {json.dumps(listed[name], separators=(',', ':'))}" for name in sorted(listed)]
    (here / "transformers.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    with torch.no_grad():
        main()
