"""Writes nnunet.json: the transforms of nnU-Net's 2-D configuration, with their parameters.

    python nnunet.py > nnunet.json        (made with nnunetv2 2.8.1 and batchgeneratorsv2 0.3.6)

A range whose numbers below and above 1 are equally likely (`BGContrast`) is `{"around_one": [low, high]}`.
"""

import json
import math
import sys

from batchgeneratorsv2.transforms.utils.random import RandomTransform
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

LEFT_OUT = {"patch_size", "upmodes", "benchmark", "benchmark_use_fft", "benchmark_num_runs"}


def plain(value):
    if type(value).__name__ == "BGContrast":
        return {"around_one": list(value.contrast_range)}
    return list(value) if isinstance(value, (tuple, list)) else value


def parameters(transform):
    kept = {key: plain(value) for key, value in vars(transform).items() if key not in LEFT_OUT}
    return {key: value for key, value in kept.items() if isinstance(value, (int, float, list, dict, type(None)))}


made = []
transforms = nnUNetTrainer.get_training_transforms((64, 64), (-math.pi, math.pi), None, (0, 1), False)
for transform in transforms.transforms:
    probability = None
    if isinstance(transform, RandomTransform):
        probability, transform = transform.apply_probability, transform.transform
    made.append({"name": type(transform).__name__, "probability": probability, **parameters(transform)})
json.dump(made, sys.stdout, indent=1)
print()
