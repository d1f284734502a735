"""Writes average.json: a variable on a random walk, and its moving average after each step.

    python average.py > average.json        (made with numpy 2.4)

The average is written out as a sum over all past values, each with the product of the decays since then; no step of it
builds on the one before.
"""

import json

import numpy

random = numpy.random.default_rng(1)
cases = []
# Warm-up throughout; warm-up until the eighth step; almost no memory.
for decay, steps in [(0.999, 12), (0.5, 20), (0.01, 5)]:
    values = numpy.cumsum(random.standard_normal((steps + 1, 4)), axis=0).astype(numpy.float32)
    n = numpy.arange(1, steps + 1)
    decays = numpy.minimum(decay, (1 + n) / (10 + n))
    averages = []
    for step in range(1, steps + 1):
        # The weight that value k (0 is the start) has by now.
        own = numpy.concatenate([[1.0], 1 - decays[:step]])
        since = numpy.array([numpy.prod(decays[k:step]) for k in range(step + 1)])
        averages.append((own * since) @ values[: step + 1].astype(numpy.float64))
    cases.append({"decay": decay, "values": values.tolist(), "averages": numpy.array(averages).tolist()})
print("[\n" + ",\n".join(json.dumps(case, separators=(",", ":")) for case in cases) + "\n]")
