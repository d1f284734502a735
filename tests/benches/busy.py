"""Measures the cost of other programs to a training: alone, next to one and two busy processes or to another training.

    scripts/bench busy [ROUNDS]

Images per second of the default (scripts/train, shorter epochs), over all epochs but the first; with the OpenMP runtime
that scripts/libtorch installs in its libtorch, and with GNU's, which it comes with and which is kept there. They take
turns, and each round begins with another one. The table goes into BENCHMARKS.md.
"""

import contextlib
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
APP = ROOT / "target/release/app"
EPOCHS = 3
IMAGES = 480
SETTINGS = [
    f"train.epochs={EPOCHS}", f"data.train_samples={IMAGES}", "data.validation_samples=16", "train.device=cpu",
    "export.at_end=false", "summary.tensorboard=false", "summary.report=false",
]
# Name, number of trainings, number of processes that only compute.
CASES = [("alone", 1, 0), ("one busy neighbour", 1, 1), ("two busy neighbours", 1, 2), ("two trainings, each", 2, 0)]


def train(folder, runtime):
    command = [APP, "train", "--run", folder, *(part for setting in SETTINGS for part in ("--set", setting))]
    environment = {**os.environ, "LD_PRELOAD": str(runtime)} if runtime else os.environ
    return subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


@contextlib.contextmanager
def hogs(number):
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(number)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rate(folder):
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    epochs = [line for line in lines if line["stage"] == "train"][1:]
    spent = sum(line[f"seconds/{what}"] for line in epochs for what in ("data", "transfer", "compute"))
    return IMAGES * len(epochs) / spent


def measure(parent, runtime, trainings, neighbours):
    """Returns the rates of all trainings, and the environment of the first."""
    folders = [pathlib.Path(tempfile.mkdtemp(dir=parent)) / "run" for _ in range(trainings)]
    with hogs(neighbours):
        processes = [train(folder, runtime) for folder in folders]
        for process in processes:
            _, said = process.communicate()
            if process.returncode:
                sys.exit(f"busy: a training failed:\n{said}")
    return [rate(folder) for folder in folders], json.loads((folders[0] / "environment.json").read_text())


def main():
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    found = {}
    with tempfile.TemporaryDirectory() as parent:
        _, environment = measure(parent, None, 1, 0)
        here = pathlib.Path(environment["openmp"].rsplit(": ", 1)[-1])
        gnu = here.resolve().parent / "gnu" / "libgomp.so.1"
        runtimes = {"LLVM's, block time 1 ms": None} if "LLVM" in environment["openmp"] else {"GNU's": None}
        if gnu.exists():
            runtimes["GNU's"] = gnu
        else:
            print(f"busy: found no GNU runtime next to {here}, where scripts/libtorch keeps it; measuring one alone", file=sys.stderr)
        for number in range(rounds):
            for name, trainings, neighbours in CASES:
                order = list(runtimes.items())
                for runtime, file in order if number % 2 == 0 else order[::-1]:
                    rates, environment = measure(parent, file, trainings, neighbours)
                    if (file is not None) == ("LLVM" in environment["openmp"]):
                        sys.exit(f"busy: {runtime} is not in force: {environment['openmp']}")
                    found.setdefault((runtime, name), []).append(statistics.mean(rates))
            print(f"round {number + 1} of {rounds}", file=sys.stderr)
    text = f"Images a second, {rounds} rounds: medians (range), and the share of the rate alone. {environment['cores']} cores of "
    text += f"{environment['processor']}.\n\n| OpenMP runtime |" + "".join(f" {name} |" for name, _, _ in CASES)
    text += "\n| --- |" + " ---: |" * len(CASES) + "\n"
    for runtime in runtimes:
        cells = [f"| {runtime} |"]
        for name, _, _ in CASES:
            rates = found[runtime, name]
            share = statistics.median(rates) / statistics.median(found[runtime, "alone"])
            cells.append(f" {statistics.median(rates):.0f} ({min(rates):.0f}–{max(rates):.0f}), {share:.2f} |")
        text += "".join(cells) + "\n"
    print(text)
    document = ROOT / "BENCHMARKS.md"
    begin, end = "<!-- busy -->\n", "<!-- /busy -->\n"
    document.write_text(re.sub(f"{begin}.*{end}", lambda _: begin + text + end, document.read_text(), flags=re.DOTALL))


main()
