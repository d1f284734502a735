"""Writes networks.safetensors and torchvision_*: PyTorch's outputs of the networks in tests/parity/networks.rs.

    pip install torch==2.11.0 torchvision==0.26.0 safetensors
    python tests/reference/networks.py

The encoders are torchvision's own, the ways up are written here with PyTorch's parts. Weights are computed
(computed.py).
"""

import json
from pathlib import Path

import torch
import torchvision
from computed import fill, noise
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional

CLASSES = 3


def up_and_beside(x, skip):
    return torch.cat([functional.interpolate(x, scale_factor=2, mode="nearest"), skip], 1)


class MobileNetUNet(nn.Module):
    def __init__(self, width_mult):
        super().__init__()
        self.encoder = nn.Module()
        self.encoder.features = torchvision.models.mobilenet_v2(width_mult=width_mult).features[:18]
        block = lambda place: self.encoder.features[place]
        inputs = block(17).conv[-1].num_features
        for level, (outputs, place) in enumerate(zip([512, 256, 128, 64], [14, 7, 4, 2])):
            up = nn.Module()
            up.conv = nn.ConvTranspose2d(inputs, outputs, 3, 2, 1, 1, bias=False)
            up.norm = nn.BatchNorm2d(outputs)
            setattr(self, f"up{level}", up)
            inputs = outputs + block(place).conv[0][1].num_features
        self.head = nn.ConvTranspose2d(inputs, CLASSES, 3, 2, 1, 1)

    def forward(self, x):
        skips = []
        for place, block in enumerate(self.encoder.features):
            if place in [2, 4, 7, 14]:
                skips.append(block.conv[0](x))
            x = block(x)
        for level, skip in enumerate(reversed(skips)):
            up = getattr(self, f"up{level}")
            x = torch.cat([up.norm(up.conv(x)).relu(), skip], 1)
        return self.head(x)


