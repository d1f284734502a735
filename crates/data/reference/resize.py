"""Writes resize.json: small synthetic images and masks, and what Pillow makes of them.

    python resize.py > resize.json        (made with Pillow 13.0 and numpy 2.4)
"""

import json

import numpy
from PIL import Image

random = numpy.random.default_rng(1)
cases = []
# Shrinking by whole and by odd factors, growing, one side each way, a single row, and no change.
for source, target in [
    ((16, 16), (8, 8)),
    ((23, 17), (8, 8)),
    ((33, 20), (7, 12)),
    ((5, 7), (12, 16)),
    ((9, 24), (13, 10)),
    ((1, 10), (3, 4)),
    ((6, 6), (6, 6)),
]:
    height, width = source
    rgb = random.integers(0, 256, (height, width, 3), dtype=numpy.uint8)
    mask = random.integers(0, 4, (height, width), dtype=numpy.uint8)
    size = target[::-1]  # Pillow says width first
    cases.append(
        {
            "from": source,
            "to": target,
            "rgb": rgb.flatten().tolist(),
            "bilinear": numpy.asarray(Image.fromarray(rgb).resize(size, Image.BILINEAR)).flatten().tolist(),
            "mask": mask.flatten().tolist(),
            "nearest": numpy.asarray(Image.fromarray(mask).resize(size, Image.NEAREST)).flatten().tolist(),
        }
    )
print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")
