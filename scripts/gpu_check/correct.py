"""Results on a GPU: the same to the bit where that is promised, and as good as a CPU's."""

import array
import ast
import json
import math
import os
from concurrent.futures import ThreadPoolExecutor

from gpu_check import ranks
from gpu_check.machine import Failed, learnt, lines

PRECISIONS = ("fp32", "tf32", "bf16", "fp16")
# Mean IoU that the default reaches on a CPU is 0.969.
SCORE = 0.95
# Name of the image that makes loss, gradients and running statistics NaN: it alone is not without blue, and the
# standard deviation of blue is so small that it becomes infinite.
PLANTED = "planted"


def resuming(machine, precision, many):
    """Kills a training and resumes it; app verify-resume compares it with an undisturbed one."""
    steps, kills = (100, 10) if many else (20, 2)
    folder = machine.folder / f"resume-{precision}"
    changes = [f"model.precision={precision}"]
    if machine.cpu:
        changes += ["data.size=[16,16]", "data.train_samples=40", "model.width=4", "model.depth=2"]
    output, _ = machine.run("verify-resume", "--folder", folder, "--steps", str(steps), "--interrupts", str(kills),
                            *machine.changes(*changes))  # fmt: skip
    return f"killed {kills} times in {steps} steps: {output.strip().splitlines()[-1].split(': ')[-1]}"


