"""Speeds on a GPU, beside PyTorch's."""

import os
import re
import statistics
import subprocess
import sys

from gpu_check.machine import HERE, Failed, lines

# Images, side in pixels, steps a turn, the mode of torch.compile that is fastest there (a compilation takes half a
# minute), and the milliseconds that are aimed at on an H100: those of PyTorch in a CUDA graph of its own.
SIZES = (
    (16, 128, 20, "reduce-overhead", 3.7),
    (128, 128, 10, "default", 20.5),
    (16, 256, 15, "reduce-overhead", None),
    (64, 256, 5, "default", None),
)
ROUNDS = 5
# Deterministic steps take at most so many times as long as others.
DETERMINISTIC = 1.12
# Images a second that are aimed at on an H100.
EPOCH, WHOLE, TILES = 5000, 592, 480
# How the program gpu makes steps; the first way is the default of a training.
OURS = {
    "oxiseg": "graph",
    "eager": "eager",
    "not deterministic": "graph-fastest",
    "eager, not deterministic": "eager-fastest",
}
COMPILED = "torch.compile"
PEERS = {"PyTorch, eager": "best", "PyTorch, CUDA graph": "graph", COMPILED: "compile"}
NETWORKS = {"unet": "UNet", "mobilenet": "MobileNetV2-UNet"}


class Peer:
    """A program that makes a first step when it starts, and others on request."""

    def __init__(self, command, environment):
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self.process = subprocess.Popen(command, env=environment, text=True, **pipes)
        self.loss = None

    def answer(self):
        line = self.process.stdout.readline()
        try:
            return float(line)
        except ValueError:
            raise Failed(f"ended with status {self.process.wait()}") from None

    def ready(self):
        """Waits for the first step; returns why there is none."""
        try:
            self.loss = self.loss or self.answer()
        except Failed as why:
            return str(why)

    def steps(self, count):
        """Makes steps and returns the milliseconds of each."""
        try:
            self.process.stdin.write(f"{count}\n")
            self.process.stdin.flush()
        except OSError:
            raise Failed(f"ended with status {self.process.wait()}") from None
        return 1e3 * self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def torch_of(device):
    """Returns the version of PyTorch if python3 has one for the device, else None."""
    code = "import sys, torch; print(torch.__version__); sys.exit('cuda' in sys.argv and not torch.cuda.is_available())"
    done = subprocess.run([sys.executable, "-c", code, device], capture_output=True, text=True)
    return done.stdout.strip() if done.returncode == 0 else None


class Steps:
    """Contestants that make steps of the same size."""

    def __init__(self, machine, script, many, card):
        self.machine, self.script, self.card = machine, script, card
        self.gpu = machine.program("gpu", ["../target/release/deps/gpu-*"])
        sizes = [(2, 32, 2, "default", None)] if machine.cpu else SIZES
        self.cases = [("unet", *size, "bf16") for size in sizes]
        if many:
            self.cases += [("unet", *sizes[0][:-1], None, precision) for precision in ("fp32", "tf32", "fp16")]
            self.cases += [("mobilenet", *size[:-1], None, "bf16") for size in sizes]
        # All at once and before anything is measured, since it takes long.
        self.compiled = {case: self.peer(case, f"compile-{case[4]}") for case in self.cases if self.has(case, COMPILED)}
        for peer in self.compiled.values():
            peer.ready()

    def has(self, case, name):
        """Returns true if a peer takes part: there is only a UNet of PyTorch, and its GradScaler reads from the
        device."""
        network, *_, precision = case
        if not self.script or network != "unet":
            return False
        if name == COMPILED:
            return precision == "bf16" and not self.machine.cpu
        return name == "PyTorch, eager" or (precision != "fp16" and not self.machine.cpu)

    def peer(self, case, how):
        network, images, side, *_, precision = case
        width = 8 if self.machine.cpu else 32
        arguments = [self.machine.device, how, network, str(width), str(images), str(side), precision]
        if how in OURS.values():
            return Peer([self.gpu, *arguments], self.machine.environment)
        # PyTorch brings a libtorch of its own.
        return Peer([sys.executable, self.script, *arguments], os.environ)

    def row(self, case):
        """Measures a case: all contestants take turns, and each round begins with another one."""
        network, images, side, count, mode, aim, precision = case
        peers = {name: self.peer(case, how) for name, how in OURS.items()}
        for name, how in PEERS.items():
            if self.has(case, name):
                peers[name] = self.compiled.pop(case) if name == COMPILED else self.peer(case, how)
        rounds, failed = {}, {}
        for name, peer in peers.items():
            why = peer.ready()
            if why:
                failed[name] = why
            else:
                rounds[name] = []
        for turn in range(ROUNDS + 1):
            order = list(rounds)
            for name in order[turn % max(len(order), 1) :] + order[: turn % max(len(order), 1)]:
                try:
                    taken = peers[name].steps(count)
                except Failed as why:
                    failed[name] = str(why)
                    del rounds[name]
                    continue
                if turn > 0:  # the first turn warms up
                    rounds[name].append(taken)
        for peer in peers.values():
            peer.close()
        row = {"what": f"{NETWORKS[network]}, {images} of {side}², {precision}", "unit": "ms a step"}
        row["figures"] = {name: statistics.median(taken) for name, taken in rounds.items()}
        row |= {"rounds": rounds, "failed": failed, "ratios": ratios(rounds)}
        if COMPILED in peers:
            row["compiled with"] = mode
        return row | {"aims": met(row, aim, self.card)}


