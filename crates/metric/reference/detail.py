"""Writes detail.json: NumPy's counts of a random batch, pixel by pixel.

    python detail.py > detail.json        (made with numpy 2.4)

Avoids probabilities that are too close to the edge of a bin for f32.
"""

import json

import numpy

random = numpy.random.default_rng(4)
samples, classes, height, width = 3, 3, 5, 6
while True:
    logits = random.normal(0, 2, (samples, classes, height, width)).astype(numpy.float32)
    targets = random.integers(0, classes, (samples, height, width))
    targets[random.random(targets.shape) < 0.2] = 255
    targets[2] = 255  # a sample without a valid pixel
    targets[1][targets[1] == 2] = 0  # a class that is in no target of the sample
    exact = numpy.exp(logits.astype(numpy.float64))
    probabilities = exact / exact.sum(1, keepdims=True)
    edges = [abs(probabilities * bins - numpy.round(probabilities * bins)).min() for bins in (100, 15)]
    if min(edges) > 1e-4:
        break

thresholds = []
for k in range(classes):
    rows = []
    for threshold in range(101):
        counts = [0, 0, 0, 0]  # true positives, false positives, true negatives, false negatives
        for index in numpy.ndindex(targets.shape):
            n, y, x = index
            if targets[index] != 255:
                above, own = probabilities[n, k, y, x] >= threshold / 100, targets[index] == k
                counts[{(True, True): 0, (True, False): 1, (False, False): 2, (False, True): 3}[(bool(above), bool(own))]] += 1
        rows.append(counts)
    thresholds.append(rows)

calibration = [[0.0, 0, 0] for _ in range(15)]
predicted = probabilities.argmax(1)
for index in numpy.ndindex(targets.shape):
    n, y, x = index
    if targets[index] != 255:
        confidence = probabilities[n, :, y, x].max()
        row = calibration[int(confidence * 15)]
        row[0] += confidence
        row[1] += int(predicted[index] == targets[index])
        row[2] += 1

scores = []
for n in range(samples):
    valid, ious = targets[n] != 255, []
    for k in range(classes):
        a, b = (targets[n] == k) & valid, (predicted[n] == k) & valid
        if (a | b).any():
            ious.append((a & b).sum() / (a | b).sum())
    scores.append(float(numpy.mean(ious)) if ious else None)

print(json.dumps({"logits": logits.tolist(), "targets": targets.tolist(), "thresholds": thresholds, "calibration": calibration, "scores": scores}))
