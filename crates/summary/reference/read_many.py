"""Prints the steps of all points in NAME/train for each NAME in a folder, as TensorBoard reads them.

The output is JSON: {NAME: {tag: [step, ...]}}.
"""

import json
import logging
import os
import sys

from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

# Torn files are expected here.
logging.disable(logging.ERROR)
read = {}
for name in os.listdir(sys.argv[1]):
    run = EventAccumulator(os.path.join(sys.argv[1], name, "train"))
    run.Reload()
    read[name] = {tag: [point.step for point in run.Tensors(tag)] for tag in run.Tags()["tensors"]}
json.dump(read, sys.stdout)
