"""Writes normalize.json: what torchvision's ToTensor and Normalize make of every byte in every channel.

    python normalize.py        (made with torchvision 0.26)

ToTensor divides by 255, as NumPy and we do. The newer to_dtype(scale=True) multiplies by the nearest number to 1/255, which
for 126 of the 256 bytes gives the neighbour of the nearest number.
"""

import json
import pathlib

import torch
from torchvision.transforms import functional as F

MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
value = torch.arange(256, dtype=torch.uint8).view(16, 16)
scaled = F.to_tensor(torch.stack([value, 255 - value, value * 7], -1).numpy())
normalized = F.normalize(scaled, MEAN, STD)
# Shortest decimals that read back as the same f64, which reads back as the same f32.
case = {"mean": MEAN, "std": STD, "scaled": scaled.flatten().tolist(), "normalized": normalized.flatten().tolist()}
(pathlib.Path(__file__).parent / "normalize.json").write_text(json.dumps(case) + "\n")
