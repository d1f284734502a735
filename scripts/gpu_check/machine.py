"""The device, the programs, and a folder for what they write."""

import json
import os
import pathlib
import random
import re
import shutil
import struct
import subprocess
import threading
import zlib

# Folder of gpu-check.
HERE = pathlib.Path(__file__).resolve().parent.parent
# libtorch's own warnings: "[W1128 06:20:41.123456789 Context.cpp:123] Warning: …". The app's lines begin with a date.
WARNING = re.compile(r"^\[W\d*[ :]|Warning: |deprecated")

# Changes of the default by which a CPU trains it in seconds.
SMALL = {
    "data.size": "[32,32]", "data.train_samples": 48, "data.validation_samples": 8, "model.width": 4, "model.depth": 2,
}  # fmt: skip


class Failed(Exception):
    """A check that did not hold, or could not be made."""


class Machine:
    """Runs the programs on the GPU, or on the CPU if `cpu`."""

    def __init__(self, cpu, libtorch, folder):
        self.cpu, self.folder = cpu, folder
        self.device = "cpu" if cpu else "cuda"
        self.app = self.program("app", ["../target/release/app"])
        library = pathlib.Path(libtorch) / "lib"
        search = os.environ.get("LD_LIBRARY_PATH")
        self.environment = os.environ | {"LD_LIBRARY_PATH": f"{library}:{search}" if search else str(library)}
        # Lines by which libtorch warned of something, in any run so far.
        self.warnings = []
        self.training = threading.Lock()

    @staticmethod
    def program(name, elsewhere):
        places = [HERE / name]
        for pattern in elsewhere:
            found = (path for path in HERE.glob(pattern) if not path.suffix)
            places += sorted(found, key=lambda path: path.stat().st_mtime, reverse=True)
        for place in places:
            if place.is_file() and os.access(place, os.X_OK):
                return place
        raise Failed(f"there is no program {name} in {HERE}: scripts/gpu-check --help says what to carry there")

    def run(self, *arguments, cpu=False, status=0, megabytes=None, variables=None):
        """Runs the app with further environment `variables` and returns its output and its log. On a GPU unless `cpu`,
        where the configuration leaves it open. It is to end with `status`, and gets no more memory of the host than
        `megabytes`."""
        environment = self.environment | ({"CUDA_VISIBLE_DEVICES": ""} if cpu or self.cpu else {}) | (variables or {})
        limit = ["sh", "-c", f'ulimit -d {1000 * megabytes}; exec "$0" "$@"'] if megabytes else []
        done = subprocess.run([*limit, self.app, *arguments], env=environment, cwd=self.folder, text=True,
                              capture_output=True)  # fmt: skip
        self.warnings += [line for line in done.stderr.splitlines() if WARNING.search(line)]
        if done.returncode != status:
            lines = (done.stderr.strip() or done.stdout.strip()).splitlines()[-8:]
            raise Failed(f"app {arguments[0]} ended with status {done.returncode}: " + " | ".join(lines))
        return done.stdout, done.stderr

    def changes(self, *settings):
        return [part for setting in (f"train.device={self.device}", *settings) for part in ("--set", setting)]

    def small(self, settings):
        """Returns the changes of the default that are asked for, and on a CPU those that make it small."""
        chosen = {"export.at_end": "false"} | settings | (SMALL if self.cpu else {})
        return self.changes(*(f"{key}={value}" for key, value in chosen.items()))

    def trained(self, name, settings):
        """Trains the default with some changes, once for each name; returns the run's folder."""
        run = self.folder / name
        with self.training:
            if not (run / "metrics.jsonl").exists():
                self.run("train", "--run", run, *self.small(settings))
        return run

    def drawn(self, side, seed):
        """Returns noise with rectangles on it, as bytes of RGB, and the ids of a mask: 1 in a rectangle, else 0."""
        draw = random.Random(seed)
        pixels, ids = bytearray(draw.randbytes(3 * side * side)), bytearray(side * side)
        for _ in range(6):
            color, (x, y, w, h) = draw.randbytes(3), (draw.randrange(side) for _ in range(4))
            for row in range(y, min(y + h, side)):
                start, end = side * row + x, side * row + min(x + w, side)
                pixels[3 * start : 3 * end] = color * (end - start)
                ids[start:end] = b"\1" * (end - start)
        return pixels, ids

    def png(self, path, side, values):
        """Writes RGB or grey values, by their number, as a PNG file."""
        channels = len(values) // (side * side)
        length = channels * side
        rows = b"".join(b"\0" + values[length * row : length * (row + 1)] for row in range(side))
        number = lambda value: struct.pack(">I", value)
        chunk = lambda kind, data: number(len(data)) + kind + data + number(zlib.crc32(kind + data))
        header = struct.pack(">IIBBBBB", side, side, 8, 2 if channels == 3 else 0, 0, 0, 0)
        chunks = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 1)) + chunk(b"IEND", b"")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunks)

    def images(self, name, count, side):
        """Draws images into a folder and returns it."""
        for number in range(count):
            self.png(self.folder / name / f"{number}.png", side, self.drawn(side, number)[0])
        return self.folder / name


def lines(run):
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def learnt(run):
    """Returns all that a run ends with: the files of its last checkpoint, the batches that it rejected, and the lines
    of its log but for times."""
    last = max((run / "checkpoints").glob("step-*"))
    found = {path.name: path.read_bytes() for path in last.glob("*.safetensors")}
    times = lambda key: key in ("time", "memory_mb") or "second" in key
    for number, line in enumerate(lines(run)):
        found[f"line {number + 1} of metrics.jsonl"] = {k: v for k, v in line.items() if not times(k)}
    for rejected in (run / "rejected").glob("step-*/manifest.json"):
        about = json.loads(rejected.read_text())["about"]["rejected"]
        found[f"rejected/{rejected.parent.name}"] = [about["loss"], about["gradient_norm"], *about["names"]]
    return found


def environment(machine):
    """Returns what the first of the runs says of the machine."""
    for found in sorted(machine.folder.glob("*/environment.json")):
        return json.loads(found.read_text())
    return {}


def removed(folder):
    shutil.rmtree(folder, ignore_errors=True)