def ratios(rounds):
    """Returns medians of the rounds' ratios: a disturbance of a round affects all contestants."""
    found = {}

    def compare(name, above, below):
        if above in rounds and below in rounds:
            found[name] = statistics.median(map(lambda a, b: a / b, rounds[above], rounds[below]))

    compare("deterministic / not", "oxiseg", "not deterministic")
    compare("deterministic / not, eager", "eager", "eager, not deterministic")
    for peer in PEERS:
        compare(f"{peer} / oxiseg", peer, "oxiseg")
    return found


def epoch_row(machine, run):
    """Returns the rate of a training of the default; its first epoch starts slowly."""
    rates = [line["images_per_second"] for line in lines(run) if line["stage"] == "train"][1:]
    return {"what": "an epoch of the default", "unit": "images/s", "figures": {"oxiseg": statistics.median(rates)}}


def prediction_row(machine, run, images, few, how, what):
    """Predicts images, and a few, whose time is subtracted: the first ones take longer."""

    def seconds(folder, turn):
        output = machine.folder / f"{folder.name}-{turn}"
        _, log = machine.run("predict", "--run", run, "--output", output, *how, folder)
        count, rate = re.search(r"(\d+) images at ([\d.]+) images/s", log).groups()
        return int(count) / float(rate)

    count = sum(1 for _ in images.iterdir()) - sum(1 for _ in few.iterdir())
    taken = [seconds(images, turn) - seconds(few, turn) for turn in range(3)]
    rates = [count / max(each, 1e-3) for each in taken]
    return {"what": what, "unit": "images/s", "figures": {"oxiseg": statistics.median(rates)}, "rounds": rates}


def bench(machine, many, card):
    """Yields a row for each measurement."""
    places = (HERE / "peers.py", HERE / "../tests/benches/gpu/peers.py")
    script = next((path for path in places if path.exists()), None)
    version = script and torch_of(machine.device)
    if version:
        print(f"beside PyTorch {version}", flush=True)
    else:
        text = "gpu-check: no comparison: python3 has no PyTorch for this device, or peers.py is missing"
        print(text, file=sys.stderr)
    steps = Steps(machine, script if version else None, many, card)
    for case in steps.cases:
        yield steps.row(case)

    run = machine.trained("trained", {"train.epochs": 4})
    wide = {"data.size": "[128,128]", "data.train_samples": 64, "model.width": 32, "model.precision": "bf16"}
    wide = machine.trained("wide", wide | {"train.epochs": 1})
    side, counts = (64, (20, 6)) if machine.cpu else (416, (600, 40))
    small = [machine.images(f"small{count}", count, 32 if machine.cpu else 64) for count in (counts[0], 2)]
    large = [machine.images(f"large{count}", count, side) for count in (counts[1], 2)]
    tile = str(32 if machine.cpu else 128)
    whole = "prediction of whole images of the default's size"
    row = epoch_row(machine, run)
    yield row | {"aims": met(row, EPOCH, card)}
    row = prediction_row(machine, run, *small, [], whole)
    yield row | {"aims": met(row, WHOLE, card)}
    row = prediction_row(machine, wide, *large, ["--tile", tile], f"prediction of {side}² in tiles of {tile}²")
    yield row | {"aims": met(row, TILES, card)}


def met(row, aim, card):
    """Returns the aims of a row that hold for the card, and whether each is met."""
    found, own = {}, row["figures"].get("oxiseg")
    if aim and own is not None and card and "H100" in card["name"]:
        steps = row["unit"].startswith("ms")
        found[f"at {'most' if steps else 'least'} {aim}"] = own <= aim if steps else own >= aim
    ratio = row.get("ratios", {}).get("deterministic / not")
    if ratio and card:
        found[f"deterministic at most {DETERMINISTIC} times"] = ratio <= DETERMINISTIC
    return found


def digits(value):
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def shown(row):
    """Returns a row as a line."""
    own = row["figures"].get("oxiseg")
    parts = [f"{who} {digits(value)}" for who, value in row["figures"].items()]
    parts += [f"{who} {why}" for who, why in row.get("failed", {}).items()]
    parts += [f"{name} {value:.2f}" for name, value in row.get("ratios", {}).items()]
    parts += [f"aim {aim}: {'met' if well else 'NOT met'}" for aim, well in row["aims"].items()]
    return f"{row['what']}, {row['unit']}: {', '.join(parts)}"


def table(rows):
    """Returns the rows as tables in Markdown."""
    aims = lambda row: "; ".join(f"{aim}: {'met' if well else '**not met**'}" for aim, well in row["aims"].items())
    parts = []
    for unit in dict.fromkeys(row["unit"] for row in rows):
        some = [row for row in rows if row["unit"] == unit]
        names = list(dict.fromkeys(name for row in some for name in (*row["figures"], *row.get("failed", {}))))
        ratio = list(dict.fromkeys(name for row in some for name in row.get("ratios", {})))
        aimed = ["aim"] if any(row["aims"] for row in some) else []
        text = [[unit, *names, *ratio, *aimed], ["---", *["---:"] * len(names + ratio), *["---"] * len(aimed)]]
        for row in some:
            failed = row.get("failed", {})
            cells = [digits(row["figures"][name]) if name in row["figures"] else "failed" if name in failed else "–"
                     for name in names]  # fmt: skip
            cells += [f"{row['ratios'][name]:.2f}" if name in row["ratios"] else "–" for name in ratio]
            text.append([row["what"], *cells, *([aims(row)] if aimed else [])])
        parts.append("\n".join(f"| {' | '.join(line)} |" for line in text))
    return "\n\n".join(parts)
