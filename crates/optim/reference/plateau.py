"""Writes plateau.json: scores of validations, and the learning rate of PyTorch's ReduceLROnPlateau after each.

    python plateau.py > plateau.json        (made with torch 2.11)

`min_rate` is its `min_lr`, and `floor` that as a share of the first learning rate. `eps` is 0: PyTorch
leaves out a change of the learning rate by less than 1e-8, whatever the learning rate is.
"""

import json
import math

import torch

random = torch.Generator().manual_seed(1)


def falling(validations, noise):
    """Returns a loss that falls ever slower, with noise."""
    noise = noise * torch.randn(validations, generator=random, dtype=torch.float64)
    return [1 / (1 + at) + by for at, by in enumerate(noise.tolist())]


cases = [
    ({}, falling(60, 0.02)),
    ({"patience": 0, "factor": 0.5}, falling(25, 0.1)),
    ({"patience": 3, "factor": 0.3, "floor": 0.05}, falling(60, 0.1)),
    ({"patience": 2, "threshold": 0.2}, falling(30, 0.0)),
    ({"patience": 1, "threshold": 0.0, "mode": "max"}, [1 - loss for loss in falling(30, 0.05)]),
    ({"patience": 2, "threshold": 0.05, "mode": "max", "factor": 0.25}, [1 - loss for loss in falling(40, 0.02)]),
    # A relative threshold makes the demand weaker below 0.
    ({"patience": 1, "threshold": 0.1}, [-1.0, -0.95, -0.9, -0.89, -0.89, -2.0, -1.9, -1.7, -1.7, -1.7]),
    ({"patience": 1}, [math.nan, 0.5, math.nan, math.nan, 0.4, math.nan, 0.3, 0.4, 0.4, 0.4]),
    ({"patience": 0}, [0.5, 0.5, 0.49999, 0.4999, 0.3, 0.3]),
    ({"patience": 0, "factor": 0.1}, [0.0] * 20),
    ({"patience": 0, "factor": 0.1, "min_rate": 3e-3}, falling(25, 0.1)),
]
written = []
for options, scores in cases:
    rate = 0.1
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=rate)
    known = {key: value for key, value in options.items() if key not in ("floor", "min_rate")}
    schedule = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimizer, **known, min_lr=options.get("min_rate", options.get("floor", 0.0) * rate), eps=0.0
    )
    rates = []
    for score in scores:
        schedule.step(score)
        rates.append(optimizer.param_groups[0]["lr"])
    scores = [None if math.isnan(score) else score for score in scores]
    written.append({"options": options, "scores": scores, "rates": rates})
print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in written) + "\n]")
