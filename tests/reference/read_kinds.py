"""Prints the kinds of summaries that TensorBoard finds: {run: {kind: [tag, ...] or whether there is one}}."""

import json
import sys

from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer

multiplexer = EventMultiplexer().AddRunsFromDirectory(sys.argv[1]).Reload()
json.dump(multiplexer.Runs(), sys.stdout)
