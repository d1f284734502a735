"""Prints a log folder as TensorBoard's own plugins read it, as JSON: {plugin: its response to the browser}."""

import io
import json
import sys

from google.protobuf import json_format
from PIL import Image
from tensorboard import context
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.custom_scalar.custom_scalars_plugin import CustomScalarsPlugin
from tensorboard.plugins.distribution.distributions_plugin import DistributionsPlugin
from tensorboard.plugins.graph.graphs_plugin import GraphsPlugin
from tensorboard.plugins.histogram.histograms_plugin import HistogramsPlugin
from tensorboard.plugins.hparams import api_pb2, list_session_groups
from tensorboard.plugins.hparams.backend_context import Context
from tensorboard.plugins.image.images_plugin import ImagesPlugin
from tensorboard.plugins.pr_curve.pr_curves_plugin import PrCurvesPlugin
from tensorboard.plugins.scalar.scalars_plugin import ScalarsPlugin
from tensorboard.plugins.text.text_plugin import TextPlugin

logs, request, experiment = sys.argv[1], context.RequestContext(), "exp"
multiplexer = EventMultiplexer().AddRunsFromDirectory(logs).Reload()
provider = MultiplexerDataProvider(multiplexer, logs)
plugins = {}
shared = base_plugin.TBContext(data_provider=provider, logdir=logs, plugin_name_to_instance=plugins)
scalars = plugins["scalars"] = ScalarsPlugin(shared)
said = {}

said["scalars"] = {
    run: {tag: [point[1:] for point in scalars.scalars_impl(request, tag, run, experiment, "json")[0]] for tag in tags}
    for run, tags in scalars.index_impl(request, experiment).items()
}

images = ImagesPlugin(shared)
said["images"] = {}
for run, tags in images._index_impl(request, experiment).items():
    for tag, about in tags.items():
        for sample in range(about["samples"]):
            shown = []
            for entry in images._image_response_for_run(request, experiment, run, tag, sample):
                key = entry["query"].removeprefix("blob_key=")
                picture = Image.open(io.BytesIO(provider.read_blob(request, blob_key=key)))
                shown.append([entry["step"], picture.mode, picture.size, list(picture.tobytes())])
            said["images"].setdefault(run, {})[f"{tag}/{sample}"] = shown

histograms, distributions = HistogramsPlugin(shared), DistributionsPlugin(shared)
plugins["histograms"] = histograms
said["histograms"] = {
    run: {tag: [point[1:] for point in histograms.histograms_impl(request, tag, run, experiment)[0]] for tag in tags}
    for run, tags in histograms.index_impl(request, experiment).items()
}
said["distributions"] = {
    run: {tag: [point[1:] for point in distributions.distributions_impl(request, tag, run, experiment)[0]] for tag in tags}
    for run, tags in distributions.index_impl(request, experiment).items()
}

curves = PrCurvesPlugin(shared)
said["pr_curves"] = {
    run: {tag: curves.pr_curves_impl(request, experiment, [run], tag)[run] for tag in tags}
    for run, tags in curves.tags_impl(request, experiment).items()
}

text = TextPlugin(shared)
said["text"] = {
    run: {tag: [[entry["step"], entry["text"]] for entry in text.text_impl(request, run, tag, experiment, True)] for tag in tags}
    for run, tags in text.index_impl(request, experiment).items()
}

graphs = GraphsPlugin(shared)
said["graphs"] = {
    run: graphs.graph_impl(request, run, None, False, experiment)[0]
    for run, about in graphs.info_impl(request, experiment).items()
    if about["run_graph"]
}

custom = CustomScalarsPlugin(shared)
said["layout"] = custom.layout_impl(request, experiment)
if said["layout"]:
    said["layout"] = json.loads(said["layout"])
said["charts"] = {}
for category in said["layout"].get("category", []):
    for chart in category["chart"]:
        lines = said["charts"].setdefault(chart["title"], [])
        for run in sorted(said["scalars"]):
            for tag in chart["multiline"]["tag"]:
                drawn = custom.scalars_impl(request, run, tag, experiment)
                assert drawn["regex_valid"], tag
                lines.extend(f"{run}: {name}" for name in sorted(drawn["tag_to_events"]))

hparams = Context(shared)
contents = hparams.hparams_metadata(request, experiment)
about = hparams.experiment_from_metadata(
    request, experiment, True, contents, hparams.hparams_from_data_provider(request, experiment, None)
)
statuses = [api_pb2.STATUS_UNKNOWN, api_pb2.STATUS_SUCCESS, api_pb2.STATUS_FAILURE, api_pb2.STATUS_RUNNING]
columns = [api_pb2.ColParams(hparam=info.name, include_in_result=True) for info in about.hparam_infos]
columns += [api_pb2.ColParams(metric=info.name) for info in about.metric_infos]
asked = api_pb2.ListSessionGroupsRequest(
    allowed_statuses=statuses, col_params=columns, slice_size=100, aggregation_type=api_pb2.AGGREGATION_AVG
)
groups = list_session_groups.Handler(request, hparams, experiment, asked).run()
said["experiment"] = json_format.MessageToDict(about)
said["sessions"] = json_format.MessageToDict(groups).get("sessionGroups", [])

json.dump(said, sys.stdout)