def planted(machine):
    """Draws a data set whose loss is NaN in one batch of each epoch, and returns its configuration: 40 batches, of
    which the last is smaller."""
    side, batch = (16, 4) if machine.cpu else (64, 16)
    root = machine.folder / "planted"
    with machine.training:
        if not root.exists():
            for split, count in (("train", 39 * batch + batch // 2), ("validation", batch)):
                for number in range(count):
                    pixels, ids = machine.drawn(side, number)
                    name, pixels[2::3] = f"{split}/{number}.png", bytes(side * side)
                    if (split, number) == ("train", 0):
                        name, pixels[2] = f"{split}/{PLANTED}.png", 255
                    machine.png(root / "images" / name, side, pixels)
                    machine.png(root / "masks" / name, side, ids)
    network = {"kind": "unet", "width": 4 if machine.cpu else 16, "depth": 2 if machine.cpu else 4}
    return {
        "data": {
            "kind": "folders", "root": str(root), "classes": ["ground", "thing"], "size": [side, side],
            "transforms": [], "normalize": {"mean": [0.5, 0.5, 0.0], "std": [0.25, 0.25, 1e-39]},
            "split": {"train": "train", "validation": "validation"}, "loader": {"batch_size": batch},
        },
        "model": network,
        "optimizer": {"clip_norm": 0.5, "ema": 0.99},
        "schedule": {"warmup": 20, "decay": {"kind": "cosine"}},
        "train": {"epochs": 5, "non_finite": {"policy": "skip"}},
        "export": {"at_end": False},
    }  # fmt: skip


def graph(machine, precision):
    """Makes 200 steps with and without a CUDA graph, with schedule, clipping, a moving average, losses that are NaN and
    last batches that are smaller, and compares all that they end with."""
    config = machine.folder / f"graph-{precision}.json"
    config.write_text(json.dumps(planted(machine)))
    ends = []
    for how in ("auto", "off"):
        run = machine.folder / f"graph-{precision}-{how}"
        changes = machine.changes(f"model.precision={precision}", f"train.graph={how}")
        _, log = machine.run("train", "--config", config, "--run", run, *changes)
        if how == "auto" and not machine.cpu and "steps are replayed from a capture" not in log:
            why = [line for line in log.splitlines() if "captured" in line]
            raise Failed(f"no step was replayed: {' | '.join(why) or 'the log does not say why'}")
        ends.append(learnt(run))
    rejected = [about for file, about in ends[1].items() if file.startswith("rejected/")]
    sound = (loss == norm == "NaN" and PLANTED in " ".join(names) for loss, norm, *names in rejected)
    if len(rejected) != 5 or not all(sound):
        raise Failed(f"loss and gradients should have been NaN in one batch of each of 5 epochs, not in {rejected}")
    other = [name for name in ends[1] if ends[0].get(name) != ends[1][name]]
    if other or len(ends[0]) != len(ends[1]):
        raise Failed(f"200 steps, eager and in a graph, differ in {', '.join(other) or 'what they left'}")
    both = "eager twice" if machine.cpu else "eager and in a graph"
    return f"200 steps, 5 of them NaN, {both}: {len(ends[0])} files and lines are the same to the bit"


def score(machine):
    """Trains the default to its score."""
    run = machine.trained("trained", {"train.epochs": 1 if machine.cpu else 15})
    last = [line for line in lines(run) if line["stage"] == "validation"][-1]
    expected = 0.0 if machine.cpu else SCORE
    if not last["mean_iou"] > expected:
        raise Failed(f"mean IoU {last['mean_iou']:.4f} after {last['epoch']} epochs, expected above {expected}")
    return f"mean IoU {last['mean_iou']:.4f} after {last['epoch']} epochs"


def probabilities(path):
    """Reads a .npy file of f32: shape and numbers."""
    data = path.read_bytes()
    start = 12 if data[6] > 1 else 10
    length = int.from_bytes(data[8:start], "little")
    header = ast.literal_eval(data[start : start + length].decode())
    if header["descr"] != "<f4" or header["fortran_order"]:
        raise Failed(f"{path.name} is not what app predict writes: {header}")
    numbers = array.array("f", data[start + length :])
    return header["shape"], numbers


def prediction(machine, tile):
    """Predicts the same images on the device and on the CPU with the trained network."""
    score(machine)
    images = machine.images("images", 3, 96)
    how = ["--tile", "64"] if tile else []
    for name, cpu in (("device", False), ("host", True)):
        output = machine.folder / f"{name}{tile}"
        machine.run("predict", "--run", machine.folder / "trained", "--output", output, "--also", "npy", *how, images,
                    cpu=cpu)  # fmt: skip
    furthest, other, pixels = 0.0, 0, 0
    for number in range(3):
        name = f"{number}_probabilities.npy"
        places = (machine.folder / f"{which}{tile}" / name for which in ("device", "host"))
        (shape, ours), (like, theirs) = map(probabilities, places)
        if shape != like:
            raise Failed(f"{name} is of {shape} on the device and of {like} on the CPU")
        furthest = max(furthest, max(map(lambda a, b: abs(a - b), ours, theirs)))
        size = math.prod(shape[1:])
        best = lambda numbers, at: max(range(shape[0]), key=lambda of: numbers[of * size + at])
        other += sum(best(ours, at) != best(theirs, at) for at in range(size))
        pixels += size
    text = f"probabilities differ by at most {furthest:.1e}, classes in {other} of {pixels} pixels"
    if not (furthest < 0.02 and other <= pixels / 1000):
        raise Failed(text)
    return text


def memory(machine, card):
    """Runs out of memory while it goes on with a training, which loses nothing. On a CPU the system sets the limit."""
    size = ["data.size=[256,256]", "data.loader.batch_size=16", "data.train_samples=16", "data.validation_samples=4"]
    changes = machine.changes(*size, "train.epochs=2", "export.at_end=false")
    run = machine.folder / "memory"
    machine.run("train", "--run", run, *machine.changes(*size, "train.epochs=1", "export.at_end=false"))
    before = learnt(run)
    # Network and optimizer need less, a step needs more. On a CPU libtorch's own data count, with CUDA 700 MB.
    megabytes = 128 if card else 1200
    fraction = megabytes / 1e3 / card["memory_gb"] if card else 1
    _, log = machine.run("train", "--run", run, *changes, "--set", f"train.memory_fraction={fraction:.6f}", status=1,
                         megabytes=None if card else megabytes)  # fmt: skip
    said = log.strip().splitlines()[-1]
    keys = ["out of memory", "16 images", "data.loader.batch_size"] + (["train.memory_fraction"] if card else [])
    missing = [key for key in keys if key not in said]
    if missing:
        raise Failed(f"without memory it does not say {', '.join(missing)}, but: {said}")
    after = learnt(run)
    if before != after:
        raise Failed("a training that ran out of memory has changed what it had saved")
    machine.run("train", "--run", run, *changes, "--set", "train.memory_fraction=null")
    return f"{megabytes} MB are too few, which is said with what takes less; the run went on with more"


def correct(machine, many, card):
    """Yields a row for each check: name, whether it held, and what was found. Several run at once where there are
    processors for them."""
    checks = [("training to its score", score, ())]
    checks += [(f"resuming in {precision}", resuming, (precision, many)) for precision in PRECISIONS]
    precisions = PRECISIONS if many else ("fp32", "bf16")
    checks += [(f"eager against graph in {precision}", graph, (precision,)) for precision in precisions]
    checks += [("prediction, whole images", prediction, (False,)), ("prediction in tiles", prediction, (True,))]
    checks += [("too little memory", memory, (card,))]
    checks += [("one rank in a group", ranks.one, ()), ("one rank, eager against graph", ranks.captured, ())]
    checks += [("sums over ranks in a graph", ranks.sums, ()), ("two ranks on one device", ranks.two, ())]

    def made(check):
        name, function, arguments = check
        try:
            found, well = function(machine, *arguments), True
        except Failed as failed:
            found, well = str(failed), False
        return {"check": name, "passed": well, "found": found}

    with ThreadPoolExecutor(max(1, min(4, (os.cpu_count() or 1) // 4))) as pool:
        yield from pool.map(made, checks)
    warnings = sorted(set(machine.warnings))
    found = f"libtorch warned {len(machine.warnings)} times" + (f", of: {' | '.join(warnings[:3])}" if warnings else "")
    yield {"check": "a quiet log", "passed": not warnings, "found": found}
