"""Writes what the program of commit 7827b7c left behind, and what it made of that afterwards: expected.json.

    python3 tests/old/make.py PROGRAM       (`target/release/app`, built from a checkout of 7827b7c)

Everything here but the configurations and the images of `data/` is that program's own work. The tests
(`tests/program/old.rs`) go on from it with the program of today. So it was made once; run this again only to add
another old version beside it.
"""

import json
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

HERE = pathlib.Path(__file__).parent
COMMIT = "7827b7c"
TRAIN = {"epochs": 2, "threads": 1, "device": "cpu"}
QUIET = {"images": 0, "histograms": 0, "report": False}

FINISHED = {
    "data": {
        "kind": "shapes",
        "size": [16, 16],
        "train_samples": 24,
        "validation_samples": 12,
        "loader": {"batch_size": 5},
    },
    "model": {"kind": "unet", "width": 4, "depth": 1},
    "train": TRAIN,
    "checkpoint": {"keep_last": 1, "keep_best": False},
    "summary": QUIET,
    "export": {"at_end": False, "formats": ["torchscript", "safetensors"]},
}

# Files, transforms, and every state that a checkpoint can hold: gradients that wait, an average, a schedule.
STOPPED = {
    "data": {
        "kind": "folders",
        "root": "data",
        "classes": ["ground", "square"],
        "size": [16, 16],
        "loader": {"batch_size": 3},
        "transforms": [{"kind": "horizontal_flip"}, {"kind": "color_jitter"}],
    },
    "model": {"kind": "unet", "width": 2, "depth": 2},
    "loss": {"cross_entropy": 1, "dice": 0.5},
    "optimizer": {"rule": {"kind": "adamw"}, "weight_decay": 0.01, "accumulate": 2, "ema": 0.9, "clip_norm": 1.0},
    "schedule": {"warmup": 1, "decay": {"kind": "cosine"}},
    "train": TRAIN,
    "checkpoint": {"keep_last": 1, "keep_best": False},
    "summary": {**QUIET, "per_step": True},
    "export": {"at_end": False},
}

# Learns so fast that the second loss is not finite, which leaves a batch under rejected/.
BROKEN = {
    **FINISHED,
    "data": {**FINISHED["data"], "loader": {"batch_size": 2}},
    "model": {"kind": "unet", "width": 2, "depth": 1},
    "optimizer": {"rule": {"kind": "sgd"}, "learning_rate": 1e30},
    "summary": {**QUIET, "tensorboard": False},
}


def png(path, rows):
    """Writes an 8-bit PNG: rows of grey values, or of RGB triples."""
    color = 2 if isinstance(rows[0][0], tuple) else 0
    raw = b"".join(b"\0" + bytes(v for p in row for v in (p if color else (p,))) for row in rows)

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", len(rows[0]), len(rows), 8, color, 0, 0, 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)


def draw(folder):
    """Twelve images of 16 by 16 pixels: a bright square on a dark ground."""
    for i in range(12):
        top, left = i * 5 % 9, i * 7 % 10
        mask = [[int(top <= y < top + 6 and left <= x < left + 6) for x in range(16)] for y in range(16)]
        colors = lambda y, row: [(200 - 7 * i, 90, 60) if v else (40 + x, 50 + 3 * y, 70) for x, v in enumerate(row)]
        image = [colors(y, row) for y, row in enumerate(mask)]
        png(folder / f"images/{i:02}.png", image)
        png(folder / f"masks/{i:02}.png", mask)


def processor():
    """The processor, as far as the choice of kernels depends on it."""
    text = pathlib.Path("/proc/cpuinfo").read_text()
    of = lambda key: re.search(rf"^{key}\s*: (.*)$", text, re.M).group(1)
    features = [flag for flag in sorted(of("flags").split()) if re.match(r"avx|amx|fma|f16c|sse", flag)]
    return " ".join([of("model name"), *features])


def main(program):
    place = pathlib.Path(tempfile.mkdtemp())

    def app(arguments, status=0):
        done = subprocess.run([program, *arguments.split()], cwd=place, capture_output=True, text=True)
        assert done.returncode == status, done.stderr
        return done.stdout

    def end(run):
        """The lines and the last checkpoint of a run."""
        lines = [json.loads(line) for line in (place / run / "metrics.jsonl").read_text().splitlines()]
        manifest = json.loads(max((place / run / "checkpoints").glob("step-*/manifest.json")).read_text())
        how = ("time", "seconds/", "images_per_second", "memory_mb", "gradient_norm")
        return {
            "metrics": [{k: v for k, v in line.items() if not k.startswith(how)} for line in lines],
            "checkpoint": {key: manifest[key] for key in ("progress", "scores", "files")},
        }

    draw(place / "data")
    for name, config in {"finished": FINISHED, "stopped": STOPPED, "broken": BROKEN}.items():
        (place / f"{name}.json").write_text(json.dumps(config, indent=1) + "\n")
    app("train --config finished.json")
    app("train --config stopped.json --until-step 7", 75)
    app("train --config broken.json", 1)
    app("export --run runs/finished")

    for name in ["finished.json", "stopped.json"]:
        shutil.copy(place / name, HERE / name)
    for name in ["data", "runs", "saved_models"]:
        shutil.rmtree(HERE / name, ignore_errors=True)
        shutil.copytree(place / name, HERE / name)
    for empty in [*HERE.glob("runs/broken/checkpoints"), *HERE.glob("runs/*/lock")]:
        empty.rmdir() if empty.is_dir() else empty.unlink()

    # What that program itself makes of it.
    expected = {"commit": COMMIT, "processor": processor(), "validate": {}}
    for which in ["--run runs/finished", "--run runs/stopped", "--model saved_models/finished/1"]:
        expected["validate"][which] = json.loads(app(f"validate {which} --json"))
    app("predict --run runs/stopped --output predicted data/images/00.png")
    shutil.copy(place / "predicted/00.png", HERE / "predicted.png")
    replayed = app("train --replay " + str(next((place / "runs/broken/rejected").iterdir()).relative_to(place)))
    expected["replay"] = replayed.splitlines()
    app("train --run runs/finished --set train.epochs=3")
    app("train --run runs/stopped")
    expected["ends"] = {run: end(f"runs/{run}") for run in ["finished", "stopped"]}
    (HERE / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    shutil.rmtree(place)


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]).absolute())
