"""Measures the cost of showing a run: app train with everything on, and with metrics.jsonl alone, in turns.

    scripts/bench seeing PETS [ROUNDS]

For each epoch but the first: the share of its time that went into logging and display (`seconds/logging`), and into
the closer look at the validation. A program of its own measures the look (tests/benches/look), since validations differ
by more than that. Once: the time that a run takes after its last epoch, and that of `app report`, which validates anew.
"""

import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

EPOCHS = 4
APP = pathlib.Path(__file__).resolve().parents[2] / "target/release/app"
CONFIG = APP.parents[2] / "configs/pets.json"
PLAIN = ["summary.tensorboard=false", "summary.report=false"]


def epochs(pets, folder, changes):
    settings = [f"data.root={pets}", f"train.epochs={EPOCHS}", "export.at_end=false", *changes]
    command = [APP, "train", "--config", CONFIG, "--run", folder]
    command += [part for setting in settings for part in ("--set", setting)]
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
    end = time.time()
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [line for line in lines if line["stage"] == "train"][1:], end - lines[-1]["time"]


def main():
    pets, rounds = sys.argv[1], int(sys.argv[2])
    shares = []
    totals, ends = [{True: [], False: []} for _ in range(2)]
    with tempfile.TemporaryDirectory() as folder:
        for number in range(rounds):
            # Another one begins in each round.
            for plain in (number % 2 == 0, number % 2 == 1):
                lines, end = epochs(pets, pathlib.Path(folder) / f"{number}-{plain}", PLAIN if plain else [])
                ends[plain].append(end)
                totals[plain] += [line["seconds/epoch"] for line in lines]
                if not plain:
                    shares += [line["seconds/logging"] / line["seconds/epoch"] for line in lines]
        environment = json.loads((pathlib.Path(folder) / "0-False" / "environment.json").read_text())
        since = time.monotonic()
        subprocess.run([APP, "report", "--run", pathlib.Path(folder) / "0-False"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True)
        report = time.monotonic() - since
    median = statistics.median
    look = subprocess.run(["cargo", "bench", "-q", "-p", "tests", "--bench", "look"], stdout=subprocess.PIPE, text=True, check=True)
    alone, closer = map(float, look.stdout.split())
    print(f"{environment['cores']} cores of {environment['processor']}")
    print(f"epoch: {median(totals[False]):.2f} s ({min(totals[False]):.2f} to {max(totals[False]):.2f}), plain {median(totals[True]):.2f} s "
          f"({min(totals[True]):.2f} to {max(totals[True]):.2f})")
    print(f"logging and display: {100 * median(shares):.2f} % of an epoch ({100 * min(shares):.2f} to {100 * max(shares):.2f})")
    print(f"a look: {1000 * (closer - alone):.0f} ms besides {1000 * alone:.0f} ms for the scores alone: "
          f"{100 * (closer - alone) / median(totals[False]):.2f} % of an epoch")
    print(f"after the last epoch: {median(ends[False]):.2f} s, plain {median(ends[True]):.2f} s, once")
    print(f"app report: {report:.2f} s")


main()
