"""Trains a UNet on the Oxford-IIIT Pet data for an epoch, as PyTorch users do at their best, and prints the seconds.

    python peers.py ROOT

Reads requests from standard input, `epoch`, and answers with seconds: 300 photographs decoded, resized to 128 x 128 and
mirrored by two persistent workers, batches of 16, bf16, the loss of each step and the IoU of each class over the epoch
logged. It is started by main.rs.
"""

import os
import sys
import time

sys.path.append(os.path.join(os.path.dirname(__file__), "..", "common"))
import torch
import unet
from pets import Pets
from torch.utils.data import DataLoader

loader = DataLoader(
    Pets(sys.argv[1], 128), 16, shuffle=True, num_workers=2, prefetch_factor=4, persistent_workers=True
)
step = unet.training(unet.UNet(), "torch-best")
log = open(os.devnull, "w")


def epoch():
    confusion = torch.zeros(9, dtype=torch.long)
    for images, targets in loader:
        loss, logits = step(images, targets)
        confusion += torch.bincount((3 * targets + logits.argmax(1)).flatten(), minlength=9)
        print(loss.item(), file=log)
    table = confusion.reshape(3, 3).double()
    hits = table.diag()
    print(hits / (table.sum(0) + table.sum(1) - hits), file=log)


for line in sys.stdin:
    start = time.perf_counter()
    if line.strip() == "epoch":
        epoch()
    print(time.perf_counter() - start, flush=True)