class ResNetUNet(nn.Module):
    def __init__(self, layers, widths):
        super().__init__()
        self.encoder = getattr(torchvision.models, f"resnet{layers}")()
        del self.encoder.fc
        blocks, inputs = [], widths[-1]
        for outputs, skip in zip([256, 128, 64, 32, 16], [*reversed(widths[:-1]), 0]):
            block = nn.Module()
            for name, before in [("conv1", inputs + skip), ("conv2", outputs)]:
                layers = [nn.Conv2d(before, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()]
                setattr(block, name, nn.Sequential(*layers))
            blocks.append(block)
            inputs = outputs
        self.decoder = nn.Module()
        self.decoder.blocks = nn.ModuleList(blocks)
        self.segmentation_head = nn.Sequential(nn.Conv2d(inputs, CLASSES, 3, padding=1))

    def forward(self, x):
        e = self.encoder
        x = e.bn1(e.conv1(x)).relu()
        skips = [x]
        x = e.maxpool(x)
        for group in [e.layer1, e.layer2, e.layer3, e.layer4]:
            x = group(x)
            skips.append(x)
        skips = skips[-2::-1]
        for number, block in enumerate(self.decoder.blocks):
            x = functional.interpolate(x, scale_factor=2, mode="nearest")
            if number < len(skips):
                x = torch.cat([x, skips[number]], 1)
            x = block.conv2(block.conv1(x))
        return self.segmentation_head(x)


def conv_norm(inputs, outputs):
    module = nn.Module()
    module.conv, module.norm = nn.Conv2d(inputs, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
    module.forward = lambda x: module.norm(module.conv(x))
    return module


class Residual(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        self.shortcut = conv_norm(inputs, outputs)

    def forward(self, x):
        y = self.norm2(self.conv2(self.norm1(self.conv1(x)).relu()))
        return (y + self.shortcut.forward(x)).relu()


class ResidualAttentionUNet(nn.Module):
    """UNet of width 4 and depth 2 with residual blocks and attention gates."""

    def __init__(self):
        super().__init__()
        self.encoder0, self.encoder1, self.bottom = Residual(3, 4), Residual(4, 8), Residual(8, 16)
        self.up1, self.up0 = nn.ConvTranspose2d(16, 8, 2, 2), nn.ConvTranspose2d(8, 4, 2, 2)
        self.decoder1, self.decoder0 = Residual(16, 8), Residual(8, 4)
        for level, channels in [(1, 8), (0, 4)]:
            gate = nn.Module()
            gate.skip, gate.up = conv_norm(channels, channels // 2), conv_norm(channels, channels // 2)
            gate.share = conv_norm(channels // 2, 1)
            setattr(self, f"gate{level}", gate)
        self.head = nn.Conv2d(4, CLASSES, 1)

    def forward(self, x):
        def merged(level, skip, x):
            up, gate = getattr(self, f"up{level}")(x), getattr(self, f"gate{level}")
            both = (gate.skip.forward(skip) + gate.up.forward(up)).relu()
            return getattr(self, f"decoder{level}")(torch.cat([skip * gate.share.forward(both).sigmoid(), up], 1))

        skip0 = self.encoder0(x)
        skip1 = self.encoder1(functional.max_pool2d(skip0, 2))
        bottom = self.bottom(functional.max_pool2d(skip1, 2))
        return self.head(merged(0, skip0, merged(1, skip1, bottom)))


def imported():
    """Makes torchvision's MobileNetV2 of width 0.1, with initial weights in 16 bits, and a UNet with its encoder."""
    torch.manual_seed(0)
    whole = torchvision.models.mobilenet_v2(width_mult=0.1, num_classes=2).half()
    torch.save(whole.state_dict(), Path(__file__).parent / "torchvision_mobilenet_v2.pt")
    network = MobileNetUNet(0.1)
    fill(network)
    network.encoder.features.load_state_dict(whole.float().features[:18].state_dict())
    return network


def imported_resnet(layers, widths):
    """Makes a UNet that takes torchvision's classifier, and records its names and shapes; the weights are `fill`'s."""
    whole = getattr(torchvision.models, f"resnet{layers}")(num_classes=2)
    shapes = {name: list(tensor.shape) for name, tensor in whole.state_dict().items()}
    path = Path(__file__).parent / f"torchvision_resnet{layers}.json"
    path.write_text(json.dumps(shapes, indent=0) + "\n")
    fill(whole)
    network = ResNetUNet(layers, widths)
    fill(network)
    del whole.fc
    network.encoder.load_state_dict(whole.state_dict())
    return network


networks = {
    "mobilenet_v2": MobileNetUNet(1.0),
    "mobilenet_v2_0.35": MobileNetUNet(0.35),
    "resnet18": ResNetUNet(18, [64, 64, 128, 256, 512]),
    "resnet34": ResNetUNet(34, [64, 64, 128, 256, 512]),
    "resnet50": ResNetUNet(50, [64, 256, 512, 1024, 2048]),
    "unet_residual_attention": ResidualAttentionUNet(),
}
recorded = {}
inputs = noise(torch.Size([2, 3, 64, 32]), 1000).float()
with torch.no_grad():
    for network in networks.values():
        fill(network)
    networks["imported"] = imported()
    networks["imported_resnet18"] = imported_resnet(18, [64, 64, 128, 256, 512])
    networks["imported_resnet50"] = imported_resnet(50, [64, 256, 512, 1024, 2048])
    for name, network in networks.items():
        # BatchNorm sees two samples together; recording the first is enough.
        recorded[f"{name}.evaluated"] = network.eval()(inputs)[:1].contiguous()
        count = sum(parameter.numel() for parameter in network.parameters())
        print(f"{name}: {count} parameters")
        # BatchNorm of the four values at the bottom amplifies rounding errors.
        recorded[f"{name}.trained"] = network.train().double()(inputs.double())[:1].float().contiguous()
path = Path(__file__).parent / "networks.safetensors"
save_file(recorded, path)
path.chmod(0o644)
