"""Measures one rank against two, and predicts more of them on paper.

    scripts/bench scale [ROUNDS]

A rank has one thread and always the same number of samples, so two ranks do twice the work of one. Two trainings that
know nothing of each other show what two busy cores cost; what two ranks take beyond that is the price of going
together. PyTorch's DistributedDataParallel does the same in the same layout, where the Python of PYTHON has torch. The
tables go into BENCHMARKS.md, where it has a place for them. APP names another program than target/release/app.
"""

import json
import math
import os
import pathlib
import statistics
import struct
import subprocess
import sys
import tempfile
import textwrap

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from document import put
from model import Cluster, Link, Step, all_reduce, buckets, efficiency, fit, overlap_of

ROOT = pathlib.Path(__file__).resolve().parents[3]
APP = os.environ.get("APP", ROOT / "target/release/app")
# A Python with torch; without one, nothing is compared.
PYTHON = os.environ.get("PYTHON")
# Samples of a rank in each step, side of an image, width of the network.
BATCH, SIZE, WIDTH = 8, 64, 32
STEPS = 20
SETTINGS = [
    "train.epochs=3", "train.threads=1", "train.device=cpu", f"data.size=[{SIZE},{SIZE}]", "data.validation_samples=16",
    "data.loader.cache=memory", "data.loader.workers=0", "model.kind=unet", f"model.width={WIDTH}", "model.depth=4",
    "model.precision=fp32", "export.at_end=false", "summary.tensorboard=false", "summary.report=false",
]
LOCAL = "distributed.sync_batch_norm=false"
OURS = {"oxiseg, BatchNorm of all ranks": [], "oxiseg, BatchNorm of each rank": [LOCAL]}
PEER = "DistributedDataParallel"

# A step of the same network at 256 x 256 in bf16 on an H100 (`scripts/gpu-check bench`): samples and seconds.
GPU = [(16, 0.0123), (64, 0.0412)]
# Assumed, not measured: NVLink inside a machine, a network card of 400 Gbit/s for each GPU between machines.
NVLINK, NETWORK = Link(300e9, 3e-6), Link(40e9, 10e-6)
PAPER = {
    "8 GPUs, one machine": Cluster(1, 8, NVLINK, NETWORK),
    "64 machines, 512 GPUs": Cluster(64, 8, NVLINK, NETWORK),
}


