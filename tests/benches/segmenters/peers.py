"""Trains a network of segmentation_models.pytorch and prints the milliseconds of a step.

    python peers.py NAME ENCODER eager|compiled fp32|bf16 BATCH SIZE STEPS

Without weights, files and metric. It is started by main.py.
"""

import sys
import time

import segmentation_models_pytorch
import torch
from torch.nn import functional

WARM_UP = 3

name, encoder, how, precision = sys.argv[1:5]
batch, size, steps = map(int, sys.argv[5:8])
torch.manual_seed(0)
network = getattr(segmentation_models_pytorch, name)(encoder, encoder_weights=None, classes=4)
network = network.to(memory_format=torch.channels_last).train()
optimizer = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
forward = torch.compile(network) if how == "compiled" else network
images = torch.rand(batch, 3, size, size).contiguous(memory_format=torch.channels_last)
targets = torch.randint(4, (batch, size, size))


def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bf16"):
        loss = functional.cross_entropy(forward(images), targets)
    loss.backward()
    optimizer.step()
    return loss.item()


for _ in range(WARM_UP):
    step()
since = time.perf_counter()
for _ in range(steps):
    step()
print(1000 * (time.perf_counter() - since) / steps)
