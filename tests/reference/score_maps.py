"""Prints the scores of class maps against masks, as JSON, counted with NumPy.

    python score_maps.py MASKS MAPS VALUE=CLASS,VALUE=CLASS NAME...

Counts the files of these names, which are in both folders. Pixels whose value is not named are ignored.
"""

import json
import pathlib
import sys

import numpy
from PIL import Image

masks, maps, values, *names = sys.argv[1:]
values = [tuple(int(number) for number in value.split("=")) for value in values.split(",")]
classes = len(values)
matrix = numpy.zeros((classes, classes), numpy.int64)
for name in names:
    mask, predicted = (numpy.asarray(Image.open(pathlib.Path(folder) / name)) for folder in (masks, maps))
    for value, target in values:
        numpy.add.at(matrix[target], predicted[mask == value], 1)
hits = numpy.diag(matrix)
both = matrix.sum(0) + matrix.sum(1)
print(
    json.dumps(
        {
            "pixels": int(matrix.sum()),
            "accuracy": float(hits.sum() / matrix.sum()),
            "mean_iou": float((hits / (both - hits)).mean()),
            "mean_dice": float((2 * hits / both).mean()),
        }
    )
)
