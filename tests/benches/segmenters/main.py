"""Measures training steps of networks with an encoder, beside segmentation_models.pytorch.

    scripts/bench segmenters [ROUNDS]

The same network on both sides: images, loss, optimizer and number of threads are alike, none reads files. The peer is
PyTorch with all that makes it faster (channels last, fused Adam, bf16 where a processor has it), and compiled. It is
measured where the Python of PYTHON has segmentation_models_pytorch. The table goes into BENCHMARKS.md, unless APP
names another program than target/release/app.
"""

import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

sys.path.append(str(pathlib.Path(__file__).resolve().parents[1] / "common"))

from document import put

ROOT = pathlib.Path(__file__).resolve().parents[3]
APP = os.environ.get("APP", ROOT / "target/release/app")
PYTHON = os.environ.get("PYTHON")
# Samples of a step, side of an image, steps of an epoch.
BATCH, SIZE, STEPS = 8, 128, 10
# Encoder and decoder here, and their names there.
NETWORKS = {
    "ResNet-34 with UNet": (["resnet34", "unet"], ["Unet", "resnet34"]),
    "ResNet-50 with DeepLabV3+": (["resnet50", "deeplab_v3_plus"], ["DeepLabV3Plus", "resnet50"]),
    "MiT-B0 with SegFormer": (["mit_b0", "segformer"], ["Segformer", "mit_b0"]),
}
PEERS = {"smp": "eager", "smp, compiled": "compiled"}
SETTINGS = [
    "train.epochs=3", "train.device=cpu", f"data.size=[{SIZE},{SIZE}]", f"data.train_samples={BATCH * STEPS}",
    "data.validation_samples=8", "data.loader.cache=memory", "data.loader.workers=0",
    f"data.loader.batch_size={BATCH}", "export.at_end=false", "summary.tensorboard=false", "summary.report=false",
]


def ours(folder, names, precision):
    """Returns the milliseconds of a step, in all epochs but the first, and the run's environment."""
    encoder, decoder = names
    stride = ["model.encoder.output_stride=16"] if decoder == "deeplab_v3_plus" else []
    settings = [*SETTINGS, f"model.precision={precision}", *stride]
    model = {"kind": "segmenter", "encoder": {"name": encoder}, "decoder": {"kind": decoder}}
    config = folder.with_suffix(".json")
    config.write_text(json.dumps({"model": model}))
    command = [APP, "train", "--config", config, "--run", folder]
    command += [part for setting in settings for part in ("--set", setting)]
    ran = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        sys.exit(f"segmenters: oxiseg failed:\n{ran.stderr[-4000:]}")
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["stage"] == "train"][1:]
    spent = sum(line[f"seconds/{what}"] for line in epochs for what in ("data", "transfer", "compute"))
    return 1000 * spent / (STEPS * len(epochs)), json.loads((folder / "environment.json").read_text())


def peer(names, how, precision):
    """Returns the milliseconds of a step, or None, with a message, where it cannot be had."""
    script = pathlib.Path(__file__).with_name("peers.py")
    command = [PYTHON, "-B", script, *names, how, precision, *map(str, (BATCH, SIZE, 2 * STEPS))]
    ran = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if ran.returncode:
        print(f"segmenters: {names[0]}, {how}: skipped: {ran.stderr.strip()[-300:]}", file=sys.stderr)
        return None
    return float(ran.stdout.split()[-1])


def cell(values, own):
    """Returns median and range, and the ratio to our times of the same rounds."""
    if not values:
        return "–"
    middle = f"{statistics.median(values):.0f} ({min(values):.0f}–{max(values):.0f})"
    return middle if values is own else f"{middle}, {statistics.median(b / a for a, b in zip(own, values)):.2f}"


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    flags = pathlib.Path("/proc/cpuinfo").read_text()
    precisions = ["fp32", "bf16"] if "avx512_bf16" in flags else ["fp32"]
    found, missing = {}, set()
    with tempfile.TemporaryDirectory() as parent:
        for number in range(rounds):
            for network, (here, there) in NETWORKS.items():
                for precision in precisions:
                    contestants = ["oxiseg"] + (list(PEERS) if PYTHON else [])
                    for who in contestants if number % 2 == 0 else contestants[::-1]:
                        key = (network, precision, who)
                        if key in missing:
                            continue
                        if who == "oxiseg":
                            folder = pathlib.Path(tempfile.mkdtemp(dir=parent)) / "run"
                            took, environment = ours(folder, here, precision)
                        else:
                            took = peer(there, PEERS[who], precision)
                        missing.update([key] if took is None else [])
                        found.setdefault(key, []).extend([] if took is None else [took])
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    text = f"Milliseconds of a step with {BATCH} images of {SIZE} × {SIZE}, and of the peers the ratio to ours;\n"
    text += f"{rounds} rounds: medians (range). {environment['cores']} cores of {environment['processor']}.\n\n"
    text += "| network | precision | oxiseg |" + "".join(f" {who} |" for who in PEERS) + "\n"
    text += "| --- | --- |" + " ---: |" * (1 + len(PEERS)) + "\n"
    for network in NETWORKS:
        for precision in precisions:
            own = found[network, precision, "oxiseg"]
            cells = [cell(found.get((network, precision, who), []), own) for who in ("oxiseg", *PEERS)]
            text += f"| {network} | {precision} | " + " | ".join(cells) + " |\n"
    print(text)
    if "APP" not in os.environ:
        put("segmenters", text)


main()
