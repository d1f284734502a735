"""Trainings by ranks, as far as one GPU shows them: one rank over NCCL, eager and in a CUDA graph, and two over Gloo
that share the GPU. Only two GPUs can show that ranks wait for each other in graphs: `app train --nproc 2` there, once
with `train.graph=off`, must end with the same files."""

import socket
import subprocess

from gpu_check.machine import Failed, learnt, lines

# Three steps in each of two epochs: rounding has no time to grow.
SETTINGS = {"data.train_samples": 48, "data.validation_samples": 8, "train.epochs": 2, "model.precision": "fp32"}
# Largest difference of losses, as a part of them.
ROUNDING = 1e-3


def trained(machine, name, settings, *how, single=False):
    """Trains in one go, and stopped in the second epoch and resumed: both must end with the same bits. Returns the log
    of the first, and what its losses differ from those of a process without ranks by."""
    like = lines(machine.trained("without-ranks", SETTINGS))
    changes = [*how, *machine.small(SETTINGS | settings)]
    straight, resumed = (machine.folder / f"{name}-{end}" for end in ("straight", "resumed"))

    def train(run, *more, status=0):
        variables = alone(free_port()) if single else {}
        return machine.run("train", "--run", run, *more, *changes, status=status, variables=variables)[1]

    log = train(straight)
    train(resumed, "--until-step", "5", status=75)
    train(resumed)
    own, again = comparable(straight), comparable(resumed)
    other = [file for file in own if again.get(file) != own[file]]
    if other or len(again) != len(own):
        raise Failed(f"resumed at step 5 it differs in {', '.join(other) or 'what it left'}")
    losses = [[line["loss"] for line in which] for which in (lines(straight), like)]
    furthest = max(abs(ours - theirs) / abs(theirs) for ours, theirs in zip(*losses))
    text = f"losses differ from those of one process by at most {furthest:.1e}"
    if len(losses[0]) != len(losses[1]) or not furthest < ROUNDING:
        raise Failed(text)
    return log, f"{text}; resumed at step 5 it is the same to the bit"


def comparable(run):
    """Returns what a run ends with, but for mean norms of gradients: those are of the steps since the start."""
    found = learnt(run)
    of_lines = (line for line in found.values() if isinstance(line, dict))
    for line in of_lines:
        line.pop("gradient_norm", None)
    return found


def alone(port):
    """Returns a launcher's variables for the only rank."""
    return {"RANK": "0", "WORLD_SIZE": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def backend(machine):
    return "gloo" if machine.cpu else "nccl"


def said(machine, log, words):
    if not machine.cpu and words not in log:
        raise Failed(f'the log does not say "{words}"')


def one(machine):
    """Trains by one rank in a real group, over NCCL on a GPU."""
    log, found = trained(machine, "one-rank", {"distributed.backend": backend(machine)}, single=True)
    said(machine, log, "over NCCL")
    return f"{backend(machine)}: {found}"


def captured(machine):
    """Trains by one rank in a real group with and without a CUDA graph: both must end with the same bits."""
    ends = []
    for how in ("auto", "off"):
        run = machine.folder / f"one-rank-graph-{how}"
        # Four of twelve steps come before the capture, and three are checked.
        settings = SETTINGS | {"train.epochs": 4, "distributed.backend": backend(machine), "train.graph": how}
        log = machine.run("train", "--run", run, *machine.small(settings), variables=alone(free_port()))[1]
        if how == "auto":
            said(machine, log, "steps are replayed from a capture")
        ends.append(learnt(run))
    other = [name for name in ends[1] if ends[0].get(name) != ends[1][name]]
    if other or len(ends[0]) != len(ends[1]):
        raise Failed(f"eager and in a graph it differs in {', '.join(other) or 'what it left'}")
    return f"{backend(machine)}: eager and in a graph, {len(ends[1])} files and lines are the same to the bit"


def sums(machine):
    """Makes steps with sums over the only rank of a group, eager and in a CUDA graph. (A training by one rank sums
    nothing.)"""
    gpu = machine.program("gpu", ["../target/release/deps/gpu-*"])
    done = subprocess.run([gpu, machine.device, "sums"], env=machine.environment, text=True, capture_output=True)
    if done.returncode:
        raise Failed(f"gpu sums ended with status {done.returncode}: {done.stderr.strip()[-500:]}")
    return done.stdout.strip()


def two(machine):
    """Trains by two ranks on one device. NCCL wants a GPU for each of them, and is refused."""
    log, found = trained(machine, "two-ranks", {}, "--nproc", "2")
    said(machine, log, "2 ranks share the GPU")
    refused = machine.small(SETTINGS | {"distributed.backend": "nccl"})
    run = machine.folder / "refused"
    _, log = machine.run("train", "--run", run, "--nproc", "2", *refused, status=1)
    if "NCCL: " not in log or run.exists():
        raise Failed("two ranks over NCCL on one device are not refused before the first step")
    return f"gloo: {found}; NCCL is refused"
