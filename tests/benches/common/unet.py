"""The classic UNet, and a step of its training, as PyTorch users write them."""

import torch
from torch import nn
from torch.nn import functional


class Double(nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.conv1, self.norm1 = nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.norm2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs)

    def forward(self, x):
        x = functional.relu(self.norm1(self.conv1(x)), inplace=True)
        return functional.relu(self.norm2(self.conv2(x)), inplace=True)


class UNet(nn.Module):
    """UNet with oxiseg's parameter names."""

    def __init__(self, width=32, depth=4, classes=3):
        super().__init__()
        self.depth, inputs = depth, 3
        for level in range(depth):
            setattr(self, f"encoder{level}", Double(inputs, width << level))
            inputs = width << level
        self.bottom = Double(inputs, width << depth)
        for level in reversed(range(depth)):
            outputs = width << level
            setattr(self, f"up{level}", nn.ConvTranspose2d(2 * outputs, outputs, 2, 2))
            setattr(self, f"decoder{level}", Double(2 * outputs, outputs))
        self.head = nn.Conv2d(width, classes, 1)

    def forward(self, x):
        skips = []
        for level in range(self.depth):
            skips.append(getattr(self, f"encoder{level}")(x))
            x = functional.max_pool2d(skips[-1], 2)
        x = self.bottom(x)
        for level in reversed(range(self.depth)):
            x = getattr(self, f"decoder{level}")(torch.cat([skips[level], getattr(self, f"up{level}")(x)], 1))
        return self.head(x)


def training(network, who):
    """Returns a function of images and targets that makes a step and returns loss and logits.
    torch is PyTorch as people usually write it, torch-best uses all that makes it faster, torch-best-fp32 does so
    without bf16, torch-compile compiles as well."""
    best, bf16 = who != "torch", who not in ("torch", "torch-best-fp32")
    if best:
        network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, eps=1e-7, fused=best)
    forward = torch.compile(network, mode="max-autotune") if who == "torch-compile" else network

    def step(images, targets):
        if best:
            images = images.contiguous(memory_format=torch.channels_last)
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = forward(images)
            loss = functional.cross_entropy(logits, targets)
        loss.backward()
        optimizer.step()
        return loss.detach(), logits.detach()

    return step
