"""Prints the scalars of a log folder as TensorBoard reads them: {run: {tag: [[step, value], ...]}}."""

import json
import sys

from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

multiplexer = EventMultiplexer().AddRunsFromDirectory(sys.argv[1]).Reload()
runs = {}
for run, content in multiplexer.Runs().items():
    runs[run] = {tag: [[e.step, e.value] for e in multiplexer.Scalars(run, tag)] for tag in content["scalars"]}
json.dump(runs, sys.stdout)