def start(folder, ranks, more):
    """Starts a training of so many ranks."""
    samples = ranks * BATCH * STEPS
    settings = [*SETTINGS, f"data.loader.batch_size={ranks * BATCH}", f"data.train_samples={samples}", *more]
    command = [APP, "train", "--run", folder] + (["--nproc", str(ranks)] if ranks > 1 else [])
    command += [part for setting in settings for part in ("--set", setting)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def rate(folder, ranks):
    """Returns the images a second of all ranks, in all epochs but the first."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["stage"] == "train"][1:]
    spent = sum(line[f"seconds/{what}"] for line in epochs for what in ("data", "transfer", "compute"))
    return ranks * BATCH * STEPS * len(epochs) / spent


def finished(processes):
    """Waits for processes and returns their outputs."""
    said = [process.communicate() for process in processes]
    for process, (_, error) in zip(processes, said):
        if process.returncode:
            sys.exit(f"scale: a process failed:\n{error[-4000:]}")
    return [out for out, _ in said]


def ours(parent, more, ranks, trainings):
    """Returns the images a second of trainings that run at once, and the folder of the first."""
    folders = [pathlib.Path(tempfile.mkdtemp(dir=parent)) / "run" for _ in range(trainings)]
    finished([start(folder, ranks, more if ranks > 1 else []) for folder in folders])
    return sum(rate(folder, ranks) for folder in folders), folders[0]


def peers(size, ranks, trainings):
    """Returns the images a second of trainings that run at once, and the seconds of an all-reduce in the first."""
    script = pathlib.Path(__file__).with_name("peers.py")
    command = [PYTHON, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}", script]
    command += map(str, (BATCH, SIZE, WIDTH, 2 * STEPS, int(size)))
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    outs = finished([subprocess.Popen(command, env=environment, **pipes) for _ in range(trainings)])
    found = [json.loads(out.splitlines()[-1]) for out in outs]
    return sum(each["rate"] for each in found), found[0]["all_reduce"]


def network(folder):
    """Returns the parameters of the network that a run saved, and the channels of each of its BatchNorms."""
    with sorted((folder / "checkpoints").glob("*/model.safetensors"))[0].open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    shapes = {name: about["shape"] for name, about in header.items() if name != "__metadata__"}
    norms = [math.prod(shape) for name, shape in shapes.items() if name.endswith("running_mean")]
    return sum(math.prod(shape) for name, shape in shapes.items() if "running_" not in name), norms


def paper(parameters, norms, overlaps):
    """Returns the table of predictions."""
    text = "| on paper | samples a GPU | compute | all-reduce | sums of BatchNorm |"
    text += "".join(f" efficiency, {name} |" for name in overlaps) + "\n"
    text += "| --- |" + " ---: |" * (4 + len(overlaps)) + "\n"
    # A sum forward and one backward, of two numbers a channel.
    sums, of_sum = 2 * len(norms), 2 * 4 * sum(norms) / max(len(norms), 1)
    for name, cluster in PAPER.items():
        for samples, _ in GPU:
            for kind, width in (("f32", 4), ("bf16", 2)):
                step = Step(*fit(GPU), width * parameters, sums, of_sum)
                compute = step.fixed + step.a_sample * samples
                reduce = sum(all_reduce(size, cluster) for size in buckets(step.gradients))
                waits = sums * all_reduce(of_sum, cluster)
                cells = [f"{name}, gradients in {kind}", samples]
                cells += [f"{1000 * each:.2f} ms" for each in (compute, reduce, waits)]
                cells += [f"{efficiency(step, samples, cluster, overlap):.3f}" for overlap in overlaps.values()]
                text += "| " + " | ".join(map(str, cells)) + " |\n"
    return text


def wrapped(prose):
    """Returns a paragraph in lines of at most 120 columns."""
    return textwrap.fill(prose, 120, break_long_words=False, break_on_hyphens=False) + "\n"


def measured(found, name):
    """Returns the row of a contestant: rates of one rank, two apart and two together, and the efficiency of two."""
    one, apart, two = (found[name, case] for case in ("one", "apart", "two"))
    share = lambda of: [together / other for together, other in zip(two, of)]
    middle = statistics.median
    cells = [f"{middle(rates):.1f} ({min(rates):.1f}–{max(rates):.1f})" for rates in (one, apart, two)]
    cells += [f"{middle(share([2 * each for each in one])):.3f}", f"{middle(share(apart)):.3f}"]
    return f"| {name} | " + " | ".join(cells) + " |\n"


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found, reductions = {}, []
    with tempfile.TemporaryDirectory() as parent:
        _, folder = ours(parent, [], 1, 1)
        parameters, norms = network(folder)
        environment = json.loads((folder / "environment.json").read_text())
        # Number of ranks and of trainings.
        cases = {"one": (1, 1), "apart": (1, 2), "two": (2, 1)}
        for number in range(rounds):
            contestants = list(OURS) + ([PEER] if PYTHON else [])
            for name in contestants if number % 2 == 0 else contestants[::-1]:
                for case, (ranks, trainings) in cases.items():
                    if name == PEER:
                        rates, took = peers(4 * parameters, ranks, trainings)
                        reductions += [took] if case == "two" else []
                    else:
                        rates, _ = ours(parent, OURS[name], ranks, trainings)
                    found.setdefault((name, case), []).append(rates)
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    median = statistics.median
    text = f"Images a second of ranks with a thread and {BATCH} samples each, {rounds} rounds: medians (range). "
    text = wrapped(text + f"{environment['cores']} cores of {environment['processor']}.") + "\n"
    text += "| | one rank | two apart | two ranks | of twice one | of two apart |\n| --- |" + " ---: |" * 5 + "\n"
    text += "".join(measured(found, name) for name in contestants)
    overlaps = {"nothing hidden": 0.0, "all of backward": 1.0}
    if reductions:
        # With the ranks' own BatchNorm, what two take beyond two apart is the gradients' way alone.
        name = list(OURS)[1]
        compute, took = (2 * BATCH / median(found[name, case]) for case in ("apart", "two"))
        link = Link(4 * parameters / median(reductions), 0)
        step, here = Step(compute, 0, 4 * parameters), Cluster(1, 2, link, link)
        overlaps["overlap as here"] = overlap_of(took, step, BATCH, here)
        reduce, hidden = 1000 * median(reductions), 100 * overlaps["overlap as here"]
        text += "\n" + wrapped(
            f"Gloo reduces the gradients ({4 * parameters / 1e6:.1f} MB) in {reduce:.1f} ms, the step of two apart "
            f"takes {1000 * compute:.1f} ms and that of two ranks {1000 * took:.1f} ms: {hidden:.0f} % of the backward "
            "pass hides them."
        )
    inside, between = (f"{link.bandwidth / 1e9:.0f} GB/s and {1e6 * link.latency:.0f} µs" for link in (NVLINK, NETWORK))
    text += "\n" + wrapped(
        "On paper, by tests/benches/scale/model.py: nobody measured these. Compute is that of an H100, the links are "
        f"assumed: {inside} inside a machine, {between} between machines, for each GPU."
    )
    text += "\n"
    text += paper(parameters, norms, overlaps)
    print(text)
    if "APP" not in os.environ:
        put("scale", text)


main()
