"""Writes cross_entropy.json: the sum of the weighted cross entropy and its gradient, by the formula in f64."""

import json
import pathlib

import numpy as np

IGNORED = 255
rng = np.random.default_rng(7)


def case(n, k, h, w, weighted, ignored):
    logits = np.round(rng.normal(0, 3, (n, k, h, w)), 3)
    targets = rng.integers(0, k, (n, h, w))
    targets[rng.random((n, h, w)) < ignored] = IGNORED
    weights = np.round(rng.uniform(0, 2, k), 3) if weighted else np.ones(k)
    loss, gradient = 0.0, np.zeros_like(logits)
    for at in np.ndindex(n, h, w):
        target = targets[at]
        if target == IGNORED:
            continue
        pixel = (at[0], slice(None), at[1], at[2])
        exponentials = np.exp(logits[pixel] - logits[pixel].max())
        probabilities = exponentials / exponentials.sum()
        loss -= weights[target] * np.log(probabilities[target])
        gradient[pixel] = weights[target] * (probabilities - (np.arange(k) == target))
    return {
        "shape": [n, k, h, w],
        "logits": logits.ravel().tolist(),
        "targets": targets.ravel().tolist(),
        "weights": weights.tolist() if weighted else None,
        "loss": loss,
        "gradient": gradient.ravel().tolist(),
    }


cases = [
    case(2, 3, 4, 5, False, 0.0),
    case(2, 3, 4, 5, True, 0.3),
    case(1, 2, 1, 1, False, 0.0),
    case(3, 7, 3, 2, True, 0.1),
    case(1, 4, 3, 3, False, 1.0),
]
pathlib.Path(__file__).with_suffix(".json").write_text(json.dumps(cases) + "\n")
